"""The health of a stream: shares of the last ten minutes."""

from __future__ import annotations

import pytest

from appliance.faces import Work
from appliance.vision.health import RATE_S, Rate, Tally


def test_shares_of_few_are_not_told() -> None:
    tally = Tally()
    for second in range(4):
        tally.person(too_small=True, now_s=second)
        tally.look(made=False, now_s=second)
    assert (tally.too_small_share(), tally.made_share()) == (None, None)
    tally.person(too_small=False, now_s=5)
    assert tally.too_small_share() == 0.8


def test_looks_that_were_put_off_count() -> None:
    tally = Tally()
    for number in range(200):
        tally.look(made=number % 4 != 0, now_s=number / 10)
    assert tally.made_share() == 0.75


def test_what_is_older_than_ten_minutes_is_forgotten() -> None:
    tally = Tally()
    for minute in range(30):
        for _ in range(10):
            tally.person(too_small=minute < 25, now_s=minute * 60 + 1)
    assert tally.too_small_share() == 0.5
    tally.person(too_small=False, now_s=100 * 60)
    assert tally.too_small_share() is None


def test_how_late_frames_are_judged_is_of_the_last_minutes_and_what_was_done_of_all() -> None:
    tally = Tally()
    assert tally.mean_delay_s() is None
    for second in range(20 * 60):
        tally.judged(delay_s=2.0 if second < 600 else 0.5, now_s=second)
        tally.look(made=second % 10 != 0, now_s=second)
    tally.judged(delay_s=-0.2, now_s=20 * 60)  # of a clock that is a bit off
    tally.person(too_small=True, now_s=20 * 60)
    tally.person(too_small=False, now_s=20 * 60)
    assert tally.mean_delay_s() == pytest.approx(0.5, abs=0.01)
    assert tally.work == Work(1201, looks_put_off=120, persons_left=2, faces_too_small=1, delays_s=1500.0)


@pytest.mark.parametrize("pause_s", [0.04, 1.0, 4.0])
def test_a_rate_is_that_of_the_last_seconds_however_rarely_something_comes(pause_s: float) -> None:
    rate, now_s = Rate(), 500.0
    rate.add(now_s, 7.0)
    assert rate.per_s() is None
    for ms_per_s in (120.0, 14.0):
        for _ in range(round(3 * RATE_S / pause_s)):
            now_s += pause_s
            rate.add(now_s, ms_per_s * pause_s)
        assert rate.per_s() == pytest.approx(ms_per_s)
