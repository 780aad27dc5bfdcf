"""A larger network that teaches: the one in training learns from what it says of each cell, beside the labels.

Distillation as of Hinton et al. (https://arxiv.org/abs/1503.02531), dense: what the teacher says of a cell counts as
much as it takes the cell for a face. It also speaks where nobody labelled anything.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from models.training.loss import LossWeights, bbox_loss, corners
from models.training.network import decode

SURE = 0.05  # face score of the teacher from which its bbox is worth learning


def taught_loss(outputs: tuple[Tensor, ...], taught: tuple[Tensor, ...], weights: LossWeights) -> Tensor:
    """How far `outputs` are from what the teacher said of the same inputs. Both as of MaskNet, of one shape."""
    predicted, faces, logits = decode(outputs)
    with torch.no_grad():
        bboxes, face_logits, state_logits = decode(taught)
        face_scores = face_logits.sigmoid()
        count = face_scores.sum().clamp(min=1)
        rows, cells = (face_scores > SURE).nonzero(as_tuple=True)
        share = face_scores[rows, cells]
        states = state_logits[rows, cells].softmax(-1)
    face = F.binary_cross_entropy_with_logits(faces, face_scores, reduction="none")
    # Less the teacher's own entropy, so that nothing is left to lose where both agree.
    face = (face - F.binary_cross_entropy_with_logits(face_logits, face_scores, reduction="none")).sum() / count
    bbox = (bbox_loss(corners(predicted)[rows, cells], corners(bboxes)[rows, cells]) * share).sum() / count
    said = logits[rows, cells].log_softmax(-1)
    state = F.kl_div(said, states, reduction="none").sum(-1)  # all states alike: weighted, its least were elsewhere
    return weights.bbox * bbox + weights.state * (state * share).sum() / count + weights.face * face
