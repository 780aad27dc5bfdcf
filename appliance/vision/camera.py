"""A camera: the newest frame of a video, at the analysis rate, until stopped.

One thread decodes everything that comes; a frame is scaled only when the analysis wants one, straight to the size the
detector needs. Of the frames that came meanwhile the newest one wins, so a slow detector never makes the picture old.
"""

from __future__ import annotations

import errno
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import av
import av.error
from av.video.reformatter import Interpolation, VideoReformatter

from appliance.vision.condition import PULLED, PUSHED, Condition, Obstacle
from appliance.vision.pixels import Pixels, pixels_of
from appliance.vision.reach import NoAnswer, Reach, SourceRefused
from appliance.vision.source import Source, Transport, opened

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


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture. small: uint8, height x width x 3, RGB, at the size that `size_for` chose.

    arrived_s: monotonic clock; arrived_utc: seconds since 1970. width, height: of the full picture.
    """

    small: Pixels
    width: int
    height: int
    arrived_s: float
    arrived_utc: float
    source: av.VideoFrame

    def full(self) -> Pixels:
        """The full picture, uint8, height x width x 3, RGB; converted at each call."""
        return pixels_of(self.source)


class Camera:
    """Reads a URL (rtsp, http, rtmp), a file (looped, at its own speed) or a device (/dev/video0).

    size_for: the (width, height) to scale a picture of (width, height) to.
    reach: where the URL may lead; None: it is our own ingest's, typed by nobody.
    transport: how an RTSP camera is asked to send, which has_transports; where nothing comes of it, the other is tried.
    """

    def __init__(
        self,
        url: str,
        size_for: Callable[[int, int], tuple[int, int]],
        frames_per_second: float,
        reach: Reach | None,
        stall_s: float = STALL_S,
        transport: Transport = "tcp",
    ) -> None:
        self.condition = Condition(PUSHED if reach is None else PULLED, time.monotonic())
        self.transport: Transport = transport
        self.width = self.height = 0
        self._url, self._reach = url, reach
        self.has_transports = reach is not None and url.startswith("rtsp://")
        self._size_for = size_for
        self._pause_s = 1.0 / frames_per_second
        self._stall_s = stall_s
        self._due_s = 0.0
        self._told: Obstacle | None = None
        self._newest: tuple[av.VideoFrame, float, float] | None = None
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._reformatter = VideoReformatter()
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
        with self._changed:
            self._changed.notify_all()

    def is_alive(self) -> bool:
        """Whether the reading thread still runs."""
        return self._thread.is_alive()

    def next_frame(self, patience_s: float = 1.0) -> Frame | None:
        """The newest picture, not sooner than the analysis rate allows; None if none came within patience_s."""
        deadline_s = time.monotonic() + patience_s
        self._stopping.wait(max(0.0, min(self._due_s, deadline_s) - time.monotonic()))
        if self._due_s > deadline_s:
            return None
        with self._changed:
            self._changed.wait_for(
                lambda: self._newest is not None or self._stopping.is_set(), max(0.0, deadline_s - time.monotonic())
            )
            taken, self._newest = self._newest, None
        if taken is None or self._stopping.is_set():
            return None
        # From when it was due, not from now: the rate stays true although pictures come when they come.
        late_s = time.monotonic() - self._due_s
        self._due_s += self._pause_s if late_s < self._pause_s else late_s + self._pause_s
        source, arrived_s, arrived_utc = taken
        width, height = self._size_for(source.width, source.height)
        small = self._reformatter.reformat(source, width, height, "rgb24", interpolation=Interpolation.AREA)
        return Frame(pixels_of(small), source.width, source.height, arrived_s, arrived_utc, source)

    def _run(self) -> None:
        pause_s, other_tried = FIRST_PAUSE_S, False
        while not self._stopping.is_set():
            begun_s = time.monotonic()
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
            decoder = video.codec_context
            self.condition.opened(decoder.name if decoder else "")
            if decoder:
                video.thread_type = "NONE"
                decoder.thread_count = 1
            pace = _Pace() if self._is_file() else None
            # Sound is read, too (and dropped): while anything comes, the key frame may yet come.
            for packet in self._packets(container):
                if self._stopping.is_set():
                    return
                now_s = time.monotonic()
                if packet.stream.index != video.index:
                    self.condition.data(now_s)
                    continue
                if packet.size:
                    self.condition.packet(packet.is_keyframe, _seconds(packet), now_s)
                for frame in self._decode(packet) if decoder else ():
                    if pace and frame.time is not None:
                        self._stopping.wait(pace.wait_s(frame.time))
                    self._put(frame)

    def _packets(self, container: Any) -> Iterator[av.Packet[Any]]:
        """What comes, while it comes. Raises what FFmpeg raises, or _Unusable."""
        asked_s = time.monotonic()
        for packet in container.demux():
            # After an error FFmpeg first gives out what its parser still held, which is no life.
            if not self._is_file() and time.monotonic() - asked_s >= self._stall_s * STALL_TOLERANCE:
                raise _Unusable(Obstacle.SILENT)
            yield packet
            asked_s = time.monotonic()

    def _decode(self, packet: av.Packet[Any]) -> Iterator[av.VideoFrame]:
        """The pictures in a packet; a broken one is passed over, since the next key frame mends it."""
        try:
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    yield frame
        except (av.error.InvalidDataError, av.error.EOFError):
            return

    def _put(self, frame: av.VideoFrame) -> None:
        if frame.width * frame.height > MAX_PIXELS:
            raise _Unusable(Obstacle.TOO_LARGE)
        now_s = time.monotonic()
        self.width, self.height = frame.width, frame.height
        self.condition.frame(now_s)
        self._told = None
        with self._changed:
            self._newest = (frame, now_s, time.time())
            self._changed.notify()

    def _open(self) -> AbstractContextManager[Source]:
        return opened(self._url, self._reach, self._stall_s, self.transport)

    def _is_file(self) -> bool:
        return "://" not in self._url and not self._url.startswith("/dev/")


class _Unusable(Exception):
    """There is no picture to be had."""

    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle.value)
        self.obstacle = obstacle


def _seconds(packet: av.Packet[Any]) -> float | None:
    return None if packet.pts is None or packet.time_base is None else float(packet.pts * packet.time_base)


class _Pace:
    """Makes a file last as long as it is."""

    def __init__(self) -> None:
        self._begun: tuple[float, float] | None = None

    def wait_s(self, frame_s: float) -> float:
        """How long to wait until the picture at frame_s of the file is due."""
        now_s = time.monotonic()
        if self._begun is None:
            self._begun = (now_s, frame_s)
        wait_s = self._begun[0] + frame_s - self._begun[1] - now_s
        if abs(wait_s) > MAX_PACE_S:  # the machine slept, or the time stamps leap: begin again
            self._begun = (now_s, frame_s)
        return max(0.0, wait_s) if wait_s <= MAX_PACE_S else 0.0
