"""Home: how many, how well, what is LIVE, what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from appliance.accounts.guard import Visitor
from appliance.faces import Counts
from appliance.local.health import look
from appliance.local.pages import Site
from appliance.rates import Rate, compliance
from appliance.store import DetectionFilter, Store
from appliance.times import Now, midnight_utc
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
        today_utc = midnight_utc(now.utc)
        starts = [("Today", today_utc), ("Last 7 days", now.utc - 7 * 86400), ("All", None)]
        periods = [period(store, title, DetectionFilter(since_utc=since)) for title, since in starts]
        how = look(site, store, now, visitor.sees_only)
        streams = how.streams
        return site.pages.page(
            "home.html",
            periods=periods,
            streams=streams,
            live=[stream for stream in streams if stream.live],
            with_problem=[stream for stream in streams if stream.active and stream.problem],
            latest=store.detections.latest_with_image(),
            problems=how.problems,
            notices=how.notices,
            chart=_chart(store, now) if periods[2].counts.total else "",
            now=now,
        )


def period(store: Store, title: str, only: DetectionFilter) -> Period:
    """How many persons, and how well."""
    counts = store.detections.counts(only)
    return Period(title, counts, compliance(counts))


def _chart(store: Store, now: Now) -> str:
    """Persons by hour, the last 24 hours."""
    hour = datetime.fromtimestamp(now.utc, timezone.utc).replace(minute=0, second=0, microsecond=0)
    hours = [hour - timedelta(hours=back) for back in range(CHART_HOURS - 1, -1, -1)]
    by_hour = store.detections.counts_by_hour(hours[0].timestamp())
    bars = []
    for start in hours:
        counts = by_hour.get(start.timestamp(), Counts())
        parts = (
            ("mask", counts.mask),
            ("incorrect", counts.incorrect),
            ("no_mask", counts.no_mask),
            ("unknown", counts.unknown),
        )
        bars.append(Bar(start.timestamp(), parts))
    return stacked_bars(bars, "Persons by hour, the last 24 hours")
