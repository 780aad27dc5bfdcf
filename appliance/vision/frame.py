"""A frame of a stream, as it was decoded."""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray


class Frame:
    """One picture of a stream.

    time_s: monotonic clock, utc: seconds since 1970: when the camera showed it. width, height: px.
    """

    def __init__(self, source: av.VideoFrame, time_s: float, utc: float) -> None:
        self.source = source
        self.time_s, self.utc = time_s, utc
        self.width, self.height = source.width, source.height

    @property
    def luma_step(self) -> int:
        """Pixels between two samples of `luma`."""
        return max(1, round(max(self.width, self.height) / 240))

    def luma(self) -> NDArray[np.uint8]:
        """The brightness, every luma_step-th pixel both ways."""
        plane = self.source.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
        luma: NDArray[np.uint8] = rows[:: self.luma_step, : plane.width : self.luma_step]
        return luma
