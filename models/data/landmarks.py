"""Five landmarks per bare or well masked face, found once by YuNet and stored in a file.

YuNet (https://github.com/ShiqiYu/libfacedetection.train) only labels training pictures;
nothing of it is shipped. `synthesis` draws masks by the landmarks, and `transplant` finds masks by them.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.data.dataset import STATES, Photo

Points = NDArray[np.float32]  # 5 x 2: right eye, left eye, nose, right and left mouth corner, px
KNOWN = (STATES.index("no_mask"), STATES.index("mask"))
LONGEST_PX = 320


def find_landmarks(photos: list[Photo], model: Path, cache: Path) -> list[dict[int, Points]]:
    """For each photo: {face number: landmarks} of its bare and well masked faces of 24 px and more."""
    if cache.exists():
        stored = json.loads(cache.read_text())
        if len(stored) == len(photos):
            return [{int(k): np.float32(v) for k, v in entry.items()} for entry in stored]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options)
    found = [_match(photo, session) for photo in photos]
    cache.parent.mkdir(parents=True, exist_ok=True)
    plain = [{k: v.round(2).tolist() for k, v in entry.items()} for entry in found]
    cache.write_text(json.dumps(plain))
    return [{k: np.asarray(v, np.float32) for k, v in entry.items()} for entry in found]


def _match(photo: Photo, session: onnxruntime.InferenceSession) -> dict[int, Points]:
    sizes = (photo.bboxes[:, 2:] - photo.bboxes[:, :2]).min(1) if len(photo.bboxes) else np.zeros(0)
    large = [n for n in np.flatnonzero(np.isin(photo.states, KNOWN)) if sizes[n] >= 24]
    if not large:
        return {}
    scores, points = _detect(photo.pixels, session)
    chosen: dict[int, Points] = {}
    for number in large:
        left, top, right, bottom = photo.bboxes[number]
        inside = (points >= (left, top)).all((1, 2)) & (points <= (right, bottom)).all((1, 2))
        spread = points[:, 3:, 1].mean(1) - points[:, :2, 1].mean(1)
        fits = inside & (scores > 0.6) & (spread > 0.25 * (bottom - top))
        if fits.any():
            chosen[int(number)] = points[np.flatnonzero(fits)[scores[fits].argmax()]]
    return chosen


def _detect(pixels: NDArray[np.uint8], session: onnxruntime.InferenceSession) -> tuple[NDArray[np.float32], Points]:
    """(scores n, landmarks n x 5 x 2 in pixels of the picture)."""
    scale = LONGEST_PX / max(pixels.shape[:2])
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    height, width = (-(-side // 32) * 32 for side in small.shape[:2])
    canvas = np.zeros((height, width, 3), np.float32)
    canvas[: small.shape[0], : small.shape[1]] = small[:, :, ::-1]
    names = [output.name for output in session.get_outputs()]
    feed = {session.get_inputs()[0].name: canvas.transpose(2, 0, 1)[None]}
    out = dict(zip(names, session.run(None, feed), strict=True))
    scores, points = [], []
    for stride in (8, 16, 32):
        rows, columns = np.mgrid[: height // stride, : width // stride]
        cells = np.stack((columns, rows), -1).reshape(-1, 1, 2)
        logits = out[f"cls_{stride}"].reshape(-1) * out[f"obj_{stride}"].reshape(-1)
        scores.append(np.sqrt(np.clip(logits, 0, 1)))
        points.append((out[f"kps_{stride}"].reshape(-1, 5, 2) + cells) * stride / scale)
    return np.concatenate(scores), np.concatenate(points).astype(np.float32)
