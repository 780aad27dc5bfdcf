"""Where to look: the regions of a frame that the detector is to see, as many as an allowance pays for.

Four kinds of place want a look: tracks, each where it is expected; motion, upper body first; the rest of the frame, by
the sweep; and the whole frame at once, coarsely, for faces that fill it. Each has a time within which it wants to be
seen again, and is as urgent as it has waited, counted in that time. So whatever does not fit into one look becomes more
urgent than all that did, and nothing waits without end: the most urgent place is always in a region.

Pure: no clock, no thread, no picture.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from appliance.faces import Bbox
from appliance.vision.looking.demand import EARLY_S, LEAST_FACE_PX, LOOK_S, NOBODY, Demand
from appliance.vision.looking.grid import NEW_S, Waiting, block
from appliance.vision.looking.motion import Cells, Moving
from appliance.vision.looking.region import Region
from appliance.vision.looking.squares import Selection, Size, even, multiple, one_to_one, placed, whole
from appliance.vision.looking.sweep import Sweep

SETTLED_S = 0.35  # how often a track is looked at whose state is known ...
STILL_S = 1.0  # ... and if it does not even move
UNSETTLED_S = 1.5  # who is not settled is looked at in each look for so long, then no more often than who is
MISSING = 2.0  # who may be further away than so many times the face's longer side was not seen for a while
REGAINED_S = 1.0  # so much of that somebody gets again who was settled for a while ...
REGAINED_PER_S = 0.3  # ... as time goes by
COARSE_S = 1.0  # the whole frame, while something large moves
RESTLESS_PACE_S = 0.33  # restless motion gets at most one region in this time: rain is everywhere
RELIT_S = 5.0  # light that keeps changing does not start the sweep more often than this
# How large a face is in the network's input, shorter side, where the camera shows it larger.
FACE_PX = 48
UNSETTLED_FACE_PX = 56  # its looks are the votes
AROUND = 3.0  # a track's region is this many times as large as its face
BESIDE = 0.25  # a face is shown where this much of its size is seen around it
LEAST_PX = 128  # of a track's region, px of the network's input
LEAST_SHOWN_PX = 20  # a region in which the face would be smaller is of no use
NEAR_1_TO_1 = 0.85  # scaling down by less gains nothing
FINE = 1.25  # a region scaled down by no more than this shows what one cut 1:1 shows
COARSE_URGENCY = 5.0
REJECTED = 4  # after so many places that do not fit, a look is full


@dataclass(frozen=True)
class Expected:
    """Where a track is expected in this frame.

    key: the track's, the same in each look. bbox_px: of its face; it may lie beyond the frame. spread_px: how far from
    there the face may be. settled: its state is known. still: it does not move.
    """

    key: Hashable
    bbox_px: Bbox
    spread_px: float = 0.0
    settled: bool = False
    still: bool = False


@dataclass(frozen=True, eq=False)
class Plan:
    """What to look at in one frame.

    regions: most important first. over_budget: cells with motion that wants a look now and gets none, because the
    allowance does not pay for it. A coarse look is none, where the frame is larger than what it is scaled to.
    """

    regions: list[Region]
    over_budget: Cells


@dataclass(frozen=True)
class _Want:
    """A region that is wanted: for a track, as a tile of the sweep, or as the coarse look."""

    urgency: float
    region: Region
    track: Expected | None = None
    owner: int = NOBODY  # the track's index
    tile: bool = False
    coarse: bool = False


class Planner:
    """The plans of one stream, look after look. Not for several threads.

    region_px: the largest side of a region's input, a multiple of 32. cost_ms: what a region of such an input costs.
    """

    def __init__(self, region_px: int, cost_ms: Callable[[int], float]) -> None:
        self._region_px = region_px
        self._cost_ms = cost_ms
        self._scene: _Scene | None = None

    def plan(self, size: Size, moving: Moving, expected: Sequence[Expected], now_s: float, allowance_ms: float) -> Plan:
        """The regions to look at in the frame of `size` px, width and height, taken at `now_s`.

        They cost at most allowance_ms together; only a single one may cost more, since it would never be seen
        otherwise. No allowance, no regions. The clock may go back, because frames that were kept may be looked at
        after a later one.
        """
        scene = self._scene
        if scene is None or moving.cut or (size, moving.cells.shape) != (scene.size, scene.shape):
            scene = self._scene = _Scene(size, moving, self._region_px, now_s)
        return scene.plan(moving, expected, now_s, Selection(size, self._region_px, self._cost_ms, allowance_ms))


class _Scene:
    """What was looked at since the camera shows what it shows."""

    def __init__(self, size: Size, moving: Moving, region_px: int, now_s: float) -> None:
        rows, columns = moving.cells.shape
        self.size, self.shape = size, (rows, columns)
        self._region_px = region_px
        self._now_s = now_s
        self._waiting = Waiting(self.shape, moving.cell_px)
        self._sweep = Sweep(size, self.shape, moving.cell_px, region_px, now_s)
        self._tracks_s: dict[Hashable, float] = {}  # when each was last looked at
        self._patience_s: dict[Hashable, float] = {}  # for how long each is still looked at in each look, unsettled
        self._coarse_s = self._restless_s = -np.inf  # when the whole frame was, and restless motion
        self._relit = False  # the light changed, and the sweep has not started since
        self._turn = False

    def plan(self, moving: Moving, expected: Sequence[Expected], now_s: float, selection: Selection) -> Plan:
        """As `Planner.plan`; the regions are put into `selection`."""
        passed_s = self._arrive(moving, now_s)
        faces = [(track.bbox_px, track.spread_px) for track in expected]
        demand = Demand(self.size, self._region_px, moving, self._waiting, faces, now_s)
        if now_s - self._restless_s < RESTLESS_PACE_S - EARLY_S:
            demand.spare_restless()
        active = demand.active or bool(expected)
        wants = self._tracks(expected, demand, passed_s) + self._coarse(demand.large) + self._tiles(passed_s, active)
        wants.sort(key=lambda want: -want.urgency)
        self._fill(selection, demand, wants)
        self._complete(selection, demand, expected)
        self._remember(selection.regions, expected, demand)
        return Plan(selection.regions, demand.due & ~demand.shown)

    def _arrive(self, moving: Moving, now_s: float) -> float:
        """Take in the frame's time and motion; how long ago the last look was."""
        passed_s = now_s - self._now_s
        if passed_s < 0:
            self._waiting.rewind(now_s)
            self._sweep.rewind(now_s)
            self._tracks_s = {key: min(looked_s, now_s) for key, looked_s in self._tracks_s.items()}
            self._coarse_s, self._restless_s = min(self._coarse_s, now_s), min(self._restless_s, now_s)
        self._relit |= moving.relit
        if self._relit and now_s - self._sweep.began_s >= RELIT_S:
            self._relit, self._coarse_s = False, -np.inf
            self._sweep.restart(now_s)
        self._waiting.move(moving.cells, now_s)
        self._now_s = now_s
        self._turn = not self._turn
        return max(0.0, passed_s)

    def _tracks(self, expected: Sequence[Expected], demand: Demand, passed_s: float) -> list[_Want]:
        """The tracks that are due. passed_s: since the last look."""
        wants = []
        for index, track in enumerate(expected):
            if not _in_frame(track.bbox_px, self.size):
                continue
            each_s = self._each_s(track, demand.stirs(index), passed_s)
            waited_s = self._now_s - self._tracks_s.get(track.key, self._now_s - NEW_S)
            if waited_s >= each_s - EARLY_S:
                urgency = (waited_s + LOOK_S) / max(each_s, LOOK_S)
                wants.append(_Want(urgency, self._around(track), track, index))
        return wants

    def _each_s(self, track: Expected, stirs: bool, passed_s: float) -> float:
        """How often the track wants to be looked at.

        Looks at somebody whose state stays in doubt, or is in doubt again and again, tell no more than looks at others;
        nor do those at where somebody was who is missing. Who stood still and stirs may be about to run.
        """
        patience_s = self._patience_s.get(track.key, UNSETTLED_S)
        if track.settled:
            patience_s = max(patience_s, min(patience_s + REGAINED_PER_S * passed_s, REGAINED_S))
        elif patience_s > 0:
            self._patience_s[track.key] = patience_s - min(passed_s, LOOK_S)  # one look, however long the pause
            left, top, right, bottom = track.bbox_px
            return SETTLED_S if track.spread_px > MISSING * max(right - left, bottom - top) else 0.0
        self._patience_s[track.key] = patience_s
        if track.still:
            return 0.0 if track.settled and stirs else STILL_S
        return SETTLED_S

    def _around(self, track: Expected) -> Region:
        """The region in which the track is expected."""
        left, top, right, bottom = track.bbox_px
        side = AROUND * max(right - left, bottom - top) + 2 * track.spread_px
        shorter_px = max(1.0, min(right - left, bottom - top))
        # Who may be anywhere is not found in a region so large that the face is too small in it.
        side = min(side, self._region_px * max(1.0, shorter_px / LEAST_SHOWN_PX))
        side = min(max(side, LEAST_PX), even(max(self.size)))
        face_px = FACE_PX if track.settled else UNSETTLED_FACE_PX
        scale = face_px / shorter_px
        if scale < NEAR_1_TO_1 or side > self._region_px:
            input_px = min(max(32 * round(side * min(1.0, scale) / 32), LEAST_PX), self._region_px)
            side = max(side, input_px)
            return placed(self.size, (left + right - side) / 2, (top + bottom - side) / 2, side, input_px)
        side = min(multiple(side - 16), self._region_px)
        return one_to_one(self.size, (left + right - side) / 2, (top + bottom - side) / 2, side, self._region_px)

    def _coarse(self, large: bool) -> list[_Want]:
        """The whole frame, at the start of a scene and while something large moves."""
        first = np.isinf(self._coarse_s)
        if first or (large and self._now_s - self._coarse_s >= COARSE_S - EARLY_S):
            waited_s = NEW_S if first else self._now_s - self._coarse_s
            return [_Want(max(COARSE_URGENCY, waited_s / COARSE_S), whole(self.size, self._region_px), coarse=True)]
        return []

    def _tiles(self, passed_s: float, active: bool) -> list[_Want]:
        """What the sweep wants."""
        tiles = self._sweep.wanted(self._now_s, passed_s, active)
        return [_Want(urgency, region, tile=True) for urgency, region in tiles]

    def _fill(self, selection: Selection, demand: Demand, wants: list[_Want]) -> None:
        """Take the most urgent of what is left, again and again, as long as it fits."""
        rejected = 0
        while rejected < REJECTED:
            urgency, cell = demand.most()
            want = wants.pop(0) if wants and wants[0].urgency >= urgency else None
            if want is None and urgency <= 0:
                break
            if want and want.track and any(_shows(region, want.track, self.size) for region in selection.regions):
                continue
            taken = selection.add(want.region if want else demand.region(cell, at_once=self._turn))
            rejected += taken is None
            if want is None:
                demand.settle(cell, taken)
                if demand.is_restless(cell):
                    demand.spare_restless()
                    self._restless_s = self._now_s if taken else self._restless_s
            elif taken:
                self._take(want, taken, demand)

    def _complete(self, selection: Selection, demand: Demand, expected: Sequence[Expected]) -> None:
        """Show whole whom a region cuts: half a face looks like somebody else's."""
        for index, track in enumerate(expected):
            if any(_cuts(region, track, self.size) for region in selection.regions) and not any(
                _shows(region, track, self.size) for region in selection.regions
            ):
                taken = selection.add(self._around(track))
                if taken:
                    demand.show(taken, index)

    def _take(self, want: _Want, taken: Region, demand: Demand) -> None:
        if want.track:
            self._tracks_s[want.track.key] = self._now_s
        if want.tile:
            self._sweep.visited(want.region, self._now_s)
        if want.coarse:
            self._coarse_s = self._now_s
        demand.show(taken, want.owner if want.track else None)

    def _remember(self, regions: Sequence[Region], expected: Sequence[Expected], demand: Demand) -> None:
        """What these regions show counts as looked at."""
        self._waiting.looked(demand.shown, self._now_s)
        for region in regions:
            if region.side <= FINE * region.input_px:
                self._sweep.looked(block(region, self.size, demand.cell_px), self._now_s)
        for track in expected:
            if any(_shows(region, track, self.size) for region in regions):
                self._tracks_s[track.key] = self._now_s
        keys = {track.key for track in expected}
        self._tracks_s = {key: looked_s for key, looked_s in self._tracks_s.items() if key in keys}
        self._patience_s = {key: left_s for key, left_s in self._patience_s.items() if key in keys}


def _shows(region: Region, track: Expected, size: Size) -> bool:
    """Whether the track's face is in the region wherever it may be, and large enough to be found."""
    left, top, right, bottom = track.bbox_px
    scale = region.input_px / region.side
    if scale < NEAR_1_TO_1 and scale * min(right - left, bottom - top) < LEAST_FACE_PX:
        return False
    room = track.spread_px + BESIDE * max(right - left, bottom - top)
    return (
        region.left <= max(0, left - room)
        and region.top <= max(0, top - room)
        and min(size[0], right + room) <= region.left + region.side
        and min(size[1], bottom + room) <= region.top + region.side
    )


def _cuts(region: Region, track: Expected, size: Size) -> bool:
    """Whether the edge of the region goes through the track's face."""
    left, top, right, bottom = track.bbox_px
    end_x, end_y = region.left + region.side, region.top + region.side
    if right <= region.left or bottom <= region.top or left >= end_x or top >= end_y:
        return False
    return (
        region.left > max(0, left)
        or region.top > max(0, top)
        or end_x < min(size[0], right)
        or end_y < min(size[1], bottom)
    )


def _in_frame(bbox_px: Bbox, size: Size) -> bool:
    """Whether any of it is in the frame."""
    left, top, right, bottom = bbox_px
    return right > 0 and bottom > 0 and left < size[0] and top < size[1]
