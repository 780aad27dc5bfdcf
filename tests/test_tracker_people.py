"""Who is who: by colours, size, state and direction; at the edge, behind others, and where nobody looked."""

from __future__ import annotations

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from appliance.faces import Face, State
from appliance.vision.looking.region import Region
from appliance.vision.tracking.track import STILL_S, Seen
from appliance.vision.tracking.tracker import EXIT_S, STILL_LOST_S, UNSEEN_LIMIT_S
from tests.walks import LOST_S, STEP_S, UTC, Scene, dressed, face

FRAME = (1280, 720)
RED, BLUE = 3, 20


def small(x: float, y: float) -> Face:
    """A face with too few pixels to judge."""
    bbox = (x - 7, y - 7, x + 7, y + 7)
    return Face(bbox, 0.9, (0.4, 0.3, 0.3), State.UNKNOWN, too_small=True)


# --- in and out


def test_who_comes_in_as_another_leaves_is_somebody_else() -> None:
    scene = Scene(size=FRAME)
    scene.play(1.4, lambda t: (1010 + 200 * t, 300))
    scene.play(EXIT_S / 2, lambda _: None)
    scene.play(2, lambda t: (1270 - 200 * t, 300))
    assert len(scene.seen) == 2


def test_who_left_the_frame_has_left_soon() -> None:
    scene = Scene(size=FRAME)
    scene.play(1.4, lambda t: (1010 + 200 * t, 300))
    scene.play(EXIT_S + 2 * STEP_S, lambda _: None)
    assert len(scene.ended) == 1


def test_who_vanishes_in_the_middle_is_waited_for() -> None:
    scene = Scene(size=FRAME)
    scene.play(2, lambda t: (300 + 100 * t, 300))
    scene.play(LOST_S - STEP_S, lambda _: None)
    assert scene.ended == []


def test_who_stands_at_the_edge_has_not_left() -> None:
    scene = Scene(size=FRAME)
    scene.play(2, lambda _: (1262, 300))
    scene.play(LOST_S - STEP_S, lambda _: None)
    assert scene.ended == []


def test_who_walked_to_the_right_does_not_come_back_from_the_left() -> None:
    scene = Scene(size=FRAME)
    scene.play(2, lambda t: (300 + 100 * t, 300))
    scene.play(1.2, lambda _: None)
    scene.play(1, lambda t: (400 - 100 * t, 300))
    assert len(scene.seen) == 2


@pytest.mark.parametrize(("x", "way"), [(20, 1), (640, 0), (1260, -1)])
def test_who_is_first_seen_at_a_side_is_expected_further_in(x: float, way: int) -> None:
    scene = Scene(size=FRAME)
    scene.show([face(x, 300)])
    (expected,) = scene.tracker.expected(scene.now_s + 0.1)
    moved = (expected.bbox_px[0] + expected.bbox_px[2]) / 2 - x
    assert moved == pytest.approx(way * 16)


# --- what they wear


def test_who_comes_out_from_behind_a_pillar_in_other_clothes_is_somebody_else() -> None:
    scene = Scene(size=FRAME)
    for colour, begin in ((RED, 0.0), (BLUE, 3.0)):
        for step in range(8):
            scene.show([dressed(face(300 + 60 * (begin + step * STEP_S), 300), colour)])
        for _ in range(7):
            scene.show([])
    assert len(scene.seen) == 2


def test_clothes_tell_who_is_who_when_two_come_out_together() -> None:
    scene = Scene(size=FRAME)
    for t in np.arange(0, 2, STEP_S):
        scene.show([dressed(face(300 + 100 * t, 300), RED), dressed(face(420 + 100 * t, 300), BLUE)])
    red = min(scene.now_seen, key=lambda track: track.bbox_px[0])
    scene.play(1.4, lambda _: None)
    # They changed places behind the pillar.
    for t in np.arange(3.4, 5, STEP_S):
        scene.show([dressed(face(300 + 100 * t, 300), BLUE), dressed(face(420 + 100 * t, 300), RED)])
    assert len(scene.seen) == 2
    assert red is max(scene.now_seen, key=lambda track: track.bbox_px[0])


def test_clothes_that_somebody_nearer_hides_say_nothing() -> None:
    scene = Scene(size=FRAME)
    for step in range(30):
        walker = dressed(face(100 + 30 * step, 330, size=70), BLUE)
        near = abs(100 + 30 * step - 500) < 120
        stands = dressed(face(500, 280, size=50), BLUE if near else RED)
        hidden = abs(100 + 30 * step - 500) < 50
        scene.show([walker] if hidden else [walker, stands])
    assert len(scene.seen) == 2


def test_a_passer_before_a_larger_picture_is_one_and_so_is_the_picture() -> None:
    """As seen in a clip: the larger face is not always the nearer, and below the picture are the passer's clothes."""
    scene = Scene(size=FRAME)
    for step in range(6):
        scene.show([dressed(face(463 + 45.6 * step, 248, size=66, state=State.INCORRECT), BLUE)], after_s=0.1)
    seen = (
        (737, 248, 70, 919, 205, 97, RED), (783, 245, 70, 917, 207, 96, RED), (826, 250, 66, 919, 205, 95, BLUE),
        (870, 251, 65, 920, 205, 92, BLUE), (916, 246, 64, 918, 227, 94, BLUE), (960, 245, 64, 917, 202, 95, BLUE),
        (1005, 244, 66, 918, 206, 100, BLUE), (1051, 248, 65, 917, 206, 96, RED), (1095, 252, 67, 917, 205, 99, RED),
        (1140, 251, 68, 917, 207, 99, RED), (1186, 249, 66, 918, 205, 98, RED), (1231, 247, 67, 919, 204, 93, RED),
    )  # fmt: skip
    for x, y, size, picture_x, picture_y, picture_size, below in seen:
        passer = dressed(face(x, y, size, State.INCORRECT), BLUE)
        shown = State.INCORRECT if x == 916 else State.MASK  # something of both
        scene.show([passer, dressed(face(picture_x, picture_y, picture_size, shown), below)], after_s=0.1)
    scene.play(1, lambda _: (918, 206), size=97)
    assert len(scene.seen) == 2


def test_two_who_meet_and_stop_between_looks_keep_their_tracks() -> None:
    """As seen in a clip: both were expected to go on, each where the other stands, and nobody else is there."""
    scene = Scene(size=FRAME)
    for left, right in ((16, 1267), (68, 1216), (117, 1166), (168, 1115), (219, 1063)):
        scene.show([dressed(face(left, 314, 84), RED), dressed(face(right, 319, 84), BLUE)], after_s=0.1)
    scene.show([dressed(face(422, 311, 84), RED), dressed(face(861, 323, 86), BLUE)], after_s=0.4)
    first, second = scene.now_seen
    for _ in range(5):
        scene.show([dressed(face(720, 322, 86), BLUE), dressed(face(554, 312, 84), RED)], after_s=0.4)
    assert len(scene.seen) == 2
    assert first.bbox_px[0] < second.bbox_px[0]


# --- somebody takes over


def test_a_track_whose_colours_change_for_good_is_two() -> None:
    scene = Scene(size=FRAME)
    for step in range(20):
        colour, state = (RED, State.MASK) if step < 10 else (BLUE, State.NO_MASK)
        scene.show([dressed(face(300, 300, state=state), colour)])
    assert sorted((track.state.value, track.votes) for track in scene.seen.values()) == [("mask", 10), ("no_mask", 10)]
    first, second = sorted(scene.seen.values(), key=lambda track: track.first_seen_utc)
    assert second.first_seen_utc == pytest.approx(first.first_seen_utc + 10 * STEP_S)


def test_a_track_whose_state_and_size_change_for_good_is_two() -> None:
    scene = Scene(size=FRAME)
    for step in range(20):
        scene.show([face(300, 300, size=40) if step < 10 else face(310, 300, size=62, state=State.NO_MASK)])
    assert sorted((track.state.value, track.votes) for track in scene.seen.values()) == [("mask", 10), ("no_mask", 10)]


def test_a_walk_that_turns_back_at_once_is_two() -> None:
    scene = Scene(size=FRAME)
    for step in range(20):
        x = 300 + 25 * step if step < 10 else 525 - 25 * (step - 9)
        scene.show([face(x, 300)], after_s=0.1)
    assert len(scene.seen) == 2


def test_who_pulls_the_mask_down_is_one() -> None:
    scene = Scene(size=FRAME)
    for step in range(30):
        state = State.MASK if step < 20 else State.NO_MASK
        scene.show([dressed(face(300 + 5 * step, 300, state=state), RED)])
    (track,) = scene.seen.values()
    assert (track.state, track.votes) == (State.MASK, 30)


def test_odd_colours_for_a_moment_are_still_one_person() -> None:
    scene = Scene(size=FRAME)
    for step in range(30):
        scene.show([dressed(face(300 + 5 * step, 300), BLUE if 10 <= step < 13 else RED)])
    assert len(scene.seen) == 1


def test_no_image_is_taken_of_a_face_that_may_be_somebody_elses() -> None:
    scene = Scene(size=FRAME)
    for _ in range(10):
        scene.show([dressed(face(300, 300), RED)])
    (track,) = scene.now_seen
    assert track.quality > 0
    assert track.settled
    scene.show([dressed(face(300, 300), BLUE)])
    assert track.quality == 0
    assert not track.settled, "it is looked at more often until that is clear"


def test_two_who_seem_to_change_places_are_two_and_keep_their_states() -> None:
    scene = Scene(size=FRAME)
    for step in range(30):
        first, second = (RED, BLUE) if step < 15 else (BLUE, RED)
        states = (State.MASK, State.NO_MASK) if step < 15 else (State.NO_MASK, State.MASK)
        scene.show([dressed(face(300, 300, state=states[0]), first), dressed(face(420, 300, state=states[1]), second)])
    assert len(scene.seen) == 2
    assert {track.votes for track in scene.seen.values()} == {30}
    assert all(track.confidence == pytest.approx(0.9) for track in scene.seen.values())


# --- who stands still


def test_a_still_face_that_somebody_covers_for_long_is_one() -> None:
    scene = Scene(size=FRAME)
    scene.play(STILL_S + 1, lambda _: (300, 300))
    scene.play(STILL_LOST_S - 1, lambda _: None)
    scene.play(2, lambda _: (302, 300))
    assert len(scene.seen) == 1


def test_a_still_face_is_taken_up_again_only_at_its_place() -> None:
    scene = Scene(size=FRAME)
    scene.play(STILL_S + 1, lambda _: (300, 300))
    scene.play(LOST_S + 1, lambda _: None)
    scene.play(2, lambda _: (340, 300))
    assert len(scene.seen) == 2


@pytest.mark.parametrize("speed", [5, 8, -8])
def test_who_stood_still_and_was_next_looked_at_on_the_way_is_one(speed: float) -> None:
    """In a crowd nobody notices it at once. Speed: face sizes a second; the look after .6 s."""
    scene = Scene(size=FRAME)
    scene.play(STILL_S + 1, lambda _: (600, 300))
    scene.show([], after_s=0.4)
    for after_s in (0.6, 0.7, 0.8, 0.9):
        scene.show([face(600 + 40 * speed * after_s, 300)], after_s=0.2 if after_s == 0.6 else 0.1)
    assert len(scene.seen) == 1


def test_who_passes_a_still_face_that_is_hidden_for_a_moment_is_somebody_else() -> None:
    scene = Scene(size=FRAME)
    for _ in range(round((STILL_S + 1) / STEP_S)):
        scene.show([dressed(face(600, 300), RED)])
    for after_s in np.arange(0, 2.4, STEP_S):
        x = 480 + 200 * after_s
        hidden = abs(x - 600) < 60
        passer = dressed(face(x, 310, size=46, state=State.NO_MASK), BLUE)
        scene.show([passer] if hidden else [passer, dressed(face(600, 300), RED)])
    assert len(scene.seen) == 2
    assert sorted(track.state.value for track in scene.seen.values()) == ["mask", "no_mask"]


def test_a_still_face_of_another_size_is_somebody_else() -> None:
    scene = Scene(size=FRAME)
    scene.play(STILL_S + 1, lambda _: (300, 300))
    scene.play(LOST_S + 1, lambda _: None)
    scene.play(2, lambda _: (300, 300), size=58)
    assert len(scene.seen) == 2


# --- where the detector looked


def test_who_was_not_looked_at_was_not_missed() -> None:
    scene = Scene()
    scene.play(1, lambda _: (300, 300))
    elsewhere = [Region(800, 200, 320, 320)]
    for _ in range(round((LOST_S + 1) / STEP_S)):
        scene.show([], regions=elsewhere)
    assert scene.ended == []
    scene.show([], regions=[Region(200, 200, 320, 320)])
    assert len(scene.ended) == 1


def test_nobody_lives_on_unseen() -> None:
    scene = Scene()
    scene.play(1, lambda _: (300, 300))
    for _ in range(round((LOST_S + UNSEEN_LIMIT_S) / STEP_S) + 1):
        scene.show([], regions=[])
    assert len(scene.ended) == 1


def test_a_track_is_expected_where_it_goes() -> None:
    scene = Scene(size=FRAME)
    scene.play(2, lambda t: (300 + 100 * t, 300))
    (expected,) = scene.tracker.expected(scene.now_s + 0.4)
    assert (expected.bbox_px[0] + expected.bbox_px[2]) / 2 == pytest.approx(300 + 100 * 2.2, abs=4)
    assert expected.key == scene.now_seen[0].key
    assert expected.settled
    assert not expected.still
    (later,) = scene.tracker.expected(scene.now_s + 1.4)
    assert later.spread_px > expected.spread_px


def test_who_has_left_the_frame_is_expected_nowhere() -> None:
    scene = Scene(size=FRAME)
    scene.play(1.4, lambda t: (1010 + 200 * t, 300))
    assert scene.tracker.expected(scene.now_s + 1) == []


def test_a_still_track_is_expected_where_it_is() -> None:
    scene = Scene(size=FRAME)
    scene.play(STILL_S + 1, lambda _: (300, 300))
    (expected,) = scene.tracker.expected(scene.now_s + 1)
    assert expected.still
    assert expected.bbox_px == face(300, 300).bbox_px


def test_faces_too_small_to_judge_are_the_reason_of_an_unknown_state() -> None:
    scene = Scene()
    for _ in range(5):
        scene.show([small(300, 300)])
    (track,) = scene.now_seen
    assert track.too_small
    assert not track.settled
    for _ in range(3):
        scene.show([face(300, 300, size=18)])
    assert not track.too_small, "its state is known by now"


# --- properties

People = list[tuple[float, float, float, float]]
LANES = st.lists(
    st.tuples(st.floats(100, 900), st.floats(-40, 40), st.floats(30, 60), st.sampled_from([0.3, 0.6, 0.9])),
    min_size=1,
    max_size=6,
)
"""Of each person the first x, px a second, the size of the face, and the score."""


def walked(people: People, frame: int) -> list[Seen]:
    """Their faces in a frame, each in a lane of its own."""
    return [
        dressed(face(x + speed * frame * STEP_S, 80 + 110 * lane, size=size, score=score), lane)
        for lane, (x, speed, size, score) in enumerate(people)
    ]


@hypothesis.given(LANES, st.randoms(use_true_random=False))
@hypothesis.settings(deadline=None, max_examples=60)
def test_identities_survive_any_order_of_faces(people: People, random: np.random.RandomState) -> None:
    scene, shuffled = Scene(), Scene()
    for frame in range(10):
        seen = walked(people, frame)
        scene.show(seen)
        random.shuffle(seen)  # type: ignore[arg-type]
        shuffled.show(seen)
    known = {track.bbox_px: (track.hits, track.votes) for track in scene.now_seen}
    assert {track.bbox_px: (track.hits, track.votes) for track in shuffled.now_seen} == known
    assert len(known) == sum(score >= 0.5 for *_, score in people)
    assert len(scene.seen) == len(shuffled.seen) == len(known)


@st.composite
def anything(draw: st.DrawFn) -> list[list[Seen]]:
    """Frames of faces anywhere, of any size, state and colour, also on top of each other."""
    one = st.builds(
        lambda x, y, size, state, score, colour: dressed(face(x, y, size, state, score), colour),
        st.integers(0, 300),
        st.integers(0, 200),
        st.integers(1, 150),
        st.sampled_from(State),
        st.floats(0.25, 1),
        st.integers(0, 31),
    )
    return draw(st.lists(st.lists(one, max_size=6), max_size=20))


@hypothesis.given(anything(), st.lists(st.sampled_from([0.0, 0.03, 0.1, 0.4, 3.0, 20.0]), min_size=20, max_size=20))
@hypothesis.settings(deadline=None, max_examples=60)
def test_no_face_is_in_two_tracks(frames: list[list[Seen]], gaps_s: list[float]) -> None:
    scene = Scene(size=(320, 240))
    for seen, gap_s in zip(frames, gaps_s, strict=False):
        scene.show(seen, after_s=gap_s)
        hits = [id(hit.face) for track in scene.tracker.tracks for hit in track.recent]
        assert len(hits) == len(set(hits))
        tracks = scene.tracker.tracks
        assert len({track.key for track in tracks}) == len(tracks)
        assert all(track.hits >= track.votes >= 0 for track in tracks)
        assert all(np.isfinite(one.bbox_px).all() for one in scene.tracker.expected(scene.now_s + 1))
    every = [*scene.ended, *scene.tracker.end_all()]
    assert len({track.key for track in every}) == len(every), "nobody ends twice"
    assert all(track.first_seen_utc >= UTC for track in every)
