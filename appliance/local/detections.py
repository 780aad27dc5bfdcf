"""Detections: the record, newest first; one of them; its image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from bottle import HTTPError, HTTPResponse

from appliance.faces import State
from appliance.images import Place
from appliance.local.access import Visitor
from appliance.local.pages import Page, Site
from appliance.rates import compliance
from appliance.store import DetectionFilter, Store, StoredDetection
from appliance.times import Now, utc_seconds, utc_text
from appliance.web.access import Access, App
from appliance.web.forms import asked, field, see_other, whole_number

PAGE_SIZE = 24
EARLIEST_UTC, LATEST_UTC = 0.0, 253402300799.0  # 1970 to 9999: what four digits of a year can say


@dataclass(frozen=True, slots=True)
class Asked:
    """The filter as asked for in the address. problem: what of it could not be read, for the person."""

    wanted: DetectionFilter
    problem: str | None

    def query(self, **more: object) -> str:
        """The part of an address that asks for this again; empty when nothing was asked."""
        wanted = self.wanted
        parts = {
            "stream": wanted.stream_id,
            "state": wanted.state.value if wanted.state else None,
            "since": None if wanted.since_utc is None else utc_text(wanted.since_utc),
            "until": None if wanted.until_utc is None else utc_text(wanted.until_utc),
            "search": wanted.search or None,
            **more,
        }
        query = urlencode({name: value for name, value in parts.items() if value is not None})
        return f"?{query}" if query else ""

    def __bool__(self) -> bool:
        return self.wanted != DetectionFilter()


def asked_for() -> Asked:
    """The filter in the address. What cannot be read is left out, and said."""
    unread = []
    state = None
    if asked("state"):
        try:
            state = State(asked("state"))
        except ValueError:
            unread.append("state")
    times: dict[str, float | None] = {"since": None, "until": None}
    for name in times:
        if asked(name):
            try:
                times[name] = min(max(utc_seconds(asked(name)), EARLIEST_UTC), LATEST_UTC)
            except (ValueError, OverflowError):
                unread.append({"since": "from", "until": "until"}[name])
    stream_id = whole_number(asked("stream"))
    wanted = DetectionFilter(stream_id, state, times["since"], times["until"], asked("search")[:100])
    problem = f"Could not read: {', '.join(unread)}. A time looks like 2026-11-23T16:00." if unread else None
    return Asked(wanted, problem)


def add_routes(app: App, site: Site) -> None:
    """The list, one detection, its image, and what an admin may change."""

    @app.get("/detections", access=Access.SIGNED_IN)
    def detections(store: Store, now: Now) -> Page:
        filtered = asked_for()
        page = _page_of(store, filtered.wanted)
        counts = store.detections.counts(filtered.wanted)
        return site.page(
            "detections.html",
            asked=filtered,
            problem=filtered.problem,
            detections=page,
            counts=counts,
            rate=compliance(counts),
            states=State,
            streams=store.streams.all(now),
            older=_older(store, filtered, page),
            newer=_newer(store, filtered, page),
        )

    @app.get("/detections/<detection_id:int>", access=Access.SIGNED_IN)
    def detection(store: Store, detection_id: int) -> Page:
        found = _found(store, detection_id)
        filtered = asked_for()
        older = store.detections.page(filtered.wanted, before_id=found.id, limit=1)
        newer = store.detections.page_after(filtered.wanted, after_id=found.id, limit=1)
        return site.page(
            "detection.html",
            found=found,
            asked=filtered,
            older=older[0] if older else None,
            newer=newer[0] if newer else None,
            states=State,
        )

    @app.post("/detections/<detection_id:int>/state", access=Access.ADMIN)
    def correct(store: Store, visitor: Visitor, detection_id: int) -> Page:
        found = _found(store, detection_id)
        try:
            state = State(field("state"))
        except ValueError as error:
            raise HTTPError(400, "Choose a state, then send again.") from error
        store.detections.correct_state(found.id, state, visitor.person.name)
        return see_other(f"/detections/{found.id}{asked_for().query()}")

    @app.get("/detections/<detection_id:int>/delete", access=Access.ADMIN)
    def confirm_deletion(store: Store, detection_id: int) -> Page:
        return site.page("detection_delete.html", found=_found(store, detection_id), asked=asked_for())

    @app.post("/detections/<detection_id:int>/delete", access=Access.ADMIN)
    def delete(store: Store, detection_id: int) -> Page:
        delete_detection(site, store, _found(store, detection_id))
        return see_other(f"/detections{asked_for().query()}")

    @app.get("/images/<token>", access=Access.SIGNED_IN, bearer=True)
    def image(store: Store, token: str) -> HTTPResponse:
        found = store.detections.with_image(token)
        jpeg = site.images.read(_place(found)) if found else None
        if jpeg is None:
            raise HTTPError(404, "This image was deleted.")
        return HTTPResponse(jpeg, headers={"Content-Type": "image/jpeg"})


def delete_detection(site: Site, store: Store, found: StoredDetection) -> None:
    """Delete a detection; its image is overwritten on the disk first. Raises OSError."""
    if found.image:
        site.images.erase(_place(found))
    store.detections.remove(found.id)


def _place(found: StoredDetection) -> Place:
    if found.image is None:
        raise HTTPError(404, "This detection has no image.")
    return Place(found.image.day, found.image.offset, found.image.size_bytes)


def _found(store: Store, detection_id: int) -> StoredDetection:
    found = store.detections.get(detection_id) if detection_id < 2**63 else None
    if found is None:
        raise HTTPError(404, "This detection was deleted, or never was.")
    return found


def _page_of(store: Store, wanted: DetectionFilter) -> list[StoredDetection]:
    after = whole_number(asked("after"))
    if after is not None:
        return store.detections.page_after(wanted, after, PAGE_SIZE)
    return store.detections.page(wanted, whole_number(asked("before")), PAGE_SIZE)


def _older(store: Store, filtered: Asked, page: list[StoredDetection]) -> str | None:
    if not page or not store.detections.page(filtered.wanted, page[-1].id, 1):
        return None
    return f"/detections{filtered.query(before=page[-1].id)}"


def _newer(store: Store, filtered: Asked, page: list[StoredDetection]) -> str | None:
    """The page before; the first one without an id, so that it keeps itself up to date."""
    if not page:
        at_start: Any = not asked("before") and not asked("after")
        return None if at_start else f"/detections{filtered.query()}"
    following = store.detections.page_after(filtered.wanted, page[0].id, PAGE_SIZE + 1)
    if not following:
        return None
    if len(following) <= PAGE_SIZE:
        return f"/detections{filtered.query()}"
    return f"/detections{filtered.query(after=page[0].id)}"
