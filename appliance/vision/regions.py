"""Where the detector is to look in a frame."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.faces import Bbox


@dataclass(frozen=True, slots=True)
class Expected:
    """Where a track is expected in a frame.

    bbox_px: px of the frame; spread_px: how far from there it may well be, to each side. settled: its state is known;
    still: it has not moved for a while.
    """

    key: str
    bbox_px: Bbox
    spread_px: float
    settled: bool
    still: bool
