"""The picture that is stored of a detection: the face and a little around it, eyes made unrecognisable."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from appliance.faces import Bbox
from appliance.vision.pixels import Pixels, shrink

MARGIN = 0.3  # of the bbox, on each side
MAX_SIDE_PX = 320
EYES_TOP, EYES_BOTTOM = 0.12, 0.54  # of a bbox from forehead to chin; a worn mask begins below
EYES_SIDE = 0.12  # so far beyond the bbox on either side, for faces that are turned
BLOCKS = 6  # across the face: far too few to know anybody by


def cut(image: Pixels, bbox_px: Bbox) -> Pixels:
    """The part of the image (uint8, height x width x 3) around the bbox, scaled down to at most MAX_SIDE_PX."""
    height, width = image.shape[:2]
    left, top, right, bottom = bbox_px
    aside, above = (right - left) * MARGIN, (bottom - top) * MARGIN
    x0, y0 = max(0, int(left - aside)), max(0, int(top - above))
    x1, y1 = min(width, max(x0 + 2, round(right + aside))), min(height, max(y0 + 2, round(bottom + above)))
    return shrink(image[min(y0, height - 2) : y1, min(x0, width - 2) : x1], MAX_SIDE_PX)


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
