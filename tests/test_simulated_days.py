"""Intervals hold the truth as often as they say, over simulated days with errors of a real detector."""

from __future__ import annotations

import pytest

from scripts.simulated_days import CLIPS, PHOTOS, Outcomes, coverage


@pytest.mark.parametrize("outcomes", [CLIPS, PHOTOS], ids=["clips", "photos"])
@pytest.mark.parametrize(("persons", "share"), [(20, 0.5), (60, 0.9), (200, 0.99), (2000, 0.8)])
def test_the_corrected_interval_holds_the_true_share(outcomes: Outcomes, persons: int, share: float) -> None:
    assert coverage(outcomes, persons, share, days=400, seed=1).corrected >= 0.93


@pytest.mark.parametrize(("persons", "share"), [(20, 0.5), (20, 0.95), (60, 0.9), (200, 0.8), (600, 0.99)])
def test_so_does_that_of_the_plain_rate_with_the_errors_of_the_counting_clips(persons: int, share: float) -> None:
    assert coverage(CLIPS, persons, share, days=400, seed=1).plain >= 0.93
