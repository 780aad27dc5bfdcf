"""Where the detector looks: what moves, where somebody is expected, in time everywhere, for no more than allowed."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.vision.looking.motion import Moving
from appliance.vision.looking.region import Region
from appliance.vision.looking.regions import Expected
from tests.looks import HD, LOOK_S, Walker, Watch, cost_ms, face_px, holds, moving_in, seen_in

# Motion that is nobody's yet


@pytest.mark.parametrize("face", [28, 40, 80, 140, 220, 320])
@pytest.mark.parametrize("y", [40, 300])
def test_the_head_of_who_walks_through_is_looked_at_ten_times_a_second(face: float, y: float) -> None:
    watch = Watch()
    watch.settle()
    for x in range(100, 1500, 70):
        walker = Walker(x, y, face)
        seen = [seen_in(watch.look(moving_in(HD, walker.body)), walker)]
        # Large faces may be cut by a look at what is 1:1, but every other look shows tall motion scaled down.
        if face > 200:
            seen.append(seen_in(watch.look(moving_in(HD, walker.body), after_s=0.02), walker))
        assert any(seen)


def test_somebody_far_away_needs_only_a_small_region() -> None:
    watch = Watch()
    watch.settle()
    plan = watch.look(moving_in(HD, Walker(900, 500, 24).body))
    assert seen_in(plan, Walker(900, 500, 24))
    again = watch.look(moving_in(HD, Walker(910, 500, 24).body))
    assert sum(cost_ms(region.input_px) for region in again.regions) <= cost_ms(192)


def test_of_two_side_by_side_the_shorter_one_is_seen_whole_as_well() -> None:
    watch = Watch()
    watch.settle()
    for x in range(200, 1200, 60):
        tall, short = Walker(x, 100, 80), Walker(x + 210, 340, 60)
        plan = watch.look(moving_in(HD, tall.body + short.body))
        assert seen_in(plan, tall)
        assert seen_in(plan, short)


def test_a_group_that_is_wider_than_a_region_is_seen_face_by_face() -> None:
    watch = Watch()
    watch.settle()
    missed = dict.fromkeys(range(6), 0)
    for step in range(20):
        group = [Walker(200 + 240 * n + 20 * step, 150 + 40 * (n % 3), 70) for n in range(6)]
        plan = watch.look(moving_in(HD, [part for walker in group for part in walker.body]))
        for n, walker in enumerate(group):
            missed[n] += not seen_in(plan, walker)
    assert max(missed.values()) <= 4  # a face at the edge of one region is in the next one, or in the next look


def test_the_first_region_is_the_upper_body() -> None:
    watch = Watch()
    watch.settle()
    walker = Walker(900, 200, 60)
    first = watch.look(moving_in(HD, walker.body)).regions[0]
    assert holds(first, walker.bbox_px)


def test_what_is_below_the_head_is_looked_at_again_after_a_while_although_it_walks() -> None:
    watch = Watch()
    watch.settle()
    looked = []
    for number in range(25):
        walker = Walker(200 + 60 * number, 100, 50)
        plan = watch.look(moving_in(HD, walker.body))
        knee = (walker.x, 450)
        looked.append(any(region.holds(*knee) for region in plan.regions))
    gaps = "".join("x" if each else "." for each in looked).strip(".").split("x")
    assert max(map(len, gaps)) <= 7
    assert sum(looked) <= 9  # and not in each cell that it comes to


def test_who_stands_there_unknown_is_looked_at_less_after_a_while() -> None:
    watch = Watch()
    watch.settle()
    moving = moving_in(HD, [(900, 300, 1100, 900)])

    def looks(seconds: float) -> int:
        plans = [watch.look(moving) for _ in range(round(seconds / LOOK_S))]
        return sum(any(region.holds(1000, 340) for region in plan.regions) for plan in plans)

    assert looks(1.0) == 10
    looks(5.0)
    assert 4 <= looks(3.0) <= 10


def test_motion_taller_than_half_the_frame_brings_the_coarse_look() -> None:
    watch = Watch()
    watch.settle()
    moving = moving_in(HD, [(300, 200, 1500, 1080)])
    coarse = [any(region.side == 1920 for region in watch.look(moving).regions) for _ in range(30)]
    assert 2 <= sum(coarse) <= 4


def test_what_moves_always_is_looked_at_now_and_again() -> None:
    watch = Watch()
    watch.settle()
    flag = moving_in(HD, [], restless=[(320, 320, 500, 420)])
    seen = [any(region.holds(400, 400) for region in watch.look(flag).regions) for _ in range(100)]
    assert 8 <= sum(seen) <= 22


def test_rain_does_not_use_up_everything_and_is_named() -> None:
    watch = Watch()
    watch.settle()
    rain = moving_in(HD, [], restless=[(0, 0, 1920, 1080)])
    plans = [watch.look(rain) for _ in range(100)]
    assert sum(cost_ms(region.input_px) for plan in plans for region in plan.regions) / 10 < 15  # ms a second
    assert plans[-1].over_budget.any()


# Tracks


def test_a_settled_track_is_looked_at_less_often_and_a_still_one_less_yet() -> None:
    def looks(settled: bool, still: bool) -> int:
        watch = Watch()
        watch.settle()
        track = Expected("a", (900, 400, 960, 470), 10, settled, still)
        plans = [watch.look(None, track) for _ in range(30)]
        return sum(any(holds(region, track.bbox_px) for region in plan.regions) for plan in plans)

    unsettled, settled, still = looks(False, False), looks(True, False), looks(True, True)
    assert 15 <= unsettled <= 22  # all of the first and a third of the others
    assert 7 <= settled <= 11  # the sweep may come by
    assert 3 <= still <= 6


def test_who_stood_still_is_looked_at_in_each_look_from_when_something_begins_to_move_there() -> None:
    watch = Watch()
    watch.settle()
    stands = Walker(900, 400, 60)
    track = Expected("a", stands.bbox_px, 10, settled=True, still=True)
    body = moving_in(HD, [(840, 520, 1020, 1000)])  # somebody else is seen behind, below the head

    def looks(moving: Moving, count: int) -> list[bool]:
        return [seen_in(watch.look(moving, track), stands) for _ in range(count)]

    looks(body, 20)
    while not looks(body, 1)[0]:
        pass
    assert sum(looks(body, 4)) == 0, "looked at a moment ago"
    starts = moving_in(HD, [(840, 520, 1020, 1000), *stands.body])
    assert looks(starts, 3) == [True] * 3
    assert sum(looks(starts, 30)) < 20, "what goes on moving there is somebody who fidgets"


def test_who_does_not_settle_is_looked_at_less_after_a_while_and_for_a_moment_more_once_settled_again() -> None:
    watch = Watch()
    watch.settle()
    poster, known = (Expected("a", (900, 400, 960, 470), 10, settled) for settled in (False, True))

    def looks(track: Expected) -> int:
        plans = [watch.look(None, track) for _ in range(20)]
        return sum(any(holds(region, track.bbox_px) for region in plan.regions) for plan in plans)

    assert 14 <= looks(poster) <= 19
    assert 4 <= looks(poster) <= 8
    looks(known)
    assert 9 <= looks(poster) <= 13
    assert 4 <= looks(poster) <= 8


def test_who_is_missing_is_looked_for_no_more_often_than_who_is_known() -> None:
    watch = Watch()
    watch.settle()
    missing = Expected("a", (900, 400, 960, 470), 150)
    plans = [watch.look(None, missing) for _ in range(12)]
    assert 3 <= sum(any(holds(region, missing.bbox_px) for region in plan.regions) for plan in plans) <= 6


@pytest.mark.parametrize(("face", "most_px"), [(28, 160), (40, 192), (80, 224), (200, 224), (400, 224)])
def test_the_face_of_a_track_is_shown_about_48_px_wide_and_never_enlarged(face: float, most_px: int) -> None:
    watch = Watch()
    watch.settle()
    track = Expected("a", (900, 300, 900 + face, 300 + 1.2 * face), 0.2 * face)
    (region,) = watch.look(None, track).regions
    assert region.input_px <= most_px
    assert min(face, 40) <= face_px(region, track.bbox_px) <= 60
    middle = 900 + face / 2
    assert abs(region.left + region.side / 2 - middle) <= 2


def test_who_may_be_anywhere_is_looked_for_only_where_the_face_would_be_large_enough() -> None:
    watch = Watch()
    watch.settle()
    vague = Expected("a", (900, 500, 940, 546), 700)
    (region,) = watch.look(None, vague).regions
    assert face_px(region, vague.bbox_px) >= 19


def test_a_track_is_no_longer_new_motion() -> None:
    watch = Watch()
    watch.settle()
    spent_ms = 0.0
    for number in range(30):
        walker = Walker(200 + 40 * number, 100, 80)
        plan = watch.look(moving_in(HD, walker.body), Expected("a", walker.bbox_px, 20, settled=True))
        spent_ms += sum(cost_ms(region.input_px) for region in plan.regions)
    assert spent_ms / 3 < 15  # ms a second


def test_a_second_person_beside_a_known_one_is_new() -> None:
    watch = Watch()
    watch.settle()
    for number in range(20):
        known, new = Walker(200 + 40 * number, 100, 80), Walker(480 + 40 * number, 120, 80)
        moving = moving_in(HD, known.body + new.body)
        assert seen_in(watch.look(moving, Expected("a", known.bbox_px, 20, settled=True)), new)


def test_a_shorter_person_in_front_of_a_known_one_is_found() -> None:
    watch = Watch()
    watch.settle()
    seen = []
    for number in range(20):
        known, child = Walker(200 + 40 * number, 100, 80), Walker(230 + 40 * number, 340, 64)
        moving = moving_in(HD, known.body + child.body)
        seen.append(seen_in(watch.look(moving, Expected("a", known.bbox_px, 20, settled=True)), child))
    assert sum(seen) >= 3
    assert any(seen[:8])


def test_two_tracks_that_meet_share_a_region() -> None:
    watch = Watch()
    watch.settle()
    here = [Expected(n, (900 + 30 * n, 400, 960 + 30 * n, 470), 10) for n in range(2)]
    assert len(watch.look(None, *here).regions) == 1


def test_a_track_outside_the_frame_gets_no_region() -> None:
    watch = Watch()
    watch.settle()
    assert watch.look(None, Expected("a", (-200, 400, -120, 500), 10)).regions == []


# The rest of the frame


def test_a_quiet_scene_costs_almost_nothing() -> None:
    watch = Watch()
    watch.settle()
    spent_ms = sum(cost_ms(region.input_px) for _ in range(120) for region in watch.look(after_s=1.0).regions)
    assert spent_ms / 120 <= 3


@pytest.mark.parametrize("face", [30, 46, 60, 100, 150, 200, 300, 500, 800])
def test_a_face_of_any_size_that_stands_still_is_seen_whole_within_three_seconds(face: float) -> None:
    generator = np.random.default_rng(int(face))
    for _ in range(10):
        watch = Watch()
        left = generator.uniform(0, 1920 - face)
        top = generator.uniform(0, 1080 - 1.2 * face)
        still = Walker(left, top, face)
        assert any(seen_in(watch.look(), still) for _ in range(30))


def test_another_scene_is_swept_from_the_start() -> None:
    watch = Watch()
    watch.settle()
    assert len(watch.look().regions) <= 1
    assert max(region.side for region in watch.look(moving_in(HD, [], cut=True)).regions) == 1920
    assert sum(len(watch.look().regions) for _ in range(30)) > 28


def test_other_light_starts_the_sweep_again_but_light_that_flickers_does_not_each_time() -> None:
    watch = Watch()
    watch.settle()
    for _ in range(60):
        watch.look()
    first = [len(watch.look(moving_in(HD, [], relit=True)).regions) for _ in range(30)]
    assert first[0] > 1
    later = [len(watch.look(moving_in(HD, [], relit=True)).regions) for _ in range(10)]
    assert sum(later) <= 10


def test_a_frame_no_larger_than_a_region_is_looked_at_whole() -> None:
    watch = Watch((320, 240))
    for number in range(20):
        regions = watch.look(moving_in((320, 240), [(0, 40, 120, 240), (180, 20, 300, 240)])).regions
        assert len(regions) <= 2
        if not number:
            assert Region(0, 0, 320, 320) in regions


def test_frames_that_were_kept_are_looked_at_although_their_time_is_past() -> None:
    watch = Watch()
    watch.settle()
    walker = Walker(600, 200, 80)
    watch.look(moving_in(HD, walker.body), after_s=1.0)
    watch.now_s -= 1.0
    for number in range(9):
        walker = Walker(610 - 2 * number, 200, 80)
        assert seen_in(watch.look(moving_in(HD, walker.body)), walker)


def test_a_frame_of_another_size_is_another_scene() -> None:
    watch = Watch()
    watch.settle()
    watch.size = (640, 360)
    assert max(region.side for region in watch.look().regions) == 640


def test_a_region_that_cuts_the_face_of_a_track_brings_the_whole_face_along() -> None:
    watch = Watch()
    watch.settle()
    walker = Expected("a", (900, 400, 960, 470), 10, settled=True)
    cut = 0
    for _ in range(40):
        plan = watch.look(moving_in(HD, [(930, 440, 1100, 800)]), walker)
        reached = [region for region in plan.regions if region.left < 960 and region.top < 470]
        reached = [region for region in reached if region.left + region.side > 900 and region.top + region.side > 400]
        assert not reached or any(holds(region, walker.bbox_px) for region in reached)
        cut += bool(reached)
    assert cut > 10
