"""Sums over time as a chart: what nobody watched is a gap, never a zero. Pure functions."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlencode

from appliance.central import days
from appliance.central.store import Span, Watched
from appliance.central.viewer.condition import FRESH_S
from appliance.faces import Counts
from appliance.language import N_, _, short_day_and_month
from appliance.rates import Rate, compliance
from appliance.time_zone import HOUR_S, QUARTER_S, TimeZone
from appliance.times import utc_text
from appliance.web.charts import Bar, stacked_bars, utc_ticks
from appliance.web.rate_charts import Point, rate_band
from appliance.web.svg import Tick
from appliance.web.words import rate_words

UNCERTAIN = 0.05  # of the time that was watched; with more of it a bar is drawn faintly

PERSONS = {
    "minute": N_("Persons by minute: {what}"),
    "hour": N_("Persons by hour: {what}"),
    "day": N_("Persons by day ({zone}): {what}"),
}
COMPLIANCE = {
    "minute": N_("Compliance by minute: {what}"),
    "hour": N_("Compliance by hour: {what}"),
    "day": N_("Compliance by day ({zone}): {what}"),
}


def bars(series: Mapping[int, Watched], span: Span, now_utc: float, of_one_stream: bool = False) -> list[Bar]:
    """A bar for each step of the span. What is still to come, or may be on its way, is neither zero nor a gap."""
    return [
        replace(_bar(start, series.get(start), end - start, now_utc, of_one_stream), when=_when(start, span))
        for start, end in itertools.pairwise(span.cuts)
    ]


def _when(start_utc: int, span: Span) -> str:
    """A day by the centre's clocks; of what is shorter nothing: the reader's own clock shows it."""
    return _day_words(start_utc, span.zone) if span.step == "day" else ""


def _day_words(start_utc: int, zone: TimeZone) -> str:
    day = zone.local(start_utc + HOUR_S - QUARTER_S)  # a day begins with the hour of its midnight
    return short_day_and_month(day)


def _ticks(shown: list[Bar], span: Span) -> list[Tick]:
    found = utc_ticks(shown, span.step_s)
    if span.step != "day":
        return found
    return [replace(tick, text=_day_words(int(shown[tick.index].start_utc), span.zone)) for tick in found]


def _bar(start_utc: int, sums: Watched | None, step_s: int, now_utc: float, of_one_stream: bool) -> Bar:
    if sums is None:
        on_its_way = start_utc + min(step_s, FRESH_S) > now_utc - FRESH_S
        return Bar(start_utc, (), None if on_its_way else 0.0)
    expected_s = min(step_s, max(1.0, now_utc - FRESH_S - start_utc))
    watched = min(1.0, sums.watched_s / expected_s) if of_one_stream or not sums.watched_s else 1.0
    return Bar(start_utc, parts(sums.counts), watched, 60 * sums.unverified <= UNCERTAIN * sums.watched_s)


def parts(counts: Counts) -> tuple[tuple[str, int], ...]:
    """The persons of a bar, from the bottom up."""
    return (
        ("mask", counts.mask),
        ("incorrect", counts.incorrect),
        ("no_mask", counts.no_mask),
        ("unknown", counts.unknown),
    )


def chart(series: Mapping[int, Watched], span: Span, now_utc: float, what: str, of_one_stream: bool = False) -> str:
    """The chart of persons by step; a day leads to its hours, an hour to its minutes. what: whose, for its title."""
    title = _(PERSONS[span.step], zone=span.zone.name, what=what)
    shown = [
        replace(bar, href=_closer(bar, span) if bar.total else "", more=_rate_words(bar, series))
        for bar in bars(series, span, now_utc, of_one_stream)
    ]
    return stacked_bars(shown, title, ticks=_ticks(shown, span))


def rate_chart(series: Mapping[int, Watched], span: Span, now_utc: float, what: str) -> str:
    """The compliance by step with its interval; empty where no step has enough persons for one."""
    shown = bars(series, span, now_utc)
    rates = {bar.start_utc: _rate(bar, series) for bar in shown}
    points = [
        Point(bar.lines[0], rates[bar.start_utc], bar.is_gap, _closer(bar, span) if bar.total else "", bar.attributes)
        for bar in shown
    ]
    if not any(rates.values()):
        return ""
    return rate_band(points, _(COMPLIANCE[span.step], zone=span.zone.name, what=what), _ticks(shown, span))


def _closer(bar: Bar, span: Span) -> str:
    """The part of an address that asks for this bar in smaller steps; empty: there are none."""
    if span.step == "minute":
        return ""
    start_utc = int(bar.start_utc)
    until_utc = days.end_of(span.zone, start_utc) if span.step == "day" else start_utc + span.step_s
    ends = {"since": utc_text(start_utc), "until": utc_text(until_utc)}
    return f"?{urlencode(ends)}"


def _rate(bar: Bar, series: Mapping[int, Watched]) -> Rate | None:
    sums = series.get(int(bar.start_utc))
    rate = compliance(sums.counts) if sums else None
    return rate if rate and rate.is_enough else None


def _rate_words(bar: Bar, series: Mapping[int, Watched]) -> str:
    rate = _rate(bar, series)
    return _("compliance {rate}", rate=rate_words(rate)) if rate else ""
