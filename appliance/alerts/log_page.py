"""The page of what is wrong now, and of what was told to whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from appliance.accounts.guard import Visitor
from appliance.alerts.alerts import AlertStore
from appliance.alerts.judge import What
from appliance.alerts.kinds import Of, Subject
from appliance.alerts.log import KEPT_S, Delivery, Entry, OpenAlert, Outcome
from appliance.alerts.message import told
from appliance.alerts.site import WAYS, AlertSite
from appliance.language import N_, _, n_
from appliance.retold import retold
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import MAX_ID, query_value, whole_number
from appliance.web.pages import Page
from appliance.web.words import listed

Address: TypeAlias = Callable[[Subject], str]
"""Where the page of what an alert is about is; empty: it has none."""
PAGE_SIZE = 25
HELD_BACK = N_("Not told yet: quiet hours, or soon after the last message")


@dataclass(frozen=True, slots=True)
class Unsent:
    """A message that one recipient has not got. at_utc: of its last try, or since when it waits."""

    recipient: str
    state: str
    is_failed: bool
    at_utc: str
    problem: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What happened, as a page shows it. address: of the page of what it is about; empty: it has none.

    sent: to whom; unsent: to whom not.
    """

    words: str
    title: str
    address: str
    at_utc: float
    since_utc: float
    is_over: bool
    is_test: bool
    note: str
    sent: str
    unsent: tuple[Unsent, ...]


def add_routes(app: App, site: AlertSite) -> None:
    """The page."""

    @app.get("/alerts", access=Access.SIGNED_IN)
    def alerts(store: AlertStore, visitor: Visitor, now: Now) -> Page:
        theirs = site.theirs(store, visitor, now)
        before = whole_number(query_value("before"))
        found = store.alerts.log.page(PAGE_SIZE + 1, None if before in (None, MAX_ID) else before, theirs.subjects)
        rules = [rule for rule in store.alerts.rules.all() if theirs.may_see(rule)]
        return site.page(
            "alerts.html",
            rules=rules,
            may_make=theirs.may_make,
            examples=_(site.examples),
            recipients=store.alerts.recipients.count(),
            trouble=site.trouble(store, now),
            open_now=open_alerts(store, site.address, theirs.subjects),
            log=[shown(each, site.address) for each in found[:PAGE_SIZE]],
            older=f"/alerts?before={found[PAGE_SIZE - 1].id}" if len(found) > PAGE_SIZE else None,
            newest="/alerts" if before is not None else None,
            kept_days=round(KEPT_S / 86_400),
        )


def shown(entry: Entry, address: Address) -> Shown:
    """An entry of the log."""
    event = entry.event
    is_of_one = event.subject.of is not Of.ALL
    return Shown(
        words=told(event),
        title=event.title if is_of_one else "",
        address=address(event.subject) if is_of_one else "",
        at_utc=event.at_utc,
        since_utc=event.since_utc,
        is_over=event.what is What.OVER,
        is_test=event.what is What.TEST,
        note="",
        sent=listed(_whom(each) for each in entry.deliveries if each.outcome is Outcome.SENT),
        unsent=tuple(_unsent(each) for each in entry.deliveries if each.outcome is not Outcome.SENT),
    )


def open_alerts(store: AlertStore, address: Address, subjects: list[Subject] | None) -> list[Shown]:
    """What is wrong now, for other pages. subjects: only about these; None: all."""
    return [_open(each, address) for each in store.alerts.log.open(subjects)]


def _open(alert: OpenAlert, address: Address) -> Shown:
    return replace(shown(alert.raised, address), note=_(HELD_BACK) if alert.is_held_back else "")


def _whom(delivery: Delivery) -> str:
    return f"{delivery.recipient}, {_(WAYS[delivery.way])}"


def _unsent(delivery: Delivery) -> Unsent:
    tries, is_failed = delivery.tries, delivery.outcome is Outcome.FAILED
    trying = _("waiting")
    if tries:
        trying = n_("{n} try failed, trying again", "{n} tries failed, trying again", tries)
    return Unsent(
        recipient=_whom(delivery),
        state=_("failed") if is_failed else trying,
        is_failed=is_failed,
        at_utc=delivery.at_utc or delivery.created_utc,
        problem=retold(delivery.problem),
    )
