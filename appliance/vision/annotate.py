"""Bboxes and labels drawn into a picture."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from appliance.faces import Face, State
from appliance.vision.pixels import Pixels

# Of the palette of Okabe and Ito (2008), which people with any colour vision can tell apart.
COLOURS = {
    State.MASK: (0, 158, 115),
    State.NO_MASK: (213, 94, 0),
    State.INCORRECT: (240, 228, 66),
    State.UNKNOWN: (170, 170, 170),
}
LABELS = {State.MASK: "MASK", State.NO_MASK: "NO MASK", State.INCORRECT: "INCORRECT", State.UNKNOWN: "UNKNOWN"}

# Five rows of three bits for each letter that the labels need.
_GLYPHS = {
    "A": (2, 5, 7, 5, 5), "C": (7, 4, 4, 4, 7), "E": (7, 4, 6, 4, 7), "I": (7, 2, 2, 2, 7), "K": (5, 5, 6, 5, 5),
    "M": (5, 7, 7, 5, 5), "N": (6, 5, 5, 5, 5), "O": (7, 5, 5, 5, 7), "R": (6, 5, 6, 5, 5), "S": (7, 4, 7, 1, 7),
    "T": (7, 2, 2, 2, 2), "U": (5, 5, 5, 5, 7), "W": (5, 5, 7, 7, 5), " ": (0, 0, 0, 0, 0),
}  # fmt: skip


def draw_bboxes(image: Pixels, faces: Iterable[Face], with_words: bool = True) -> Pixels:
    """A copy of the image (uint8, height x width x 3, RGB) with a bbox around each face, in the colour of its state.

    with_words: and the state beside it, for pictures that stand alone; a page writes it in a font and language.
    """
    drawn: Pixels = image.copy()
    height, width = image.shape[:2]
    thick = max(2, round(max(height, width) / 320))
    for face in faces:
        left, top, right, bottom = (round(side) for side in face.bbox_px)
        x0, x1 = max(0, left), min(width, max(right, left + 1))
        y0, y1 = max(0, top), min(height, max(bottom, top + 1))
        colour = COLOURS[face.state]
        drawn[y0 : y0 + thick, x0:x1] = drawn[max(y0, y1 - thick) : y1, x0:x1] = colour
        drawn[y0:y1, x0 : x0 + thick] = drawn[y0:y1, max(x0, x1 - thick) : x1] = colour
        if with_words:
            _write(drawn, LABELS[face.state], x0, y0, colour, thick)
    return drawn


def _write(image: Pixels, text: str, x: int, y: int, colour: tuple[int, int, int], scale: int) -> None:
    """Text in a filled bar above (x, y), or below where there is no room above."""
    bits = np.zeros((7, 4 * len(text) + 1), dtype=bool)
    for index, letter in enumerate(text):
        for row, pattern in enumerate(_GLYPHS[letter]):
            for column in range(3):
                bits[row + 1, 4 * index + 1 + column] = pattern >> (2 - column) & 1
    letters = np.kron(bits, np.ones((scale, scale), dtype=bool))
    height, width = letters.shape
    top = y - height if y >= height else y
    left = max(0, min(x, image.shape[1] - width))
    bar = image[top : top + height, left : left + width]
    bar[:] = colour
    bar[letters[: bar.shape[0], : bar.shape[1]]] = (0, 0, 0)
