"""Detections: the record, newest first; one of them; its image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from bottle import HTTPResponse

from appliance.accounts.guard import Visitor
from appliance.errors import InputError, NotFound
from appliance.faces import State
from appliance.language import _
from appliance.local.arrivals import Arrivals, arrivals
from appliance.local.pages import Site
from appliance.rates import compliance
from appliance.rules import detections as rules
from appliance.rules import things
from appliance.store import DetectionFilter, Store, StoredDetection
from appliance.times import Now, utc_text
from appliance.web.access import Access, App
from appliance.web.forms import field, moment_utc, query_value, see_other, whole_number
from appliance.web.pages import Page

PAGE_SIZE = 24


@dataclass(frozen=True, slots=True)
class Requested:
    """The filter that the address asks for. problem: what of it could not be read, for the person."""

    filter: DetectionFilter
    problem: str | None

    def query(self, **more: object) -> str:
        """The part of an address that asks for this again; empty where nothing is filtered."""
        only = self.filter
        parts = {
            "stream": only.stream_id,
            "state": only.state.value if only.state else None,
            "since": None if only.since_utc is None else utc_text(only.since_utc),
            "until": None if only.until_utc is None else utc_text(only.until_utc),
            "search": only.search or None,
            **more,
        }
        query = urlencode({name: value for name, value in parts.items() if value is not None})
        return f"?{query}" if query else ""

    def __bool__(self) -> bool:
        return self.filter != DetectionFilter()


def requested() -> Requested:
    """The filter in the address. What cannot be read is left out, and said."""
    unread = []
    state = None
    if query_value("state"):
        try:
            state = State(query_value("state"))
        except ValueError:
            unread.append("state")
    times: dict[str, float | None] = {"since": None, "until": None}
    for name in times:
        if query_value(name):
            try:
                times[name] = moment_utc(query_value(name), name, zone_needed=False)
            except InputError:
                unread.append({"since": "from", "until": "until"}[name])
    stream_id = whole_number(query_value("stream"))
    if query_value("stream") and stream_id is None:
        unread.append("stream")
    only = DetectionFilter(stream_id, state, times["since"], times["until"], query_value("search")[:100])
    problem = f"Could not read: {', '.join(unread)}. A time looks like 2026-11-23T16:00." if unread else None
    return Requested(only, problem)


def add_routes(app: App, site: Site) -> None:
    """The list, one detection, its image, and what an admin may change."""
    _add_changes(app, site)

    @app.get("/detections", access=Access.SIGNED_IN)
    def detections(store: Store, visitor: Visitor, now: Now) -> Page:
        filters = requested()
        arrived = arrivals(store, filters.filter)
        page = _page_of(store, filters.filter, arrived)
        counts = store.trends.counts(filters.filter)
        site.viewing.page(store, visitor, now, page)
        return site.pages.page(
            "detections.html",
            filters=filters,
            problem=filters.problem,
            detections=page,
            counts=counts,
            rate=compliance(counts),
            states=State,
            streams=store.streams.all(now),
            statistics=store.privacy.statistics_only(),
            older=_older(store, filters, page),
            newer=_newer(store, filters, page, arrived),
            arrived=arrived,
            is_first=whole_number(query_value("before")) is None and whole_number(query_value("after")) is None,
            renews_from=_address_that_stays(filters, page, arrived),
        )

    @app.get("/detections/<detection_id:int>", access=Access.SIGNED_IN)
    def detection(store: Store, visitor: Visitor, now: Now, detection_id: int) -> Page:
        found = rules.find(store, detection_id)
        site.viewing.page(store, visitor, now, [found])
        filters = requested()
        older = store.detections.page(filters.filter, before_id=found.id, limit=1)
        newer = store.detections.page_after(filters.filter, after_id=found.id, limit=1)
        return site.pages.page(
            "detection.html",
            found=found,
            filters=filters,
            older=older[0] if older else None,
            newer=newer[0] if newer else None,
            states=State,
            has_place=things.has_place(found.detection),
        )

    @app.get("/images/<token>", access=Access.SIGNED_IN, bearer=True)
    def image(store: Store, visitor: Visitor, now: Now, token: str) -> HTTPResponse:
        found = store.detections.with_image(token)
        jpeg = site.images.read(found.image) if found and found.image else None
        if found is None or jpeg is None:
            raise NotFound("This image was deleted.")
        site.viewing.image(store, visitor, now, found)
        return HTTPResponse(jpeg, headers={"Content-Type": "image/jpeg"})


def _add_changes(app: App, site: Site) -> None:
    @app.post("/detections/<detection_id:int>/state", access=Access.ADMIN)
    def correct(store: Store, visitor: Visitor, detection_id: int) -> Page:
        try:
            state = State(field("state"))
        except ValueError as error:
            raise InputError("Choose a state, then send again.") from error
        rules.correct(store, visitor.person, detection_id, state)
        return site.pages.done(f"/detections/{detection_id}{requested().query()}", _("The state was corrected."))

    @app.get("/detections/<detection_id:int>/delete", access=Access.ADMIN)
    def confirm_deletion(store: Store, detection_id: int) -> Page:
        return site.pages.page("detection_delete.html", found=rules.find(store, detection_id), filters=requested())

    @app.post("/detections/<detection_id:int>/delete", access=Access.ADMIN)
    def delete(store: Store, visitor: Visitor, detection_id: int, now: Now) -> Page:
        receipt_id = rules.delete(store, site.images, visitor.person, detection_id, now)
        return see_other(f"/receipts/{receipt_id}{requested().query()}")

    @app.get("/detections/<detection_id:int>/not-a-person", access=Access.ADMIN)
    def confirm_thing(store: Store, visitor: Visitor, now: Now, detection_id: int) -> Page:
        found = rules.find(store, detection_id)
        before = store.zones.of(found.stream_id)
        is_there = things.with_place_of(found.detection, before) == before
        site.viewing.page(store, visitor, now, [found])
        return site.pages.page("detection_thing.html", found=found, filters=requested(), is_there=is_there)

    @app.post("/detections/<detection_id:int>/not-a-person", access=Access.ADMIN)
    def mark_thing(store: Store, visitor: Visitor, detection_id: int, now: Now) -> Page:
        receipt_id = things.mark(store, site.images, visitor.person, detection_id, now)
        return see_other(f"/receipts/{receipt_id}{requested().query()}")


def _page_of(store: Store, only: DetectionFilter, arrived: Arrivals) -> list[StoredDetection]:
    after = whole_number(query_value("after"))
    if after is not None:
        return store.detections.page_after(only, after, PAGE_SIZE, arrived.up_to_id)
    return store.detections.page(only, whole_number(query_value("before")), PAGE_SIZE, arrived.up_to_id)


def _address_that_stays(filters: Requested, page: list[StoredDetection], arrived: Arrivals) -> str | None:
    """Where the page renews itself from, so that its list stays; an empty list has nobody to keep in place."""
    if not page:
        return None
    where = {name: whole_number(query_value(name)) for name in ("before", "after")}
    return filters.query(**where, up_to=arrived.up_to_id)


def _older(store: Store, filters: Requested, page: list[StoredDetection]) -> str | None:
    if not page or not store.detections.page(filters.filter, page[-1].id, 1):
        return None
    return f"/detections{filters.query(before=page[-1].id)}"


def _newer(store: Store, filters: Requested, page: list[StoredDetection], arrived: Arrivals) -> str | None:
    """The page before; the first one without an id, so that it keeps itself up to date."""
    if not page:
        at_start: Any = not query_value("before") and not query_value("after")
        return None if at_start else f"/detections{filters.query()}"
    following = store.detections.page_after(filters.filter, page[0].id, PAGE_SIZE + 1, arrived.up_to_id)
    if not following:
        return None
    if len(following) <= PAGE_SIZE:
        return f"/detections{filters.query()}"
    return f"/detections{filters.query(after=page[0].id)}"
