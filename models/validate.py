# mypy: disable-error-code="import-not-found,misc,untyped-decorator,no-any-return,unused-ignore,no-untyped-call"
# (PyTorch belongs to the extra `train`; checks run without it.)
"""Figures of the network while it trains, on the photos of `val`."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import nn

from appliance.vision.boxes import PAD_GREY, aligned, content_size, suppress
from appliance.vision.boxes import decode as decode_arrays
from models.dataset import Photo, Pixels
from models.figures import STATES, Found, Truth, any_face, average_precision, by_state, judge

SIDE = 416
MIN_SCORE = 0.02
MAX_IOU = 0.5


def network_input(pixels: Pixels, side: int) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.float32]], float, float]:
    """(1 x 3 x H x W letterboxed to the longest side, factors from its pixels to the picture's, across and down)."""
    height, width = pixels.shape[:2]
    size = content_size(width, height, side, side)
    wide, high = aligned(*size)
    canvas = np.full((high, wide, 3), PAD_GREY, np.uint8)
    canvas[: size[1], : size[0]] = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    tensor = (canvas.transpose(2, 0, 1)[None] / np.float32(127.5) - 1).astype(np.float32)
    return tensor, width / size[0], height / size[1]


def validate(net: nn.Module, photos: list[Photo]) -> dict[str, float]:
    """AP50 per state, their mean, any-face AP50, and the share of right states of matched faces of 32 px and more."""
    net.eval()
    states, faces, rows = [], [], []
    for photo in photos:
        tensor, across, down = network_input(photo.pixels, SIDE)
        with torch.no_grad():
            outputs = [out.cpu().numpy() for out in net(torch.from_numpy(tensor).to(next(net.parameters()).device))]
        boxes, scores, shares = decode_arrays(outputs, MIN_SCORE)
        kept = suppress(boxes, MAX_IOU)
        scale = np.array([across, down, across, down], np.float32)
        found, truth = Found(boxes[kept] * scale, scores[kept], shares[kept]), Truth(photo.boxes, photo.states)
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
