"""Answers in gzip: which, to whom, and that a guess beside a secret changes no length."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import pytest

from appliance.web import compression
from appliance.web.access import Access, App
from tests.site import JPEG, Box

SECRET = b"fK3r-9vQ_mZ7wX2pL0aB"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    made = Box(tmp_path_factory.mktemp("packed"))
    yield made
    made.close()


def raw(box: Box, path: str, accepts: str | None, person: str | None = "ann", **headers: str) -> Any:
    """An answer and its bytes as they came."""
    said = {"Accept-Encoding": accepts or "", **headers}
    with box.browser(person).client.stream("GET", path, headers=said) as answer:
        return answer, b"".join(answer.iter_raw())


@pytest.mark.parametrize("path", ["/", "/streams", "/settings", "/nowhere", "/api/openapi.json"])
def test_pages_and_the_api_are_packed_for_who_takes_it(box: Box, path: str) -> None:
    plain, whole = raw(box, path, None)
    answer, content = raw(box, path, "br, gzip;q=0.5")
    assert gzip.decompress(content) == whole and len(content) < 0.6 * len(whole)
    assert answer.headers["content-encoding"] == "gzip" and int(answer.headers["content-length"]) == len(content)
    assert "content-encoding" not in plain.headers and int(plain.headers["content-length"]) == len(whole)
    for each in (plain, answer):
        assert each.headers["vary"] == "Accept-Encoding" and "content-security-policy" in each.headers


@pytest.mark.parametrize("accepts", ["", "br", "gzip;q=0", "gzip; q=0.0, br", "gzip;q=nonsense", "x-gzip", "identity"])
def test_nobody_gets_gzip_who_does_not_take_it(box: Box, accepts: str) -> None:
    answer, content = raw(box, "/streams", accepts)
    assert content.startswith(b"<!doctype html>") and "content-encoding" not in answer.headers


def test_images_short_answers_and_what_is_streamed_stay_as_they_are(box: Box) -> None:
    for path in ("/images/unguessable", "/health", "/export/detections?format=csv"):
        answer, _ = raw(box, path, "gzip")
        assert answer.status_code == 200 and "content-encoding" not in answer.headers, path
    assert raw(box, "/images/unguessable", "gzip")[1] == JPEG


def test_a_file_of_the_program_is_packed_once(box: Box) -> None:
    path = box.browser("ann").get("/").text.partition('<link rel="stylesheet" href="')[2].partition('"')[0]
    first, content = raw(box, path, "gzip")
    assert first.headers["content-encoding"] == "gzip" and "immutable" in first.headers["cache-control"]
    before = compression._packed_file.cache_info().hits
    assert raw(box, path, "gzip")[1] == content
    assert compression._packed_file.cache_info().hits == before + 1


def test_a_page_that_did_not_change_is_not_sent_again_packed_or_not(box: Box) -> None:
    packed, _ = raw(box, "/people", "gzip")
    plain, _ = raw(box, "/people", None)
    assert packed.headers["etag"] == f"W/{plain.headers['etag']}"
    for known in (packed, plain):
        for accepts in ("gzip", None):
            answer, content = raw(box, "/people", accepts, **{"If-None-Match": known.headers["etag"]})
            assert answer.status_code == 304 and content == b""


def page(guess: bytes) -> bytes:
    filler = b"".join(b"<p>line %d of a page</p>" % number for number in range(100))
    return b'<input name="search" value="' + guess + b'">' + filler + b'<input name="csrf" value="' + SECRET + b'">'


def test_a_guess_beside_a_secret_changes_no_length() -> None:
    right, wrong = SECRET[:12], bytes(reversed(SECRET[:12]))
    assert len(compression.packed(page(right))) < len(compression.packed(page(wrong)))  # what BREACH reads
    lengths = {len(compression.packed(page(guess), [SECRET])) for guess in (right, wrong)}
    assert len(lengths) == 1
    assert gzip.decompress(compression.packed(page(right), [SECRET])) == page(right)


def test_the_token_of_a_session_and_what_was_just_made_are_kept_apart(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[set[str]] = []
    packed = compression._packed

    def noted(whole: bytes, headers: Any, environ: Any) -> bytes:
        kept.append(set(environ.get(compression.SECRETS, ())))
        return packed(whole, headers, environ)

    monkeypatch.setattr(compression, "_packed", noted)
    ann = box.browser("ann")
    ann.get("/streams")
    assert kept[-1] == {"csrf-ann"}
    shown = ann.follow("/streams/1/key", page="/streams/1")
    key = shown.text.partition("data-copied>")[2].partition("<")[0]
    assert len(kept[-1]) == 2 and any(secret in shown.text for secret in kept[-1] - {"csrf-ann"}), key


def test_an_answer_that_breaks_off_is_not_packed() -> None:
    app = App(str)

    @app.get("/parts", access=Access.ANYONE)
    def parts() -> Iterator[bytes]:
        yield b"a" * 5000
        yield b"b" * 5000

    begun: list[dict[str, str]] = []

    def start(_status: str, headers: list[tuple[str, str]], _exc_info: object = None) -> None:
        begun.append(dict(headers))

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/parts", "HTTP_HOST": "localhost", "HTTP_ACCEPT_ENCODING": "gzip"}
    answer = app.wsgi(environ, start)
    assert b"".join(answer) == b"a" * 5000 + b"b" * 5000
    assert "Content-Encoding" not in begun[0]
