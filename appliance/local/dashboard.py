"""Home: what is LIVE, what is wrong, how many of today or of another range, and how well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from appliance.accounts.guard import Visitor
from appliance.errors import InputError
from appliance.faces import Counts, State
from appliance.language import N_, _, days_words, full_date
from appliance.local import wall
from appliance.local.access import streams_of_others
from appliance.local.alerts import open_now
from appliance.local.health import look
from appliance.local.pages import Site
from appliance.local.trend_charts import last_day_chart, persons_chart
from appliance.local.trend_range import Kind, Range, Shown, day_of, own_range, range_of
from appliance.local.trend_steps import figures, lists_of
from appliance.local.troubles import troubles
from appliance.rates import Rate, compliance
from appliance.reception import box_at_fault, receptions
from appliance.store import DetectionFilter, Store
from appliance.store.measuring import Measured
from appliance.time_zone import QUARTER_S, TimeZone
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import query_value
from appliance.web.pages import Page

TODAY, DAYS, OWN = "today", "days", "own"
RANGES = {TODAY: N_("Today"), DAYS: N_("7 days"), OWN: N_("Range")}
"""What the card of counts may be about, by its name in the address."""
DAYS_SHOWN = 7


@dataclass(frozen=True, slots=True)
class Period:
    """The persons of a span of time. lists: where each number leads, by state; "": all of them.

    measured: how far the numbers can be trusted; None: not asked.
    """

    title: str
    counts: Counts
    rate: Rate | None
    lists: Mapping[str, str]
    measured: Measured | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """The range of the card. name: one of RANGES. problem: what of the address could not be read, for the person."""

    name: str
    range: Range
    problem: str | None = None

    @property
    def only(self) -> DetectionFilter:
        """Its persons. What goes on until now has no end, so that the list goes on, too."""
        return DetectionFilter(
            since_utc=self.range.since_utc, until_utc=self.range.until_utc if self.name == OWN else None
        )

    @property
    def days(self) -> tuple[str, str]:
        """Its first and its last day, as an address and a field of a form have them."""
        return day_of(self.range.first_day).isoformat(), day_of(self.range.last_day).isoformat()

    @property
    def when(self) -> str:
        """Its days as people read them; of a range that begins or ends within a day, with the time."""
        zone, first, last = self.range.zone, day_of(self.range.first_day), day_of(self.range.last_day)
        if any(zone.midnight_utc(utc) != utc for utc in (self.range.since_utc, self.range.until_utc)):
            return self.range.title
        if first == last:
            return full_date(first)
        return days_words(first, last)


def requested(now_utc: float, zone: TimeZone) -> Asked:
    """The range in the address; today where it cannot be read."""
    today = zone.day(now_utc // QUARTER_S * QUARTER_S)
    name = query_value("range") or TODAY
    if name == DAYS:
        ends = zone.day_start_utc(today + 1 - DAYS_SHOWN), zone.day_start_utc(today + 1)
        return Asked(DAYS, Range(Kind.OWN, *ends, zone, Shown.DAY))
    problem = None
    if name == OWN:
        try:
            return Asked(OWN, own_range(query_value("since"), query_value("until"), now_utc, zone, None, False))
        except InputError as error:
            problem = str(error)
    elif name != TODAY:
        problem = _("There is no such range; these are the numbers of today.")
    return Asked(TODAY, range_of(Kind.LIVE, today, zone), problem)


def add_routes(app: App, site: Site) -> None:
    """The home page, and the pictures of its wall."""
    wall.add_routes(app, site)

    @app.get("/", access=Access.SIGNED_IN)
    def home(store: Store, visitor: Visitor, now: Now) -> Page:
        zone = store.trends.zone()
        asked = requested(now.utc, zone)
        how = look(site, store, now, visitor.sees_only)
        streams, received = how.streams, receptions(store, how.streams, now, how.disk.is_full)
        alerts = open_now(store, visitor, streams)
        troubled = troubles(streams, received, alerts)
        shown = wall.wall_of(site, store, streams, received, troubled, zone.midnight_utc(now.utc))
        site.viewing.wall(visitor, [tile.subject for tile in shown.tiles if tile.shows])
        latest = store.detections.latest_with_image()
        site.viewing.page(store, visitor, now, [latest] if latest else [])
        return site.pages.page(
            "home.html",
            problem=asked.problem,
            wall=shown,
            streams=streams,
            others=streams_of_others(store, visitor),
            unknown=box_at_fault(received.values()),
            latest=latest,
            problems=how.problems,
            notices=how.notices,
            alerts=alerts,
            statistics=store.privacy.statistics_only(),
            asked=asked,
            ranges=RANGES,
            period=period(store, _(RANGES[asked.name]), asked.only),
            chart=chart_of(store, asked, now.utc),
            zone=zone,
            now=now,
        )


def chart_of(store: Store, asked: Asked, now_utc: float) -> str:
    """Persons of the range; of today, of the last 24 hours. Empty: nothing was counted yet."""
    if asked.name == TODAY:
        return last_day_chart(store, now_utc)
    first_utc = store.trends.first_utc(None)
    if first_utc is None or first_utc >= asked.range.until_utc:
        return ""
    return persons_chart(figures(store, asked.range, now_utc, compared=False), asked.range, now_utc)


def period(store: Store, title: str, only: DetectionFilter) -> Period:
    """How many persons, and how well."""
    counts = store.trends.counts(only)
    return Period(title, counts, compliance(counts), lists_by_state(store, only))


def lists_by_state(store: Store, only: DetectionFilter) -> dict[str, str]:
    """Where the persons of each state are listed; "": all of them. An address is empty where there is no list."""
    list_of = lists_of(store)
    return {state.value if state else "": list_of(replace(only, state=state)) for state in (None, *State)}
