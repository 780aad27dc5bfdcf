"""A stand-in for the neural network: it finds squares of colour. Red wears no mask, green wears one, blue wrongly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from appliance.faces import Face, State
from appliance.vision.pixels import Pixels
from tests.videos import FPS, Picture

COLOURS = {State.MASK: (20, 200, 20), State.NO_MASK: (200, 20, 20), State.INCORRECT: (20, 20, 200)}
Place = Callable[[float], tuple[float, float] | None]
"""Where (the middle, in pixels) somebody is at a time in seconds; None: out of the picture."""


class ColourDetector:
    """Finds at most one square of each colour."""

    model_id = "colours"
    input_width = input_height = 160
    score_threshold = 0.5

    def detect(self, image: Pixels, min_score: float | None = None) -> list[Face]:
        """See Detector."""
        assert min_score is not None
        assert min_score < self.score_threshold
        return [face for state in COLOURS if (face := self._find(image, state))]

    def _find(self, image: Pixels, state: State) -> Face | None:
        channel = int(np.argmax(COLOURS[state]))
        rest = np.delete(image, channel, axis=2).max(axis=2)
        rows, columns = np.nonzero((image[..., channel] > 130) & (rest < 110))
        if len(rows) < 12:
            return None
        bbox = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
        shares = [0.05, 0.05, 0.05]
        shares[list(COLOURS).index(state)] = 0.9
        return Face(bbox, 0.9, (shares[0], shares[1], shares[2]), state)


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
