# mypy: disable-error-code="import-not-found,misc,untyped-decorator,no-any-return,unused-ignore,no-untyped-call"
# (PyTorch belongs to the extra `train`; checks run without it.)
"""Figures of the network while it trains, on the photos of `val`."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import nn

from appliance.vision.bboxes import PAD_GREY, normalised, suppress
from appliance.vision.bboxes import decode as decode_arrays
from models.dataset import Photo
from models.figures import STATES, Found, Truth, any_face, average_precision, by_state, judge
from models.finer import finer_multiple, finer_side
from models.readers import letterbox

SIDE, GRID = 416, 640  # as the default preset sees pictures
MIN_SCORE = 0.02
MAX_IOU = 0.5


def validate(net: nn.Module, photos: list[Photo]) -> dict[str, float]:
    """AP50 per state, their mean, any-face AP50, and the share of right states of matched faces of 32 px and more."""
    net.eval()
    states, faces, rows = [], [], []
    for photo in photos:
        canvas, factors = letterbox(photo.pixels, SIDE, None, PAD_GREY, finer_multiple(SIDE, GRID))
        size = (canvas.shape[1], canvas.shape[0])
        enlarged = cv2.resize(canvas, [finer_side(length, SIDE, GRID) for length in size])
        tensor = torch.from_numpy(normalised(enlarged)).to(next(net.parameters()).device)
        with torch.no_grad():
            outputs = [out.cpu().numpy() for out in net(tensor)]
        boxes, scores, shares = decode_arrays(outputs, size, MIN_SCORE)
        kept = suppress(boxes, MAX_IOU)
        found, truth = Found(boxes[kept] * factors, scores[kept], shares[kept]), Truth(photo.boxes, photo.states)
        states.append(by_state(found, truth))
        faces.append(any_face(found, truth))
        rows += [row for row in judge(found, truth, 0.3).rows if row[3] >= 32]
    figures = {name: average_precision([picture[n] for picture in states]) for n, name in enumerate(STATES)}
    right = sum(true == judged for true, judged, _, _ in rows) / max(1, len(rows))
    return {
        **figures,
        "map50": float(np.nanmean(list(figures.values()))),
        "any": average_precision(faces),
        "right": right,
    }
