"""Trends: persons and their rate over a day, a week, a month or a range of one's own, of the box or of one stream."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from bottle import HTTPError, HTTPResponse

from appliance.errors import InputError
from appliance.faces import Counts
from appliance.language import N_, _
from appliance.local import trend_charts as charts
from appliance.local.dashboard import lists_by_state
from appliance.local.pages import Site
from appliance.local.trend_range import LABELS, Kind, Range, day_number, own_range, range_of
from appliance.local.trend_steps import Figures, before_now, figures, is_compared, total
from appliance.rates import compliance
from appliance.reports import periods, words
from appliance.store import DetectionFilter, Store
from appliance.store.measuring import measured
from appliance.time_zone import QUARTER_S
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.chart_files import standalone
from appliance.web.forms import query_value, whole_number
from appliance.web.pages import Page
from appliance.web.tables import csv_answer
from appliance.web.week_charts import figure

REFRESH_S = 15
TITLES = {
    "persons": N_("Persons"),
    "rate": N_("Compliance with its 95 % interval"),
    "week": N_("Persons an hour, by hour of the week"),
    "streams": N_("Persons and compliance by stream"),
}
"""The charts, by their name in the address."""


class Trend:
    """What the charts of one range are made of, read when it is first asked for: a file holds one chart alone."""

    def __init__(self, store: Store, asked: Range, now: Now) -> None:
        self.asked, self._store, self._now = asked, store, now

    @cached_property
    def steps(self) -> list[Figures]:
        """The steps of the range."""
        return figures(self._store, self.asked, self._now.utc)

    @cached_property
    def week(self) -> charts.Week | None:
        """The hours of the week; None: nothing was counted yet."""
        return charts.week(self._store, self.asked, self._now.utc)

    @cached_property
    def titles(self) -> dict[int, str]:
        """All streams, by their ids."""
        return self._store.streams.titles()

    @cached_property
    def streams(self) -> list[charts.Counted]:
        """Those that counted somebody, the most persons first."""
        return charts.counted_streams(self._store, self.asked, self.titles)

    @cached_property
    def counts(self) -> Counts:
        """Of the whole range."""
        return total(each.counts for each in self.steps)

    @property
    def whose(self) -> str:
        """The stream, or that it is all of them."""
        return self.titles.get(self.asked.stream_id or 0) or _("all streams")

    def begins_at_start(self, name: str) -> bool:
        """Whether a narrow screen begins to show this chart at its start, else at its end, the newest."""
        return name in ("week", "streams") or charts.begins_at_start(self.asked, self._now.utc)

    def chart(self, name: str) -> str:
        """A chart by name; empty: there is nothing to draw."""
        drawn: dict[str, Callable[[], str]] = {
            "persons": lambda: charts.persons_chart(self.steps, self.asked, self._now.utc),
            "rate": lambda: charts.rate_chart(self.steps, self.asked),
            "week": lambda: charts.week_chart(self.week) if self.week else "",
            "streams": lambda: charts.streams_chart(self.streams, self.asked) if self.streams else "",
        }
        return drawn[name]()


def requested(store: Store, now: Now) -> Range:
    """The range in the address. What cannot be read is left out, and said."""
    zone = store.trends.zone()
    today = zone.day(now.utc // QUARTER_S * QUARTER_S)
    stream_id = whole_number(query_value("stream"))
    if query_value("stream") and (stream_id is None or store.streams.get(stream_id, now) is None):
        problem = _("There is no such stream; these are the numbers of all of them.")
        return range_of(Kind.LIVE, today, zone, None, problem)
    try:
        kind = Kind(query_value("range") or (Kind.OWN if query_value("since") else Kind.LIVE))
        if kind is Kind.OWN:
            by_quarters = store.privacy.statistics_only() is None  # such a box knows twenty minutes at a time
            return own_range(query_value("since"), query_value("until"), now.utc, zone, stream_id, by_quarters)
        day = today if kind is Kind.LIVE or not query_value("day") else day_number(query_value("day"))
        return range_of(kind, day, zone, stream_id)
    except InputError as error:
        return range_of(Kind.LIVE, today, zone, stream_id, str(error))
    except ValueError:
        problem = _("There is no such range; choose one of {ranges}.", ranges=", ".join(map(_, LABELS.values())))
        return range_of(Kind.LIVE, today, zone, stream_id, problem)


def add_routes(app: App, site: Site) -> None:
    """The page, and each of its charts as a file."""

    @app.get("/trends", access=Access.SIGNED_IN)
    def trends(store: Store, now: Now) -> Page:
        found = Trend(store, requested(store, now), now)
        asked, counts = found.asked, found.counts
        return site.pages.page(
            "trends.html",
            problem=asked.problem,
            statistics=store.privacy.statistics_only(),
            found=found,
            asked=asked,
            counts=counts,
            rate=compliance(counts),
            measured=measured(store, _ids(found), asked.since_utc, asked.until_utc),
            lists=lists_by_state(store, DetectionFilter(asked.stream_id, None, asked.since_utc, asked.until_utc)),
            before=before_now(store, asked, now.utc),
            is_compared=is_compared(asked),
            is_now=asked.since_utc <= now.utc < asked.until_utc,
            local_now=asked.zone.local(now.utc),
            today=asked.zone.day(now.utc // QUARTER_S * QUARTER_S),
            report_address=_report(asked),
            figure=figure,
            labels=LABELS,
            titles=TITLES,
            refresh_s=REFRESH_S if asked.since_utc <= now.utc < asked.until_utc else None,
        )

    @app.get("/trends/<chart>.svg", access=Access.SIGNED_IN)
    def as_svg(store: Store, now: Now, chart: str) -> HTTPResponse:
        found = _known(Trend(store, requested(store, now), now), chart)
        title = f"{_(TITLES[chart])}: {found.whose}"
        notes = [f"{site.pages.title() if site.pages.title else site.config.box}. {found.asked.title}. {_zone(found)}"]
        if chart == "week" and found.week:
            notes[0] = (
                f"{site.pages.title() if site.pages.title else site.config.box}. {found.week.words}. {_zone(found)}"
            )
        drawing = standalone(found.chart(chart), title, notes)
        headers = {
            "Content-Type": "image/svg+xml; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{_file_name(site, found, chart)}.svg"',
        }
        return HTTPResponse(drawing, headers=headers)

    @app.get("/trends/<chart>.csv", access=Access.SIGNED_IN)
    def as_csv(store: Store, now: Now, chart: str) -> HTTPResponse:
        found = _known(Trend(store, requested(store, now), now), chart)
        name, zone = _file_name(site, found, chart), found.asked.zone
        if chart == "week":
            return csv_answer(name, charts.WeekRow, charts.week_rows(found.week, zone) if found.week else [])
        if chart == "streams":
            return csv_answer(name, charts.StreamRow, charts.rows_of_streams(found.streams))
        return csv_answer(name, charts.StepRow, charts.step_rows(found.steps, zone))


def _report(asked: Range) -> str:
    """The report of the day, week or month in which a range ends."""
    kind = {Kind.WEEK: periods.Kind.WEEK, Kind.MONTH: periods.Kind.MONTH}.get(asked.kind, periods.Kind.DAY)
    streams = None if asked.stream_id is None else [str(asked.stream_id)]
    return words.address_of(periods.period_of(kind, asked.last_day), streams)


def _ids(found: Trend) -> list[int]:
    """The streams whose numbers these are."""
    return [each for each in found.titles if found.asked.stream_id in (None, each)]


def _known(found: Trend, chart: str) -> Trend:
    """The same, where there is a chart of this name and the address could be read. Raises HTTPError, InputError."""
    if chart not in TITLES:
        raise HTTPError(404)
    if found.asked.problem:
        raise HTTPError(400, found.asked.problem)
    return found


def _zone(found: Trend) -> str:
    return _("Times of {zone}.", zone=found.asked.zone.name)


def _file_name(site: Site, found: Trend, chart: str) -> str:
    """mb9k-lobby-persons-2026-11-23: the names of boxes and charts are plain ASCII."""
    day = found.asked.zone.local(found.asked.since_utc).date().isoformat()
    stream = f"-stream-{found.asked.stream_id}" if found.asked.stream_id is not None else ""
    return f"mb9k-{site.config.box}{stream}-{chart}-{day}"
