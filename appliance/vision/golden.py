"""The golden self-test: bundled pictures whose truth is known. A model that gets one wrong is never used.

Swapped labels are the classic fault of mask detectors: everything works, and every number is the opposite.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import av
import msgspec
import numpy as np

from appliance.errors import UserError
from appliance.faces import CLASSES, Bbox, Face, State
from appliance.language import N_, _
from appliance.outside import quoted, system_words
from appliance.vision.bboxes import PAD_GREY, iou
from appliance.vision.detector import Detector
from appliance.vision.looking.region import Region
from appliance.vision.looking.squares import even
from appliance.vision.manifest import folder
from appliance.vision.pixels import Pixels, pixels_of, scale_to

OF_PICTURE, OF_REGION = N_("the picture {picture}: {what}"), N_("a region of {picture}: {what}")
FAILS, FAILS_AT_REGIONS = N_("it fails ({error})"), N_("it fails at regions ({error})")
MISSES, SAYS = N_("misses a face ({state})"), N_("says {said}, is {state}")
NOBODY_THERE = N_("sees a face where there is none")
"""What a detector gets wrong."""
FIGURES = N_(
    "{faces} faces, {missed} of one only, {states} in another state, least IoU {iou}, scores up to {score} apart"
)
MIN_IOU = 0.4
AGREED_IOU, AGREED_SCORE = 0.9, 0.05  # of two runtimes with the same file
_FACES_ACROSS = 3  # how many times as large as the face a region around it is


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
            _(
                "{folder}: the pictures of the self-test cannot be read ({error}); install mb9k again",
                folder=place,
                error=quoted(system_words(error)),
            )
        ) from error
    if not {face.state for picture, _image in pictures for face in picture.faces}.issuperset(CLASSES):
        raise UserError(
            _("{folder}: the pictures of the self-test do not show every state; install mb9k again", folder=place)
        )
    return pictures


def self_test(detector: Detector, directory: Path | None = None) -> list[str]:
    """What the detector gets wrong, a phrase each; empty when it may be used. Raises UserError.

    Each picture is looked at as a whole, and in a region around each face as those of a camera's frame are: all
    regions in one stack.
    """
    pictures = load_golden(directory)
    problems = []
    for picture, image in pictures:
        try:
            found = detector.detect(image)
        except Exception as error:  # a broken model may fail in any way; none of them may let it through
            what = FAILS.format(error=type(error).__name__)
            problems.append(OF_PICTURE.format(picture=picture.file, what=what))
            continue
        problems += [OF_PICTURE.format(picture=picture.file, what=what) for what in _wrong(picture.faces, found)]
    cuts = [(picture, region, image) for picture, image in pictures for region in _regions(picture, image, detector)]
    try:
        looked = detector.look(np.stack([_cut(image, region) for _picture, region, image in cuts]))
    except Exception as error:  # as above
        return [*problems, FAILS_AT_REGIONS.format(error=type(error).__name__)]
    for (picture, region, _image), found in zip(cuts, looked, strict=True):
        moved = [replace(face, bbox_px=region.to_frame(face.bbox_px)) for face in found]
        problems += [OF_REGION.format(picture=picture.file, what=what) for what in _wrong(picture.faces, moved)]
    return problems


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two detectors that ought to judge alike do, on the golden pictures.

    faces: compared; missed: of one that the other has not. iou: the least of their bboxes; score: the most that scores
    or class probabilities differ; states: faces of which they say another state.
    """

    faces: int
    missed: int
    iou: float
    score: float
    states: int

    @property
    def is_close(self) -> bool:
        """Whether one may judge in the other's place; without a face to compare, no."""
        return not self.missed and not self.states and self.iou >= AGREED_IOU and self.score <= AGREED_SCORE

    def __str__(self) -> str:
        return FIGURES.format(
            faces=self.faces, missed=self.missed, states=self.states, iou=f"{self.iou:.3f}", score=f"{self.score:.3f}"
        )


def agreement(detector: Detector, reference: Detector, directory: Path | None = None) -> Agreement:
    """How far the detector agrees with the reference, at whole pictures and at regions. Raises what they raise."""
    pictures = load_golden(directory)
    cuts = [_cut(image, each) for picture, image in pictures for each in _regions(picture, image, detector)]
    stack = np.stack(cuts)
    pairs = [(detector.detect(image), reference.detect(image)) for _picture, image in pictures]
    pairs += zip(detector.look(stack), reference.look(stack), strict=True)
    missed, states, overlap, apart = 0, 0, list[float](), list[float]()
    for ours, theirs in pairs:
        missed += abs(len(ours) - len(theirs))
        overlaps = iou(*(np.array([face.bbox_px for face in of], np.float32).reshape(-1, 4) for of in (ours, theirs)))
        for face, row in zip(ours, overlaps, strict=True):
            if not len(theirs):
                continue
            other = theirs[int(row.argmax())]
            states += face.state is not other.state
            overlap.append(float(row.max()))
            numbers = zip(
                (face.score, *face.class_probabilities), (other.score, *other.class_probabilities), strict=True
            )
            apart += [abs(one - two) for one, two in numbers]
    # Unlike max() this keeps what is no number, which half precision may make, and which is never close.
    most = float(np.max(apart, initial=0.0))
    return Agreement(len(overlap), missed, min(overlap, default=0.0), most, states)


def _wrong(faces: Sequence[GoldenFace], found: Sequence[Face]) -> Iterator[str]:
    """What is wrong with the faces found, a phrase each."""
    bboxes = np.array([face.bbox_px for face in found], dtype=np.float32).reshape(-1, 4)
    claimed = set()
    for golden in faces:
        overlaps = iou(np.array([golden.bbox_px], dtype=np.float32), bboxes)[0]
        best = int(overlaps.argmax()) if len(overlaps) else -1
        if best < 0 or overlaps[best] < MIN_IOU:
            yield MISSES.format(state=golden.state.value)
            continue
        claimed.add(best)
        if found[best].state is not golden.state:
            yield SAYS.format(said=found[best].state.value, state=golden.state.value)
    if len(claimed) < len(found):
        yield NOBODY_THERE


def _regions(picture: GoldenPicture, image: Pixels, detector: Detector) -> Iterator[Region]:
    """A square around the face, of which a picture has one at most; without one, around the whole picture."""
    height, width = image.shape[:2]
    for left, top, right, bottom in [face.bbox_px for face in picture.faces] or [(0.0, 0.0, width, height)]:
        side = even(max(detector.region_px, _FACES_ACROSS * max(right - left, bottom - top)))
        yield Region(even((left + right - side) / 2), even((top + bottom - side) / 2), side, detector.region_px)


def _cut(image: Pixels, region: Region) -> Pixels:
    """The region of a picture, grey beyond its edges."""
    around = np.pad(image, ((region.side,) * 2, (region.side,) * 2, (0, 0)), constant_values=PAD_GREY)
    top, left = region.top + region.side, region.left + region.side
    square = around[top : top + region.side, left : left + region.side]
    return scale_to(square, region.input_px, region.input_px)


def _read(path: Path) -> Pixels:
    with av.open(str(path)) as container:
        return pixels_of(next(container.decode(video=0)))
