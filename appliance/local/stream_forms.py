"""Making a stream, and changing one."""

from __future__ import annotations

from typing import Any

from appliance.local import sources
from appliance.local.access import Visitor
from appliance.local.pages import Page, Site, saving
from appliance.local.streams import key_page
from appliance.secrets import digest, new_stream_key
from appliance.store import Person, Store, Stream
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import clean_name, field, see_other, whole_number

WITH_KEY, WITH_SOURCE = "key", "source"


def add_routes(app: App, site: Site) -> None:
    """The two forms."""

    @app.get("/streams/new", access=Access.SIGNED_IN)
    def new_form(store: Store, visitor: Visitor) -> Page:
        blank = {"name": "", "kind": WITH_KEY, "source": "", "owner": str(visitor.person.id)}
        return _form(site, store, visitor, None, blank)

    @app.post("/streams", access=Access.SIGNED_IN)
    def make(store: Store, visitor: Visitor, now: Now) -> Page:
        typed = _typed()
        try:
            name = clean_name(typed["name"], "the stream")
            owner = _owner(store, visitor, typed["owner"], visitor.person)
            if typed["kind"] == WITH_SOURCE:
                source = sources.check(typed["source"], visitor.is_admin)
                with saving(store):
                    stream_id = store.streams.add_with_source(owner.id, name, source, now.utc)
                return see_other(f"/streams/{stream_id}")
            key = new_stream_key()
            with saving(store):
                stream_id = store.streams.add_with_key(owner.id, name, digest(key), now.utc)
        except ValueError as error:
            return _form(site, store, visitor, None, typed, status=400, problem=str(error))
        return key_page(site, stream_id, f"{owner.name}:{name}", key)

    @app.get("/streams/<stream_id:int>/edit", access=Access.OWNER)
    def edit_form(store: Store, visitor: Visitor, stream: Stream) -> Page:
        return _form(site, store, visitor, stream, _as_kept(stream))

    @app.post("/streams/<stream_id:int>/edit", access=Access.OWNER)
    def edit(store: Store, visitor: Visitor, stream: Stream) -> Page:
        typed = {**_as_kept(stream), **_typed()}
        try:
            _change(store, visitor, stream, typed)
        except ValueError as error:
            return _form(site, store, visitor, stream, typed, status=400, problem=str(error))
        return see_other(f"/streams/{stream.id}")


def _change(store: Store, visitor: Visitor, stream: Stream, typed: dict[str, str]) -> None:
    """Change what differs, all or nothing. Raises ValueError, a sentence for the person."""
    name = clean_name(typed["name"], "the stream")
    kept = store.people.get(stream.owner_id)
    owner = _owner(store, visitor, typed["owner"], kept or visitor.person)
    source = None
    # A source that was not touched comes back as shown, its password hidden.
    if stream.source_url is not None and typed["source"] != sources.shown(stream.source_url):
        source = sources.check(typed["source"], visitor.is_admin)
    with saving(store):
        if name != stream.name:
            store.streams.rename(stream.id, name)
        if owner.id != stream.owner_id:
            store.streams.give_to(stream.id, owner.id)
        if source is not None:
            store.streams.set_source(stream.id, source)


def _typed() -> dict[str, str]:
    return {name: field(name) for name in ("name", "kind", "source", "owner")}


def _as_kept(stream: Stream) -> dict[str, str]:
    source = sources.shown(stream.source_url) if stream.source_url else ""
    kind = WITH_KEY if stream.has_key else WITH_SOURCE
    return {"name": stream.name, "kind": kind, "source": source, "owner": str(stream.owner_id)}


def _owner(store: Store, visitor: Visitor, typed: str, otherwise: Person) -> Person:
    """Whose stream it becomes; only an admin may choose. Raises ValueError."""
    if not visitor.is_admin or not typed:
        return otherwise
    number = whole_number(typed)
    person = store.people.get(number) if number is not None else None
    if person is None:
        raise ValueError("This owner is gone; choose another.")
    return person


def _form(
    site: Site, store: Store, visitor: Visitor, stream: Stream | None, typed: dict[str, str], **values: Any
) -> Page:
    people = store.people.all() if visitor.is_admin else []
    return site.page("stream_form.html", stream=stream, typed=typed, people=people, **values)
