"""What the page may ask of root, and what root answers: one JSON line there, JSON lines back, the last an outcome."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

MAX_LINE_BYTES = 64_000
"""Of a line in either direction, with its end."""


class Asked(msgspec.Struct, frozen=True, tag_field="verb", forbid_unknown_fields=True):
    """A verb and its words. Whoever answers checks them as if an attacker had written them."""


class Restart(Asked, frozen=True, tag="restart"):
    """Restart the machine."""


class ShutDown(Asked, frozen=True, tag="shut_down"):
    """Shut the machine down."""


class Name(Asked, frozen=True, tag="name"):
    """Give the machine this name in the network: a label of RFC 1123, without a domain."""

    host: str


class TimeZone(Asked, frozen=True, tag="time_zone"):
    """Set the machine's time zone, by its name in the system's list: Europe/Berlin."""

    zone: str


class Ssh(Asked, frozen=True, tag="ssh"):
    """Let exactly these public keys in by ssh, as root, or nobody. keys: a line of an `authorized_keys` each."""

    on: bool
    keys: tuple[str, ...]


class FactoryReset(Asked, frozen=True, tag="factory_reset"):
    """Wipe what the box has recorded. confirmed: the machine's name, as a person has typed it."""

    confirmed: str


class JoinWifi(Asked, frozen=True, tag="wifi"):
    """Join this Wi-Fi, now and from now on. password: empty for an open one. country: two letters, or empty."""

    ssid: str
    password: str
    country: str = ""

    def __repr__(self) -> str:
        return f"JoinWifi({self.ssid!r})"  # whatever prints it, no password is in it


Request: TypeAlias = Restart | ShutDown | Name | TimeZone | Ssh | FactoryReset | JoinWifi


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
_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_answers: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


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
