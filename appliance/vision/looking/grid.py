"""Cells of the motion grid: which of them a region holds, which hang together, and how long motion in them has waited.

Arrays are rows x columns, like `Moving.cells`. Pure: time is passed in.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.vision.looking.motion import Cells
from appliance.vision.looking.region import Region

Times = NDArray[np.float64]
Block = tuple[slice, slice]
"""Rows and columns of the grid, to be used as an index."""

NEW_S = 1.0  # motion that nothing near it explains counts as unseen for this long, so that it is due at once
REMEMBERED_S = 1.0  # motion that pauses for less is still the same
PAUSE_S = 0.5  # and for less than this it has not even paused
STEP_PX = 80  # nobody moves further between two looks; motion that appears within this of other motion has come from it


def block(region: Region, size: tuple[int, int], cell_px: int) -> Block:
    """The cells that lie wholly in the region; what a cell has beyond the frame does not count."""
    return _span(region.top, region.side, size[1], cell_px), _span(region.left, region.side, size[0], cell_px)


def _span(start: int, side: int, frame_px: int, cell_px: int) -> slice:
    end = start + side
    last = -(-frame_px // cell_px) if end >= frame_px else max(0, end) // cell_px
    return slice(-(-max(0, start) // cell_px), last)


def connected(cells: Cells, row: int, column: int) -> Cells:
    """The cells that hang together with the given one, corners included.

    The whole grid is one integer of Python, a bit for each cell, so that a step in all directions is five shifts.
    """
    rows, columns = cells.shape
    stride = columns + 1  # a column that is always empty, so that no step leads from one edge to the other
    padded = np.zeros((rows, stride), np.bool_)
    padded[:, :columns] = cells
    packed = np.packbits(padded, bitorder="little")
    mask = int.from_bytes(packed.tobytes(), "little")
    found, grown = 0, 1 << (row * stride + column)
    while grown != found:
        found = grown
        grown |= (grown << 1) | (grown >> 1)
        grown = (grown | (grown << stride) | (grown >> stride)) & mask
    bits = np.unpackbits(
        np.frombuffer(found.to_bytes(packed.size, "little"), np.uint8), count=rows * stride, bitorder="little"
    )
    together: Cells = bits.reshape(rows, stride)[:, :columns].astype(np.bool_)
    return together


def depths(cells: Cells) -> NDArray[np.int64]:
    """How far each cell is below the top of its column of motion, in cells, from 1; gaps of up to two do not count."""
    closed = cells.copy()
    closed[1:-1] |= cells[:-2] & cells[2:]
    closed[1:-2] |= cells[:-3] & cells[3:]
    closed[2:-1] |= cells[:-3] & cells[3:]
    index = np.arange(len(cells))[:, None]
    depth: NDArray[np.int64] = index - np.maximum.accumulate(np.where(closed, -1, index), axis=0)
    return depth


class Waiting:
    """Since when the motion in each cell has not been looked at.

    Motion takes its waiting time along: a cell in which something begins to move has waited as long as the longest
    waiting motion near it, so that a body that was looked at is not due again in each cell that it walks into.
    """

    def __init__(self, shape: tuple[int, int], cell_px: int) -> None:
        self.since_s: Times = np.full(shape, -np.inf)  # means nothing where nothing moved lately
        self.began_s: Times = np.full(shape, -np.inf)
        self._moved_s: Times = np.full(shape, -np.inf)
        self._reach = max(1, -(-STEP_PX // cell_px))

    def move(self, cells: Cells, now_s: float) -> None:
        """Take in where something moves now."""
        known = self._moved_s >= now_s - REMEMBERED_S
        fresh = cells & ~known
        if fresh.any():
            near = _least_around(np.where(known, self.since_s, np.inf), self._reach)
            self.since_s[fresh] = np.where(np.isinf(near), now_s - NEW_S, near)[fresh]
        self.began_s[cells & (self._moved_s < now_s - PAUSE_S)] = now_s
        self._moved_s[cells] = now_s

    def looked(self, where: Cells, now_s: float) -> None:
        """These cells are looked at now."""
        self.since_s[where] = now_s

    def rewind(self, now_s: float) -> None:
        """The clock went back, because kept packets are replayed: nothing lies in the future."""
        for times in (self.since_s, self.began_s, self._moved_s):
            np.minimum(times, now_s, out=times)


def _least_around(times: Times, reach: int) -> Times:
    """The least value near each cell: `reach` cells to either side, and one above or below, since people walk."""
    rows, columns = times.shape
    padded = np.full((rows + 2, columns + 2 * reach), np.inf)
    padded[1:-1, reach : reach + columns] = times
    across = padded[:, :columns].copy()
    for shift in range(1, 2 * reach + 1):
        np.minimum(across, padded[:, shift : shift + columns], out=across)
    least: Times = np.minimum(across[:-2], np.minimum(across[1:-1], across[2:]))
    return least
