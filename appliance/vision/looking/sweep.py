"""The sweep: looks at those parts of the frame where nothing moves, so that who stands still is found, too.

The frame is covered by tiles cut 1:1, by tiles twice as large scaled down to half, and so on up to the whole frame, so
that a face of any size is seen whole and not too large somewhere. Each is visited soon after the scene begins, and then
now and again.
"""

from __future__ import annotations

from math import ceil

import numpy as np

from appliance.vision.looking.grid import Block, Times, block
from appliance.vision.looking.region import Region
from appliance.vision.looking.squares import Size, even, multiple, one_to_one, placed

OVERLAP_PX = 48  # of tiles cut 1:1: a face of up to this size is whole in one of them
SCALED_OVERLAP = 0.25  # of tiles scaled down, as a share of their side
FIRST_S = 2.5  # how long the first visit of the whole frame takes, where the allowance permits
QUIET_S = 3.0  # between two tiles afterwards, while nothing happens
ACTIVE_S = 1.0  # and while something does


class Sweep:
    """The tiles of one frame size, and when each was looked at last; those cut 1:1 count whatever the look was for."""

    def __init__(self, size: Size, shape: tuple[int, int], cell_px: int, region_px: int, now_s: float) -> None:
        scaled: list[Region] = []
        side = 2 * region_px
        while side < max(size):
            _, larger = _tiles(size, side, SCALED_OVERLAP * side, region_px)
            scaled = larger + scaled
            side *= 2
        side = min(region_px, multiple(max(size)))
        # Each cell is whole in one of the tiles, because they overlap by more than a cell.
        across, fine = _tiles(size, side, max(OVERLAP_PX, cell_px + 2), region_px)
        self.tiles = scaled + fine  # the largest first: who is close by is likeliest to leave soon
        self._scaled = {tile: index for index, tile in enumerate(scaled)}
        self._scaled_s: Times = np.full(len(scaled), -np.inf)
        blocks = [block(tile, size, cell_px) for tile in fine]
        self._rows = _bounds([rows for rows, _ in blocks[::across]])
        self._columns = _bounds([columns for _, columns in blocks[:across]])
        self._looked_s: Times = np.full((shape[0] + 1, shape[1] + 1), np.inf)  # one more of each, for reduceat
        self.restart(now_s)

    def restart(self, now_s: float) -> None:
        """The scene is another, or its light: nothing is known of it."""
        self.began_s = self._slow_s = now_s
        self._scaled_s[:] = -np.inf
        self._looked_s[:-1, :-1] = -np.inf

    def wanted(self, now_s: float, passed_s: float, active: bool) -> list[tuple[float, Region]]:
        """Tiles to look at now, each with its urgency, most urgent first. passed_s: since the last look."""
        oldest_s = self._oldest_s()
        left = int((oldest_s < self.began_s).sum())
        if left:
            count = min(left, max(1, ceil(len(self.tiles) * passed_s / FIRST_S)))
            urgency = 1 + (now_s - self.began_s) / FIRST_S
            return [(urgency, self.tiles[index]) for index in np.argsort(oldest_s, kind="stable")[:count]]
        urgency = (now_s - self._slow_s) / (ACTIVE_S if active else QUIET_S)
        return [(urgency, self.tiles[int(oldest_s.argmin())])] if urgency >= 1 else []

    def visited(self, tile: Region, now_s: float) -> None:
        """This tile is looked at because `wanted` said so."""
        self._slow_s = now_s
        if tile in self._scaled:
            self._scaled_s[self._scaled[tile]] = now_s

    def looked(self, where: Block, now_s: float) -> None:
        """These cells are looked at 1:1."""
        self._looked_s[:-1, :-1][where] = now_s

    def rewind(self, now_s: float) -> None:
        """The clock went back: nothing lies in the future."""
        self.began_s, self._slow_s = min(self.began_s, now_s), min(self._slow_s, now_s)
        for times in (self._scaled_s, self._looked_s[:-1, :-1]):
            np.minimum(times, now_s, out=times)

    def _oldest_s(self) -> Times:
        """For each tile, when that part of it was looked at whose look is longest ago."""
        by_rows = np.minimum.reduceat(self._looked_s, self._rows, axis=0)[::2]
        fine_s = np.minimum.reduceat(by_rows, self._columns, axis=1)[:, ::2]
        oldest_s: Times = np.concatenate([self._scaled_s, fine_s.ravel()])
        return oldest_s


def _tiles(size: Size, side: int, overlap: float, region_px: int) -> tuple[int, list[Region]]:
    """How many tiles of this side cover the frame from left to right, and all of them, row by row."""
    lefts, tops = _starts(size[0], side, overlap), _starts(size[1], side, overlap)
    if side <= region_px:
        tiles = [one_to_one(size, left, top, side, region_px) for top in tops for left in lefts]
    else:
        tiles = [placed(size, left, top, side, region_px) for top in tops for left in lefts]
    return len(lefts), tiles


def _starts(frame_px: int, side: int, overlap: float) -> list[float]:
    """Where tiles begin along one side of the frame, evenly spaced."""
    beyond = max(0, even(frame_px - side))
    steps = ceil(beyond / (side - overlap))
    return [beyond * step / steps for step in range(steps + 1)] if steps else [0.0]


def _bounds(spans: list[slice]) -> list[int]:
    """Start and end of each span in turn, as reduceat wants them."""
    return [end for span in spans for end in (span.start, span.stop)]
