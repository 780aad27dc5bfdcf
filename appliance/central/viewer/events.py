"""What happened, newest first: who did what, and with which box. Alerts and an audit are to find their place here."""

from __future__ import annotations

from appliance.accounts.guard import Visitor
from appliance.central.retention import RECORD_DAYS
from appliance.central.store import CentralStore
from appliance.central.viewer.pages import Centre
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import query_value, whole_number
from appliance.web.pages import Page
from appliance.web.shown import Shown

ROWS = 100
"""Of one page."""


def add_routes(app: App, centre: Centre) -> None:
    """The list."""

    @app.get("/events", access=Access.ADMIN)
    def events(store: CentralStore, visitor: Visitor, now: Now) -> Page:
        return _page(centre, store, centre.accounts.new_metrics_token(visitor.person.id, now))


def _page(centre: Centre, store: CentralStore, shown: Shown | None) -> Page:
    """The list. shown: the metrics token that was made just now."""
    box = query_value("box")[:100] or None
    number = max(1, whole_number(query_value("page")) or 1)
    count, token = store.records.count_events(box), centre.accounts.metrics_token
    return centre.pages.page(
        "events.html",
        events=store.records.events(box, ROWS, (number - 1) * ROWS),
        names={each.id: each.name for each in store.boxes.all(None)},
        box=box or "",
        count=count,
        number=number,
        last=max(1, -(-count // ROWS)),
        days=RECORD_DAYS,
        token_made_utc=token.made_utc() if token else None,
        metrics_address=centre.pages.address.prefix + "/metrics",
        shown=shown,
    )
