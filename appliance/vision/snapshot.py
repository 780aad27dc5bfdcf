"""The picture that is stored of a detection: the face and a little around it, eyes made unrecognisable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from appliance.cutout import MAX_SIDE_PX, Part, around
from appliance.faces import Bbox
from appliance.vision.frame import Frame
from appliance.vision.pixels import Pixels, shrink

EYES_TOP, EYES_BOTTOM = 0.12, 0.54  # of a bbox from forehead to chin; a worn mask begins below
EYES_SIDE = 0.12  # so far beyond the bbox on either side, for faces that are turned
BLOCKS = 6  # across the face: far too few to know anybody by


def snapshot(frame: Frame, bbox_px: Bbox, hidden: Iterable[Bbox]) -> Pixels:
    """The frame around the bbox, at most MAX_SIDE_PX a side; see `hidden_part`."""
    return hidden_part(frame, around(bbox_px, frame.width, frame.height), hidden, MAX_SIDE_PX)


def hidden_part(frame: Frame, wanted: Part, hidden: Iterable[Bbox], max_side_px: int) -> Pixels:
    """A part of the frame, at most max_side_px a side; the eyes of the faces `hidden` are a few coarse blocks.

    hidden: every face that is known in the frame, px of the frame. The result is the same as that of pixelating the
    whole frame and cutting it then, but only what is wanted is converted.
    """
    every = [eyes_of(each, frame.width, frame.height) for each in hidden]
    needed, eyes = wanted, [each for each in every if _meet(wanted, each[0])]
    # Whole blocks, also where the cut ends within one: else less would be averaged, and more be seen.
    while (grown := _around_all([needed, *(where for where, _ in eyes)])) != needed:
        needed, eyes = grown, [each for each in every if _meet(grown, each[0])]
    part: Pixels = frame.part(*needed).copy()
    for where, block in eyes:
        _pixelate(part, _moved(where, needed), block)
    left, top, right, bottom = _moved(wanted, needed)
    return shrink(part[top:bottom, left:right], max_side_px)


def pixelate_eyes(image: Pixels, bboxes_px: Iterable[Bbox]) -> Pixels:
    """A copy of the image in which the eyes of every face are a few coarse blocks. The mask stays visible."""
    hidden: Pixels = image.copy()
    for bbox_px in bboxes_px:
        _pixelate(hidden, *eyes_of(bbox_px, image.shape[1], image.shape[0]))
    return hidden


def eyes_of(bbox_px: Bbox, width: int, height: int) -> tuple[Part, int]:
    """What is hidden of a face, (left, top, right, bottom) in px, as far as it is in the frame; the side of a block."""
    left, top, right, bottom = bbox_px
    face_width, face_height = right - left, bottom - top
    x0, x1 = max(0, int(left - EYES_SIDE * face_width)), min(width, round(right + EYES_SIDE * face_width))
    y0, y1 = max(0, int(top + EYES_TOP * face_height)), min(height, round(top + EYES_BOTTOM * face_height))
    return (x0, y0, x1, y1), max(4, round(face_width / BLOCKS))


def _pixelate(image: Pixels, part: Part, block: int) -> None:
    """Give each block of the part its mean colour."""
    left, top, right, bottom = part
    for y in range(top, bottom, block):
        for x in range(left, right, block):
            patch = image[y : min(y + block, bottom), x : min(x + block, right)]
            patch[:] = patch.mean(axis=(0, 1)).astype(np.uint8)


def _meet(first: Part, second: Part) -> bool:
    return max(first[0], second[0]) < min(first[2], second[2]) and max(first[1], second[1]) < min(first[3], second[3])


def _around_all(parts: Sequence[Part]) -> Part:
    lefts, tops, rights, bottoms = zip(*parts, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _moved(part: Part, origin: Part) -> Part:
    left, top, right, bottom = part
    return left - origin[0], top - origin[1], right - origin[0], bottom - origin[1]
