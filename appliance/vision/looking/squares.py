"""Squares for the network: placing a region in a frame, and choosing those that an allowance pays for."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from appliance.vision.looking.region import Region

STEP_PX = 32  # the network's largest stride: each input is a multiple of it
MOST = 32  # regions of one look, so that choosing them takes no longer than looking

Size = tuple[int, int]
"""Width and height of a frame, px."""


def multiple(px: float) -> int:
    """The next multiple of the network's stride, upwards."""
    return STEP_PX * max(1, ceil(px / STEP_PX))


def even(px: float) -> int:
    """The next even number, upwards."""
    return 2 * ceil(px / 2)


def placed(size: Size, left: float, top: float, side: float, input_px: int) -> Region:
    """A region as near to the place as the frame allows: inside it where it is large enough, else from its corner.

    In a frame with an odd side it may reach one px beyond, so that no px is left out.
    """
    width, height = size
    side = even(side)

    def within(start: float, frame_px: int) -> int:
        return int(min(max(0, 2 * (start // 2)), max(0, even(frame_px - side))))

    return Region(within(left, width), within(top, height), side, input_px)


def one_to_one(size: Size, left: float, top: float, side: float, region_px: int) -> Region:
    """A region cut as the camera sees it, of at most the preset's side and no larger than the frame needs."""
    side = min(multiple(side), region_px, multiple(max(size)))
    return placed(size, left, top, side, side)


def whole(size: Size, region_px: int) -> Region:
    """The whole frame in one region."""
    longer = even(max(size))
    if longer <= region_px:
        return Region(0, 0, multiple(longer), multiple(longer))
    return Region(0, 0, longer, region_px)


def united(first: Region, second: Region, size: Size, region_px: int) -> Region | None:
    """One region that shows what two show, at the finer scale of both; None if it would be too large."""
    left, right = min(first.left, second.left), max(first.left + first.side, second.left + second.side)
    scale = max(first.input_px / first.side, second.input_px / second.side)
    if (min(right, size[0]) - left) * scale > region_px:
        return None  # most pairs end here: they are far apart
    top, bottom = min(first.top, second.top), max(first.top + first.side, second.top + second.side)
    side = max(min(right, even(size[0])) - left, min(bottom, even(size[1])) - top)
    input_px = multiple(side * scale)
    if input_px > region_px:
        return None
    return placed(size, left, top, max(side, input_px) if scale < 1 else input_px, input_px)


class Selection:
    """Regions of one look, within its allowance and no more than MOST.

    The first is taken whatever it costs: what costs more than there is would otherwise never be seen.
    """

    def __init__(self, size: Size, region_px: int, cost_ms: Callable[[int], float], allowance_ms: float) -> None:
        self.regions: list[Region] = []
        self._size = size
        self._region_px = region_px
        self._cost_ms = cost_ms
        self._left_ms = allowance_ms

    def add(self, region: Region) -> Region | None:
        """Take the region, by itself or as part of a larger one if that costs less; None if it does not fit."""
        best_ms, best, place = self._cost_ms(region.input_px), region, len(self.regions)
        for index, other in enumerate(self.regions):
            union = united(region, other, self._size, self._region_px)
            if union is not None:
                more_ms = self._cost_ms(union.input_px) - self._cost_ms(other.input_px)
                if more_ms < best_ms:
                    best_ms, best, place = more_ms, union, index
        if place == MOST or (self._left_ms < best_ms and (self.regions or self._left_ms <= 0)):
            return None
        self._left_ms -= best_ms
        self.regions[place : place + 1] = [best]
        return best
