"""Alerts on the box: their pages and API, of its streams and of itself; and what is wrong now, for other pages."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.accounts.guard import Visitor
from appliance.alerts import api, log_page, mail_forms, message, recipient_forms, rule_forms
from appliance.alerts.changes import RECOMMENDED
from appliance.alerts.kinds import OF_BOX, Of, Subject, stream
from appliance.alerts.log_page import Shown, open_alerts
from appliance.alerts.recipients import Way
from appliance.alerts.sending import Send
from appliance.alerts.site import AlertSite, Theirs
from appliance.alerts.ways import by_mail, by_webhook
from appliance.config import Config
from appliance.language import N_, _
from appliance.local.pages import Site
from appliance.rules.boxes import box_title
from appliance.store import Store, Stream
from appliance.time_zone import time_zone
from appliance.times import Now
from appliance.web.access import App

NOTIFY = "notify"
NOT_WATCHED = N_(
    "The service `notify` is not running, so nothing is watched and nobody is told. If this stays for more than a"
    " minute, restart the box."
)
MQTT = N_("at the broker on site, which is set on the page Fleet")


def add_routes(app: App, site: Site) -> None:
    """All pages of alerts, and what programs ask."""
    alerts = AlertSite(
        pages=site.pages,
        folder=site.config.state,
        kinds=OF_BOX,
        recommended=RECOMMENDED,
        noun="stream",
        theirs=theirs,
        address=page_of,
        zone=zone_name,
        trouble=why_not_watched,
        ways=ways(site.config),
        mqtt=MQTT,
    )
    for module in (log_page, rule_forms, recipient_forms, mail_forms, api):
        module.add_routes(app, alerts)


def ways(config: Config) -> dict[Way, Send]:
    """What sends a test at once; MQTT goes through the outbox."""

    def teller() -> message.Site:
        return message.Site(box_title(config), "box", config.web.base_url, time_zone(), config.language)

    return {Way.WEBHOOK: by_webhook(teller), Way.EMAIL: by_mail(config.state, teller)}


def theirs(store: Store, visitor: Visitor, now: Now) -> Theirs:
    """The streams of a visitor; an admin's are all, and the box."""
    streams = store.streams.all(now, visitor.sees_only)
    return Theirs({stream(each.id): each.title for each in streams}, visitor.is_admin)


def page_of(subject: Subject) -> str:
    """Where the page of what an alert is about is; empty: it has none."""
    return f"/streams/{subject.id}" if subject.of is Of.STREAM else ""


def zone_name(store: Store) -> str:
    """Whose clocks quiet hours go by."""
    return store.trends.zone().name


def why_not_watched(store: Store, now: Now) -> str | None:
    """A sentence while nothing is watched."""
    alive = any(each.name == NOTIFY and each.alive for each in store.services.all(now))
    return None if alive else _(NOT_WATCHED)


def open_now(store: Store, visitor: Visitor, streams: Sequence[Stream]) -> list[Shown]:
    """What is wrong now, as a visitor may know it. streams: what they see; an admin sees all, and the box."""
    return open_alerts(store, page_of, None if visitor.is_admin else [stream(each.id) for each in streams])


def open_of(store: Store, stream_id: int) -> list[Shown]:
    """What is wrong now of one stream."""
    return open_alerts(store, page_of, [stream(stream_id)])
