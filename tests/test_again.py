"""Faces that are looked at again before they count."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from appliance.faces import Bbox, Face, State
from appliance.vision.bboxes import iou
from appliance.vision.detector import Detector
from appliance.vision.frame import Frame
from appliance.vision.looking.again import Found, faces_in
from appliance.vision.looking.region import Region
from appliance.vision.looking.seams import merged
from appliance.vision.onnx import load_detector
from appliance.vision.pictures import pictures

SIZE = (1920, 1080)
MAX_IOU = 0.5


class Scripted:
    """Stands in for the detector: it finds one face, in all regions of which it fills at least so much."""

    def __init__(self, bbox: Bbox, least: float = 0.0) -> None:
        self.bbox, self.least = bbox, least
        self.asked: list[list[Region]] = []

    def look(self, regions: Sequence[Region]) -> Found:
        self.asked.append(list(regions))
        return [(region, self._faces(region)) for region in regions]

    def _faces(self, region: Region) -> list[Face]:
        left, top, right, bottom = self.bbox
        if max(right - left, bottom - top) < self.least * region.side:
            return []
        scale = region.input_px / region.side
        shown = (left - region.left) * scale, (top - region.top) * scale, (right - region.left) * scale
        return [Face((*shown, (bottom - region.top) * scale), 0.9, (0.9, 0.05, 0.05), State.MASK)]


def test_a_face_that_fills_its_region_counts_if_it_is_seen_with_what_is_around_it() -> None:
    region, bbox = Region(400, 300, 320, 320), (440.0, 310.0, 660.0, 600.0)
    detector = Scripted(bbox)
    faces, regions = faces_in([region], detector.look, SIZE, MAX_IOU)
    assert [face.bbox_px for face in faces] == [pytest.approx(bbox)]
    (wider,) = detector.asked[1]
    assert regions == [region, wider]
    assert wider.side == pytest.approx(3 * 290, abs=2)
    assert all(wider.holds(x, y) for x in (bbox[0], bbox[2]) for y in (bbox[1], bbox[3]))


def test_what_is_a_face_only_where_it_fills_the_region_is_none() -> None:
    """As a chest was, with a score of .9."""
    chest = Scripted((1266.0, 723.0, 1473.0, 1076.0), least=0.4)
    region = Region(1182, 694, 386, 160)
    assert len(merged(chest.look([region]), SIZE, MAX_IOU)) == 1
    assert faces_in([region], chest.look, SIZE, MAX_IOU)[0] == []


def test_a_face_of_ordinary_size_costs_no_second_look() -> None:
    detector = Scripted((500.0, 400.0, 600.0, 530.0))
    faces, regions = faces_in([Region(400, 300, 320, 320)], detector.look, SIZE, MAX_IOU)
    assert (len(faces), len(regions), len(detector.asked)) == (1, 1, 1)


def test_a_face_that_fills_the_frame_counts_at_once() -> None:
    """Nothing larger can be shown."""
    detector = Scripted((300.0, 10.0, 1400.0, 1070.0))
    faces, _ = faces_in([Region(0, 0, 1920, 320)], detector.look, SIZE, MAX_IOU)
    assert (len(faces), len(detector.asked)) == (1, 1)


def test_what_a_coarse_look_shows_is_seen_more_closely() -> None:
    detector = Scripted((700.0, 300.0, 860.0, 500.0))
    faces, regions = faces_in([Region(0, 0, 1920, 320)], detector.look, SIZE, MAX_IOU)
    assert len(faces) == 1
    assert regions[1].side == 600


@settings(deadline=None)
@example(left=1281.0, top=441.0, side=1900.0, share=1.0, size=SIZE)
@given(
    left=st.floats(-50, 1900), top=st.floats(-50, 1060), side=st.floats(8, 1900), share=st.floats(0.05, 1.0),
    size=st.sampled_from([SIZE, (640, 360), (100, 60), (1081, 1921)]),
)  # fmt: skip
def test_a_face_that_every_region_shows_is_never_lost(
    left: float, top: float, side: float, share: float, size: tuple[int, int]
) -> None:
    detector = Scripted((left, top, left + side, top + 0.9 * side))
    region = Region(round(left / 2) * 2, round(top / 2) * 2, max(128, round(side / share / 2) * 2), 128)
    once = merged(detector.look([region]), size, MAX_IOU)
    faces, regions = faces_in([region], detector.look, size, MAX_IOU)
    assert len(faces) == len(once)
    assert all(asked.side % 2 == 0 and asked.input_px <= asked.side for asked in regions)
    assert len(detector.asked) <= 3


@pytest.fixture(scope="module")
def detector() -> Detector:
    return load_detector()


def test_bodies_are_no_faces_and_faces_stay(detector: Detector, data_dir: Path) -> None:
    """Squares of photos: below faces, and around ones that fill most of them."""
    chance = np.random.default_rng(7)
    table = json.loads((data_dir / "mask" / "annotations_harmonised" / "val.json").read_text())
    bodies = once_false = twice_false = once_found = twice_found = 0
    for image in table["images"][:150]:
        labels = [label["bbox"] for label in table["annotations"] if label["image_id"] == image["id"]]
        people = [(x, y, x + wide, y + high) for x, y, wide, high in labels]
        (photo,) = pictures(data_dir / "mask" / "images" / "val" / image["file_name"], 1)
        frame = Frame(av.VideoFrame.from_ndarray(photo.image, format="rgb24"), 0.0, 0.0)
        size = (frame.width, frame.height)

        def look(regions: Sequence[Region], frame: Frame = frame) -> Found:
            return [(region, detector.look(frame.cuts([region]))[0]) for region in regions]

        for person in people:
            if min(person[2] - person[0], person[3] - person[1]) < 50:
                continue
            region = square(person, 0.0, float(chance.uniform(1.1, 1.8)))
            once_found += covers(merged(look([region]), size, MAX_IOU), person)
            twice_found += covers(faces_in([region], look, size, MAX_IOU)[0], person)
            for _ in range(4):
                region = square(person, float(chance.uniform(0.95, 1.6)), float(chance.uniform(1.1, 3.0)))
                if region.top + region.side / 2 > size[1] or any(is_shown(region, other) for other in people):
                    continue
                bodies += 1
                found = merged(look([region]), size, MAX_IOU)
                once_false += any(longer_px(face) > region.side / 2 for face in found)
                found = faces_in([region], look, size, MAX_IOU)[0]
                twice_false += any(
                    longer_px(face) > region.side / 2 and not any(covers([face], other) for other in people)
                    for face in found
                )
    assert bodies > 100
    assert once_false >= 3, "else this shows nothing"
    assert twice_false == 0
    assert twice_found >= 0.98 * once_found > 60


def square(person: Bbox, lower: float, times: float) -> Region:
    """A region as large as so many faces, so many face heights below the middle of one."""
    left, top, right, bottom = person
    side = max(128, 2 * round(times * max(right - left, bottom - top) / 2))
    middle = (top + bottom) / 2 + lower * (bottom - top)
    middle += side / 2 - (bottom - top) / 2 if lower else 0.0
    return Region(2 * round((left + right - side) / 4), 2 * round((middle - side / 2) / 2), side, 128)


def longer_px(face: Face) -> float:
    left, top, right, bottom = face.bbox_px
    return max(right - left, bottom - top)


def covers(faces: Sequence[Face], bbox: Sequence[float]) -> bool:
    found = np.array([face.bbox_px for face in faces], np.float32).reshape(-1, 4)
    return bool(len(found)) and bool(iou(found, np.array([bbox], np.float32)).max() > 0.4)


def is_shown(region: Region, bbox: Bbox) -> bool:
    """Whether more than a sliver of it is in the region."""
    left, top, right, bottom = bbox
    wide = min(right, region.left + region.side) - max(left, region.left)
    high = min(bottom, region.top + region.side) - max(top, region.top)
    return wide > 0 and high > 0 and wide * high > 0.1 * (right - left) * (bottom - top)
