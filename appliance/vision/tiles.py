"""Pictures larger than the detector's input: looked at as a whole, for the large faces, and in tiles, for the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from appliance.faces import Face
from appliance.vision.bboxes import PAD_GREY
from appliance.vision.detector import Detector
from appliance.vision.looking.region import Region
from appliance.vision.looking.seams import merged
from appliance.vision.pixels import Pixels, scale_to

OVERLAP = 0.15  # of a tile: a face up to this size is whole in one of them; larger ones are another scale's
MAX_STEP = 4  # down to the whole: the network sees faces of ten times the size of the smallest
MAX_IOU = 0.5  # two bboxes that overlap by more are of one face


def detect_tiled(detector: Detector, image: Pixels, score_threshold: float | None = None) -> list[Face]:
    """Faces in a picture of any size, highest score first; bboxes in its pixels.

    The same as `detector.detect` where the picture fits the detector's input. Else also its tiles at the picture's own
    scale, and at scales between that and the whole's, by factors of two.
    """
    whole = detector.detect(image, score_threshold)
    height, width = image.shape[:2]
    reduction = max(width / detector.input_width, height / detector.input_height)
    if reduction <= 1:
        return whole
    side = max(width, height)
    found: list[tuple[Region, Sequence[Face]]] = [(Region(0, 0, side, side), whole)]
    factor = 1
    found += _looked(detector, image, factor, score_threshold)
    while reduction / factor > MAX_STEP:
        factor *= 2
        found += _looked(detector, image, factor, score_threshold)
    return merged(found, (width, height), MAX_IOU)


def _looked(
    detector: Detector, image: Pixels, factor: int, score_threshold: float | None
) -> Iterator[tuple[Region, Sequence[Face]]]:
    """Each tile of the picture, scaled down by the factor, with its faces; a row of tiles is one stack."""
    image = scale_to(image, image.shape[1] // factor, image.shape[0] // factor)
    height, width = image.shape[:2]
    side = min(detector.input_width, detector.input_height)
    columns = _begins(width, side)
    for top in _begins(height, side):
        stack = np.full((len(columns), side, side, 3), PAD_GREY, dtype=np.uint8)
        for square, left in zip(stack, columns, strict=True):
            part = image[top : top + side, left : left + side]
            square[: part.shape[0], : part.shape[1]] = part
        for left, faces in zip(columns, detector.look(stack, score_threshold), strict=True):
            small = [face for face in faces if _longer_side(face) <= OVERLAP * side]
            yield Region(left * factor, top * factor, side * factor, side), small


def _longer_side(face: Face) -> float:
    left, top, right, bottom = face.bbox_px
    return max(right - left, bottom - top)


def _begins(length: int, side: int) -> list[int]:
    """Where tiles begin, px, so that they overlap enough and cover the length; even."""
    last = max(0, -(-(length - side) // 2) * 2)
    count = 1 + -(-last // round(side * (1 - OVERLAP)))
    return [round(index * last / (count - 1) / 2) * 2 for index in range(count)] if last else [0]
