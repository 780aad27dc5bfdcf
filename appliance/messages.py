"""The wire between a box and its centre: topics and payloads. Both import it; nobody types a topic twice.

Everything is JSON, compressed by zlib above COMPRESS_BYTES (RFC 1950: its first byte is never that of JSON). A newer
side may add fields, and columns at the end of a row: what is not known is not looked at.
"""

from __future__ import annotations

import enum
import re
import zlib
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from appliance.language import N_

ROOT = "mb9k"
SCHEMA = 1
COMPRESS_BYTES = 1000
MAX_BYTES = 65_536
"""Of a message on the wire; the broker of a centre refuses larger ones (max_packet_size)."""
MAX_PLAIN_BYTES = 1_000_000
"""Of what comes out of zlib: a small message must not fill the memory."""
MAX_ROWS = 240
MAX_EPOCHS = 500
"""Of one hello; a box that has more sends several."""
MAX_STREAMS = 500
BOX = r"[a-z0-9-]{1,40}"
_TOPIC = re.compile(rf"{ROOT}/({BOX})/([a-z]+)")

Epoch = Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
"""A random id of one start of a box: a sequence number never comes twice in it, whatever card is put back."""
Sequence = Annotated[int, Meta(ge=0, le=2**53)]
Count = Annotated[int, Meta(ge=-(10**6), le=10**6)]
Seconds = Annotated[int, Meta(ge=0, le=2**33)]
Words = Annotated[str, Meta(max_length=200)]
ShortWords = Annotated[str, Meta(max_length=80)]


NO_TOPIC = N_("there is no topic {topic}")
TOO_LARGE = N_("it has {count} bytes, more than {most}")
NOT_JSON = N_("it is neither JSON nor compressed by zlib")
CUT_OFF = N_("it is cut off, or too large when decompressed")
MALFORMED = (NO_TOPIC, TOO_LARGE, NOT_JSON, CUT_OFF)
"""What is wrong with a message, as far as it is for us to say."""


class Malformed(ValueError):
    """A message that cannot be read; says why, in words."""


class Kind(str, enum.Enum):
    """The last part of a topic: what a message is."""

    SUMS = "sums"
    HELLO = "hello"
    STATE = "state"
    OUTCOME = "outcome"
    RENEWAL = "renewal"
    WATERMARKS = "watermarks"
    COMMAND = "command"
    CERTIFICATE = "certificate"


FROM_BOX = (Kind.SUMS, Kind.HELLO, Kind.STATE, Kind.OUTCOME, Kind.RENEWAL)
TO_BOX = (Kind.WATERMARKS, Kind.COMMAND, Kind.CERTIFICATE)
RETAINED = (Kind.STATE, Kind.WATERMARKS)
"""Kept by the broker, so that whoever connects later has the newest."""


def topic(box: str, kind: Kind) -> str:
    """Where a message of this kind, from or to this box, is published."""
    return f"{ROOT}/{box}/{kind.value}"


def client_id(box: str, machine: str) -> str:
    """Under which client id a box connects, and by which the centre closes that connection. machine: as in its hello.

    Two boxes with a copy of one card have two of them, and so do not push each other out.
    """
    return f"{box}.{machine[:8]}"


def parse_topic(text: str) -> tuple[str, Kind]:
    """The box and the kind of a message. Raises Malformed."""
    match = _TOPIC.fullmatch(text)
    try:
        return (match[1], Kind(match[2])) if match else _unknown(text)
    except ValueError:
        return _unknown(text)


def _unknown(text: str) -> tuple[str, Kind]:
    raise Malformed(NO_TOPIC.format(topic=repr(text[:100])))


class Row(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What one stream counted in one minute, as far as one epoch knows: cumulative, so repeating it is harmless.

    stream: its number on the box, never given twice. minute: of the epoch, the key of the row; negative for what is
    older than the epoch. start_utc: when that minute began, seconds since 1970, corrected when the box learns the time.
    seq: of the row's last change. watched_s: how many of its seconds the stream was LIVE and judged.
    mask to unknown: persons by state; negative where a correction takes back what another epoch counted.
    verified: 0 while nothing had said that the box's clock is right.
    """

    stream: Annotated[int, Meta(ge=1, le=2**31)]
    minute: Annotated[int, Meta(ge=-(2**31), le=2**31)]
    start_utc: Seconds
    seq: Annotated[int, Meta(ge=1, le=2**53)]
    watched_s: Annotated[int, Meta(ge=0, le=86_400)] = 0
    mask: Count = 0
    no_mask: Count = 0
    incorrect: Count = 0
    unknown: Count = 0
    verified: Literal[0, 1] = 1


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one epoch. With a range: all rows of the epoch whose seq is in (after, upto]. Without: some, ahead of
    their turn, so that the newest minute need not wait for a backlog; they come again within a range.
    """

    v: int = SCHEMA
    epoch: Epoch
    rows: Annotated[list[Row], Meta(max_length=MAX_ROWS)]
    after: Sequence | None = None
    upto: Sequence | None = None


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """Who a box is and what it could tell; at every connection, and when its streams change.

    epoch: the newest. tops: of each epoch that the box still has, the highest seq; the centre answers with its
    watermarks, so that one that lost rows gets them again. Several messages (part of parts) where there are many.
    streams: names by number, without their owners; empty where the box keeps its names to itself.
    machine: a digest of the hardware, by which two boxes of one name are told apart.
    """

    v: int = SCHEMA
    epoch: Epoch
    tops: Annotated[dict[Epoch, Sequence], Meta(max_length=MAX_EPOCHS)]
    streams: Annotated[dict[str, ShortWords], Meta(max_length=MAX_STREAMS)] = {}
    part: Annotated[int, Meta(ge=1, le=1000)] = 1
    parts: Annotated[int, Meta(ge=1, le=1000)] = 1
    machine: Annotated[str, Meta(max_length=64)] = ""
    version: ShortWords = ""
    hardware: ShortWords = ""
    clock: Literal["believed", "unknown", "leapt"] = "unknown"
    sent_utc: Seconds = 0
    takes_commands: bool = True


class State(msgspec.Struct, frozen=True, kw_only=True):
    """How a box is: retained, each minute and at each change. The last will is `gone`; one whose epoch is not that of
    the newest hello means nothing.

    live: numbers of the streams that are LIVE. backlog: rows that no watermark has covered, but for the minute that is
    not over. problem: in words. update: how far one is that the centre asked for, in words; empty: there is none.
    """

    v: int = SCHEMA
    epoch: Epoch
    status: Literal["running", "stopped", "gone"]
    sent_utc: Seconds = 0
    live: Annotated[list[int], Meta(max_length=MAX_STREAMS)] = []
    backlog: Annotated[int, Meta(ge=0, le=2**53)] = 0
    disk_free_mb: Annotated[int, Meta(ge=0, le=2**40)] | None = None
    temperature_c: Annotated[float, Meta(ge=-100, le=200)] | None = None
    problem: Words = ""
    update: Words = ""


class Watermarks(msgspec.Struct, frozen=True, kw_only=True):
    """Up to which seq the centre has committed every row of these epochs. Only this frees what a box keeps to tell."""

    v: int = SCHEMA
    upto: dict[Epoch, Sequence]


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What a person at the centre asks a box to do. by: the person's name. detail: the service, or the stream's number.

    An update names where its bundle is (https) and its sha-256; its outcome comes when it has ended. A command is
    carried out once, before expires_utc by the box's clock, and only if the box takes commands, and updates.
    """

    v: int = SCHEMA
    id: Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
    action: Literal["restart", "send_again", "rotate_key", "identify", "update"]
    detail: Annotated[str, Meta(max_length=40)] = ""
    by: ShortWords
    given_utc: Seconds
    expires_utc: Seconds
    address: Annotated[str, Meta(max_length=500)] = ""
    sha256: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")] = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a command, in words; never a key."""

    v: int = SCHEMA
    id: Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
    done: bool
    words: Words
    at_utc: Seconds


class Renewal(msgspec.Struct, frozen=True, kw_only=True):
    """A box asks for a new certificate before the old one ends. request: a PKCS #10 signing request, PEM."""

    v: int = SCHEMA
    request: Annotated[str, Meta(max_length=4000)]


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a renewal. certificate, authority: PEM."""

    v: int = SCHEMA
    certificate: Annotated[str, Meta(max_length=8000)]
    authority: Annotated[str, Meta(max_length=8000)]


Message = Sums | Hello | State | Watermarks | Command | Outcome | Renewal | Certificate
SHAPES: dict[Kind, type[Message]] = {
    Kind.SUMS: Sums,
    Kind.HELLO: Hello,
    Kind.STATE: State,
    Kind.OUTCOME: Outcome,
    Kind.RENEWAL: Renewal,
    Kind.WATERMARKS: Watermarks,
    Kind.COMMAND: Command,
    Kind.CERTIFICATE: Certificate,
}
Shape = TypeVar("Shape", bound=Message)


def encode(message: Message) -> bytes:
    """A message as it goes over the wire."""
    plain = msgspec.json.encode(message)
    return zlib.compress(plain) if len(plain) > COMPRESS_BYTES else plain


def decode(payload: bytes, shape: type[Shape]) -> Shape:
    """A message that came. Raises Malformed, which says why."""
    if len(payload) > MAX_BYTES:
        raise Malformed(TOO_LARGE.format(count=len(payload), most=MAX_BYTES))
    if payload[:1] not in (b"{", b"["):
        payload = _decompressed(payload)
    try:
        return msgspec.json.decode(payload, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(str(error)) from error


def _decompressed(payload: bytes) -> bytes:
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(payload, MAX_PLAIN_BYTES)
    except zlib.error as error:
        raise Malformed(NOT_JSON) from error
    if not stream.eof:
        raise Malformed(CUT_OFF)
    return plain
