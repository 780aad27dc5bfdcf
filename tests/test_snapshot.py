"""The picture that is stored: what of a face may be seen in it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.cutout import MARGIN, MAX_SIDE_PX
from appliance.faces import Bbox
from appliance.vision.frame import Frame
from appliance.vision.pixels import Pixels, frame_of, pixels_of, shrink
from appliance.vision.snapshot import pixelate_eyes, snapshot

NOISE: Pixels = np.random.default_rng(3).integers(0, 256, (240, 320, 3), dtype=np.uint8)


def cut(image: Pixels, bbox_px: Bbox) -> Pixels:
    """What is stored of an image, nobody's eyes hidden."""
    return snapshot(Frame(frame_of(image), 1.0, 2.0), bbox_px, [])


def around(image: Pixels, bbox_px: Bbox) -> Pixels:
    """The bbox with its margin, cut out of the whole image; at least 2 x 2."""
    height, width = image.shape[:2]
    left, top, right, bottom = bbox_px
    aside, above = (right - left) * MARGIN, (bottom - top) * MARGIN
    x0, y0 = max(0, int(left - aside)), max(0, int(top - above))
    x1, y1 = min(width, max(x0 + 2, round(right + aside))), min(height, max(y0 + 2, round(bottom + above)))
    return shrink(image[min(y0, height - 2) : y1, min(x0, width - 2) : x1], MAX_SIDE_PX)


def eyes_of(bbox: Bbox) -> tuple[slice, slice]:
    """Where the eyes of an upright face are, generously."""
    left, top, right, bottom = bbox
    height = bottom - top
    return slice(round(top + 0.25 * height), round(top + 0.5 * height)), slice(round(left), round(right))


def patterns(image: Pixels) -> int:
    """How many different pixels there are: what is left to recognise anybody by."""
    return len(np.unique(image.reshape(-1, 3), axis=0))


@pytest.mark.parametrize("size", [16, 40, 120])
def test_the_eyes_become_a_few_coarse_blocks(size: int) -> None:
    bbox = (100.0, 60.0, 100.0 + size, 60.0 + size * 1.2)
    hidden = pixelate_eyes(NOISE, [bbox])
    assert patterns(hidden[eyes_of(bbox)]) <= 8 * 5


@pytest.mark.parametrize("size", [40, 120])
def test_blocks_are_an_eighth_of_the_face_or_more(size: int) -> None:
    bbox = (100.0, 60.0, 100.0 + size, 60.0 + size * 1.2)
    row = pixelate_eyes(NOISE, [bbox])[round(60 + size * 0.4), 100 : 100 + size].astype(int)
    edges = np.flatnonzero(np.abs(np.diff(row, axis=0)).sum(axis=1))
    assert np.diff(edges).min() >= size / 8


def test_the_mask_and_everything_else_stay_as_they_are() -> None:
    bbox = (100.0, 60.0, 180.0, 156.0)
    hidden = pixelate_eyes(NOISE, [bbox])
    assert np.array_equal(hidden[60 + 58 :], NOISE[60 + 58 :]), "from the nose down"
    assert np.array_equal(hidden[:60], NOISE[:60])
    assert np.array_equal(hidden[:, :80], NOISE[:, :80])
    assert np.array_equal(hidden[:, 200:], NOISE[:, 200:])


def test_the_picture_itself_is_not_changed() -> None:
    before = NOISE.copy()
    pixelate_eyes(NOISE, [(10.0, 10.0, 60.0, 70.0)])
    assert np.array_equal(NOISE, before)


def test_every_face_is_hidden() -> None:
    bboxes = [(10.0, 10.0, 60.0, 70.0), (100.0, 100.0, 150.0, 160.0), (200.0, 20.0, 220.0, 44.0)]
    hidden = pixelate_eyes(NOISE, bboxes)
    assert all(patterns(hidden[eyes_of(bbox)]) <= 40 for bbox in bboxes)


@pytest.mark.parametrize(
    "bbox",
    [
        (-30.0, -20.0, 40.0, 60.0),
        (290.0, 200.0, 360.0, 280.0),
        (0.0, 0.0, 320.0, 240.0),
        (318.0, 238.0, 320.0, 240.0),
        (100.0, 100.0, 102.0, 102.0),
        (100.0, 100.0, 100.0, 100.0),
    ],
)
def test_faces_at_the_edge_and_tiny_ones_do_no_harm(bbox: Bbox) -> None:
    hidden = pixelate_eyes(NOISE, [bbox])
    assert hidden.shape == NOISE.shape
    picture = cut(hidden, bbox)
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert min(picture.shape[:2]) >= 2
    assert max(picture.shape[:2]) <= MAX_SIDE_PX


def test_the_cut_is_the_face_and_a_little_around_it() -> None:
    picture = cut(NOISE, (100.0, 60.0, 180.0, 140.0))
    assert picture.shape == (128, 128, 3)
    assert np.array_equal(picture, NOISE[36:164, 76:204])


def test_a_large_face_is_scaled_down_and_keeps_its_proportions() -> None:
    image = np.zeros((2160, 3840, 3), dtype=np.uint8)
    picture = cut(image, (500.0, 500.0, 1500.0, 1700.0))
    assert picture.shape == (MAX_SIDE_PX, 267, 3)


corner = st.floats(-60, 360)
side = st.floats(0, 160)
bboxes = st.builds(lambda x, y, wide, high: (x, y, x + wide, y + high), corner, corner, side, side)


@settings(max_examples=150, deadline=None)
@given(bbox=bboxes, others=st.lists(bboxes, max_size=4), name=st.sampled_from(["yuv420p", "nv12", "rgb24"]))
def test_only_what_is_stored_is_converted_and_it_is_the_same(bbox: Bbox, others: list[Bbox], name: str) -> None:
    source = frame_of(NOISE).reformat(format=name)
    expected = around(pixelate_eyes(pixels_of(source), [*others, bbox]), bbox)
    assert np.array_equal(snapshot(Frame(source, 1.0, 2.0), bbox, [*others, bbox]), expected)


def test_a_frame_is_left_as_it_is() -> None:
    frame = Frame(frame_of(NOISE), 1.0, 2.0)
    snapshot(frame, (100.0, 60.0, 180.0, 140.0), [(100.0, 60.0, 180.0, 140.0)])
    assert np.array_equal(frame.full(), NOISE)
