"""Geometry of bboxes: letterbox, decoding, non-maximum suppression (NMS). Pure functions of arrays.

A letterboxed picture is scaled into the network's input without distortion, lies in its upper left corner, and the
rest of the input is grey. Coordinates at network scale are those of that input.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from appliance.faces import Bbox

Float32Array = NDArray[np.float32]
STRIDES = (8, 16, 32)  # px per cell of the network's outputs
ALIGN_PX = STRIDES[-1]  # the sides of the input are multiples of the coarsest stride
PAD_GREY = 114
MAX_CANDIDATES = 1000  # more bboxes than this are noise; keeps NMS, which is quadratic, small
_FILLING = 0.25  # side of a face that fills much of a picture, in longer sides of the picture
_MAX_LOG_SIZE = 8.0  # exp of it times the stride is beyond any input; a damaged model must not overflow


class Candidates(NamedTuple):
    """What one forward pass found, highest score first: N faces that may overlap."""

    bboxes: Float32Array  # N x 4: left, top, right, bottom
    scores: Float32Array  # N
    probabilities: Float32Array  # N x 3, of the classes


def content_size(width: int, height: int, input_width: int, input_height: int) -> tuple[int, int]:
    """(width, height) to which a picture is scaled so that it fits the network's input.

    Even, because video is scaled straight to it and chroma comes in pairs; at least 2 x 2.
    """
    scale = min(input_width / width, input_height / height)
    return _even(width * scale, input_width), _even(height * scale, input_height)


def aligned(width: int, height: int) -> tuple[int, int]:
    """(width, height) of the smallest input the content fits into."""
    return -(-width // ALIGN_PX) * ALIGN_PX, -(-height // ALIGN_PX) * ALIGN_PX


def normalised(canvases: NDArray[np.uint8], minus: float = 127.5, scale: float = 127.5) -> Float32Array:
    """(canvases - minus) / scale as a network in floating point takes them, N x 3 x H x W; canvases: N x H x W x 3.

    Written straight to its place: a detour over arrays that lie otherwise in memory costs a millisecond.
    """
    count, height, width, channels = canvases.shape
    tensor = np.empty((count, channels, height, width), dtype=np.float32)
    np.multiply(canvases.transpose(0, 3, 1, 2), np.float32(1 / scale), out=tensor)
    tensor -= np.float32(minus / scale)
    return tensor


def decode(outputs: Sequence[NDArray[Any]], score_threshold: float) -> list[Candidates]:
    """What the network saw in each of a stack of N inputs, bboxes in its pixels.

    outputs: one array N x 8 x rows x columns of cells per stride of STRIDES: face logit, three class logits, centre
    offsets and log sizes in cells. Scores are of the face alone; probabilities sum to 1 per face. NMS is yet to come.
    """
    cells = np.concatenate([output.reshape(*output.shape[:2], -1) for output in outputs], axis=2)
    grid = _grid(tuple(output.shape[2:] for output in outputs))
    above = cells[:, 0] >= _logit(score_threshold)
    return [_decode(item[:, chosen].T, grid[chosen]) for item, chosen in zip(cells, above, strict=True)]


def _decode(found: Float32Array, where: Float32Array) -> Candidates:
    """found: N cells x 8; where: N x 3, see `_grid`."""
    order = np.argsort(-found[:, 0], kind="stable")[:MAX_CANDIDATES]
    found, middle, stride = found[order], where[order, :2], where[order, 2:]
    centre = (middle + found[:, 4:6]) * stride
    half = np.exp(np.minimum(found[:, 6:8], _MAX_LOG_SIZE)) * (stride / 2)
    scores: Float32Array = np.reciprocal(1 + np.exp(-np.clip(found[:, 0], -80, 80)), dtype=np.float32)
    return Candidates(np.concatenate([centre - half, centre + half], axis=1), scores, _softmax(found[:, 1:4]))


@lru_cache(maxsize=64)
def _grid(shapes: tuple[tuple[int, int], ...]) -> Float32Array:
    """Of every cell of the maps with so many rows and columns: its middle, in cells, and its side, px."""
    parts = []
    for (rows, columns), stride in zip(shapes, STRIDES, strict=True):
        grid = np.empty((rows, columns, 3), dtype=np.float32)
        grid[:, :, 0] = np.arange(columns) + 0.5
        grid[:, :, 1] = (np.arange(rows) + 0.5)[:, None]
        grid[:, :, 2] = stride
        parts.append(grid.reshape(-1, 3))
    return np.concatenate(parts)


def with_second_pass(first: Candidates, second: Candidates, size: tuple[int, int]) -> Candidates:
    """`first`, and of a second forward pass over the same picture, scaled down, the faces that fill much of it.

    A network sees faces up to some size, and in a large input a face may be larger; scaled down, it is an ordinary one.
    Small faces of the second pass are left out: the first knows them better. All bboxes at the scale of `size` (width,
    height).
    """
    large = np.sqrt(_area(second.bboxes)) >= _FILLING * max(size)
    joined = Candidates(*(np.concatenate([ours, more[large]]) for ours, more in zip(first, second, strict=True)))
    order = np.argsort(-joined.scores, kind="stable")
    return Candidates(*(array[order] for array in joined))


def nms(bboxes: Float32Array, max_iou: float) -> list[int]:
    """Which bboxes stay (indices, in order) when each removes the later ones that overlap it by more than max_iou."""
    overlaps = iou(bboxes, bboxes) > max_iou
    alive = np.ones(len(bboxes), dtype=bool)
    keep = []
    for index in range(len(bboxes)):
        if alive[index]:
            keep.append(index)
            alive &= ~overlaps[index]
    return keep


def iou(first: Float32Array, second: Float32Array) -> Float32Array:
    """Intersection over union, N x M, of bboxes N x 4 and M x 4. Zero where either bbox is empty."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    side = np.maximum(high - low, 0)
    both = side[..., 0] * side[..., 1]
    union = _area(first)[:, None] + _area(second)[None, :] - both
    overlap: Float32Array = np.divide(both, union, out=np.zeros_like(both), where=union > 0)
    return overlap


def common(first: Bbox, second: Bbox) -> Bbox:
    """What two bboxes share; without area where that is nothing."""
    return max(first[0], second[0]), max(first[1], second[1]), min(first[2], second[2]), min(first[3], second[3])


def area_of(bbox_px: Bbox) -> float:
    """Of a single bbox, px squared; 0 where it is empty."""
    left, top, right, bottom = bbox_px
    return max(0.0, right - left) * max(0.0, bottom - top)


def rescale(bboxes: Float32Array, size: tuple[int, int], to_size: tuple[int, int]) -> Float32Array:
    """Bboxes of a picture of `size` (width, height) as bboxes of the same picture at `to_size`, clipped to it."""
    factor = np.array([to_size[0] / size[0], to_size[1] / size[1]] * 2, dtype=np.float32)
    limit = np.array([*to_size, *to_size], dtype=np.float32)
    return np.clip(bboxes * factor, 0, limit)


def rescale_bbox(bbox_px: Bbox, size: tuple[int, int], to_size: tuple[int, int]) -> Bbox:
    """`rescale` for a single bbox."""
    left, top, right, bottom = rescale(np.array([bbox_px], dtype=np.float32), size, to_size)[0].tolist()
    return left, top, right, bottom


def _softmax(logits: Float32Array) -> Float32Array:
    if not len(logits):
        return logits
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Float32Array = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def _logit(probability: float) -> float:
    probability = min(max(probability, 1e-6), 1 - 1e-6)
    return float(np.log(probability / (1 - probability)))


def _area(bboxes: Float32Array) -> Float32Array:
    side = np.maximum(bboxes[:, 2:] - bboxes[:, :2], 0)
    area: Float32Array = side[:, 0] * side[:, 1]
    return area


def _even(length: float, limit: int) -> int:
    return max(2, min(round(length / 2) * 2, limit // 2 * 2))
