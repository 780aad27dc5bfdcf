"""How a box is, how far the fleet is complete, and what a chart shows of it: pure functions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.central.store import Box, Span, Watched
from appliance.central.viewer.condition import Age, Severity, completeness, condition
from appliance.central.viewer.ranges import MAX_STEPS, span_of
from appliance.central.viewer.series import bars, chart, rate_chart
from appliance.errors import InputError
from appliance.faces import Counts
from appliance.time_zone import UTC
from appliance.web.charts import Bar, stacked_bars

NOON = 1_795_521_600
BOX = Box(
    id="lobby",
    title="",
    site_id=1,
    site="north",
    note="",
    joined_utc=NOON - 86400,
    revoked_utc=None,
    version="0.1.0",
    hardware="",
    clock="believed",
    takes_commands=True,
    hello_utc=NOON - 3600,
    status="running",
    state_utc=NOON,
    live=(1,),
    backlog=0,
    disk_free_mb=12_000,
    temperature_c=50.0,
    problem="",
    sums_utc=NOON,
    complete_utc=NOON,
    told="",
)


@pytest.mark.parametrize(
    ("age_s", "age", "severity"),
    [
        (0, Age.FRESH, Severity.WELL),
        (179, Age.FRESH, Severity.WELL),
        (180, Age.LATE, Severity.NOTICE),
        (899, Age.LATE, Severity.NOTICE),
        (900, Age.STALE, Severity.PROBLEM),
        (-500, Age.FRESH, Severity.WELL),
    ],
)
def test_the_age_of_its_data_says_how_a_box_is(age_s: int, age: Age, severity: Severity) -> None:
    box = replace(BOX, sums_utc=NOON - age_s - 10, complete_utc=NOON - age_s)
    found = condition(box, NOON)
    assert (found.age, found.severity) == (age, severity)
    assert found.age_s is not None and found.age_s >= 0


def test_a_connection_says_nothing_of_the_age() -> None:
    assert condition(replace(BOX, status="gone"), NOON).severity is Severity.WELL
    quiet = replace(BOX, status="running", state_utc=NOON, sums_utc=NOON - 4000, complete_utc=NOON - 4000)
    assert condition(quiet, NOON).words == ("nothing has come for 1 h 6 min",)
    stopped = replace(quiet, status="stopped")
    assert condition(stopped, NOON).words == ("switched off on purpose, nothing for 1 h 6 min",)


@pytest.mark.parametrize(
    ("change", "severity", "words"),
    [
        ({"told": "Two machines."}, Severity.PROBLEM, "Two machines."),
        ({"problem": "The disk is full."}, Severity.PROBLEM, "The disk is full."),
        ({"backlog": 5000}, Severity.NOTICE, "rows are still to come"),
        ({"disk_free_mb": 3}, Severity.NOTICE, "only 3.0 MB of its disk is free"),
        ({"temperature_c": 85.0}, Severity.NOTICE, "85 °C"),
        ({"clock": "unknown"}, Severity.NOTICE, "clock"),
        ({"hello_utc": None, "clock": "unknown", "sums_utc": None, "complete_utc": None}, Severity.NOTICE, "joined"),
        ({"revoked_utc": NOON, "told": "Two machines."}, Severity.WELL, "revoked"),
    ],
)
def test_what_is_wrong_is_said_in_words(change: dict[str, object], severity: Severity, words: str) -> None:
    found = condition(replace(BOX, **change), NOON)  # type: ignore[arg-type]
    assert found.severity is severity
    assert words in found.words[0]
    assert condition(BOX, NOON).words == ()


def test_a_box_that_fell_silent_does_not_hold_the_others_back() -> None:
    boxes = [replace(BOX, complete_utc=NOON - late_s) for late_s in (10, 70, 130)]
    gone, never = replace(BOX, complete_utc=NOON - 86400), replace(BOX, complete_utc=None)
    found = completeness([*boxes, gone, never, replace(BOX, revoked_utc=NOON)], NOON)
    assert (found.complete, found.boxes, found.upto_utc) == (3, 5, NOON - 130)
    assert completeness([gone], NOON).upto_utc == NOON - 86400
    assert completeness([never], NOON).upto_utc is None
    ahead = replace(BOX, complete_utc=NOON + 5000)
    assert completeness([ahead], NOON).upto_utc == NOON, "a clock that is ahead completes nothing that is to come"


HOURS = Span(NOON - 4 * 3600, NOON + 3600, "hour")


def test_what_nobody_watched_is_a_gap_and_never_a_zero() -> None:
    watched = {
        NOON - 4 * 3600: Watched(Counts(mask=2), 3600),
        NOON - 3 * 3600: Watched(Counts(), 3600),  # somebody looked, nobody came
        NOON - 2 * 3600: Watched(Counts(), 0),
        NOON: Watched(Counts(mask=1), 1200),
    }
    found = bars(watched, HOURS, NOON + 1800, of_one_stream=True)
    assert [bar.is_gap for bar in found] == [False, False, True, True, False]
    assert [bar.watched for bar in found] == [1.0, 1.0, 0.0, 0.0, 1200 / 1620]
    drawing = stacked_bars(found, "Persons")
    assert drawing.count('-gap)"') == 2 and drawing.count('nobody looked: no stream was LIVE, or nothing came"') == 2


def test_what_may_be_on_its_way_is_no_gap() -> None:
    minutes = Span(NOON - 600, NOON, "minute")
    assert [bar.is_gap for bar in bars({}, minutes, NOON)] == [True] * 7 + [False] * 3
    ahead = Span(NOON - 3600, NOON + 7200, "hour")
    assert [bar.watched for bar in bars({}, ahead, NOON)] == [0.0, None, None]


def test_persons_of_a_time_that_was_not_watched_are_shown_all_the_same() -> None:
    """What was counted before sums were kept has no time that was watched."""
    bar = bars({NOON - 3600: Watched(Counts(mask=3), 0)}, Span(NOON - 3600, NOON, "hour"), NOON + 999)[0]
    assert not bar.is_gap and "3 mask" in stacked_bars([bar], "Persons")


def test_a_time_that_is_not_certain_is_drawn_faintly() -> None:
    unsure = bars({NOON - 3600: Watched(Counts(mask=3), 3600, 60)}, Span(NOON - 3600, NOON, "hour"), NOON)
    drawing = stacked_bars(unsure, "Persons")
    assert 'class="column unsure"' in drawing and "the clock may have been wrong" in drawing
    assert "unsure" not in stacked_bars([Bar(NOON, (("mask", 3),))], "Persons")


def test_a_bar_leads_closer_and_a_rate_is_drawn_where_there_are_enough_persons() -> None:
    sums = {NOON - 4 * 3600: Watched(Counts(mask=30, no_mask=10), 3600), NOON: Watched(Counts(mask=1), 1200)}
    drawing = chart(sums, HOURS, NOON + 1800, "lobby")
    assert "compliance 75 %" in drawing and drawing.count('href="?since=') == 2
    assert "href" not in chart(
        {NOON - 120: Watched(Counts(mask=1), 60)}, Span(NOON - 600, NOON, "minute"), NOON, "lobby"
    )
    rates = rate_chart(sums, HOURS, NOON + 1800, "lobby")
    assert rates.count('class="dot"') == 1 and "not enough people yet" in rates
    assert rate_chart({NOON: sums[NOON]}, HOURS, NOON + 1800, "lobby") == ""


def test_a_range_has_steps_that_can_be_read_and_is_bounded() -> None:
    assert span_of(NOON + 30, NOON + 3600, UTC).step == "minute"
    assert span_of(NOON, NOON + 7 * 86400, UTC).step == "hour"
    assert span_of(NOON, NOON + 365 * 86400, UTC).step == "day"
    widened = span_of(NOON + 1, NOON + 3601, UTC, "hour")
    assert (widened.since_utc, widened.until_utc) == (NOON, NOON + 7200)
    for since_utc, until_utc in ((NOON, NOON), (NOON, NOON - 1)):
        with pytest.raises(InputError, match="swap"):
            span_of(since_utc, until_utc, UTC)
    with pytest.raises(InputError, match=str(MAX_STEPS)):
        span_of(0, NOON, UTC, "minute")
