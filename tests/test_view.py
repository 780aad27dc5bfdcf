"""The view of a camera: what is said of drawn rooms, and of a real clip, with known changes; and what is never said."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from appliance.faces import PictureFault
from appliance.vision.looking import structure
from appliance.vision.looking.view import LEARN_S, Faulty, View
from tests.luma_scenes import room, texture

Picture = NDArray[np.float32]
Change = Callable[[Picture, float], Picture]
WIDTH, HEIGHT = 480, 270
BEGAN_UTC = 1_795_521_600.0
EVERY_S = 10.0


@cache
def office(seed: int = 5) -> Picture:
    """A room as the camera shows it, edges as sharp as a lens draws them."""
    return np.asarray(cv2.GaussianBlur(room(seed, WIDTH, HEIGHT), (0, 0), 0.5), np.float32)


def filmed(picture: Picture, now_s: float, noise: float = 2.0) -> NDArray[np.uint8]:
    return np.asarray(np.clip(picture + noise * grain(picture.shape, round(now_s) % 8), 0, 255), np.uint8)


@cache
def grain(shape: tuple[int, int], seed: int) -> Picture:
    return np.asarray(np.random.default_rng(seed).normal(0, 1, shape), np.float32)


def fault_of(view: View) -> PictureFault | None:
    return view.faulty.fault if view.faulty else None


def watch(view: View, show: Callable[[float], NDArray[np.uint8]], from_s: float, until_s: float) -> list[str]:
    """What the view said, one after the other, with seconds since it began: `142 moved`."""
    said: list[str] = []
    before = fault_of(view)
    now_s = from_s
    while now_s < until_s:
        picture = show(now_s)
        height, width = picture.shape
        step = max(1, round(max(width, height) / 240))
        view.look(picture[::step, ::step], picture[::step].view, (width, height), now_s, BEGAN_UTC + now_s)
        fault = fault_of(view)
        if fault is not before:
            said.append(f"{now_s - from_s:.0f} {fault.value if fault else 'well'}")
        before = fault
        now_s += EVERY_S
    return said


@cache
def learned_office() -> bytes:
    view = View()
    assert watch(view, lambda now_s: filmed(office(), now_s), 0, LEARN_S + 20) == []
    assert view.learned is not None
    return view.learned


def shown(change: Change) -> Callable[[float], NDArray[np.uint8]]:
    return lambda now_s: filmed(change(office(), now_s), now_s)


@cache
def dressed(seed: int) -> Picture:
    return np.asarray(texture(HEIGHT * 3 // 4, WIDTH // 9, seed, 30) + 90, np.float32)


def crowd(picture: Picture, now_s: float) -> Picture:
    """People in textured clothes, shoulder to shoulder, before all but the upper quarter; each comes and goes."""
    full = picture.copy()
    for place in range(9):
        clothes = dressed(int(now_s // 40) * 9 % 63 + place)
        full[HEIGHT - clothes.shape[0] :, place * (WIDTH // 9) : (place + 1) * (WIDTH // 9)] = clothes
    return np.asarray(full, np.float32)


def lamp(picture: Picture) -> Picture:
    """The same where one lamp at the left is all the light."""
    columns = np.linspace(0, 1, picture.shape[1], dtype=np.float32)
    return np.asarray(picture * (0.25 + 0.75 * np.exp(-4 * columns)) + 8, np.float32)


def hand(picture: Picture, _: float) -> Picture:
    """Skin before the lens, far out of focus."""
    rows, columns = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]].astype(np.float32)
    return np.asarray(70 + 40 * columns / picture.shape[1] + 15 * np.sin(rows / 150), np.float32)


def blurred(picture: Picture, sigma_px: float) -> Picture:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma_px), np.float32)


def moved(picture: Picture, right: float, down: float = 0) -> Picture:
    """By so much of its width and height; what comes in is another part of the room."""
    by = round(right * picture.shape[1]), round(down * picture.shape[0])
    return np.asarray(np.roll(picture, by, (1, 0)), np.float32)


FAULTS: dict[str, tuple[Change, PictureFault, int]] = {
    "the lamp is off": (lambda picture, _: picture * 0.03 + 16, PictureFault.DARK, 180),
    "a hand before the lens": (hand, PictureFault.COVERED, 60),
    "tape": (lambda picture, _: np.full_like(picture, 120), PictureFault.COVERED, 60),
    "a lamp into the lens": (lambda picture, _: np.full_like(picture, 250), PictureFault.COVERED, 60),
    "grease": (lambda picture, _: blurred(picture, 3), PictureFault.BLURRED, 180),
    "nudged": (lambda picture, _: moved(picture, 0.06), PictureFault.MOVED, 120),
    "turned": (lambda picture, _: moved(picture, 0.2, 0.1), PictureFault.MOVED, 120),
    "another room": (lambda *_: office(77), PictureFault.MOVED, 120),
}
HARMLESS: dict[str, Change] = {
    "nothing": lambda picture, _: picture,
    "dusk and dawn": lambda picture, now_s: picture * (0.575 + 0.425 * math.cos(now_s / 200)) + 10,
    "lamps switched": lambda picture, now_s: lamp(picture) if int(now_s / 170) % 2 else picture,
    "auto-exposure": lambda picture, now_s: picture * (1.3 if int(now_s / 15) % 2 else 0.7),
    "infrared light": lambda picture, _: 255 - picture,
    "a crowd": crowd,
    "somebody close by for a moment": lambda picture, now_s: hand(picture, 0) if now_s % 300 < 40 else picture,
    "a little wind": lambda picture, now_s: moved(picture, 0.004 * math.sin(now_s)),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_wrong_is_said_after_its_time_and_not_any_more_once_it_is_mended(name: str) -> None:
    change, fault, after_s = FAULTS[name]
    view = View(learned_office())
    watch(view, shown(lambda picture, _: picture), 0, 60)
    said = watch(view, shown(change), 60, 60 + 420)
    assert [each.split()[1] for each in said] == [fault.value]
    assert after_s <= int(said[0].split()[0]) <= after_s + 150
    assert view.faulty is not None
    assert 60 <= view.faulty.since_utc - BEGAN_UTC <= 60 + 150, "since it began, not since it was said"
    assert [each.split()[1] for each in watch(view, shown(lambda picture, _: picture), 480, 700)] == ["well"]


@pytest.mark.parametrize("name", HARMLESS)
def test_nothing_is_said_of_what_happens_before_any_camera(name: str) -> None:
    view = View(learned_office())
    assert watch(view, shown(HARMLESS[name]), 0, 900) == []


def test_a_view_is_learned_in_ten_minutes_and_begins_again_when_the_camera_is_being_set_up() -> None:
    view = View()
    watch(view, shown(lambda picture, _: picture), 0, LEARN_S - 60)
    early = view.learned
    watch(view, lambda now_s: filmed(office(77), now_s), LEARN_S - 60, LEARN_S + 300)
    assert (early, view.learned) == (None, None), "the camera was turned meanwhile"
    watch(view, lambda now_s: filmed(office(77), now_s), LEARN_S + 300, 2 * LEARN_S + 60)
    found = structure.unpacked(view.learned or b"")
    assert found is not None
    assert (structure.kept(found[0], structure.structure_of(office(77)[::2, ::2])) or 0) > 0.9
    assert (structure.kept(found[0], structure.structure_of(office()[::2, ::2])) or 0) < 0.1


def test_neither_darkness_nor_a_bare_wall_is_learned() -> None:
    for level in (16, 120):
        view = View()
        watch(view, lambda now_s, level=level: filmed(np.full((HEIGHT, WIDTH), level, np.float32), now_s), 0, 1500)  # type: ignore[misc]
        assert view.learned is None
        assert fault_of(view) is (PictureFault.DARK if level == 16 else None)


def test_a_fault_from_before_a_restart_stands_until_the_picture_is_well() -> None:
    faulty = Faulty(PictureFault.MOVED, BEGAN_UTC - 3600)
    view = View(learned_office(), faulty)
    assert watch(view, shown(FAULTS["turned"][0]), 0, 400) == []
    assert view.faulty == faulty
    view = View(learned_office(), faulty)
    (said,) = watch(view, shown(lambda picture, _: picture), 0, 400)
    assert said.endswith("well")


def test_a_picture_of_another_size_is_the_same_view() -> None:
    view = View(learned_office())
    large = cv2.resize(office(), (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_CUBIC)
    assert watch(view, lambda now_s: filmed(large, now_s), 0, 600) == []


def test_pictures_that_stop_and_go_on_later_begin_a_new_measure_of_time() -> None:
    view = View(learned_office())
    covered = shown(hand)
    for begin_s in (0, 200, 400, 600):
        assert watch(view, covered, begin_s, begin_s + 50) == []


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.binary(max_size=2 * structure.BYTES) | st.binary(min_size=structure.BYTES, max_size=structure.BYTES))
def test_a_view_that_the_disk_spoiled_is_learned_again_or_compared_but_never_an_error(garbage: bytes) -> None:
    view = View(garbage)
    for look in range(4):
        picture = filmed(office(), look)
        view.look(picture[::2, ::2], picture[::2].view, (WIDTH, HEIGHT), look * EVERY_S, BEGAN_UTC)
    assert view.learned is None or len(view.learned) == structure.BYTES


def test_what_is_kept_of_a_view_is_small_and_the_same_after_it_was_kept_again() -> None:
    assert len(learned_office()) == structure.BYTES < 2000
    assert View(learned_office()).learned == learned_office()


@cache
def clip(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as video:
        frames = [frame.to_ndarray(format="gray") for frame in video.decode(video=0)]
    return [np.asarray(frame, np.uint8) for frame in frames]


SCENES = {"a crowd": slice(45, 143), "few": slice(148, 259)}


@pytest.mark.parametrize("name", SCENES)
def test_a_real_clip_with_people_is_well_and_what_is_drawn_into_it_is_said(data_dir: Path, name: str) -> None:
    frames = [frame.astype(np.float32) for frame in clip(data_dir / "video" / "Face_Mask_Video.mp4")[SCENES[name]]]

    def scene(change: Change) -> Callable[[float], NDArray[np.uint8]]:
        return lambda now_s: filmed(change(frames[round(now_s * 7.3) % len(frames)], now_s), now_s)

    view = View()
    assert watch(view, scene(lambda picture, _: picture), 0, 2 * LEARN_S) == []
    learned = view.learned
    assert learned is not None
    harmless = {name: HARMLESS[name] for name in ("lamps switched", "dusk and dawn", "infrared light")}
    for change in harmless.values():
        assert watch(View(learned), scene(change), 0, 500) == []
    drawn: dict[PictureFault, Change] = {
        PictureFault.DARK: FAULTS["the lamp is off"][0],
        PictureFault.COVERED: hand,
        PictureFault.BLURRED: lambda picture, _: blurred(picture, 3),
        PictureFault.MOVED: lambda picture, _: moved(picture, 0.08),
    }
    for fault, change in drawn.items():
        view = View(learned)
        watch(view, scene(change), 0, 300)
        assert fault_of(view) is fault
