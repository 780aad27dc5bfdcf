"""Whose clothes are hidden: where somebody else stands before the torso, the colours there are that person's.

As a rule the larger face is nearer. But a picture may be larger than who passes before it; so where the same colours
show below two faces, they are of who wore them before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from appliance.faces import Bbox
from appliance.vision.colours import Colours, colour_distance
from appliance.vision.tracking.course import middle, size_of
from appliance.vision.tracking.matching import SAME_COLOURS
from appliance.vision.tracking.track import STILL_RATIO, Seen

_TORSO = 0.8, 2.0  # of an upright person: to each side of the middle of the face, below the chin; in face sizes
_BODY = 1.3  # the same to each side, of whoever stands before
_LITTLE = 0.3  # so much of the torso may be hidden, in face sizes
_SAME_SIZE = 1.1  # whose faces differ by less may stand before each other
_SAME_FACE = 0.5  # what is nearer to a face, in face sizes, is that face
_REACH = 3.0  # within so many face sizes of where somebody is expected their face may be


@dataclass(frozen=True, slots=True, eq=False)
class _Shape:
    """The middle of a face, px of the frame, its size, and the colours below it, or those worn before."""

    x: float
    y: float
    size: float
    colours: Colours | None


def with_own_colours(seen: Sequence[Seen], expected: Sequence[tuple[Bbox, Colours | None]]) -> list[Seen]:
    """The faces of a frame, without the colours of those whose torso somebody else hides.

    expected: where people are who may be among them or not, and what they wear.
    """
    shapes = [_shape(one.face.bbox_px, one.colours) for one in seen]
    people = [_shape(bbox_px, worn) for bbox_px, worn in expected]
    unseen = _unseen(people, shapes)
    return [
        replace(one, colours=None) if one.colours is not None and _is_hidden(index, shapes, people, unseen) else one
        for index, one in enumerate(seen)
    ]


def _unseen(people: Sequence[_Shape], shapes: Sequence[_Shape]) -> list[_Shape]:
    """Those of the people who may be there without a face.

    Who stops where they were expected to go on is not where they are expected: where each of those around shows a face
    of their own, and the clothes, nobody stands unseen between them.
    """
    left, theirs, unseen = list(shapes), [], []
    for person in people:
        face = next((one for one in left if _is_around(person, one) and _are_alike(person, one)), None)
        if face is None:
            unseen.append(person)
        else:
            left.remove(face)
            theirs.append((person, face))
    # A face with the clothes of somebody may be that of another, of whom nothing else is seen.
    unsure = [person for person, face in theirs if any(_is_around(other, face) for other in unseen)]
    return unseen + unsure


def _is_hidden(index: int, shapes: Sequence[_Shape], people: Sequence[_Shape], unseen: Sequence[_Shape]) -> bool:
    ours = shapes[index]
    return any(number != index and _hides(shape, ours, people) for number, shape in enumerate(shapes)) or any(
        _covers(shape, ours) and _may_be_nearer(shape, ours) and not _is_same(shape, ours) for shape in unseen
    )


def _hides(other: _Shape, ours: _Shape, people: Sequence[_Shape]) -> bool:
    if not _covers(other, ours):
        return False
    if _are_alike(other, ours):
        theirs_before, ours_before = (any(_wore(person, one) for person in people) for one in (other, ours))
        if theirs_before != ours_before:
            return theirs_before
    return _may_be_nearer(other, ours)


def _covers(other: _Shape, ours: _Shape) -> bool:
    """Whether the other is where the torso is: from the head of the other downward everything is hidden."""
    beside = abs(ours.x - other.x) >= (_TORSO[0] - _LITTLE) * ours.size + _BODY * other.size
    below = other.y - other.size / 2 >= ours.y + ours.size / 2 + _TORSO[1] * ours.size
    return not beside and not below


def _may_be_nearer(other: _Shape, ours: _Shape) -> bool:
    return other.size * _SAME_SIZE > ours.size


def _wore(person: _Shape, one: _Shape) -> bool:
    """Whether the face is where that person is expected, as large, and shows what they wear."""
    return _is_as_large(person, one) and _is_same(person, one) and _are_alike(person, one)


def _is_around(person: _Shape, one: _Shape) -> bool:
    """Whether the face may be that person's by place and size."""
    off = max(abs(person.x - one.x), abs(person.y - one.y))
    return off <= _REACH * one.size and _is_as_large(person, one)


def _is_as_large(person: _Shape, one: _Shape) -> bool:
    return 1 / STILL_RATIO < person.size / one.size < STILL_RATIO


def _are_alike(first: _Shape, second: _Shape) -> bool:
    if first.colours is None or second.colours is None:
        return False
    return colour_distance(first.colours, second.colours) < SAME_COLOURS


def _is_same(other: _Shape, ours: _Shape) -> bool:
    off = max(abs(other.x - ours.x), abs(other.y - ours.y))
    return off <= _SAME_FACE * min(other.size, ours.size)


def _shape(bbox_px: Bbox, colours: Colours | None) -> _Shape:
    return _Shape(*middle(bbox_px), size_of(bbox_px), colours)
