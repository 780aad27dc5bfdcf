"""The JSON API: streams and detections for programs, with tokens that people make on their account page.

`openapi.py` documents it; tests/test_api.py holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
from bottle import HTTPError, HTTPResponse, request
from msgspec import UNSET

from appliance.faces import Detection, State
from appliance.images import Place
from appliance.local import api_types as shapes
from appliance.local.access import Visitor
from appliance.local.openapi import document
from appliance.local.pages import NotSaved, Site, saving
from appliance.local.sources import check as checked_source
from appliance.secrets import digest, new_stream_key
from appliance.store import DetectionFilter, NameTaken, Store, StoredDetection, StoredImage, Stream
from appliance.times import Now, utc_seconds, utc_text
from appliance.web.access import Access, App
from appliance.web.forms import clean_name

MAX_BODY_BYTES = 65_536
MAX_LIMIT, DEFAULT_LIMIT = 200, 50
MAX_ID = 2**63
Shape = TypeVar("Shape")


def add_routes(app: App, site: Site) -> None:
    """Add every route of the API."""
    _add_stream_routes(app)
    _add_stream_changes(app, site)
    _add_detection_routes(app, site)
    _add_detection_writes(app, site)

    @app.get("/api/openapi.json", access=Access.ANYONE)
    def openapi() -> HTTPResponse:
        """What this API is, for programs and for generators of clients."""
        return answer(document())

    @app.get("/api/v1/status", access=Access.SIGNED_IN)
    def status(store: Store, visitor: Visitor, now: Now) -> HTTPResponse:
        """How the box is."""
        owner_id = None if visitor.is_admin else visitor.person.id
        return answer(
            shapes.Status(
                box=site.config.box,
                time=utc_text(now.utc),
                services=[shapes.service_json(service) for service in store.services.all(now)],
                live=[stream.title for stream in store.streams.all(now, owner_id) if stream.live],
            )
        )


def _add_stream_routes(app: App) -> None:
    @app.get("/api/v1/streams", access=Access.SIGNED_IN)
    def streams(store: Store, visitor: Visitor, now: Now) -> HTTPResponse:
        """The visitor's streams; an admin's are all."""
        owner_id = None if visitor.is_admin else visitor.person.id
        found = store.streams.all(now, owner_id, _query("search"))
        return answer(shapes.StreamPage(streams=[shapes.stream_json(stream) for stream in found]))

    @app.post("/api/v1/streams", access=Access.SIGNED_IN)
    def add_stream(store: Store, visitor: Visitor, now: Now) -> HTTPResponse:
        """Make a stream; its key is in the answer, this once."""
        wanted = body(shapes.NewStream)
        owner_id = _owner_id(store, visitor, wanted.owner)
        name = _sentence(clean_name, wanted.name, "the stream")
        key = new_stream_key() if wanted.source_url is None else None
        source = "" if wanted.source_url is None else _sentence(checked_source, wanted.source_url, visitor.is_admin)
        with _kept(store):
            if key is not None:
                stream_id = store.streams.add_with_key(owner_id, name, digest(key), now.utc)
            else:
                stream_id = store.streams.add_with_source(owner_id, name, source, now.utc)
        return answer(shapes.with_key(_stream(store, stream_id, now), key), 201)

    @app.get("/api/v1/streams/<stream_id:int>", access=Access.OWNER)
    def one_stream(stream_id: int, stream: Stream) -> HTTPResponse:
        """One stream."""
        del stream_id  # the guard looked it up
        return answer(shapes.stream_json(stream))


def _add_stream_changes(app: App, site: Site) -> None:
    @app.patch("/api/v1/streams/<stream_id:int>", access=Access.OWNER)
    def change_stream(stream_id: int, store: Store, visitor: Visitor, now: Now) -> HTTPResponse:
        """Change what is named; the rest stays."""
        change = body(shapes.StreamChange)
        owner_id = None if change.owner is UNSET else _owner_id(store, visitor, change.owner)
        name = None if change.name is UNSET else _sentence(clean_name, change.name, "the stream")
        source = change.source_url
        with _kept(store):
            if owner_id is not None:
                store.streams.give_to(stream_id, owner_id)
            if name is not None:
                store.streams.rename(stream_id, name)
            if source is not UNSET:
                store.streams.set_source(stream_id, _sentence(checked_source, source, visitor.is_admin))
            if change.active is not UNSET:
                store.streams.set_active(stream_id, change.active)
        return answer(shapes.stream_json(_stream(store, stream_id, now)))

    @app.post("/api/v1/streams/<stream_id:int>/key", access=Access.OWNER)
    def rotate_key(stream_id: int, store: Store, now: Now) -> HTTPResponse:
        """Give it a new key; whoever sends with the old one is cut off within seconds."""
        key = new_stream_key()
        with _kept(store):
            store.streams.set_key(stream_id, digest(key))
        return answer(shapes.with_key(_stream(store, stream_id, now), key))

    @app.delete("/api/v1/streams/<stream_id:int>", access=Access.OWNER)
    def remove_stream(stream_id: int, store: Store) -> HTTPResponse:
        """Delete it with all its detections and their images."""
        for image in store.detections.images_of_stream(stream_id):
            _erase(site, image)
        with _kept(store):
            store.streams.remove(stream_id)
        return HTTPResponse(status=204)


def _add_detection_routes(app: App, site: Site) -> None:
    @app.get("/api/v1/detections", access=Access.SIGNED_IN)
    def detections(store: Store) -> HTTPResponse:
        """Detections, newest first, filtered and paged."""
        wanted, limit = wanted_detections(), _limit()
        before = _whole_number("before")
        found = store.detections.page(wanted, before, limit + 1)
        more = len(found) > limit
        query = {name: value for name, value in request.query.decode().items() if name not in ("before", "limit")}
        following = urlencode({**query, "limit": limit, "before": found[limit - 1].id}) if more else ""
        return answer(
            shapes.DetectionPage(
                detections=[shapes.detection_json(stored) for stored in found[:limit]],
                next=f"/api/v1/detections?{following}" if more else None,
            )
        )

    @app.get("/api/v1/detections/<detection_id:int>", access=Access.SIGNED_IN)
    def detection(detection_id: int, store: Store) -> HTTPResponse:
        """One detection."""
        return answer(shapes.detection_json(_detection(store, detection_id)))

    @app.get("/api/v1/detections/<detection_id:int>/image", access=Access.SIGNED_IN)
    def image_of_detection(detection_id: int, store: Store) -> HTTPResponse:
        """Its image, a JPEG."""
        image = _detection(store, detection_id).image
        jpeg = site.images.read(Place(image.day, image.offset, image.size_bytes)) if image else None
        if jpeg is None:
            raise HTTPError(404, "This detection has no image, or no longer.")
        return HTTPResponse(jpeg, headers={"Content-Type": "image/jpeg"})

    @app.get("/api/v1/counts", access=Access.SIGNED_IN)
    def counts(store: Store) -> HTTPResponse:
        """How many persons, by state, under the same filters."""
        return answer(shapes.counts_json(store.detections.counts(wanted_detections())))


def _add_detection_writes(app: App, site: Site) -> None:
    @app.post("/api/v1/detections", access=Access.ADMIN)
    def add_detection(store: Store, visitor: Visitor, now: Now) -> HTTPResponse:
        """Enter a detection by hand, for instance from an older system."""
        new = body(shapes.NewDetection)
        if not 0 < new.stream_id < MAX_ID or store.streams.get(new.stream_id, now) is None:
            raise HTTPError(404, "There is no such stream; GET /api/v1/streams lists them.")
        first = _sentence(_moment, new.first_seen, "first_seen")
        last = first if new.last_seen is None else _sentence(_moment, new.last_seen, "last_seen")
        if last < first:
            raise HTTPError(400, "last_seen is before first_seen; exchange them.")
        by_hand = f"by hand: {visitor.person.name}"
        entered = Detection(first, last, new.state, new.confidence, 0, (0.0, 0.0, 0.0, 0.0), 0, 0, by_hand)
        with _kept(store):
            detection_id = store.detections.add(new.stream_id, entered)
        return answer(shapes.detection_json(_detection(store, detection_id)), 201)

    @app.patch("/api/v1/detections/<detection_id:int>", access=Access.ADMIN)
    def correct_detection(detection_id: int, store: Store, visitor: Visitor) -> HTTPResponse:
        """Say what the state really is."""
        change = body(shapes.DetectionChange)
        _detection(store, detection_id)
        with _kept(store):
            store.detections.correct_state(detection_id, change.state, visitor.person.name)
        return answer(shapes.detection_json(_detection(store, detection_id)))

    @app.delete("/api/v1/detections/<detection_id:int>", access=Access.ADMIN)
    def remove_detection(detection_id: int, store: Store) -> HTTPResponse:
        """Delete it with its image."""
        image = _detection(store, detection_id).image
        if image is not None:
            _erase(site, image)
        with _kept(store):
            store.detections.remove(detection_id)
        return HTTPResponse(status=204)


def answer(content: Any, status: int = 200) -> HTTPResponse:
    """Something as JSON."""
    return HTTPResponse(msgspec.json.encode(content), status, {"Content-Type": "application/json"})


def body(shape: type[Shape]) -> Shape:
    """What was sent, if it has the right shape. Raises HTTPError."""
    if request.content_length > MAX_BODY_BYTES:
        raise HTTPError(413, f"Send at most {MAX_BODY_BYTES} bytes.")
    try:
        return msgspec.json.decode(request.body.read(MAX_BODY_BYTES), type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HTTPError(400, f"{str(error).rstrip('.')}; see /api/openapi.json.") from error


def wanted_detections() -> DetectionFilter:
    """The filters of the address. Raises HTTPError."""
    since, until = _query("since"), _query("until")
    return DetectionFilter(
        stream_id=_whole_number("stream"),
        state=_state(_query("state")),
        since_utc=_sentence(_moment, since, "since") if since else None,
        until_utc=_sentence(_moment, until, "until") if until else None,
        search=_query("search"),
    )


def _query(name: str) -> str:
    return str(request.query.getunicode(name) or "").strip()


def _whole_number(name: str) -> int | None:
    text = _query(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or int(text) >= MAX_ID:
        raise HTTPError(400, f"{name} must be a whole number.")
    return int(text)


def _limit() -> int:
    limit = _whole_number("limit")
    if limit is None:
        return DEFAULT_LIMIT
    if not 1 <= limit <= MAX_LIMIT:
        raise HTTPError(400, f"limit must be from 1 to {MAX_LIMIT}.")
    return limit


def _state(text: str) -> State | None:
    try:
        return State(text) if text else None
    except ValueError as error:
        raise HTTPError(400, f"state must be one of {', '.join(state.value for state in State)}.") from error


def _moment(text: str, name: str) -> float:
    try:
        moment = utc_seconds(text)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be a time such as 2026-11-23T16:00:00Z.") from error
    if not 0 <= moment < 32503680000:  # the year 3000
        raise ValueError(f"{name} must be a time between 1970 and 3000.")
    return moment


def _sentence(check: Any, *arguments: Any) -> Any:
    """What the check gives; its ValueError is the answer. Raises HTTPError."""
    try:
        return check(*arguments)
    except ValueError as error:
        raise HTTPError(400, str(error)) from error


@contextmanager
def _kept(store: Store) -> Iterator[None]:
    """One transaction; on trouble nothing is kept. Raises HTTPError."""
    try:
        with saving(store):
            yield
    except NameTaken as error:
        raise HTTPError(409, str(error)) from error
    except NotSaved as error:
        raise HTTPError(503, str(error)) from error


def _owner_id(store: Store, visitor: Visitor, owner: str | None) -> int:
    if owner is None or owner == visitor.person.name:
        return visitor.person.id
    if not visitor.is_admin:
        raise HTTPError(403, "Only an admin may give a stream to somebody else.")
    person = store.people.named(owner)
    if person is None:
        raise HTTPError(400, f"There is nobody called {owner}.")
    return person.id


def _stream(store: Store, stream_id: int, now: Now) -> Stream:
    stream = store.streams.get(stream_id, now)
    if stream is None:
        raise HTTPError(404, "There is no such stream, or it is not yours.")
    return stream


def _detection(store: Store, detection_id: int) -> StoredDetection:
    stored = store.detections.get(detection_id) if detection_id < MAX_ID else None
    if stored is None:
        raise HTTPError(404, "There is no such detection; it may have been deleted.")
    return stored


def _erase(site: Site, image: StoredImage) -> None:
    try:
        site.images.erase(Place(image.day, image.offset, image.size_bytes))
    except OSError as error:
        raise HTTPError(503, f"The image cannot be erased ({error.strerror}), so nothing was deleted.") from error
