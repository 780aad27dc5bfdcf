"""Reports of the centre: of which sites and boxes, by what clock, and who sends them."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.accounts.guard import Visitor
from appliance.central.reporting import OfCentre, subjects
from appliance.central.store import CentralStore
from appliance.central.viewer.pages import Centre
from appliance.reports import site as reports_site
from appliance.reports.site import Reports
from appliance.times import Now
from appliance.web.access import App

SERVER_PAGE = "/alerts/mail"


def add_routes(app: App, centre: Centre) -> None:
    """The pages of reports."""
    reports_site.add_routes(
        app,
        Reports(
            pages=centre.pages,
            folder=centre.config.state,
            source=_source,
            subjects=_subjects,
            zone=lambda store: store.zone(),
            knows_time=lambda _store, _now: True,
            noun="box",
            server_page=SERVER_PAGE,
        ),
    )


def _source(store: CentralStore, visitor: Visitor, chosen: tuple[str, ...] | None, _: Now) -> OfCentre:
    return OfCentre(store, visitor.sees_only, chosen)


def _subjects(store: CentralStore, visitor: Visitor, _: Now) -> Mapping[str, str]:
    return subjects(store, visitor.sees_only)
