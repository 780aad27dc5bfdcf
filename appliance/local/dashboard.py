"""Home: how many, how well, what is LIVE, what is wrong."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.accounts.guard import Visitor
from appliance.faces import Counts
from appliance.local.health import look
from appliance.local.pages import Site
from appliance.rates import Rate, compliance
from appliance.store import DetectionFilter, Step, Store
from appliance.time_zone import HOUR_S
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.charts import Bar, stacked_bars
from appliance.web.pages import Page

CHART_HOURS = 24


@dataclass(frozen=True, slots=True)
class Period:
    """The persons of a span of time."""

    title: str
    counts: Counts
    rate: Rate | None


def add_routes(app: App, site: Site) -> None:
    """The home page."""

    @app.get("/", access=Access.SIGNED_IN)
    def home(store: Store, visitor: Visitor, now: Now) -> Page:
        today_utc = store.trends.midnight_utc(now.utc)
        starts = [("Today", today_utc), ("Last 7 days", now.utc - 7 * 86400), ("All", None)]
        periods = [period(store, title, DetectionFilter(since_utc=since)) for title, since in starts]
        how = look(site, store, now, visitor.sees_only)
        streams = how.streams
        latest = store.detections.latest_with_image()
        site.viewing.page(store, visitor, now, [latest] if latest else [])
        return site.pages.page(
            "home.html",
            periods=periods,
            streams=streams,
            live=[stream for stream in streams if stream.live],
            with_problem=[stream for stream in streams if stream.active and stream.problem],
            latest=latest,
            problems=how.problems,
            notices=how.notices,
            chart=_chart(store, now) if periods[2].counts.total else "",
            now=now,
        )


def period(store: Store, title: str, only: DetectionFilter) -> Period:
    """How many persons, and how well."""
    counts = store.trends.counts(only)
    return Period(title, counts, compliance(counts))


def _chart(store: Store, now: Now) -> str:
    """Persons by hour, the last 24 hours."""
    buckets = store.trends.buckets(None, now.utc - (CHART_HOURS - 1) * HOUR_S, now.utc + 1, Step.HOUR)
    bars = []
    for bucket in buckets:
        counts = bucket.counts
        parts = (
            ("mask", counts.mask),
            ("incorrect", counts.incorrect),
            ("no_mask", counts.no_mask),
            ("unknown", counts.unknown),
        )
        bars.append(Bar(bucket.start_utc, parts))
    return stacked_bars(bars, "Persons by hour, the last 24 hours")
