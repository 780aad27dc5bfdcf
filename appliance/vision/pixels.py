"""Pictures as arrays, and how they change size."""

from __future__ import annotations

import av
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from appliance.cutout import shrunk_size

Pixels = NDArray[np.uint8]
"""uint8, height x width x 3, RGB."""
Stack = NDArray[np.uint8]
"""Pictures of one size: uint8, N x height x width x 3, RGB."""


def pixels_of(frame: av.VideoFrame) -> Pixels:
    """The picture of a video frame, at its size."""
    return np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)


def frame_of(image: Pixels) -> av.VideoFrame:
    """A video frame of the picture."""
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")


def scale_to(image: Pixels, width: int, height: int) -> Pixels:
    """The picture at another size, by area averaging; itself if it has that size."""
    if image.shape[:2] == (height, width):
        return image
    return pixels_of(frame_of(image).reformat(width, height, "rgb24", interpolation=Interpolation.AREA))


def shrink(image: Pixels, max_side_px: int) -> Pixels:
    """The picture scaled down so that no side is longer than max_side_px; never scaled up."""
    height, width = image.shape[:2]
    return scale_to(image, *shrunk_size(width, height, max_side_px))
