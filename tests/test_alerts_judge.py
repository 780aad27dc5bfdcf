"""When an alert is raised, is over, and is told: the pure state machine."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.alerts.judge import Phase, State, Timing, What, judge
from appliance.alerts.rules import Quiet
from appliance.times import Now

STEP_S = 10.0
FIVE_MINUTES = Timing(held_s=300.0, cool_down_s=3600.0)
Heard = list[tuple[float, What]]


def moment(at_s: float, boot: str = "a") -> Now:
    return Now(1_795_521_600.0 + at_s, boot, 50.0 + at_s)


def told(holds: list[bool | None], timing: Timing, quiet: set[int] | None = None) -> tuple[Heard, Heard]:
    """What happened and what was told, by the second, where something held (or not) for a step each."""
    state: State | None = None
    happened, told = [], []
    for number, held in enumerate(holds):
        is_quiet = number in (quiet or set())
        verdict = judge(state, held, moment(number * STEP_S), replace(timing, is_quiet=is_quiet))
        state = verdict.state
        if verdict.happened:
            happened.append((number * STEP_S, verdict.happened))
        if verdict.tell:
            told.append((number * STEP_S, verdict.tell))
    return happened, told


def steps(held: bool, minutes: float) -> list[bool | None]:
    return [held] * int(minutes * 60 / STEP_S)


def test_it_is_raised_after_its_minutes_and_told_once_each_way() -> None:
    happened, messages = told([*steps(True, 10), *steps(False, 5)], FIVE_MINUTES)
    assert happened == messages == [(300.0, What.RAISED), (600.0, What.OVER)]


def test_what_holds_for_less_or_with_a_break_is_nothing() -> None:
    assert told([*steps(True, 4.8), *steps(False, 0.2)] * 5, FIVE_MINUTES) == ([], [])


def test_what_is_so_again_within_the_cool_down_is_told_when_that_ends_if_it_is_still_so() -> None:
    on_and_off = [*steps(True, 10), *steps(False, 5)]
    happened, messages = told([*on_and_off * 2, *steps(True, 60)], FIVE_MINUTES)
    assert [what for _, what in happened] == [What.RAISED, What.OVER, What.RAISED, What.OVER, What.RAISED]
    assert messages == [(300.0, What.RAISED), (600.0, What.OVER), (300.0 + 3600.0, What.RAISED)]


def test_in_quiet_hours_nobody_is_told_and_afterwards_what_is_still_so() -> None:
    night = set(range(1000))
    assert told([*steps(True, 10), *steps(False, 200)], FIVE_MINUTES, night)[1] == [], "it was over before they ended"
    assert told(steps(True, 200), FIVE_MINUTES, night)[1] == [(10_000.0, What.RAISED)]
    evening = set(range(40, 1000))
    happened, messages = told([*steps(True, 10), *steps(False, 200)], FIVE_MINUTES, evening)
    assert happened[1] == (600.0, What.OVER)
    assert messages == [(300.0, What.RAISED), (10_000.0, What.OVER)], "who was told hears that it is over, in the end"


def test_what_is_over_and_so_again_in_the_night_is_no_news_in_the_morning() -> None:
    night = set(range(40, 1000))
    on_off_on = [*steps(True, 10), *steps(False, 10), *steps(True, 200)]
    happened, messages = told(on_off_on, FIVE_MINUTES, night)
    assert [what for _, what in happened] == [What.RAISED, What.OVER, What.RAISED]
    assert messages == [(300.0, What.RAISED)]


def test_what_is_not_known_raises_nothing_and_ends_nothing() -> None:
    unknown: list[bool | None] = [None] * 100
    assert told([*steps(True, 4), *unknown, *steps(True, 4)], FIVE_MINUTES) == ([], [])
    happened, _ = told([*steps(True, 6), *unknown, *steps(True, 6)], FIVE_MINUTES)
    assert happened == [(300.0, What.RAISED)]


def test_a_restart_of_the_machine_begins_to_wait_again_and_keeps_what_was_told() -> None:
    pending = judge(None, True, moment(0), FIVE_MINUTES).state
    assert pending
    after = judge(pending, True, replace(moment(400, "b"), uptime_s=20.0), FIVE_MINUTES)
    assert after.state and after.state.phase is Phase.PENDING and not after.happened
    raised = judge(pending, True, moment(300), FIVE_MINUTES).state
    over = judge(raised, False, moment(310), FIVE_MINUTES).state
    assert over and over.told == moment(300)
    # Ten minutes later by the wall clock; and by one that begins in 1970.
    for utc, left_s in ((moment(900).utc, 3000.0), (0.0, 3600.0)):
        state: State | None = over
        began = Now(utc, "b", 20.0)
        timing = replace(FIVE_MINUTES, held_s=0.0)
        state = judge(state, True, began, timing).state
        assert state and state.phase is Phase.OPEN and state.owes
        not_yet = judge(state, True, replace(began, uptime_s=20.0 + left_s - 1), timing)
        assert not_yet.tell is None
        assert judge(not_yet.state, True, replace(began, uptime_s=20.0 + left_s), timing).tell is What.RAISED


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.sampled_from([True, False, None]), st.integers(1, 40)), max_size=8),
    st.sets(st.integers(0, 319), max_size=150),
    st.sampled_from([0.0, 60.0, 300.0]),
    st.sampled_from([0.0, 120.0, 1200.0]),
)
def test_whatever_happens_messages_alternate_and_end_with_the_truth(
    spans: list[tuple[bool | None, int]], quiet: set[int], held_s: float, cool_down_s: float
) -> None:
    holds = [held for held, length in spans for _ in range(length)]
    for last in (True, False):
        whole = [*holds, *[last] * 200]
        happened, messages = told(whole, Timing(held_s, cool_down_s), {each for each in quiet if each < len(holds)})
        for sequence in (happened, messages):
            assert [what for _, what in sequence] == [What.RAISED, What.OVER] * (len(sequence) // 2) + [What.RAISED] * (
                len(sequence) % 2
            )
        raised_s = [at_s for at_s, what in messages if what is What.RAISED]
        assert all(after - before >= cool_down_s for before, after in itertools.pairwise(raised_s))
        assert not any(int(at_s / STEP_S) in quiet for at_s, _ in messages if at_s < len(holds) * STEP_S)
        for at_s, what in happened:
            first = int((at_s - held_s) / STEP_S)
            assert what is not What.RAISED or False not in whole[first : int(at_s / STEP_S) + 1]
        assert bool(len(messages) % 2) is last, "in the end everybody knows how it is"


@pytest.mark.parametrize(
    ("quiet", "inside", "outside"),
    [
        (Quiet(1320, 420), (1320, 1439, 0, 419), (420, 1319)),
        (Quiet(60, 120), (60, 119), (59, 120, 1400)),
    ],
)
def test_quiet_hours_may_go_over_midnight(quiet: Quiet, inside: tuple[int, ...], outside: tuple[int, ...]) -> None:
    assert all(quiet.holds(minute) for minute in inside)
    assert not any(quiet.holds(minute) for minute in outside)
