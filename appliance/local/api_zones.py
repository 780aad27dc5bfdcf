"""Zones of streams for programs: which there are, and who crossed the lines today."""

from __future__ import annotations

from bottle import HTTPResponse
from msgspec import Struct

from appliance.rules import zones as rules
from appliance.store import Crossed, Store, Stream
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.api import answer, body
from appliance.web.openapi import Operation
from appliance.zones import Zone, ZoneKind


class CrossedToday(Struct, kw_only=True, rename={"inward": "in", "outward": "out"}):
    """How many persons crossed a line since midnight, by the box's clocks.

    in: to its right, seen from its first point; out: to its left.
    """

    inward: int
    outward: int


class StreamZone(Struct, kw_only=True):
    """A polygon or a line, drawn at the height of faces. points: [x, y], 0 to 1 of the picture's width and height.

    kind: count (where there are such, only who was seen in one is counted), never (a face in it is nobody), line.
    today: null: it is no line.
    """

    kind: ZoneKind
    name: str
    points: tuple[tuple[float, float], ...]
    today: CrossedToday | None


class StreamZones(Struct, kw_only=True):
    """All of a stream, in the order in which people gave them."""

    zones: list[StreamZone]


class ZonesChange(Struct, forbid_unknown_fields=True):
    """All that there are from now on. A zone has 3 to 40 points, its border does not cross itself; a line has 2."""

    zones: list[Zone]


OPERATIONS = (
    Operation("GET", "/api/v1/streams/{stream_id}/zones", "Its zones, and who crossed its lines today", StreamZones),
    Operation(
        "PUT", "/api/v1/streams/{stream_id}/zones", "Replace its zones; the box counts by them within seconds",
        StreamZones, takes=ZonesChange,
    ),
)  # fmt: skip


def add_routes(app: App) -> None:
    """Read and replace them."""

    @app.get("/api/v1/streams/<stream_id:int>/zones", access=Access.OWNER)
    def zones(store: Store, stream: Stream, now: Now) -> HTTPResponse:
        """What there are."""
        return _answer(store, stream, now)

    @app.put("/api/v1/streams/<stream_id:int>/zones", access=Access.OWNER)
    def put_zones(store: Store, stream: Stream, now: Now) -> HTTPResponse:
        """These from now on, no others."""
        rules.put(store, stream.id, body(ZonesChange).zones)
        return _answer(store, stream, now)


def _answer(store: Store, stream: Stream, now: Now) -> HTTPResponse:
    today = store.crossings.today([stream.id], now.utc).get(stream.id, {})
    return answer(
        StreamZones(zones=[_json(zone, today.get(zone.name, Crossed())) for zone in store.zones.of(stream.id)])
    )


def _json(zone: Zone, crossed: Crossed) -> StreamZone:
    of_line = CrossedToday(inward=crossed.inward, outward=crossed.outward) if zone.kind is ZoneKind.LINE else None
    return StreamZone(kind=zone.kind, name=zone.name, points=zone.points, today=of_line)
