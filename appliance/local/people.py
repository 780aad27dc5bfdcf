"""The people of a box, for admins."""

from __future__ import annotations

import functools
from typing import Any

from appliance.accounts import changing
from appliance.accounts.guard import Visitor
from appliance.accounts.people import ROLES_OF_BOX
from appliance.errors import UserError
from appliance.language import _
from appliance.local.pages import Site
from appliance.rules import people as rules
from appliance.store import Store
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import field, see_other
from appliance.web.pages import Page


def add_routes(app: App, site: Site) -> None:
    """List, add, change, remove."""
    changing.add_routes(app, site.accounts, ROLES_OF_BOX, functools.partial(_page, site))

    @app.get("/people", access=Access.ADMIN)
    def people(store: Store, now: Now) -> Page:
        return _page(site, store, now)

    @app.post("/people", access=Access.ADMIN)
    def add(store: Store, now: Now) -> Page:
        try:
            role = rules.role_named(field("role"))
            password_hash = site.accounts.new_password_hash(field("name"))
            person_id = rules.add(store, field("name"), password_hash, role, now.utc)
        except UserError as error:
            return _page(site, store, now, problem=error, name=field("name"), role=field("role"))
        return site.pages.done("/people", _("{name} may sign in now.", name=rules.find(store, person_id).name))

    @app.get("/people/<person_id:int>/remove", access=Access.ADMIN)
    def confirm_removal(store: Store, now: Now, person_id: int) -> Page:
        person = rules.find(store, person_id)
        owned = store.streams.all(now, owner_id=person.id)
        return site.pages.page("person_remove.html", person=person, owned=owned)

    @app.post("/people/<person_id:int>/remove", access=Access.ADMIN)
    def remove(store: Store, visitor: Visitor, now: Now, person_id: int) -> Page:
        person = rules.find(store, person_id)
        try:
            receipt_id = rules.remove(store, visitor.person, person, now)
        except UserError as error:
            return _page(site, store, now, problem=error)
        return see_other(f"/receipts/{receipt_id}")


def _page(site: Site, store: Store, now: Now, **values: Any) -> Page:
    streams: dict[int, int] = {}
    for stream in store.streams.all(now):
        streams[stream.owner_id] = streams.get(stream.owner_id, 0) + 1
    lists = {
        "people": store.people.all(),
        "streams": streams,
        "tokens": store.people.all_tokens(),
        "roles": ROLES_OF_BOX,
    }
    defaults = {"now_utc": now.utc, "name": "", "role": "", "open_id": None}
    return site.pages.page("people.html", **{**lists, **defaults, **values})
