"""A frame of a stream, as it was decoded."""

from __future__ import annotations

import av


class Frame:
    """One picture of a stream.

    time_s: monotonic clock, utc: seconds since 1970: when the camera showed it. width, height: px.
    """

    def __init__(self, source: av.VideoFrame, time_s: float, utc: float) -> None:
        self.source = source
        self.time_s, self.utc = time_s, utc
        self.width, self.height = source.width, source.height
