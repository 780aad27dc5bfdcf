"""The structure of a picture: where it has edges and how these run, in three numbers for each of 32 x 18 cells.

It tells two views apart in whatever light, and is too coarse to recognise anybody in: a cell is a 32nd of the width of
the picture, it knows neither brightness nor colour, and what it knows is averaged over minutes.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

Cells = NDArray[np.float32]
"""18 x 32: one value per cell."""
Structure = NDArray[np.float32]
"""3 x 18 x 32: of each cell the mean of gx * gx, gy * gy and gx * gy, squared levels per sample."""
Channels = NDArray[np.float32]
"""3 x 18 x 32: the logarithm of the energy of a cell, halved, and the two parts of its direction, each -1 to 1."""

ROWS, COLUMNS = 18, 32
NOISE: Final = 1.0  # squared levels: below this there are no edges but of noise
TELLING = 4.0  # a cell with more has edges of its own
AROUND = 2  # cells to each side with which a cell is compared
TELLING_AROUND = 4  # of the 25, at least, where anything is compared
FEWEST = 20  # such places, else the pictures cannot be compared
ALIKE = 0.5  # correlation from which on a place shows the same
FARTHEST = 6, 12  # shift that is looked for: rows, columns

SEGMENT_PX = 32  # a piece of a row, in which the steepest step is compared with all of its range
CONTRAST = 32.0  # levels: of fewer nothing is told
NOISES = 8.0  # and of so many times the usual step, which may be noise
FEWEST_SEGMENTS = 30
SHARPEST = 90  # per cent: the sharpest tenth of what has contrast; the rest may be out of focus, or be smooth

_HEADER = struct.Struct("<BBHH")  # version, sharpness, width, height
_VERSION = 1
_E_STEPS = 16.0  # of the stored logarithm
BYTES = _HEADER.size + 3 * ROWS * COLUMNS


def structure_of(luma: NDArray[np.float32]) -> Structure:
    """The structure of a picture: rows x columns of luma, at least as many as there are cells.

    The gradient is Sobel's; its structure tensor (Bigün and Granlund, "Optimal orientation detection of linear
    symmetry", 1987) does not know which side of an edge is the brighter one, so that it survives infrared light.
    """
    padded = np.pad(luma, 1, mode="edge")
    down = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    right = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    gx, gy = (down[:, 2:] - down[:, :-2]) / 8, (right[2:] - right[:-2]) / 8
    return np.stack([_means(gx * gx), _means(gy * gy), _means(gx * gy)])


def kept(before: Structure, seen: Structure) -> float | None:
    """The share of the places with edges in `before` that show the same in `seen`, 0 to 1; None: there are too few.

    A place is a cell with those around it; it shows the same where the energies and directions of the cells correlate,
    each less its mean (as normalised cross-correlation does). So neither a lamp, nor a shadow, nor a crowd before a
    part of the picture matters to the rest of it.
    """
    telling = _around(_energy(before) > TELLING) >= TELLING_AROUND
    if np.count_nonzero(telling) < FEWEST:
        return None
    one, two = _channels(before), _channels(seen)
    count = _around(np.ones((ROWS, COLUMNS), np.float32))
    both = np.zeros((ROWS, COLUMNS), np.float32)
    power_one, power_two = both.copy(), both.copy()
    for a, b in zip(one, two, strict=True):
        sum_a, sum_b = _around(a), _around(b)
        both += _around(a * b) - sum_a * sum_b / count
        power_one += _around(a * a) - sum_a * sum_a / count
        power_two += _around(b * b) - sum_b * sum_b / count
    alike = both > ALIKE * np.sqrt(np.maximum(power_one * power_two, 1e-9))
    return float(alike[telling].mean())


def shift(before: Structure, seen: Structure) -> tuple[float, float]:
    """How well both fit in place, and at the best shift by whole cells: correlations, -1 to 1."""
    one, two = _channels(before), _channels(seen)
    down, right = FARTHEST
    fits = {
        (row, column): _fit(_cut(one, -row, -column), _cut(two, row, column))
        for row in range(-down, down + 1)
        for column in range(-right, right + 1)
    }
    return fits.pop((0, 0)), max(fits.values())


def telling_share(structure: Structure) -> float:
    """The share of the cells that have edges of their own."""
    return float((_energy(structure) > TELLING).mean())


def sharpness(rows: NDArray[np.uint8]) -> float | None:
    """How sharp the sharpest edges are, 0 to 1; None: there are too few to tell. rows: whole rows of luma.

    The steepest step between neighbours in a piece of a row, as a share of the range of all of it: the width of an edge
    (Marziliano et al., "A no-reference perceptual blur metric", 2002), which neither contrast nor brightness changes.
    """
    width = rows.shape[1] // SEGMENT_PX * SEGMENT_PX
    pieces = rows[:, :width].reshape(-1, SEGMENT_PX).astype(np.int16)
    steps = np.abs(np.diff(pieces, axis=1))
    ranges = pieces.max(1) - pieces.min(1)
    usual = float(np.median(steps))
    contrasty = ranges >= max(CONTRAST, NOISES * usual)
    if np.count_nonzero(contrasty) < FEWEST_SEGMENTS:
        return None
    # Noise makes steps steeper: in the dark a picture passes for sharper than it is, never for softer.
    return float(np.percentile(steps[contrasty].max(1) / ranges[contrasty], SHARPEST))


def packed(structure: Structure, sharp: float | None, size: tuple[int, int]) -> bytes:
    """A structure to keep. sharp: its sharpness; size: width and height of the picture in which that holds, px."""
    logarithm, along, across = _channels(structure)
    whole = np.clip(np.round(logarithm * 2 * _E_STEPS), 0, 255).astype(np.uint8)
    parts = np.clip(np.round(np.stack([along, across]) * 127), -127, 127).astype(np.int8)
    header = _HEADER.pack(_VERSION, 0 if sharp is None else max(1, min(255, round(sharp * 255))), *size)
    return bytes(header + whole.tobytes() + parts.tobytes())


def unpacked(kept_bytes: bytes) -> tuple[Structure, float | None, tuple[int, int]] | None:
    """What was packed; None: by another version, or it is garbage."""
    if len(kept_bytes) != BYTES or kept_bytes[0] != _VERSION:
        return None
    _, sharp, width, height = _HEADER.unpack_from(kept_bytes)
    cells = ROWS * COLUMNS
    whole = np.frombuffer(kept_bytes, np.uint8, cells, _HEADER.size).reshape(ROWS, COLUMNS)
    parts = np.frombuffer(kept_bytes, np.int8, 2 * cells, _HEADER.size + cells).reshape(2, ROWS, COLUMNS)
    energy = np.maximum(np.exp(whole.astype(np.float32) / _E_STEPS) - NOISE, 0)
    along, across = parts.astype(np.float32) / 127 * (energy + NOISE)
    structure = np.stack([(energy + along) / 2, (energy - along) / 2, across / 2]).astype(np.float32)
    return structure, sharp / 255 if sharp else None, (width, height)


def _energy(structure: Structure) -> Cells:
    return np.asarray(structure[0] + structure[1])


def _channels(structure: Structure) -> Channels:
    energy = _energy(structure) + NOISE
    parts = [np.log(energy) / 2, (structure[0] - structure[1]) / energy, 2 * structure[2] / energy]
    return np.stack(parts).astype(np.float32)


def _means(values: NDArray[np.floating]) -> Cells:
    """The mean of each cell."""
    rows = np.linspace(0, values.shape[0], ROWS + 1).astype(int)
    columns = np.linspace(0, values.shape[1], COLUMNS + 1).astype(int)
    sums = np.add.reduceat(np.add.reduceat(values, rows[:-1], 0), columns[:-1], 1)
    return np.asarray(sums / np.outer(np.diff(rows), np.diff(columns)), np.float32)


def _around(cells: NDArray[np.float32] | NDArray[np.bool_]) -> Cells:
    """The sum over each cell and those around it; beyond the picture there is nothing."""
    sums = np.pad(cells.astype(np.float64), AROUND + 1)[:-1, :-1].cumsum(0).cumsum(1)
    side = 2 * AROUND + 1
    return np.asarray(sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side], np.float32)


def _cut(channels: Channels, row: int, column: int) -> Channels:
    """What remains of it if the other one is shifted by so many cells."""
    return channels[:, max(0, row) : ROWS + min(0, row), max(0, column) : COLUMNS + min(0, column)]


def _fit(one: Channels, two: Channels) -> float:
    one, two = one - one.mean((1, 2), keepdims=True), two - two.mean((1, 2), keepdims=True)
    return float((one * two).sum() / np.sqrt((one * one).sum() * (two * two).sum() + 1e-9))
