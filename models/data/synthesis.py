"""Masks drawn on bare faces: worn well, below the nose, or on the chin.

Few of the photos show a mask worn wrongly, and a network that sees only those few learns
the pictures, not the rule. Drawing all three ways with the same cloth leaves the place of
the upper edge as the only difference.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.data.dataset import STATES, Pixels
from models.data.landmarks import Points

MASK, BARE, INCORRECT = (STATES.index(state) for state in ("mask", "no_mask", "incorrect"))
HANDS = 0.12  # fraction of covers in the colour of the skin, as a hand or an arm has it: no mask
CLOTHS = (  # usual colours, RGB
    (150, 190, 215), (120, 170, 205), (225, 230, 232), (240, 240, 238), (35, 35, 40),
    (20, 20, 24), (70, 75, 85), (200, 160, 165), (60, 90, 140), (130, 140, 120), (160, 60, 60),
)  # fmt: skip
# Along the face axis: 0 = between the eyes, 1 = between the mouth corners, about 1.75 = chin.
UPPER_EDGE = {"well": (0.15, 0.42), "nose_out": (0.66, 0.86), "chin": (1.15, 1.5)}


def draw_mask(pixels: Pixels, points: Points, random: np.random.Generator, incorrect: float = 0.6) -> int | None:
    """Draw a mask, now and then a hand, on `pixels` in place; returns the new state, or None where the face is turned
    too far for a drawn mask to look right. `incorrect`: fraction of wrongly worn masks."""
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    down = mouth - eyes
    length = float(np.hypot(*down))
    across = points[1] - points[0]
    span = float(np.hypot(*across))
    if length < 5 or span < 0.55 * length:
        return None
    across = across / span
    kind = "well"
    if random.random() < incorrect:
        kind = "nose_out" if random.random() < 0.6 else "chin"
    top = random.uniform(*UPPER_EDGE[kind])
    bottom = random.uniform(1.65, 1.95) + (0.3 if kind == "chin" else 0.0)
    skin = None
    if random.random() < HANDS:
        skin = _skin(pixels, eyes, down)
        kind = "hand"
    half = length * random.uniform(0.72, 0.92)
    # the nose tip moves to the side when the head turns; the mask follows it by half
    turn = float(np.dot(points[2] - (eyes + 0.6 * down), across))
    shape = _outline(eyes, down, across, top, bottom, half, turn, random)
    _paint(pixels, shape, _cloth(pixels.shape, down, random, skin), length, random)
    return {"well": MASK, "hand": BARE}.get(kind, INCORRECT)


def _skin(pixels: Pixels, eyes: NDArray[np.float32], down: NDArray[np.float32]) -> NDArray[np.float32]:
    """The colour around the bridge of the nose."""
    x, y = eyes + 0.3 * down
    reach = max(2, int(0.2 * float(np.hypot(*down))))
    patch = pixels[max(0, int(y) - reach) : int(y) + reach, max(0, int(x) - reach) : int(x) + reach]
    return np.asarray(np.median(patch.reshape(-1, 3), 0) if patch.size else (180, 140, 120), np.float32)


def _outline(
    eyes: NDArray[np.float32],
    down: NDArray[np.float32],
    across: NDArray[np.float32],
    top: float,
    bottom: float,
    half: float,
    turn: float,
    random: np.random.Generator,
) -> NDArray[np.float32]:
    """The mask's polygon, n x 2 px, from one side over the upper edge to the other side."""
    side = top + random.uniform(0.0, 0.25)
    low = bottom - random.uniform(0.3, 0.55)
    spots = [
        (-1.0, side), (-0.5, top + 0.1), (0.0, top), (0.5, top + 0.1), (1.0, side),
        (0.95, low), (0.5, bottom - 0.08), (0.0, bottom), (-0.5, bottom - 0.08), (-0.95, low),
    ]  # fmt: skip
    middle = 0.5 * turn
    outline = [eyes + down * y + across * (x * half + middle * (1.4 - abs(x))) for x, y in spots]
    return np.asarray(outline, np.float32)


def _cloth(
    shape: tuple[int, ...], down: NDArray[np.float32], random: np.random.Generator, skin: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """Coloured cloth with pleats, stripes or spots, as large as the picture; or skin."""
    colour = np.asarray(CLOTHS[random.integers(len(CLOTHS))], np.float32) if skin is None else skin
    colour = np.clip(colour + random.normal(0, 14 if skin is None else 5, 3), 5, 250).astype(np.float32)
    height, width = shape[:2]
    cloth = np.empty((height, width, 3), np.float32)
    cloth[:] = colour
    choice = random.random()
    if choice < 0.5:  # pleats across the face
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        along = (columns * down[0] + rows * down[1]) / float(down @ down)
        cloth *= (1 + 0.07 * np.sin(along * random.uniform(14, 30)))[:, :, None]
    elif choice < 0.7 and skin is None:  # a printed pattern
        grain = random.uniform(-60, 60, (max(2, height // 6), max(2, width // 6), 3))
        cloth += cv2.resize(grain.astype(np.float32), (width, height))
    return cloth


def _paint(
    pixels: Pixels,
    outline: NDArray[np.float32],
    cloth: NDArray[np.float32],
    length: float,
    random: np.random.Generator,
) -> None:
    """Blend the cloth in, keeping the light that falls on the face."""
    area = np.zeros(pixels.shape[:2], np.float32)
    cv2.fillPoly(area, [np.round(outline * 8).astype(np.int32)], 1.0, cv2.LINE_AA, 3)
    blur = max(0.5, length * 0.025)
    area = cv2.GaussianBlur(area, (0, 0), blur)[:, :, None]
    light = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    light = _softened(light, length * 0.25)
    shade = light / max(20.0, float((light * area[:, :, 0]).sum() / (area.sum() + 1e-6)))
    exposure = np.clip(float(light.mean()) / 120.0, 0.35, 1.15)
    painted = cloth * np.clip(shade, 0.5, 1.4)[:, :, None] * exposure
    if random.random() < 0.5:  # ear loops from the upper corners
        for corner, sign in ((outline[0], -1), (outline[4], 1)):
            end = corner + (outline[4] - outline[0]) * 0.12 * sign
            line = [tuple(int(v) for v in spot) for spot in (corner, end)]
            cv2.line(pixels, line[0], line[1], (215, 215, 215), 1, cv2.LINE_AA)
    mixed = pixels * (1 - area) + painted * area
    pixels[:] = np.clip(mixed, 0, 255).astype(np.uint8)


def _softened(light: NDArray[np.float32], reach: float) -> NDArray[np.float32]:
    """A Gaussian of `reach` px, computed on a small copy: a wide one at full size took a third of a sample's time."""
    shrink = max(1.0, reach / 2)
    height, width = light.shape
    small = cv2.resize(
        light, (max(1, round(width / shrink)), max(1, round(height / shrink))), interpolation=cv2.INTER_AREA
    )
    soft: NDArray[np.float32] = cv2.resize(cv2.GaussianBlur(small, (0, 0), max(0.8, reach / shrink)), (width, height))
    return soft
