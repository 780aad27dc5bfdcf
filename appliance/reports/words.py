"""What a report says, in words that its page and its mail share. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from urllib.parse import urlencode

from appliance.language import (
    N_,
    _,
    clock,
    day_and_month,
    decimal,
    long_date,
    n_,
    short_day_and_month,
    short_weekday_and_day,
)
from appliance.rates import Difference
from appliance.reports.figures import Sum
from appliance.reports.periods import Kind, Period, day_of
from appliance.reports.report import Compared, Report, Unwatched
from appliance.time_zone import DAY_S, HOUR_S, TimeZone
from appliance.web.words import duration, number, percent, persons_change, rate_words, sign

MOST_UNWATCHED = 4
"""So many times in which nobody looked are told one by one."""


def address_of(period: Period, subjects: Iterable[str] | None = None) -> str:
    """Where the page of a report is, on its site."""
    asked = [("kind", period.kind.value), ("day", day_of(period.first_day).isoformat())]
    return f"/report?{urlencode([*asked, *(('of', each) for each in subjects or ())])}"


def step_words(step: Sum, of: Report) -> str:
    """The time of a step by the clocks of the report's zone: 07:00 to 08:00; Mon 23 Nov."""
    start, end = of.zone.local(step.start_utc), of.zone.local(step.end_utc)
    if of.period.kind is not Kind.DAY:
        return short_weekday_and_day(start)
    # Where the clocks show an hour twice, which one it is.
    other = of.zone.local(step.start_utc - HOUR_S).hour == start.hour or end.hour == start.hour
    words = _("{first} to {last}", first=clock(start), last=clock(end))
    return f"{words} (UTC{start:%z})" if other else words


def step_runs(of: Report) -> list[tuple[str, Sum]]:
    """Each step with its time in words; those that follow each other and in which nobody looked are one."""
    runs: list[list[Sum]] = []
    for step in of.steps:
        if step.is_gap and runs and runs[-1][-1].is_gap:
            runs[-1].append(step)
        else:
            runs.append([step])
    found = []
    for run in runs:
        found.append((step_words(run[0], of) if len(run) == 1 else _run_words(run[0], run[-1], of), run[0]))
    return found


def _run_words(first: Sum, last: Sum, of: Report) -> str:
    if of.period.kind is not Kind.DAY:
        return _("{first} to {last}", first=step_words(first, of), last=step_words(last, of))
    start, end = of.zone.local(first.start_utc), of.zone.local(last.end_utc)
    return _("{first} to {last}", first=clock(start), last=clock(end))


def until_words(of: Report) -> str:
    """Up to when a report goes that is not over: 18:44; of more than a day with the day, 18:44, 28 November."""
    at = of.zone.local(of.until_utc)
    return clock(at) if of.period.kind is Kind.DAY else f"{clock(at)}, {day_and_month(at)}"


def made_words(at: datetime) -> str:
    """When a report was made: 23 November 2026, 07:00."""
    return f"{long_date(at)}, {clock(at)}"


def change_words(change: Difference) -> str:
    """How the rate differs from that of another time: +4 points now (95 % interval -3 to +12; it may be chance)."""
    values = {"points": _points(change.value), "low": _signed(change.low), "high": _signed(change.high)}
    if change.may_be_chance:
        return _("{points} now (95 % interval {low} to {high}; it may be chance)", **values)
    return _("{points} now (95 % interval {low} to {high}; more than chance)", **values)


def _signed(share: float) -> str:
    points = round(100 * share)
    return f"{sign(points)}{abs(points)}"


def _points(share: float) -> str:
    points = round(100 * share)
    return n_("{sign}{n} point", "{sign}{n} points", abs(points), sign=sign(points))


def compared_words(of: Compared, now: Report) -> str:
    """One line about another time: how many persons there were, and how the compliance differs."""
    change = persons_change(now.counts.total, of.counts.total)
    if not change:
        return _("nobody was counted then")
    persons = n_("{n} person then, {change} now", "{n} persons then, {change} now", of.counts.total, change=change)
    return _("{persons}; {compliance}", persons=persons, compliance=_compliance_then(of))


def _compliance_then(of: Compared) -> str:
    """The compliance of another time beside that of now, or which of the two cannot be said."""
    if of.rate is None:
        return _("there were too few people then to say a compliance")
    if of.change is None:
        return _("compliance {rate} then, and too few people now to compare it", rate=rate_words(of.rate))
    return _("compliance {rate} then, {change}", rate=rate_words(of.rate), change=change_words(of.change))


def unwatched_words(of: Report) -> str:
    """When nobody looked, as a sentence; that there was no such hour."""
    if not of.unwatched:
        return _("In each hour somebody looked.") if of.length_s >= HOUR_S else _("Nothing is known yet.")
    share = min(1.0, of.unwatched_s / max(1.0, of.length_s))
    times, count = list(of.unwatched), 0
    if len(times) > MOST_UNWATCHED:  # each night, say
        longest = sorted(times, key=lambda each: each.since_utc - each.until_utc)[:MOST_UNWATCHED]
        times, count = sorted(longest, key=lambda each: each.since_utc), len(times)
    told = ", ".join(span_words(each, of.zone) for each in times)
    values = {"time": duration(of.unwatched_s), "share": percent(share), "times": told}
    if not count:
        return _("For {time} ({share} of the time) nobody looked: {times}. These are no zeros.", **values)
    return _(
        "For {time} ({share} of the time) nobody looked: {count} times, the longest of them {times}."
        " These are no zeros.",
        count=number(count),
        **values,
    )


def span_words(of: Unwatched, zone: TimeZone) -> str:
    """A time in which nobody looked: 23 Nov 02:00 to 05:00."""
    start, end = zone.local(of.since_utc), zone.local(of.until_utc)
    first, last = (f"{short_day_and_month(at)} {clock(at)}" for at in (start, end))
    same_day = of.until_utc - of.since_utc < DAY_S and end.day == start.day
    return _("{first} to {last}", first=first, last=clock(end) if same_day else last)


def watched_words(watched_s: int | None, of: Report) -> str:
    """Of the time of a report, how much one stream was watched: 98 %; None: that cannot be said."""
    if watched_s is None:
        return "·"
    return percent(min(1.0, watched_s / max(1.0, of.length_s)))


def corrected_words(of: Report) -> str:
    """What people did by hand, and what that says of the box; empty where that is not known."""
    by_hand, wrong = of.errors.by_hand, of.errors.wrong
    if by_hand is None:
        return ""
    if not by_hand:
        return _("Nobody was given another state by hand.")
    if wrong is None or not wrong.is_enough:
        return n_(
            "{n} person was given another state by hand.", "{n} persons were given another state by hand.", by_hand
        )
    return n_(
        "{n} person was given another state by hand; so the box was wrong about {share} % of those it judged"
        " ({low} to {high} %), as far as somebody looked.",
        "{n} persons were given another state by hand; so the box was wrong about {share} % of those it judged"
        " ({low} to {high} %), as far as somebody looked.",
        by_hand,
        share=decimal(100 * wrong.value),
        low=decimal(100 * wrong.low),
        high=decimal(100 * wrong.high),
    )


BY_PART = {"stream": N_("By stream"), "box": N_("By box")}
PART = {"stream": N_("Stream"), "box": N_("Box")}
ALL_PARTS = {"stream": N_("all streams"), "box": N_("all boxes")}
OF_ALL_PARTS = {"stream": N_("Of all streams"), "box": N_("Of all boxes")}
OF_WHICH_PARTS = {"stream": N_("Of which streams"), "box": N_("Of which boxes")}
"""By the noun of what a report's parts are."""
EACH = {
    Kind.DAY: N_("Each day, at {clock} on the day after"),
    Kind.WEEK: N_("Each week, at {clock} on the day after"),
    Kind.MONTH: N_("Each month, at {clock} on the day after"),
}
SEND_NOW = {
    Kind.DAY: N_("Send the latest report, of each day, now"),
    Kind.WEEK: N_("Send the latest report, of each week, now"),
    Kind.MONTH: N_("Send the latest report, of each month, now"),
}
NOTHING_BEFORE = {
    Kind.DAY: N_("Nothing is known of the day before."),
    Kind.WEEK: N_("Nothing is known of the week before."),
    Kind.MONTH: N_("Nothing is known of the month before."),
}


def parts_words(subjects: Sequence[str] | None, known: Mapping[str, str], noun: str) -> str:
    """Of what a plan's report is. known: names by id."""
    if subjects is None:
        return _(OF_ALL_PARTS[noun])
    if not subjects:
        return _("Of nothing: choose anew what it is of")
    return _("Of {names}", names=", ".join(known.get(each, each) for each in subjects))
