"""What a detector is, and what all of ours share: letterbox, decoding, suppression, judgement.

A backend (`onnx.py`) only runs the network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.faces import JUDGED, Face, State
from appliance.vision.boxes import (
    ALIGN,
    PAD_GREY,
    Floats,
    Rows,
    aligned,
    content_size,
    decode,
    rescale,
    suppress,
    with_second_look,
)
from appliance.vision.models import Model
from appliance.vision.pixels import Pixels, scale_to

Run = Callable[[Pixels], Sequence[NDArray[Any]]]
"""A backend: the network's input (uint8, H x W x 3, RGB) to one array 1 x 8 x rows x columns of cells per stride of
`boxes.STRIDES`."""


class Detector(Protocol):
    """Finds faces and how they wear the mask. May be used by several threads at once."""

    model_id: str
    input_width: int
    input_height: int
    sure_score: float
    """Faces at least this sure are counted; weaker ones may only keep a track alive."""

    def detect(self, image: Pixels, min_score: float | None = None) -> list[Face]:
        """Faces in `image` (uint8, height x width x 3, RGB), surest first; boxes in its pixels.

        min_score: the least sure face to return; None: sure_score.
        """


class NetworkDetector:
    """A detector made of a model and something that runs it.

    fixed: the network takes no other input than the model's size. One that does is given as little grey as possible:
    a picture of 16:9 then costs five eighths of a square one. multiple: what the sides of its input are multiples of.
    """

    def __init__(self, model: Model, run: Run, fixed: bool = True, multiple: Fraction = ALIGN) -> None:
        self.model = model
        self.model_id = model.id
        self.input_width = model.input_width
        self.input_height = model.input_height
        self.sure_score = model.min_score
        self._run = run
        self.fixed = fixed
        self.multiple = multiple

    def detect(self, image: Pixels, min_score: float | None = None) -> list[Face]:
        """Faces in `image`, surest first (see Detector)."""
        height, width = image.shape[:2]
        size = content_size(width, height, self.input_width, self.input_height)
        content = scale_to(image, *size)
        least = self.sure_score if min_score is None else min_score
        rows = self._look(content, least)
        if self.model.second_look:
            rows = with_second_look(rows, self._second_look(content, least), size)
        boxes, scores, states = rows
        kept = suppress(boxes, self.model.max_iou)
        sizes_px = _shorter_sides(boxes[kept])
        boxes = rescale(boxes[kept], size, (width, height))
        return [
            Face(
                box_px=(box[0], box[1], box[2], box[3]),
                score=score,
                states=(shares[0], shares[1], shares[2]),
                state=self._judge(shares, side_px),
            )
            for box, score, shares, side_px in zip(
                boxes.tolist(), scores[kept].tolist(), states[kept].tolist(), sizes_px, strict=True
            )
        ]

    def _look(self, content: Pixels, min_score: float) -> Rows:
        """What the network sees in the content, laid in the upper left corner of grey."""
        height, width = content.shape[:2]
        columns, rows = self.input_width, self.input_height
        if not self.fixed:
            columns, rows = aligned(width, height, self.multiple)
        canvas = np.full((rows, columns, 3), PAD_GREY, dtype=np.uint8)
        canvas[:height, :width] = content
        return decode(self._run(canvas), (columns, rows), min_score)

    def _second_look(self, content: Pixels, min_score: float) -> Rows:
        """The same of the content scaled down, boxes at the scale of the content."""
        height, width = content.shape[:2]
        wide, high = (max(2, round(length / self.model.second_look)) for length in (width, height))
        boxes, scores, states = self._look(scale_to(content, wide, high), min_score)
        return boxes * np.array([width / wide, height / high] * 2, dtype=np.float32), scores, states

    def _judge(self, shares: Sequence[float], side_px: float) -> State:
        """The likeliest state, if the face is large enough and the next state far enough behind."""
        first, second = sorted(shares, reverse=True)[:2]
        if side_px < self.model.min_face_px or first - second < self.model.min_margin:
            return State.UNKNOWN
        return JUDGED[shares.index(first)]


def _shorter_sides(boxes: Floats) -> list[float]:
    sides: list[float] = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf).tolist()
    return sides
