"""The golden self-test: bundled pictures whose truth is known. A model that gets one wrong is never used.

Swapped labels are the classic fault of mask detectors: everything works, and every number is the opposite.
"""

from __future__ import annotations

from pathlib import Path

import av
import msgspec
import numpy as np

from appliance.errors import UserError
from appliance.faces import CLASSES, Bbox, State
from appliance.vision.bboxes import iou
from appliance.vision.detector import Detector
from appliance.vision.manifest import folder
from appliance.vision.pixels import Pixels, pixels_of

MIN_IOU = 0.4


class GoldenFace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One face that must be found, in this state. bbox_px: left, top, right, bottom."""

    bbox_px: Bbox
    state: State


class GoldenPicture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One picture with all its faces; source: where it is from and why it is free."""

    file: str
    source: str
    faces: list[GoldenFace] = []


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """models/golden/golden.toml."""

    pictures: list[GoldenPicture]


def load_golden(directory: Path | None = None) -> list[tuple[GoldenPicture, Pixels]]:
    """The pictures with their truth; every state is among them. Raises UserError."""
    place = (directory or folder()) / "golden"
    try:
        golden = msgspec.toml.decode((place / "golden.toml").read_bytes(), type=Golden)
        pictures = [(picture, _read(place / picture.file)) for picture in golden.pictures]
    except (OSError, UnicodeDecodeError, msgspec.DecodeError, av.error.FFmpegError) as error:
        raise UserError(
            f"{place}: the pictures of the self-test cannot be read ({error}); install mb9k again"
        ) from error
    if not {face.state for picture, _ in pictures for face in picture.faces}.issuperset(CLASSES):
        raise UserError(f"{place}: the pictures of the self-test do not show every state; install mb9k again")
    return pictures


def self_test(detector: Detector, directory: Path | None = None) -> list[str]:
    """What the detector gets wrong, a phrase each; empty when it may be used. Raises UserError."""
    problems = []
    for picture, image in load_golden(directory):
        try:
            found = detector.detect(image)
        except Exception as error:  # a broken model may fail in any way; none of them may let it through
            problems.append(f"{picture.file}: it fails ({type(error).__name__})")
            continue
        bboxes = np.array([face.bbox_px for face in found], dtype=np.float32).reshape(-1, 4)
        claimed = set()
        for golden in picture.faces:
            overlaps = iou(np.array([golden.bbox_px], dtype=np.float32), bboxes)[0]
            best = int(overlaps.argmax()) if len(overlaps) else -1
            if best < 0 or overlaps[best] < MIN_IOU:
                problems.append(f"{picture.file}: misses a face ({golden.state.value})")
                continue
            claimed.add(best)
            if found[best].state is not golden.state:
                problems.append(f"{picture.file}: says {found[best].state.value}, is {golden.state.value}")
        if len(claimed) < len(found):
            problems.append(f"{picture.file}: sees a face where there is none")
    return problems


def _read(path: Path) -> Pixels:
    with av.open(str(path)) as container:
        return pixels_of(next(container.decode(video=0)))
