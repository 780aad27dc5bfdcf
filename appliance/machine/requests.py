"""What the page may ask of root, and what root answers: one JSON line there, JSON lines back, the last an outcome."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

MAX_LINE_BYTES = 64_000
"""Of a line in either direction, with its end."""


class Restart(msgspec.Struct, frozen=True, tag_field="verb", tag="restart", forbid_unknown_fields=True):
    """Restart the machine."""


class Update(msgspec.Struct, frozen=True, tag_field="verb", tag="update", forbid_unknown_fields=True):
    """Let another release run. file: a signed bundle in the folder of uploads; empty: back to the release before."""

    file: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{16}\.bundle)?$")] = ""


Request: TypeAlias = Restart | Update


class Said(msgspec.Struct, frozen=True, tag_field="answer", tag="said"):
    """How far it is. words: a sentence."""

    words: str


class Done(msgspec.Struct, frozen=True, tag_field="answer", tag="done"):
    """It is done, or happens as soon as the page has answered. words: a sentence that says which."""

    words: str


class Refused(msgspec.Struct, frozen=True, tag_field="answer", tag="refused"):
    """It was not done. words: a sentence that says why. because: `input`: of what was asked; `machine`: of the rest."""

    words: str
    because: Literal["input", "machine"] = "machine"


Answer: TypeAlias = Said | Done | Refused
_encoder = msgspec.json.Encoder()
_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Restart | Update)
_answers: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Said | Done | Refused)


def verb_of(request: Request) -> str:
    """The word by which machine.may names it."""
    return str(type(request).__struct_config__.tag)


def as_line(message: Request | Answer) -> bytes:
    """A message as it is sent."""
    return _encoder.encode(message) + b"\n"


def request_in(line: bytes) -> Request:
    """What is asked. Raises msgspec.DecodeError."""
    return _requests.decode(line)


def answer_in(line: bytes) -> Answer:
    """What is answered. Raises msgspec.DecodeError."""
    return _answers.decode(line)
