"""Figures of the evaluation: small cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from models.data.dataset import IGNORE
from models.evaluation.figures import (
    Found,
    Truth,
    any_face,
    average_precision,
    by_state,
    calibration_error,
    match,
)

FACE, OTHER, FAR = [10, 10, 50, 50], [100, 10, 140, 50], [300, 300, 340, 340]


def found(*rows: tuple[list[int], float, int]) -> Found:
    """Detections (bbox, face score, state), each certain of its state."""
    return Found(
        np.array([bbox for bbox, _, _ in rows], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in rows], np.float32),
        np.eye(3, dtype=np.float32)[[state for _, _, state in rows]],
    )


def truth(*rows: tuple[list[int], int]) -> Truth:
    """Faces (bbox, state)."""
    bboxes = np.array([bbox for bbox, _ in rows], np.float32).reshape(-1, 4)
    return Truth(bboxes, np.array([state for _, state in rows], np.int64))


def test_all_found_and_nothing_else_is_one() -> None:
    scored = any_face(found((FACE, 0.9, 0), (OTHER, 0.8, 1)), truth((FACE, 0), (OTHER, 1)))
    assert average_precision([scored]) == 1


def test_a_mistake_of_a_higher_score_halves_the_precision() -> None:
    scored = any_face(found((FAR, 0.9, 0), (FACE, 0.8, 0)), truth((FACE, 0)))
    assert average_precision([scored]) == pytest.approx(0.5)


def test_a_face_missed_costs_its_recall() -> None:
    scored = any_face(found((FACE, 0.9, 0)), truth((FACE, 0), (OTHER, 0)))
    assert average_precision([scored]) == pytest.approx(51 / 101)


def test_the_same_face_twice_is_one_right_and_one_wrong() -> None:
    scored = any_face(found((FACE, 0.9, 0), (FACE, 0.8, 0)), truth((FACE, 0)))
    assert scored.matches.tolist() == [1, 0]


def test_a_detection_over_an_ignored_face_counts_neither_way() -> None:
    scored = any_face(found((OTHER, 0.9, 0), (FACE, 0.8, 0)), truth((FACE, 0), (OTHER, IGNORE)))
    assert scored.matches.tolist() == [-1, 1]
    assert average_precision([scored]) == 1


def test_the_wrong_state_is_no_hit_of_its_own_state() -> None:
    mask, no_mask, _ = by_state(found((FACE, 0.9, 1)), truth((FACE, 0)))
    assert average_precision([mask]) == pytest.approx(1)  # score 0, but found: nothing of a higher score is wrong
    assert no_mask.matches.tolist() == [0]


def test_faces_of_another_size_do_not_count() -> None:
    scored = any_face(found((FACE, 0.9, 0)), truth((FACE, 0), ([0, 200, 200, 400], 0)), (32, 96))
    assert average_precision([scored]) == 1


def test_states_are_compared_where_a_detection_from_the_threshold_on_matches() -> None:
    matched = match(found((FACE, 0.9, 2), (OTHER, 0.1, 0)), truth((FACE, 0), (OTHER, 0)), 0.3)
    assert matched.faces == [(0, 2, 1.0, 40.0)]
    assert matched.probabilities.tolist() == [[0, 0, 1]]


def test_certain_and_half_right_is_badly_calibrated() -> None:
    certain, right = np.array([1.0, 1.0], np.float32), np.array([True, False])
    assert calibration_error(certain, right) == pytest.approx(0.5)
    assert calibration_error(np.array([0.5, 0.5], np.float32), right) == pytest.approx(0)
