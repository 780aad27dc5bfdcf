"""What happened, newest first: who did what, and with which box. Alerts and an audit are to find their place here."""

from __future__ import annotations

from appliance.central.retention import RECORD_DAYS
from appliance.central.store import CentralStore
from appliance.central.viewer.pages import Centre
from appliance.web.access import Access, App
from appliance.web.forms import query_value, whole_number
from appliance.web.pages import Page

ROWS = 100
"""Of one page."""


def add_routes(app: App, centre: Centre) -> None:
    """The list."""

    @app.get("/events", access=Access.ADMIN)
    def events(store: CentralStore) -> Page:
        box = query_value("box")[:100] or None
        number = max(1, whole_number(query_value("page")) or 1)
        count = store.records.count_events(box)
        return centre.pages.page(
            "events.html",
            events=store.records.events(box, ROWS, (number - 1) * ROWS),
            names={each.id: each.name for each in store.boxes.all(None)},
            box=box or "",
            count=count,
            number=number,
            last=max(1, -(-count // ROWS)),
            days=RECORD_DAYS,
        )
