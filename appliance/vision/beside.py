"""What is kept beside the image of a person: the scene around the face, and the face at a few other moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.faces import Bbox
from appliance.vision.bboxes import rescale_bbox
from appliance.vision.frame import Frame
from appliance.vision.jpeg import encode_jpeg
from appliance.vision.pixels import shrink
from appliance.vision.snapshot import pixelate_eyes, snapshot

SCENE_SIDE_PX, SCENE_QUALITY = 480, 60
FACE_SIDE_PX, FACE_QUALITY = 128, 70


@dataclass(frozen=True, slots=True)
class Beside:
    """One such picture. at_utc: of its frame, seconds since 1970.

    bbox: of a scene, where the face is in it, 0 to 1 of its sides; None: it is the face alone.
    """

    jpeg: bytes
    at_utc: float
    bbox: Bbox | None = None


def scene(frame: Frame, bbox_px: Bbox, hidden: Sequence[Bbox]) -> Beside:
    """The whole frame, scaled down; the eyes of the faces `hidden` (px of the frame) are a few coarse blocks."""
    small = frame.shrunk(SCENE_SIDE_PX)
    sizes = (frame.width, frame.height), (small.shape[1], small.shape[0])
    picture = pixelate_eyes(small, [rescale_bbox(each, *sizes) for each in hidden])
    left, top, right, bottom = bbox_px
    x0, x1 = (min(1.0, max(0.0, x / frame.width)) for x in (left, right))
    y0, y1 = (min(1.0, max(0.0, y / frame.height)) for y in (top, bottom))
    return Beside(encode_jpeg(picture, SCENE_QUALITY), frame.utc, (x0, y0, x1, y1))


def face(frame: Frame, bbox_px: Bbox, hidden: Sequence[Bbox]) -> Beside:
    """The face and a little around it, small."""
    return Beside(encode_jpeg(shrink(snapshot(frame, bbox_px, hidden), FACE_SIDE_PX), FACE_QUALITY), frame.utc)
