"""Home: how many, how well, what is LIVE, what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from appliance.accounts.guard import Visitor
from appliance.faces import Counts, State
from appliance.local.access import streams_of_others
from appliance.local.alerts import open_now
from appliance.local.health import look
from appliance.local.pages import Site
from appliance.local.trend_charts import last_day_chart
from appliance.local.trend_steps import detections_address
from appliance.rates import Rate, compliance
from appliance.reception import box_at_fault, receptions
from appliance.store import DetectionFilter, Store
from appliance.store.measuring import Measured
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.pages import Page


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


def add_routes(app: App, site: Site) -> None:
    """The home page."""

    @app.get("/", access=Access.SIGNED_IN)
    def home(store: Store, visitor: Visitor, now: Now) -> Page:
        today_utc = store.trends.midnight_utc(now.utc)
        starts = [("Today", today_utc), ("Last 7 days", now.utc - 7 * 86400), ("All", None)]
        periods = [period(store, title, DetectionFilter(since_utc=since)) for title, since in starts]
        how = look(site, store, now, visitor.sees_only)
        streams, received = how.streams, receptions(store, how.streams, now, how.disk.is_full)
        latest = store.detections.latest_with_image()
        site.viewing.page(store, visitor, now, [latest] if latest else [])
        return site.pages.page(
            "home.html",
            periods=periods,
            streams=streams,
            others=streams_of_others(store, visitor),
            live=[stream for stream in streams if stream.live],
            with_problem=[stream for stream in streams if received[stream.id].is_wrong],
            receptions=received,
            unknown=box_at_fault(received.values()),
            latest=latest,
            problems=how.problems,
            notices=how.notices,
            alerts=open_now(store, visitor, streams),
            statistics=store.privacy.statistics_only(),
            chart=last_day_chart(store, now.utc) if periods[2].counts.total else "",
            zone=store.trends.zone(),
            now=now,
        )


def period(store: Store, title: str, only: DetectionFilter) -> Period:
    """How many persons, and how well."""
    counts = store.trends.counts(only)
    lists = {state.value if state else "": detections_address(replace(only, state=state)) for state in (None, *State)}
    return Period(title, counts, compliance(counts), lists)
