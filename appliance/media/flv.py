"""What a reader of a live stream needs: FLV tags, the headers first, then from the last key frame on.

FLV: Adobe, "Video File Format Specification 10.1", annex E; HEVC in it: Veovera, "Enhanced RTMP v1".
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque

from appliance.media.rtmp import AUDIO, DATA, VIDEO, Message

HEADER = b"FLV\x01\x05" + struct.pack(">II", 9, 0)
MAX_GROUP_BYTES = 8_000_000  # from one key frame to the next
MAX_READER_BYTES = 8_000_000
SET_DATA_FRAME = b"\x02\x00\x0d@setDataFrame"


def tag(message: Message, begun_ms: int) -> bytes:
    """The message as an FLV tag, at a time since the stream began."""
    moment = (message.timestamp_ms - begun_ms) & 0xFFFFFFFF
    payload = message.payload.removeprefix(SET_DATA_FRAME) if message.kind == DATA else message.payload
    head = struct.pack(">B", message.kind) + len(payload).to_bytes(3, "big") + (moment & 0xFFFFFF).to_bytes(3, "big")
    return head + bytes([moment >> 24, 0, 0, 0]) + payload + struct.pack(">I", 11 + len(payload))


def is_key_frame(message: Message) -> bool:
    """Whether a decoder can begin here."""
    return message.kind == VIDEO and bool(message.payload) and message.payload[0] >> 4 & 7 == 1


def is_header(message: Message) -> bool:
    """Whether it tells how to decode (AVC, HEVC and AAC sequence headers), and shows nothing itself."""
    if len(message.payload) < 2:
        return False
    first, second = message.payload[0], message.payload[1]
    if message.kind == VIDEO:
        return first & 0x0F == 0 if first & 0x80 else first & 0x0F in (7, 12) and second == 0
    return message.kind == AUDIO and first >> 4 == 10 and second == 0


class Reader:
    """One reader's queue: bounded; one that is too slow misses frames up to the next key frame."""

    def __init__(self) -> None:
        self._tags: deque[bytes] = deque()
        self._bytes = 0
        self._skipping = False
        self._changed = asyncio.Event()
        self._ended = False

    def put(self, content: bytes, key_frame: bool, header: bool) -> None:
        """Add a tag."""
        if self._bytes + len(content) > MAX_READER_BYTES:
            self._tags.clear()
            self._bytes, self._skipping = 0, True
        if self._skipping and not (key_frame or header):
            return
        self._skipping = self._skipping and not key_frame
        self._tags.append(content)
        self._bytes += len(content)
        self._changed.set()

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._changed.set()

    async def get(self) -> bytes | None:
        """All that is there, as soon as there is any; None at the end."""
        while not self._tags:
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        content = b"".join(self._tags)
        self._tags.clear()
        self._bytes = 0
        return content


class LiveStream:
    """What one publisher sends, for those who read it."""

    def __init__(self) -> None:
        self._begun_ms: int | None = None
        self._headers: dict[int, bytes] = {}  # by kind of message
        self._group: list[bytes] = []  # since the last key frame
        self._group_bytes = 0
        self._readers: set[Reader] = set()

    @property
    def has_media(self) -> bool:
        """Whether anything to see or hear has come yet."""
        return self._begun_ms is not None

    def take(self, message: Message) -> None:
        """Pass a message on."""
        if message.kind == DATA:
            self._headers[DATA] = tag(message, message.timestamp_ms)
            return
        if self._begun_ms is None:
            self._begun_ms = message.timestamp_ms
        content = tag(message, self._begun_ms)
        header, key_frame = is_header(message), is_key_frame(message)
        if header:
            self._headers[message.kind] = content
        else:
            self._remember(content, key_frame)
        for reader in self._readers:
            reader.put(content, key_frame, header)

    def _remember(self, content: bytes, key_frame: bool) -> None:
        if key_frame:
            self._group, self._group_bytes = [], 0
        elif not self._group:
            return  # nobody could begin here
        self._group_bytes += len(content)
        if self._group_bytes > MAX_GROUP_BYTES:
            self._group, self._group_bytes = [], 0
        else:
            self._group.append(content)

    def join(self) -> Reader:
        """A new reader: it gets the headers, then all since the last key frame."""
        reader = Reader()
        reader.put(HEADER, key_frame=False, header=True)
        for kind in (DATA, VIDEO, AUDIO):
            if kind in self._headers:
                reader.put(self._headers[kind], key_frame=False, header=True)
        for content in self._group:
            reader.put(content, key_frame=False, header=False)
        self._readers.add(reader)
        return reader

    def leave(self, reader: Reader) -> None:
        """A reader has gone."""
        self._readers.discard(reader)

    def end(self) -> None:
        """The publisher has gone, and with it every reader."""
        for reader in self._readers:
            reader.end()
