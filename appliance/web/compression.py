"""Answers in gzip, where that saves much and tells nothing of a secret.

Compression repeats by reference what stood before: whoever has a page say a guess beside a secret, and sees from afar
how long the page is, learns the secret letter by letter (BREACH). So each secret of an answer (`keep_apart`) is packed
by itself: nothing before or behind it is compared with it, and a guess changes no length.
"""

from __future__ import annotations

import functools
import re
import zlib
from collections.abc import Callable, Iterable
from typing import Any

from bottle import request

LEAST_BYTES = 1024  # less fits into one packet either way
LEVEL = 5  # a sixth larger than at 9, in a third of the time
GZIP_WBITS = 31
STATIC_FILES = 64
TEXT_TYPES = frozenset(
    (
        "application/json",
        "application/manifest+json",
        "image/svg+xml",
        "text/css",
        "text/csv",
        "text/html",
        "text/javascript",
        "text/plain",
    )
)
SECRETS = "mb9k.secrets"
_GZIP = re.compile(r"(?:^|,)\s*(?:gzip|\*)\s*(?:;\s*q\s*=\s*([0-9.]+)\s*)?(?=,|$)", re.IGNORECASE)
Headers = list[tuple[str, str]]


def keep_apart(secret: str | None) -> None:
    """The answer to the present request may hold this secret: it is not packed together with anything else."""
    if secret:
        request.environ.setdefault(SECRETS, set()).add(secret)


def compressing(answering: Callable[..., Iterable[bytes]], environ: dict[str, Any], start: Any) -> Iterable[bytes]:
    """Let a WSGI application answer, in gzip where the client takes it. What is streamed stays as it is."""
    begun: list[Any] = []

    def begin(status: str, headers: Headers, exc_info: Any = None) -> None:
        begun[:] = [status, headers, exc_info]

    answer = answering(environ, begin)
    status, headers, exc_info = begun
    if isinstance(answer, list) and _is_text(headers):
        headers = _varying(headers)
        whole = b"".join(answer)
        if len(whole) >= LEAST_BYTES and _takes_gzip(environ):
            answer = [_packed(whole, headers, environ)]
            headers = _described(headers, len(answer[0]))
    start(status, headers, exc_info)
    return answer


def _is_text(headers: Headers) -> bool:
    """Whether it is of a type that becomes much smaller, and is not packed yet."""
    named = {name.lower(): value for name, value in headers}
    kind = named.get("content-type", "").partition(";")[0].strip().lower()
    return kind in TEXT_TYPES and "content-encoding" not in named and "content-range" not in named


def _takes_gzip(environ: dict[str, Any]) -> bool:
    accepted = str(environ.get("HTTP_ACCEPT_ENCODING", ""))[:1000]
    found = _GZIP.search(accepted)
    if found is None:
        return False
    try:
        return float(found[1] or 1) > 0
    except ValueError:
        return False


def _packed(whole: bytes, headers: Headers, environ: dict[str, Any]) -> bytes:
    if any(name.lower() == "cache-control" and "immutable" in value for name, value in headers):
        return _packed_file(whole)
    secrets = tuple(sorted((each.encode() for each in environ.get(SECRETS, ())), key=len, reverse=True))
    return packed(whole, secrets)


@functools.lru_cache(maxsize=STATIC_FILES)
def _packed_file(content: bytes) -> bytes:
    """A file of the program, which never changes: packed once, and as small as it gets."""
    stream = zlib.compressobj(9, zlib.DEFLATED, GZIP_WBITS)
    return stream.compress(content) + stream.flush()


def packed(whole: bytes, secrets: Iterable[bytes] = ()) -> bytes:
    """As gzip; how long that is does not depend on whether a secret of it, or a part of one, stands elsewhere in it."""
    some = [re.escape(secret) for secret in secrets if secret]
    parts = re.split(b"(" + b"|".join(some) + b")", whole) if some else [whole]
    stream = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP_WBITS)
    done = []
    for number, part in enumerate(parts):
        if number:  # at each border all is forgotten that could be referred to
            done.append(stream.flush(zlib.Z_FULL_FLUSH))
        done.append(stream.compress(part))
    return b"".join([*done, stream.flush()])


def _varying(headers: Headers) -> Headers:
    """Caches in between keep one for those who take gzip, and one for all others."""
    varies = [value for name, value in headers if name.lower() == "vary"]
    others = [(name, value) for name, value in headers if name.lower() != "vary"]
    return [*others, ("Vary", ", ".join([*varies, "Accept-Encoding"]))]


def _described(headers: Headers, size_bytes: int) -> Headers:
    """What is said of the whole becomes true of the packed one; its ETag is weak then, as its bytes are others."""
    said = [(name, value) for name, value in headers if name.lower() not in ("content-length", "etag")]
    tags = [("ETag", f"W/{value.removeprefix('W/')}") for name, value in headers if name.lower() == "etag"]
    return [*said, *tags, ("Content-Encoding", "gzip"), ("Content-Length", str(size_bytes))]
