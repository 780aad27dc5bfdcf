"""Figures of a detector from what it found and what was there: average precision, states, calibration.

AP follows pycocotools at IoU .5: a detection over a region nobody labelled counts neither way (as over `iscrowd`), and
precision is read at 101 recalls. It is not pycocotools itself because a score there belongs to one category, and here
each face has one for all three states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.data.dataset import IGNORE, Bboxes, Int64Array

Float32Array = NDArray[np.float32]
MIN_IOU = 0.5
_RECALLS = np.linspace(0, 1, 101)


@dataclass(slots=True)
class Truth:
    """A picture's faces. bboxes: n x 4 corners, px; states: n, IGNORE over regions nobody labelled."""

    bboxes: Bboxes
    states: Int64Array
    source: str = ""


@dataclass(slots=True)
class Found:
    """A picture's detections after NMS. bboxes: n x 4 corners, px; faces: n scores; probabilities: n x 3, of the
    states."""

    bboxes: Bboxes
    faces: Float32Array
    probabilities: Float32Array


@dataclass(slots=True)
class Scored:
    """Detections of one picture for one question: score and whether right (1), wrong (0) or not counted (-1)."""

    scores: Float32Array
    matches: Int64Array
    faces: int


class MatchedFace(NamedTuple):
    """A face that was found: its true state, the likeliest one and how likely, the face's shorter side."""

    true: int
    found: int
    probability: float
    side_px: float


@dataclass(slots=True)
class Matched:
    """The faces of a picture that were found, and the probabilities of their states, n x 3."""

    faces: list[MatchedFace]
    probabilities: Float32Array


def iou(first: Bboxes, second: Bboxes) -> Float32Array:
    """Intersection over union, N x M."""
    both, area, areas = _intersection(first, second)
    result: Float32Array = (both / np.maximum(area[:, None] + areas[None] - both, 1e-6)).astype(np.float32)
    return result


def score_picture(
    bboxes: Bboxes, scores: Float32Array, faces: Bboxes, regions: Bboxes, other_faces: Bboxes | None = None
) -> Scored:
    """Match detections, best first, to faces by the largest IoU of at least .5.

    regions: a detection lying half or more in one of them is not counted. other_faces: those that may be found but
    are not meant (of another size): likewise not counted.
    """
    order = np.argsort(-scores, kind="stable")
    bboxes, scores = bboxes[order], scores[order]
    extra = np.zeros((0, 4), np.float32) if other_faces is None else other_faces
    overlaps = iou(bboxes, np.concatenate([faces, extra]))
    both, area, _ = _intersection(bboxes, regions)
    covered = (both / np.maximum(area[:, None], 1e-6) >= MIN_IOU).any(1)
    free = np.ones(overlaps.shape[1], dtype=bool)
    matches = np.zeros(len(bboxes), np.int64)
    for row in range(len(bboxes)):
        matches[row] = -1 if covered[row] else 0
        for columns in (slice(0, len(faces)), slice(len(faces), None)):
            free_overlaps = np.where(free[columns], overlaps[row, columns], 0)
            if free_overlaps.size and free_overlaps.max() >= MIN_IOU:
                column = int(free_overlaps.argmax()) + (columns.start or 0)
                free[column] = False
                matches[row] = 1 if column < len(faces) else -1
                break
    return Scored(scores, matches, len(faces))


def average_precision(pictures: list[Scored]) -> float:
    """Area under precision over recall, 101 points; nan where there is no face to find."""
    faces = sum(picture.faces for picture in pictures)
    if not faces:
        return float("nan")
    scores = np.concatenate([picture.scores for picture in pictures])
    matches = np.concatenate([picture.matches for picture in pictures])
    scores, matches = scores[matches >= 0], matches[matches >= 0]
    right = matches[np.argsort(-scores, kind="stable")]
    if not len(right):
        return 0.0
    hits = np.cumsum(right)
    recall = hits / faces
    precision = hits / np.arange(1, len(right) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, _RECALLS, side="left")
    return float(np.where(places < len(precision), precision[np.minimum(places, len(precision) - 1)], 0).mean())


def by_state(found: Found, truth: Truth) -> list[Scored]:
    """One Scored per state; a detection's score for a state is face score times the state's probability."""
    regions = truth.bboxes[truth.states == IGNORE]
    return [
        score_picture(found.bboxes, found.faces * probability, truth.bboxes[truth.states == number], regions)
        for number, probability in enumerate(found.probabilities.T)
    ]


def any_face(found: Found, truth: Truth, sizes: tuple[float, float] = (0, np.inf)) -> Scored:
    """Scored for the face alone; only faces whose shorter side is in sizes[0] <= px < sizes[1] are meant."""
    known = truth.states != IGNORE
    side = _sides(truth.bboxes)
    meant = known & (side >= sizes[0]) & (side < sizes[1])
    scored = score_picture(
        found.bboxes, found.faces, truth.bboxes[meant], truth.bboxes[~known], truth.bboxes[known & ~meant]
    )
    # a detection of another size that hits nothing is no mistake of this size (as in pycocotools)
    order = np.argsort(-found.faces, kind="stable")
    own = _sides(found.bboxes[order])
    scored.matches[(scored.matches == 0) & ((own < sizes[0]) | (own >= sizes[1]))] = -1
    return scored


def face_scores(
    found: list[Found], truths: list[Truth], score_threshold: float
) -> tuple[Float32Array, NDArray[np.bool_]]:
    """Of the detections that count, in all pictures: scores from the threshold on, and whether each is a face."""
    scored = [any_face(*pair) for pair in zip(found, truths, strict=True)]
    scores = np.concatenate([picture.scores for picture in scored])
    matches = np.concatenate([picture.matches for picture in scored])
    counted = (matches >= 0) & (scores >= score_threshold)
    return scores[counted], matches[counted] == 1


def match(found: Found, truth: Truth, score_threshold: float) -> Matched:
    """The faces that a detection of at least that score matches, best detections first."""
    high = found.faces >= score_threshold
    bboxes, scores, probabilities = found.bboxes[high], found.faces[high], found.probabilities[high]
    known = truth.states != IGNORE
    faces, true = truth.bboxes[known], truth.states[known]
    sides, overlaps = _sides(faces), iou(bboxes, faces)
    free = np.ones(len(faces), dtype=bool)
    matched, rows = [], []
    for row in np.argsort(-scores, kind="stable"):
        free_overlaps = np.where(free, overlaps[row], 0)
        if free_overlaps.size and free_overlaps.max() >= MIN_IOU:
            face = int(free_overlaps.argmax())
            free[face] = False
            state = int(probabilities[row].argmax())
            matched.append(MatchedFace(int(true[face]), state, float(probabilities[row, state]), float(sides[face])))
            rows.append(int(row))
    return Matched(matched, probabilities[rows])


def calibration_error(confidences: Float32Array, right: NDArray[np.bool_], bins: int = 10) -> float:
    """Expected calibration error: mean gap of confidence and hit rate, over bins of equal width."""
    places = np.minimum((confidences * bins).astype(int), bins - 1)
    inside = [places == number for number in range(bins) if (places == number).any()]
    return float(
        sum(abs(float(confidences[in_].mean()) - float(right[in_].mean())) * float(in_.mean()) for in_ in inside)
    )


def _intersection(first: Bboxes, second: Bboxes) -> tuple[Float32Array, Float32Array, Float32Array]:
    """(N x M areas of intersection, N areas, M areas)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    both = np.maximum(high - low, 0).prod(2)
    return both, np.prod(first[:, 2:] - first[:, :2], axis=1), np.prod(second[:, 2:] - second[:, :2], axis=1)


def _sides(bboxes: Bboxes) -> Float32Array:
    sides: Float32Array = (bboxes[:, 2:] - bboxes[:, :2]).min(axis=1)
    return sides
