"""What is true of every plan, whatever moves: all motion is seen or named, the allowance kept, nothing forgotten."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.faces import Bbox
from appliance.vision.looking.motion import Moving
from appliance.vision.looking.regions import Expected, Planner
from appliance.vision.looking.squares import even
from tests.looks import HD, PLENTY_MS, SIZES, Size, Watch, cost_ms, face_px, held, holds, moving_in, seen_by

rectangles = st.lists(
    st.tuples(st.floats(-0.2, 1), st.floats(-0.2, 1), st.floats(0.01, 0.6), st.floats(0.01, 0.9)), max_size=4
)
faces = st.lists(st.tuples(st.floats(-0.1, 1), st.floats(-0.1, 1), st.floats(0.01, 0.5)), max_size=4)
far_faces = st.lists(st.tuples(st.floats(-0.1, 1), st.floats(-0.1, 1), st.floats(0.01, 0.04)), max_size=4)
sizes = st.sampled_from(SIZES)
allowances = st.one_of(st.floats(0.1, 60), st.just(PLENTY_MS))


def scaled(size: Size, several: Sequence[tuple[float, float, float, float]], moved: float = 0.0) -> list[Bbox]:
    """Rectangles given as shares of the frame, moved sideways."""
    width, height = size
    return [((x + moved) * width, y * height, (x + moved + w) * width, (y + h) * height) for x, y, w, h in several]


def expected_at(size: Size, several: Sequence[tuple[float, float, float]], settled: bool = False) -> list[Expected]:
    """Tracks given by place and height as shares of the frame."""
    width, height = size
    return [
        Expected(n, (x * width, y * height, x * width + 0.8 * h * height, (y + h) * height), 0.1 * h * height, settled)
        for n, (x, y, h) in enumerate(several)
    ]


@given(sizes, rectangles, rectangles, far_faces, allowances, st.integers(0, 2**32 - 1))
def test_every_moving_cell_is_in_a_region_or_named_as_over_budget(
    size: Size,
    new: list[tuple[float, float, float, float]],
    restless: list[tuple[float, float, float, float]],
    people: list[tuple[float, float, float]],
    allowance_ms: float,
    seed: int,
) -> None:
    moving = moving_in(size, scaled(size, new), scaled(size, restless))
    noise = np.random.default_rng(seed).random(moving.cells.shape) > 0.97
    moving = Moving(moving.cell_px, moving.cells | noise, moving.restless)
    plan = Watch(size, allowance_ms).look(moving, *expected_at(size, people))
    seen = seen_by(plan, size, moving)
    assert not (moving.cells & ~seen & ~plan.over_budget).any()
    assert not (plan.over_budget & ~moving.cells).any()


@settings(max_examples=30, deadline=None)
@given(
    sizes,
    rectangles,
    rectangles,
    far_faces,
    allowances,
    st.floats(-0.1, 0.1),
    st.sampled_from([0.05, 0.1, 0.3, 1.0]),
)
def test_motion_that_goes_on_is_never_unseen_and_unnamed_for_long(
    size: Size,
    new: list[tuple[float, float, float, float]],
    restless: list[tuple[float, float, float, float]],
    people: list[tuple[float, float, float]],
    allowance_ms: float,
    speed: float,
    each_s: float,
) -> None:
    watch = Watch(size, allowance_ms)
    since_s = np.full_like(moving_in(size, []).cells, np.inf, dtype=np.float64)
    for number in range(20):
        moving = moving_in(size, scaled(size, new, number * speed), scaled(size, restless))
        plan = watch.look(moving, *expected_at(size, people, settled=True), after_s=each_s)
        known = ~moving.cells | plan.over_budget | seen_by(plan, size, moving)
        since_s = np.where(known, np.inf, np.minimum(since_s, watch.now_s))
        assert (watch.now_s - since_s).max() <= 1.0


@settings(max_examples=50)
@given(sizes, rectangles, rectangles, faces, allowances, st.sampled_from([320, 416]))
def test_the_allowance_is_kept_and_regions_fit_the_frame_and_the_network(
    size: Size,
    new: list[tuple[float, float, float, float]],
    restless: list[tuple[float, float, float, float]],
    people: list[tuple[float, float, float]],
    allowance_ms: float,
    region_px: int,
) -> None:
    watch = Watch(size, allowance_ms, planner=Planner(region_px, cost_ms))
    for number in range(12):
        moving = moving_in(size, scaled(size, new, 0.03 * number), scaled(size, restless))
        regions = watch.look(moving, *expected_at(size, people, settled=number > 6)).regions
        assert sum(cost_ms(region.input_px) for region in regions) <= allowance_ms + 1e-9 or len(regions) == 1
        for region in regions:
            assert region.left % 2 == region.top % 2 == region.side % 2 == region.input_px % 32 == 0
            assert 32 <= region.input_px <= min(region.side, region_px)
            for start, frame_px in ((region.left, size[0]), (region.top, size[1])):
                assert start >= 0
                assert start == 0 or start + region.side <= even(frame_px)
                assert region.side <= max(even(max(size)), 32 * -(-max(size) // 32))


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 54), st.integers(0, 27), st.integers(1, 6)), min_size=1, max_size=12),
    st.lists(st.tuples(st.floats(0, 0.9), st.floats(0, 0.9), st.floats(0.03, 0.2)), max_size=3),
    st.booleans(),
    st.sampled_from([0.1, 3.5, 7.0]),
)
def test_nothing_waits_without_end_however_little_is_allowed(
    blocks: list[tuple[int, int, int]], people: list[tuple[float, float, float]], settled: bool, allowance_ms: float
) -> None:
    watch = Watch(HD, allowance_ms)
    moving = moving_in(HD, [(x * 32, y * 32, (x + n) * 32, (y + n) * 32) for x, y, n in blocks])
    seen_s = np.full(moving.cells.shape, watch.now_s)
    faces_s = dict.fromkeys(range(len(people)), watch.now_s)
    expected = expected_at(HD, people, settled)
    for _ in range(400):
        plan = watch.look(moving, *expected)
        for region in plan.regions:
            if region.side < 1000:  # not the coarse look
                seen_s[held(region, HD, moving)] = watch.now_s
            for track in expected:
                if region.holds((track.bbox_px[0] + track.bbox_px[2]) / 2, track.bbox_px[1]):
                    faces_s[int(str(track.key))] = watch.now_s
        assert (watch.now_s - seen_s)[moving.cells].max(initial=0) < 20
        assert all(watch.now_s - looked_s < 20 for looked_s in faces_s.values())


@pytest.mark.parametrize("size", SIZES)
def test_the_first_sweep_sees_every_pixel_one_to_one_within_three_seconds(size: Size) -> None:
    watch = Watch(size)
    seen = np.zeros((size[1], size[0]), np.bool_)
    for _ in range(30):
        for region in watch.look().regions:
            if region.side == region.input_px:
                seen[region.top : region.top + region.side, region.left : region.left + region.side] = True
    assert seen.all()


@settings(max_examples=12, deadline=None)
@given(sizes, rectangles, st.sampled_from([12.0, PLENTY_MS]))
def test_the_sweep_covers_the_frame_again_and_again(
    size: Size, new: list[tuple[float, float, float, float]], allowance_ms: float
) -> None:
    watch = Watch(size, allowance_ms)
    moving = moving_in(size, scaled(size, [(x, y, w / 4, h / 4) for x, y, w, h in new[:1]]))
    for _ in range(2):
        seen = np.zeros((size[1] // 2, size[0] // 2), np.bool_)
        for _ in range(1500):
            for region in watch.look(moving, after_s=0.5).regions:
                if region.side == region.input_px:
                    top, left, side = region.top // 2, region.left // 2, region.side // 2
                    seen[top : top + side, left : left + side] = True
            if seen.all():
                break
        assert seen.all()


@given(sizes, faces, st.booleans())
def test_who_is_not_settled_nor_missing_is_in_a_region_at_every_look(
    size: Size, people: list[tuple[float, float, float]], first_sweep: bool
) -> None:
    watch = Watch(size)
    if not first_sweep:
        watch.settle()
    expected = expected_at(size, people)
    for _ in range(3):
        plan = watch.look(None, *expected)
        for track in expected:
            left, top, right, bottom = track.bbox_px
            if left >= 0 and top >= 0 and right <= size[0] and bottom <= size[1]:
                shown = [region for region in plan.regions if holds(region, track.bbox_px)]
                assert shown
                assert max(face_px(region, track.bbox_px) for region in shown) >= min(right - left, 24) - 1e-6


def test_no_allowance_means_no_regions_but_names_what_moves() -> None:
    moving = moving_in(HD, [(100, 100, 300, 700)])
    plan = Watch(HD, allowance_ms=0.0).look(moving)
    assert plan.regions == []
    assert (plan.over_budget == moving.cells).all()
