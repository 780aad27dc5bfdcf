"""A camera: the newest frame of a video, at the analysis rate, until stopped.

One thread decodes everything that comes; a frame is scaled only when the analysis wants one, straight to the size the
detector needs. Of the frames that came meanwhile the newest one wins, so a slow detector never makes the picture old.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import av
import av.error
from av.video.reformatter import Interpolation, VideoReformatter

from appliance.vision.pixels import Pixels, pixels_of
from appliance.vision.reach import Reach, Refusal
from appliance.vision.source import Source, opened

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
STALL_S = 5.0  # no frame for this long: connect again
MAX_PIXELS = 8192 * 8192
MAX_PACE_S = 2.0  # time stamps of a file that ask for a longer wait are broken

CONNECTING = "Waiting for the first picture."
NO_VIDEO = "This stream has sound but no picture; switch the camera on in OBS or the phone."
NO_PICTURE = "The picture cannot be decoded; use H.264 (or H.265) video."
STALLED = "No picture for {seconds:.0f} s; connecting again."
GONE = "The video ended; connecting again."
REFUSED = "The camera refuses the name or password in its address; correct it on the stream's page."
NOT_THERE = "There is nothing at this address; check it on the stream's page."
UNREACHABLE = "Cannot read this stream ({kind}); is the camera on and the address right?"
TOO_LARGE = "The picture is larger than this box can take; send at most 8192 x 8192."


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
    `problem` says why there is no picture, for a person to read and without the address; None when there is one.
    """

    def __init__(
        self,
        url: str,
        size_for: Callable[[int, int], tuple[int, int]],
        frames_per_second: float,
        stall_s: float = STALL_S,
        reach: Reach | None = Reach(),  # noqa: B008
    ) -> None:
        self.problem: str | None = CONNECTING
        self.codec = ""
        self.width = self.height = 0
        self.last_frame_s: float | None = None
        self._url, self._reach = url, reach
        self._size_for = size_for
        self._pause_s = 1.0 / frames_per_second
        self._stall_s = stall_s
        self._due_s = 0.0
        self._newest: tuple[av.VideoFrame, float, float] | None = None
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._reformatter = VideoReformatter()
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)

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
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            begun_s = time.monotonic()
            try:
                self._read()
                if self._is_file() and self.last_frame_s is not None and self.last_frame_s >= begun_s:
                    pause_s = FIRST_PAUSE_S
                    continue  # a file is played in a loop
                self._fail(GONE)
            except Exception as error:
                # Errors of FFmpeg quote the address, and with it the stream key: only their kind is shown, and no
                # traceback may reach the log.
                self._fail(self._explain(error, self.last_frame_s is not None and self.last_frame_s >= begun_s))
            if self.last_frame_s is not None and self.last_frame_s > begun_s + 1:
                pause_s = FIRST_PAUSE_S
            self._stopping.wait(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)

    def _fail(self, problem: str) -> None:
        if self.problem != problem and not self._stopping.is_set():
            log.info("%s", problem)
        self.problem = problem

    def _explain(self, error: Exception, had_pictures: bool) -> str:
        if isinstance(error, (_Unusable, Refusal)):
            return str(error)
        if isinstance(error, (av.error.ExitError, av.error.TimeoutError, TimeoutError)):
            return STALLED.format(seconds=self._stall_s)
        if isinstance(error, (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)):
            return REFUSED
        if isinstance(error, (FileNotFoundError, av.error.HTTPNotFoundError)):
            return NOT_THERE
        if had_pictures:  # FFmpeg calls the end of an HTTP stream an input/output error
            return GONE
        # Also a name that cannot be resolved is nothing but an input/output error to FFmpeg.
        return UNREACHABLE.format(kind=type(error).__name__) if isinstance(error, OSError) else NO_PICTURE

    def _read(self) -> None:
        """Read until the video ends or fails. Raises what FFmpeg raises, or _Unusable."""
        with self._open() as container:
            if not container.streams.video:
                raise _Unusable(NO_VIDEO)
            video = container.streams.video[0]
            video.thread_type = "NONE"
            video.codec_context.thread_count = 1
            self.codec = video.codec_context.name
            pace = _Pace() if self._is_file() else None
            silent_since_s = time.monotonic()
            silence = NO_PICTURE
            # Sound is read, too (and dropped): while it goes on, FFmpeg's own timeout never strikes.
            for packet in container.demux():
                if self._stopping.is_set():
                    return
                if packet.stream.index == video.index:
                    for frame in self._decode(packet):
                        silent_since_s, silence = time.monotonic(), STALLED.format(seconds=self._stall_s)
                        if pace and frame.time is not None:
                            self._stopping.wait(pace.wait_s(frame.time))
                        self._put(frame)
                if time.monotonic() - silent_since_s > self._stall_s:
                    raise _Unusable(silence)

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
            raise _Unusable(TOO_LARGE)
        now_s = time.monotonic()
        self.width, self.height = frame.width, frame.height
        self.last_frame_s, self.problem = now_s, None
        with self._changed:
            self._newest = (frame, now_s, time.time())
            self._changed.notify()

    def _open(self) -> AbstractContextManager[Source]:
        return opened(self._url, self._reach, self._stall_s)

    def _is_file(self) -> bool:
        return "://" not in self._url and not self._url.startswith("/dev/")


class _Unusable(ValueError):
    """There is no picture to be had; the message is for a person."""


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
