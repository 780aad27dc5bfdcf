"""RTMP's lower half: handshake, chunks, messages (Adobe, "Real Time Messaging Protocol 1.0", 2012).

Ours, because the kept library that was tried (pyrtmp 0.3.1) reads extended timestamps of continued chunks wrongly,
so that a stream breaks after 4 h 40 min, leaves the end of AMF objects unread, and bounds no message.
"""

from __future__ import annotations

import asyncio
import os
import struct
from dataclasses import dataclass, field

VERSION = 3
HANDSHAKE_BYTES = 1536
SET_CHUNK_SIZE, ABORT, ACKNOWLEDGEMENT, USER_CONTROL, WINDOW_SIZE, PEER_BANDWIDTH = 1, 2, 3, 4, 5, 6
AUDIO, VIDEO, DATA, COMMAND = 8, 9, 18, 20
EXTENDED = 0xFFFFFF
OUR_CHUNK_BYTES = 4096
OUR_WINDOW_BYTES = 2_500_000

MAX_MESSAGE_BYTES = 8_000_000  # a key frame of 4K video is about 2 MB
MAX_CHUNK_BYTES = 0xFFFFFF
MAX_CHUNK_STREAMS = 64


class RtmpError(Exception):
    """The other side does not speak RTMP, or sends more than it may."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message. timestamp_ms: modulo 2**32."""

    kind: int
    timestamp_ms: int
    stream_id: int
    payload: bytes


@dataclass(slots=True)
class _ChunkStream:
    """What the next chunk of this chunk stream may leave out."""

    timestamp_ms: int = 0
    delta_ms: int = 0
    length: int = 0
    kind: int = 0
    stream_id: int = 0
    extended: int | None = None
    partial: bytearray = field(default_factory=bytearray)


async def shake_hands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The plain handshake, as the server. Raises RtmpError, asyncio.IncompleteReadError, OSError."""
    version = (await reader.readexactly(1))[0]
    if version != VERSION:
        raise RtmpError("not RTMP")
    theirs = await reader.readexactly(HANDSHAKE_BYTES)
    writer.write(bytes([VERSION]) + bytes(8) + os.urandom(HANDSHAKE_BYTES - 8) + theirs)
    await writer.drain()
    await reader.readexactly(HANDSHAKE_BYTES)


class MessageReader:
    """Puts chunks together to messages. Memory is bounded by MAX_MESSAGE_BYTES in all partial messages together."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self.reader = reader
        self.chunk_bytes = 128
        self.bytes_read = 0
        self._streams: dict[int, _ChunkStream] = {}

    async def next(self) -> Message:
        """The next message; chunk sizes and aborts are dealt with here. Raises RtmpError, IncompleteReadError."""
        while True:
            message = await self._chunk()
            if message is None:
                continue
            if message.kind == SET_CHUNK_SIZE:
                self.chunk_bytes = min(max(1, _number(message.payload) & 0x7FFFFFFF), MAX_CHUNK_BYTES)
            elif message.kind == ABORT:
                aborted = self._streams.get(_number(message.payload))
                if aborted is not None:
                    aborted.partial.clear()
            else:
                return message

    async def _read(self, count: int) -> bytes:
        self.bytes_read += count
        return await self.reader.readexactly(count)

    async def _chunk(self) -> Message | None:
        """Read one chunk; the message that it completes, if it does."""
        stream, surplus = await self._header()
        waiting = sum(len(other.partial) for other in self._streams.values())
        if stream.length - len(stream.partial) + waiting > MAX_MESSAGE_BYTES:
            raise RtmpError("a message is too long")
        want = min(self.chunk_bytes, stream.length - len(stream.partial))
        stream.partial += surplus[:want]
        stream.partial += await self._read(max(0, want - len(surplus)))
        if len(stream.partial) < stream.length:
            return None
        payload = bytes(stream.partial)
        stream.partial.clear()
        return Message(stream.kind, stream.timestamp_ms, stream.stream_id, payload)

    async def _header(self) -> tuple[_ChunkStream, bytes]:
        """Read a chunk's header into its chunk stream; and bytes that were read but belong to its payload."""
        first = (await self._read(1))[0]
        shape, number = first >> 6, first & 63
        if number == 0:
            number = 64 + (await self._read(1))[0]
        elif number == 1:
            low, high = await self._read(2)
            number = 64 + low + 256 * high
        stream = self._streams.get(number)
        if stream is None:
            if shape != 0 and not (shape == 1 and number == 2):
                raise RtmpError("a chunk refers to one that never came")
            if len(self._streams) >= MAX_CHUNK_STREAMS:
                raise RtmpError("too many chunk streams")
            stream = self._streams[number] = _ChunkStream()
        begins = not stream.partial
        if shape == 3:
            surplus = await self._extended_again(stream)
            if begins:
                stream.timestamp_ms = (stream.timestamp_ms + stream.delta_ms) & 0xFFFFFFFF
            return stream, surplus
        if not begins:
            raise RtmpError("a message begins before the last one ended")
        await self._new_header(stream, shape)
        return stream, b""

    async def _new_header(self, stream: _ChunkStream, shape: int) -> None:
        header = await self._read((11, 7, 3)[shape])
        moment = int.from_bytes(header[:3], "big")
        if shape <= 1:
            stream.length, stream.kind = int.from_bytes(header[3:6], "big"), header[6]
        if shape == 0:
            (stream.stream_id,) = struct.unpack("<I", header[7:11])
        stream.extended = None
        if moment == EXTENDED:
            moment = stream.extended = _number(await self._read(4))
        if shape == 0:
            stream.timestamp_ms, stream.delta_ms = moment, 0
        else:
            stream.timestamp_ms = (stream.timestamp_ms + moment) & 0xFFFFFFFF
            stream.delta_ms = moment

    async def _extended_again(self, stream: _ChunkStream) -> bytes:
        """Continued chunks repeat an extended timestamp, says the specification; some senders leave it out."""
        if stream.extended is None:
            return b""
        again = await self._read(4)
        return b"" if _number(again) == stream.extended else again


def pack(kind: int, payload: bytes, chunk_stream: int, stream_id: int = 0) -> bytes:
    """A message as chunks of OUR_CHUNK_BYTES (tell the other side before the first that is longer than 128)."""
    header = struct.pack(">B", chunk_stream) + bytes(3) + len(payload).to_bytes(3, "big") + bytes([kind])
    parts = [payload[at : at + OUR_CHUNK_BYTES] for at in range(0, len(payload), OUR_CHUNK_BYTES)] or [b""]
    return header + struct.pack("<I", stream_id) + bytes([0xC0 | chunk_stream]).join(parts)


def control(kind: int, number: int, extra: bytes = b"") -> bytes:
    """A protocol control message with one 32-bit number."""
    return pack(kind, struct.pack(">I", number) + extra, 2)


def _number(four: bytes) -> int:
    return int.from_bytes(four[:4], "big")
