"""The condition of a stream: which sentence it has, whatever happens in whatever order. Times are turned by hand."""

from __future__ import annotations

import itertools
import string
from collections.abc import Callable

import pytest

from appliance.vision.reading.condition import (
    DECODE_S,
    KEY_PATIENCE_S,
    LIVE_S,
    PULLED,
    PUSHED,
    QUIET_S,
    STILL_S,
    Condition,
    Obstacle,
    duration_text,
)

BEGUN_S = 1000.0


def condition() -> Condition:
    return Condition(PULLED, BEGUN_S)


def flowing(seconds: float, *, key_at_s: float | None = None, picture: bool = False) -> Condition:
    """Connected, with a packet of the picture each 0.1 s; a key frame at one moment, with or without a picture."""
    one = condition()
    one.opened("h264")
    for step in range(round(seconds * 10) + 1):
        at_s = step / 10
        one.packet(at_s == key_at_s, at_s, BEGUN_S + at_s)
        if picture and key_at_s is not None and at_s >= key_at_s:
            one.frame(BEGUN_S + at_s)
    return one


def test_every_obstacle_has_a_sentence_of_its_own_that_needs_nothing_unknown() -> None:
    assert set(PULLED) == set(PUSHED) == set(Obstacle)
    assert len(set(PULLED.values())) == len(Obstacle)
    for sentence in (*PULLED.values(), *PUSHED.values()):
        fields = {field for _, field, _, _ in string.Formatter().parse(sentence) if field}
        assert fields <= {"seconds", "interval", "codec", "kind"}
        assert sentence.endswith((".", "?")) or sentence == "{kind}"


def test_a_pushed_stream_is_never_asked_for_a_cameras_address() -> None:
    for sentence in PUSHED.values():
        assert "address" not in sentence
        assert "the camera on?" not in sentence


def test_at_first_it_waits() -> None:
    assert condition().obstacle(BEGUN_S) is Obstacle.CONNECTING
    assert condition().obstacle(BEGUN_S + 60) is Obstacle.CONNECTING, "it is not connected yet"
    assert not condition().is_live(BEGUN_S)


def test_connected_but_silent() -> None:
    one = condition()
    one.opened("h264")
    assert one.obstacle(BEGUN_S + QUIET_S - 0.1) is Obstacle.CONNECTING
    assert one.obstacle(BEGUN_S + QUIET_S) is Obstacle.SILENT
    one.failed(Obstacle.SILENT)
    one.begin()
    assert one.obstacle(BEGUN_S + 40) is Obstacle.SILENT, "also while it connects again"
    assert "no video for 40 s" in str(one.problem(BEGUN_S + 40))
    assert not one.is_live(BEGUN_S + 40)


def test_data_without_a_key_frame_waits_for_it_however_long_and_is_live() -> None:
    assert flowing(1.0).obstacle(BEGUN_S + 1.0) is Obstacle.CONNECTING
    assert flowing(KEY_PATIENCE_S).obstacle(BEGUN_S + KEY_PATIENCE_S) is Obstacle.NO_KEY_FRAME
    one = flowing(58)
    assert one.obstacle(BEGUN_S + 58) is Obstacle.NO_KEY_FRAME
    assert str(one.problem(BEGUN_S + 58)).startswith("Waiting for a key frame, 55 s so far; set the key-frame interval")
    assert one.is_live(BEGUN_S + 58)


def test_the_interval_is_told_once_it_is_known() -> None:
    one = condition()
    one.opened("h264")
    assert one.key_interval_s is None
    for at_s in (0.0, 16.7, 33.4, 34.4):  # the last one where the scene changed
        one.packet(True, at_s, BEGUN_S + at_s)
        one.frame(BEGUN_S + at_s)
    assert one.key_interval_s == pytest.approx(16.7)
    one.begin()
    for step in range(120):
        one.packet(False, step / 10, BEGUN_S + 40 + step / 10)
    assert "10 s so far of about 17 s;" in str(one.problem(BEGUN_S + 52))


@pytest.mark.parametrize("leap_s", [-5.0, 0.0, 90_000.0])
def test_time_stamps_that_leap_tell_no_interval(leap_s: float) -> None:
    one = condition()
    one.packet(True, 100.0, BEGUN_S)
    one.packet(True, 100.0 + leap_s, BEGUN_S + 1)
    one.packet(True, None, BEGUN_S + 2)
    assert one.key_interval_s is None


def test_only_a_key_frame_that_comes_to_nothing_means_a_codec_that_cannot_be_decoded() -> None:
    assert flowing(9.0, key_at_s=8.0).obstacle(BEGUN_S + 9.0) is Obstacle.CONNECTING
    one = flowing(8.0 + DECODE_S, key_at_s=8.0)
    assert one.obstacle(BEGUN_S + 8.0 + DECODE_S) is Obstacle.UNDECODABLE
    assert "it is H.264;" in str(one.problem(BEGUN_S + 8.0 + DECODE_S))
    one.frame(BEGUN_S + 14)
    assert one.obstacle(BEGUN_S + 14) is None


@pytest.mark.parametrize("interval_s", [1.0, 1.5, 4.0])
def test_one_picture_for_each_key_frame_is_no_problem(interval_s: float) -> None:
    one = condition()
    one.opened("h264")
    key_s = -interval_s
    for step in range(400):
        at_s = step / 10
        key = at_s >= key_s + interval_s - 1e-6
        one.packet(key, at_s, BEGUN_S + at_s)
        assert one.obstacle(BEGUN_S + at_s) in (None, Obstacle.CONNECTING if at_s == 0 else None)
        if key:
            key_s = at_s
            one.frame(BEGUN_S + at_s + 0.05)


def test_what_cannot_be_decoded_stays_so_over_a_reconnection_but_not_over_another_codec() -> None:
    one = flowing(8.0, key_at_s=1.0)
    for codec, obstacle in (("h264", Obstacle.UNDECODABLE), ("hevc", Obstacle.NO_KEY_FRAME)):
        one.begin()
        one.opened(codec)
        for step in range(40):
            one.packet(False, step / 10, BEGUN_S + 20 + step / 10)
        assert one.obstacle(BEGUN_S + 24) is obstacle


def test_a_picture_ends_every_other_obstacle() -> None:
    for obstacle in Obstacle:
        one = condition()
        one.failed(obstacle)
        assert one.obstacle(BEGUN_S) is obstacle
        one.frame(BEGUN_S)
        assert one.obstacle(BEGUN_S) is None
        assert one.problem(BEGUN_S) is None


def test_anything_that_comes_ends_a_failure_to_connect_but_not_what_is_wrong_with_the_picture() -> None:
    for obstacle in Obstacle:
        one = condition()
        one.failed(obstacle)
        one.data(BEGUN_S)
        assert (one.obstacle(BEGUN_S) is obstacle) == (
            obstacle in (Obstacle.TOO_LARGE, Obstacle.SOUND_ONLY, Obstacle.CONNECTING)
        )


def test_what_is_wrong_with_the_picture_is_not_live() -> None:
    for obstacle in (Obstacle.TOO_LARGE, Obstacle.SOUND_ONLY):
        one = condition()
        one.failed(obstacle)
        one.data(BEGUN_S)
        assert not one.is_live(BEGUN_S)


def test_frozen_is_counted_from_the_last_data_and_ends_live() -> None:
    one = flowing(10, key_at_s=0.0, picture=True)
    last_s = BEGUN_S + 10
    assert one.obstacle(last_s + QUIET_S - 0.1) is None
    assert one.obstacle(last_s + QUIET_S) is Obstacle.FROZEN
    assert one.is_live(last_s + LIVE_S - 0.1)
    assert not one.is_live(last_s + LIVE_S)
    one.failed(Obstacle.SILENT)
    one.begin()
    one.opened("h264")
    assert one.problem(last_s + 21) == "The camera has sent nothing for 20 s; connecting again."
    one.failed(Obstacle.PORT_CLOSED)
    assert one.obstacle(last_s + 25) is Obstacle.PORT_CLOSED


def test_frozen_before_the_first_key_frame_is_frozen() -> None:
    assert flowing(3).obstacle(BEGUN_S + 3 + QUIET_S) is Obstacle.FROZEN


def test_sound_alone_and_a_picture_that_stands_still() -> None:
    one = condition()
    one.opened("h264")
    for step in range(61):
        one.data(BEGUN_S + step / 10)
    assert one.obstacle(BEGUN_S + 6) is Obstacle.SOUND_ONLY
    one = flowing(1, key_at_s=0.0, picture=True)
    for step in range(61):
        one.data(BEGUN_S + 1 + step / 10)
    assert one.obstacle(BEGUN_S + 1 + STILL_S) is Obstacle.STILL


def test_pictures_that_break_off_in_mid_stream_wait_for_the_next_key_frame() -> None:
    one = flowing(1, key_at_s=0.0, picture=True)
    for step in range(70):
        one.packet(False, None, BEGUN_S + 1 + step / 10)
    assert one.obstacle(BEGUN_S + 8) is Obstacle.NO_KEY_FRAME
    assert "5 s so far" in str(one.problem(BEGUN_S + 8))


def test_a_file_that_begins_again_is_no_problem() -> None:
    one = flowing(2, key_at_s=0.0, picture=True)
    one.begin()
    assert one.obstacle(BEGUN_S + 2.2) is None
    one.opened("h264")
    assert one.obstacle(BEGUN_S + 2.3) is None


def test_an_end_is_told_and_live_for_no_longer_than_data_would_be() -> None:
    one = flowing(2, key_at_s=0.0, picture=True)
    one.failed(Obstacle.ENDED)
    assert one.obstacle(BEGUN_S + 2) is Obstacle.ENDED
    assert one.is_live(BEGUN_S + 2 + LIVE_S - 0.1), "a short break is no news"
    assert not one.is_live(BEGUN_S + 2 + LIVE_S)


def test_whatever_happens_in_whatever_order_there_is_a_sentence_or_a_picture() -> None:
    deeds: dict[str, Callable[[Condition, float], None]] = {
        "begin": lambda one, _: one.begin(),
        "opened": lambda one, _: one.opened("h264"),
        "sound": lambda one, now_s: one.data(now_s),
        "packet": lambda one, now_s: one.packet(False, None, now_s),
        "key": lambda one, now_s: one.packet(True, now_s, now_s),
        "frame": lambda one, now_s: one.frame(now_s),
        "silent": lambda one, _: one.failed(Obstacle.SILENT),
        "ended": lambda one, _: one.failed(Obstacle.ENDED),
    }
    for names in itertools.product(deeds, repeat=5):
        one, now_s = condition(), BEGUN_S
        for name in names:
            now_s += 3
            deeds[name](one, now_s)
            obstacle = one.obstacle(now_s)
            assert (one.problem(now_s) is None) == (obstacle is None), names
            assert not (obstacle is Obstacle.UNDECODABLE and "key" not in names), names
            assert not (obstacle is Obstacle.FROZEN and not {"sound", "packet", "key"} & set(names)), names
        assert one.is_live(now_s) == (one.last_data_s is not None and now_s - one.last_data_s < LIVE_S), names
        assert one.obstacle(now_s + 100) is not None, names


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (4.9, "4 s"), (9.9, "5 s"), (59, "55 s"), (60, "1 min"), (7300, "2 h")]
)
def test_how_long_it_lasted_changes_rarely(seconds: float, words: str) -> None:
    assert duration_text(seconds) == words
