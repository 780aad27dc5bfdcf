"""The picture that is stored of a detection: the face and a little around it, eyes made unrecognisable."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from appliance.faces import Bbox
from appliance.vision.frame import Frame
from appliance.vision.pixels import Pixels, shrink

MARGIN = 0.3  # of the bbox, on each side
MAX_SIDE_PX = 320
EYES_TOP, EYES_BOTTOM = 0.12, 0.54  # of a bbox from forehead to chin; a worn mask begins below
EYES_SIDE = 0.12  # so far beyond the bbox on either side, for faces that are turned
BLOCKS = 6  # across the face: far too few to know anybody by


def snapshot(frame: Frame, bbox_px: Bbox, hidden: Iterable[Bbox]) -> Pixels:
    """The part of the frame around the bbox, scaled down to at most MAX_SIDE_PX; the eyes of `hidden` faces pixelated."""
    left, top, right, bottom = bbox_px
    aside, above = (right - left) * MARGIN, (bottom - top) * MARGIN
    x0, y0 = max(0, int(left - aside)), max(0, int(top - above))
    x1, y1 = min(frame.width, max(x0 + 2, round(right + aside))), min(frame.height, max(y0 + 2, round(bottom + above)))
    x0, y0 = min(x0, frame.width - 2), min(y0, frame.height - 2)
    part = frame.part(x0, y0, x1, y1)
    return shrink(pixelate_eyes(part, [(a - x0, b - y0, c - x0, d - y0) for a, b, c, d in hidden]), MAX_SIDE_PX)


def pixelate_eyes(image: Pixels, bboxes_px: Iterable[Bbox]) -> Pixels:
    """A copy of the image in which the eyes of every face are a few coarse blocks. The mask stays visible."""
    hidden: Pixels = image.copy()
    height, width = image.shape[:2]
    for left, top, right, bottom in bboxes_px:
        face_width, face_height = right - left, bottom - top
        x0, x1 = max(0, int(left - EYES_SIDE * face_width)), min(width, round(right + EYES_SIDE * face_width))
        y0, y1 = max(0, int(top + EYES_TOP * face_height)), min(height, round(top + EYES_BOTTOM * face_height))
        block = max(4, round(face_width / BLOCKS))
        for y in range(y0, y1, block):
            for x in range(x0, x1, block):
                patch = hidden[y : min(y + block, y1), x : min(x + block, x1)]
                patch[:] = patch.mean(axis=(0, 1)).astype(np.uint8)
    return hidden
