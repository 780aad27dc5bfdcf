"""Whether two pictures show the same scene: in another light, from a camera that shook, behind somebody, or not at all.

Asked only where much of a frame differs, so it may cost a millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.float32]
"""Luma, or differences of it, 0 to 255: one value per sample of a frame or per cell."""

TOLERANCE = 2.5  # levels by which the means of a cell may miss and be explained
PAIRS = 40
GAINS = 0.1, 10.0

BLOCK = 8  # side of a block, px of the halved picture
ALIKE = 0.8  # normalised correlation of two blocks that show the same
DARK, BRIGHT = 30, 225  # flat beyond these: whatever is there is hidden
BLACK = 24  # a row or column that is darker in both pictures is a bar beside a film
TELLING = 0.1  # share of the blocks that must have something to compare


@dataclass(frozen=True)
class Light:
    """A change of light over the whole frame: seen = gain * before + offset.

    explains: share of the cells where that holds. size: levels by which it changed half of the cells at least.
    """

    gain: float
    offset: float
    explains: float
    size: float


def light_between(before: Levels, seen: Levels) -> Light:
    """The change of light that explains most of the cells, of which both give the means.

    A consensus of pairs of cells (RANSAC: Fischler and Bolles 1981), always the same pairs, then least squares over the
    cells that agree: somebody who hides nearly half of the picture does not matter.
    """
    still = float((np.abs(seen - before) < TOLERANCE).mean())
    if still > 0.9:
        return Light(1.0, 0.0, still, 0.0)
    gain, offset = _agreed(before, seen)
    close = np.abs(gain * before + offset - seen) < 2 * TOLERANCE
    if np.count_nonzero(close) >= 16:
        x, y = before[close], seen[close]
        mean_x, mean_y = float(x.mean()), float(y.mean())
        spread = float(((x - mean_x) ** 2).mean())
        if spread > 4:
            gain = float(np.clip(((x - mean_x) * (y - mean_y)).mean() / spread, *GAINS))
            offset = mean_y - gain * mean_x
    lit = gain * before + offset
    explains = float((np.abs(lit - seen) < TOLERANCE).mean())
    return Light(gain, offset, explains, float(np.median(np.abs(lit - before))))


def _agreed(before: Levels, seen: Levels) -> tuple[float, float]:
    """The gain and offset, of those that pairs of cells suggest, that most cells agree with."""
    number = np.arange(PAIRS)
    one, two = (number * 97) % before.size, (number * 211 + before.size // 3) % before.size
    run, rise = before[two] - before[one], seen[two] - seen[one]
    wide = np.abs(run) > 8
    slopes = rise[wide] / run[wide]
    gains = np.concatenate(([1.0, 1.0], slopes))
    offsets = np.concatenate(([0.0, float(np.median(seen - before))], seen[one][wide] - slopes * before[one][wide]))
    some = slice(None, None, max(1, before.size // 250))
    agree = np.abs(gains[:, None] * before[some] + offsets[:, None] - seen[some]) < TOLERANCE
    votes = agree.sum(1) * ((gains > GAINS[0]) & (gains < GAINS[1]))
    best = int(np.argmax(votes))
    return float(gains[best]), float(offsets[best])


def kept(before: Levels, seen: Levels, noise: float) -> float | None:
    """The share of the blocks of a picture that another shows in the same place; None where nothing can be told, as in
    the dark. noise: mean size of the difference of a sample from itself, levels."""
    before, seen = _without_bars(before, seen)
    return _alike(_halved(before), _halved(seen), noise)


def kept_somewhere(before: Levels, seen: Levels, noise: float) -> float | None:
    """The same, wherever a shake of the camera moved the picture to.

    The shift is found by phase correlation (Kuglin and Hines, "The phase correlation image alignment method", 1975).
    """
    before, seen = _without_bars(before, seen)
    before, seen = _halved(before), _halved(seen)
    if not before.size:
        return None
    height, width = before.shape
    down, right = _shift(before, seen)
    return _alike(
        before[max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)],
        seen[max(0, down) : height - max(0, -down), max(0, right) : width - max(0, -right)],
        noise,
    )


def _alike(before: Levels, seen: Levels, noise: float) -> float | None:
    """The share of blocks that show the same in both: the same pattern in whatever light, or the same flat grey."""
    one, two = _blocks(before), _blocks(seen)
    if not one.size:
        return None
    mean_one, mean_two = one.mean(1), two.mean(1)
    one, two = one - mean_one[:, None], two - mean_two[:, None]
    power_one, power_two = (one * one).mean(1), (two * two).mean(1)
    least = max(2.0, 1.5 * noise) ** 2
    flat_one, flat_two = power_one < least, power_two < least
    both_flat = flat_one & flat_two
    same_level = np.abs(mean_one - mean_two) < 2 * TOLERANCE
    same_pattern = ((one * two).mean(1) > ALIKE * np.sqrt(power_one * power_two)) & ~flat_one & ~flat_two
    tells = ~_hidden(flat_one, mean_one) & ~_hidden(flat_two, mean_two) & (same_level | ~both_flat)
    if np.count_nonzero(tells) < max(4, TELLING * tells.size):
        return None
    return float(np.where(both_flat, same_level, same_pattern)[tells].mean())


def _hidden(flat: NDArray[np.bool_], mean: Levels) -> NDArray[np.bool_]:
    return np.asarray(flat & ((mean < DARK) | (mean > BRIGHT)))


def _blocks(levels: Levels) -> Levels:
    """blocks x px of a block; what is left over at the right and the bottom is dropped."""
    rows, columns = levels.shape[0] // BLOCK, levels.shape[1] // BLOCK
    squares = levels[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    return np.asarray(squares.transpose(0, 2, 1, 3).reshape(rows * columns, BLOCK * BLOCK))


def _without_bars(before: Levels, seen: Levels) -> tuple[Levels, Levels]:
    for _ in range(2):
        shown = (before.max(1, initial=0) >= BLACK) | (seen.max(1, initial=0) >= BLACK)
        before, seen = before[shown].T, seen[shown].T
    return before, seen


def _halved(levels: Levels) -> Levels:
    height, width = levels.shape[0] // 2 * 2, levels.shape[1] // 2 * 2
    even = levels[:height, :width]
    return np.asarray((even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4)


def _shift(before: Levels, seen: Levels) -> tuple[int, int]:
    """By how many px `seen` has moved down and to the right; none where that is more than a quarter of the picture."""
    height, width = before.shape
    cross = np.fft.rfft2(seen - seen.mean()) * np.conj(np.fft.rfft2(before - before.mean()))
    peaks = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-6), (height, width))
    down, right = divmod(int(np.argmax(peaks)), width)
    down, right = down - height * (down > height // 2), right - width * (right > width // 2)
    return (down, right) if abs(down) <= height // 4 and abs(right) <= width // 4 else (0, 0)
