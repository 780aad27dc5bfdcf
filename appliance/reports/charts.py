"""The charts of a report's page: SVG from pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.language import _, short_day_and_month
from appliance.reports.figures import Sum
from appliance.reports.links import Links
from appliance.reports.periods import Kind
from appliance.reports.report import Report
from appliance.reports.words import step_words
from appliance.web.charts import Bar, stacked_bars
from appliance.web.rate_charts import Point, rate_band
from appliance.web.svg import STATE_LABELS, Tick
from appliance.web.week_charts import Cell, heat_map
from appliance.web.words import rate_words

LABELLED_HOURS, LABELLED_DAYS = 3, 8
"""A label at every so many hours; at most so many days have one."""


def persons_chart(of: Report, links: Links) -> str:
    """Persons by hour or day."""
    bars = [_bar(step, of, links) for step in of.steps]
    return stacked_bars(bars, _persons_by(of), ticks=_ticks(of))


def _bar(step: Sum, of: Report, links: Links) -> Bar:
    return Bar(
        step.start_utc,
        tuple((state, getattr(step.counts, state)) for state in STATE_LABELS),
        0.0 if step.is_gap else None,
        when=step_words(step, of),
        href=links.step(step),
        more=_("compliance {rate}", rate=rate_words(step.rate)) if step.rate else "",
    )


def rate_chart(of: Report, links: Links) -> str:
    """The compliance by hour or day; empty: no step has enough persons for one."""
    if not any(step.rate for step in of.steps):
        return ""
    points = [Point(step_words(step, of), step.rate, step.is_gap, links.step(step)) for step in of.steps]
    title = _("Compliance by hour") if _is_day(of) else _("Compliance by day")
    return rate_band(points, title, _ticks(of))


def week_chart(of: Report) -> str:
    """Persons an hour by hour of the week; empty: of a day."""
    if of.hours is None:
        return ""
    rows = [
        [_cell(each, of.times_of(weekday, hour)) for hour, each in enumerate(row)]
        for weekday, row in enumerate(of.hours)
    ]
    return heat_map(rows, _("Persons by hour of the week"))


def _cell(of: Sum, times: int) -> Cell | None:
    if of.is_gap:
        return Cell(None) if times else None
    return Cell(of.counts.total / max(1, times), _("compliance {rate}", rate=rate_words(of.rate)) if of.rate else "")


def _is_day(of: Report) -> bool:
    return of.period.kind is Kind.DAY


def _persons_by(of: Report) -> str:
    return _("Persons by hour") if _is_day(of) else _("Persons by day")


def _ticks(of: Report) -> list[Tick]:
    starts = [of.zone.local(step.start_utc) for step in of.steps]
    if of.period.kind is Kind.DAY:
        return [
            Tick(index, f"{at:%H:%M}")
            for index, at in enumerate(starts)
            if at.minute == 0 and at.hour % LABELLED_HOURS == 0
        ]
    every = -(-len(starts) // LABELLED_DAYS) or 1
    return [Tick(index, short_day_and_month(starts[index])) for index in range(0, len(starts), every)]


def charts(of: Report, links: Links) -> Sequence[tuple[str, str]]:
    """Each chart that there is, with what stands above it."""
    rates = _("Compliance by day, with its 95 % interval")
    if _is_day(of):
        rates = _("Compliance by hour, with its 95 % interval")
    found = (
        (_persons_by(of), persons_chart(of, links) if of.steps else ""),
        (rates, rate_chart(of, links)),
        (_("Persons an hour, by hour of the week"), week_chart(of)),
    )
    return [(title, drawing) for title, drawing in found if drawing]
