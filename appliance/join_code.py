"""A join code: the one string by which a box joins a centre; and what the two say by it, over HTTPS.

It says where the centre is, by which key it is known (so that nobody in between can take its place), and the secret by
which the centre knows that this box was invited. Four bytes at its end show whether it was copied whole.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import struct
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from appliance.errors import InputError, about
from appliance.language import _

PREFIX = "mb9k1"
"""With the version; a code of another one is told apart from a mistyped one."""
MAX_LENGTH = 600
_FINGERPRINT_BYTES, _SECRET_BYTES, _CHECK_BYTES = 32, 16, 4
_HEAD_BYTES = _FINGERPRINT_BYTES + _SECRET_BYTES + 2


PATH = "/join"
"""Where a box posts its Request. It is answered by an Answer, or by a Refused with a status of 4xx or 5xx."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a box sends to join. name: what it would like to be called. request: PKCS #10, PEM."""

    v: int = 1
    secret: Annotated[str, Meta(max_length=100)]
    name: Annotated[str, Meta(max_length=100)] = ""
    request: Annotated[str, Meta(max_length=4000)]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What it gets. box: its id. host, port: the broker's. now_utc: the centre's clock. certificate, authority: PEM."""

    v: int = 1
    box: Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,40}$")]
    centre: Annotated[str, Meta(max_length=80)] = ""
    host: Annotated[str, Meta(min_length=1, max_length=253)]
    port: Annotated[int, Meta(ge=1, le=65535)]
    now_utc: float
    certificate: Annotated[str, Meta(max_length=16_000)]
    authority: Annotated[str, Meta(max_length=16_000)]


class Refused(msgspec.Struct, frozen=True):
    """Why it gets none, in words for a person."""

    error: str


class BadJoinCode(InputError):
    """This is no join code, or not all of one; the message says what to do."""


@dataclass(frozen=True, slots=True)
class JoinCode:
    """host, port: of the centre's joining endpoint. fingerprint: of its certificate, see certificates.fingerprint.

    secret: 32 hex digits, good for one box or a few, for a while; the centre keeps only its digest.
    """

    host: str
    port: int
    fingerprint: bytes
    secret: str

    def text(self) -> str:
        """What a person copies: letters and digits, in groups of eight."""
        content = self.fingerprint + bytes.fromhex(self.secret) + struct.pack(">H", self.port) + self.host.encode()
        letters = _letters(content + _check(content))
        return "-".join([PREFIX, *(letters[at : at + 8] for at in range(0, len(letters), 8))])


def new_secret() -> str:
    """A random secret for a join code."""
    return secrets.token_hex(_SECRET_BYTES)


@about("code")
def parse(typed: str) -> JoinCode:
    """The join code that a person typed or pasted, however broken into lines. Raises BadJoinCode."""
    letters = re.sub(r"[\s-]", "", typed[: 2 * MAX_LENGTH]).lower()
    if not letters:
        raise BadJoinCode(_("Paste the join code that the centre shows under “Add a box”."))
    if not letters.startswith(PREFIX):
        if re.match("mb9k[0-9]", letters):
            raise BadJoinCode(_("This join code is of a newer centre; upgrade this box, then join."))
        raise BadJoinCode(
            _("This is no join code: one begins with {prefix}-. Copy it from the centre again.", prefix=PREFIX)
        )
    letters = letters.removeprefix(PREFIX)
    try:
        whole = base64.b32decode(letters.upper() + "=" * (-len(letters) % 8))
        content, check = whole[:-_CHECK_BYTES], whole[-_CHECK_BYTES:]
        if _letters(whole) != letters or len(content) <= _HEAD_BYTES or check != _check(content):
            raise ValueError("not whole")
        host = content[_HEAD_BYTES:].decode("ascii")
    except ValueError as error:  # also binascii.Error and UnicodeError
        raise BadJoinCode(
            _("This join code is mistyped or not whole; copy all of it from the centre again.")
        ) from error
    (port,) = struct.unpack(">H", content[_HEAD_BYTES - 2 : _HEAD_BYTES])
    secret = content[_FINGERPRINT_BYTES : _FINGERPRINT_BYTES + _SECRET_BYTES].hex()
    return JoinCode(host, port, content[:_FINGERPRINT_BYTES], secret)


def _letters(content: bytes) -> str:
    return base64.b32encode(content).decode().rstrip("=").lower()


def _check(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:_CHECK_BYTES]
