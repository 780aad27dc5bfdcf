"""How much a face speaks for a person being there.

The detector draws faces where there are none: on a bent arm, a pattern on a pullover, a lamp. Such faces come and go,
jump about, have no clear state, and the worst of them are larger than the head and on the body of somebody whose face
is known, or are the hair above it. None of this proves anything: so each only makes a track wait for more faces until
it counts as a person.
"""

from __future__ import annotations

from collections.abc import Iterable

from appliance.faces import Bbox, Face, State
from appliance.vision.tracking.course import middle, size_of

MISSED = 0.4  # what a look without a face takes away
_FULL_SCORE = 0.75  # a face of this score or more speaks for a person as much as any
_VAGUE = 0.6  # how much of that is left where its state is not clear, ...
_VAGUE_PROBABILITY = 0.6
_JUMPED = 0.5  # ... where it is not where the track led, ...
_ON_BODY = 0.3  # ... and where it may be a piece of somebody's clothes
# In face sizes, of the body: to each side of the face's middle, and how far down. Faces on it are larger than its own.
_BODY_BESIDE, _BODY_DOWN, _LARGER = 1.8, 8.0, 1.3
_NECK_BESIDE, _NECK_DOWN = 1.0, 2.0  # below the chin nothing is a face, whatever its size
# Of a bowed head the hair looks like a face as large as the face, and right above it. Who looks over somebody's head
# stays, and is rare: of 7156 labelled faces on photos nine are above another so.
_HAIR_BESIDE, _HAIR_UP = 0.3, 1.1


def evidence_of(face: Face, jumped: bool, on_body: bool) -> float:
    """0 to 1."""
    evidence = min(1.0, face.score / _FULL_SCORE)
    vague = face.state is State.UNKNOWN or max(face.class_probabilities) < _VAGUE_PROBABILITY
    if vague and not face.too_small:
        evidence *= _VAGUE
    return evidence * (_JUMPED if jumped else 1.0) * (_ON_BODY if on_body else 1.0)


def is_on_body(face: Face, others: Iterable[Bbox]) -> bool:
    """Whether the face, for its place and size, may be a piece of clothes or the hair of one of the others."""
    (x, y), size_px = middle(face.bbox_px), size_of(face.bbox_px)
    for bbox_px in others:
        (other_x, other_y), other_px = middle(bbox_px), size_of(bbox_px)
        beside, down = abs(x - other_x) / other_px, (y - other_y) / other_px
        on_neck = beside < _NECK_BESIDE and down < _NECK_DOWN
        if beside < _BODY_BESIDE and 0.5 < down < _BODY_DOWN and (on_neck or size_px > _LARGER * other_px):
            return True
        same_size = 1 / _LARGER < size_px / other_px < _LARGER
        if beside < _HAIR_BESIDE and -_HAIR_UP < down < -0.4 and same_size:
            return True
    return False
