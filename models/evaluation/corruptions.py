"""Corruptions of pictures, as real cameras see and the photos lack. No chance in any of them."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from models.data.dataset import IGNORE, Bboxes, Int64Array, Pixels

Corruption = Callable[[Pixels, Bboxes, Int64Array], tuple[Pixels, Bboxes, Int64Array]]
MIN_FACE_PX = 40.0  # a smaller face has too few pixels to fill a frame


def clean(pixels: Pixels, bboxes: Bboxes, states: Int64Array) -> tuple[Pixels, Bboxes, Int64Array]:
    """As it is."""
    return pixels, bboxes, states


def dark(pixels: Pixels, bboxes: Bboxes, states: Int64Array) -> tuple[Pixels, Bboxes, Int64Array]:
    """A quarter of the light and a dark curve, with noise of a fixed pattern."""
    noise = np.random.default_rng(1).normal(0, 4, pixels.shape)
    low = 255 * (pixels / 255.0) ** 1.4 * 0.3 + noise
    return np.clip(low, 0, 255).astype(np.uint8), bboxes, states


def backlit(pixels: Pixels, bboxes: Bboxes, states: Int64Array) -> tuple[Pixels, Bboxes, Int64Array]:
    """Faces in their own shadow before a bright surrounding."""
    height, width = pixels.shape[:2]
    shadow = np.zeros((height, width), np.float32)
    for left, top, right, bottom in bboxes:
        middle = (int((left + right) / 2), int((top + bottom) / 2))
        axes = (max(2, int((right - left) * 0.8)), max(2, int((bottom - top) * 0.8)))
        cv2.ellipse(shadow, middle, axes, 0, 0, 360, 1.0, -1)
    shadow = cv2.GaussianBlur(shadow, (0, 0), max(2.0, 0.02 * max(height, width)))[:, :, None]
    lit = pixels * (1.5 * (1 - shadow) + 0.3 * shadow) + 40 * (1 - shadow)
    return np.clip(lit, 0, 255).astype(np.uint8), bboxes, states


def blurred(pixels: Pixels, bboxes: Bboxes, states: Int64Array) -> tuple[Pixels, Bboxes, Int64Array]:
    """Motion to the side over a hundredth of the picture."""
    length = max(3, round(0.012 * max(pixels.shape[:2])))
    return cv2.blur(pixels, (length, 1)), bboxes, states


def compressed(pixels: Pixels, bboxes: Bboxes, states: Int64Array) -> tuple[Pixels, Bboxes, Int64Array]:
    """JPEG at quality 10."""
    coded = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 10])[1]
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)[:, :, ::-1], bboxes, states


def close(pixels: Pixels, bboxes: Bboxes, states: Int64Array) -> tuple[Pixels, Bboxes, Int64Array]:
    """Cut so that the largest face fills half the frame; nothing where no face is large enough."""
    sides = np.where(states == IGNORE, 0, (bboxes[:, 2:] - bboxes[:, :2]).min(1)) if len(bboxes) else np.zeros(0)
    if not len(sides) or sides.max() < MIN_FACE_PX:
        return pixels, bboxes[:0], states[:0]
    left, top, right, bottom = bboxes[int(sides.argmax())]
    frame = round(np.sqrt((right - left) * (bottom - top) * 2))
    frame = max(frame, int(max(right - left, bottom - top)) + 1)
    x, y = int((left + right - frame) / 2), int((top + bottom - frame) / 2)
    padded = cv2.copyMakeBorder(pixels, frame, frame, frame, frame, cv2.BORDER_CONSTANT, value=(114, 114, 114))
    cut = padded[y + frame : y + 2 * frame, x + frame : x + 2 * frame]
    moved = bboxes - np.array([x, y, x, y], np.float32)
    area = np.prod(moved[:, 2:] - moved[:, :2], axis=1)
    inside = moved.clip(0, frame)
    visible = np.prod(inside[:, 2:] - inside[:, :2], axis=1) / np.maximum(area, 1e-6)
    seen = visible > 0.05
    return np.ascontiguousarray(cut), inside[seen], np.where(visible < 0.7, IGNORE, states)[seen]


CORRUPTIONS: dict[str, Corruption] = {
    "clean": clean, "dark": dark, "backlit": backlit, "blurred": blurred, "compressed": compressed, "close": close,
}  # fmt: skip
