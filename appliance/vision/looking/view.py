"""The view of one camera: what it looks at, learned over minutes; and whether its picture is dark, blurred, covered or
shows something else. Pure: it is told what the camera shows, and when."""

from __future__ import annotations

import enum
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.faces import PictureFault
from appliance.vision.looking import structure as measures
from appliance.vision.looking.structure import COLUMNS, ROWS, Structure

Luma = NDArray[np.uint8]

LOOK_S = 1.0  # no look before this has passed since the last
SETTLES_S, LEVELS_PER_S = 20.0, 2.0  # how the lasting picture follows: who passes leaves nothing in it
JUDGE_S = 5.0
GAP_S = 60.0  # after a longer break it is as if the camera had just begun

LEARN_S = 600.0  # of pictures in which something can be seen
GLANCE_S = 30.0  # no look counts for more of that
SAME_WHILE_LEARNING = 0.3  # share of the places kept, else learning begins again
ADAPTS_S = 6 * 3600.0  # how the view follows the seasons, while it is well

LEAST_TELLING = 0.1  # share of the cells with edges, without which there is nothing to learn
DARK, DARK_PERCENT = 40, 95  # so much of a dark picture is below this level; black itself is 16 in most videos
LOST, FOUND = 0.1, 0.2  # share of the places kept: below the one the view is another, from the other on it is the same
UNSURE = 0.5  # below this a shift is looked for
SHIFT_FITS, SHIFT_BETTER = 0.55, 0.2  # correlation at a shift, at least, and by how much it is better than in place
FLAT = 1 / 3  # of the cells with edges that the view has: fewer, and something covers it
SOFT = 0.6  # of the sharpness that the view has
SHARP_S = 60.0  # the sharpest of so long is compared: who passes near by is out of focus

PATIENCE_S = {
    PictureFault.COVERED: 60.0,
    PictureFault.MOVED: 120.0,
    PictureFault.BLURRED: 180.0,
    PictureFault.DARK: 180.0,
}
WELL_S = 30.0


class Sight(enum.Enum):
    """What is told of a picture in which nothing is found to be wrong."""

    WELL = "well"
    UNSURE = "unsure"  # it breaks nothing off: neither what is wrong nor what is well


@dataclass(frozen=True, slots=True)
class Faulty:
    """What is wrong with a picture, and since when, seconds since 1970."""

    fault: PictureFault
    since_utc: float


@dataclass(frozen=True, slots=True)
class Known:
    """A view. sharp: None: nothing in it tells. size: width and height of the picture in which that holds, px."""

    structure: Structure
    sharp: float | None
    size: tuple[int, int]


class View:
    """What one camera looks at. `look` is for one thread; any other may read `faulty` and `learned`, or take another.

    learned: what was learned before, as `learned` gave it; garbage counts as nothing. faulty: what was wrong before.
    """

    def __init__(self, learned: bytes | None = None, faulty: Faulty | None = None) -> None:
        unpacked = measures.unpacked(learned) if learned else None
        self.faulty = faulty
        self._known = Known(*unpacked) if unpacked else None
        self._growing = _Growing()
        self._lasting: NDArray[np.float32] | None = None
        self._looked_s = self._judged_s = -math.inf
        self._sharp: deque[tuple[float, float]] = deque()
        self._course = _Course()

    @property
    def learned(self) -> bytes | None:
        """The view, to be kept; None: it is still being learned."""
        known = self._known
        return measures.packed(known.structure, known.sharp, known.size) if known else None

    def look(self, luma: Luma, rows: Callable[[], Luma], size: tuple[int, int], now_s: float, utc: float) -> None:
        """The next picture; not all of them are taken.

        luma: as for `Motion.look`. rows: some whole rows of the picture. size: its width and height, px. now_s: when
        the camera showed it, by the monotonic clock; what is before the last one is passed over. utc: the same.
        """
        elapsed_s = now_s - self._looked_s
        if elapsed_s < LOOK_S or luma.shape[0] < ROWS or luma.shape[1] < COLUMNS:
            return
        self._looked_s = now_s
        if elapsed_s > GAP_S or self._lasting is None or self._lasting.shape != luma.shape:
            self._begin(luma, now_s)
            return
        difference = luma - self._lasting
        difference *= np.float32(1 - math.exp(-elapsed_s / SETTLES_S))
        bound = LEVELS_PER_S * elapsed_s
        self._lasting += np.clip(difference, -bound, bound)
        if now_s - self._judged_s >= JUDGE_S:
            passed_s, self._judged_s = min(now_s - self._judged_s, GLANCE_S), now_s
            self._remember_sharpness(rows(), now_s)
            self._take(self._found(luma, size, passed_s), now_s, utc)

    def _begin(self, luma: Luma, now_s: float) -> None:
        self._lasting = luma.astype(np.float32)
        self._judged_s = now_s
        self._sharp.clear()
        self._course = _Course()

    def _remember_sharpness(self, rows: Luma, now_s: float) -> None:
        sharp = measures.sharpness(rows)
        if sharp is not None:
            self._sharp.append((now_s, sharp))
        while self._sharp and self._sharp[0][0] < now_s - SHARP_S:
            self._sharp.popleft()

    def _found(self, luma: Luma, size: tuple[int, int], passed_s: float) -> PictureFault | Sight:
        """What is wrong just now, if anything is."""
        if float(np.percentile(luma[::2, ::2], DARK_PERCENT)) < DARK:
            return PictureFault.DARK
        assert self._lasting is not None
        seen = measures.structure_of(self._lasting)
        sharp = max((each for _, each in self._sharp), default=None)
        if self._known is None:
            self._known = self._growing.add(seen, sharp, size, passed_s)
            return Sight.WELL
        found = _compared(self._known, seen, sharp, size)
        if found is Sight.WELL and self.faulty is None:
            self._known = _adapted(self._known, seen, sharp, size, passed_s)
        return found

    def _take(self, found: PictureFault | Sight, now_s: float, utc: float) -> None:
        if isinstance(found, PictureFault):
            wrong_s = self._course.wrong(now_s)
            if wrong_s >= PATIENCE_S[found] and (self.faulty is None or self.faulty.fault is not found):
                self.faulty = Faulty(found, self.faulty.since_utc if self.faulty else utc - wrong_s)
        elif found is Sight.WELL and self._course.well(now_s) >= WELL_S:
            self.faulty = None


class _Course:
    """Since when all has been well, or something wrong, without a break. What cannot be told breaks neither."""

    def __init__(self) -> None:
        self._wrong_s: float | None = None
        self._well_s: float | None = None

    def wrong(self, now_s: float) -> float:
        """Something is wrong; for how long by now."""
        self._well_s = None
        if self._wrong_s is None:
            self._wrong_s = now_s
        return now_s - self._wrong_s

    def well(self, now_s: float) -> float:
        """All is well; for how long by now."""
        self._wrong_s = None
        if self._well_s is None:
            self._well_s = now_s
        return now_s - self._well_s


class _Growing:
    """A view while it is learned: the mean of what was seen in LEARN_S."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._sum = np.zeros((3, ROWS, COLUMNS), np.float32)
        self._passed_s = 0.0
        self._sharp: list[float] = []

    def add(self, seen: Structure, sharp: float | None, size: tuple[int, int], passed_s: float) -> Known | None:
        """What was seen for so long; the view, once it is learned."""
        if measures.telling_share(seen) < LEAST_TELLING:
            return None
        if self._passed_s:
            same = measures.kept(self._sum / self._passed_s, seen)
            if same is not None and same < SAME_WHILE_LEARNING:
                self._begin()
        self._sum += seen * np.float32(passed_s)
        self._passed_s += passed_s
        if sharp is not None:
            self._sharp.append(sharp)
        if self._passed_s < LEARN_S:
            return None
        return Known(self._sum / self._passed_s, float(np.median(self._sharp)) if self._sharp else None, size)


def _compared(known: Known, seen: Structure, sharp: float | None, size: tuple[int, int]) -> PictureFault | Sight:
    """What is wrong with what is seen of a view, if anything is."""
    same = measures.kept(known.structure, seen)
    if same is None:
        return Sight.UNSURE
    is_soft = sharp is not None and known.sharp is not None and known.size == size and sharp < SOFT * known.sharp
    if same < UNSURE:
        in_place, shifted = measures.shift(known.structure, seen)
        if shifted >= SHIFT_FITS and shifted - in_place >= SHIFT_BETTER:
            return PictureFault.MOVED
    if same < LOST:
        if measures.telling_share(seen) < FLAT * measures.telling_share(known.structure):
            return PictureFault.COVERED
        return PictureFault.BLURRED if is_soft else PictureFault.MOVED
    if is_soft:
        return PictureFault.BLURRED
    return Sight.UNSURE if same < FOUND else Sight.WELL


def _adapted(known: Known, seen: Structure, sharp: float | None, size: tuple[int, int], passed_s: float) -> Known:
    """The view with a little of what is seen in it; its sharpness anew where the picture has another size."""
    part = np.float32(passed_s / ADAPTS_S)
    before = known.sharp if known.size == size else None
    now = sharp if before is None or sharp is None else before + float(part) * (sharp - before)
    return Known(known.structure + part * (seen - known.structure), before if now is None else now, size)
