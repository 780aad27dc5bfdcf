"""The budget: fair shares, and that nobody spends more than there is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.faces import Face
from appliance.vision import budget as module
from appliance.vision.budget import Budget, Costs, Purse, fair_shares, measured_costs, processors
from appliance.vision.pixels import Pixels
from tests.colour_detector import ColourDetector

WANTED = st.lists(st.floats(0, 5000), min_size=1, max_size=30)


@given(st.floats(0, 8000), WANTED)
def test_shares_are_max_min_fair(total: float, wanted: list[float]) -> None:
    shares = fair_shares(total, wanted)
    assert sum(shares) == pytest.approx(total, abs=1e-6)
    for wish, share in zip(wanted, shares, strict=True):
        assert share >= min(wish, total / len(wanted)) - 1e-6, "an equal part, unless less is wanted"
        if share < wish - 1e-6:
            assert share >= max(shares) - 1e-6, "nobody has more than one who wants more"


def test_what_one_does_not_want_goes_to_the_others() -> None:
    assert fair_shares(1000, [0, 0]) == [500, 500]
    assert fair_shares(1000, [100, 2000]) == pytest.approx([130, 870])
    assert fair_shares(1000, [900, 2000, 3000]) == pytest.approx([1000 / 3] * 3)


def spend_greedily(purses: list[Purse], seconds: float, each_ms: float, began_s: float = 0.0) -> list[float]:
    """Ten looks a second of each purse, as long as it allows; what each spent."""
    spent = [0.0] * len(purses)
    for step in range(round(seconds * 10)):
        for index, purse in enumerate(purses):
            allowed = purse.allowance_ms(began_s + step / 10)
            given_ms = min(max(allowed, 0.0), each_ms)
            purse.spend(given_ms)
            purse.want(each_ms - given_ms)
            spent[index] += given_ms
    return spent


@given(st.floats(50, 4000), st.integers(1, 12), st.floats(1, 400))
def test_all_streams_together_spend_no_more_than_the_budget(ms_per_s: float, streams: int, each_ms: float) -> None:
    budget = Budget(ms_per_s)
    spent = spend_greedily([budget.open_purse() for _ in range(streams)], 20, each_ms)
    assert sum(spent) <= ms_per_s * (20 + 2 * module.BURST_S) + 1e-6
    if each_ms * 10 * streams > ms_per_s * 1.5:
        assert sum(spent) >= ms_per_s * 18, "and no less, where more is wanted"
        assert min(spent) >= max(spent) * 0.9, "fairly"


def test_a_quiet_stream_leaves_its_part_to_a_busy_one_and_gets_it_back() -> None:
    budget = Budget(1000)
    quiet, busy = budget.open_purse(), budget.open_purse()
    for second in range(5):
        spend_greedily([busy], 1, 100, began_s=second)
        quiet.allowance_ms(second)
        quiet.spend(2)
    assert spend_greedily([busy], 1, 100, began_s=5)[0] > 900
    first = spend_greedily([quiet, busy], 10, 100, began_s=6)
    assert first[1] - first[0] <= 500 * (module.BURST_S + module.SHARE_OUT_S), "what it had saved"
    both = spend_greedily([quiet, busy], 10, 100, began_s=16)
    assert both[0] == pytest.approx(both[1], rel=0.1)


def test_what_was_saved_may_be_spent_at_once_and_is_paid_back() -> None:
    """Somebody walks in: what was kept is looked at in a moment, and they for as long as they take to pass."""
    purse = Budget(100).open_purse()
    spend_greedily([purse], 10, 2)
    assert spend_greedily([purse], 2, 25, began_s=10)[0] == pytest.approx(500), "all that was wanted"
    assert spend_greedily([purse], 20, 25, began_s=12)[0] <= 100 * 20 + 100 * module.BURST_S - 300 + 1e-6


def test_who_was_quiet_beside_a_greedy_one_keeps_what_it_saved() -> None:
    budget = Budget(1000)
    quiet, greedy = budget.open_purse(), budget.open_purse()
    for second in range(20):
        quiet.allowance_ms(second)
        spend_greedily([greedy], 1, 200, began_s=second)
    assert quiet.ms_per_s < 50, "nearly all of it goes to the other"
    assert quiet.allowance_ms(20) == pytest.approx(500 * module.BURST_S)
    assert spend_greedily([quiet], 2, 90, began_s=20)[0] == pytest.approx(2 * 900)


def test_what_a_stream_wants_is_counted_by_the_second_however_rarely_it_asks() -> None:
    budget = Budget(1000)
    often, rarely = budget.open_purse(), budget.open_purse()
    for step in range(200):
        often.allowance_ms(step / 10)
        often.spend(10)
        if step % 50 == 0:
            rarely.allowance_ms(step / 10)
            rarely.spend(500)
    assert often.wanted_ms_per_s == pytest.approx(100, rel=0.15)
    alone = Budget(1000).open_purse()
    for step in range(10):
        alone.allowance_ms(step * 5.0)
        alone.spend(500)
    assert alone.wanted_ms_per_s == pytest.approx(100)


def test_decoding_is_paid_for_even_if_nothing_is_left_and_a_debt_ends() -> None:
    purse = Budget(100).open_purse()
    purse.allowance_ms(0)
    purse.spend(100_000)
    assert purse.allowance_ms(0.5) < 0
    assert purse.allowance_ms(3) > 0


def test_a_stream_that_ends_leaves_everything_to_the_others() -> None:
    budget = Budget(1000)
    first, second = budget.open_purse(), budget.open_purse()
    assert first.ms_per_s == second.ms_per_s == 500
    second.close()
    second.close()
    assert first.ms_per_s == 1000


def test_costs_are_a_line_over_the_area_and_learn_from_what_looks_cost() -> None:
    costs = Costs(0.2, 1e-5)
    assert costs(320) == pytest.approx(0.2 + 1.024)
    for _ in range(500):
        costs.learn([320, 160], spent_ms=2 * (2 * 0.2 + 1e-5 * (320**2 + 160**2)))
    assert costs(160) == pytest.approx(2 * (0.2 + 0.256), rel=0.05)
    costs.learn([], 5.0)
    for _ in range(1000):
        costs.learn([320], 0.0)
    assert costs(320) > 0


class _Slow(ColourDetector):
    """Takes a millisecond and one more for each 10,000 pixels, by a clock of its own."""

    now_s = 0.0

    def look(self, squares: Pixels, score_threshold: float | None = None) -> list[list[Face]]:  # noqa: ARG002
        self.now_s += (1 + np.prod(squares.shape[:3]) / 10_000) / 1000
        return [[] for _ in squares]


def test_costs_are_measured_at_the_start() -> None:
    slow = _Slow()
    costs = measured_costs(slow, cpu_s=lambda: slow.now_s)
    assert (costs(128), costs(320)) == pytest.approx((1 + 1.6384, 1 + 10.24))


def test_the_processors_of_this_process_are_counted_with_its_quota(tmp_path: Path) -> None:
    assert 0 < processors() <= 1024
    own, unit = tmp_path / "cgroup", tmp_path / "system.slice" / "mb9k.service"
    unit.mkdir(parents=True)
    for group, folder in (("/", tmp_path), ("/system.slice/mb9k.service", unit)):
        own.write_text(f"0::{group}\n")
        for text, expected in (("150000 100000\n", 1.5), ("max 100000\n", 4), ("nonsense", 4), ("900000 100000", 4)):
            (folder / "cpu.max").write_text(text)
            assert processors(own, tmp_path, bound=4.0) == expected
    own.write_text("12:cpu,cpuacct:/user.slice\n")
    assert processors(own, tmp_path, bound=2.0) == processors(tmp_path / "none", tmp_path, bound=2.0) == 2.0
