"""Reports of the box: of which streams, by what clock, and who sends them."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.accounts.guard import Visitor
from appliance.faces import State
from appliance.local.pages import Site
from appliance.local.trend_steps import lists_of
from appliance.reports import site as reports_site
from appliance.reports.links import ListAddress, Subjects
from appliance.reports.of_box import OfBox, knows_time
from appliance.reports.site import Reports
from appliance.store import DetectionFilter, Store
from appliance.times import Now
from appliance.web.access import App

SERVER_PAGE = "/alerts/mail"


def add_routes(app: App, site: Site) -> None:
    """The pages of reports."""
    reports_site.add_routes(
        app,
        Reports(
            pages=site.pages,
            folder=site.config.state,
            source=_source,
            subjects=_streams,
            zone=lambda store: store.trends.zone(),
            knows_time=knows_time,
            noun="stream",
            server_page=SERVER_PAGE,
            lists=_lists,
        ),
    )


def _source(store: Store, _visitor: Visitor, subjects: tuple[str, ...] | None, _now: Now) -> OfBox:
    return OfBox(store, subjects)


def _streams(store: Store, _visitor: Visitor, _now: Now) -> Mapping[str, str]:
    return {str(stream_id): title for stream_id, title in store.streams.titles().items()}


def _lists(store: Store) -> ListAddress:
    """The list of detections knows one stream, or all of them."""
    list_of = lists_of(store)

    def list_address(subjects: Subjects, since_utc: float, until_utc: float, state: State | None) -> str:
        if subjects is not None and len(subjects) != 1:
            return ""
        stream_id = None if subjects is None else int(subjects[0])
        return list_of(DetectionFilter(stream_id, state, since_utc, until_utc))

    return list_address
