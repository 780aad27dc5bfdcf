"""Motion: where a frame differs from what the camera usually shows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Cells = NDArray[np.bool_]
"""rows x columns of square cells that cover the frame; the last row and column may reach beyond it."""

Luma = NDArray[np.uint8]
Levels = NDArray[np.float32]
"""Luma, or differences of it, 0 to 255: one value per sample or per cell."""

CELL_SAMPLES = 4  # side of a cell: somebody far away (a face of 28 px at 1080p) fills two by six of them

SETTLES_S = 4.0  # time constant of the background and of what is usual
ABSORBED_PER_S = 3.5  # levels: somebody who stands out by 50 and stays becomes background in about 14 s
USUAL_RISES_PER_S = 0.5  # levels: a passer-by does not make a cell deaf, a flag does, within a minute or two
STILL_S = 1.5  # what differs from the background but does not change any more is no motion after this
EARLIER_S = 0.4  # it is compared with a look at least this old, for slow movers

LEAST = 4.0  # levels above the usual difference; compression noise stays below it
CHANGED = 1.3  # the same, against the earlier look, which has noise of its own: this many times
RESTLESS_S = 15.0  # time constant of how much of the time a cell moves
RESTLESS = 0.5  # from this share on it is restless...
LOUDER = 1.5  # ...unless it moves by so many times more than is usual for it
LOUD_S = 2.0, 20.0  # time constants of that usual motion, upwards and downwards

MANY = 0.15  # share of cells that move, from which on the light is asked whether it changed
PUMPING = 3.0  # levels: half of the cells differ by this much more than usual: the same
EXPLAINED = 0.5  # share of the cells that one change of gain and offset must explain
RELIT = 6.0  # levels: a change of light of this size is called one
LEFT_OVER = 0.3  # share of cells that may move after the light was compensated; with more the background is replaced


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


class Motion:
    """The slow background of one stream.

    Background: a running average whose steps are bounded, which makes it nearly a running median (sigma-delta:
    Manzanera and Richefeu, "A new motion detection algorithm based on sigma-delta background estimation", 2007).
    What differs from it must also have changed lately (two backgrounds, a slow and a fast one: Porikli, "Detection of
    temporarily static regions by processing video at different frame rates", 2007), so that the place somebody left
    and somebody's bag do not move. A cell moves where the mean difference of its samples is well above what is usual
    there; single cells are noise. All rates are per second, so looks may come at any interval.
    """

    def __init__(self) -> None:
        self._kind: tuple[int, ...] = ()  # shape of the luma and its step: another one starts again

    def look(self, luma: Luma, step_px: int, now_s: float) -> Moving:
        """What moves in the next frame.

        luma: rows x columns, every `step_px`-th sample of the frame both ways. now_s: when the camera showed it; a time
        before the last one counts as the same. At the first look nothing moves.
        """
        if self._kind != (*luma.shape, step_px):
            self._begin(luma, step_px, now_s)
            return self._nothing()
        elapsed_s = max(0.0, now_s - self._now_s)
        self._now_s += elapsed_s
        self._seen[:] = luma
        moving = self._compared(elapsed_s)
        self._last[:] = luma
        if self._now_s - self._earlier_s >= EARLIER_S:
            self._earlier[:] = self._padded
            self._earlier_s = self._now_s
        return moving

    def _begin(self, luma: Luma, step_px: int, now_s: float) -> None:
        height, width = luma.shape
        rows, columns = -(-height // CELL_SAMPLES), -(-width // CELL_SAMPLES)
        self._kind = (height, width, step_px)
        self._cell_px = CELL_SAMPLES * step_px
        self._now_s = self._earlier_s = now_s
        # Beyond the frame all of these are 0 at all times, so that cells at its edge are like any other.
        self._padded = np.zeros((rows * CELL_SAMPLES, columns * CELL_SAMPLES), np.float32)
        self._seen = self._padded[:height, :width]
        self._seen[:] = luma
        self._background = self._padded.copy()
        self._earlier = self._padded.copy()
        self._last = luma.copy()
        inside = np.zeros_like(self._padded)
        inside[:height, :width] = 1
        self._per_sample = (1 / cell_sums(inside)).astype(np.float32)
        self._usual = np.ones((rows, columns), np.float32)
        self._changed_s = np.full((rows, columns), -math.inf)
        self._busy = np.zeros((rows, columns), np.float32)  # share of the time that the cell moves
        self._loud = np.zeros((rows, columns), np.float32)  # by how much it then does

    def _nothing(self, relit: bool = False, cut: bool = False) -> Moving:
        none = np.zeros(self._usual.shape, np.bool_)
        return Moving(self._cell_px, none, none.copy(), relit, cut)

    def _compared(self, elapsed_s: float) -> Moving:
        relit = False
        difference, away = self._away()
        excess = away - self._usual
        pumping = max(0.0, float(np.median(excess[::2, ::2])))
        out = self._standing_out(excess, pumping)
        if pumping > PUMPING or np.count_nonzero(out) > MANY * out.size:
            light = self._light()
            if light.explains < EXPLAINED:
                if structure_replaced := self._other_scene():
                    self._replace()
                    return self._nothing(relit=structure_replaced == "relit", cut=structure_replaced == "cut")
                pumping = min(pumping, PUMPING)
            else:
                relit = light.size >= RELIT
                self._seen_background()[:] = np.clip(self._seen_background() * light.gain + light.offset, 0, 255)
                difference, away = self._away()
                excess = away - self._usual
                pumping = max(0.0, float(np.median(excess[::2, ::2])))
            out = self._standing_out(excess, pumping)
            if relit and np.count_nonzero(out) > LEFT_OVER * out.size:
                self._replace()
                return self._nothing(relit=True)
        moving = self._moving(out)
        restless = self._restless(moving, excess, elapsed_s)
        self._learn(difference, excess, elapsed_s)
        return Moving(self._cell_px, moving, restless, relit)

    def _seen_background(self) -> Levels:
        height, width = self._seen.shape
        return self._background[:height, :width]

    def _away(self) -> tuple[Levels, Levels]:
        """The difference of every sample from the background, and the mean of its size in every cell."""
        difference = self._padded - self._background
        return difference, cell_sums(np.abs(difference)) * self._per_sample

    def _standing_out(self, excess: Levels, pumping: float) -> Cells:
        """Cells that differ well above the usual. pumping: by how much more than usual the whole frame does, such as a
        key frame beside the frames before it."""
        return np.asarray(excess - pumping > np.maximum(LEAST, self._usual + pumping))

    def _moving(self, out: Cells) -> Cells:
        """Those that stand out, have a neighbour that does, and have changed lately."""
        if not out.any():
            return out
        out &= neighbours(out) >= 2  # itself and another
        changed = cell_sums(np.abs(self._padded - self._earlier)) * self._per_sample
        changed_now = changed > np.maximum(self._usual + LEAST, 2 * self._usual) * CHANGED
        self._changed_s[out & changed_now] = self._now_s
        return np.asarray(out & (self._changed_s >= self._now_s - STILL_S))

    def _restless(self, moving: Cells, excess: Levels, elapsed_s: float) -> Cells:
        restless = moving & (self._busy >= RESTLESS) & (excess <= LOUDER * self._loud)
        self._busy += (moving - self._busy) * share(elapsed_s, RESTLESS_S)
        if moving.any():
            more = excess - self._loud
            up, down = (share(elapsed_s, time_s) for time_s in LOUD_S)
            self._loud += np.where(moving, np.where(more > 0, more * up, more * down), 0)
        return restless

    def _learn(self, difference: Levels, excess: Levels, elapsed_s: float) -> None:
        part = share(elapsed_s, SETTLES_S)
        bound = ABSORBED_PER_S * elapsed_s
        difference *= part
        np.clip(difference, -bound, bound, out=difference)
        self._background += difference
        self._usual += np.minimum(excess * part, USUAL_RISES_PER_S * elapsed_s)

    def _replace(self) -> None:
        """The frame becomes the background at once."""
        self._background[:] = self._padded
        self._earlier[:] = self._padded
        self._earlier_s = self._now_s

    def _light(self) -> Light:
        background = (cell_sums(self._background) * self._per_sample).ravel()
        seen = (cell_sums(self._padded) * self._per_sample).ravel()
        return light_between(background, seen)

    def _other_scene(self) -> str:
        """Why the background no longer holds, if so: "cut" or "relit"."""
        noise = float(np.median(self._usual))
        background = self._seen_background()
        still_there, in_place = kept(background, self._seen, noise)
        if still_there is None or (in_place or 0) >= EXPLAINED:
            return "relit"
        if still_there >= CUT:
            return ""
        since_last, _ = kept(self._last.astype(np.float32), self._seen, noise)
        return "cut" if since_last is not None and since_last < CUT else ""


@dataclass(frozen=True)
class Light:
    """A change of light over the whole frame: seen = gain * before + offset.

    explains: share of the cells where that holds. size: levels by which it changed half of the cells at least.
    """

    gain: float
    offset: float
    explains: float
    size: float


TOLERANCE = 2.5  # levels: cell means may differ by this much and be explained
TRIES = 48


def light_between(before: Levels, seen: Levels) -> Light:
    """The change that explains most of the cell means: consensus of pairs of cells (RANSAC, Fischler and Bolles 1981)
    with a fixed choice of pairs, then least squares over the cells that agree."""
    pick = np.random.default_rng(1).integers(0, before.size, (2, TRIES))
    run = before[pick[1]] - before[pick[0]]
    rise = seen[pick[1]] - seen[pick[0]]
    wide = np.abs(run) > 8
    gains = np.concatenate(([1.0, 1.0], rise[wide] / run[wide]))
    offsets = np.concatenate(
        ([0.0, float(np.median(seen - before))], seen[pick[0]][wide] - gains[2:] * before[pick[0]][wide])
    )
    possible = (gains > 0.1) & (gains < 10)
    gains, offsets = gains[possible], offsets[possible]
    every = slice(None, None, max(1, before.size // 500))
    agree = np.abs(gains[:, None] * before[None, every] + offsets[:, None] - seen[None, every]) < TOLERANCE
    best = int(np.argmax(agree.sum(1)))
    gain, offset = float(gains[best]), float(offsets[best])
    close = np.abs(gain * before + offset - seen) < 2 * TOLERANCE
    if close.sum() >= 16 and float(np.std(before[close])) > 2:
        x, y = before[close], seen[close]
        gain = float(np.clip(np.cov(x, y)[0, 1] / np.var(x, ddof=1), 0.1, 10))
        offset = float(y.mean() - gain * x.mean())
    lit = gain * before + offset
    explains = float((np.abs(lit - seen) < TOLERANCE).mean())
    return Light(gain, offset, explains, float(np.median(np.abs(lit - before))))


BLOCK = 8  # samples of half the resolution
ALIKE = 0.8  # normalised correlation
CUT = 0.12  # share of the blocks that are still there


def kept(before: Levels, seen: Levels, noise: float) -> tuple[float | None, float | None]:
    """The share of blocks of a picture that another still shows; None where there is nothing to compare, as in the dark.

    The first with the camera shaken (the best shift, by phase correlation: Kuglin and Hines 1975), the second without.
    """
    small, other = halved(before), halved(seen)
    in_place = alike(small, other, noise)
    if in_place is None:
        return None, None
    down, right = shift_between(small, other)
    if (down, right) == (0, 0):
        return in_place, in_place
    height, width = small.shape
    moved = alike(
        small[max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)],
        other[max(0, down) : height - max(0, -down), max(0, right) : width - max(0, -right)],
        noise,
    )
    return max(in_place, moved or 0), in_place


def alike(before: Levels, seen: Levels, noise: float) -> float | None:
    """The share of blocks that show the same in both: the same pattern, or the same flat grey."""
    rows, columns = before.shape[0] // BLOCK, before.shape[1] // BLOCK

    def blocks(levels: Levels) -> Levels:
        cut = levels[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
        return cut.transpose(0, 2, 1, 3).reshape(rows * columns, BLOCK * BLOCK)

    one, two = blocks(before), blocks(seen)
    if not one.size:
        return None
    mean_one, mean_two = one.mean(1), two.mean(1)
    one, two = one - mean_one[:, None], two - mean_two[:, None]
    power_one, power_two = (one * one).mean(1), (two * two).mean(1)
    least = max(2.0, 1.5 * noise) ** 2
    flat_one, flat_two = power_one < least, power_two < least
    same = (one * two).mean(1) > ALIKE * np.sqrt(power_one * power_two)
    hidden_one = flat_one & ((mean_one < 30) | (mean_one > 225))
    hidden_two = flat_two & ((mean_two < 30) | (mean_two > 225))
    level = np.abs(mean_one - mean_two) < 5
    there = np.where(flat_one & flat_two, level, same & ~flat_one & ~flat_two)
    tells = ~hidden_one & ~hidden_two & (level | ~(flat_one & flat_two))
    if tells.sum() < max(4, 0.1 * tells.size):
        return None
    return float(there[tells].mean())


def halved(levels: Levels) -> Levels:
    height, width = levels.shape[0] // 2 * 2, levels.shape[1] // 2 * 2
    whole = levels[:height, :width]
    return np.asarray((whole[::2, ::2] + whole[1::2, ::2] + whole[::2, 1::2] + whole[1::2, 1::2]) / 4)


def shift_between(before: Levels, seen: Levels) -> tuple[int, int]:
    """By how many rows and columns `seen` has moved down and to the right; at most a quarter of the picture."""
    height, width = before.shape
    cross = np.fft.rfft2(seen - seen.mean()) * np.conj(np.fft.rfft2(before - before.mean()))
    peak = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-6), (height, width))
    down, right = (int(v) for v in np.unravel_index(int(np.argmax(peak)), peak.shape))
    down, right = (down - height if down > height // 2 else down), (right - width if right > width // 2 else right)
    return (down, right) if abs(down) <= height // 4 and abs(right) <= width // 4 else (0, 0)


def cell_sums(samples: Levels) -> Levels:
    """The sum of the samples of each cell."""
    rows = samples[0::4] + samples[1::4]
    rows += samples[2::4]
    rows += samples[3::4]
    sums = rows[:, 0::4] + rows[:, 1::4]
    sums += rows[:, 2::4]
    sums += rows[:, 3::4]
    return sums


def neighbours(cells: Cells) -> NDArray[np.uint8]:
    """How many of the nine cells around and including each are set."""
    padded = np.zeros((cells.shape[0] + 2, cells.shape[1] + 2), np.uint8)
    padded[1:-1, 1:-1] = cells
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return np.asarray(rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:])


def share(elapsed_s: float, time_s: float) -> float:
    """How far a running average with that time constant follows in the time."""
    return 1 - math.exp(-elapsed_s / time_s)
