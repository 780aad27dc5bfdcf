"""Messages of boxes that could not be taken, with the reason."""

from __future__ import annotations

from appliance.central.store import CentralStore
from appliance.central.viewer.pages import Centre
from appliance.web.access import Access, App
from appliance.web.pages import Page

MOST = 200


def add_routes(app: App, centre: Centre) -> None:
    """The list."""

    @app.get("/letters", access=Access.ADMIN)
    def letters(store: CentralStore) -> Page:
        known = {box.id for box in store.boxes.all(None)}
        return centre.pages.page("letters.html", letters=store.records.letters(None, limit=MOST), known=known)
