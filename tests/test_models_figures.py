"""Figures of the evaluation: small cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from models.figures import (
    IGNORE,
    Found,
    Truth,
    any_face,
    average_precision,
    by_state,
    calibration_error,
    judge,
)

FACE, OTHER, FAR = [10, 10, 50, 50], [100, 10, 140, 50], [300, 300, 340, 340]


def found(*rows: tuple[list[int], float, int]) -> Found:
    """Detections (box, face score, state), each wholly sure of its state."""
    return Found(
        np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in rows], np.float32),
        np.eye(3, dtype=np.float32)[[state for _, _, state in rows]],
    )


def truth(*rows: tuple[list[int], int]) -> Truth:
    """Faces (box, state)."""
    boxes = np.array([box for box, _ in rows], np.float32).reshape(-1, 4)
    return Truth(boxes, np.array([state for _, state in rows], np.int64))


def test_all_found_and_nothing_else_is_one() -> None:
    scored = any_face(found((FACE, 0.9, 0), (OTHER, 0.8, 1)), truth((FACE, 0), (OTHER, 1)))
    assert average_precision([scored]) == 1


def test_a_surer_mistake_halves_the_precision() -> None:
    scored = any_face(found((FAR, 0.9, 0), (FACE, 0.8, 0)), truth((FACE, 0)))
    assert average_precision([scored]) == pytest.approx(0.5)


def test_a_face_missed_costs_its_recall() -> None:
    scored = any_face(found((FACE, 0.9, 0)), truth((FACE, 0), (OTHER, 0)))
    assert average_precision([scored]) == pytest.approx(51 / 101)


def test_the_same_face_twice_is_one_right_and_one_wrong() -> None:
    scored = any_face(found((FACE, 0.9, 0), (FACE, 0.8, 0)), truth((FACE, 0)))
    assert scored.verdicts.tolist() == [1, 0]


def test_a_detection_over_an_ignored_face_counts_neither_way() -> None:
    scored = any_face(found((OTHER, 0.9, 0), (FACE, 0.8, 0)), truth((FACE, 0), (OTHER, IGNORE)))
    assert scored.verdicts.tolist() == [-1, 1]
    assert average_precision([scored]) == 1


def test_the_wrong_state_is_no_hit_of_its_own_state() -> None:
    mask, no_mask, _ = by_state(found((FACE, 0.9, 1)), truth((FACE, 0)))
    assert average_precision([mask]) == pytest.approx(1)  # score 0, but found: nothing surer is wrong
    assert no_mask.verdicts.tolist() == [0]


def test_faces_of_another_size_are_not_asked_for() -> None:
    scored = any_face(found((FACE, 0.9, 0)), truth((FACE, 0), ([0, 200, 200, 400], 0)), (32, 96))
    assert average_precision([scored]) == 1


def test_judged_states_are_those_of_matched_and_sure_faces() -> None:
    judged = judge(found((FACE, 0.9, 2), (OTHER, 0.1, 0)), truth((FACE, 0), (OTHER, 0)), 0.3)
    assert [(true, state) for true, state, _, _ in judged.rows] == [(0, 2)]
    assert judged.rows[0][3] == 40


def test_sure_and_half_right_is_badly_calibrated() -> None:
    sure, right = np.array([1.0, 1.0], np.float32), np.array([True, False])
    assert calibration_error(sure, right) == pytest.approx(0.5)
    assert calibration_error(np.array([0.5, 0.5], np.float32), right) == pytest.approx(0)
