"""Which moving cells want to be looked at, how urgently, and which region shows the most urgent of them best.

Motion that a track explains is that person's body; the rest is somebody or something new, whose upper parts matter
most.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray

from appliance.faces import Bbox
from appliance.vision.looking.grid import Waiting, block, connected, depths
from appliance.vision.looking.motion import Cells, Moving
from appliance.vision.looking.region import Region
from appliance.vision.looking.squares import Size, even, multiple, one_to_one, placed

EARLY_S = 0.03  # so much earlier than wanted is soon enough: looks come unevenly
LOOK_S = 0.1  # looks come about this often where something moves
# How often a place wants to be seen.
HEADS_S = ((1.5, 0.0), (5.0, 0.3), (np.inf, 0.6))  # tops of motion that is nobody's: for up to so long, each so often
LOWER_S = 0.6  # what is below them, where a shorter person may hide
BODY_S = 0.6  # motion that a track explains, where another person may hide
RESTLESS_S = 1.0  # where something moves all the time
FRESH_S = 0.25  # motion began no longer ago
# Sizes.
HEAD_PX = 128  # motion may be a head down to here below its top; the smallest region holds as much
MARGIN_PX = 24  # what motion does not show of a head: hair like the background, a cell below its threshold
LEAST_PX = 160  # of a region for motion, px of the network's input
OVERLAP_PX = 48  # between the regions of motion that is wide
TALL = 1.5  # motion taller than this many regions may be somebody close by, whose face does not fit into one
LEAST_FACE_PX = 32  # of a face in the network's input, shorter side, so that it is found
# What a track explains: face widths to either side of its middle, from and to so many face heights below its top.
OUTLINE = ((1.2, -1.0, 1.0), (1.8, 1.0, 4.0), (2.6, 4.0, 9.0))
VAGUE = 1.5  # and who may be further away than this many face widths explains nothing
NOBODY = -1
COARSE = 3  # a region scaled down by more shows no faces but large ones

Urgencies = NDArray[np.float64]
Indices = NDArray[np.int64]


class Demand:
    """The demand of one look.

    faces: for each track where its face is expected, and how far from there it may be; px of the frame.
    """

    def __init__(
        self,
        size: Size,
        region_px: int,
        moving: Moving,
        waiting: Waiting,
        faces: Sequence[tuple[Bbox, float]],
        now_s: float,
    ) -> None:
        self._size = size
        self.cell_px = moving.cell_px
        self._region_px = region_px
        self._faces = faces
        self._restless: Cells = moving.cells & moving.restless
        self.shown: Cells = np.zeros_like(moving.cells)  # cells in a region of this look
        busy = moving.cells & ~moving.restless
        self._fresh: Cells = busy & (now_s - waiting.began_s <= FRESH_S)
        self._owner = _owners(busy, faces, moving.cell_px)
        self._new = busy & (self._owner == NOBODY)
        self._heads = self._new & (depths(busy) * moving.cell_px <= HEAD_PX)

        wanted_s = np.full(busy.shape, RESTLESS_S)  # within which the cell wants to be seen
        wanted_s[busy] = BODY_S
        wanted_s[self._new] = LOWER_S
        least_s = wanted_s - EARLY_S  # how long it waits at least
        moved_s = now_s - waiting.began_s
        for until_s, each_s in reversed(HEADS_S):
            heads = self._heads & (moved_s <= until_s)
            wanted_s[heads] = max(each_s, LOOK_S)
            least_s[heads] = each_s - EARLY_S
        waited_s = now_s - waiting.since_s
        self.due: Cells = moving.cells & (waited_s >= least_s)
        self._urgency: Urgencies = np.where(self.due, (waited_s + LOOK_S) / wanted_s, 0.0)

    @property
    def active(self) -> bool:
        """Whether anything moves that does not always move."""
        return bool(self._new.any() or (self._owner != NOBODY).any())

    @property
    def large(self) -> bool:
        """Whether something new moves that is taller than half the frame."""
        return bool(self._new.sum(axis=0).max(initial=0) > len(self._new) / 2)

    def stirs(self, index: int) -> bool:
        """Whether something began to move at the face of this track, or beside it."""
        left, top, right, bottom = self._faces[index][0]
        around = left - (right - left), top, right + (right - left), bottom
        left, top, right, bottom = (max(0.0, edge / self.cell_px) for edge in around)
        return bool(self._fresh[int(top) : ceil(bottom), int(left) : ceil(right)].any())

    def most(self) -> tuple[float, int]:
        """The highest urgency there is, 0 for none, and the cell that has it; the topmost of several."""
        cell = int(self._urgency.argmax())
        return float(self._urgency.flat[cell]), cell

    def show(self, region: Region, owner: int | None) -> None:
        """The region is looked at. Scaled down a lot it shows only what it is there for: the motion of `owner`."""
        where = block(region, self._size, self.cell_px)
        if region.side <= COARSE * region.input_px:
            self.shown[where] = True
        elif owner is not None:
            self.shown[where] |= self._owner[where] == owner
        self._urgency[self.shown] = 0.0

    def settle(self, cell: int, taken: Region | None) -> None:
        """The region for this cell is taken, maybe within a larger one, or there is no room for it."""
        if taken:
            self.show(taken, int(self._owner.flat[cell]))
        self._urgency.flat[cell] = 0.0

    def spare_restless(self) -> None:
        """Restless motion has had enough for now."""
        self._urgency[self._restless] = 0.0

    def is_restless(self, cell: int) -> bool:
        """Whether the cell, one that `most` gave, always moves."""
        return bool(self._restless.flat[cell])

    def region(self, cell: int, at_once: bool) -> Region:
        """The region that shows the cell and what belongs to it. at_once: tall motion as a whole, not its top 1:1."""
        row, column = divmod(cell, self.due.shape[1])
        if self._owner[row, column] != NOBODY:
            return self._body(int(self._owner[row, column]))
        if self._restless[row, column]:
            return self._top(self._restless, row, column, self._region_px)
        together = connected(self._new, row, column)
        rows = np.flatnonzero(together.any(axis=1))
        height_px = int(rows[-1] - rows[0] + 1) * self.cell_px
        if height_px > TALL * self._region_px and (at_once or not self._heads[row, column]):
            return self._whole(together, row, column, height_px)
        # Of a person seen from head to foot the face is an eighth; of one seen to the waist, a third.
        side = max(LEAST_PX, 0.6 * height_px + 2 * MARGIN_PX)
        return self._top(together, row, column, min(multiple(side), self._region_px))

    def _top(self, together: Cells, row: int, column: int, side: int) -> Region:
        """A square, 1:1, that holds the cell and as much as fits of the top of what is due of `together`."""
        cell_px, reach = self.cell_px, side // self.cell_px
        wanted: Cells = together & (self._urgency > 0)
        # The cell is the most urgent, but what is above it may be the head.
        start_row, start_column = max(0, row - reach + 2), max(0, column - reach // 2)
        above = wanted[start_row : row + 1, start_column : column + reach // 2 + 1]
        top_row = start_row + int(above.any(axis=1).argmax())
        middle = start_column + int(above[top_row - start_row].argmax())
        # Wider than the square: around what sticks out, or from its left edge on where nothing does.
        for rows in (max(1, reach), 2):
            band: Cells = wanted[top_row : top_row + rows]
            first, last = _run(np.flatnonzero(~band.any(axis=0)), middle, wanted.shape[1])
            width_px = (last + 1 - first) * cell_px
            if width_px <= side - OVERLAP_PX:
                left = first * cell_px - (side - width_px) / 2
                break
        else:
            left = middle * cell_px - OVERLAP_PX
        # Whatever the rest, the cell itself is inside.
        left = min(max(left, (column + 1) * cell_px - side + 2), column * cell_px)
        return one_to_one(self._size, left, top_row * cell_px - MARGIN_PX, side, self._region_px)

    def _whole(self, together: Cells, row: int, column: int, height_px: int) -> Region:
        """A square that holds the cell and as much as may be of what hangs together, scaled down.

        The face of a person seen from head to foot is an eighth of the height, and stays large enough.
        """
        cell_px = self.cell_px
        side = even(min(height_px + 2 * MARGIN_PX, COARSE * self._region_px, max(self._size)))
        columns = np.flatnonzero(together.any(axis=0))
        first, last = int(columns[0]), int(columns[-1])
        if (last + 1 - first) * cell_px > side:
            first = last = column
        top = int(np.flatnonzero(together.any(axis=1))[0]) * cell_px - MARGIN_PX
        top = max(top, (row + 1) * cell_px - side + 2)
        left = (first + last + 1) / 2 * cell_px - side / 2
        return placed(self._size, left, top, side, self._region_px)

    def _body(self, owner: int) -> Region:
        """A square around what is due of a person's body, scaled down as far as another face of that size allows."""
        rows, columns = np.nonzero((self._owner == owner) & (self._urgency > 0))
        cell_px = self.cell_px
        left, top = int(columns.min()) * cell_px, int(rows.min()) * cell_px
        right, bottom = int(columns.max() + 1) * cell_px, int(rows.max() + 1) * cell_px
        bbox, _ = self._faces[owner]
        if top < bbox[3] and bottom > bbox[1]:  # the face is whole in it, or beside it: half a face is another bbox
            left, top = min(left, max(0, int(bbox[0]) - cell_px)), min(top, max(0, int(bbox[1]) - cell_px))
            right, bottom = max(right, ceil(bbox[2]) + cell_px), max(bottom, ceil(bbox[3]) + cell_px)
            right, bottom = min(right, self._size[0]), min(bottom, self._size[1])
        face_px = min(bbox[2] - bbox[0], bbox[3] - bbox[1])
        side = max(right - left, bottom - top) + 2
        scale = min(1.0, LEAST_FACE_PX / max(face_px, 1))
        input_px = min(max(multiple(side * scale), LEAST_PX), self._region_px)
        if side <= input_px:
            return one_to_one(self._size, (left + right - input_px) / 2, top - 2, input_px, self._region_px)
        return placed(self._size, (left + right - side) / 2, top - 2, side, input_px)


def is_explained(moving: Moving, faces: Sequence[tuple[Bbox, float]]) -> bool:
    """Whether all that moves, and does not always, is the body of somebody. faces: as for `Demand`."""
    busy = moving.cells & ~moving.restless
    return not (busy & (_owners(busy, faces, moving.cell_px) == NOBODY)).any()


def _run(gaps: NDArray[np.intp], column: int, columns: int) -> tuple[int, int]:
    """First and last of the columns without a gap around `column`. gaps: the columns that are one, ascending."""
    after = int(np.searchsorted(gaps, column))
    first = int(gaps[after - 1]) + 1 if after else 0
    last = int(gaps[after]) - 1 if after < len(gaps) else columns - 1
    return first, last


def _owners(busy: Cells, faces: Sequence[tuple[Bbox, float]], cell_px: int) -> Indices:
    """For each cell the track that explains its motion, or NOBODY."""
    owners = np.full(busy.shape, NOBODY, np.int64)
    if not faces or not busy.any():
        return owners
    for index, parts in enumerate(_outlines(faces, cell_px)):
        for first_column, first_row, column, row in parts:
            owners[first_row:row, first_column:column] = index
    owners[~busy] = NOBODY
    return owners


def _outlines(faces: Sequence[tuple[Bbox, float]], cell_px: int) -> list[list[list[int]]]:
    """For each face the parts of the body below it: first column and row, and those after the last.

    Cells whose middle lies within; the margin makes up for those that reach out.
    """
    left, top, right, bottom = np.array([bbox for bbox, _ in faces]).T[..., None]
    spread = np.array([spread_px for _, spread_px in faces])[:, None]
    width, height, middle = right - left, bottom - top, (left + right) / 2
    beside, above, below = np.array(OUTLINE).T
    margin = np.minimum(spread, width) + cell_px
    columns, rows = beside * width + margin, top + above * height - margin
    edges = np.stack([middle - columns, rows, middle + columns, top + below * height + margin], axis=-1)
    edges[spread[:, 0] > VAGUE * width[:, 0]] = 0.0
    cells: list[list[list[int]]] = np.maximum(np.ceil(edges / cell_px - 0.5), 0).astype(np.int64).tolist()
    return cells
