"""Detectors as one kind of thing: a picture in, what was found out. Ours, and the published ones we compare with.

`read(path, side)` tells them apart by their outputs. Ours: p8, p16, p32, or scores and boxes of the decoded form.
UltraFace (masked and plain) and YuNet are ONNX; AIZOO's Caffe file needs OpenCV 4 (OpenCV 5 has no Caffe reader).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime

from appliance.vision.bboxes import (
    PAD_GREY,
    Candidates,
    aligned,
    content_size,
    decode,
    nms,
    normalised,
    with_second_pass,
)
from appliance.vision.onnx import OUTPUTS, fixed_size, runner
from models.data.dataset import Bboxes, Pixels
from models.evaluation.figures import Float32Array, Found

Detect = Callable[[Pixels, float], Found]
"""A picture and the face score threshold to what was found, best first, at most 1000, after NMS."""

MAX_IOU = 0.5
_AIZOO_SIZES = ((0.04, 0.056), (0.08, 0.11), (0.16, 0.22), (0.32, 0.45), (0.64, 0.72))
_AIZOO_GRIDS = (33, 17, 9, 5, 3)


def read(path: Path, side: int, exact: bool = False, second_pass: int = 0) -> Detect:
    """The detector of a file, for pictures scaled to a longest side of `side` px where its input is free.

    exact: Q/DQ nodes are computed as they are written, in floating point, as hardware with wide sums does.
    second_pass: as in the manifest, for ours with a free input.
    """
    if path.suffix == ".caffemodel":
        return _aizoo(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if exact:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    outputs = {output.name: output.shape for output in session.get_outputs()}
    if set(OUTPUTS) <= outputs.keys():
        return _raw(session, side, second_pass)
    if {"scores", "boxes"} <= outputs.keys():
        return _decoded(session, int(outputs["scores"][-1]))
    if "cls_8" in outputs:
        return _yunet(session, side)
    raise SystemExit(f"{path}: outputs {', '.join(outputs)} are of no known detector")


def letterbox(pixels: Pixels, side: int, static: tuple[int, int] | None, grey: int) -> tuple[Pixels, Float32Array]:
    """The picture in the upper left corner of a grey input, and the factors that bring its bboxes back (4)."""
    height, width = pixels.shape[:2]
    size = content_size(width, height, *(static or (side, side)))
    wide, high = static or aligned(*size)
    canvas = np.full((high, wide, 3), grey, np.uint8)
    canvas[: size[1], : size[0]] = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return canvas, np.array([width / size[0], height / size[1]] * 2, np.float32)


def after_nms(bboxes: Bboxes, faces: Float32Array, probabilities: Float32Array, max_iou: float = MAX_IOU) -> Found:
    """What is left of candidates in descending order."""
    left = nms(bboxes, max_iou)
    return Found(bboxes[left], faces[left], probabilities[left])


def _best(
    bboxes: Bboxes, faces: Float32Array, probabilities: Float32Array, threshold: float, max_iou: float = MAX_IOU
) -> Found:
    """Candidates from the threshold on, in any order, after NMS."""
    high = np.flatnonzero(faces >= threshold)
    order = high[np.argsort(-faces[high], kind="stable")][:1000]
    return after_nms(bboxes[order].astype(np.float32), faces[order], probabilities[order], max_iou)


def _raw(session: Any, side: int, second_pass: int) -> Detect:
    static, network = fixed_size(session), runner(session)

    def forward(pixels: Pixels, side: int, score_threshold: float) -> Candidates:
        canvas, factors = letterbox(pixels, side, static, PAD_GREY)
        (found,) = decode(network(canvas[None]), score_threshold)
        return found._replace(bboxes=found.bboxes * factors)

    def detect(pixels: Pixels, score_threshold: float) -> Found:
        candidates = forward(pixels, side, score_threshold)
        if second_pass:
            second = forward(pixels, side // second_pass, score_threshold)
            candidates = with_second_pass(candidates, second, pixels.shape[1::-1])
        return after_nms(*candidates)

    return detect


def _decoded(session: Any, classes: int) -> Detect:
    """detectNet's form of ours (4 scores), UltraFace-masked (3: background, bare, masked), UltraFace (2)."""
    static, name = fixed_size(session), session.get_inputs()[0].name
    assert static is not None

    def detect(pixels: Pixels, score_threshold: float) -> Found:
        canvas, factors = letterbox(pixels, 0, static, PAD_GREY)
        inputs = normalised(canvas[None]) if classes == 4 else normalised(canvas[None], 127, 128)
        scores, bboxes = session.run(["scores", "boxes"], {name: inputs})
        scores, bboxes = scores[0], bboxes[0] * np.array(static * 2, np.float32) * factors
        states = scores[:, 1:]
        if classes == 3:
            states = np.stack([scores[:, 2], scores[:, 1], np.zeros(len(scores))], 1)
        if classes == 2:
            states = np.repeat(scores[:, 1:], 3, 1) / 3
        faces = states.sum(1)
        return _best(bboxes, faces, states / np.maximum(faces, 1e-6)[:, None], score_threshold)

    return detect


def _yunet(session: Any, side: int) -> Detect:
    name, outputs = session.get_inputs()[0].name, [output.name for output in session.get_outputs()]

    def detect(pixels: Pixels, score_threshold: float) -> Found:
        canvas, factors = letterbox(pixels, side, fixed_size(session), 0)
        inputs = normalised(canvas[None, :, :, ::-1], 0, 1)
        out = dict(zip(outputs, session.run(None, {name: inputs}), strict=True))
        bboxes, faces = [], []
        for stride in (8, 16, 32):
            rows, columns = np.mgrid[: canvas.shape[0] // stride, : canvas.shape[1] // stride]
            cells, moved = np.stack((columns, rows), -1).reshape(-1, 2), out[f"bbox_{stride}"].reshape(-1, 4)
            middle, half = (cells + moved[:, :2]) * stride, np.exp(moved[:, 2:]) * stride / 2
            bboxes.append(np.concatenate([middle - half, middle + half], 1))
            faces.append(np.sqrt(np.clip(out[f"cls_{stride}"] * out[f"obj_{stride}"], 0, 1)).reshape(-1))
        all_bboxes = np.concatenate(bboxes).astype(np.float32) * factors
        scores = np.concatenate(faces)
        return _best(all_bboxes, scores, np.full((len(scores), 3), 1 / 3, np.float32), score_threshold)

    return detect


def _aizoo(path: Path) -> Detect:
    if not hasattr(cv2.dnn, "readNetFromCaffe"):
        raise SystemExit(f"{path}: only OpenCV 4 reads Caffe; pip install 'opencv-python-headless<5' for this one")
    net = cv2.dnn.readNetFromCaffe(str(path.with_suffix(".prototxt")), str(path))
    anchors = []
    for grid, (small, large) in zip(_AIZOO_GRIDS, _AIZOO_SIZES, strict=True):
        sides = [(small, small), (large, large)] + [(small * r**0.5, small / r**0.5) for r in (0.62, 0.42)]
        anchors += [
            ((column + 0.5) / grid, (row + 0.5) / grid, wide, high)
            for row in range(grid)
            for column in range(grid)
            for wide, high in sides
        ]
    priors = np.array(anchors, np.float32)

    def detect(pixels: Pixels, score_threshold: float) -> Found:
        net.setInput(cv2.dnn.blobFromImage(pixels, 1 / 255.0, (260, 260)))
        found = {
            out.shape[-1]: out.reshape(-1, out.shape[-1]) for out in net.forward(net.getUnconnectedOutLayersNames())
        }
        moved, scores = found[4], found[2]
        middle = priors[:, :2] + moved[:, :2] * 0.1 * priors[:, 2:]
        half = priors[:, 2:] * np.exp(moved[:, 2:] * 0.2) / 2
        height, width = pixels.shape[:2]
        bboxes = np.concatenate([middle - half, middle + half], 1) * np.array([width, height] * 2, np.float32)
        faces = scores.max(1)
        states = np.concatenate([scores, np.zeros((len(scores), 1))], 1) / np.maximum(scores.sum(1), 1e-6)[:, None]
        return _best(bboxes, faces, states.astype(np.float32), score_threshold, 0.4)

    return detect
