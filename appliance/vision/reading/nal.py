"""What a packet of H.264 or H.265 says of itself before anybody decodes it.

Source: ITU-T H.264 7.4.1 and H.265 7.4.2.2, the header of a NAL unit.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any

import av
from av.video.codeccontext import VideoCodecContext

_START = b"\0\0\1"
_MAX_UNITS = 40  # before the first slice
_H264_SLICES = (1, 2, 5)
_H265_SLICES = range(32)
_H265_NOBODY_REFERS = range(0, 16, 2)  # sub-layer non-reference pictures


class Content(enum.Enum):
    """What a packet holds."""

    PICTURE = "picture"
    SPARE_PICTURE = "spare picture"  # no other picture refers to it
    NO_PICTURE = "no picture"  # parameters alone


def content(packet: av.Packet[Any], decoder: VideoCodecContext) -> Content:
    """What the packet holds, by its first slice. Of other codecs: a picture, of MJPEG one that stands alone."""
    if decoder.name not in ("h264", "hevc"):
        return Content.SPARE_PICTURE if decoder.name == "mjpeg" else Content.PICTURE
    data = memoryview(packet)
    is_h264 = decoder.name == "h264"
    for at in _units(data, _length_bytes(decoder, is_h264)):
        if is_h264 and data[at] & 31 in _H264_SLICES:
            return Content.PICTURE if data[at] & 0x60 else Content.SPARE_PICTURE
        if not is_h264 and data[at] >> 1 & 63 in _H265_SLICES:
            # With several temporal layers, pictures of a higher one may refer to it all the same.
            spare = data[at] >> 1 & 63 in _H265_NOBODY_REFERS and at + 1 < len(data) and data[at + 1] & 7 == 1
            return Content.SPARE_PICTURE if spare else Content.PICTURE
    return Content.NO_PICTURE


def _length_bytes(decoder: VideoCodecContext, is_h264: bool) -> int:
    """Of the length before each NAL unit; 0: they are separated by start codes."""
    head, at = decoder.extradata or b"", 4 if is_h264 else 21
    return (head[at] & 3) + 1 if len(head) > at + 1 and head[0] == 1 else 0


def _units(data: memoryview, length_bytes: int) -> Iterator[int]:
    """Where NAL units begin, as far as the first slice can be."""
    at = 0
    for _ in range(_MAX_UNITS):
        if length_bytes:
            begin = at + length_bytes
            if begin >= len(data):
                return
            yield begin
            at = begin + int.from_bytes(data[at:begin], "big")
        else:
            found = _find_start(data, at)
            if found < 0 or found + 3 >= len(data):
                return
            yield found + 3
            at = found + 3


def _find_start(data: memoryview, at: int) -> int:
    """Where the next start code is; -1: nowhere. Looks at a piece at a time: a slice may be long."""
    step = 256
    while at < len(data):
        found = bytes(data[at : at + step + 2]).find(_START)
        if found >= 0:
            return at + found
        at += step
    return -1
