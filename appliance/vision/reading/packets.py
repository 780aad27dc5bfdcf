"""Packets of a stream between the thread that reads them and the one that decodes them."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import av
from av.codec.context import Flags, ThreadType
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

WINDOW_S = 10.0  # delays of the network are compared over one to two of these
MAX_DELAY_S = 6.0  # what seems to come later than this has time stamps that began again
BEHIND_S = 2.0  # a packet that has waited for this long: on to the newest key frame
MAX_WAITING_S, MAX_WAITING_BYTES = 10.0, 16_000_000
OVERHEAD_BYTES = 1000  # of a packet, about
MAX_BATCH = 15  # packets; the rest waits where it can be dropped
KEYS_PAUSE_S = 0.35  # key frames that come more often than this wake nobody


@dataclass(frozen=True, eq=False, slots=True)
class Packet:
    """What is needed to decode one picture.

    decoder: of the connection it came by; nothing else decodes with it. number: one more than that of the packet before
    it; packets in between are lost. time_s: monotonic clock, utc: seconds since 1970: when the camera showed it.
    arrived_s: monotonic clock. key: decoding can begin with it. Without data (size 0) it is the end of a connection.
    """

    source: av.Packet[Any]
    decoder: VideoCodecContext
    number: int
    time_s: float
    utc: float
    arrived_s: float
    key: bool

    @property
    def size(self) -> int:
        """Bytes."""
        return self.source.size

    @property
    def held_bytes(self) -> int:
        """What keeping it takes, however small it is."""
        return self.source.size + OVERHEAD_BYTES


def decoder_of(video: VideoStream) -> VideoCodecContext | None:
    """The decoder of a stream: in one thread, and each frame knows its packet. None: FFmpeg has none."""
    decoder = video.codec_context
    if decoder:
        decoder.thread_type, decoder.thread_count = ThreadType.NONE, 1
        decoder.flags |= Flags.copy_opaque
    return decoder or None


class StreamClock:
    """When a camera showed what it sent, in seconds of our clock. Pure.

    The time stamps of a stream are right among themselves; between them and our clock lies the least delay of the last
    seconds. So what comes late and in a burst keeps its true distances, and clocks that drift apart are followed.

    tick_s: the unit of the time stamps.
    """

    def __init__(self, tick_s: float) -> None:
        self.tick_s = tick_s
        self._least_s: float | None = None  # of arrival minus time stamp, in this window
        self._least_before_s: float | None = None
        self._window_ends_s = 0.0
        self._last_dts: int | None = None
        self._last_pts: int | None = None
        self._late_s = 0.0  # between showing and arrival, of the last picture

    def shown_s(self, pts: int | None, dts: int | None, now_s: float) -> float:
        """When a picture that arrives at now_s was shown; never later than now_s.

        pts, dts: the time stamps at which it is to be shown and to be decoded; None: not known.
        """
        if pts is None or pts == self._last_pts:  # a time stamp that stands still tells nothing
            return now_s - self._late_s
        self._last_pts = pts
        if dts is not None:
            if self._last_dts is not None and dts < self._last_dts:
                self._restart()
            self._last_dts = dts
        offset_s = now_s - pts * self.tick_s
        if self._least_s is not None and offset_s - self._offset_s(self._least_s) > MAX_DELAY_S:
            self._restart()
        if self._least_s is None:
            self._least_s, self._window_ends_s = offset_s, now_s + WINDOW_S
        elif now_s >= self._window_ends_s:
            self._least_before_s, self._least_s = self._least_s, offset_s
            self._window_ends_s = now_s + WINDOW_S
        self._least_s = min(self._least_s, offset_s)
        self._late_s = offset_s - self._offset_s(self._least_s)
        return now_s - self._late_s

    def _offset_s(self, least_s: float) -> float:
        return least_s if self._least_before_s is None else min(least_s, self._least_before_s)

    def _restart(self) -> None:
        self._least_s = self._least_before_s = None


@dataclass(eq=False)
class PacketQueue:
    """Packets that wait for the analysis: few, in order, and never from the middle of a broken picture.

    dropped_s: of the stream, in all, that was passed over because nobody took it in time.
    """

    dropped_s: float = 0.0
    _waiting: deque[Packet] = field(default_factory=deque)
    _bytes: int = 0
    _broken: bool = False  # what was dropped reaches up to the next key frame
    _keys_only: bool = False
    _taking: bool = False
    _woken_by_s: float = 0.0  # time of the last key frame that woke somebody
    _nudged: bool = False
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def put(self, packet: Packet) -> None:
        """Let it wait. It may be dropped, with what it refers to."""
        with self._changed:
            if self._broken and not packet.key:
                return
            self._broken = False
            self._waiting.append(packet)
            self._bytes += packet.held_bytes
            if not self._taking:
                self._shorten(packet.arrived_s)
            if self._wakes(packet):
                self._nudged = True
                self._changed.notify_all()

    def take(self, patience_s: float, keys_only: bool) -> list[Packet]:
        """What has come, oldest first; empty: nothing came within patience_s.

        keys_only: it need not be at once; only a key frame or the end of patience wakes whoever waits here.
        """
        with self._changed:
            self._keys_only = keys_only
            if keys_only or not self._waiting:
                self._taking = True
                self._changed.wait_for(lambda: self._nudged, patience_s)
                self._taking = False
            self._nudged = False
            count = len(self._waiting) if keys_only else min(MAX_BATCH, len(self._waiting))
            taken = [self._waiting.popleft() for _ in range(count)]
            self._bytes -= sum(packet.held_bytes for packet in taken)
            return taken

    def nudge(self) -> None:
        """Wake whoever waits in `take`, or who next would."""
        with self._changed:
            self._nudged = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Drop everything; it goes on with the next key frame."""
        with self._changed:
            self._drop(len(self._waiting))
            self._broken = True

    def _wakes(self, packet: Packet) -> bool:
        if not self._keys_only or not packet.size:
            return True
        if packet.key and not 0 <= packet.time_s - self._woken_by_s < KEYS_PAUSE_S:
            self._woken_by_s = packet.time_s
            return True
        return self._bytes > MAX_WAITING_BYTES / 2

    def _shorten(self, now_s: float) -> None:
        waited_s = now_s - self._waiting[0].arrived_s
        if waited_s <= BEHIND_S and self._bytes <= MAX_WAITING_BYTES:
            return
        keys = [index for index, packet in enumerate(self._waiting) if packet.key and index]
        if keys:
            self._drop(keys[-1])
        if waited_s > MAX_WAITING_S or self._bytes > MAX_WAITING_BYTES:
            self._drop(len(self._waiting))
            self._broken = True

    def _drop(self, count: int) -> None:
        if count:
            last = self._waiting[count] if count < len(self._waiting) else self._waiting[-1]
            self.dropped_s += max(0.0, last.time_s - self._waiting[0].time_s)
        for _ in range(count):
            self._bytes -= self._waiting.popleft().held_bytes
