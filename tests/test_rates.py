"""Rates against published values."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.faces import Counts
from appliance.rates import MIN_PERSONS, Errors, Measured, compliance, corrected, wilson


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


@pytest.mark.parametrize("persons", [20, 30, 60, 100, 200])
def test_it_does_so_too_where_nearly_everybody_or_nobody_wears_one(persons: int) -> None:
    # Of Wilson's own interval: 84 %, with 99 of a hundred (Brown, Cai and DasGupta 2001, figure 5).
    rates = [compliance(Counts(mask=mask, no_mask=persons - mask)) for mask in range(persons + 1)]
    for per_mille in range(1, 1000):
        share = per_mille / 1000
        held = sum(
            math.comb(persons, mask) * share**mask * (1 - share) ** (persons - mask)
            for mask, rate in enumerate(rates)
            if rate and rate.low <= share <= rate.high
        )
        assert held > 0.92, share


@given(st.floats(0, 300), st.floats(0, 300))
def test_of_more_who_wear_one_neither_end_is_lower(masks: float, others: float) -> None:
    n = masks + others + 1
    less, more = wilson(masks, n), wilson(masks + 1, n)
    assert less and more and less.low <= more.low and less.high <= more.high


def test_a_rate_of_fewer_persons_than_say_anything_is_not_enough() -> None:
    for persons in (MIN_PERSONS - 1, MIN_PERSONS):
        rate = compliance(Counts(mask=persons, unknown=5))
        assert rate and rate.is_enough is (persons == MIN_PERSONS)
    rate = compliance(Counts(mask=MIN_PERSONS))
    assert rate and round(rate.low, 2) == 0.84


GOOD = Errors(Measured(96, 100), Measured(89, 100))


def test_a_rate_is_corrected_as_rogan_and_gladen_do() -> None:
    # Of 150 cows 23 are positive in a test of 96 % sensitivity and 89 % specificity: .0510 of them are ill (epiR's
    # example of epi.prev, after Rogan and Gladen).
    rate = corrected(Counts(mask=23, no_mask=127), GOOD)
    assert rate and round(rate.value, 4) == 0.0510
    assert rate.low == 0 and 0.05 < rate.high < 0.2 and rate.n == 150


def test_the_less_is_known_of_a_detector_the_wider_is_the_interval() -> None:
    counts = Counts(mask=800, no_mask=200)
    widths = []
    for tried in (1_000_000, 500, 50, 20):
        rate = corrected(counts, Errors(Measured(tried * 19 // 20, tried), Measured(tried * 9 // 10, tried)))
        assert rate
        widths.append(rate.high - rate.low)
    assert widths == sorted(widths) and widths[-1] > 2 * widths[0]


def test_a_detector_that_never_errs_corrects_nothing() -> None:
    counts, never = Counts(mask=81, no_mask=182), Measured(10**9, 10**9)
    plain, rate = compliance(counts), corrected(counts, Errors(never, never))
    assert plain and rate and rate.value == pytest.approx(plain.value)
    assert (rate.low, rate.high) == pytest.approx((plain.low, plain.high), abs=0.005), (
        "Agresti and Coull's, not Wilson's"
    )


@pytest.mark.parametrize(
    "errors",
    [
        Errors(Measured(0, 0), Measured(9, 10)),
        Errors(Measured(9, 10), Measured(0, 0)),
        Errors(Measured(5, 10), Measured(5, 10)),
        Errors(Measured(1, 10), Measured(2, 10)),
    ],
)
def test_nothing_is_corrected_by_a_detector_that_tells_nothing(errors: Errors) -> None:
    assert corrected(Counts(mask=5, no_mask=5), errors) is None
    assert corrected(Counts(unknown=5), GOOD) is None


@given(st.integers(0, 3000), st.integers(0, 3000), *[st.integers(0, 60)] * 4)
def test_a_corrected_interval_has_its_value_and_stays_within_0_and_1(
    mask: int, others: int, right: int, wrong: int, right_too: int, wrong_too: int
) -> None:
    errors = Errors(Measured(right, right + wrong), Measured(right_too, right_too + wrong_too))
    rate = corrected(Counts(mask=mask, no_mask=others), errors)
    assert rate is None or 0 <= rate.low <= rate.value <= rate.high <= 1
