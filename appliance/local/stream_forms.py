"""Making a stream, and changing one."""

from __future__ import annotations

from typing import Any

from appliance.accounts.guard import Visitor
from appliance.address import shown
from appliance.errors import InputError, UserError
from appliance.keeping import ImageMode, Keeping
from appliance.language import _
from appliance.local.pages import Site
from appliance.local.stream_keys import to_key_page
from appliance.rules import streams as rules
from appliance.store import Store, Stream
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import field, secret_field, whole_number
from appliance.web.pages import Page

WITH_KEY, WITH_SOURCE = "key", "source"
KEPT = ("images", "images_days", "detections_days")


def add_routes(app: App, site: Site) -> None:
    """The two forms."""

    @app.get("/streams/new", access=Access.SIGNED_IN)
    def new_form(store: Store, visitor: Visitor) -> Page:
        blank = {"name": "", "kind": WITH_KEY, "source": "", "watch": "", "owner": str(visitor.person.id)}
        blank |= _keeping_as_text(Keeping())
        return _form(site, store, visitor, None, blank)

    @app.post("/streams", access=Access.SIGNED_IN)
    def make(store: Store, visitor: Visitor, now: Now) -> Page:
        typed = _typed()
        source = typed["source"] if typed["kind"] == WITH_SOURCE else None
        try:
            owner = whole_number(typed["owner"]) or visitor.person.id
            user, password = _credentials()
            stream, key = rules.add(
                store,
                visitor.person,
                owner,
                typed["name"],
                source,
                now,
                source_user=user,
                source_password=password,
                watch=typed["watch"] if source is not None else None,
                keeping=_keeping(typed),
            )
        except UserError as error:
            return _form(site, store, visitor, None, typed, problem=error)
        if key:
            return to_key_page(site, stream.id, visitor, key, now)
        return site.pages.done(f"/streams/{stream.id}", _("The stream {name} was made.", name=stream.name))

    @app.get("/streams/<stream_id:int>/edit", access=Access.OWNER)
    def edit_form(store: Store, visitor: Visitor, stream: Stream) -> Page:
        return _form(site, store, visitor, stream, _as_stored(stream))

    @app.post("/streams/<stream_id:int>/edit", access=Access.OWNER)
    def edit(store: Store, visitor: Visitor, stream: Stream, now: Now) -> Page:
        typed = {**_as_stored(stream), **_typed()}
        # Addresses that were not touched come back as shown, their secrets hidden.
        source, watch = (typed["source"], typed["watch"]) if stream.source_url is not None else (None, None)
        try:
            user, password = _credentials()
            rules.change(
                store,
                visitor.person,
                stream,
                owner=whole_number(typed["owner"]),
                name=typed["name"],
                source=source,
                source_user=user,
                source_password=password,
                watch=watch,
                keeping=_keeping(typed),
            )
        except UserError as error:
            return _form(site, store, visitor, stream, typed, problem=error)
        return site.pages.done(f"/streams/{stream.id}", _said_of(stream.name, store, stream.id, now))


def _said_of(before: str, store: Store, stream_id: int, now: Now) -> str:
    """What an edit did, for its person."""
    stream = store.streams.get(stream_id, now)
    name = stream.name if stream else before
    if name != before:
        return _("The stream {before} was renamed: it is {name} now.", before=before, name=name)
    return _("The stream {name} was changed.", name=name)


def _typed() -> dict[str, str]:
    return {name: field(name) for name in ("name", "kind", "source", "watch", "owner", *KEPT)}


def _keeping(typed: dict[str, str]) -> Keeping:
    """What is to be kept. Raises InputError."""
    days = {name: whole_number(typed[name]) for name in ("images_days", "detections_days")}
    for name, number in days.items():
        if typed[name] and number is None:
            told = {
                "images_days": _("Keep images for a whole number of days, or leave it empty."),
                "detections_days": _("Keep detections for a whole number of days, or leave it empty."),
            }
            raise InputError(told[name], name)
    try:
        mode = ImageMode(typed["images"]) if typed["images"] else None
    except ValueError as error:
        raise InputError(_("Choose what of images is kept, then send again."), "images") from error
    return Keeping(mode, **days)


def _keeping_as_text(keeping: Keeping) -> dict[str, str]:
    days = {name: str(getattr(keeping, name) or "") for name in ("images_days", "detections_days")}
    return {"images": keeping.images.value if keeping.images else "", **days}


def _credentials() -> tuple[str, str]:
    return field("source_user"), secret_field("source_password")


def _as_stored(stream: Stream) -> dict[str, str]:
    kind = WITH_KEY if stream.has_key else WITH_SOURCE
    return {
        "name": stream.name,
        "kind": kind,
        "source": shown(stream.source_url or ""),
        "watch": shown(stream.watch_url or ""),
        "owner": str(stream.owner_id),
        **_keeping_as_text(stream.keeping),
    }


def _form(
    site: Site, store: Store, visitor: Visitor, stream: Stream | None, typed: dict[str, str], **values: Any
) -> Page:
    people = store.people.all() if visitor.is_admin else []
    # What was refused comes back for correction, but a password is never shown again, not even to who typed it.
    addresses = {name: shown(typed[name]) for name in ("source", "watch")}
    typed = {**typed, **addresses, "source_user": field("source_user")}
    images = site.config.images
    values |= {"box_mode": Keeping().mode(images.keep, images.pixelate_eyes), "keep_days": images.keep_days}
    return site.pages.page("stream_form.html", stream=stream, typed=typed, people=people, **values)
