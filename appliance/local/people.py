"""The people of a box, for admins."""

from __future__ import annotations

from typing import Any

from bottle import HTTPError

from appliance.local.access import Visitor
from appliance.local.pages import Page, Site, saving
from appliance.local.sign_in import new_password_hash
from appliance.store import Person, Role, Store
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import clean_name, field, see_other

LAST_ADMIN = "This is the only admin, and a box needs one. Make another person an admin first."


def add_routes(app: App, site: Site) -> None:
    """List, add, change, remove."""

    @app.get("/people", access=Access.ADMIN)
    def people(store: Store, now: Now) -> Page:
        return _page(site, store, now)

    @app.post("/people", access=Access.ADMIN)
    def add(store: Store, now: Now) -> Page:
        try:
            name = clean_name(field("name"), "the person", without=":")
            role = _role()
            password_hash = new_password_hash(site)
            with saving(store):
                store.people.add(name, password_hash, role, now.utc)
        except ValueError as error:
            return _page(site, store, now, status=400, problem=str(error), name=field("name"), role=field("role"))
        return see_other("/people")

    @app.post("/people/<person_id:int>/role", access=Access.ADMIN)
    def change_role(store: Store, now: Now, person_id: int) -> Page:
        person = _person(store, person_id)
        try:
            role = _role()
            with saving(store):
                changed = store.people.set_role(person.id, role)
            if not changed:
                raise ValueError(LAST_ADMIN)
        except ValueError as error:
            return _page(site, store, now, status=400, problem=str(error))
        return see_other("/people")

    @app.post("/people/<person_id:int>/password", access=Access.ADMIN)
    def set_password(store: Store, now: Now, visitor: Visitor, person_id: int) -> Page:
        person = _person(store, person_id)
        try:
            password_hash = new_password_hash(site)
            with saving(store):
                keep = visitor.session if visitor.person.id == person.id else None
                store.people.set_password(person.id, password_hash, keep_session=keep)
        except ValueError as error:
            return _page(site, store, now, status=400, problem=str(error))
        return _page(site, store, now, done=f"{person.name} has a new password; their sessions have ended.")

    @app.get("/people/<person_id:int>/remove", access=Access.ADMIN)
    def confirm_removal(store: Store, now: Now, person_id: int) -> Page:
        person = _person(store, person_id)
        owned = store.streams.all(now, owner_id=person.id)
        return site.page("person_remove.html", person=person, owned=owned)

    @app.post("/people/<person_id:int>/remove", access=Access.ADMIN)
    def remove(store: Store, now: Now, person_id: int) -> Page:
        person = _person(store, person_id)
        try:
            with saving(store):
                removed = store.people.remove(person.id)
            if not removed:
                raise ValueError(_why_not(store, now, person))
        except ValueError as error:
            return _page(site, store, now, status=400, problem=str(error))
        return see_other("/people")


def _page(site: Site, store: Store, now: Now, **values: Any) -> Page:
    streams: dict[int, int] = {}
    for stream in store.streams.all(now):
        streams[stream.owner_id] = streams.get(stream.owner_id, 0) + 1
    defaults = {"people": store.people.all(), "streams": streams, "roles": Role, "name": "", "role": "", "done": None}
    return site.page("people.html", **{**defaults, **values})


def _person(store: Store, person_id: int) -> Person:
    person = store.people.get(person_id) if person_id < 2**63 else None
    if person is None:
        raise HTTPError(404, "There is no such person any more.")
    return person


def _role() -> Role:
    try:
        return Role(field("role"))
    except ValueError as error:
        raise ValueError("Choose a role.") from error


def _why_not(store: Store, now: Now, person: Person) -> str:
    owned = store.streams.all(now, owner_id=person.id)
    if owned:
        titles = ", ".join(stream.title for stream in owned[:3]) + (" ..." if len(owned) > 3 else "")
        return f"{person.name} still owns {titles}. Give these streams to someone else, or delete them, first."
    return LAST_ADMIN
