"""Pictures larger than the detector's input: a crowd is found, and nobody twice."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.faces import Bbox, Face, State
from appliance.vision.bboxes import iou
from appliance.vision.detector import Detector
from appliance.vision.golden import load_golden
from appliance.vision.onnx import load_detector
from appliance.vision.pictures import pictures
from appliance.vision.pixels import Pixels, scale_to
from appliance.vision.tiles import OVERLAP, _begins, detect_tiled

Truth = list[tuple[Bbox, State]]


@pytest.fixture(scope="module")
def detector() -> Detector:
    return load_detector()


def crowd(width: int, height: int, count: int, smallest_px: int, largest_px: int) -> tuple[Pixels, Truth]:
    """The golden pictures, each so large that its face has some size between the two, over an uneven wall."""
    chance = np.random.default_rng(5)
    columns, rows = np.arange(width) / 211, np.arange(height)[:, None] / 131
    wall = np.stack(
        [90 + 40 * np.sin(columns) + 0 * rows, 100 + 30 * np.sin(rows) + 0 * columns, 110 + 0 * rows * columns], 2
    )
    picture = (wall + chance.integers(-6, 7, (height, width, 1))).astype(np.uint8)
    people = [(golden.faces[0], image) for golden, image in load_golden() if golden.faces]
    truth: Truth = []
    taken: list[tuple[int, int, int, int]] = []
    while len(truth) < count:
        face, image = people[chance.integers(len(people))]
        left, top, right, bottom = face.bbox_px
        scale = smallest_px * (largest_px / smallest_px) ** chance.random() / min(right - left, bottom - top)
        wide, high = round(image.shape[1] * scale), round(image.shape[0] * scale)
        x, y = int(chance.integers(width - wide)), int(chance.integers(height - high))
        if any(x < x1 and y < y1 and x + wide > x0 and y + high > y0 for x0, y0, x1, y1 in taken):
            continue
        taken.append((x, y, x + wide, y + high))
        picture[y : y + high, x : x + wide] = scale_to(image, wide, high)
        truth.append(((x + left * scale, y + top * scale, x + right * scale, y + bottom * scale), face.state))
    return picture, truth


def matches(faces: list[Face], truth: Truth, min_iou: float = 0.4) -> list[tuple[Face, State]]:
    """The faces that are of somebody, with that person's state."""
    if not faces or not truth:
        return []
    overlaps = iou(
        np.array([face.bbox_px for face in faces], np.float32), np.array([bbox_px for bbox_px, _ in truth], np.float32)
    )
    pairs = [(int(np.argmax(overlaps[:, column])), column) for column in range(len(truth))]
    return [(faces[row], truth[column][1]) for row, column in pairs if overlaps[row, column] > min_iou]


def test_a_photo_of_a_crowd_is_judged(detector: Detector) -> None:
    """12 megapixels, 120 faces of 40 to 200 px."""
    picture, truth = crowd(4000, 3000, 120, 40, 200)
    faces = detect_tiled(detector, picture)
    found = matches(faces, truth)
    assert len(found) >= 0.95 * len(truth)
    assert sum(face.state is state for face, state in found) >= 0.95 * len(truth)
    assert len(faces) <= 1.05 * len(truth), "nobody twice, and hardly anything that is no face"
    assert len(matches(detector.detect(picture), truth)) < 0.5 * len(truth), "as a whole, most are too small"


@pytest.mark.parametrize("size", [(640, 480), (412, 412), (200, 640), (64, 48)])
def test_a_picture_that_fits_the_input_is_judged_exactly_as_a_whole(detector: Detector, size: tuple[int, int]) -> None:
    image = scale_to(load_golden()[1][1], *size)
    assert detect_tiled(detector, image, 0.1) == detector.detect(image, 0.1)


@pytest.mark.parametrize("side", [1000, 2700])
def test_one_large_face_is_one(detector: Detector, side: int) -> None:
    for golden, image in load_golden()[::3]:
        faces = detect_tiled(detector, scale_to(image, side, side))
        assert [face.state for face in faces] == [face.state for face in golden.faces], (golden.file, faces)


@pytest.mark.parametrize("face_px", [24, 70, 100, 220, 800])
def test_no_size_falls_between_the_scales(detector: Detector, face_px: int) -> None:
    """In a picture of 4000 x 3000, at places that a seam of every scale runs through or not."""
    (golden, image) = load_golden()[1]
    left, top, right, _ = golden.faces[0].bbox_px
    scale = face_px / (right - left)
    wide, high = round(image.shape[1] * scale), round(image.shape[0] * scale)
    for x, y in ((1204, 700), (4000 - wide, 3000 - high)):
        picture = np.full((3000, 4000, 3), 120, dtype=np.uint8)
        part = scale_to(image, wide, high)[: 3000 - y, : 4000 - x]
        picture[y : y + high, x : x + wide] = part
        faces = detect_tiled(detector, picture)
        assert len(faces) == 1, (x, y, faces)
        assert faces[0].state is golden.faces[0].state
        assert faces[0].bbox_px[0] == pytest.approx(x + left * scale, abs=0.3 * face_px)
        assert faces[0].bbox_px[1] == pytest.approx(y + top * scale, abs=0.3 * face_px)


@given(length=st.integers(1, 9000), side=st.sampled_from([320, 640]))
def test_tiles_cover_the_picture_and_overlap_enough(length: int, side: int) -> None:
    begins = _begins(length, side)
    assert begins[0] == 0
    assert begins[-1] + side >= length
    assert all(begin % 2 == 0 for begin in begins)
    steps = [after - before for before, after in pairwise(begins)]
    assert all(0 < step <= side * (1 - OVERLAP) + 2 for step in steps)


def test_labelled_photos_at_four_times_their_size_are_judged_as_well_as_before(
    detector: Detector, data_dir: Path
) -> None:
    """What a photo of many megapixels shows of the same people; the labels miss many small faces."""
    labels = json.loads((data_dir / "mask" / "annotations_harmonised" / "val.json").read_text())
    states = {category["id"]: State(category["name"]) for category in labels["categories"]}
    before = after = people = surplus = 0
    for image in labels["images"][:12]:
        (photo,) = pictures(data_dir / "mask" / "images" / "val" / image["file_name"], 1)
        truth: Truth = []
        for label in labels["annotations"]:
            if label["image_id"] == image["id"]:
                x, y, wide, high = (4 * side for side in label["bbox"])
                truth.append(((x, y, x + wide, y + high), states[label["category_id"]]))
        large = scale_to(photo.image, 4 * image["width"], 4 * image["height"])
        whole, tiled = detector.detect(large), detect_tiled(detector, large)
        people += len(truth)
        before += len(matches(whole, truth))
        after += len(matches(tiled, truth))
        surplus += len(tiled) - len(whole)
    assert people > 20
    assert after >= before - 1
    assert surplus < 0.3 * people
