"""Faces that several regions show: nobody twice, nobody lost, nobody cut in half."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.faces import Bbox, Face, State
from appliance.vision.looking.region import Region
from appliance.vision.looking.seams import merged

SIZE = (1920, 1080)
MAX_IOU = 0.5
LEFT, RIGHT = Region(0, 0, 320, 320), Region(240, 0, 320, 320)
Found = list[tuple[Region, Sequence[Face]]]


def face(bbox_px: Bbox, score: float = 0.9, state: State = State.MASK, too_small: bool = False) -> Face:
    mask, no_mask, incorrect = (0.9 if state is each else 0.05 for each in (State.MASK, State.NO_MASK, State.INCORRECT))
    return Face(bbox_px, score, (mask, no_mask, incorrect), state, too_small)


def shown(region: Region, bbox_px: Bbox, size: tuple[int, int] = SIZE) -> Bbox | None:
    """What a network draws of a face: its bbox in px of the input, clipped; None: not half of it is to be seen."""
    x0, y0 = max(0, region.left), max(0, region.top)
    x1, y1 = min(size[0], region.left + region.side), min(size[1], region.top + region.side)
    left, top, right, bottom = bbox_px
    part = max(left, x0), max(top, y0), min(right, x1), min(bottom, y1)
    if part[2] <= part[0] or part[3] <= part[1]:
        return None
    if (part[2] - part[0]) * (part[3] - part[1]) < 0.45 * (right - left) * (bottom - top):
        return None
    scale = region.input_px / region.side
    return (
        (part[0] - region.left) * scale, (part[1] - region.top) * scale,
        (part[2] - region.left) * scale, (part[3] - region.top) * scale,
    )  # fmt: skip


def looked(regions: Sequence[Region], faces: Sequence[Bbox], seed: int = 0, jitter: float = 0.0) -> Found:
    """What a network finds of the faces in each region; jitter: how far off it draws, in faces."""
    chance = np.random.default_rng(seed)
    found: Found = []
    for region in regions:
        seen = []
        for bbox_px in faces:
            part = shown(region, bbox_px)
            if part is not None:
                off = [chance.uniform(-jitter, jitter) * (part[2] - part[0]) for _ in range(4)]
                moved = [min(max(side + move, 0), region.input_px) for side, move in zip(part, off, strict=True)]
                seen.append(face((moved[0], moved[1], moved[2], moved[3]), float(chance.uniform(0.3, 0.95))))
        found.append((region, seen))
    return found


def close(first: Bbox, second: Bbox, px: float) -> bool:
    return all(abs(a - b) <= px for a, b in zip(first, second, strict=True))


def test_a_face_is_in_px_of_the_frame() -> None:
    (found,) = merged([(Region(400, 200, 640, 320), [face((100, 50, 140, 100))])], SIZE, MAX_IOU)
    assert found.bbox_px == (600, 300, 680, 400)


def test_a_face_cut_at_a_seam_yields_to_the_same_face_seen_whole() -> None:
    """Whatever their scores."""
    whole, cut = face((40, 100, 100, 170), 0.6, State.NO_MASK), face((280, 100, 320, 170), 0.95, State.MASK)
    (found,) = merged([(LEFT, [cut]), (RIGHT, [whole])], SIZE, MAX_IOU)
    assert found == face((280, 100, 340, 170), 0.6, State.NO_MASK)


def test_the_part_of_a_face_that_is_drawn_smaller_than_it_is_yields_too() -> None:
    whole, cut = face((40, 100, 100, 170)), face((290, 120, 320, 160))
    assert len(merged([(LEFT, [cut]), (RIGHT, [whole])], SIZE, MAX_IOU)) == 1


def test_of_a_chin_that_reaches_over_a_seam_no_second_face_is_made() -> None:
    """Of chin and neck the network makes a whole face, most of which is below the real one."""
    below = Region(0, 200, 320, 320)
    chin = face((95, 2, 165, 70), 0.8)
    found = merged([(LEFT, [face((100, 130, 160, 222), 0.7)]), (below, [chin])], SIZE, MAX_IOU)
    assert [each.bbox_px for each in found] == [(100, 130, 160, 222)]


def test_a_face_beside_one_that_lies_across_a_seam_stays() -> None:
    below = Region(0, 200, 320, 320)
    across, beside = face((100, 130, 160, 222)), face((150, 2, 210, 70), 0.8)
    assert len(merged([(LEFT, [across]), (below, [beside])], SIZE, MAX_IOU)) == 2


def test_a_face_cut_in_both_regions_is_one() -> None:
    large = (200.0, 60.0, 380.0, 280.0)
    found = merged(looked([LEFT, RIGHT, Region(120, 400, 320, 320)], [large]), SIZE, MAX_IOU)
    assert len(found) == 1


def test_a_cut_face_that_nobody_sees_whole_stays() -> None:
    (found,) = merged([(LEFT, [face((280, 100, 320, 170))])], SIZE, MAX_IOU)
    assert found.bbox_px == (280, 100, 320, 170)


def test_of_two_whole_views_the_one_of_higher_score_stays() -> None:
    weak, strong = face((260, 100, 300, 150), 0.7, State.MASK), face((21, 101, 60, 149), 0.8, State.INCORRECT)
    (found,) = merged([(LEFT, [weak]), (RIGHT, [strong])], SIZE, MAX_IOU)
    assert (found.bbox_px, found.state) == ((261, 101, 300, 149), State.INCORRECT)


def test_a_face_too_small_to_judge_yields_to_the_same_seen_larger() -> None:
    everything = Region(0, -420, 1920, 320)  # a sixth: a face of 60 px has 10
    small = face((50, 90, 60, 100), 0.9, State.UNKNOWN, too_small=True)
    large = face((61, 121, 118, 181), 0.5, State.NO_MASK)
    (found,) = merged([(everything, [small]), (RIGHT, [large])], SIZE, MAX_IOU)
    assert (found.state, found.too_small) == (State.NO_MASK, False)
    (alone,) = merged([(everything, [small])], SIZE, MAX_IOU)
    assert (alone.state, alone.too_small) == (State.UNKNOWN, True)


def test_faces_at_the_edge_of_the_frame_are_no_cut_ones() -> None:
    """Region edges at, or beyond, an edge of the frame are no seams."""
    at_edge = face((0, 0, 30, 60), 0.9)
    other = face((1, 2, 33, 62), 0.5)
    (found,) = merged([(LEFT, [at_edge]), (Region(-32, -32, 352, 352), [face((33, 34, 65, 94), 0.5)])], SIZE, MAX_IOU)
    assert found.score == 0.9
    corner = Region(1600, 760, 320, 320)
    assert len(merged([(corner, [face((280, 270, 320, 320))]), (LEFT, [other])], SIZE, MAX_IOU)) == 2


def test_what_lies_beyond_the_frame_is_clipped_or_dropped() -> None:
    region = Region(-100, -100, 320, 320)
    found = merged([(region, [face((90, 90, 150, 160)), face((10, 10, 60, 70))])], SIZE, MAX_IOU)
    assert [each.bbox_px for each in found] == [(0, 0, 50, 60)]


def test_a_face_that_lies_mostly_within_another_is_the_same_one() -> None:
    """One region makes of the face alone what another makes of face and neck, and too little for `MAX_IOU` is common.

    Whichever of them has the higher score stays; whether they come from one region or from two.
    """
    tight, loose, middle = (208.0, 100.0, 260.0, 160.0), (205.0, 98.0, 270.0, 200.0), Region(100, 0, 320, 320)
    for narrow, wide in ((0.9, 0.6), (0.6, 0.9)):
        first, second = face(tight, narrow), face((105, 98, 170, 200), wide)
        (found,) = merged([(LEFT, [first]), (middle, [second])], SIZE, MAX_IOU)
        assert found.bbox_px == (tight if narrow > wide else loose)
        assert len(merged([(middle, [second, face((108, 100, 160, 160), narrow)])], SIZE, MAX_IOU)) == 1


def test_a_small_face_half_behind_a_large_one_stays() -> None:
    """A passer whose face shows beside somebody near: .64 of it lies within the bbox of the other (from a photo)."""
    near, behind = face((54, 75, 127, 173)), face((44, 107, 73, 144), 0.5)
    assert len(merged([(LEFT, [near, behind])], SIZE, MAX_IOU)) == 2


def test_two_people_close_together_stay_two() -> None:
    """One of them whole in one region, the other cut there and whole in the next."""
    people = [(250.0, 100.0, 300.0, 160.0), (290.0, 104.0, 340.0, 166.0)]
    found = merged(looked([LEFT, RIGHT], people), SIZE, MAX_IOU)
    assert sorted(each.bbox_px for each in found) == people


def test_nothing_is_nothing() -> None:
    assert merged([], SIZE, MAX_IOU) == []
    assert merged([(LEFT, [])], SIZE, MAX_IOU) == []


even = st.integers(-20, 400).map(lambda number: 4 * number)
regions = st.builds(Region, left=even, top=even, side=st.sampled_from([320, 416]), input_px=st.just(320)) | st.builds(
    Region, left=even, top=even, side=st.sampled_from([640, 960]), input_px=st.sampled_from([320, 416])
)


@st.composite
def crowds(draw: st.DrawFn) -> list[Bbox]:
    """People none of whom hides another: bboxes in a grid, each a little off its place."""
    side = draw(st.integers(24, 150))
    places = draw(st.sets(st.tuples(st.integers(0, 1600 // side), st.integers(0, 760 // side)), max_size=12))
    faces = []
    for column, row in sorted(places):
        x, y = (
            column * side * 1.1 + draw(st.integers(0, side // 10)),
            row * side * 1.3 + draw(st.integers(0, side // 10)),
        )
        faces.append((x, y, x + side, min(1080.0, y + side * 1.2)))
    return faces


@settings(max_examples=120, deadline=None)
@given(crowd=crowds(), looks=st.lists(regions, max_size=5), seed=st.integers(0, 10**6))
def test_everybody_who_is_seen_whole_somewhere_is_one_face_with_a_whole_bbox(
    crowd: list[Bbox], looks: list[Region], seed: int
) -> None:
    everything = Region(0, -420, 1920, 416)
    faces = merged(looked([everything, *looks], crowd, seed, jitter=0.04), SIZE, MAX_IOU)
    assert len(faces) == len(crowd)
    for bbox_px in crowd:
        side = bbox_px[2] - bbox_px[0]
        assert sum(close(found.bbox_px, bbox_px, 0.1 * side) for found in faces) == 1


@settings(max_examples=60, deadline=None)
@given(crowd=crowds(), looks=st.lists(regions, min_size=1, max_size=5), seed=st.integers(0, 10**6))
def test_the_order_of_regions_and_faces_makes_no_difference(crowd: list[Bbox], looks: list[Region], seed: int) -> None:
    found = looked(looks, crowd, seed, jitter=0.1)
    chance = np.random.default_rng(seed)
    shuffled: Found = [
        (found[index][0], chance.permutation(np.array(found[index][1], dtype=object)).tolist())
        for index in chance.permutation(len(found))
    ]
    assert merged(found, SIZE, MAX_IOU) == merged(shuffled, SIZE, MAX_IOU)


@settings(max_examples=60, deadline=None)
@given(crowd=crowds(), looks=st.lists(regions, min_size=1, max_size=5), seed=st.integers(0, 10**6))
def test_every_face_that_was_found_is_kept_or_overlaps_one_that_is(
    crowd: list[Bbox], looks: list[Region], seed: int
) -> None:
    found = looked(looks, crowd, seed, jitter=0.1)
    kept = merged(found, SIZE, MAX_IOU)
    scores = [face.score for face in kept]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= x0 < x1 <= SIZE[0] and 0 <= y0 < y1 <= SIZE[1] for x0, y0, x1, y1 in (f.bbox_px for f in kept))
    for region, faces in found:
        for each in faces:
            left, top, right, bottom = region.to_frame(each.bbox_px)
            assert any(
                min(right, other[2]) > max(left, other[0]) and min(bottom, other[3]) > max(top, other[1])
                for other in (kept_face.bbox_px for kept_face in kept)
            )


@pytest.mark.parametrize("seed", range(3))
def test_a_merged_list_merges_into_itself(seed: int) -> None:
    crowd = [(x, 200.0, x + 60, 275.0) for x in range(100, 1500, 70)]
    tiles = [Region(left, 100, 320, 320) for left in range(0, 1600, 200)]
    once = merged(looked(tiles, crowd, seed, jitter=0.05), SIZE, MAX_IOU)
    whole = Region(0, 0, 1920, 1920)
    assert merged([(whole, once)], SIZE, MAX_IOU) == once
    assert len(once) == len(crowd)
