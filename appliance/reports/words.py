"""What a report says, in words that its page and its mail share. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlencode

from appliance.reports.figures import Sum
from appliance.reports.periods import Kind, Period, day_of
from appliance.reports.report import Compared, Report, Unwatched
from appliance.time_zone import DAY_S, HOUR_S, TimeZone
from appliance.web.words import duration, number, rate_words

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
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
        return f"{start:%a} {start.day} {start:%b}"
    # Where the clocks show an hour twice, which one it is.
    other = of.zone.local(step.start_utc - HOUR_S).hour == start.hour or end.hour == start.hour
    return f"{start:%H:%M} to {end:%H:%M}{f' (UTC{start:%z})' if other else ''}"


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
        first, last = step_words(run[0], of), step_words(run[-1], of)
        both = f"{first.partition(' to ')[0]} to {last.partition(' to ')[2] or last}"
        found.append((first if len(run) == 1 else both, run[0]))
    return found


def change_words(of: Compared) -> str:
    """How the rate differs from that of another time: +4 points now (95 % interval -3 to +12; it may be chance)."""
    change = of.change
    if change is None:
        return "which cannot be compared: not enough people"
    ends = f"95 % interval {_signed(change.low)} to {_signed(change.high)}"
    sure = "it may be chance" if change.may_be_chance else "more than chance"
    return f"{_points(change.value)} now ({ends}; {sure})"


def _signed(share: float) -> str:
    points = round(100 * share)
    return f"{_sign(points)}{abs(points)}"


def _points(share: float) -> str:
    points = round(100 * share)
    return f"{_sign(points)}{abs(points)} point{'' if abs(points) == 1 else 's'}"


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
    persons = f"{number(of.counts.total)} persons{f' then, {change} now' if change else ''}"
    return f"{persons}; compliance {rate_words(of.rate)} then, {change_words(of)}"


def unwatched_words(of: Report) -> str:
    """When nobody looked, as a sentence; that there was no such hour."""
    if not of.unwatched:
        return "In each hour somebody looked." if of.length_s >= HOUR_S else "Nothing is known yet."
    share = min(1.0, of.unwatched_s / max(1.0, of.length_s))
    times, intro = list(of.unwatched), ""
    if len(times) > MOST_UNWATCHED:  # each night, say
        longest = sorted(times, key=lambda each: each.since_utc - each.until_utc)[:MOST_UNWATCHED]
        times, intro = sorted(longest, key=lambda each: each.since_utc), f"{len(times)} times, the longest of them "
    told = ", ".join(span_words(each, of.zone) for each in times)
    return (
        f"For {duration(of.unwatched_s)} ({100 * share:.0f} % of the time) nobody looked: {intro}{told}."
        " These are no zeros."
    )


def span_words(of: Unwatched, zone: TimeZone) -> str:
    """A time in which nobody looked: 23 Nov 02:00 to 05:00."""
    start, end = zone.local(of.since_utc), zone.local(of.until_utc)
    first, last = (f"{at.day} {at:%b} {at:%H:%M}" for at in (start, end))
    return f"{first} to {f'{end:%H:%M}' if of.until_utc - of.since_utc < DAY_S and end.day == start.day else last}"


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
        return "Nobody was given another state by hand."
    told = f"{number(by_hand)} person{' was' if by_hand == 1 else 's were'} given another state by hand"
    if wrong is None or not wrong.is_enough:
        return f"{told}."
    share = f"{100 * wrong.value:.1f} % of those it judged ({100 * wrong.low:.1f} to {100 * wrong.high:.1f} %)"
    return f"{told}; so the box was wrong about {share}, as far as somebody looked."


def several(noun: str) -> str:
    """More than one of them: streams, boxes."""
    return f"{noun}es" if noun.endswith("x") else f"{noun}s"
