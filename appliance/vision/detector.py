"""What a detector is, and what all of ours share: letterbox, decoding, NMS, classification.

A backend (`onnx.py`) only runs the network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.faces import CLASSES, Face, State
from appliance.vision.bboxes import (
    ALIGN,
    PAD_GREY,
    Candidates,
    Float32Array,
    aligned,
    content_size,
    decode,
    nms,
    rescale,
    with_second_pass,
)
from appliance.vision.manifest import Model
from appliance.vision.pixels import Pixels, scale_to

Run = Callable[[Pixels], Sequence[NDArray[Any]]]
"""A backend: the network's input (uint8, H x W x 3, RGB) to one array 1 x 8 x rows x columns of cells per stride of
`bboxes.STRIDES`."""


class Detector(Protocol):
    """Finds faces and how they wear the mask. May be used by several threads at once."""

    model_id: str
    input_width: int
    input_height: int
    score_threshold: float
    """Faces of this score or more (high confidence) are counted; the others may only keep a track alive."""

    def detect(self, image: Pixels, score_threshold: float | None = None) -> list[Face]:
        """Faces in `image` (uint8, height x width x 3, RGB), highest score first; bboxes in its pixels.

        score_threshold: the lowest score of a face to return; None: that of the detector.
        """


class NetworkDetector:
    """A detector made of a model and something that runs it.

    fixed: the network takes no other input than the model's size. Any other gets as little grey as possible:
    a picture of 16:9 then costs five eighths of a square one. multiple: what the sides of its input are multiples of.
    """

    def __init__(self, model: Model, run: Run, fixed: bool = True, multiple: Fraction = ALIGN) -> None:
        self.model = model
        self.model_id = model.id
        self.input_width = model.input_width
        self.input_height = model.input_height
        self.score_threshold = model.score_threshold
        self._run = run
        self.fixed = fixed
        self.multiple = multiple

    def detect(self, image: Pixels, score_threshold: float | None = None) -> list[Face]:
        """Faces in `image`, highest score first (see Detector)."""
        height, width = image.shape[:2]
        size = content_size(width, height, self.input_width, self.input_height)
        content = scale_to(image, *size)
        threshold = self.score_threshold if score_threshold is None else score_threshold
        found = self._forward(content, threshold)
        if self.model.second_pass:
            found = with_second_pass(found, self._second_pass(content, threshold), size)
        keep = nms(found.bboxes, self.model.max_iou)
        found = Candidates(*(array[keep] for array in found))
        sizes_px = _shorter_sides(found.bboxes)
        bboxes = rescale(found.bboxes, size, (width, height))
        return [
            Face(
                bbox_px=(bbox[0], bbox[1], bbox[2], bbox[3]),
                score=score,
                class_probabilities=(probabilities[0], probabilities[1], probabilities[2]),
                state=self._classify(probabilities, side_px),
            )
            for bbox, score, probabilities, side_px in zip(
                bboxes.tolist(), found.scores.tolist(), found.probabilities.tolist(), sizes_px, strict=True
            )
        ]

    def _forward(self, content: Pixels, score_threshold: float) -> Candidates:
        """What the network sees in the content, laid in the upper left corner of grey."""
        height, width = content.shape[:2]
        columns, rows = self.input_width, self.input_height
        if not self.fixed:
            columns, rows = aligned(width, height, self.multiple)
        canvas = np.full((rows, columns, 3), PAD_GREY, dtype=np.uint8)
        canvas[:height, :width] = content
        return decode(self._run(canvas), (columns, rows), score_threshold)

    def _second_pass(self, content: Pixels, score_threshold: float) -> Candidates:
        """The same of the content scaled down, bboxes at the scale of the content."""
        height, width = content.shape[:2]
        wide, high = (max(2, round(length / self.model.second_pass)) for length in (width, height))
        found = self._forward(scale_to(content, wide, high), score_threshold)
        factors = np.array([width / wide, height / high] * 2, dtype=np.float32)
        return found._replace(bboxes=found.bboxes * factors)

    def _classify(self, probabilities: Sequence[float], side_px: float) -> State:
        """The likeliest state, if the face is large enough and the next state far enough behind."""
        first, second = sorted(probabilities, reverse=True)[:2]
        if side_px < self.model.min_face_px or first - second < self.model.min_margin:
            return State.UNKNOWN
        return CLASSES[probabilities.index(first)]


def _shorter_sides(bboxes: Float32Array) -> list[float]:
    sides: list[float] = (bboxes[:, 2:] - bboxes[:, :2]).min(axis=1, initial=np.inf).tolist()
    return sides
