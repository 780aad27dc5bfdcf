"""What a report says, in words that its page and its mail share. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from urllib.parse import urlencode

from appliance.language import _, decimal, n_, percent, short_day_and_month, short_day_of_year, short_weekday_and_day
from appliance.reports.figures import Sum
from appliance.reports.periods import Kind, Period, day_of
from appliance.reports.report import Compared, Report, Unwatched
from appliance.time_zone import DAY_S, HOUR_S, TimeZone
from appliance.web.words import duration, number, rate_words

MINUS = "\N{MINUS SIGN}"
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
        return short_weekday_and_day(start.date())
    # Where the clocks show an hour twice, which one it is.
    other = of.zone.local(step.start_utc - HOUR_S).hour == start.hour or end.hour == start.hour
    return _("{start} to {end}", start=f"{start:%H:%M}", end=f"{end:%H:%M}") + (f" (UTC{start:%z})" if other else "")


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
        found.append((step_words(run[0], of) if len(run) == 1 else _run_words(run, of), run[0]))
    return found


def _run_words(run: list[Sum], of: Report) -> str:
    """From the beginning of the first step to the end of the last one; of days, from the one to the other."""
    if of.period.kind is Kind.DAY:
        start, end = of.zone.local(run[0].start_utc), of.zone.local(run[-1].end_utc)
        return _("{start} to {end}", start=f"{start:%H:%M}", end=f"{end:%H:%M}")
    return _("{start} to {end}", start=step_words(run[0], of), end=step_words(run[-1], of))


def change_words(of: Compared) -> str:
    """How the rate differs from that of another time: +4 points now (95 % interval -3 to +12; it may be chance)."""
    change = of.change
    if change is None:
        return _("which cannot be compared: not enough people")
    points = round(100 * change.value)
    values = {"sign": _sign(points), "low": _signed(change.low), "high": _signed(change.high)}
    if change.may_be_chance:
        return n_(
            "{sign}{n} point now (95 % interval {low} to {high}; it may be chance)",
            "{sign}{n} points now (95 % interval {low} to {high}; it may be chance)",
            abs(points),
            **values,
        )
    return n_(
        "{sign}{n} point now (95 % interval {low} to {high}; more than chance)",
        "{sign}{n} points now (95 % interval {low} to {high}; more than chance)",
        abs(points),
        **values,
    )


def _signed(share: float) -> str:
    points = round(100 * share)
    return f"{_sign(points)}{abs(points)}"


def persons_change(now: int, before: int) -> str:
    """By how much more or fewer: +7 %; empty where there was nobody before."""
    if not before:
        return ""
    change = round(100 * (now / before - 1))
    return f"{_sign(change)}{abs(change)} %"


def _sign(change: int) -> str:
    return "+" if change > 0 else MINUS if change < 0 else "±"


def compared_words(of: Compared, now: Report) -> str:
    """One line about another time."""
    change = persons_change(now.counts.total, of.counts.total)
    values = {"persons": number(of.counts.total), "rate": rate_words(of.rate), "difference": change_words(of)}
    if change:
        return _("{persons} persons then, {change} now; compliance {rate} then, {difference}", change=change, **values)
    return _("{persons} persons; compliance {rate} then, {difference}", **values)


def unwatched_words(of: Report) -> str:
    """When nobody looked, as a sentence; that there was no such hour."""
    if not of.unwatched:
        return _("In each hour somebody looked.") if of.length_s >= HOUR_S else _("Nothing is known yet.")
    share = min(1.0, of.unwatched_s / max(1.0, of.length_s))
    times, count = list(of.unwatched), len(of.unwatched)
    if count > MOST_UNWATCHED:  # each night, say
        longest = sorted(times, key=lambda each: each.since_utc - each.until_utc)[:MOST_UNWATCHED]
        times = sorted(longest, key=lambda each: each.since_utc)
    values = {
        "duration": duration(of.unwatched_s),
        "share": percent(share),
        "times": ", ".join(span_words(each, of.zone) for each in times),
    }
    if count > MOST_UNWATCHED:
        return _(
            "For {duration} ({share} of the time) nobody looked: {count} times, the longest of them {times}."
            " These are no zeros.",
            count=count,
            **values,
        )
    return _("For {duration} ({share} of the time) nobody looked: {times}. These are no zeros.", **values)


def span_words(of: Unwatched, zone: TimeZone) -> str:
    """A time in which nobody looked: 23 Nov 02:00 to 05:00."""
    start, end = zone.local(of.since_utc), zone.local(of.until_utc)
    first, last = (f"{short_day_and_month(at.date())} {at:%H:%M}" for at in (start, end))
    is_one_day = of.until_utc - of.since_utc < DAY_S and end.day == start.day
    return _("{start} to {end}", start=first, end=f"{end:%H:%M}" if is_one_day else last)


def when(at: datetime) -> str:
    """23 Nov 2026 17:05."""
    return f"{short_day_of_year(at.date())} {at:%H:%M}"


def watched_words(watched_s: int | None, of: Report) -> str:
    """Of the time of a report, how much one stream was watched: 98 %; None: that cannot be said."""
    if watched_s is None:
        return "·"
    return f"{100 * min(1.0, watched_s / max(1.0, of.length_s)):.0f} %"


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


def several(noun: str) -> str:
    """More than one of them: streams, boxes."""
    return _("boxes") if noun == "box" else _("streams")
