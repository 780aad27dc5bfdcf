from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from appliance.vision.looking.motion import Motion
from tests.luma_scenes import (
    HEIGHT,
    WIDTH,
    Canvas,
    Draw,
    Film,
    Look,
    Luma,
    Person,
    Picture,
    between,
    false_cells,
    fan,
    flag,
    fresh,
    looks,
    rain,
    room,
    seen,
    through_h264,
    tree,
)


@cache
def wall(seed: int = 1) -> Picture:
    return room(seed)


def relit_s(all_looks: list[Look]) -> list[float]:
    return [round(now_s, 1) for now_s, moving in all_looks if moving.relit]


def cut_s(all_looks: list[Look]) -> list[float]:
    return [round(now_s, 1) for now_s, moving in all_looks if moving.cut]


def test_a_cell_has_four_samples_each_way_and_the_cells_cover_the_frame() -> None:
    moving = Motion().look(np.zeros((135, 241), np.uint8), 8, 0)
    assert (moving.cell_px, moving.cells.shape) == (32, (34, 61))


def test_nothing_moves_at_the_first_look() -> None:
    person = Person(at_px=(400, 500))
    [(_, moving)] = looks(Film(wall(), [person.draw]), 0.1)
    assert not moving.cells.any()


def test_nothing_moves_in_a_still_room() -> None:
    assert false_cells(looks(Film(wall()), 20)) == [0] * 200


@pytest.mark.parametrize("noise", [2, 5, 8])
def test_somebody_far_away_of_little_contrast_is_seen_by_day_and_by_night(noise: float) -> None:
    person = Person(contrast=15, from_s=3)
    walk = looks(Film(wall(), [person.draw], noise=lambda _: noise), 13)
    assert seen(walk, person) > 0.95
    assert max(false_cells(walk, person)) == 0


def test_a_still_night_with_much_noise_has_no_motion() -> None:
    assert sum(false_cells(looks(Film(wall(), noise=lambda _: 12), 30))) <= 4


def test_noise_that_comes_with_the_dark_is_not_motion() -> None:
    film = Film(wall(), noise=lambda now_s: 2 if now_s < 5 else 8, light=lambda now_s: (1 if now_s < 5 else 0.3, 0))
    night = looks(film, 15)
    assert relit_s(night) == [5]
    assert max(false_cells(night)) == 0


def test_somebody_new_is_never_restless() -> None:
    person = Person(from_s=3)
    assert not any(moving.restless.any() for _, moving in looks(Film(wall(), [person.draw]), 13))


@pytest.mark.parametrize("every_s", [0.1, 1])
@pytest.mark.parametrize(
    ("gain", "offset"), [(0.4, 0), (0.2, 5), (1.6, -20), (1, 40)], ids=["darker", "dark", "brighter", "veiled"]
)
def test_a_light_that_is_switched_is_no_motion_and_people_are_seen_through_it(
    gain: float, offset: float, every_s: float
) -> None:
    person = Person(from_s=3, speed_px=(120, 0))
    switched = looks(
        Film(wall(), [person.draw], light=lambda now_s: (gain, offset) if 8 <= now_s < 13 else (1, 0)), 18, every_s
    )
    assert relit_s(switched) == [8, 13]
    assert cut_s(switched) == []
    # Who is in view while it happens becomes background there, and leaves a place that moves for a moment.
    assert max(false_cells(switched, person)) <= 25
    for calm in (between(switched, 0, 8), between(switched, 10.5, 13), between(switched, 15.5, 18)):
        assert max(false_cells(calm, person)) == 0
    assert seen([look for look in switched if not look[1].relit], person) > 0.95


def test_a_dark_room_that_is_lit_is_another_light_and_not_another_scene() -> None:
    lit = looks(Film(wall(), light=lambda now_s: (0.01, 4) if now_s < 5 else (1, 0)), 10)
    assert (relit_s(lit), cut_s(lit), max(false_cells(lit))) == ([5], [], 0)


def test_a_lamp_in_a_corner_is_over_in_two_seconds() -> None:
    rows, columns = np.mgrid[0:135, 0:240]
    glow = 1 + 0.8 * np.exp(-(((columns - 60) / 50) ** 2) - ((rows - 60) / 50) ** 2).astype(np.float32)

    def lamp(canvas: Canvas, now_s: float) -> None:
        if now_s >= 5:
            canvas.samples *= glow

    lit = looks(Film(wall(), [lamp]), 12)
    assert cut_s(lit) == []
    assert max(false_cells(between(lit, 7.5, 12))) == 0


@pytest.mark.parametrize("speed", [0.3, 1.5])
def test_auto_exposure_is_no_motion_and_people_are_seen_meanwhile(speed: float) -> None:
    person = Person(from_s=8)
    drifting = looks(Film(wall(), [person.draw], light=lambda now_s: (1 + 0.3 * math.sin(now_s * speed), 0)), 18)
    assert max(false_cells(drifting, person)) <= 4
    assert seen(drifting, person) > 0.95


def test_a_cut_is_told_once_and_the_next_scene_is_still() -> None:
    motion, films = Motion(), [Film(wall(seed)) for seed in range(1, 5)]
    shown = [(look / 10, motion.look(films[look // 40].luma(0), 8, look / 10)) for look in range(160)]
    assert cut_s(shown) == [4, 8, 12]
    assert relit_s(shown) == []
    assert max(false_cells(shown)) == 0


@pytest.mark.parametrize("every_s", [0.1, 1])
@pytest.mark.parametrize(
    "person",
    [
        Person((-1800, 50), (900, 0), (1700, 1030), level=60, from_s=5, stops_s=7),
        Person((200, 1080), (0, -1200), (1500, 1000), level=60, from_s=5, stops_s=5.9),
    ],
    ids=["comes from the side", "stands up"],
)
@pytest.mark.parametrize("flat", [False, True], ids=["room", "flat wall"])
def test_somebody_who_fills_the_frame_moves_and_is_no_cut(person: Person, every_s: float, flat: bool) -> None:
    picture = np.full((HEIGHT, WIDTH), 150, np.float32) if flat else wall()
    near = looks(Film(picture, [person.draw]), 20, every_s)
    assert (cut_s(near), relit_s(near)) == ([], [])
    assert max(int(fresh(moving).sum()) for _, moving in near) > 800


def test_a_shaken_camera_is_quiet_after_it_and_people_are_seen() -> None:
    person, random = Person(from_s=3, speed_px=(120, 0)), np.random.default_rng(4)

    def shake(now_s: float) -> tuple[int, int]:
        return (int(random.integers(-12, 13)), int(random.integers(-12, 13))) if 8 <= now_s < 11 else (0, 0)

    shaken = looks(Film(wall(), [person.draw], shake_px=shake), 18)
    assert (cut_s(shaken), relit_s(shaken)) == ([], [])
    assert max(false_cells(between(shaken, 0, 8), person)) == 0
    assert max(false_cells(between(shaken, 12, 18), person)) == 0
    assert seen(shaken, person) > 0.95


def test_a_camera_on_a_mast_that_always_sways_still_shows_people() -> None:
    person = Person(from_s=25)
    film = Film(wall(), [person.draw], shake_px=lambda s: (round(5 * math.sin(s * 9)), round(4 * math.sin(s * 7))))
    swaying = looks(film, 35)
    assert cut_s(swaying) == []
    assert float(np.mean(false_cells(between(swaying, 20, 35), person))) < 20
    assert seen(swaying, person) > 0.95


@pytest.mark.parametrize(
    ("restless", "cells_a_look", "marked"),
    [(flag, 0.2, True), (fan, 0.2, True), (rain, 1.5, False), (tree, 12, False)],
)
def test_what_never_rests_is_told_from_people_who_walk_through_it(
    restless: Draw, cells_a_look: float, marked: bool
) -> None:
    """A tree in gusts is the hardest: it is still for longer than it moves."""
    person = Person(at_px=(700, 220), speed_px=(150, 0), from_s=40)
    filmed = looks(Film(wall(), [restless, person.draw]), 46)
    later = between(filmed, 20, 46)
    assert float(np.mean(false_cells(later, person))) < cells_a_look
    assert any(moving.restless.any() for _, moving in later) or not marked
    assert seen(filmed, person) > 0.9


def test_somebody_dark_before_a_screen_that_flickers_stands_out_from_it() -> None:
    person = Person(at_px=(650, 500), speed_px=(120, 0), level=10, from_s=30, until_s=34)

    def screen(canvas: Canvas, now_s: float) -> None:
        level = 120 + 25 * math.sin(now_s * 8)
        canvas.paste(np.full((600, 900), level, np.float32), 500, 300)

    filmed = looks(Film(wall(), [screen, person.draw]), 34)
    before = between(filmed, 20, 30)
    assert float(np.mean(false_cells(before))) < 2
    assert max(int(moving.restless.sum()) for _, moving in before) > 20
    assert seen(filmed, person) > 0.5


def test_a_busy_door_does_not_make_the_box_blind_to_who_comes() -> None:
    random = np.random.default_rng(5)
    people = [
        Person(
            (900 + random.uniform(-60, 60), 300),
            (random.choice([-1, 1]) * random.uniform(60, 200), 60),
            (100, 280),
            contrast=random.choice([-40, -25, 25, 40]),
            from_s=2 + number * 1.5,
            until_s=7 + number * 1.5,
            seed=number,
        )
        for number in range(30)
    ]
    door = looks(Film(wall(), [person.draw for person in people]), 50)
    assert min(seen(door, person) for person in people) > 0.8
    assert max(false_cells(door, *people)) == 0


def test_who_stops_becomes_background_and_the_place_left_does_not_move_for_long() -> None:
    person = Person((0, 500), from_s=3, stops_s=7, goes_on_s=37)
    stay = looks(Film(wall(), [person.draw]), 42)
    place = slice(15, 23), slice(23, 27)  # cells, where he stood
    assert seen(between(stay, 3.5, 7), person) == 1
    assert not any(moving.cells[place].any() for _, moving in between(stay, 10, 37))
    assert any(moving.cells[place].any() for _, moving in between(stay, 37, 38))
    assert not any(moving.cells[place].any() for _, moving in between(stay, 40.5, 42))


def test_who_stands_but_stirs_moves_until_that_is_usual() -> None:
    person = Person((600, 500), (0, 0), from_s=3)

    def stirs(canvas: Canvas, now_s: float) -> None:
        Person((600 + round(20 * math.sin(now_s * 3)), 500), (0, 0), from_s=3).draw(canvas, now_s)

    stands = looks(Film(wall(), [stirs]), 10)
    assert seen(stands, person) > 0.9


@pytest.mark.parametrize("every_s", [0.05, 0.2, 1])
def test_how_long_something_takes_to_become_background_does_not_hang_on_how_often_it_is_looked_at(
    every_s: float,
) -> None:
    """A thing that somebody has put down is seen again when it is taken away, if it had become background."""
    for stays_s, absorbed in ((1, False), (30, True)):
        thing = Person((600, 500), (0, 0), contrast=50, from_s=3, until_s=3 + stays_s)
        taken = between(looks(Film(wall(), [thing.draw]), 6 + stays_s, every_s), 3 + stays_s, 6 + stays_s)
        assert any(moving.cells[16:21, 19:20].any() for _, moving in taken) == absorbed


def compressed(person: Person, noise: float, bits_per_s: int) -> list[tuple[float, Luma, bool]]:
    """Ten frames a second of 640x360, a key frame each second; nothing has been sampled yet."""
    film = Film(room(1, 640, 360), [person.draw], noise=lambda _: noise, step=1)
    decoded = through_h264((film.luma(look / 10) for look in range(160)), 10, bits_per_s, 10)
    return [(look / 10, luma[::3, ::3], key) for look, (luma, key) in enumerate(decoded)]


@pytest.mark.parametrize(("noise", "bits_per_s"), [(2, 60_000), (5, 150_000)], ids=["starved", "noisy"])
def test_compression_at_few_bits_is_no_motion_and_people_are_seen_through_it(noise: float, bits_per_s: int) -> None:
    person = Person((-30, 170), (63, 0), (24, 67), contrast=20, from_s=8)
    frames = compressed(person, noise, bits_per_s)
    for only_keys_until_s in (0, 6, 16):
        motion = Motion()
        watched = [
            (now_s, motion.look(luma, 3, now_s)) for now_s, luma, key in frames if key or now_s >= only_keys_until_s
        ]
        assert float(np.mean(false_cells(between(watched, 2, 16), person))) < 0.5
        assert seen(watched, person) > 0.9


def test_another_resolution_starts_again() -> None:
    motion = Motion()
    looks(Film(wall(), [Person().draw]), 3, motion=motion)
    small = motion.look(room(2, 640, 360)[::3, ::3].astype(np.uint8), 3, 3)
    assert (small.cell_px, small.cells.shape) == (12, (30, 54))
    assert not small.cut
    assert not small.cells.any()


def test_frames_that_are_replayed_out_of_order_are_looked_at() -> None:
    person, motion = Person(from_s=3), Motion()
    film = Film(wall(), [person.draw])
    times = [0, 1, 2, 3, 4, *(3 + frame / 10 for frame in range(1, 11))]
    replayed = [(now_s, motion.look(film.luma(now_s), 8, now_s)) for now_s in times]
    assert seen(replayed, person) > 0.8


LUMA = st.tuples(st.integers(1, 40), st.integers(1, 60)).flatmap(
    lambda shape: st.lists(
        st.one_of(
            arrays(np.uint8, shape),
            st.integers(0, 255).map(lambda level: np.full(shape, level, np.uint8)),
            st.integers(0, 99).map(lambda seed: np.random.default_rng(seed).integers(0, 256, shape, np.uint8)),
        ),
        min_size=1,
        max_size=8,
    )
)


@settings(deadline=None, max_examples=60)
@given(frames=LUMA, other=LUMA, steps_s=st.lists(st.floats(0, 1e6), min_size=16, max_size=16))
def test_whatever_comes_in_the_cells_cover_the_frame_and_restless_ones_move(
    frames: list[Luma], other: list[Luma], steps_s: list[float]
) -> None:
    motion, now_s = Motion(), 0.0
    for luma, step_s in zip(frames + other, steps_s, strict=False):
        now_s += step_s
        with np.errstate(all="raise", under="ignore"):
            moving = motion.look(luma, 8, now_s)
        rows, columns = moving.cells.shape
        assert moving.cell_px * rows >= luma.shape[0] * 8 > moving.cell_px * (rows - 1)
        assert moving.cell_px * columns >= luma.shape[1] * 8 > moving.cell_px * (columns - 1)
        assert moving.restless.shape == moving.cells.shape
        assert not (moving.restless & ~moving.cells).any()
        assert not (moving.cells.any() and moving.cut)
