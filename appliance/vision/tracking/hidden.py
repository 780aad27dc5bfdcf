"""Whose clothes are hidden: where somebody nearer stands before the torso, the colours there are that person's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from appliance.faces import Bbox
from appliance.vision.tracking.course import middle, size_of
from appliance.vision.tracking.track import Seen

_TORSO = 0.8, 2.0  # of an upright person: to each side of the middle of the face, below the chin; in face sizes
_BODY = 1.3  # the same to each side, of whoever stands before
_LITTLE = 0.3  # so much of the torso may be hidden, in face sizes
_SAME_SIZE = 1.1  # whose faces differ by less may stand before each other
_SAME_FACE = 0.5  # what is nearer to a face, in face sizes, is that face

_Shape = tuple[float, float, float]
"""The middle of a face, px of the frame, and its size."""


def with_own_colours(seen: Sequence[Seen], expected: Sequence[Bbox]) -> list[Seen]:
    """The faces of a frame, without the colours of those whose torso somebody else hides.

    expected: where people are who may be among them or not.
    """
    shapes = [_shape(one.face.bbox_px) for one in seen]
    others = [_shape(bbox_px) for bbox_px in expected]
    return [
        replace(one, colours=None) if one.colours is not None and _is_hidden(index, shapes, others) else one
        for index, one in enumerate(seen)
    ]


def _is_hidden(index: int, shapes: Sequence[_Shape], others: Sequence[_Shape]) -> bool:
    ours = shapes[index]
    return any(number != index and _hides(shape, ours) for number, shape in enumerate(shapes)) or any(
        _hides(shape, ours) and not _is_same(shape, ours) for shape in others
    )


def _hides(other: _Shape, ours: _Shape) -> bool:
    """Whether the other stands before the torso: from the head of the other downward everything is hidden."""
    (x, y, size), (other_x, other_y, other_size) = ours, other
    beside = abs(x - other_x) >= (_TORSO[0] - _LITTLE) * size + _BODY * other_size
    below = other_y - other_size / 2 >= y + size / 2 + _TORSO[1] * size
    return other_size * _SAME_SIZE > size and not beside and not below


def _is_same(other: _Shape, ours: _Shape) -> bool:
    off = max(abs(other[0] - ours[0]), abs(other[1] - ours[1]))
    return off <= _SAME_FACE * min(other[2], ours[2])


def _shape(bbox_px: Bbox) -> _Shape:
    return *middle(bbox_px), size_of(bbox_px)
