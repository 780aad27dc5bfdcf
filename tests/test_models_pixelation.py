"""How well eyes are hidden is measured: what counts as hidden, and what becomes of faces that nobody finds."""

from __future__ import annotations

import numpy as np
import pytest

from models.data.dataset import Bboxes, Photo, Pixels
from models.evaluation.figures import Found
from models.evaluation.pixelation import is_covered, measure

FACE = np.array([[100, 100, 200, 220]], np.float32)
EYES = np.array([[130, 140], [170, 140]], np.float32)


def found(bboxes: Bboxes) -> Found:
    return Found(bboxes, np.ones(len(bboxes), np.float32), np.full((len(bboxes), 3), 1 / 3, np.float32))


@pytest.mark.parametrize(
    ("moved", "covered"), [((0, 0), True), ((0, 20), True), ((0, 40), False), ((0, -60), False), ((45, 0), False)]
)
def test_eyes_are_hidden_where_the_bbox_is_about_right(moved: tuple[int, int], covered: bool) -> None:
    assert is_covered(EYES, FACE + np.array([*moved, *moved], np.float32), 640, 360) is covered


def test_a_face_that_is_not_found_counts_as_not_hidden() -> None:
    photo = Photo("a", np.full((360, 640, 3), 90, np.uint8), FACE, np.array([0]))
    marks = [{0: np.concatenate([EYES, EYES, EYES[:1]])}]
    nobody = np.zeros((0, 4), np.float32)

    def sees(bboxes: Bboxes):  # type: ignore[no-untyped-def]
        def detect(pixels: Pixels, threshold: float) -> Found:
            return found(bboxes)

        return detect

    tally = measure([photo], marks, sees(FACE))[96]
    assert (tally.faces, tally.found, tally.uncovered, tally.uncovered_found) == (1, 1, 0, 0)
    tally = measure([photo], marks, sees(nobody))[96]
    assert (tally.faces, tally.found, tally.uncovered, tally.uncovered_found) == (1, 0, 1, 0)
