"""Figures of the network while it trains, on the photos of `val`."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from appliance.vision.bboxes import PAD_GREY, decode, normalised
from models.data.dataset import Photo
from models.evaluation.evaluate import ap_by_state
from models.evaluation.figures import Truth, any_face, average_precision, match
from models.evaluation.readers import after_nms, letterbox

SIDE = 640  # px, as whole pictures are looked at
SCORE_THRESHOLD = 0.02  # average precision is of the whole curve
STATE_SCORE_THRESHOLD, MIN_STATE_PX = 0.3, 32  # of the faces whose states are compared


def validate(net: nn.Module, photos: list[Photo]) -> dict[str, float]:
    """AP50 per state, their mean, any-face AP50, and how many states are right, of faces of 32 px and more."""
    net.eval()
    device = next(net.parameters()).device
    pairs = []
    for photo in photos:
        canvas, factors = letterbox(photo.pixels, SIDE, None, PAD_GREY)
        with torch.no_grad():
            outputs = [out.cpu().numpy() for out in net(torch.from_numpy(normalised(canvas[None])).to(device))]
        ((bboxes, scores, probabilities),) = decode(outputs, SCORE_THRESHOLD)
        found = after_nms(bboxes * factors, scores, probabilities)
        pairs.append((found, Truth(photo.bboxes, photo.states)))
    faces = [face for pair in pairs for face in match(*pair, STATE_SCORE_THRESHOLD).faces]
    right = [face.true == face.found for face in faces if face.side_px >= MIN_STATE_PX]
    ap = ap_by_state(pairs)
    return {
        **ap,
        "map50": float(np.nanmean(list(ap.values()))),
        "any": average_precision([any_face(*pair) for pair in pairs]),
        "right": sum(right) / max(1, len(right)),
    }
