"""Which faces are one person: walks at five frames a second, as a detector would report them."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from appliance.faces import CLASSES, Detection, State
from appliance.vision.tracking.tracker import FORGET_GAP_S, LOW_S, Tracker
from tests.walks import LOST_S, SCORE_THRESHOLD, STEP_S, UTC, Scene, Where, face


def test_a_person_counts_from_the_third_face_on() -> None:
    scene = Scene()
    assert [len(scene.show([face(100, 100)])) for _ in range(4)] == [0, 0, 1, 1]


def test_a_flicker_is_nobody() -> None:
    scene = Scene()
    for _ in range(20):
        scene.show([face(100, 100)])
        for _ in range(8):
            scene.show([])
    assert scene.seen == {}
    assert scene.ended == []


def test_someone_who_walks_by_faster_than_the_own_size_is_one_person() -> None:
    scene = Scene()
    scene.play(3, lambda t: (50 + 250 * t, 100))  # 50 px from frame to frame, the face is 40 px
    assert len(scene.seen) == 1
    assert scene.now_seen[0].hits == 15


@pytest.mark.parametrize("gaps_s", [(0.01, 0.01, 0.58), (0.05, 0.35), (0.02, 1.4, 0.02, 0.02)])
def test_pictures_that_arrive_in_bursts_do_not_tear_a_person_apart(gaps_s: tuple[float, ...]) -> None:
    scene = Scene()
    for frame, gap_s in zip(range(30), itertools.cycle(gaps_s), strict=False):
        scene.show([face(50 + 30 * frame, 100), face(950 - 30 * frame, 300)], after_s=gap_s)
    assert len(scene.seen) == 2


def test_a_burst_throws_nobody_out_of_the_picture() -> None:
    scene = Scene()
    for x, gap_s in zip((100, 103) * 5, itertools.cycle((0.4, 0.001)), strict=False):
        scene.show([face(x, 100)], after_s=gap_s)
    scene.play(1.6, lambda _: None)
    scene.play(1, lambda _: (103, 100))
    assert len(scene.seen) == 1


def test_who_enters_where_somebody_just_walked_out_is_somebody_else() -> None:
    scene = Scene()
    scene.play(4, lambda t: (330 - 80 * t, 100))
    scene.play(2.2, lambda _: None)
    scene.play(3, lambda t: (20 + 80 * t, 100))
    assert len(scene.seen) == 2


def test_two_people_who_cross_stay_two_and_keep_their_states() -> None:
    scene = Scene()
    for frame in range(25):
        t = frame * STEP_S
        scene.show([face(50 + 80 * t, 100, state=State.MASK), face(450 - 80 * t, 130, state=State.NO_MASK)])
    assert sorted(track.state.value for track in scene.seen.values()) == ["mask", "no_mask"]
    right = max(scene.now_seen, key=lambda track: track.bbox_px[0])
    assert right.state is State.MASK, "who began on the left ended on the right"
    assert {track.votes for track in scene.seen.values()} == {25}


def test_missed_faces_do_not_make_a_second_person() -> None:
    scene = Scene()
    seen = itertools.cycle([True, True, False, False, True])
    scene.play(10, lambda t: (50 + 60 * t, 100) if next(seen) else None)
    assert len(scene.seen) == 1


def test_someone_behind_a_pillar_for_less_than_lost_s_is_the_same() -> None:
    scene = Scene()
    scene.play(6, lambda t: None if 2 <= t < 4 else (50 + 110 * t, 100))  # the way does not fit into the reach
    assert len(scene.seen) == 1
    assert scene.ended == []


def test_two_people_behind_a_pillar_come_out_where_their_ways_lead() -> None:
    scene = Scene()
    scene.play(
        6,
        lambda t: None if 2 <= t < 4 else (50 + 110 * t, 100),
        lambda t: None if 2 <= t < 4 else (800 - 110 * t, 500),
    )
    assert len(scene.seen) == 2


def test_someone_who_comes_back_after_lost_s_counts_again() -> None:
    scene = Scene()
    scene.play(8, lambda t: None if 2 <= t < 2 + LOST_S + 0.5 else (100, 100))
    assert len(scene.seen) == 2
    assert [track.key for track in scene.ended] == [next(iter(scene.seen))]


def test_lost_tracks_end_on_time() -> None:
    scene = Scene()
    scene.play(2, lambda _: (100, 100))
    last_s = scene.now_s
    while not scene.ended:
        scene.show([])
        assert scene.now_s - last_s < LOST_S + 2 * STEP_S
    assert scene.now_s - last_s > LOST_S


def test_a_track_is_lost_after_lost_s_and_not_at_it() -> None:
    scene = Scene()
    for _ in range(4):
        scene.show([face(100, 100)], after_s=0.5)
    for _ in range(5):
        scene.show([], after_s=0.5)
    assert scene.ended == [], "missed for 2.5 s"
    scene.show([], after_s=0.5)
    assert len(scene.ended) == 1


def test_two_bboxes_on_one_face_are_one_person() -> None:
    scene = Scene()
    for frame in range(20):
        x = 100 + 8 * frame
        scene.show([face(x, 100), face(x + 8, 104, size=46, score=0.6)])
    assert len(scene.seen) == 1


def test_two_people_side_by_side_are_two() -> None:
    scene = Scene()
    for _ in range(10):
        scene.show([face(100, 100), face(145, 100)])
    assert len(scene.seen) == 2


def test_a_face_far_away_is_somebody_else() -> None:
    scene = Scene()
    scene.play(2, lambda _: (100, 100))
    scene.play(2, lambda _: (500, 100))
    assert len(scene.seen) == 2


@pytest.mark.parametrize("sizes", [(40, 120), (120, 40)])
def test_a_face_of_another_size_in_the_same_place_is_somebody_else(sizes: tuple[float, float]) -> None:
    scene = Scene()
    for size in sizes:
        scene.play(2, lambda _: (100, 100), size=size)
    assert len(scene.seen) == 2


def test_someone_who_steps_up_to_the_camera_is_the_same() -> None:
    scene = Scene()
    scene.play(1, lambda _: (100, 100), size=40)
    scene.play(1, lambda _: (150, 100), size=70)
    assert len(scene.seen) == 1


def test_the_size_of_a_face_is_that_of_its_area() -> None:
    scene = Scene()
    scene.play(1, lambda _: (100, 100), size=40)
    for _ in range(4):
        scene.show([replace(face(100, 100), bbox_px=(90, 60, 110, 140))])
    assert len(scene.seen) == 1


def test_faces_of_low_confidence_keep_a_track_but_begin_none() -> None:
    scene = Scene()
    for _ in range(10):
        scene.show([face(300, 300, score=0.3)])
    assert scene.tracker.tracks == []
    scene.play(1, lambda _: (100, 100))
    for _ in range(30):
        scene.show([face(100, 100, score=0.3)])
    assert len(scene.seen) == 1
    assert scene.ended == []


def test_faces_of_high_confidence_choose_before_those_of_low_confidence() -> None:
    scene = Scene()
    scene.play(1, lambda _: (100, 100))
    for _ in range(5):
        # The one of low confidence is nearer, but there is one of high confidence within reach.
        scene.show([face(103, 100, score=0.3, state=State.NO_MASK), face(112, 100, score=0.9)])
    assert len(scene.seen) == 1
    assert scene.now_seen[0].score == 0.9


def test_a_face_at_the_threshold_is_of_high_confidence_and_only_that() -> None:
    scene = Scene()
    for _ in range(4):
        scene.show([face(100, 100, score=SCORE_THRESHOLD), face(145, 100, score=SCORE_THRESHOLD)])
    for _ in range(16):
        scene.show([face(100, 100, score=SCORE_THRESHOLD)])
    assert [track.bbox_px for track in scene.now_seen] == [face(100, 100).bbox_px]
    assert len(scene.ended) == 1, "the face of the first is not taken for one of low confidence of the second"


def test_faces_of_low_confidence_bring_back_somebody_missed_for_a_moment() -> None:
    scene = Scene()
    for _ in range(4):
        scene.show([face(100, 100)], after_s=0.5)
    scene.show([], after_s=0.5)
    assert scene.show([face(100, 100, score=0.3)], after_s=0.5), "missed for 1 s"


def test_faces_of_low_confidence_do_not_bring_back_somebody_missed_for_long() -> None:
    scene = Scene()
    scene.play(1, lambda _: (100, 100))
    scene.play(LOW_S + STEP_S, lambda _: None)
    for _ in range(10):
        scene.show([face(100, 100, score=0.3)])
    assert len(scene.ended) == 1, "only a face of high confidence could have brought them back"


def test_of_two_faces_equally_near_the_one_of_the_same_size_is_the_person() -> None:
    scene = Scene()
    scene.play(1, lambda _: (100, 100))
    (person,) = scene.now_seen
    scene.show([face(88, 100, size=60), face(112, 100, size=40)])
    assert person.bbox_px == face(112, 100, size=40).bbox_px


def test_a_face_weighs_as_much_in_the_vote_as_its_score() -> None:
    scene = Scene()
    for state, score, count in ((State.NO_MASK, 0.5, 5), (State.MASK, 0.95, 4)):
        for _ in range(count):
            scene.show([face(100, 100, state=state, score=score)])
    (track,) = scene.seen.values()
    assert track.state is State.MASK, "four of .95 say more than five of .5"


def test_a_face_weighs_as_much_in_the_vote_as_its_size() -> None:
    scene = Scene()
    for number in range(9):  # in turn, so that nobody seems to have taken over
        state, size = (State.MASK, 50) if number % 2 else (State.NO_MASK, 30)
        scene.show([face(100, 100, state=state, size=size)])
    (track,) = scene.seen.values()
    assert (track.state, track.votes) == (State.MASK, 9)
    # 4 x 50 of .9 and 5 x 30 of .05 for the mask, in all 350
    assert track.confidence == pytest.approx((200 * 0.9 + 150 * 0.05) / 350)


def test_a_person_was_first_seen_with_the_first_face() -> None:
    scene = Scene()
    scene.play(1, lambda _: (100, 100))
    (track,) = scene.seen.values()
    assert track.first_seen_utc == pytest.approx(UTC + 100 + STEP_S)
    assert track.quality == pytest.approx(0.9 * 40 * 40)


def test_a_face_in_a_frame_of_the_same_moment_says_nothing_of_speed() -> None:
    scene = Scene()
    scene.show([face(100, 100)])
    scene.show([face(103, 100)], after_s=0.0)
    assert scene.tracker.tracks[0].course.speed == pytest.approx(0, abs=0.01)


def test_too_few_classified_faces_are_unknown() -> None:
    scene = Scene()
    for state in (State.UNKNOWN, State.MASK, State.UNKNOWN, State.MASK, State.UNKNOWN):
        scene.show([face(100, 100, state=state)])
    (track,) = scene.seen.values()
    assert (track.state, track.votes) == (State.UNKNOWN, 2)
    scene.show([face(100, 100, state=State.MASK)])
    assert track.state is State.MASK


def test_a_split_vote_is_unknown() -> None:
    scene = Scene()
    for state in CLASSES * 3:
        scene.show([face(100, 100, state=state, probability=0.5)])
    (track,) = scene.seen.values()
    assert track.state is State.UNKNOWN
    assert track.votes == 9


@pytest.mark.parametrize("gap_s", [2.0, 6.0, FORGET_GAP_S])
def test_a_lost_connection_does_not_make_people_older(gap_s: float) -> None:
    scene = Scene()
    scene.play(2, lambda _: (100, 100))
    scene.show([], after_s=gap_s)  # the first picture after it is a poor one
    scene.play(1, lambda _: (105, 100))
    assert len(scene.seen) == 1
    assert scene.ended == []


def test_after_a_long_gap_nobody_is_the_same() -> None:
    scene = Scene()
    scene.play(2, lambda _: (100, 100))
    scene.show([face(100, 100)], after_s=FORGET_GAP_S + 1)
    assert len(scene.ended) == 1
    scene.play(1, lambda _: (100, 100))
    assert len(scene.seen) == 2


def test_a_clock_that_stands_still_or_goes_back_does_no_harm() -> None:
    scene = Scene()
    for after_s in (0.2, 0.0, 0.0, -5.0, 0.2, 0.2):
        scene.show([face(100, 100)], after_s=after_s)
    assert len(scene.seen) == 1
    assert scene.show([], after_s=0.0) == [], "who is not in a frame is not seen in it"
    scene.show([], after_s=-5.0)
    scene.play(LOST_S + STEP_S, lambda _: None)
    assert len(scene.ended) == 1


def stored(x: float, y: float, state: State = State.MASK, votes: int = 8) -> Detection:
    """What was stored of a person before a restart."""
    return Detection(UTC + 90, UTC + 99, state, 0.8, votes, face(x, y).bbox_px, 640, 360, "test")


def test_a_resumed_person_is_not_counted_twice() -> None:
    scene = Scene()
    scene.tracker.resume(77, stored(100, 100))
    (track,) = scene.show([face(200, 100)])
    assert track.key == "stored-77", "the person went on while nobody was watching"
    assert (track.detection_id, track.first_seen_utc) == (77, UTC + 90)
    assert (track.detection, track.votes, track.image_quality) == (stored(100, 100), 9, 40 * 40)
    scene.play(2, lambda _: (200, 100))
    assert len(scene.seen) == 1


def test_a_resumed_person_has_the_votes_of_before() -> None:
    tracker = Tracker(SCORE_THRESHOLD, LOST_S)
    tracker.resume(77, stored(100, 100, state=State.NO_MASK))
    (track,) = tracker.tracks
    assert track.weights == pytest.approx([8 * 40 * 0.1, 8 * 40 * 0.8, 8 * 40 * 0.1])
    assert track.state is State.NO_MASK
    assert track.confidence == pytest.approx(0.8)


def test_a_resumed_person_of_unknown_state_is_voted_on_afresh() -> None:
    scene = Scene()
    scene.tracker.resume(77, stored(100, 100, state=State.UNKNOWN, votes=2))
    (track,) = scene.show([face(100, 100, state=State.MASK)])
    assert (track.state, track.votes) == (State.MASK, 3)
    assert track.confidence == pytest.approx(0.9)


def test_a_resumed_person_is_waited_for_as_long_as_any_other() -> None:
    scene = Scene()
    scene.tracker.resume(77, stored(100, 100))
    for _ in range(6):
        scene.show([])
    assert [track.key for track in scene.show([face(100, 100)])] == ["stored-77"]


def test_a_resumed_person_who_is_not_there_any_more_is_not_seen_and_ends() -> None:
    scene = Scene()
    scene.tracker.resume(77, stored(100, 100))
    assert scene.show([]) == []
    for _ in range(round(LOST_S / STEP_S) + 1):
        assert scene.show([]) == []
    assert len(scene.ended) == 1


def test_a_resumed_person_is_looked_for_even_when_lost_s_is_short() -> None:
    scene = Scene(lost_s=0.3)
    scene.tracker.resume(77, stored(100, 100))
    assert [track.key for track in scene.show([face(100, 100)])] == ["stored-77"]


def test_resumed_and_new_people_keep_their_keys_apart() -> None:
    scene = Scene()
    scene.tracker.resume(1, stored(100, 100))
    scene.tracker.resume(2, stored(300, 100))
    for _ in range(4):
        scene.show([face(100, 100), face(300, 100), face(500, 300)])
    assert len(scene.seen) == 3


def test_end_all_tells_of_confirmed_people_only() -> None:
    scene = Scene()
    scene.play(2, lambda _: (100, 100))
    scene.show([face(100, 100), face(400, 400)])
    assert [track.key for track in scene.tracker.end_all()] == list(scene.seen)
    assert scene.tracker.tracks == []


def test_a_crowd_is_counted_one_by_one() -> None:
    scene = Scene()
    walkers: list[Where] = [
        (lambda t, row=row, column=column: (60 + 110 * column + 30 * t, 60 + 110 * row))  # type: ignore[misc]
        for row in range(4)
        for column in range(6)
    ]
    scene.play(5, *walkers)
    assert len(scene.seen) == 24
    assert all(track.hits == 25 for track in scene.now_seen)
