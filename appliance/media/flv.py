"""What a reader of a live stream needs: FLV tags, the headers first, then from the last key frame on.

FLV: Adobe, "Video File Format Specification 10.1", annex E; HEVC in it: Veovera, "Enhanced RTMP v1".
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from dataclasses import dataclass

from appliance.media.rtmp import AUDIO, DATA, VIDEO, WRAP_MS, Message

MAX_GROUP_BYTES = 8_000_000  # from one key frame to the next
MAX_READER_BYTES = 4_000_000  # beyond this a reader misses frames; the first group of pictures comes on top
MAX_HEADER_BYTES = 65_536  # of metadata, too; a decoder's header is some hundred bytes
# What Python holds for each tag beside its payload (two objects, a number, the place in a list): without it, four
# million tags of one byte would count as 4 MB and hold 185.
TAG_BYTES = 200
# A publisher that is silent for 5 s is closed, so a longer step is no time that passed but a clock that was set.
MAX_STEP_MS = 10_000

SET_DATA_FRAME = b"\x02\x00\x0d@setDataFrame"
ON_METADATA = b"\x02\x00\x0aonMetaData"
_ENHANCED = 0x80  # FourCC instead of a codec number (video)
_KEY_FRAME, _INFO_FRAME = 1, 5
_AVC, _HEVC, _AAC, _ENHANCED_AUDIO = 7, 12, 10, 9


@dataclass(frozen=True, slots=True)
class Tag:
    """One piece of a stream. time_ms: since the stream began; does not wrap.

    header: says how to decode what follows, and shows nothing itself. key: decoding can begin here.
    """

    kind: int
    time_ms: int
    payload: bytes
    header: bool
    key: bool

    def bytes_at(self, time_ms: int) -> bytes:
        """As FLV, with its size behind it."""
        moment = struct.pack(">I", time_ms & 0xFFFFFFFF)
        head = bytes([self.kind]) + len(self.payload).to_bytes(3, "big") + moment[1:] + moment[:1] + bytes(3)
        return head + self.payload + struct.pack(">I", 11 + len(self.payload))


def file_header(has_audio: bool, has_video: bool) -> bytes:
    """How an FLV file begins. A player waits for every kind announced here, so it must be true."""
    return b"FLV\x01" + bytes([4 * has_audio + has_video]) + struct.pack(">II", 9, 0)


def _is_header(kind: int, payload: bytes) -> bool:
    first, second = payload[0], payload[1] if len(payload) > 1 else 255
    if kind == VIDEO:
        return first & 0x0F == 0 if first & _ENHANCED else first & 0x0F in (_AVC, _HEVC) and second == 0
    if kind == AUDIO:
        return (first >> 4 == _AAC and second == 0) or (first >> 4 == _ENHANCED_AUDIO and first & 0x0F == 0)
    return True


def _is_key(kind: int, payload: bytes) -> bool:
    first, second = payload[0], payload[1] if len(payload) > 1 else 255
    if kind != VIDEO or first >> 4 & 7 != _KEY_FRAME:
        return False
    if first & _ENHANCED:
        return first & 0x0F in (1, 3)  # coded frames, with and without a composition time
    return second == 1 or first & 0x0F not in (_AVC, _HEVC)


class Reader:
    """One reader's queue: bounded; one that is too slow misses frames up to the next key frame."""

    def __init__(self, begun_ms: int, beginning: bytes) -> None:
        self.waits_for_key = False
        self._begun_ms = begun_ms
        self._queue: deque[bytes] = deque([beginning])
        self._waiting_bytes = 0
        self._changed = asyncio.Event()
        self._ended = False

    def put(self, tag: Tag) -> None:
        """Add a tag, or leave it out; never waits."""
        if self._waiting_bytes > MAX_READER_BYTES and not tag.header:
            self.waits_for_key = True
            return
        if tag.key:
            self.waits_for_key = False
        if self.waits_for_key and not tag.header:
            return
        self.add(tag)

    def add(self, tag: Tag) -> None:
        """Add a tag, whatever waits already. Its time is counted from this reader's first picture."""
        if self._waiting_bytes > MAX_READER_BYTES + MAX_GROUP_BYTES:
            self._ended = True  # headers alone have filled it: no encoder does that
        if not self._ended:
            content = tag.bytes_at(max(0, tag.time_ms - self._begun_ms))
            self._queue.append(content)
            self._waiting_bytes += TAG_BYTES + len(content)
        self._changed.set()

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._changed.set()

    async def get(self) -> bytes | None:
        """All that is there, as soon as there is any; None at the end."""
        while not self._queue:
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        content = b"".join(self._queue)
        self._queue.clear()
        self._waiting_bytes = 0
        return content


class LiveStream:
    """What one publisher sends, for those who read it."""

    def __init__(self) -> None:
        self._kinds: set[int] = set()
        self._headers: dict[int, Tag] = {}
        self._group: list[Tag] = []  # since the last key frame
        self._group_bytes = 0
        self._readers: set[Reader] = set()
        self._last_timestamp_ms: int | None = None
        self._time_ms = 0

    @property
    def has_media(self) -> bool:
        """Whether anything to see or hear has come yet."""
        return bool(self._kinds)

    def take(self, message: Message) -> None:
        """Pass sound, pictures or what is said about them on; what is empty, unknown or too long is left out."""
        kind, payload = message.kind, message.payload
        if kind == DATA:
            payload = payload.removeprefix(SET_DATA_FRAME)
            if not payload.startswith(ON_METADATA):
                return
        elif not payload or (kind == VIDEO and payload[0] >> 4 & 7 == _INFO_FRAME):
            return
        is_header = _is_header(kind, payload)
        if is_header and len(payload) > MAX_HEADER_BYTES:
            return
        if kind != DATA:
            self._kinds.add(kind)
        time_ms = self._since_begin(message.timestamp_ms)
        tag = Tag(kind, time_ms, payload, is_header, _is_key(kind, payload))
        self._remember(tag)
        for reader in self._readers:
            if VIDEO not in self._kinds:
                reader.waits_for_key = False  # sound alone has no key frames
            reader.put(tag)

    def _since_begin(self, timestamp_ms: int) -> int:
        """The time since the stream began, across the 32-bit wrap and across a clock that was set."""
        if self._last_timestamp_ms is not None:
            step_ms = (timestamp_ms - self._last_timestamp_ms + WRAP_MS // 2) % WRAP_MS - WRAP_MS // 2
            if abs(step_ms) <= MAX_STEP_MS:
                self._time_ms += step_ms
        self._last_timestamp_ms = timestamp_ms
        return self._time_ms

    def _remember(self, tag: Tag) -> None:
        """Keep what a newcomer needs: headers, and all since the last key frame, if that is not too much."""
        if tag.header:
            before = self._headers.get(tag.kind)
            self._headers[tag.kind] = tag
            if tag.kind == VIDEO and (before is None or before.payload != tag.payload):
                self._group, self._group_bytes = [], 0  # the new header does not decode it
            return
        if tag.key:
            self._group, self._group_bytes = [], 0
        elif not self._group:
            return  # nobody could begin here
        self._group.append(tag)
        self._group_bytes += TAG_BYTES + len(tag.payload)
        if self._group_bytes > MAX_GROUP_BYTES:
            self._group, self._group_bytes = [], 0

    def join(self) -> Reader:
        """A new reader: it gets the headers, then all since the last key frame.

        Where that was too much to keep, it gets what comes from now on, and sees the next key frame when that comes:
        meanwhile it knows that the stream lives.
        """
        begun_ms = self._group[0].time_ms if self._group else self._time_ms
        reader = Reader(begun_ms, file_header(AUDIO in self._kinds, VIDEO in self._kinds))
        for kind in (DATA, VIDEO, AUDIO):
            if kind in self._headers:
                reader.add(self._headers[kind])
        for tag in self._group:
            reader.add(tag)
        self._readers.add(reader)
        return reader

    def leave(self, reader: Reader) -> None:
        """A reader has gone."""
        self._readers.discard(reader)

    def end(self) -> None:
        """The publisher has gone, and with it every reader."""
        for reader in self._readers:
            reader.end()
