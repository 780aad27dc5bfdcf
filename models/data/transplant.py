"""Wrongly worn masks made of two real faces: the nose of a bare one shows above the mask of a masked one.

Drawn masks (`synthesis`) show where the upper edge lies, but their cloth is ours. Here the cloth, its folds and its
light are real, and so is the nose; only the edge between them is made. A control, in which the skin ends above the
nose as it did, keeps the edge itself from giving the state away.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.data.dataset import STATES, Photo, Pixels
from models.data.landmarks import Points

MASK, INCORRECT = STATES.index("mask"), STATES.index("incorrect")
MIN_FACE_PX = 28.0  # shorter side of a face: below it the edge is a matter of two or three pixels
MAX_TURN, MAX_TURN_APART = 0.4, 0.06  # in eye-to-mouth lengths
# Where the skin ends, along the face axis: 0 = between the eyes, .6 = tip of the nose, 1 = between the mouth corners.
SKIN_ENDS = {"well": (0.2, 0.36), "nose_out": (0.72, 0.98), "chin": (1.15, 1.4)}


@dataclass(frozen=True, slots=True)
class Donor:
    """A bare face. pixels: its surroundings; points: its landmarks in them."""

    pixels: Pixels
    points: Points


def donors(photos: list[Photo], points: list[dict[int, Points]]) -> list[Donor]:
    """The bare faces of the photos whose landmarks are known. Pixels are views."""
    found = []
    for photo, known in zip(photos, points, strict=True):
        for number, spots in known.items():
            if photo.states[number] != STATES.index("no_mask"):
                continue
            left, top, right, bottom = photo.bboxes[number]
            if min(right - left, bottom - top) < 40:
                continue
            margin = 0.2 * max(right - left, bottom - top)
            x, y = int(max(0, left - margin)), int(max(0, top - margin))
            pixels = photo.pixels[y : int(bottom + margin), x : int(right + margin)]
            found.append(Donor(pixels, spots - np.array([x, y], np.float32)))
    return found


def show_nose(pixels: Pixels, points: Points, pool: list[Donor], random: np.random.Generator) -> int | None:
    """Give the masked face at `points` the nose of a bare one, in place; returns the new state, or None where no
    bare face of a few looks the same way."""
    turn = _turn(points)
    tried = [pool[number] for number in random.integers(len(pool), size=24)]
    donor = min(tried, key=lambda bare: abs(_turn(bare.points) - turn))
    if abs(_turn(donor.points) - turn) > MAX_TURN_APART or abs(turn) > MAX_TURN:
        return None
    kind = str(random.choice(["well", "nose_out", "nose_out", "nose_out", "chin"]))
    eyes, down, across = _axes(points)
    length = float(np.hypot(*down))
    height, width = pixels.shape[:2]
    skin = _aligned(donor, points, (width, height))
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    along = ((columns - eyes[0]) * down[0] + (rows - eyes[1]) * down[1]) / length**2
    aside = ((columns - eyes[0]) * across[0] + (rows - eyes[1]) * across[1]) / length
    shown = (along > -0.3) & (along < 0.15) & (np.abs(aside) < 0.6)
    if shown.sum() < 12:
        return None
    skin = _in_light_of(skin, pixels, shown)
    # the edge rises to the ears, where the mask still hangs
    end = random.uniform(*SKIN_ENDS[kind]) - random.uniform(0.3, 0.9) * (aside - 0.6 * turn) ** 2
    edge = max(0.03, 0.8 / length)  # at least a pixel wide
    half = random.uniform(0.8, 0.95)
    opacity = _ramp(along, 0.0, 0.22) * _ramp(end - along, -edge, edge) * _ramp(half - np.abs(aside), -0.06, 0.12)
    mixed = pixels + (skin - pixels) * opacity[:, :, None]
    pixels[:] = np.clip(mixed, 0, 255).astype(np.uint8)
    return MASK if kind == "well" else INCORRECT


def _axes(points: Points) -> tuple[Points, Points, Points]:
    """(middle of the eyes, way from there to the mouth, unit vector across)."""
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    down = mouth - eyes
    across = np.array([down[1], -down[0]], np.float32) / max(1e-6, float(np.hypot(*down)))
    return eyes, down, across


def _turn(points: Points) -> float:
    """How far the head is turned: the tip of the nose off the face axis, in eye-to-mouth lengths."""
    eyes, down, across = _axes(points)
    return float((points[2] - eyes) @ across) / max(1e-6, float(np.hypot(*down)))


def _aligned(donor: Donor, points: Points, size: tuple[int, int]) -> NDArray[np.float32]:
    """The donor's picture laid so that its eyes and mouth come to lie on those of `points`."""
    origin, down, across = _axes(donor.points)
    pixels, length = donor.pixels, float(np.hypot(*down))
    eyes, new_down, new_across = _axes(points)
    new_length = float(np.hypot(*new_down))
    if new_length < length:  # first made small as a camera would: without aliasing
        factor = new_length / length
        pixels = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        origin, down, length = origin * factor, down * factor, new_length
    theirs = np.stack([down, across * length], 1)
    ours = np.stack([new_down, new_across * new_length], 1)
    turn = ours @ np.linalg.inv(theirs)
    matrix = np.column_stack([turn, eyes - turn @ origin])
    laid = cv2.warpAffine(pixels, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(laid, np.float32)


def _in_light_of(skin: NDArray[np.float32], pixels: Pixels, where: NDArray[np.bool_]) -> NDArray[np.float32]:
    """`skin` with the median and spread that the face has around its eyes, of each colour."""
    before, after = skin[where], pixels[where].astype(np.float32)
    gain = np.clip(after.std() / max(float(before.std()), 1.0), 0.75, 1.2)
    lit: NDArray[np.float32] = (skin - np.median(before, 0)) * gain + np.median(after, 0)
    return lit


def _ramp(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    ramp: NDArray[np.float32] = np.clip((values - low) / (high - low), 0, 1)
    return ramp
