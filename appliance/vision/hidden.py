"""Whose clothes are hidden: where somebody nearer stands before the torso, the colours there are that person's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from appliance.faces import Bbox
from appliance.vision.track import Float64Array, Seen

_TORSO = 0.8, 2.0  # of an upright person: to each side of the middle of the face, below the chin; in face sizes
_BODY = 1.3  # the same to each side, of whoever stands before
_LITTLE = 0.3  # so much of the torso may be hidden, in face sizes
_SAME_SIZE = 1.1  # whose faces differ by less may stand before each other
_SAME_FACE = 0.5  # what is nearer to a face, in face sizes, is that face


def with_own_colours(seen: Sequence[Seen], expected: Sequence[Bbox]) -> list[Seen]:
    """The faces of a frame, without the colours of those whose torso somebody else hides.

    expected: where else people are who may not be among them.
    """
    if len(seen) + len(expected) < 2 or all(one.colours is None for one in seen):
        return list(seen)
    ours = _shapes([one.face.bbox_px for one in seen])
    theirs = np.concatenate([ours, _shapes(expected)]) if expected else ours
    off = np.abs(ours[:, None, :2] - theirs[None, :, :2])
    size, other = ours[:, None, 2], theirs[None, :, 2]
    before = other * _SAME_SIZE > size
    beside = off[:, :, 0] < (_TORSO[0] - _LITTLE) * size + _BODY * other
    # From the head of the other downward everything is hidden.
    above = theirs[None, :, 1] - other / 2 < ours[:, None, 1] + size / 2 + _TORSO[1] * size
    another = off.max(axis=2) > _SAME_FACE * np.minimum(size, other)
    another[:, : len(seen)] = ~np.eye(len(seen), dtype=bool)
    hidden = (before & beside & above & another).any(axis=1)
    return [replace(one, colours=None) if is_hidden else one for one, is_hidden in zip(seen, hidden, strict=True)]


def _shapes(bboxes_px: Sequence[Bbox]) -> Float64Array:
    """The middle (x, y) and the size of each, N x 3."""
    bboxes = np.array(bboxes_px, dtype=np.float64)
    sides = np.maximum(bboxes[:, 2:] - bboxes[:, :2], 1.0)
    middles = (bboxes[:, :2] + bboxes[:, 2:]) / 2
    return np.column_stack([middles, np.sqrt(sides[:, 0] * sides[:, 1])])
