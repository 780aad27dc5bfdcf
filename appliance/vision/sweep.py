"""The sweep: looks at those parts of the frame where nothing moves, so that who stands still is found, too."""

from __future__ import annotations

from math import ceil

import numpy as np

from appliance.vision.grid import Block, Times, block
from appliance.vision.region import Region
from appliance.vision.squares import Size, multiple, one_to_one

OVERLAP_PX = 48  # a face of up to this is whole in one tile or the next; larger ones are seen by the coarse look
FIRST_S = 2.5  # how long the first visit of the whole frame takes, where the allowance permits
QUIET_S = 3.0  # between two tiles afterwards, while nothing happens
ACTIVE_S = 1.0  # and while something does


class Sweep:
    """The tiles of one frame size and when each was last looked at 1:1, whatever for."""

    def __init__(self, size: Size, shape: tuple[int, int], cell_px: int, region_px: int, now_s: float) -> None:
        side = min(region_px, multiple(max(size)))
        overlap = max(OVERLAP_PX, cell_px + 2)  # so that each cell is whole in one of the tiles
        lefts, tops = _starts(size[0], side, overlap), _starts(size[1], side, overlap)
        self.tiles: list[Region] = [one_to_one(size, left, top, side, side) for top in tops for left in lefts]
        blocks = [block(tile, size, cell_px) for tile in self.tiles]
        self._rows = _bounds([rows for rows, _ in blocks[:: len(lefts)]])
        self._columns = _bounds([columns for _, columns in blocks[: len(lefts)]])
        self._looked_s: Times = np.full((shape[0] + 1, shape[1] + 1), np.inf)  # one more of each, for reduceat
        self.restart(now_s)

    def restart(self, now_s: float) -> None:
        """The scene is another, or its light: nothing is known of it."""
        self.began_s = self._slow_s = now_s
        self._looked_s[:-1, :-1] = -np.inf

    def wanted(self, now_s: float, passed_s: float, active: bool) -> list[tuple[float, Region]]:
        """Tiles to look at now, each with its urgency, most urgent first. passed_s: since the last look."""
        oldest_s = self._oldest_s()
        first = oldest_s < self.began_s
        if first.any():
            count = min(int(first.sum()), max(1, ceil(len(self.tiles) * passed_s / FIRST_S)))
            urgency = 1 + (now_s - self.began_s) / FIRST_S
            return [(urgency, self.tiles[index]) for index in np.argsort(oldest_s, kind="stable")[:count]]
        urgency = (now_s - self._slow_s) / (ACTIVE_S if active else QUIET_S)
        return [(urgency, self.tiles[int(oldest_s.argmin())])] if urgency >= 1 else []

    def visited(self, now_s: float) -> None:
        """A tile was looked at because `wanted` said so."""
        self._slow_s = now_s

    def looked(self, where: Block, now_s: float) -> None:
        """These cells are looked at 1:1 now."""
        self._looked_s[:-1, :-1][where] = now_s

    def rewind(self, now_s: float) -> None:
        """The clock went back: nothing lies in the future."""
        self.began_s, self._slow_s = min(self.began_s, now_s), min(self._slow_s, now_s)
        inner = self._looked_s[:-1, :-1]
        np.minimum(inner, now_s, out=inner)

    def _oldest_s(self) -> Times:
        """For each tile, when that cell of it was looked at whose look is longest ago."""
        by_rows = np.minimum.reduceat(self._looked_s, self._rows, axis=0)[::2]
        oldest_s: Times = np.minimum.reduceat(by_rows, self._columns, axis=1)[:, ::2].ravel()
        return oldest_s


def _starts(frame_px: int, side: int, overlap: int) -> list[float]:
    """Where tiles begin along one side of the frame, evenly spaced."""
    beyond = max(0, frame_px - side)
    steps = ceil(beyond / (side - overlap))
    return [beyond * step / steps for step in range(steps + 1)] if steps else [0.0]


def _bounds(spans: list[slice]) -> list[int]:
    """Start and end of each span in turn, as reduceat wants them."""
    return [end for span in spans for end in (span.start, span.stop)]
