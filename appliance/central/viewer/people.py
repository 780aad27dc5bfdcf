"""The people of a centre, for admins: who they are, and which sites an analyst sees."""

from __future__ import annotations

import functools
from typing import Any

from bottle import request

from appliance.accounts import changes, changing
from appliance.accounts.people import ROLES_OF_CENTRE
from appliance.central.store import CentralStore
from appliance.central.viewer.pages import Centre
from appliance.errors import InputError, UserError
from appliance.language import _
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import field, whole_number
from appliance.web.pages import Page


def add_routes(app: App, centre: Centre) -> None:
    """List, add, change, remove."""
    changing.add_routes(app, centre.accounts, ROLES_OF_CENTRE, functools.partial(_page, centre))

    @app.get("/people", access=Access.ADMIN)
    def people(store: CentralStore, now: Now) -> Page:
        return _page(centre, store, now)

    @app.post("/people", access=Access.ADMIN)
    def add(store: CentralStore, now: Now) -> Page:
        try:
            role = changes.role_named(field("role"), ROLES_OF_CENTRE)
            password_hash = centre.accounts.new_password_hash(field("name"))
            person_id = changes.add(store, field("name"), password_hash, role, now.utc)
            _give_sites(store, person_id)
        except UserError as error:
            return _page(centre, store, now, problem=error, name=field("name"), role=field("role"), chosen=_chosen())
        return centre.pages.done("/people", _("{name} may sign in now.", name=changes.find(store, person_id).name))

    @app.get("/people/<person_id:int>/remove", access=Access.ADMIN)
    def confirm_removal(store: CentralStore, person_id: int) -> Page:
        return centre.pages.page("person_remove.html", person=changes.find(store, person_id))

    @app.post("/people/<person_id:int>/remove", access=Access.ADMIN)
    def remove(store: CentralStore, now: Now, person_id: int) -> Page:
        person = changes.find(store, person_id)
        if not changes.remove(store, person):
            return _page(centre, store, now, problem=InputError(_(changes.LAST_ADMIN_OF_CENTRE)))
        return centre.pages.done("/people", _("{name} was removed.", name=person.name))

    @app.post("/people/<person_id:int>/sites", access=Access.ADMIN)
    def give_sites(store: CentralStore, person_id: int) -> Page:
        person = changes.find(store, person_id)
        _give_sites(store, person.id)
        return centre.pages.done("/people", _("What {name} sees was changed.", name=person.name))


def _chosen() -> list[int]:
    """The sites whose boxes were ticked in the form."""
    numbers = (whole_number(text) for text in request.forms.getall("sites"))
    return [number for number in numbers if number is not None]


def _give_sites(store: CentralStore, person_id: int) -> None:
    with store.saving():
        store.sites.give(person_id, _chosen())


def _page(centre: Centre, store: CentralStore, now: Now, **values: Any) -> Page:
    lists = {
        "people": store.people.all(),
        "tokens": store.people.all_tokens(),
        "roles": ROLES_OF_CENTRE,
        "sites": store.sites.all(None),
        "seen": store.sites.of_people(),
    }
    defaults = {"now_utc": now.utc, "name": "", "role": "", "chosen": [], "open_id": None}
    return centre.pages.page("people.html", **{**lists, **defaults, **values})
