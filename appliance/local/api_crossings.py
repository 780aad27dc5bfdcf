"""Who crossed the lines of a stream, for programs: by quarters, hours or days of the box's clocks."""

from __future__ import annotations

from bottle import HTTPResponse
from msgspec import Struct

from appliance.errors import InputError
from appliance.local.api_query import FILTERS
from appliance.local.exports import chosen
from appliance.store import CrossedBucket, Step, Store, Stream
from appliance.times import Now, utc_text
from appliance.web.access import Access, App
from appliance.web.api import answer, parameters
from appliance.web.forms import moment_utc
from appliance.web.openapi import Operation
from appliance.zones import lines

MOST_BUCKETS = 10_000  # of an answer; a year of hours of one line is 8,760


class CrossingBucket(Struct, kw_only=True, rename={"inward": "in", "outward": "out"}):
    """Persons who crossed at start or later and before end.

    in: to the line's right, seen from its first point; out: to its left.
    """

    start: str
    end: str
    inward: int
    outward: int


class LineCrossings(Struct, kw_only=True, rename={"inward": "in", "outward": "out"}):
    """Of one line: every step that the range touches, also those in which nobody crossed. drawn: it is there now."""

    line: str
    drawn: bool
    inward: int
    outward: int
    buckets: list[CrossingBucket]


class StreamCrossings(Struct, kw_only=True):
    """Of each line there is, and of each that was taken away or renamed and somebody crossed then.

    time_zone: by whose clocks hours and days are cut.
    """

    time_zone: str
    lines: list[LineCrossings]


OPERATIONS = (
    Operation(
        "GET",
        "/api/v1/streams/{stream_id}/crossings",
        "Who crossed its lines, by time; without a range today",
        StreamCrossings,
        query={
            "since": (FILTERS["since"][0], "from this time on, ISO 8601 with its zone"),
            "until": (FILTERS["until"][0], "before this time, ISO 8601 with its zone"),
            "step": ({"type": "string", "enum": [step.value for step in Step]}, "of a bucket; hour if left out"),
        },
    ),
)


def add_routes(app: App) -> None:
    """Read them."""

    @app.get("/api/v1/streams/<stream_id:int>/crossings", access=Access.OWNER)
    def crossings(store: Store, stream: Stream, now: Now) -> HTTPResponse:
        """By line and time."""
        given = parameters()
        since_utc = moment_utc(given["since"], "since") if "since" in given else store.trends.midnight_utc(now.utc)
        until_utc = moment_utc(given["until"], "until") if "until" in given else now.utc
        step = chosen("step", tuple(Step), given.get("step", ""))
        drawn = {line.name for line in lines(store.zones.of(stream.id))}
        crossed = store.crossings.sums([stream.id], since_utc, until_utc).get(stream.id, {})
        names = sorted(drawn | crossed.keys())
        _refuse(len(names), since_utc, until_utc, step)
        found = {name: store.crossings.buckets(stream.id, name, since_utc, until_utc, step) for name in names}
        of_lines = [_line(name, name in drawn, buckets) for name, buckets in found.items()]
        return answer(StreamCrossings(time_zone=store.trends.zone().name, lines=of_lines))


def _refuse(count: int, since_utc: float, until_utc: float, step: Step) -> None:
    if until_utc <= since_utc:
        raise InputError("until must be after since.")
    shortest_s = {Step.QUARTER: 900, Step.HOUR: 3600, Step.DAY: 23 * 3600}[step]
    if count * (until_utc - since_utc) / shortest_s > MOST_BUCKETS:
        raise InputError("That is more than fits into one answer; ask for a shorter time or a longer step.")


def _line(name: str, is_drawn: bool, buckets: list[CrossedBucket]) -> LineCrossings:
    return LineCrossings(
        line=name,
        drawn=is_drawn,
        inward=sum(bucket.crossed.inward for bucket in buckets),
        outward=sum(bucket.crossed.outward for bucket in buckets),
        buckets=[
            CrossingBucket(
                start=utc_text(bucket.start_utc),
                end=utc_text(bucket.end_utc),
                inward=bucket.crossed.inward,
                outward=bucket.crossed.outward,
            )
            for bucket in buckets
        ],
    )
