"""JPEG out of pixels, by the FFmpeg that PyAV brings along."""

from __future__ import annotations

from fractions import Fraction
from typing import cast

import av
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorRange, Colorspace

from appliance.vision.pixels import Pixels, frame_of


def encode_jpeg(image: Pixels, quality: int = 85) -> bytes:
    """The image (uint8, height x width x 3, RGB, any size) as a JPEG. quality: 1 to 100, about as elsewhere."""
    height, width = image.shape[:2]
    frame = frame_of(image)
    # JFIF means BT.601 at full range; FFmpeg would otherwise write the limited range of video: pale blacks.
    frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU601, dst_color_range=ColorRange.JPEG)
    frame.pts = 0
    encoder = cast(VideoCodecContext, av.CodecContext.create("mjpeg", "w"))
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.color_range = ColorRange.JPEG
    encoder.time_base = Fraction(1, 1)
    encoder.thread_count = 1
    encoder.qmin = encoder.qmax = _quantiser(quality)
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def _quantiser(quality: int) -> int:
    """FFmpeg's scale (1 best, 31 worst) for the usual one, by the formula of libjpeg's tables."""
    quality = min(max(quality, 1), 100)
    percent = 5000 / quality if quality < 50 else 200 - 2 * quality
    return min(max(round(percent * 16 / 100), 1), 31)
