"""A decoder that lets a chip do the work, and FFmpeg whatever the chip does not: looks like FFmpeg's own.

A chip takes a while to begin, gives its pictures later than FFmpeg, and cannot be asked for what it still holds. So
FFmpeg goes on until the chip shows a picture that FFmpeg gave, too, and it is the same one; and whatever must be there
at once (what is left when a stream ends or comes to rest, what a chip that failed still owed) FFmpeg decodes from what
was kept since the last key frame. H.264 says of each picture what it is, bit by bit, so nobody sees whose it was.
"""

from __future__ import annotations

import copy
import logging
import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from itertools import dropwhile
from typing import Any, NamedTuple

import av
import av.error
import numpy as np
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray

from appliance.vision.reading.gstreamer import Chip, Pipeline, PipelineError, avcc_of, parameters_of

log = logging.getLogger(__name__)

Sample = NDArray[np.uint8]

FFMPEG = "FFmpeg"
FAILURES = 3  # then FFmpeg decodes, until the stream is opened again
MAX_OWED, SILENT_S = 90, 5.0  # packets without a picture, for so long: no chip holds so many
MAX_KEPT_BYTES = 16_000_000
STEP_MS = 40  # after a pause
MAX_STEP_MS = 1000  # GStreamer takes more for another beginning
MOST_APART = 2  # brightness or colour, of 255: H.264 allows nothing, a conversion may round


class _Owed(NamedTuple):
    pts: int
    time_base: Fraction
    stamp: object


class ChipDecoder:
    """See the module. software: FFmpeg's decoder of a connection; chip: what may replace it. Not for several threads.

    Raises what FFmpeg raises; of the chip nothing.
    """

    def __init__(
        self,
        software: VideoCodecContext,
        chip: Chip,
        pipeline: Callable[[Chip], Pipeline] = Pipeline,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.failures = 0
        self._software, self._chip, self._open, self._now_s = software, chip, pipeline, now_s
        self._pipeline: Pipeline | None = None
        self._fed = self._took_over = False
        self._parameters = b""
        self._owed: dict[int, _Owed] = {}  # by the time stamps that the chip is given
        self._samples: dict[int, list[Sample]] = {}  # of FFmpeg's pictures, by time stamp, until the chip takes over
        self._kept: deque[av.Packet[Any]] = deque()  # from a key frame on; what the chip still owes is in it
        self._kept_bytes = 0
        self._silent = 0  # packets since its last picture
        self._silent_since_s = 0.0
        self._given_pts: int | None = None
        self._last_dts: int | None = None
        self._dts_ms = self._shift_ms = 0

    @property
    def name(self) -> str:
        """What decodes now: FFmpeg, or the name of the chip."""
        return self._chip.name if self._took_over else FFMPEG

    @property
    def is_open(self) -> bool:
        """Whether there is anything to flush."""
        return self._software.is_open or self._fed

    def decode(self, packet: av.Packet[Any] | None) -> list[av.VideoFrame]:
        """The frames that are due. None: all that are left."""
        if packet is None:
            return self._rest()
        if packet.is_keyframe:
            self._begin(packet)
        self._last_dts = _dts(packet)
        if not self._fed or packet.pts is None:  # parameters may have no time
            return self._given(self._software.decode(packet))
        self._keep(packet)
        try:
            self._feed(packet)
            frames = self._frames_of_chip()
        except PipelineError as error:
            return self._fail(packet, str(error))
        if self._took_over:
            return self._given(frames)
        return self._given(self._sampled(self._software.decode(packet)))

    def flush_buffers(self) -> None:
        """Forget what was not given; it goes on with a key frame."""
        if self._software.is_open:
            self._software.flush_buffers()
        self._forget()

    def close(self) -> None:
        """End the chip's part."""
        if self._pipeline is not None:
            self._pipeline.close()
            self._pipeline = None
        self._forget()

    def _begin(self, key: av.Packet[Any]) -> None:
        """At a key frame: let the chip have what follows."""
        dts = _dts(key)
        if dts is not None and self._last_dts is not None and dts < self._last_dts:
            self._given_pts = None  # the clock of the stream began again
        parameters = parameters_of(self._software.extradata or b"", bytes(key))
        if self.failures >= FAILURES or parameters is None or dts is None or key.time_base is None:
            return
        try:
            if self._pipeline is None:
                self._pipeline, self._parameters = self._open(self._chip), b""
            if parameters != self._parameters:
                self._pipeline.begin(parameters, self._dts_ms)
                self._parameters = parameters
        except PipelineError as error:
            self._note_failure(str(error))
            return
        self._fed = True

    def _feed(self, packet: av.Packet[Any]) -> None:
        dts = _dts(packet)
        assert (
            packet.pts is not None and dts is not None and packet.time_base is not None and self._pipeline is not None
        )
        dts_ms = round(dts * packet.time_base * 1000) + self._shift_ms
        if not 0 <= dts_ms - self._dts_ms <= MAX_STEP_MS:
            self._shift_ms += self._dts_ms + STEP_MS - dts_ms
            dts_ms = self._dts_ms + STEP_MS
        pts_ms = round(packet.pts * packet.time_base * 1000) + self._shift_ms
        self._dts_ms = dts_ms
        self._owed[pts_ms] = _Owed(packet.pts, packet.time_base, packet.opaque)
        self._silent += 1
        if self._silent == 1:
            self._silent_since_s = self._now_s()
        if self._silent > MAX_OWED and self._now_s() - self._silent_since_s > SILENT_S:
            raise PipelineError(f"it gave no picture of {MAX_OWED} packets")
        pictures = avcc_of(memoryview(packet), self._software.extradata or b"")
        self._pipeline.feed(pictures, dts_ms, pts_ms, packet.is_keyframe)

    def _frames_of_chip(self) -> list[av.VideoFrame]:
        assert self._pipeline is not None
        frames = []
        for time_ms, frame in self._pipeline.frames():
            owed = self._owed.get(time_ms)
            if owed is None:
                continue  # of before it was flushed
            # They come in the order in which they are shown: what would have been before this one had no picture.
            self._owed = {of_ms: one for of_ms, one in self._owed.items() if of_ms > time_ms}
            self._silent = 0
            frame.pts, frame.time_base = owed.pts, owed.time_base
            frame.opaque = copy.copy(owed.stamp)  # PyAV forgets the object that it got with the packet, with the packet
            frame.colorspace, frame.color_range = self._software.colorspace, self._software.color_range
            if not self._took_over and owed.pts in self._samples:
                self._take_over(frame, self._samples[owed.pts])
            # The chip will not show what is before this, so nothing waits to be compared with it.
            self._samples = {pts: sample for pts, sample in self._samples.items() if pts > owed.pts}
            if self._took_over:
                frames.append(frame)
        return frames

    def _take_over(self, frame: av.VideoFrame, expected: list[Sample]) -> None:
        """The chip decodes from now on, if it shows the same as FFmpeg did."""
        for ours, theirs in zip(sample_of(frame), expected, strict=True):
            if ours.shape != theirs.shape or np.abs(ours.astype(int) - theirs).max(initial=0) > MOST_APART:
                raise PipelineError("its pictures are not those of FFmpeg")
        self._took_over = True
        self._samples.clear()
        self._software.flush_buffers()
        log.info("%s decodes", self._chip.name)

    def _sampled(self, frames: list[av.VideoFrame]) -> list[av.VideoFrame]:
        for frame in frames:
            if frame.pts is not None and frame.format.name in ("yuv420p", "yuvj420p"):
                self._samples[frame.pts] = sample_of(frame)
        return frames

    def _given(self, frames: list[av.VideoFrame]) -> list[av.VideoFrame]:
        """The frames that were not given yet: while one takes over from the other, both have some."""
        new = []
        for frame in frames:
            if frame.pts is not None and (self._fed or self._given_pts is not None):
                if self._given_pts is not None and frame.pts <= self._given_pts:
                    continue
                self._given_pts = frame.pts
            new.append(frame)
        if new and self._given_pts is not None:
            self._keep_from(self._given_pts)
        return new

    def _keep(self, packet: av.Packet[Any]) -> None:
        self._kept.append(packet)
        self._kept_bytes += packet.size
        if self._kept_bytes > MAX_KEPT_BYTES:
            self._forget_kept()

    def _keep_from(self, pts: int) -> None:
        """Let go of what is before the last key frame up to which all was given."""
        keys = [at for at, packet in enumerate(self._kept) if packet.is_keyframe and (packet.pts or 0) <= pts]
        for _ in range(keys[-1] if keys else 0):
            self._kept_bytes -= self._kept.popleft().size

    def _rest(self) -> list[av.VideoFrame]:
        """All that was not given, by FFmpeg; both go on with a key frame."""
        frames = self._owed_by_software() if self._took_over else []
        frames = self._given(frames + self._decoded(None))
        self._software.flush_buffers()
        self._forget()
        return frames

    def _fail(self, packet: av.Packet[Any], why: str) -> list[av.VideoFrame]:
        """The chip failed: FFmpeg decodes what it owed, and goes on."""
        self._note_failure(why)
        frames = self._given(self._owed_by_software() if self._took_over else self._decoded(packet))
        given_pts = self._given_pts
        self._forget()
        self._given_pts = given_pts  # FFmpeg may hold some of them longer than the chip did
        return frames

    def _owed_by_software(self) -> list[av.VideoFrame]:
        from_key = dropwhile(lambda packet: not packet.is_keyframe, self._kept)
        return [frame for packet in from_key for frame in self._decoded(packet)]

    def _decoded(self, packet: av.Packet[Any] | None) -> list[av.VideoFrame]:
        try:
            return self._software.decode(packet)
        except av.error.FFmpegError:
            return []

    def _note_failure(self, why: str) -> None:
        self.failures += 1
        log.warning("%s does not decode (%s); FFmpeg does", self._chip.name, why)
        if self._pipeline is not None:
            self._pipeline.close()
            self._pipeline = None

    def _forget(self) -> None:
        self._fed = self._took_over = False
        self._given_pts = self._last_dts = None
        self._silent = 0
        self._owed.clear()
        self._samples.clear()
        self._forget_kept()

    def _forget_kept(self) -> None:
        self._kept.clear()
        self._kept_bytes = 0


def sample_of(frame: av.VideoFrame) -> list[Sample]:
    """Some pixels of each plane."""
    return [
        np.array(np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)[::8, : plane.width : 8])
        for plane in frame.planes
    ]


def _dts(packet: av.Packet[Any]) -> int | None:
    return packet.dts if packet.dts is not None else packet.pts
