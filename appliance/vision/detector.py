"""What a detector is, and what all of ours share: letterbox, decoding, NMS, classification.

A backend (`onnx.py`) only runs the network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.faces import CLASSES, Face, State
from appliance.vision.bboxes import (
    PAD_GREY,
    Candidates,
    aligned,
    content_size,
    decode,
    nms,
    rescale,
    with_second_pass,
)
from appliance.vision.manifest import Model
from appliance.vision.pixels import Pixels, Stack, scale_to

Run = Callable[[Stack], Sequence[NDArray[Any]]]
"""A backend: a stack of inputs (uint8, N x H x W x 3, RGB) to one array N x 8 x rows x columns of cells per stride of
`bboxes.STRIDES`."""


class Detector(Protocol):
    """Finds faces and how they wear the mask. May be used by several threads at once."""

    model_id: str
    input_width: int
    input_height: int
    score_threshold: float
    """Faces of this score or more (high confidence) are counted; the others may only keep a track alive."""
    region_px: int
    """Side of the squares into which a frame is best divided; `look` takes smaller ones too."""
    smallest_face_px: float
    """Shorter side, px of the input, below which a face is too small to judge."""

    def detect(self, image: Pixels, score_threshold: float | None = None) -> list[Face]:
        """Faces in a whole picture (uint8, height x width x 3, RGB), highest score first; bboxes in its pixels.

        score_threshold: the lowest score of a face to return; None: that of the detector.
        """

    def look(self, squares: Stack, score_threshold: float | None = None) -> list[list[Face]]:
        """Faces in each of the squares (N x S x S x 3, RGB, S a multiple of 32), highest score first; bboxes in its px.

        The squares are seen as they are: one forward pass, nothing scaled.
        """


class NetworkDetector:
    """A detector made of a model and something that runs it.

    fixed: the network takes no other input than the model's size. Any other gets as little grey as possible:
    a picture of 16:9 then costs five eighths of a square one.
    """

    def __init__(self, model: Model, run: Run, fixed: bool = True) -> None:
        self.model = model
        self.model_id = model.id
        self.input_width = model.input_width
        self.input_height = model.input_height
        self.score_threshold = model.score_threshold
        self.region_px = model.region_px
        self.smallest_face_px = model.smallest_face_px
        self.run = run
        self.fixed = fixed

    def detect(self, image: Pixels, score_threshold: float | None = None) -> list[Face]:
        """Faces in a whole picture, highest score first (see Detector)."""
        height, width = image.shape[:2]
        size = content_size(width, height, self.input_width, self.input_height)
        content = scale_to(image, *size)
        threshold = self._threshold(score_threshold)
        found = self._forward(content, threshold)
        if self.model.second_pass:
            found = with_second_pass(found, self._second_pass(content, threshold), size)
        return self._faces(found, size, (width, height))

    def look(self, squares: Stack, score_threshold: float | None = None) -> list[list[Face]]:
        """Faces in each of the squares, highest score first (see Detector)."""
        if not len(squares):
            return []
        size = squares.shape[2], squares.shape[1]
        found = decode(self.run(squares), self._threshold(score_threshold))
        return [self._faces(candidates, size, size) for candidates in found]

    def _threshold(self, score_threshold: float | None) -> float:
        return self.score_threshold if score_threshold is None else score_threshold

    def _forward(self, content: Pixels, score_threshold: float) -> Candidates:
        """What the network sees in the content, laid in the upper left corner of grey."""
        height, width = content.shape[:2]
        columns, rows = self.input_width, self.input_height
        if not self.fixed:
            columns, rows = aligned(width, height)
        canvas = np.full((1, rows, columns, 3), PAD_GREY, dtype=np.uint8)
        canvas[0, :height, :width] = content
        (candidates,) = decode(self.run(canvas), score_threshold)
        return candidates

    def _second_pass(self, content: Pixels, score_threshold: float) -> Candidates:
        """The same of the content scaled down, bboxes at the scale of the content."""
        height, width = content.shape[:2]
        wide, high = (max(2, round(length / self.model.second_pass)) for length in (width, height))
        found = self._forward(scale_to(content, wide, high), score_threshold)
        factors = np.array([width / wide, height / high] * 2, dtype=np.float32)
        return found._replace(bboxes=found.bboxes * factors)

    def _faces(self, found: Candidates, size: tuple[int, int], to_size: tuple[int, int]) -> list[Face]:
        """What NMS leaves of the candidates in an input of `size` (width, height), as faces in it at `to_size`."""
        if not len(found.scores):
            return []
        keep = nms(found.bboxes, self.model.max_iou)
        found = Candidates(*(array[keep] for array in found))
        too_small = (found.bboxes[:, 2:] - found.bboxes[:, :2]).min(axis=1) < self.smallest_face_px
        rows = zip(
            rescale(found.bboxes, size, to_size).tolist(), found.scores.tolist(), found.probabilities.tolist(),
            too_small.tolist(), strict=True,
        )  # fmt: skip
        return [
            Face(
                bbox_px=(bbox[0], bbox[1], bbox[2], bbox[3]),
                score=score,
                class_probabilities=(probabilities[0], probabilities[1], probabilities[2]),
                state=State.UNKNOWN if small else self._classify(probabilities),
                too_small=small,
            )
            for bbox, score, probabilities, small in rows
        ]

    def _classify(self, probabilities: Sequence[float]) -> State:
        """The likeliest state, if the next one is far enough behind."""
        first, second = sorted(probabilities, reverse=True)[:2]
        return State.UNKNOWN if first - second < self.model.min_margin else CLASSES[probabilities.index(first)]
