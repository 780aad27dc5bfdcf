"""A stand-in for the neural network: it finds squares of colour. Red wears no mask, green wears one, blue wrongly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from appliance.faces import Face, State
from appliance.vision.pixels import Pixels, Stack
from tests.videos import FPS, Picture

COLOURS = {State.MASK: (20, 200, 20), State.NO_MASK: (200, 20, 20), State.INCORRECT: (20, 20, 200)}
Place = Callable[[float], tuple[float, float] | None]
"""Where (the middle, in pixels) somebody is at a time in seconds; None: out of the picture."""


class ColourDetector:
    """Finds at most one square of each colour."""

    model_id = "colours"
    input_width = input_height = 160
    score_threshold = 0.5
    region_px = 160
    smallest_face_px = 4.0

    def detect(self, image: Pixels, score_threshold: float | None = None) -> list[Face]:
        """See Detector."""
        assert score_threshold is None or score_threshold < self.score_threshold, (
            "faces of low confidence keep a track alive"
        )
        return [face for state in COLOURS if (face := self._find(image, state))]

    def look(self, squares: Stack, score_threshold: float | None = None) -> list[list[Face]]:
        """See Detector."""
        return [self.detect(square, score_threshold) for square in squares]

    def _find(self, image: Pixels, state: State) -> Face | None:
        channel = int(np.argmax(COLOURS[state]))
        rest = np.delete(image, channel, axis=2).max(axis=2)
        rows, columns = np.nonzero((image[..., channel] > 130) & (rest < 110))
        if len(rows) < 12:
            return None
        bbox = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
        mask, no_mask, incorrect = (0.9 if state is candidate else 0.05 for candidate in COLOURS)
        return Face(bbox, 0.9, (mask, no_mask, incorrect), state)


def people(places: dict[State, Place], width: int = 320, height: int = 240, size: int = 48) -> Picture:
    """Pictures of squares that walk about."""

    def picture(index: int) -> Pixels:
        image = np.full((height, width, 3), 90, dtype=np.uint8)
        for state, place in places.items():
            middle = place(index / FPS)
            if middle:
                left, top = round(middle[0] - size / 2), round(middle[1] - size / 2)
                image[max(0, top) : max(0, top + size), max(0, left) : max(0, left + size)] = COLOURS[state]
        return image

    return picture
