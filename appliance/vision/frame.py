"""A frame: one decoded picture of a video, of which only what is wanted is converted to RGB.

Converting a whole 1080p frame costs a millisecond, ten at 4K; a region cut from its planes a tenth of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import av
import numpy as np
from av.video.plane import VideoPlane
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from appliance.faces import Bbox
from appliance.vision.bboxes import PAD_GREY
from appliance.vision.colours import FEWEST_SAMPLES, MOST_SAMPLES, Colours, colours_of, torso
from appliance.vision.looking.region import Region
from appliance.vision.pixels import Pixels

Luma = NDArray[np.uint8]
"""rows x columns of brightness, every luma_step-th pixel of a frame either way."""

_Part = tuple[int, int, int, int]  # left, top, right, bottom

LUMA_SAMPLES = 240  # about so many along the longer side
# FFmpeg interpolates the chroma of some formats between rows: so many more are cut, and taken off when converted.
_MARGIN_PX = 6
_TO_YUV = np.array([[77, 150, 29], [-43, -85, 128], [128, -107, -21]], dtype=np.float32) / 256  # JFIF


class _Component(NamedTuple):
    """Where the samples of a component lie.

    In which plane, how many bytes into it the first is, how many bytes on the next, and of how many pixels one is,
    across and down. over: how many bits it has beyond eight, in a word of 16 bits; 0: the byte there is the sample.
    """

    plane: int
    offset: int
    step: int
    across: int = 1
    down: int = 1
    over: int = 0


def _planar(size: int, across: int, down: int, over: int = 0) -> tuple[_Component, ...]:
    chroma = (_Component(plane, 0, size, across, down, over) for plane in (1, 2))
    return _Component(0, 0, size, over=over), *chroma


_Y, _FIRST, _SECOND = _Component(0, 0, 1), _Component(1, 0, 2, 2, 2), _Component(1, 1, 2, 2, 2)
_LAYOUTS = {  # Y, Cb, Cr
    "gray": (_Y,),
    "yuv420p": _planar(1, 2, 2),
    "yuv422p": _planar(1, 2, 1),
    "yuv444p": _planar(1, 1, 1),
    "yuv420p10le": _planar(2, 2, 2, over=2),
    "yuv422p10le": _planar(2, 2, 1, over=2),
    "nv12": (_Y, _FIRST, _SECOND),
    "nv21": (_Y, _SECOND, _FIRST),
    # Ten bits in the upper part of sixteen: the upper byte is what eight bits have room for.
    "p010le": (_Component(0, 1, 2), _Component(1, 1, 4, 2, 2), _Component(1, 3, 4, 2, 2)),
    "yuyv422": (_Component(0, 0, 2), _Component(0, 1, 4, 2), _Component(0, 3, 4, 2)),
    "uyvy422": (_Component(0, 1, 2), _Component(0, 0, 4, 2), _Component(0, 2, 4, 2)),
}
_LAYOUTS |= {name.replace("yuv", "yuvj"): _LAYOUTS[name] for name in ("yuv420p", "yuv422p", "yuv444p")}


class Frame:
    """One picture of a video.

    source: what the decoder gave. time_s: when the camera showed it, by the monotonic clock; utc: seconds since 1970.
    width, height: px. luma_step: px between two samples of `luma`.

    Pixel formats that cameras do not send (RGB, palettes) are converted as a whole when first asked for anything.
    For one thread at a time.
    """

    def __init__(self, source: av.VideoFrame, time_s: float, utc: float) -> None:
        self.source = source
        self.time_s, self.utc = time_s, utc
        self.width, self.height = source.width, source.height
        self.luma_step = max(1, round(max(self.width, self.height) / LUMA_SAMPLES))
        self._format = source.format.name
        self._layout = _LAYOUTS.get(self._format)
        self._rows: list[NDArray[np.uint8]] = []
        self._full: Pixels | None = None
        self._shrinking, self._converting = VideoReformatter(), VideoReformatter()

    def luma(self) -> Luma:
        """Every luma_step-th sample of the brightness, both ways; a read-only view of the frame where it can be."""
        step = self.luma_step
        if self._layout is None:
            return _to_yuv(self.full()[::step, ::step])[0]
        return self._component(self._layout[0], (0, 0, self.width, self.height), step)

    def rows(self) -> Luma:
        """Every luma_step-th row of the brightness, whole; a read-only view of the frame where it can be."""
        if self._layout is None:
            return _to_yuv(self.full()[:: self.luma_step])[0]
        _, offset, size, _, _, over = self._layout[0]
        rows = self._planes()[0][:: self.luma_step]
        end = self.width * size
        if over:
            return (rows[:, offset:end].view("<u2")[:, : self.width] >> over).astype(np.uint8)
        return rows[:, offset:end:size]

    def full(self) -> Pixels:
        """The whole picture, height x width x 3, RGB; converted once and kept."""
        if self._full is None:
            self._full = self._rgb(self.source)
        return self._full

    def part(self, left: int, top: int, right: int, bottom: int) -> Pixels:
        """The same as full()[top:bottom, left:right], without converting the rest. It must lie within the frame."""
        if self._full is not None or self._layout is None:
            return self.full()[top:bottom, left:right]
        x, y = left & ~1, max(0, (top & ~1) - _MARGIN_PX)
        high = min(self.height, bottom + bottom % 2 + _MARGIN_PX)
        cut = self._rgb(self._planes_of(x, y, min(self.width, right + right % 2), high))
        return cut[top - y : bottom - y, left - x : right - x]

    def shrunk(self, max_side_px: int) -> Pixels:
        """The whole picture, scaled down so that no side is longer than max_side_px; never scaled up."""
        scale = max_side_px / max(self.width, self.height)
        if scale >= 1:
            return self.full()
        width, height = (max(2, round(side * scale)) for side in (self.width, self.height))
        return self._small((0, 0, self.width, self.height), width, height)

    def cut(self, region: Region) -> Pixels:
        """What the detector sees in a region: input_px x input_px x 3, RGB; PAD_GREY beyond the frame."""
        canvas: Pixels = self.cuts([region])[0]
        return canvas

    def cuts(self, regions: Sequence[Region]) -> NDArray[np.uint8]:
        """The same of regions of one input_px: N x input_px x input_px x 3."""
        side = regions[0].input_px if regions else 0
        if any(region.input_px != side for region in regions):
            raise ValueError("regions of one stack have one input_px")
        stack = np.full((len(regions), side, side, 3), PAD_GREY, dtype=np.uint8)
        for canvas, region in zip(stack, regions, strict=True):
            self._draw(region, canvas)
        return stack

    def colours(self, bbox_px: Bbox) -> Colours | None:
        """What is worn below a face (see `colours.py`), to be compared by `colour_distance`.

        None: less than half of the torso is in the frame, or it has too few pixels.
        """
        left, top, right, bottom = torso(bbox_px)
        x0, y0, x1, y1 = max(0.0, left), max(0.0, top), min(float(self.width), right), min(float(self.height), bottom)
        if (x1 - x0) * (y1 - y0) < (right - left) * (bottom - top) / 2 or x1 <= x0 or y1 <= y0:
            return None
        step = max(2, 2 * round(max(x1 - x0, y1 - y0) / MOST_SAMPLES / 2))  # even: chroma comes in pairs
        part = (int(x0) & ~1, int(y0) & ~1, int(x1) & ~1, int(y1) & ~1)
        luma, blue, red = self._yuv(part, step)
        return colours_of(luma, blue, red) if luma.size >= FEWEST_SAMPLES else None

    def _draw(self, region: Region, canvas: Pixels) -> None:
        """What of the region is in the frame, at its place in the canvas."""
        left, top = max(0, region.left), max(0, region.top)
        right, bottom = min(self.width, region.left + region.side), min(self.height, region.top + region.side)
        if right <= left or bottom <= top:
            return
        scale = region.input_px / region.side
        x0, y0 = round((left - region.left) * scale), round((top - region.top) * scale)
        x1, y1 = round((right - region.left) * scale), round((bottom - region.top) * scale)
        if x1 > x0 and y1 > y0:
            part = (left, top, right, bottom)
            same_size = region.input_px == region.side
            canvas[y0:y1, x0:x1] = self.part(*part) if same_size else self._small(part, x1 - x0, y1 - y0)

    def _small(self, part: _Part, width: int, height: int) -> Pixels:
        """A part of the frame, left and top even, scaled to that size by area averaging.

        First the planes are scaled, then they are converted: a third of the cost of doing both at once.
        """
        left, top, right, bottom = part
        if self._layout is None:
            pixels = np.ascontiguousarray(self.full()[top:bottom, left:right])
            planes, name = av.VideoFrame.from_ndarray(pixels, format="rgb24"), "rgb24"
        else:
            is_whole = part == (0, 0, self.width, self.height)
            planes = self.source if is_whole else self._planes_of(left, top, right, bottom)
            name = "gray" if self._format == "gray" else "yuv420p"
        return self._rgb(
            self._shrinking.reformat(planes, width, height, name, interpolation=Interpolation.AREA, threads=1)
        )

    def _planes_of(self, left: int, top: int, right: int, bottom: int) -> av.VideoFrame:
        """A part of the frame, not converted; left and top are even."""
        assert self._layout
        part = av.VideoFrame(right - left, bottom - top, self._format)
        part.colorspace, part.color_range = self.source.colorspace, self.source.color_range
        of_plane = {component.plane: component for component in self._layout}  # the chroma last, which comes in pairs
        for (_, _, size, across, down, _), rows, to in zip(of_plane.values(), self._planes(), part.planes, strict=True):
            begin, end = left // across * size, -(-right // across) * size
            _rows_of(to)[:, : end - begin] = rows[top // down : -(-bottom // down), begin:end]
        return part

    def _rgb(self, frame: av.VideoFrame) -> Pixels:
        # One thread: FFmpeg would start one per core for each picture.
        converted = self._converting.reformat(frame, format="rgb24", threads=1)
        return np.asarray(converted.to_ndarray(), dtype=np.uint8)

    def _yuv(self, part: _Part, step: int) -> Sequence[Luma]:
        """Y, Cb and Cr of every step-th pixel, either way, of a part of the frame; all even."""
        if self._layout is None:
            left, top, right, bottom = part
            return _to_yuv(self.full()[top:bottom:step, left:right:step])
        found = [self._component(component, part, step) for component in self._layout]
        return found if len(found) == 3 else [*found, *[np.full_like(found[0], 128)] * 2]

    def _component(self, component: _Component, part: _Part, step: int) -> Luma:
        """Of every step-th pixel, either way, of a part of the frame; even where a sample is of two pixels."""
        left, top, right, bottom = part
        _, offset, size, across, down, over = component
        rows = self._planes()[component.plane]
        rows = rows[top // down : -(-bottom // down) : step // down]
        begin, end = left // across * size + offset, -(-right // across) * size
        if not over:
            return rows[:, begin : end : step // across * size]
        words = rows.view("<u2")[:, begin // 2 : end // 2 : step // across * size // 2]
        return (words >> over).astype(np.uint8)

    def _planes(self) -> list[NDArray[np.uint8]]:
        """The bytes of each plane, rows x bytes, read-only: the decoder still needs them."""
        if not self._rows:
            self._rows = [_rows_of(plane) for plane in self.source.planes]
            for rows in self._rows:
                rows.flags.writeable = False
        return self._rows


def _rows_of(plane: VideoPlane) -> NDArray[np.uint8]:
    """The bytes of a plane, rows x bytes in a row."""
    rows: NDArray[np.uint8] = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, abs(plane.line_size))
    return rows[::-1] if plane.line_size < 0 else rows  # negative: the picture lies upside down in memory


def _to_yuv(image: Pixels) -> tuple[Luma, Luma, Luma]:
    y, blue, red = (image.astype(np.float32) @ _TO_YUV.T).transpose(2, 0, 1)
    return y.astype(np.uint8), (blue + 128).astype(np.uint8), (red + 128).astype(np.uint8)
