"""Detections: the record, newest first; one of them; its images. What people change of them: reviewing.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bottle import HTTPResponse

from appliance.accounts.guard import Visitor
from appliance.errors import NotFound
from appliance.faces import State
from appliance.images import Place
from appliance.language import _
from appliance.local import reviewing
from appliance.local.arrivals import Arrivals, arrivals
from appliance.local.pages import Site
from appliance.local.requested import Requested, left_out, parts_set, presets, requested
from appliance.rates import compliance
from appliance.rules import detections as rules
from appliance.rules import things
from appliance.store import DetectionFilter, PictureKind, Store, StoredDetection
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import query_value, whole_number
from appliance.web.pages import Page

PAGE_SIZE = 24


def add_routes(app: App, site: Site) -> None:
    """The list, one detection, its images, and what an admin may change."""
    reviewing.add_routes(app, site)

    @app.get("/detections", access=Access.SIGNED_IN)
    def detections(store: Store, visitor: Visitor, now: Now) -> Page:
        return _list(site, store, visitor, now)

    @app.get("/detections/<detection_id:int>", access=Access.SIGNED_IN)
    def detection(store: Store, visitor: Visitor, now: Now, detection_id: int) -> Page:
        found = rules.find(store, detection_id)
        site.viewing.page(store, visitor, now, [found])
        filters = requested()
        older = store.detections.page(filters.filter, before_id=found.id, limit=1)
        newer = store.detections.page_after(filters.filter, after_id=found.id, limit=1)
        pictures = store.pictures.of(found.id) if found.image else []
        return site.pages.page(
            "detection.html",
            found=found,
            filters=filters,
            older=older[0] if older else None,
            newer=newer[0] if newer else None,
            keys=reviewing.KEYS,
            scene=next((each for each in pictures if each.kind is PictureKind.SCENE), None),
            faces=[each for each in pictures if each.kind is PictureKind.FACE],
            has_place=things.has_place(found.detection),
            back=whole_number(query_value("back")),
        )

    @app.get("/images/<token>", access=Access.SIGNED_IN, bearer=True)
    def image(store: Store, visitor: Visitor, now: Now, token: str) -> HTTPResponse:
        found = store.detections.with_image(token)
        place: Place | None = found.image if found else None
        if found is None and (beside := store.pictures.with_token(token)):
            found, place = store.detections.get(beside[0]), beside[1]
        jpeg = site.images.read(place) if found and found.image and place else None
        if found is None or jpeg is None:
            raise NotFound(_("This image was deleted."))
        site.viewing.image(store, visitor, now, found)
        return HTTPResponse(jpeg, headers={"Content-Type": "image/jpeg"})


def _list(site: Site, store: Store, visitor: Visitor, now: Now) -> Page:
    filters = requested()
    arrived = arrivals(store, filters.filter)
    page = _page_of(store, filters.filter, arrived)
    counts = store.trends.counts(filters.filter)
    streams = store.streams.all(now)
    site.viewing.page(store, visitor, now, page)
    is_first = whole_number(query_value("before")) is None and whole_number(query_value("after")) is None
    return site.pages.page(
        "detections.html",
        filters=filters,
        problem=filters.problem or _deleted_stream(filters.filter, [stream.id for stream in streams]),
        detections=page,
        counts=counts,
        reviewed=_reviewed(store, filters.filter),
        rate=compliance(counts),
        states=State,
        streams=streams,
        parts=parts_set(filters.filter),
        presets=presets(store, now, filters.filter),
        left_out=left_out(store, filters.filter) if not page and is_first else [],
        keys=reviewing.KEYS,
        statistics=store.privacy.statistics_only(),
        older=_older(store, filters, page),
        newer=_newer(store, filters, page, arrived),
        arrived=arrived,
        is_first=is_first,
        here=filters.query(**_place(arrived)),
        renews_from=filters.query(**_place(arrived)) if page else None,
    )


def _deleted_stream(only: DetectionFilter, there: list[int]) -> str | None:
    if only.stream_id is None or only.stream_id in there:
        return None
    return _("The stream that this address asks for was deleted, or never was. Choose another, or all.")


def _reviewed(store: Store, only: DetectionFilter) -> int | None:
    """How many of them somebody reviewed; None where the filter says that already."""
    return None if only.reviewed is not None else store.detections.counts(replace(only, reviewed=True)).total


def _page_of(store: Store, only: DetectionFilter, arrived: Arrivals) -> list[StoredDetection]:
    after = whole_number(query_value("after"))
    if after is not None:
        return store.detections.page_after(only, after, PAGE_SIZE, arrived.up_to_id)
    return store.detections.page(only, whole_number(query_value("before")), PAGE_SIZE, arrived.up_to_id)


def _place(arrived: Arrivals) -> dict[str, int | None]:
    """What an address has beside the filter, so that its list stays the same one."""
    where = {name: whole_number(query_value(name)) for name in ("before", "after")}
    return {**where, "up_to": arrived.up_to_id}


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
