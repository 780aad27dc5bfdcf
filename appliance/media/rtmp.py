"""RTMP on the wire: messages cut into chunks, and back. No sockets here: bytes in, messages out.

Adobe, "Real Time Messaging Protocol 1.0", 2012; where encoders differ from it, a comment says which.

Ours, because the library that was tried (pyrtmp 0.3.1) reads extended timestamps of continued chunks wrongly,
so that a stream breaks after 4 h 40 min, leaves the end of AMF objects unread, and bounds no message.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from appliance.media.amf import encode

VERSION = 3
HANDSHAKE_BYTES = 1536
FIRST_CHUNK_BYTES = 128
OUR_CHUNK_BYTES = 4096
OUR_WINDOW_BYTES = 2_500_000
MAX_CHUNK_STREAMS = 32
WRAP_MS = 1 << 32

SET_CHUNK_SIZE, ABORT, ACKNOWLEDGEMENT, USER_CONTROL, WINDOW_SIZE, PEER_BANDWIDTH = 1, 2, 3, 4, 5, 6
AUDIO, VIDEO = 8, 9
COMMAND_AMF3, DATA, COMMAND = 17, 18, 20
STREAM_BEGIN, PING, PONG = 0, 6, 7
EXTENDED = 0xFFFFFF


class RtmpError(Exception):
    """The other side does not speak RTMP as we understand it, or wants too much. Never quotes what was sent."""


@dataclass(frozen=True, slots=True)
class Message:
    """One whole message. timestamp_ms: 32 bits, wraps after 49.7 days."""

    kind: int
    stream_id: int
    timestamp_ms: int
    payload: bytes


class _Header(NamedTuple):
    """A chunk's header. end: where it ends in the buffer. extended: the time, where 24 bits did not suffice."""

    end: int
    length: int
    kind: int
    stream_id: int
    time_field: int
    extended: int | None


@dataclass(slots=True)
class _ChunkStream:
    """What the last header of a chunk stream said; later headers leave out what stays the same."""

    timestamp_ms: int = 0
    step_ms: int = 0
    length: int = 0
    kind: int = 0
    stream_id: int = 0
    extended: int | None = None
    payload: bytearray = field(default_factory=bytearray)

    def begin(self, form: int, header: _Header) -> None:
        """A new message: form 0 carries its time, the others how much later it is than the last."""
        if form == 0:
            # What a repeated header adds to an absolute time is left open; nothing is what librtmp means by it.
            self.timestamp_ms, self.step_ms = header.time_field, 0
        else:
            self.step_ms = self.step_ms if form == 3 else header.time_field
            self.timestamp_ms = (self.timestamp_ms + self.step_ms) % WRAP_MS
        self.length, self.kind, self.stream_id, self.extended = (
            header.length, header.kind, header.stream_id, header.extended,
        )  # fmt: skip


class ChunkParser:
    """Puts chunks together again.

    largest_bytes bounds a message, and what unfinished messages hold together; messages_left, how many more may come.
    """

    def __init__(self, largest_bytes: int, messages_left: float = math.inf) -> None:
        self.largest_bytes = largest_bytes
        self.messages_left = messages_left
        self._chunk_bytes = FIRST_CHUNK_BYTES
        self._buffer = bytearray()
        self._streams: dict[int, _ChunkStream] = {}
        self._unfinished_bytes = 0

    def feed(self, data: bytes) -> list[Message]:
        """The messages that these bytes complete. Raises RtmpError; the connection is then of no more use."""
        self._buffer += data
        messages: list[Message] = []
        at, following = 0, self._chunk(0, messages)
        while following is not None:
            at, following = following, self._chunk(following, messages)
        del self._buffer[:at]
        return messages

    def _chunk(self, at: int, messages: list[Message]) -> int | None:
        """Take the chunk that begins at `at`; where the next one begins. None: it is not all here yet."""
        buffer = self._buffer
        if len(buffer) <= at:
            return None
        form, number = buffer[at] >> 6, buffer[at] & 0x3F
        at += 1
        if number < 2:  # 0: one byte more, 1: two bytes more
            width = number + 1
            if len(buffer) < at + width:
                return None
            number = 64 + int.from_bytes(buffer[at : at + width], "little")
            at += width
        stream = self._streams.get(number)
        if stream is None:
            if form > 1:  # librtmp may begin with form 1
                raise RtmpError("a chunk refers to one that never came")
            if len(self._streams) >= MAX_CHUNK_STREAMS:
                raise RtmpError("too many chunk streams")
            stream = _ChunkStream()
        header = self._header(at, form, stream)
        if header is None:
            return None
        count = min(self._chunk_bytes, header.length - len(stream.payload))
        end = header.end + count
        if len(buffer) < end:
            return None
        if not stream.payload:  # the first chunk of a message sets its time
            stream.begin(form, header)
            self._streams[number] = stream
        self._append(stream, buffer[header.end : end], messages)
        return end

    def _header(self, at: int, form: int, stream: _ChunkStream) -> _Header | None:
        """The header of a chunk; what it leaves out is as in the last one. None: it is not all here yet."""
        buffer = self._buffer
        end = at + (11, 7, 3, 0)[form]
        if len(buffer) < end:
            return None
        length, kind, stream_id = stream.length, stream.kind, stream.stream_id
        time_field, extended = 0, stream.extended if form == 3 else None
        if form < 3:
            if stream.payload:
                raise RtmpError("a message begins before the last one ended")
            time_field = int.from_bytes(buffer[at : at + 3], "big")
        if form < 2:
            length, kind = int.from_bytes(buffer[at + 3 : at + 6], "big"), buffer[at + 6]
        if form == 0:
            stream_id = int.from_bytes(buffer[at + 7 : at + 11], "little")
        if length > self.largest_bytes:
            raise RtmpError("a message is too long")
        if extended is not None or (form < 3 and time_field == EXTENDED):
            if len(buffer) < end + 4:
                return None
            long_field = int.from_bytes(buffer[end : end + 4], "big")
            # The specification is unclear whether a chunk without a header repeats the long time. FFmpeg and librtmp
            # repeat it, some do not: then these four bytes belong to the payload.
            if form < 3 or long_field == extended:
                time_field = extended = long_field
                end += 4
        return _Header(end, length, kind, stream_id, time_field, extended)

    def _append(self, stream: _ChunkStream, piece: bytearray, messages: list[Message]) -> None:
        stream.payload += piece
        self._unfinished_bytes += len(piece)
        if len(stream.payload) < stream.length:
            if self._unfinished_bytes > self.largest_bytes:
                raise RtmpError("too many unfinished messages")
            return
        self.messages_left -= 1
        if self.messages_left < 0:
            raise RtmpError("too many messages")
        self._unfinished_bytes -= len(stream.payload)
        message = Message(stream.kind, stream.stream_id, stream.timestamp_ms, bytes(stream.payload))
        stream.payload = bytearray()
        if message.kind == SET_CHUNK_SIZE:
            self._set_chunk_size(message.payload)
        elif message.kind == ABORT:
            self._abort(message.payload)
        else:
            messages.append(message)

    def _set_chunk_size(self, payload: bytes) -> None:
        size = int.from_bytes(payload[:4], "big")
        if len(payload) < 4 or not 1 <= size < 1 << 31:
            raise RtmpError("an impossible chunk size")
        self._chunk_bytes = size

    def _abort(self, payload: bytes) -> None:
        stream = self._streams.get(int.from_bytes(payload[:4], "big"))
        if stream is not None:
            self._unfinished_bytes -= len(stream.payload)
            stream.payload = bytearray()


def pack(kind: int, payload: bytes, chunk_stream: int, stream_id: int = 0) -> bytes:
    """A message as chunks of OUR_CHUNK_BYTES (tell the other side before the first that is longer than 128)."""
    header = bytes([chunk_stream, 0, 0, 0]) + len(payload).to_bytes(3, "big") + bytes([kind])
    parts = [payload[at : at + OUR_CHUNK_BYTES] for at in range(0, len(payload), OUR_CHUNK_BYTES)] or [b""]
    return header + struct.pack("<I", stream_id) + bytes([0xC0 | chunk_stream]).join(parts)


def control(kind: int, number: int, extra: bytes = b"") -> bytes:
    """A protocol control message with one 32-bit number."""
    return pack(kind, struct.pack(">I", number) + extra, 2)


def user_control(event: int, content: bytes) -> bytes:
    """A user control message: STREAM_BEGIN with the stream's number, PONG with what the ping said."""
    return pack(USER_CONTROL, struct.pack(">H", event) + content, 2)


def command(*values: Any, stream_id: int = 0) -> bytes:
    """A command."""
    return pack(COMMAND, encode(*values), 3, stream_id)


def status(level: str, code: str, description: str, stream_id: int) -> bytes:
    """The command onStatus: how it went, in words that encoders show to people."""
    return command("onStatus", 0, None, {"level": level, "code": code, "description": description}, stream_id=stream_id)
