"""A camera: the packets of a video, each with the time when it was shown, until stopped.

One thread reads; whoever decodes takes the packets in another. What nobody takes in time is dropped up to the newest
key frame, so a slow analysis never makes the picture old.
"""

from __future__ import annotations

import errno
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import av
import av.error
from av.video.codeccontext import VideoCodecContext

from appliance.vision.frame import Frame
from appliance.vision.reading.condition import PULLED, PUSHED, Condition, Obstacle
from appliance.vision.reading.packets import Packet, PacketQueue, StreamClock, decoder_of
from appliance.vision.reading.reach import NoAnswer, Reach, SourceRefused
from appliance.vision.reading.source import Source, Transport, opened

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
STALL_S = 5.0  # nothing came for this long: connect again
MAX_PIXELS = 8192 * 8192
MAX_PACE_S = 2.0  # time stamps of a file that ask for a longer wait are broken
STALL_TOLERANCE = 0.9  # of stall_s: FFmpeg's clock and ours differ

_OBSTACLE_OF_ERRNO = {
    errno.ECONNREFUSED: Obstacle.PORT_CLOSED,
    errno.EHOSTUNREACH: Obstacle.NO_ROUTE,
    errno.ENETUNREACH: Obstacle.NO_ROUTE,
    errno.ENETDOWN: Obstacle.NO_ROUTE,
    errno.EPROTONOSUPPORT: Obstacle.NO_TRANSPORT,
    errno.EACCES: Obstacle.NO_PERMISSION,
    errno.EPERM: Obstacle.NO_PERMISSION,
}
# What a camera may answer that takes the other way only: some say so, some say nonsense, some nothing.
_MAY_BE_THE_TRANSPORT = {Obstacle.NO_TRANSPORT, Obstacle.SILENT, Obstacle.NOT_VIDEO, Obstacle.UNREADABLE}


class Camera:
    """Reads a URL (rtsp, http, rtmp), a file (looped, at its own speed) or a device (/dev/video0).

    reach: where the URL may lead; None: it is our own ingest's, typed by nobody.
    transport: how an RTSP camera is asked to send, which has_transports; where nothing comes of it, the other is tried.
    """

    def __init__(
        self,
        url: str,
        reach: Reach | None,
        stall_s: float = STALL_S,
        transport: Transport = "tcp",
    ) -> None:
        self.condition = Condition(PUSHED if reach is None else PULLED, time.monotonic())
        self.transport: Transport = transport
        self.width = self.height = 0
        self._url, self._reach = url, reach
        self.has_transports = reach is not None and url.startswith("rtsp://")
        self._stall_s = stall_s
        self._told: Obstacle | None = None
        self._unusable: Obstacle | None = None  # what the analysis found
        self._queue = PacketQueue()
        self._number = 0  # of the next packet
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)

    @property
    def problem(self) -> str | None:
        """Why there is no picture, for a person to read and without the address; None: there is one."""
        return self.condition.problem(time.monotonic())

    @property
    def is_live(self) -> bool:
        """Whether anything useful came in the last seconds."""
        return self.condition.is_live(time.monotonic())

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the reading thread to end. It may sit in FFmpeg until a timeout, and holds nobody up."""
        self._stopping.set()
        self._queue.nudge()

    def is_alive(self) -> bool:
        """Whether the reading thread still runs."""
        return self._thread.is_alive()

    def packets(self, patience_s: float = 1.0, keys_only: bool = False) -> list[Packet]:
        """What has come since, in order; empty: nothing within patience_s. What nobody takes in time is dropped.

        keys_only: it need not be at once; a key frame wakes, or the end of patience.
        """
        return [] if self._stopping.is_set() else self._queue.take(patience_s, keys_only)

    def nudge(self) -> None:
        """Let `packets` return at once."""
        self._queue.nudge()

    @property
    def dropped_s(self) -> float:
        """How much of the stream was passed over because nobody took it in time, in all."""
        return self._queue.dropped_s

    def decoded(self, frame: Frame) -> bool:
        """A picture was decoded. Whether it may be looked at: one that is too large ends the connection."""
        if frame.width * frame.height > MAX_PIXELS:
            self._unusable = Obstacle.TOO_LARGE
            self._queue.clear()
            return False
        self.width, self.height = frame.width, frame.height
        self.kept_undecoded()
        return True

    def kept_undecoded(self) -> None:
        """A key frame came that need not be decoded, because a smaller stream is watched: as good as a picture."""
        self.condition.frame(time.monotonic())
        self._told = None

    def _run(self) -> None:
        pause_s, other_tried = FIRST_PAUSE_S, False
        while not self._stopping.is_set():
            begun_s, self._unusable = time.monotonic(), None
            self.condition.begin()
            try:
                self._read()
                obstacle, kind = Obstacle.ENDED, ""
            except Exception as error:
                # Errors of FFmpeg quote the address, and with it the stream key: only their kind is shown, and no
                # traceback may reach the log.
                obstacle = self._explain(error)
                kind = str(error) if isinstance(error, SourceRefused) else type(error).__name__
            frame_s = self.condition.last_frame_s
            if obstacle is Obstacle.ENDED and self._is_file() and frame_s is not None and frame_s >= begun_s:
                pause_s = FIRST_PAUSE_S
                continue  # a file is played in a loop
            if frame_s is not None and frame_s > begun_s + 1:
                pause_s = FIRST_PAUSE_S
            if self._may_come_by_the_other(obstacle):
                self.transport, other_tried = ("udp" if self.transport == "tcp" else "tcp"), not other_tried
                if other_tried and obstacle is Obstacle.NO_TRANSPORT:
                    continue
            self._fail(obstacle, kind)
            self._stopping.wait(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)

    def _may_come_by_the_other(self, obstacle: Obstacle) -> bool:
        """Whether the other transport may do better than the one that came to this."""
        return self.has_transports and obstacle in _MAY_BE_THE_TRANSPORT and not self.condition.flows

    def _fail(self, obstacle: Obstacle, kind: str) -> None:
        self.condition.failed(obstacle, kind)
        if obstacle is not self._told and not self._stopping.is_set():
            log.info("%s", self.problem)
        self._told = obstacle

    def _explain(self, error: Exception) -> Obstacle:
        """What an error means."""
        if isinstance(error, _Unusable):
            return error.obstacle
        if isinstance(error, SourceRefused):
            return Obstacle.FORBIDDEN
        if isinstance(error, (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)):
            return Obstacle.WRONG_LOGIN
        if isinstance(error, (FileNotFoundError, av.error.HTTPNotFoundError)):
            return Obstacle.NOT_THERE
        timed_out = isinstance(error, (av.error.ExitError, TimeoutError))
        if self.condition.flows:  # FFmpeg calls the end of an HTTP stream an input/output error
            return Obstacle.SILENT if timed_out else Obstacle.ENDED
        if isinstance(error, socket.gaierror):
            return Obstacle.NO_NAME
        if timed_out:
            return Obstacle.NO_ANSWER if isinstance(error, NoAnswer) else Obstacle.SILENT
        if isinstance(error, OSError):
            return _OBSTACLE_OF_ERRNO.get(error.errno or 0, Obstacle.UNREADABLE)
        return Obstacle.NOT_VIDEO

    def _read(self) -> None:
        """Read until the video ends or fails. Raises what FFmpeg raises, or _Unusable."""
        with self._open() as container:
            if not container.streams.video:
                raise _Unusable(Obstacle.SOUND_ONLY if container.streams.audio else Obstacle.NOT_VIDEO)
            video = container.streams.video[0]
            decoder = decoder_of(video)
            self.condition.opened(decoder.name if decoder else "")
            pace, clock = _Pace() if self._is_file() else None, StreamClock(float(video.time_base or 0))
            # Sound is read, too (and dropped): while anything comes, the key frame may yet come.
            for packet in self._packets(container):
                if self._unusable is not None:
                    raise _Unusable(self._unusable)
                is_picture = packet.stream_index == video.index
                if pace and is_picture and packet.dts is not None:
                    self._stopping.wait(pace.wait_s(packet.dts * clock.tick_s))
                if self._stopping.is_set():
                    return
                now_s = time.monotonic()
                if not is_picture:
                    self.condition.data(now_s)
                    continue
                if packet.size:
                    pts_s = None if packet.pts is None else packet.pts * clock.tick_s
                    self.condition.packet(packet.is_keyframe, pts_s, now_s)
                if decoder:
                    self._put(packet, decoder, clock, now_s)

    def _put(self, packet: av.Packet[Any], decoder: VideoCodecContext, clock: StreamClock, now_s: float) -> None:
        shown_s = clock.shown_s(packet.pts, packet.dts, now_s)
        utc = time.time() - (now_s - shown_s)
        self._queue.put(Packet(packet, decoder, self._number, shown_s, utc, now_s, packet.is_keyframe))
        self._number += 1

    def _packets(self, container: Any) -> Iterator[av.Packet[Any]]:
        """What comes, while it comes. Raises what FFmpeg raises, or _Unusable."""
        asked_s = time.monotonic()
        for packet in container.demux():
            # After an error FFmpeg first gives out what its parser still held, which is no life.
            if not self._is_file() and time.monotonic() - asked_s >= self._stall_s * STALL_TOLERANCE:
                raise _Unusable(Obstacle.SILENT)
            yield packet
            asked_s = time.monotonic()

    def _open(self) -> AbstractContextManager[Source]:
        return opened(self._url, self._reach, self._stall_s, self.transport)

    def _is_file(self) -> bool:
        return "://" not in self._url and not self._url.startswith("/dev/")


class _Unusable(Exception):
    """There is no picture to be had."""

    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle.value)
        self.obstacle = obstacle


class _Pace:
    """Makes a file last as long as it is."""

    def __init__(self) -> None:
        self._begun: tuple[float, float] | None = None

    def wait_s(self, due_s: float) -> float:
        """How long to wait until what stands at due_s in the file is due."""
        now_s = time.monotonic()
        if self._begun is None:
            self._begun = (now_s, due_s)
        wait_s = self._begun[0] + due_s - self._begun[1] - now_s
        if abs(wait_s) > MAX_PACE_S:  # the machine slept, or the time stamps leap: begin again
            self._begun = (now_s, due_s)
        return max(0.0, wait_s) if wait_s <= MAX_PACE_S else 0.0
