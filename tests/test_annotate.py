"""Bboxes and labels drawn into a picture."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from appliance.faces import Bbox, Face, State
from appliance.vision.annotate import COLOURS, LABELS, draw_bboxes
from appliance.vision.pixels import Pixels


def picture(width: int = 320, height: int = 240) -> Pixels:
    return np.full((height, width, 3), 60, dtype=np.uint8)


def face(bbox_px: Bbox, state: State = State.MASK) -> Face:
    return Face(bbox_px, 0.9, (1.0, 0.0, 0.0), state)


def where(image: Pixels, colour: tuple[int, int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return np.asarray((image == np.array(colour, dtype=np.uint8)).all(axis=2))


@pytest.mark.parametrize("state", list(State))
def test_a_face_gets_a_bbox_and_a_label_in_the_colour_of_its_state(state: State) -> None:
    before = picture()
    drawn = draw_bboxes(before, [face((100, 80, 180, 200), state)])
    assert (before == 60).all(), "the picture itself is not touched"
    coloured = where(drawn, COLOURS[state])
    for y, x in ((80, 140), (199, 140), (140, 100), (140, 179)):  # top, bottom, left, right
        assert coloured[y, x]
    assert not coloured[100:180, 110:170].any(), "the face stays visible"
    label = drawn[60:80, 100:]
    assert where(label, COLOURS[state]).any() and where(label, (0, 0, 0)).any(), "black letters on its colour"


def test_each_state_has_its_own_words_and_letters() -> None:
    assert set(COLOURS) == set(LABELS) == set(State)
    labels = [draw_bboxes(picture(), [face((100, 80, 180, 200), state)])[:80] for state in State]
    letters = [where(label, (0, 0, 0)) for label in labels]
    assert not any((first == second).all() for first, second in combinations(letters, 2))


def test_colours_differ_in_brightness_for_those_who_see_no_colour() -> None:
    brightness = sorted(0.299 * r + 0.587 * g + 0.114 * b for r, g, b in COLOURS.values())
    assert min(np.diff(brightness)) > 5


@pytest.mark.parametrize(
    "bbox_px",
    [
        (-50, -50, 30, 30),
        (300, 220, 400, 300),
        (-10, -10, 900, 900),
        (400, 400, 500, 500),
        (-90, -90, -10, -10),
        (100, 100, 100, 100),
        (50.4, 50.6, 51.2, 52.9),
    ],
)
@pytest.mark.parametrize("size", [(320, 240), (20, 10), (1, 1), (3000, 40)])
def test_bboxes_anywhere_on_a_picture_of_any_size_are_drawn_as_far_as_they_go(
    bbox_px: Bbox, size: tuple[int, int]
) -> None:
    drawn = draw_bboxes(picture(*size), [face(bbox_px, State.INCORRECT)])
    assert drawn.shape == (size[1], size[0], 3)


def test_a_label_at_the_upper_edge_is_written_below_it() -> None:
    drawn = draw_bboxes(picture(), [face((100, 0, 180, 100), State.MASK)])
    assert where(drawn[:20, 100:180], (0, 0, 0)).any()
