"""What it costs to take a face for that of a track: place, direction, size, state and the colours below the face."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from appliance.faces import CLASSES, Face, State
from appliance.vision.course import Course, middle, size_of
from appliance.vision.track import MIN_VOTES, STILL_RATIO, STILL_REACH, Colours, Float64Array, Seen, Track

LIMIT = 20.0  # a pair that costs so much is none
SAME_PLACE = 0.3  # in face sizes: nearer than about this is no evidence against a pair
REACH = 1.0  # how far, in face sizes, from the predicted place a face may be
REACH_PER_S = 7.0  # and how much further for each second since it was last seen: more than a walk
MAX_REACH = 6.0
SUDDEN = 8.0  # squares of standard deviations beyond which distance says less and less
LONG_S = 0.7  # who was out of view for longer must look the same when back
MAX_RATIO, MAX_RATIO_LONG = 1.9, 1.6
COLOUR_WEIGHT, SAME_COLOURS, OTHER_COLOURS = 14.0, 0.2, 0.4
STATE_WEIGHT = 4.0
SURE = 0.8  # of a state
OPPOSED_SPEED = 2.0  # face sizes a second: who walks does not come back from behind ...
OPPOSED_COSINE = -0.3  # ... where this is the cosine of the angle between both ways, or less


def colour_distances(first: Colours, second: Colours) -> Float64Array:
    """Of each of N descriptors from each of M, 0 (the same) to 1: half of the summed differences. N x K, M x K."""
    distances: Float64Array = np.abs(first[:, None] - second[None]).sum(axis=2, dtype=np.float64) / 2
    return distances


def costs_of(tracks: Sequence[Track], seen: Sequence[Seen], now_s: float, size: tuple[float, float]) -> Float64Array:
    """Of each track (rows) and face (columns); LIMIT or more: the face cannot be this person's.

    The square of the distance from the predicted place in standard deviations (Mahalanobis), the same of the size, and
    what speaks against the pair otherwise. Wherever the prediction is vague, a pair costs more, so that of two tracks
    the one that knows better has the face.
    """
    courses = [_expected_course(track, now_s) for track in tracks]
    unseen_s = np.array([max(0.0, now_s - track.last_s) for track in tracks])
    place, reach = _places(tracks, courses, seen, unseen_s, size)
    sizes, ratio = _sizes(courses, seen)
    colours = _colours(tracks, seen)
    cost = place + sizes + COLOUR_WEIGHT * np.clip((colours - SAME_COLOURS) / 0.2, 0, 2) + _states(tracks, seen)
    long = (unseen_s > LONG_S)[:, None]
    still = np.array([track.still for track in tracks])[:, None]
    impossible = ~reach | (ratio > np.where(long, MAX_RATIO_LONG, MAX_RATIO))
    impossible |= long & ((colours > OTHER_COLOURS) | _opposed(tracks, seen))
    impossible |= long & still & (ratio > STILL_RATIO)
    return np.where(impossible, np.inf, np.maximum(cost, 0.0))


def _expected_course(track: Track, now_s: float) -> Course:
    passed_s = max(0.0, now_s - track.last_s)
    if track.still and passed_s > LONG_S:
        return Course(*track.anchor[:3])
    return track.course.after(passed_s)


def _places(
    tracks: Sequence[Track],
    courses: Sequence[Course],
    seen: Sequence[Seen],
    unseen_s: Float64Array,
    size: tuple[float, float],
) -> tuple[Float64Array, NDArray[np.bool_]]:
    """The cost of each pair's distance, and whether it is within reach."""
    predicted = np.array([(course.x, course.y) for course in courses])
    middles = np.array([middle(one.face.bbox_px) for one in seen])
    sizes = np.sqrt(np.outer([course.size_px for course in courses], [size_of(one.face.bbox_px) for one in seen]))
    distance = np.linalg.norm(predicted[:, None] - middles[None], axis=2) / sizes
    leaving = np.array([course.has_left(size) for course in courses])
    spread = np.array([course.spread_px / course.size_px for course in courses])
    spread = np.hypot(spread, SAME_PLACE)
    reach = np.minimum(REACH + REACH_PER_S * unseen_s, MAX_REACH)
    # A poster comes back where it hung.
    still = np.array([track.still for track in tracks])
    reach = np.where(still & (unseen_s > LONG_S), STILL_REACH, reach)
    squares = (distance / spread[:, None]) ** 2
    # Who starts to run, stops or turns is off by more than chance allows; who is on the way out does not turn.
    squares = np.where(leaving[:, None], squares, SUDDEN * np.log1p(squares / SUDDEN))
    cost = squares + 2 * np.log(spread / SAME_PLACE)[:, None]
    return cost, distance <= reach[:, None]


def _sizes(courses: Sequence[Course], seen: Sequence[Seen]) -> tuple[Float64Array, Float64Array]:
    """The cost of each pair's sizes, and the larger one as a multiple of the smaller."""
    ours = np.log([course.size_px for course in courses])
    theirs = np.log([size_of(one.face.bbox_px) for one in seen])
    off = ours[:, None] - theirs[None]
    spread = np.hypot([course.log_size_spread for course in courses], 0.15)
    return (off / spread[:, None]) ** 2, np.exp(np.abs(off))


def _colours(tracks: Sequence[Track], seen: Sequence[Seen]) -> Float64Array:
    """The distance of each pair's colours; SAME_COLOURS where either is not known."""
    distances = np.full((len(tracks), len(seen)), SAME_COLOURS)
    rows = [row for row, track in enumerate(tracks) if track.colours is not None]
    columns = [column for column, one in enumerate(seen) if one.colours is not None]
    if rows and columns:
        ours = np.array([tracks[row].colours for row in rows], dtype=np.float32)
        theirs = np.array([seen[column].colours for column in columns], dtype=np.float32)
        distances[np.ix_(rows, columns)] = colour_distances(ours, theirs)
    return distances


def _states(tracks: Sequence[Track], seen: Sequence[Seen]) -> Float64Array:
    """What it costs that a track has another state than the face, both sure."""
    ours = np.array([_sure_state(track) for track in tracks])[:, None]
    theirs = np.array([sure_state(one.face) for one in seen])[None]
    return np.where((ours != theirs) & (ours >= 0) & (theirs >= 0), STATE_WEIGHT, 0.0)


def sure_state(face: Face) -> int:
    """The index of the face's state in CLASSES where it is certain, else -1."""
    if face.state is State.UNKNOWN or max(face.class_probabilities) < SURE:
        return -1
    return CLASSES.index(face.state)


def _sure_state(track: Track) -> int:
    if track.votes < MIN_VOTES or track.confidence < SURE:
        return -1
    return int(track.weights.argmax())


def _opposed(tracks: Sequence[Track], seen: Sequence[Seen]) -> NDArray[np.bool_]:
    """Whether a track walked the other way than the face is from its last place."""
    speed = np.array([(track.course.vx, track.course.vy) for track in tracks])
    last = np.array([middle(track.bbox_px) for track in tracks])
    way = np.array([middle(one.face.bbox_px) for one in seen])[None] - last[:, None]
    size = np.array([track.course.size_px for track in tracks])
    along = (way * speed[:, None]).sum(axis=2)
    length = np.linalg.norm(way, axis=2)
    walks = np.array([track.course.speed > OPPOSED_SPEED for track in tracks])
    pace = np.linalg.norm(speed, axis=1)
    opposed: NDArray[np.bool_] = (length > size[:, None]) & (along < OPPOSED_COSINE * length * pace[:, None])
    return walks[:, None] & opposed
