"""What the network learns from: dynamic assignment of faces to cells, then bbox, face and state losses.

The assignment is SimOTA (YOLOX, https://arxiv.org/abs/2107.08430): each face takes the k cells that predict it best,
k being the sum of its ten best IoUs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from models.data.dataset import IGNORE
from models.training.network import cell_centres, decode

CENTRE_RADIUS = 2.5  # strides
CANDIDATES = 10  # cells per face at most
FAR = 1e6


@dataclass(frozen=True, slots=True)
class LossWeights:
    """Settings of `[loss]`. state_weights: one per state."""

    bbox: float = 5.0
    state: float = 4.0
    face: float = 1.0
    state_weights: tuple[float, ...] = (1.0, 1.2, 2.0)


def detection_loss(
    outputs: tuple[Tensor, ...], bboxes: Tensor, states: Tensor, ignored: Tensor, weights: LossWeights
) -> dict[str, Tensor]:
    """Losses by name; `total` is their weighted sum.

    bboxes: N x M x 4, left, top, right, bottom at input scale; states: N x M, IGNORE where there is no face;
    ignored: N x K x 4 regions that count neither as face nor as background, empty bboxes as filling.
    """
    predicted, faces, logits = decode(outputs)
    found = corners(predicted)
    height, width = outputs[0].shape[-2] * 8, outputs[0].shape[-1] * 8
    centres, strides = cell_centres(height, width)
    centres, strides = centres.to(found.device), strides.to(found.device)
    with torch.no_grad():
        matched, overlap = assign(found, faces, logits, bboxes, states, centres, strides)
        weight = 1.0 - _inside_any(centres, ignored).float() * (matched < 0)
    positive = matched >= 0
    count = positive.sum().clamp(min=1)
    target = torch.where(positive, _found_well(overlap), torch.zeros_like(overlap))
    face = (F.binary_cross_entropy_with_logits(faces, target, reduction="none") * weight).sum() / count
    rows, cells = positive.nonzero(as_tuple=True)
    target_face = matched[rows, cells]
    bbox = bbox_loss(found[rows, cells], bboxes[rows, target_face]).sum() / count
    by_state = logits.new_tensor(weights.state_weights)
    state = F.cross_entropy(logits[rows, cells], states[rows, target_face], by_state, reduction="sum") / count
    total = weights.bbox * bbox + weights.state * state + weights.face * face
    return {"total": total, "bbox": bbox, "state": state, "face": face}


def assign(
    corners: Tensor, faces: Tensor, logits: Tensor, bboxes: Tensor, states: Tensor, centres: Tensor, strides: Tensor
) -> tuple[Tensor, Tensor]:
    """(N x A number of the face that each cell answers for or -1, N x A IoU with it).

    Works on the list of all faces of the batch, F x A: pictures differ too much in their number of faces to fill up.
    """
    rows, numbers = (states != IGNORE).nonzero(as_tuple=True)
    cells = len(centres)
    matched = torch.full(faces.shape, -1, dtype=torch.long, device=faces.device)
    overlaps = torch.zeros_like(faces)
    if not len(rows):
        return matched, overlaps
    target, state = bboxes[rows, numbers], states[rows, numbers]
    low, high = target[:, None, :2], target[:, None, 2:]
    inside = ((centres > low) & (centres < high)).all(-1)
    near = ((centres - (low + high) / 2).abs() < CENTRE_RADIUS * strides[:, None]).all(-1)
    allowed = inside | near
    overlap = pairwise_iou(target[:, None], corners[rows]) * allowed
    score = faces.sigmoid()[rows] * logits.softmax(-1)[rows, :, state]
    cost = -(score.clamp(1e-6).sqrt().log()) - 3.0 * (overlap + 1e-7).log()
    cost = cost + FAR * (~(inside & near)) + 100 * FAR * (~allowed)
    cells_of_face = overlap.topk(CANDIDATES, -1).values.sum(-1).int().clamp(min=1)
    best, order = cost.topk(CANDIDATES, -1, largest=False)
    rank = torch.arange(CANDIDATES, device=cost.device)
    face, place = ((rank < cells_of_face[:, None]) & (best < 50 * FAR)).nonzero(as_tuple=True)
    cell, price = order[face, place], best[face, place]
    # a cell that several faces chose answers for the cheapest one
    spot = rows[face] * cells + cell
    lowest = torch.full((faces.numel(),), torch.inf, device=cost.device).scatter_reduce(0, spot, price, "amin")
    won = price == lowest[spot]
    matched.view(-1)[spot[won]] = numbers[face[won]]
    overlaps.view(-1)[spot[won]] = overlap[face[won], cell[won]]
    return matched, overlaps


def pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of corner bboxes, broadcasting over the leading dimensions (torchvision's does not)."""
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    both = (high - low).clamp(min=0).prod(-1)
    area = (first[..., 2:] - first[..., :2]).prod(-1) + (second[..., 2:] - second[..., :2]).prod(-1)
    return both / (area - both).clamp(min=1e-6)


def _found_well(overlap: Tensor) -> Tensor:
    """What the face score shall be: from 0 at an IoU of .2 to 1 at .7."""
    return ((overlap - 0.2) / 0.5).clamp(0, 1)


def bbox_loss(bboxes: Tensor, target: Tensor) -> Tensor:
    """n values: half EIoU, and a soft step at an IoU of .55.

    Annotators draw loosely (two of them agree to .73 in the median), so no bbox suits all. EIoU alone settles in their
    middle; the step prefers the bbox that most of them would take for the same face.
    """
    step = torch.sigmoid(10 * (0.55 - pairwise_iou(bboxes, target)))
    return 0.5 * _eiou_loss(bboxes, target) + step


def _eiou_loss(bboxes: Tensor, target: Tensor) -> Tensor:
    """1 - IoU plus the distances of centre, width and height (https://arxiv.org/abs/2101.08158)."""
    hull = torch.maximum(bboxes[:, 2:], target[:, 2:]) - torch.minimum(bboxes[:, :2], target[:, :2])
    hull_sq = hull.square().clamp(min=1e-6)
    middle = (bboxes[:, :2] + bboxes[:, 2:] - target[:, :2] - target[:, 2:]) / 2
    sides = (bboxes[:, 2:] - bboxes[:, :2]) - (target[:, 2:] - target[:, :2])
    distance = middle.square().sum(-1) / hull_sq.sum(-1) + (sides.square() / hull_sq).sum(-1)
    return 1 - pairwise_iou(bboxes, target) + distance


def corners(bboxes: Tensor) -> Tensor:
    """Left, top, right, bottom of centre x, centre y, width, height; ... x 4."""
    half = bboxes[..., 2:] / 2
    return torch.cat((bboxes[..., :2] - half, bboxes[..., :2] + half), -1)


def _inside_any(centres: Tensor, regions: Tensor) -> Tensor:
    """N x A: which cell centres lie in one of the N x K regions."""
    inside = (centres > regions[:, :, None, :2]) & (centres < regions[:, :, None, 2:])
    return inside.all(-1).any(1)
