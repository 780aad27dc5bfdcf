"""Faces that say less than others: cut, doubled, on somebody's clothes; and people behind something."""

from __future__ import annotations

import pytest

from appliance.faces import Face, State
from appliance.vision.looking.region import Region
from appliance.vision.tracking.track import STILL_S
from tests.walks import STEP_S, Scene, dressed, face

FRAME = (1280, 720)
RED, BLUE = 3, 20
WHOLE = [Region(0, 0, 1280, 320)]


def oblong(x: float, y: float, width: float, height: float, score: float = 0.9) -> Face:
    """A face of another shape than a square."""
    bbox = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return Face(bbox, score, (0.9, 0.05, 0.05), State.MASK)


def bowed(looks: int) -> Scene:
    """Somebody bows the head: of the hair a second face is made, just above the one there is, as seen in a clip."""
    scene = Scene(size=(538, 372))
    for x, y, height in ((485, 100, 51), (488, 97, 55), (487, 97, 60), (487, 105, 60)):
        scene.show([oblong(x, y, 44, height, score=0.9)], after_s=0.1)
    hair = ((485, 84, 0.51), (488, 83, 0.66), (499, 89, 0.56), (505, 88, 0.62))
    for number in range(looks):
        x, y, score = hair[number % len(hair)]
        scene.show([oblong(x, y, 41, 49, score), oblong(x + 3, y + 36, 42, 49, score=0.5)], after_s=0.1)
    return scene


# --- behind a pillar


@pytest.mark.parametrize("waits_s", [0.6, 1.2, 1.8])
def test_who_waits_behind_a_pillar_is_one(waits_s: float) -> None:
    scene = Scene(size=FRAME)
    scene.play(1.2, lambda t: (400 + 250 * t, 300))
    scene.play(0.4 + waits_s, lambda _: None)
    scene.play(1, lambda t: (780 + 250 * t, 300))
    assert len(scene.seen) == 1


def test_who_waits_behind_a_pillar_beyond_which_the_frame_ends_is_one() -> None:
    scene = Scene(size=FRAME)
    scene.play(1.2, lambda t: (700 + 250 * t, 300))
    scene.play(2.0, lambda _: None)
    assert scene.ended == [], "who would have left by now was missed before that"
    scene.play(0.8, lambda t: (1060 + 250 * t, 300))
    assert len(scene.seen) == 1


def test_who_comes_out_from_behind_a_pillar_with_half_a_face_is_one() -> None:
    scene = Scene(size=FRAME)
    scene.play(1.2, lambda t: (400 + 250 * t, 300))
    scene.play(1.4, lambda _: None)
    for number in range(2):
        half = oblong(742 + 25 * number, 300, 16 + 8 * number, 36)
        scene.show([Face(half.bbox_px, 0.7, (0.1, 0.05, 0.85), State.INCORRECT)])
    scene.play(1, lambda t: (810 + 250 * t, 300))
    assert len(scene.seen) == 1


# --- faces of which a part is seen


def test_who_comes_in_is_as_large_as_what_the_frame_shows_of_them() -> None:
    """As seen in a clip: more and more of the face, ten times a second."""
    scene = Scene(size=(640, 360))
    for left, top, right, bottom in (
        (613, 221, 640, 270), (600, 220, 640, 301), (589, 215, 640, 304), (571, 211, 640, 304), (560, 214, 633, 297),
        (549, 212, 621, 299), (530, 211, 609, 303),
    ):  # fmt: skip
        scene.show([Face((left, top, right, bottom), 0.95, (0.05, 0.05, 0.9), State.INCORRECT)], after_s=0.1)
    assert len(scene.seen) == 1


def test_a_part_of_a_face_at_a_seam_moves_nobody() -> None:
    scene = Scene(size=FRAME)
    for _ in range(8):
        scene.show([face(300, 200)], regions=WHOLE)
    # A region for somebody else ends in the middle of the face; then the face is looked at again.
    scene.show([oblong(313, 200, 14, 40)], regions=[Region(306, 40, 320, 320)])
    assert scene.tracker.tracks[0].bbox_px == face(300, 200).bbox_px
    assert scene.tracker.tracks[0].missed_s == 0
    for _ in range(5):
        scene.show([face(300, 200)], regions=WHOLE)
    assert len(scene.seen) == 1


def test_a_face_that_the_edge_of_a_pillar_cuts_is_no_smaller() -> None:
    scene = Scene(size=FRAME)
    scene.play(1.2, lambda t: (400 + 250 * t, 300), size=60)
    scene.show([oblong(690, 300, 24, 56)])
    scene.play(0.6, lambda _: None)
    scene.play(1, lambda t: (850 + 250 * t, 300), size=64)
    assert len(scene.seen) == 1


# --- two bboxes on one face


def test_a_second_bbox_on_a_face_is_nobody() -> None:
    scene = Scene(size=FRAME)
    for _ in range(8):
        scene.show([face(300, 300, size=60), face(322, 308, size=66)])
    assert len(scene.seen) == 1


def test_a_second_bbox_on_a_face_brings_nobody_back() -> None:
    scene = Scene(size=FRAME)
    for _ in range(8):
        scene.show([face(300, 300, size=60), face(400, 300, size=60)])
    scene.play(0.6, lambda _: (300, 300), size=60)
    gone = next(track for track in scene.tracker.tracks if not track.in_frame)
    scene.show([face(300, 300, size=60), face(320, 300, size=66)])
    assert not gone.in_frame


def test_a_weak_face_below_the_own_one_takes_nobody_along() -> None:
    scene = Scene(size=FRAME)
    scene.play(1.2, lambda t: (300 + 200 * t, 300), size=80)
    scene.show([oblong(540, 385, 70, 55, score=0.4)])
    assert not scene.now_seen


# --- faces that are none


def test_weak_faces_that_come_and_go_are_nobody() -> None:
    scene = Scene(size=FRAME)
    for step in range(12):
        weak = [face(300 + 9 * (step % 2), 300, size=150 + 40 * (step % 3), state=State.UNKNOWN, score=0.52)]
        scene.show(weak if step % 3 == 0 else [], after_s=0.15)
    assert scene.seen == {}


def test_larger_faces_on_the_body_of_somebody_must_stay() -> None:
    scene = Scene(size=FRAME)
    for step in range(12):
        shirt = [face(300 + 10 * step, 420, size=120, score=0.9)] if step % 2 else []
        scene.show([face(300 + 10 * step, 200, size=50), *shirt])
    assert len(scene.seen) == 1
    for step in range(12, 24):
        scene.show([face(300 + 10 * step, 200, size=50), face(300 + 10 * step, 420, size=120)])
    assert len(scene.seen) == 2, "somebody who stands nearer is seen in each look"


def test_somebody_seen_well_counts_from_the_third_look_on_though_another_walks_above() -> None:
    scene = Scene(size=FRAME)
    for step in range(3):
        scene.show([face(300 + 30 * step, 200, size=50), face(700 - 30 * step, 420, size=60)], after_s=0.1)
    assert len(scene.seen) == 2


def test_the_hair_of_a_bowed_head_is_nobody() -> None:
    scene = bowed(4)
    assert len(scene.seen) == 1
    scene.play(1.2, lambda _: None)
    assert len(scene.seen) == 1


def test_who_stays_behind_somebody_and_looks_over_their_head_is_counted() -> None:
    assert len(bowed(16).seen) == 2


# --- who stands still, and somebody passes before them


def test_a_still_face_is_the_same_with_the_clothes_of_a_passer_below() -> None:
    scene = Scene(size=FRAME)
    for _ in range(round(STILL_S / STEP_S) + 3):
        scene.show([dressed(face(600, 300), RED)])
    scene.play(0.8, lambda _: None)
    for _ in range(3):
        scene.show([dressed(face(602, 300), BLUE)])
    for _ in range(5):
        scene.show([dressed(face(600, 300), RED)])
    assert len(scene.seen) == 1


def test_who_stands_where_they_stood_is_one_though_a_neighbour_hides_the_clothes() -> None:
    scene = Scene(size=FRAME)
    for step in range(30):
        scene.show([dressed(face(600, 300), RED if step < 20 else BLUE)])
    assert len(scene.seen) == 1
