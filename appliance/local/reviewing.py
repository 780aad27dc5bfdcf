"""Detections as a review: correcting, marking and deleting them, one or several at once."""

from __future__ import annotations

from appliance.accounts.guard import Visitor
from appliance.errors import InputError
from appliance.faces import State
from appliance.language import _, n_
from appliance.local.pages import Site
from appliance.local.requested import REVIEWED, Requested, requested
from appliance.local.words import state_words
from appliance.rules import detections as rules
from appliance.rules import things
from appliance.store import Store
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import field, fields, query_value, see_other, whole_number
from appliance.web.pages import Page

KEYS = {State.MASK: "m", State.NO_MASK: "n", State.INCORRECT: "i", State.UNKNOWN: "u"}
"""The keys that correct; review.js presses the buttons that have them."""
JUST_REVIEWED = "reviewed"
MOST_AT_ONCE = 500


def add_routes(app: App, site: Site) -> None:
    """The forms of the list and of one detection."""
    _add_review(app, site)

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


def _add_review(app: App, site: Site) -> None:
    @app.post("/detections/<detection_id:int>/state", access=Access.ADMIN)
    def correct(store: Store, visitor: Visitor, detection_id: int, now: Now) -> Page:
        rules.correct(store, visitor.person, detection_id, _state(field("state")), now)
        return _next_one(site, store, requested(), detection_id)

    @app.post("/detections/<detection_id:int>/review", access=Access.ADMIN)
    def review(store: Store, visitor: Visitor, detection_id: int, now: Now) -> Page:
        if field("reviewed") == REVIEWED[False]:
            rules.review(store, visitor.person, detection_id, False, now)
            said = _("Detection {number} counts as not reviewed.", number=detection_id)
            return site.pages.done(f"/detections/{detection_id}{requested().query()}", said)
        rules.review(store, visitor.person, detection_id, True, now)
        return _next_one(site, store, requested(), detection_id)

    @app.post("/detections/review", access=Access.ADMIN)
    def review_several(store: Store, visitor: Visitor, now: Now) -> Page:
        ids = [number for text in fields("id") if (number := whole_number(text)) is not None][:MOST_AT_ONCE]
        if not ids:
            raise InputError(_("Select at least one detection, then send again."))
        state = None if field("do") == JUST_REVIEWED else _state(field("do"))
        there = rules.review_several(store, visitor.person, ids, state, now)
        filters = requested()
        place = {name: whole_number(query_value(name)) for name in ("before", "after", "up_to")}
        older = store.detections.page(filters.filter, there[-1], 1, place["up_to"]) if there else []
        following = f"#detection-{older[0].id}" if older else ""
        said = n_("{n} detection was marked.", "{n} detections were marked.", len(there))
        return site.pages.done(f"/detections{filters.query(**place)}{following}", said)


def _state(text: str) -> State:
    try:
        return State(text)
    except ValueError as error:
        raise InputError(_("Choose a state, then send again.")) from error


def _next_one(site: Site, store: Store, filters: Requested, detection_id: int) -> Page:
    """On to the one that follows within the filter, which leads back to this one; the last one stays."""
    state = state_words(rules.find(store, detection_id).detection)
    older = store.detections.page(filters.filter, before_id=detection_id, limit=1)
    if not older:
        said = _("Detection {number} is reviewed: {state}. No older one follows.", number=detection_id, state=state)
        return site.pages.done(f"/detections/{detection_id}{filters.query()}", said)
    said = _("Detection {number} is reviewed: {state}. This is the next one.", number=detection_id, state=state)
    return site.pages.done(f"/detections/{older[0].id}{filters.query(back=detection_id)}", said)
