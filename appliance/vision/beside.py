"""What is kept beside the image of a person: the scene around the face, and the face at a few other moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.faces import Bbox
from appliance.vision.frame import Frame
from appliance.vision.jpeg import encode_jpeg
from appliance.vision.pixels import shrink
from appliance.vision.snapshot import hidden_part, snapshot

SCENE_FACES = 6  # sides of the face across and down: who stands beside, what the hands do
SCENE_LEAST_PX = 160
SCENE_SIDE_PX, SCENE_QUALITY = 320, 60
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
    """A square of the frame around the face, scaled down; the eyes of the faces `hidden` are a few coarse blocks."""
    left, top, right, bottom = bbox_px
    side = max(SCENE_LEAST_PX, SCENE_FACES * max(right - left, bottom - top))
    x0, x1 = _span((left + right) / 2, side, frame.width)
    y0, y1 = _span((top + bottom) / 2, side, frame.height)
    xs = tuple(min(1.0, max(0.0, (x - x0) / (x1 - x0))) for x in (left, right))
    ys = tuple(min(1.0, max(0.0, (y - y0) / (y1 - y0))) for y in (top, bottom))
    picture = hidden_part(frame, (x0, y0, x1, y1), hidden, SCENE_SIDE_PX)
    return Beside(encode_jpeg(picture, SCENE_QUALITY), frame.utc, (xs[0], ys[0], xs[1], ys[1]))


def _span(middle: float, side: float, frame_side: int) -> tuple[int, int]:
    """From where to where, as wide as that if the frame is, and within it."""
    width = min(round(side), frame_side)
    start = min(max(0, round(middle - width / 2)), frame_side - width)
    return start, start + width


def face(frame: Frame, bbox_px: Bbox, hidden: Sequence[Bbox]) -> Beside:
    """The face and a little around it, small."""
    return Beside(encode_jpeg(shrink(snapshot(frame, bbox_px, hidden), FACE_SIDE_PX), FACE_QUALITY), frame.utc)
