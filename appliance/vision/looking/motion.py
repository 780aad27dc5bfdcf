"""Motion: where a frame differs from what the camera usually shows."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.vision.looking.scene import Levels, Light, kept, kept_somewhere, light_between

Cells = NDArray[np.bool_]
"""rows x columns of square cells that cover the frame; the last row and column may reach beyond it."""

Luma = NDArray[np.uint8]

CELL_SAMPLES = 4  # side of a cell: somebody far away (a face of 28 px at 1080p) fills two by six of them

SETTLES_S = 4.0  # time constant of the background and of what is usual
ABSORBED_PER_S = 3.5  # levels: somebody who stands out by 50 and stays becomes background in about 14 s
USUAL_RISES_PER_S = 0.5  # levels: slow, so that people who pass do not make a cell deaf
STILL_S = 1.5  # what differs from the background but does not change any more is no motion after this
EARLIER_S = 0.4  # changed: from a look at least this old, so that slow walkers have

LEAST = 4.0  # levels above the usual difference; compression noise stays below
CHANGED = 1.3  # times that, since an earlier look has noise of its own

# A limit rises while its cell is above it and falls otherwise, so that a cell moves at most 13 % of the time by little.
RARE_PER_S = 1.2, 0.18  # levels up and down
RARE = 10.0  # levels at most, because people come often, too, where there is a door
# One more for all cells, by how many stand out alone, as drops and flakes do.
GRAIN_PER_S = 3.0, 0.5
GRAIN = 15.0
ALONE = 4, 0.1  # more than so many, and than this share of those with a neighbour, are drops

RESTLESS_S = 15.0  # time constant of the share of the time that something moves in or beside a cell
RESTLESS = 0.4  # from this share on the cell is restless...
LOUDER = 1.3  # ...unless it moves by so many times more than is usual there
LOUD_S = 2.0, 20.0  # time constants of that, up and down

# Any of these asks whether the light or the scene changed.
MANY = 0.15  # share of the cells that stand out
PUMPING = 3.0  # levels by which half of the cells differ more than usual
SHIFTED = 2.0  # levels by which the mean of the frame differs

EXPLAINED = 0.5  # share of the cells that a change of light must explain
RELIT = 6.0  # levels: smaller ones, as of auto-exposure, are compensated silently
LEFT_OVER = 0.3  # share of the cells that may stand out after that; with more the background is replaced
CUT = 0.08  # share of the scene that is still there; a large person leaves more
SHAKEN = 0.2  # the same where the best shift of all was chosen, by which some of it fits by chance


@dataclass(frozen=True, eq=False)
class Moving:
    """Where a frame differs from the background.

    cell_px: the side of a cell, px of the frame. cells: where something moves. restless: those of them where something
    moves all the time (a flag, a fan, rain). relit: the light changed everywhere, so that motion tells nothing for a
    moment. cut: the camera shows another scene.
    """

    cell_px: int
    cells: Cells
    restless: Cells
    relit: bool = False
    cut: bool = False

    @property
    def stirs(self) -> bool:
        """Whether there is a reason to look: not what moves all the time."""
        return self.cut or self.relit or bool((self.cells & ~self.restless).any())


class Motion:
    """Tells what moves from the slow background of one stream."""

    def __init__(self) -> None:
        self._background: _Background | None = None

    def look(self, luma: Luma, step_px: int, now_s: float) -> Moving:
        """What moves in the next frame.

        luma: rows x columns, every `step_px`-th sample of the frame both ways. now_s: when the camera showed it; looks
        may come at any interval, and a time before the last one counts as the same. At the first look, and when the
        size of the frame has changed, nothing moves.
        """
        background = self._background
        if background is None or (*luma.shape, step_px) != background.kind:
            self._background = _Background(luma, step_px, now_s)
            return self._background.still()
        moving = background.look(luma, now_s)
        if moving.cut:
            self._background = _Background(luma, step_px, background.now_s)
        return moving


class _Replaced(enum.Enum):
    """Why a background no longer holds."""

    RELIT = "relit"
    CUT = "cut"


class _Background:
    """What a camera usually shows, and by how much that varies.

    A running average whose steps are bounded, which makes it nearly a running median (the idea of sigma-delta
    backgrounds: Manzanera and Richefeu, "A new motion detection algorithm based on sigma-delta background estimation",
    2007). A cell moves where its samples differ, in the mean, from the background by well more than is usual there, and
    where they have changed lately: the place that somebody left, and a bag, differ but do not move (two backgrounds, a
    slow and a fast one: Porikli, "Detection of temporarily static regions by processing video at different frame
    rates", 2007). One cell alone is noise. All rates are per second.
    """

    def __init__(self, luma: Luma, step_px: int, now_s: float) -> None:
        height, width = luma.shape
        rows, columns = -(-height // CELL_SAMPLES), -(-width // CELL_SAMPLES)
        self.kind = (height, width, step_px)
        self.now_s = now_s
        self._cell_px = CELL_SAMPLES * step_px
        # Beyond the frame the samples of all three stay 0, so that cells at its edge are like any other.
        self._samples = np.zeros((rows * CELL_SAMPLES, columns * CELL_SAMPLES), np.float32)
        self._seen[:] = 1
        self._per_sample: Levels = np.asarray(1 / _sums(self._samples))
        self._seen[:] = luma
        self._usual_samples = self._samples.copy()
        self._earlier_samples = self._samples.copy()
        self._earlier_s = now_s
        self._last = luma.copy()
        self._usual = np.ones((rows, columns), np.float32)  # mean size of the difference, levels
        self._rare = np.zeros((rows, columns), np.float32)
        self._grain = 0.0
        self._busy = np.zeros((rows, columns), np.float32)
        self._loud = np.zeros((rows, columns), np.float32)
        self._changed_s = np.full((rows, columns), -math.inf)
        self._moved: Cells = np.zeros((rows, columns), np.bool_)  # at the last look

    # Views, made when wanted: a copy of this object would have views of its own, of nothing.
    @property
    def _seen(self) -> Levels:
        return self._samples[: self.kind[0], : self.kind[1]]

    @property
    def _usual_seen(self) -> Levels:
        seen: Levels = self._usual_samples[: self.kind[0], : self.kind[1]]
        return seen

    def still(self, relit: bool = False, cut: bool = False) -> Moving:
        """Nothing moves."""
        none = np.zeros(self._usual.shape, np.bool_)
        return Moving(self._cell_px, none, none.copy(), relit, cut)

    def look(self, luma: Luma, now_s: float) -> Moving:
        elapsed_s = max(0.0, now_s - self.now_s)
        self.now_s += elapsed_s
        self._seen[:] = luma
        moving = self._compared(elapsed_s)
        self._last[:] = luma
        if self.now_s - self._earlier_s >= EARLIER_S:
            self._earlier_samples[:] = self._samples
            self._earlier_s = self.now_s
        return moving

    def _compared(self, elapsed_s: float) -> Moving:
        difference, excess = self._differences()
        common = _common(excess)
        out = self._standing_out(excess - common, common)
        relit = False
        if abs(float(difference.mean())) > SHIFTED or common > PUMPING or _share(out) > MANY:
            light = self._light()
            if light.explains < EXPLAINED:
                if replaced := self._replaced(difference):
                    self._replace()
                    return self.still(replaced is _Replaced.RELIT, replaced is _Replaced.CUT)
                common = min(common, PUMPING)  # what differs nearly everywhere is no noise but something large
            elif light.size > 0:
                relit = light.size >= RELIT and _share(self._changed()) > MANY
                np.clip(self._usual_seen * light.gain + light.offset, 0, 255, out=self._usual_seen)
                difference, excess = self._differences()
                common = _common(excess)
            out = self._standing_out(excess - common, common)
            if relit:
                if _share(out) > LEFT_OVER:
                    self._replace()
                    return self.still(relit=True)
                out = self._relit(out, difference)
        moving = self._moving(out, excess - common, elapsed_s)
        self._moved = moving
        restless = self._restless(moving, excess - common, elapsed_s)
        self._learn(difference, excess, elapsed_s)
        return Moving(self._cell_px, moving, restless, relit)

    def _differences(self) -> tuple[Levels, Levels]:
        """The difference of each sample from the background, and by how much those of a cell are larger than usual."""
        difference = self._samples - self._usual_samples
        return difference, _sums(np.abs(difference)) * self._per_sample - self._usual

    def _standing_out(self, excess: Levels, common: float) -> Cells:
        """Cells that differ well more than usual. common: by how much the whole frame does, as a key frame from the
        frames before it."""
        return np.asarray(excess > np.maximum(LEAST, self._usual + common))

    def _changed(self) -> Cells:
        """Cells that differ from the earlier look."""
        size = _sums(np.abs(self._samples - self._earlier_samples)) * self._per_sample
        return np.asarray(size > np.maximum(self._usual + LEAST, 2 * self._usual) * CHANGED)

    def _moving(self, out: Cells, excess: Levels, elapsed_s: float) -> Cells:
        """Those that stand out, have changed lately, do so rarely, and are not alone."""
        busy = _follows(elapsed_s, RESTLESS_S)
        up, down = (rate * elapsed_s for rate in RARE_PER_S)
        if not out.any():
            self._busy *= 1 - busy
            np.maximum(self._rare - down, 0, out=self._rare)
            self._grain = max(0.0, self._grain - GRAIN_PER_S[1] * elapsed_s)
            return out
        self._changed_s[out & self._changed()] = self.now_s
        out &= self._changed_s >= self.now_s - STILL_S
        self._busy += ((_around(out) > 0) - self._busy) * busy
        moving = out & (excess > np.maximum(LEAST, self._usual) + np.maximum(self._rare, self._grain))
        self._rare += np.where(moving, up, -down)
        np.clip(self._rare, 0, RARE, out=self._rare)
        together = moving & (_around(moving) >= 2)
        beside = np.count_nonzero(together)
        drops = np.count_nonzero(moving) - beside > max(ALONE[0], ALONE[1] * beside)
        self._grain += elapsed_s * (GRAIN_PER_S[0] if drops else -GRAIN_PER_S[1])
        self._grain = min(max(0.0, self._grain), GRAIN)
        return np.asarray(together)

    def _restless(self, moving: Cells, excess: Levels, elapsed_s: float) -> Cells:
        if not moving.any():
            return np.zeros_like(moving)
        restless = np.asarray(moving & (self._busy >= RESTLESS) & (excess <= LOUDER * _loudest(self._loud)))
        more = excess - self._loud
        up, down = (_follows(elapsed_s, time_s) for time_s in LOUD_S)
        self._loud += moving * more * np.where(more > 0, up, down)
        return restless

    def _learn(self, difference: Levels, excess: Levels, elapsed_s: float) -> None:
        """Takes the frame into the background; `difference` is used up."""
        part = _follows(elapsed_s, SETTLES_S)
        bound = ABSORBED_PER_S * elapsed_s
        difference *= part
        np.clip(difference, -bound, bound, out=difference)
        self._usual_samples += difference
        self._usual += np.minimum(excess * part, USUAL_RISES_PER_S * elapsed_s)

    def _light(self) -> Light:
        """The change of light since the background, from the means of two by two cells."""
        samples = _fours(np.reciprocal(self._per_sample))
        before, seen = _fours(_sums(self._usual_samples)) / samples, _fours(_sums(self._samples)) / samples
        return light_between(before.ravel(), seen.ravel())

    def _replaced(self, difference: Levels) -> _Replaced | None:
        """Whether the scene itself, or its light in a way that no gain and offset describe, is another since the last
        look; and not somebody large, or a camera that shakes."""
        since_last = np.abs(self._seen[::2, ::2] - self._last[::2, ::2]).mean()
        if since_last < RELIT or since_last < np.abs(difference).mean() / 2:
            return None
        noise = float(np.median(self._usual))
        in_place = kept(self._usual_seen, self._seen, noise)
        if in_place is None or (in_place >= EXPLAINED and abs(float(difference.mean())) >= RELIT / 2):
            return _Replaced.RELIT
        last = self._last.astype(np.float32)
        for kept_by, least in ((kept, CUT), (kept_somewhere, SHAKEN)):
            for before in (self._usual_seen, last):
                share = kept_by(before, self._seen, noise)
                if share is not None and share >= least:
                    return None
        return _Replaced.CUT

    def _relit(self, out: Cells, difference: Levels) -> Cells:
        """Those that stand out after a change of light and are somebody who moved before; the rest is what the other
        light shows or hides, and becomes background. `difference` is none there any more."""
        known = np.asarray(out & (_around(self._moved) > 0))
        samples = (out & ~known).repeat(CELL_SAMPLES, 0).repeat(CELL_SAMPLES, 1)
        self._usual_samples[samples] = self._samples[samples]
        difference[samples] = 0
        return known

    def _replace(self) -> None:
        """The frame becomes the background at once."""
        self._usual_samples[:] = self._samples
        self._earlier_samples[:] = self._samples
        self._earlier_s = self.now_s


def _follows(elapsed_s: float, time_s: float) -> float:
    """How far a running average of that time constant follows in the time, 0 to 1."""
    return 1 - math.exp(-elapsed_s / time_s)


def _share(cells: Cells) -> float:
    return np.count_nonzero(cells) / cells.size


def _common(excess: Levels) -> float:
    """By how much half of the cells differ more than usual; 0 at least."""
    some = excess[::2, ::2].ravel()
    return max(0.0, float(np.partition(some, some.size // 2)[some.size // 2]))


def _sums(samples: Levels) -> Levels:
    """The sum of the samples of each cell."""
    rows = samples[0::4] + samples[1::4]
    rows += samples[2::4]
    rows += samples[3::4]
    sums = rows[:, 0::4] + rows[:, 1::4]
    sums += rows[:, 2::4]
    sums += rows[:, 3::4]
    return np.asarray(sums)


def _fours(cells: Levels) -> Levels:
    """The sums of two by two cells; at the end of a row or column of those that are there."""
    rows = np.add.reduceat(cells, np.arange(0, cells.shape[0], 2), 0)
    return np.asarray(np.add.reduceat(rows, np.arange(0, cells.shape[1], 2), 1))


def _around(cells: Cells) -> NDArray[np.uint8]:
    """How many are set of the nine cells that are each and those beside it."""
    padded = np.zeros((cells.shape[0] + 2, cells.shape[1] + 2), np.uint8)
    padded[1:-1, 1:-1] = cells
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return np.asarray(rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:])


def _loudest(cells: Levels) -> Levels:
    """The largest of the nine."""
    padded = np.zeros((cells.shape[0] + 2, cells.shape[1] + 2), np.float32)
    padded[1:-1, 1:-1] = cells
    rows = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
    return np.asarray(np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:]))
