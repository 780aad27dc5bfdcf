"""Trends for programs: the numbers of the charts of the page Trends, cut as there, by the clocks of the box."""

from __future__ import annotations

from collections.abc import Mapping

from bottle import HTTPResponse
from msgspec import Struct

from appliance.errors import InputError, NotFound
from appliance.local.api_types import Counts, Time, counts_json
from appliance.local.trend_range import Kind, Shown
from appliance.local.trend_steps import Figures, figures, total
from appliance.local.trends import requested
from appliance.store import Store
from appliance.times import Now, utc_text
from appliance.web.access import Access, App
from appliance.web.api import answer, id_parameter, parameters
from appliance.web.openapi import ID, Operation


class TrendBucket(Struct, kw_only=True):
    """Persons who were first seen in start <= time < end. watched_s: for how long streams were LIVE and judged then,
    added up over the streams; 0: nobody looked. complete: no more is to come, but for late corrections."""

    start: Time
    end: Time
    watched_s: int
    complete: bool
    counts: Counts


class TrendBuckets(Struct, kw_only=True):
    """A range, cut into its buckets in the order of time. zone: by whose clocks; step: how long a bucket is.

    stream: null: of all streams. counts: of the whole range.
    """

    since: Time
    until: Time
    zone: str
    step: Shown
    stream: int | None
    counts: Counts
    buckets: list[TrendBucket]


_DAY = "2026-11-24"
_MOMENT = {"type": "string", "minLength": 1}
OPERATIONS = (
    Operation(
        "GET", "/api/v1/trends", "Persons and compliance by quarter, hour, day, week or month", TrendBuckets,
        query={
            "range": (
                {"type": "string", "enum": [kind.value for kind in Kind]},
                "live (today, if left out), day, week, month, or own: from since until until",
            ),
            "day": (
                {"type": "string", "format": "date"},
                f"which day, or one of the week or month, {_DAY}; today if left out",
            ),
            "since": (_MOMENT, f"of an own range: {_DAY} or {_DAY}T14:00, by the clocks of the box"),
            "until": (_MOMENT, "the same; now if left out"),
            "stream": (ID, "only this stream's"),
        },
        also=(404,),
    ),
)  # fmt: skip


def add_routes(app: App) -> None:
    """Add the operation."""

    @app.get("/api/v1/trends", access=Access.SIGNED_IN)
    def trends(store: Store, now: Now) -> HTTPResponse:
        """One range. How long a bucket is follows from how long the range is, as on the page."""
        stream_id = id_parameter("stream")
        if stream_id is not None and store.streams.get(stream_id, now) is None:
            raise NotFound("There is no such stream, or no longer.")
        _refuse_what_would_be_passed_over(parameters())
        asked = requested(store, now)
        if asked.problem:
            raise InputError(asked.problem)
        steps = figures(store, asked, now.utc, compared=False)
        return answer(
            TrendBuckets(
                since=utc_text(asked.since_utc),
                until=utc_text(asked.until_utc),
                zone=asked.zone.name,
                step=asked.shown,
                stream=asked.stream_id,
                counts=counts_json(total(each.counts for each in steps)),
                buckets=[_bucket(each) for each in steps],
            )
        )


def _refuse_what_would_be_passed_over(given: Mapping[str, str]) -> None:
    """Raises InputError."""
    own = Kind.OWN.value
    kind = given.get("range", own if "since" in given else Kind.LIVE.value)
    if kind == own and "since" not in given:
        raise InputError("An own range begins somewhere: give since.")
    if kind != own and given.keys() & {"since", "until"}:
        raise InputError("since and until are of an own range: ask for range=own.")
    if kind in (own, Kind.LIVE.value) and "day" in given:
        raise InputError("day is of a day, week or month: say which as range.")


def _bucket(step: Figures) -> TrendBucket:
    return TrendBucket(
        start=utc_text(step.bucket.start_utc),
        end=utc_text(step.bucket.end_utc),
        watched_s=step.bucket.watched_s,
        complete=not step.is_to_come,
        counts=counts_json(step.counts),
    )
