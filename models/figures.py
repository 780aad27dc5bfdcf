"""Figures of a detector from what it found and what was there: average precision, states, calibration.

Follows pycocotools at IoU .5: a detection over a region nobody labelled counts neither way (as over `iscrowd`), and
precision is read at 101 recalls. numpy alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

STATES = ("mask", "no_mask", "incorrect")
IGNORE = -1
MIN_IOU = 0.5
_RECALLS = np.linspace(0, 1, 101)


@dataclass(slots=True)
class Truth:
    """A picture's faces. boxes: n x 4 corners, px; states: n, IGNORE over regions nobody labelled."""

    boxes: Floats
    states: Ints
    source: str = ""


@dataclass(slots=True)
class Found:
    """A picture's detections, already suppressed. boxes: n x 4 corners, px; faces: n scores; states: n x 3 shares."""

    boxes: Floats
    faces: Floats
    states: Floats


@dataclass(slots=True)
class Scored:
    """Detections of one picture for one question: score and whether right (1), wrong (0) or not counted (-1)."""

    scores: Floats
    verdicts: Ints
    faces: int


@dataclass(slots=True)
class Judged:
    """Matched faces, one row each: true state, judged state, its share, shorter side in px. shares: of all states."""

    rows: list[tuple[int, int, float, float]]
    shares: Floats


def overlaps(one: Floats, other: Floats) -> Floats:
    """Intersection over union, N x M."""
    both, area, areas = _shared(one, other)
    result: Floats = (both / np.maximum(area[:, None] + areas[None] - both, 1e-6)).astype(np.float32)
    return result


def score_picture(
    boxes: Floats, scores: Floats, faces: Floats, regions: Floats, beyond: Floats | None = None
) -> Scored:
    """Match detections, surest first, to faces by the largest overlap of at least .5.

    regions: a detection lying half or more in one of them is not counted. beyond: faces that may be found but are not
    asked for (of another size): likewise not counted.
    """
    order = np.argsort(-scores, kind="stable")
    boxes, scores = boxes[order], scores[order]
    extra = np.zeros((0, 4), np.float32) if beyond is None else beyond
    shares = overlaps(boxes, np.concatenate([faces, extra]))
    both, area, _ = _shared(boxes, regions)
    covered = (both / np.maximum(area[:, None], 1e-6) >= MIN_IOU).any(1)
    free = np.ones(shares.shape[1], dtype=bool)
    verdicts = np.zeros(len(boxes), np.int64)
    for row in range(len(boxes)):
        verdicts[row] = -1 if covered[row] else 0
        for columns in (slice(0, len(faces)), slice(len(faces), None)):
            open_shares = np.where(free[columns], shares[row, columns], 0)
            if open_shares.size and open_shares.max() >= MIN_IOU:
                column = int(open_shares.argmax()) + (columns.start or 0)
                free[column] = False
                verdicts[row] = 1 if column < len(faces) else -1
                break
    return Scored(scores, verdicts, len(faces))


def average_precision(pictures: list[Scored]) -> float:
    """Area under precision over recall, 101 points; nan where there is no face to find."""
    faces = sum(picture.faces for picture in pictures)
    if not faces:
        return float("nan")
    scores = np.concatenate([picture.scores for picture in pictures])
    verdicts = np.concatenate([picture.verdicts for picture in pictures])
    scores, verdicts = scores[verdicts >= 0], verdicts[verdicts >= 0]
    right = verdicts[np.argsort(-scores, kind="stable")]
    if not len(right):
        return 0.0
    hits = np.cumsum(right)
    recall = hits / faces
    precision = hits / np.arange(1, len(right) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, _RECALLS, side="left")
    return float(np.where(places < len(precision), precision[np.minimum(places, len(precision) - 1)], 0).mean())


def by_state(found: Found, truth: Truth) -> list[Scored]:
    """One Scored per state; a detection's score for a state is face score times the state's share."""
    regions = truth.boxes[truth.states == IGNORE]
    return [
        score_picture(found.boxes, found.faces * found.states[:, number], truth.boxes[truth.states == number], regions)
        for number in range(len(STATES))
    ]


def any_face(found: Found, truth: Truth, sizes: tuple[float, float] = (0, np.inf)) -> Scored:
    """Scored for the face alone; only faces whose shorter side is in [least, most) px are asked for."""
    known = truth.states != IGNORE
    side = _sides(truth.boxes)
    asked = known & (side >= sizes[0]) & (side < sizes[1])
    scored = score_picture(
        found.boxes, found.faces, truth.boxes[asked], truth.boxes[~known], truth.boxes[known & ~asked]
    )
    # a detection of another size that hits nothing is no mistake of this size (as in pycocotools)
    order = np.argsort(-found.faces, kind="stable")
    own = _sides(found.boxes[order])
    scored.verdicts[(scored.verdicts == 0) & ((own < sizes[0]) | (own >= sizes[1]))] = -1
    return scored


def face_scores(found: list[Found], truths: list[Truth], min_score: float) -> tuple[Floats, NDArray[np.bool_]]:
    """Of the detections that count, in all pictures: scores of at least min_score, and whether each is a face."""
    scored = [any_face(*pair) for pair in zip(found, truths, strict=True)]
    scores = np.concatenate([one.scores for one in scored])
    verdicts = np.concatenate([one.verdicts for one in scored])
    counted = (verdicts >= 0) & (scores >= min_score)
    return scores[counted], verdicts[counted] == 1


def judge(found: Found, truth: Truth, min_score: float) -> Judged:
    """The state of each face that a detection of at least min_score matches."""
    sure = found.faces >= min_score
    boxes, scores, states = found.boxes[sure], found.faces[sure], found.states[sure]
    known = truth.states != IGNORE
    faces, true = truth.boxes[known], truth.states[known]
    judged, matched = [], []
    shares = overlaps(boxes, faces)
    free = np.ones(len(faces), dtype=bool)
    for row in np.argsort(-scores, kind="stable"):
        open_shares = np.where(free, shares[row], 0)
        if open_shares.size and open_shares.max() >= MIN_IOU:
            column = int(open_shares.argmax())
            free[column] = False
            state = int(states[row].argmax())
            side = float(_sides(faces[column : column + 1])[0])
            judged.append((int(true[column]), state, float(states[row, state]), side))
            matched.append(int(row))
    return Judged(judged, states[matched])


def calibration_error(sure: Floats, right: NDArray[np.bool_], bins: int = 10) -> float:
    """Expected calibration error: mean gap of confidence and hit rate, over bins of equal width."""
    places = np.minimum((sure * bins).astype(int), bins - 1)
    gaps = [
        abs(float(sure[places == bin_].mean()) - float(right[places == bin_].mean())) * float((places == bin_).mean())
        for bin_ in range(bins)
        if (places == bin_).any()
    ]
    return float(sum(gaps))


def _shared(one: Floats, other: Floats) -> tuple[Floats, Floats, Floats]:
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    both = np.maximum(high - low, 0).prod(2)
    return both, np.prod(one[:, 2:] - one[:, :2], axis=1), np.prod(other[:, 2:] - other[:, :2], axis=1)


def _sides(boxes: Floats) -> Floats:
    sides: Floats = (boxes[:, 2:] - boxes[:, :2]).min(axis=1)
    return sides
