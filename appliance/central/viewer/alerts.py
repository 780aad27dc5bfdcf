"""Alerts at the centre: their pages and API, of boxes, sites and itself; and what is wrong now, for other pages."""

from __future__ import annotations

from urllib.parse import quote

from appliance.accounts.guard import Visitor
from appliance.alerts import api, log_page, mail_forms, recipient_forms, rule_forms
from appliance.alerts.kinds import OF_CENTRE, Backlog, Gone, Of, Rate, Service, Subject
from appliance.alerts.log_page import Shown, open_alerts
from appliance.alerts.site import AlertSite, Theirs
from appliance.central.notify import KIND, ways
from appliance.central.store import CentralStore
from appliance.central.viewer.pages import Centre
from appliance.language import N_, _
from appliance.times import Now
from appliance.web.access import App

NOT_WATCHED = N_(
    "The service `notify` of this centre is not running, so nothing is watched and nobody is told."
    " `mb9k central run` starts it, and its log says why it ends."
)
RECOMMENDED = (Gone(), Backlog(), Service(), Rate())
"""What a centre had best watch for, with the numbers that the kinds begin with."""


def add_routes(app: App, centre: Centre) -> None:
    """All pages of alerts, and what programs ask."""
    site = AlertSite(
        pages=centre.pages,
        folder=centre.config.state,
        kinds=OF_CENTRE,
        recommended=RECOMMENDED,
        noun="box",
        theirs=theirs,
        address=page_of,
        zone=lambda store: store.zone().name,
        trouble=why_not_watched,
        ways=ways(centre.config),
        mqtt="",
        examples=N_("a box that is gone, a backlog that grows, a rate that is too low at a site"),
    )
    for module in (log_page, rule_forms, recipient_forms, mail_forms, api):
        module.add_routes(app, site)


def theirs(store: CentralStore, visitor: Visitor, _now: Now) -> Theirs:
    """The sites and boxes that a visitor sees. An admin makes rules; an analyst looks."""
    sites = {Subject(Of.SITE, str(site.id)): site.name for site in store.sites.all(visitor.sees_only)}
    boxes = {
        Subject(Of.BOX, box.id): box.name
        for box in store.boxes.all(visitor.sees_only)
        if box.revoked_utc is None or not visitor.is_admin
    }
    return Theirs({**sites, **boxes}, visitor.is_admin, looks_only=True)


def page_of(subject: Subject) -> str:
    """Where the page of what an alert is about is; empty: it has none."""
    folder = {Of.SITE: "sites", Of.BOX: "boxes"}.get(subject.of)
    return f"/{folder}/{quote(subject.id)}" if folder else ""


def why_not_watched(store: CentralStore, now: Now) -> str | None:
    """A sentence while nothing is watched."""
    alive = any(each.kind == KIND and each.is_alive(now.utc) for each in store.records.processes())
    return None if alive else _(NOT_WATCHED)


def open_now(store: CentralStore, visitor: Visitor, now: Now) -> list[Shown]:
    """What is wrong now, as a visitor may know it."""
    return open_alerts(store, page_of, theirs(store, visitor, now).subjects)


def open_of(store: CentralStore, *subjects: Subject) -> list[Shown]:
    """What is wrong now of these."""
    return open_alerts(store, page_of, list(subjects))
