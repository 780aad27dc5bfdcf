"""A planner that is shown made-up motion, look by look, and what its plans show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from appliance.faces import Bbox
from appliance.vision.looking.motion import Cells, Moving
from appliance.vision.looking.region import Region
from appliance.vision.looking.regions import Expected, Plan, Planner

REGION_PX = 320
HD = (1920, 1080)
SIZES = [HD, (1280, 720), (3840, 2160), (1080, 1920), (640, 360), (427, 241), (320, 240), (100, 60)]
LOOK_S = 0.1
PLENTY_MS = 10_000.0
Size = tuple[int, int]
Boxes = Sequence[Bbox]


def cost_ms(input_px: int) -> float:
    """A network whose cost grows with the area: 3 ms for a region of 320 px."""
    return 3 * (input_px / 320) ** 2


def cell_px(size: Size) -> int:
    return 32 if max(size) > 1000 else 16


def moving_in(size: Size, rectangles: Boxes, restless: Boxes = (), **flags: bool) -> Moving:
    """Motion in all cells that the rectangles (left, top, right, bottom; px) touch; `restless` ones move always."""
    side = cell_px(size)
    cells = np.zeros((-(-size[1] // side), -(-size[0] // side)), np.bool_)
    always = cells.copy()
    for grid, several in ((cells, [*rectangles, *restless]), (always, restless)):
        for left, top, right, bottom in several:
            grid[max(0, int(top // side)) : max(0, int(-(-bottom // side)))][
                :, max(0, int(left // side)) : max(0, int(-(-right // side)))
            ] = True
    return Moving(side, cells, always, **flags)


def held(region: Region, size: Size, moving: Moving) -> Cells:
    """The cells of which every px that is in the frame is in the region."""
    rows, columns = (np.arange(cells) * moving.cell_px for cells in moving.cells.shape)
    across = (columns >= region.left) & (np.minimum(columns + moving.cell_px, size[0]) <= region.left + region.side)
    down = (rows >= region.top) & (np.minimum(rows + moving.cell_px, size[1]) <= region.top + region.side)
    both: Cells = down[:, None] & across
    return both


def seen_by(plan: Plan, size: Size, moving: Moving) -> Cells:
    """The cells that are in a region; not in one that shows so much that only large faces are seen in it."""
    seen = np.zeros_like(moving.cells)
    for region in plan.regions:
        if region.side <= 3.6 * region.input_px:
            seen |= held(region, size, moving)
    return seen


def holds(region: Region, bbox_px: Bbox) -> bool:
    """Whether the whole face is in the region."""
    left, top, right, bottom = bbox_px
    return region.holds(left, top) and region.holds(max(left, right - 1), max(top, bottom - 1))


def face_px(region: Region, bbox_px: Bbox) -> float:
    """The width of the face in the network's input."""
    return (bbox_px[2] - bbox_px[0]) * region.input_px / region.side


@dataclass
class Watch:
    """Feeds a planner look by look."""

    size: Size = HD
    allowance_ms: float = PLENTY_MS
    now_s: float = 100.0
    planner: Planner = field(default_factory=lambda: Planner(REGION_PX, cost_ms))

    def look(self, moving: Moving | None = None, *expected: Expected, after_s: float = LOOK_S) -> Plan:
        self.now_s += after_s
        moving = moving or moving_in(self.size, [])
        return self.planner.plan(self.size, moving, expected, self.now_s, self.allowance_ms)

    def settle(self) -> None:
        """Let the first visit of the whole frame pass, and the sweep have its turn."""
        for _ in range(40):
            self.look()
        while not self.look().regions:
            pass


@dataclass(frozen=True)
class Walker:
    """Somebody whose face is `face` px wide; the face's top left corner is at (x, y)."""

    x: float
    y: float
    face: float

    @property
    def bbox_px(self) -> Bbox:
        return (self.x, self.y, self.x + self.face, self.y + 1.2 * self.face)

    @property
    def body(self) -> list[Bbox]:
        """Head, and from the shoulders to the feet; what moves when they walk."""
        x, y, face = self.x, self.y, self.face
        return [self.bbox_px, (x - 0.9 * face, y + 1.2 * face, x + 1.9 * face, y + 8 * face)]


def seen_in(plan: Plan, walker: Walker, least_px: float = 24) -> bool:
    """Whether a region shows the whole face, large enough to be found."""
    return any(
        holds(region, walker.bbox_px) and face_px(region, walker.bbox_px) >= min(walker.face, least_px)
        for region in plan.regions
    )
