"""Whether somebody else has taken over a track: where one leaves as another comes, or behind whom somebody hides.

A track whose colours, or two of state, size and motion, change for good was two people. Its newest faces are compared
with those before them, so that a single odd face changes nothing. A changed state alone is the same person: nobody
could tell somebody who pulls the mask down from somebody else, but the first happens all the time, and the second
shows in the motion, the size or the colours as well. The vote then follows the longer part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

import numpy as np

from appliance.faces import CLASSES
from appliance.vision.colours import Colours, colour_distance
from appliance.vision.tracking.course import middle, size_of
from appliance.vision.tracking.matching import OTHER_COLOURS, SAME_COLOURS, sure_state
from appliance.vision.tracking.track import Float64Array, Hit

FEWEST_FACES = 4  # on either side of the change ...
FEWEST_S = 0.35  # ... and for how long it must have lasted
ENOUGH = 1.0
# How much each speaks for another person; together they must reach ENOUGH.
COLOURS, STATE, SIZE, JUMP, TURN = 1.0, 0.6, 0.5, 0.4, 1.0
SAME = -0.5  # and how much the same colours speak against one
STAYED, NEAR = -0.5, 0.5  # the same of a face of one state that stays within so many sizes: somebody hides the clothes
MIN_RATIO = 1.3
TURN_SPEED, TURN_S = 3.0, 0.6  # nobody turns on their heels who walks at so many face sizes a second
MOST = 0.8  # of the faces must agree on a state


def taken_over(hits: Sequence[Hit]) -> int | None:
    """From which face on, an index into a track's newest faces, they are another person's; None: they are not."""
    last = len(hits) - FEWEST_FACES
    for index in range(FEWEST_FACES - 1, last + 1):
        hit = hits[index]
        # Where nothing jumped and nothing looks odd, nobody can have taken over.
        if not (hit.jumped or hit.odd) or hits[-1].now_s - hit.now_s < FEWEST_S:
            continue
        if _evidence(hits[:index], hits[index:]) >= ENOUGH:
            return index
    return None


def odd_from(hits: Sequence[Hit]) -> int | None:
    """From which face on all that show colours show odd ones; None: the newest does not."""
    odd = [index for index, hit in enumerate(hits) if hit.odd]
    usual = [index for index, hit in enumerate(hits) if hit.colours is not None and not hit.odd]
    return next((index for index in odd if index > max(usual, default=0)), None)


def alike(first: Sequence[Hit], second: Sequence[Hit]) -> bool:
    """Whether both may be one person by colours, size and state: nothing speaks against it, and the colours for it."""
    distances = _colour_distances(first, second)
    if distances is None or np.median(distances) > (SAME_COLOURS + OTHER_COLOURS) / 2:
        return False
    return _ratio(first, second) < MIN_RATIO and not _states_differ(first, second)


def _evidence(before: Sequence[Hit], after: Sequence[Hit]) -> float:
    distances = _colour_distances(before, after)
    evidence = 0.0
    if distances is not None:
        far = float((distances > OTHER_COLOURS).mean())
        evidence += COLOURS if far >= MOST else SAME if float(np.median(distances)) < SAME_COLOURS else 0.0
    evidence += STATE * _states_differ(before, after)
    evidence += SIZE * (_ratio(before[-FEWEST_FACES:], after[:FEWEST_FACES]) > MIN_RATIO)
    evidence += JUMP * after[0].jumped
    evidence += STAYED * _stayed(before, after)
    evidence += TURN * _turned(before[-FEWEST_FACES:], after[:FEWEST_FACES])
    return evidence


def _colour_distances(before: Sequence[Hit], after: Sequence[Hit]) -> Float64Array | None:
    """Of each of the later faces from the mean of those before; None: too few faces show any colours."""
    mean, shown = (
        _mean_colours([hit for hit in before if not hit.odd]),
        [hit.colours for hit in after if hit.colours is not None],
    )
    if mean is None or len(shown) < FEWEST_FACES - 1:
        return None
    return np.array([colour_distance(colours, mean) for colours in shown])


def _mean_colours(hits: Sequence[Hit]) -> Colours | None:
    shown = [hit.colours for hit in hits if hit.colours is not None]
    mean: Colours | None = np.mean(shown, axis=0, dtype=np.float32) if len(shown) >= FEWEST_FACES - 1 else None
    return mean


def _states_differ(before: Sequence[Hit], after: Sequence[Hit]) -> bool:
    first, second = _agreed_state(before), _agreed_state(after)
    return first is not None and second is not None and first != second


def _stayed(before: Sequence[Hit], after: Sequence[Hit]) -> bool:
    """Whether the later faces are where those before were, of one size, and both of the same state."""
    (x, y), (later_x, later_y) = middle(before[-1].face.bbox_px), middle(after[-1].face.bbox_px)
    size_px = size_of(before[-1].face.bbox_px)
    if max(abs(x - later_x), abs(y - later_y)) > NEAR * size_px or _ratio(before, after) > MIN_RATIO:
        return False
    state = _agreed_state(before)
    return state is not None and state == _agreed_state(after)


def _agreed_state(hits: Sequence[Hit]) -> int | None:
    states = [state for hit in hits if (state := sure_state(hit.face)) >= 0]
    for state in range(len(CLASSES)):
        if len(states) >= FEWEST_FACES - 1 and states.count(state) >= MOST * len(states):
            return state
    return None


def _ratio(before: Sequence[Hit], after: Sequence[Hit]) -> float:
    """The larger size as a multiple of the smaller; 1 where the edge of the frame cuts most faces."""
    first, second = ([size_of(hit.face.bbox_px) for hit in hits if not hit.cut] for hits in (before, after))
    if len(first) < 2 or len(second) < 2:
        return 1.0
    ratio = median(first) / median(second)
    return max(ratio, 1 / ratio)


def _turned(before: Sequence[Hit], after: Sequence[Hit]) -> bool:
    """Whether the way of the later faces leads back, faster than anybody turns."""
    if len(before) < 2 or after[0].now_s - before[-1].now_s > TURN_S:
        return False
    first, second = _velocity(before), _velocity(after)
    speeds = math.hypot(*first), math.hypot(*second)
    along = first[0] * second[0] + first[1] * second[1]
    return min(speeds) > TURN_SPEED and along < -0.5 * speeds[0] * speeds[1]


def _velocity(hits: Sequence[Hit]) -> tuple[float, float]:
    """In face sizes a second, from the first to the last."""
    (left, top), (right, bottom) = middle(hits[0].face.bbox_px), middle(hits[-1].face.bbox_px)
    scale = size_of(hits[-1].face.bbox_px) * max(hits[-1].now_s - hits[0].now_s, 0.05)
    return (right - left) / scale, (bottom - top) / scale
