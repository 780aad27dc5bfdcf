"""The JSON API: streams and detections for programs, with tokens that people make on their account page.

`openapi.py` documents it; tests/test_api.py holds the two together.
"""

from __future__ import annotations

from dataclasses import fields, replace
from urllib.parse import urlencode

import msgspec
from bottle import HTTPResponse
from msgspec import UNSET

from appliance.accounts.guard import Visitor
from appliance.errors import NotFound
from appliance.keeping import Keeping
from appliance.local import (
    api_audit,
    api_calibration,
    api_crossings,
    api_exports,
    api_trends,
    api_updates,
    api_zones,
)
from appliance.local import api_types as shapes
from appliance.local.api_query import detection_filter, limit_parameter
from appliance.local.openapi import OPERATIONS, document
from appliance.local.pages import Site
from appliance.reception import receptions
from appliance.rules import detections as detection_rules
from appliance.rules import streams as stream_rules
from appliance.rules import things
from appliance.store import Store, Stream
from appliance.store.measuring import measured
from appliance.times import Now, utc_text
from appliance.web.access import Access, App
from appliance.web.api import KnownParameters, answer, body, id_parameter, parameters
from appliance.web.forms import moment_utc

KEEPING = tuple(field.name for field in fields(Keeping))


def add_routes(app: App, site: Site) -> None:
    """Add every route of the API."""
    app.install(KnownParameters(OPERATIONS))
    _add_stream_routes(app, site)
    _add_stream_changes(app, site)
    _add_detection_routes(app, site)
    _add_detection_writes(app, site)
    api_calibration.add_routes(app)
    api_trends.add_routes(app)
    api_exports.add_routes(app, site)
    api_zones.add_routes(app)
    api_crossings.add_routes(app)
    api_updates.add_routes(app, site)
    api_audit.add_routes(app, site)

    @app.get("/api/openapi.json", access=Access.ANYONE)
    def openapi() -> HTTPResponse:
        """What this API is, for programs and for generators of clients."""
        return answer(document(site.config.web.base_url or "/"))

    @app.get("/api/v1/status", access=Access.SIGNED_IN)
    def status(store: Store, visitor: Visitor, now: Now) -> HTTPResponse:
        """How the box is."""
        full, statistics = site.reserve.is_needed(), store.privacy.statistics_only()
        return answer(
            shapes.Status(
                box=site.config.box,
                time=utc_text(now.utc),
                statistics_only_since=statistics.since_utc if statistics else None,
                services=[shapes.service_json(service, full) for service in store.services.all(now)],
                live=[stream.title for stream in store.streams.all(now, visitor.sees_only) if stream.live],
            )
        )


def _stream_json(site: Site, store: Store, stream: Stream, now: Now) -> shapes.Stream:
    return _streams_json(site, store, [stream], now)[0]


def _streams_json(site: Site, store: Store, streams: list[Stream], now: Now) -> list[shapes.Stream]:
    received = receptions(store, streams, now, site.reserve.is_needed())
    return [shapes.stream_json(each, received[each.id]) for each in streams]


def _add_stream_routes(app: App, site: Site) -> None:
    @app.get("/api/v1/streams", access=Access.SIGNED_IN)
    def streams(store: Store, visitor: Visitor, now: Now) -> HTTPResponse:
        """The visitor's streams; an admin's are all."""
        given, prefix = parameters(), site.pages.address.prefix
        search = given.get("search", "").strip()
        if not {"limit", "after"} & given.keys():
            found = store.streams.all(now, visitor.sees_only, search)
            return answer(shapes.StreamPage(streams=_streams_json(site, store, found, now), next=None))
        limit = limit_parameter()
        found = store.streams.page(now, visitor.sees_only, search, id_parameter("after") or 0, limit + 1)
        query = {
            **({"search": search} if search else {}),
            "limit": limit,
            "after": found[:limit][-1].id if found else 0,
        }
        return answer(
            shapes.StreamPage(
                streams=_streams_json(site, store, found[:limit], now),
                next=f"{prefix}/api/v1/streams?{urlencode(query)}" if len(found) > limit else None,
            )
        )

    @app.post("/api/v1/streams", access=Access.SIGNED_IN)
    def add_stream(store: Store, visitor: Visitor, now: Now) -> HTTPResponse:
        """Make a stream; its key is in the answer, this once."""
        new = body(shapes.NewStream)
        owner = visitor.person.id if new.owner is None else new.owner
        stream, key = stream_rules.add(
            store,
            visitor.person,
            owner,
            new.name,
            new.source_url,
            now,
            source_user=new.source_user,
            source_password=new.source_password,
            watch=new.watch_url,
            keeping=Keeping(new.images, new.images_days, new.detections_days),
        )
        return answer(shapes.with_key(_stream_json(site, store, stream, now), key), 201)

    @app.get("/api/v1/streams/<stream_id:int>", access=Access.OWNER)
    def one_stream(stream: Stream, store: Store, now: Now) -> HTTPResponse:
        """One stream."""
        return answer(_stream_json(site, store, stream, now))


def _add_stream_changes(app: App, site: Site) -> None:
    @app.patch("/api/v1/streams/<stream_id:int>", access=Access.OWNER)
    def change_stream(stream: Stream, store: Store, visitor: Visitor, now: Now) -> HTTPResponse:
        """Change what is named; the rest stays."""
        change = msgspec.structs.asdict(body(shapes.StreamChange))
        named = {field: value for field, value in change.items() if value is not UNSET}
        if "source_url" in named:
            named["source"] = named.pop("source_url")
        if "watch_url" in named:
            named["watch"] = named.pop("watch_url") or ""
        chosen = {field: named.pop(field) for field in KEEPING if field in named}
        keeping = replace(stream.keeping, **chosen) if chosen else None
        stream_rules.change(store, visitor.person, stream, keeping=keeping, **named)
        return answer(_stream_json(site, store, stream_rules.find(store, stream.id, now), now))

    @app.post("/api/v1/streams/<stream_id:int>/key", access=Access.OWNER)
    def rotate_key(stream_id: int, store: Store, now: Now) -> HTTPResponse:
        """Give it a new key; whoever publishes with the old one is cut off within seconds."""
        key = stream_rules.rotate_key(store, stream_id)
        stream = stream_rules.find(store, stream_id, now)
        return answer(shapes.with_key(_stream_json(site, store, stream, now), key))

    @app.post("/api/v1/streams/<stream_id:int>/view", access=Access.OWNER)
    def learn_view(stream: Stream, store: Store, now: Now) -> HTTPResponse:
        """What the camera shows from now on is its view."""
        stream_rules.learn_view(store, stream)
        return answer(_stream_json(site, store, stream_rules.find(store, stream.id, now), now))

    @app.delete("/api/v1/streams/<stream_id:int>", access=Access.OWNER)
    def remove_stream(stream: Stream, store: Store, visitor: Visitor, now: Now) -> HTTPResponse:
        """Delete it with all its detections and their images."""
        return _deleted(stream_rules.delete(store, site.images, site.previews, visitor.person, stream, now))

    @app.delete("/api/v1/streams/<stream_id:int>/images", access=Access.OWNER)
    def remove_images(stream: Stream, store: Store, visitor: Visitor, now: Now) -> HTTPResponse:
        """Erase all its images; its detections stay."""
        return _deleted(stream_rules.delete_images(store, site.images, visitor.person, stream, now))


def _add_detection_routes(app: App, site: Site) -> None:
    @app.get("/api/v1/detections", access=Access.SIGNED_IN)
    def detections(store: Store) -> HTTPResponse:
        """Detections, newest first, filtered and paged."""
        limit, prefix = limit_parameter(), site.pages.address.prefix
        found = store.detections.page(detection_filter(), id_parameter("before"), limit + 1)
        more = len(found) > limit
        query = {name: value for name, value in parameters().items() if name not in ("before", "limit")}
        following = urlencode({**query, "limit": limit, "before": found[limit - 1].id}) if more else ""
        return answer(
            shapes.DetectionPage(
                detections=[shapes.detection_json(stored, prefix) for stored in found[:limit]],
                next=f"{prefix}/api/v1/detections?{following}" if more else None,
            )
        )

    @app.get("/api/v1/detections/<detection_id:int>", access=Access.SIGNED_IN)
    def detection(detection_id: int, store: Store) -> HTTPResponse:
        """One detection."""
        return _detection(site, store, detection_id)

    @app.get("/api/v1/detections/<detection_id:int>/image", access=Access.SIGNED_IN)
    def image_of_detection(detection_id: int, store: Store, visitor: Visitor, now: Now) -> HTTPResponse:
        """Its image, a JPEG."""
        found = detection_rules.find(store, detection_id)
        jpeg = site.images.read(found.image) if found.image else None
        if jpeg is None:
            raise NotFound("This detection has no image, or no longer.")
        site.viewing.image(store, visitor, now, found)
        return HTTPResponse(jpeg, headers={"Content-Type": "image/jpeg"})

    @app.get("/api/v1/counts", access=Access.SIGNED_IN)
    def counts(store: Store) -> HTTPResponse:
        """How many persons, by state, under the same filters."""
        where = detection_filter()
        known = None
        if where.state is None and not where.search:
            streams = [where.stream_id] if where.stream_id is not None else store.streams.ids()
            known = measured(store, streams, where.since_utc, where.until_utc)
        return answer(shapes.counts_json(store.trends.counts(where), known))


def _add_detection_writes(app: App, site: Site) -> None:
    @app.post("/api/v1/detections", access=Access.ADMIN)
    def add_detection(store: Store, visitor: Visitor) -> HTTPResponse:
        """Enter a detection by hand, for instance from an older system."""
        new = body(shapes.NewDetection)
        first_utc = moment_utc(new.first_seen, "first_seen")
        last_utc = first_utc if new.last_seen is None else moment_utc(new.last_seen, "last_seen")
        detection_id = detection_rules.enter(
            store, visitor.person, new.stream_id, new.state, new.confidence, first_utc, last_utc
        )
        return _detection(site, store, detection_id, 201)

    @app.patch("/api/v1/detections/<detection_id:int>", access=Access.ADMIN)
    def correct_detection(detection_id: int, store: Store, visitor: Visitor, now: Now) -> HTTPResponse:
        """Say what the state really is, or whether it was reviewed."""
        change = body(shapes.DetectionChange)
        if change.state is not UNSET:
            detection_rules.correct(store, visitor.person, detection_id, change.state, now)
        if change.reviewed is not UNSET:
            detection_rules.review(store, visitor.person, detection_id, change.reviewed, now)
        return _detection(site, store, detection_id)

    @app.delete("/api/v1/detections/<detection_id:int>", access=Access.ADMIN)
    def remove_detection(detection_id: int, store: Store, visitor: Visitor, now: Now) -> HTTPResponse:
        """Delete it with its image."""
        return _deleted(detection_rules.delete(store, site.images, visitor.person, detection_id, now))

    @app.post("/api/v1/detections/<detection_id:int>/not-a-person", access=Access.ADMIN)
    def not_a_person(detection_id: int, store: Store, visitor: Visitor, now: Now) -> HTTPResponse:
        """Delete it with its image, and count nobody any more where it was."""
        return _deleted(things.mark(store, site.images, visitor.person, detection_id, now))


def _deleted(receipt_id: int) -> HTTPResponse:
    return HTTPResponse(status=204, headers={"Location": f"/api/v1/receipts/{receipt_id}"})


def _detection(site: Site, store: Store, detection_id: int, status: int = 200) -> HTTPResponse:
    return answer(shapes.detection_json(detection_rules.find(store, detection_id), site.pages.address.prefix), status)
