"""Rates against published values."""

from __future__ import annotations

import random

import pytest

from appliance.faces import Counts
from appliance.rates import compliance


def test_the_interval_is_wilsons() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I: 81 of 263 gives .2553 to .3662.
    rate = compliance(Counts(mask=81, no_mask=182))
    assert rate is not None
    assert (round(rate.low, 4), round(rate.high, 4)) == (0.2553, 0.3662)


def test_unknown_is_never_counted_into_the_rate() -> None:
    assert compliance(Counts(mask=3, no_mask=1, unknown=96)) == compliance(Counts(mask=3, no_mask=1))


def test_incorrect_counts_as_not_compliant() -> None:
    rate = compliance(Counts(mask=6, incorrect=4))
    assert rate is not None
    assert rate.value == pytest.approx(0.6)
    assert rate.n == 10


def test_nobody_judged_gives_no_rate() -> None:
    assert compliance(Counts(unknown=5)) is None


@pytest.mark.parametrize("mask", [0, 1, 5])
def test_the_interval_stays_within_0_and_1(mask: int) -> None:
    rate = compliance(Counts(mask=mask, no_mask=5 - mask))
    assert rate is not None
    assert 0 <= rate.low <= rate.value <= rate.high <= 1


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    chance = random.Random(1)
    covered = 0
    for _ in range(2000):
        mask = sum(chance.random() < 0.9 for _ in range(60))
        rate = compliance(Counts(mask=mask, no_mask=60 - mask))
        assert rate is not None
        covered += rate.low <= 0.9 <= rate.high
    assert covered / 2000 > 0.93
