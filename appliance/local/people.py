"""The people of a box, for admins."""

from __future__ import annotations

from typing import Any

from appliance.accounts.account import revoke_token
from appliance.accounts.guard import Visitor
from appliance.accounts.people import ROLES_OF_BOX
from appliance.errors import InputError, UserError
from appliance.local.pages import Site
from appliance.rules import people as rules
from appliance.store import Store
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import field, see_other
from appliance.web.pages import Page


def add_routes(app: App, site: Site) -> None:
    """List, add, change, remove."""

    @app.get("/people", access=Access.ADMIN)
    def people(store: Store, now: Now) -> Page:
        return _page(site, store, now)

    @app.post("/people", access=Access.ADMIN)
    def add(store: Store, now: Now) -> Page:
        try:
            role = rules.role_named(field("role"))
            rules.add(store, field("name"), site.accounts.new_password_hash(field("name")), role, now.utc)
        except UserError as error:
            return _page(site, store, now, problem=error, name=field("name"), role=field("role"))
        return see_other("/people")

    @app.post("/people/<person_id:int>/role", access=Access.ADMIN)
    def change_role(store: Store, now: Now, person_id: int) -> Page:
        person = rules.find(store, person_id)
        try:
            rules.change_role(store, person, rules.role_named(field("role")))
        except UserError as error:
            return _page(site, store, now, problem=error, open_id=person_id)
        return see_other("/people")

    @app.post("/people/<person_id:int>/password", access=Access.ADMIN)
    def set_password(store: Store, now: Now, visitor: Visitor, person_id: int) -> Page:
        person, keep_tokens = rules.find(store, person_id), bool(field("keep_tokens"))
        try:
            if person.id == visitor.person.id:
                raise InputError("Change your own password on the page Account; it asks for the current one.")
            password_hash = site.accounts.new_password_hash(person.name)
            rules.set_password(store, person, password_hash, keep_tokens=keep_tokens)
        except UserError as error:
            return _page(site, store, now, problem=error, open_id=person_id)
        ended = "sessions have ended" if keep_tokens else "sessions and tokens have ended"
        return _page(site, store, now, done=f"{person.name} has a new password; their {ended}.")

    @app.get("/people/<person_id:int>/remove", access=Access.ADMIN)
    def confirm_removal(store: Store, now: Now, person_id: int) -> Page:
        person = rules.find(store, person_id)
        owned = store.streams.all(now, owner_id=person.id)
        return site.pages.page("person_remove.html", person=person, owned=owned)

    @app.post("/people/<person_id:int>/remove", access=Access.ADMIN)
    def remove(store: Store, now: Now, person_id: int) -> Page:
        person = rules.find(store, person_id)
        try:
            rules.remove(store, person, now)
        except UserError as error:
            return _page(site, store, now, problem=error)
        return see_other("/people")

    @app.post("/people/tokens/<token_id:int>/revoke", access=Access.ADMIN)
    def revoke(store: Store, visitor: Visitor, token_id: int) -> Page:
        revoke_token(store, visitor, token_id, own_only=False)
        return see_other("/people#tokens")


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
    defaults = {"now_utc": now.utc, "name": "", "role": "", "done": None, "open_id": None}
    return site.pages.page("people.html", **{**lists, **defaults, **values})
