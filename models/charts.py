"""The curves of a training run as a picture."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT, EDGE = 900, 520, 60
LINES = {  # figure: colour, BGR
    "map50": (60, 60, 200), "mask": (150, 150, 90), "no_mask": (60, 160, 60), "incorrect": (40, 140, 230),
    "any": (160, 60, 60), "right": (150, 60, 150),
}  # fmt: skip


def draw_curves(history: list[dict[str, float]], path: Path) -> None:
    """Each figure over the epochs, between .4 and 1."""
    picture = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    last = max(entry["epoch"] for entry in history)
    for tenth in range(4, 11):
        y = _y(tenth / 10)
        cv2.line(picture, (EDGE, y), (WIDTH - 140, y), (220, 220, 220), 1)
        _write(picture, f".{tenth}" if tenth < 10 else "1", (25, y + 5), (90, 90, 90))
    for row, (name, colour) in enumerate(LINES.items()):
        points = [
            (_x(entry["epoch"] / last), _y(entry[name])) for entry in history if entry[name] == entry[name]
        ]  # no nan
        cv2.polylines(picture, [np.array(points, np.int32)], False, colour, 2, cv2.LINE_AA)
        _write(picture, f"{name} {history[-1][name]:.3f}", (WIDTH - 130, 60 + 28 * row), colour)
    _write(picture, f"AP50 on val; epochs 0 to {last:.0f}", (EDGE, HEIGHT - 18), (60, 60, 60))
    cv2.imwrite(str(path), picture)


def _x(share: float) -> int:
    return round(EDGE + share * (WIDTH - 140 - EDGE))


def _y(value: float) -> int:
    return round(EDGE / 2 + (1 - max(value, 0.4)) / 0.6 * (HEIGHT - EDGE * 1.5))


def _write(picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], text: str, at: tuple[int, int],
           colour: tuple[int, int, int]) -> None:  # fmt: skip
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
