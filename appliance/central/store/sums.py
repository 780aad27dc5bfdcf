"""Persons by state over time and place: long ranges are read from hours and days, never from minutes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from appliance.central import days
from appliance.central.database import Database
from appliance.central.store.boxes import seen_by
from appliance.faces import Counts
from appliance.time_zone import UTC, TimeZone

Step = Literal["minute", "hour", "day"]
STEP_S: dict[Step, int] = {"minute": 60, "hour": 3600, "day": 86400}
_MINUTES = (
    "streams join sources on sources.stream_id = streams.id"
    " and sources.until_utc >= :since and sources.since_utc < :until"
    # By its key, so that only the minutes asked for are read; a row may lie within the shifts of its source.
    " join sums on sums.source_id = sources.id"
    " and sums.minute >= (:since - sources.base_utc - sources.high_shift) / 60 - 1"
    " and sums.minute <= (:until - sources.base_utc - sources.low_shift) / 60 + 1"
)
_FROM: dict[Step, tuple[str, str, str]] = {
    # tables, when a row's span began, how many of its rows were counted by a clock that nobody vouched for
    "minute": (_MINUTES, "sums.start_utc / 60 * 60", "1 - sums.verified"),
    "hour": ("streams join hours as sums on sums.stream_id = streams.id", "sums.start_utc", "sums.unverified"),
    "day": ("streams join days as sums on sums.stream_id = streams.id", "sums.start_utc", "sums.unverified"),
}
_SUMMED = ", ".join(
    f"coalesce(sum(sums.{name}), 0) as {name}" for name in ("watched_s", "mask", "no_mask", "incorrect", "unknown")
)


@dataclass(frozen=True, slots=True)
class Scope:
    """What is summed: of all that a person sees (None: everything), one site, one box or one stream.

    box_ids: only of these boxes; None: of any.
    """

    person: int | None = None
    site_id: int | None = None
    box_id: str | None = None
    stream_id: int | None = None
    box_ids: tuple[str, ...] | None = None


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class Span:
    """From since_utc (included) to until_utc (not), in steps; both begin a step. zone: by whose clocks days are cut."""

    since_utc: int
    until_utc: int
    step: Step
    zone: TimeZone = UTC

    @property
    def step_s(self) -> int:
        """Seconds of a step; a day has an hour less or more where the clocks change."""
        return STEP_S[self.step]

    @property
    def cuts(self) -> Sequence[int]:
        """Where each step begins, and the last one ends."""
        if self.step == "day":
            return days.cuts(self.zone, self.since_utc, self.until_utc)
        return range(self.since_utc, self.until_utc + 1, self.step_s)


@dataclass(frozen=True, slots=True)
class Watched:
    """Persons, and for how many seconds somebody looked. unverified: rows counted by a clock that may be wrong."""

    counts: Counts = field(default_factory=Counts)
    watched_s: int = 0
    unverified: int = 0

    def __add__(self, other: Watched) -> Watched:
        mine, theirs = self.counts, other.counts
        counts = Counts(
            mine.mask + theirs.mask,
            mine.no_mask + theirs.no_mask,
            mine.incorrect + theirs.incorrect,
            mine.unknown + theirs.unknown,
        )
        return Watched(counts, self.watched_s + other.watched_s, self.unverified + other.unverified)


def total(parts: Iterable[Watched]) -> Watched:
    """All of them together."""
    return sum(parts, Watched())


def _watched(row: Mapping[str, Any]) -> Watched:
    # A correction may have come before what it takes back: then less than nobody would stand there for a moment.
    counts = Counts(*(max(0, int(row[name])) for name in ("mask", "no_mask", "incorrect", "unknown")))
    return Watched(counts, int(row["watched_s"]), int(row["unverified"]))


class Sums:
    """The statements."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def _grouped(self, by: str, scope: Scope, span: Span) -> list[dict[str, Any]]:
        tables, start, unverified = _FROM[span.step]
        conditions = [seen_by(scope.person), "sums.start_utc >= :since", "sums.start_utc < :until"]
        conditions += ["boxes.site_id = :site"] if scope.site_id is not None else []
        conditions += ["streams.box_id = :box"] if scope.box_id is not None else []
        conditions += ["streams.id = :stream"] if scope.stream_id is not None else []
        boxes = {f"box_{place}": box_id for place, box_id in enumerate(scope.box_ids or ())}
        if scope.box_ids is not None:
            conditions.append(f"streams.box_id in ({', '.join(f':{name}' for name in boxes)})" if boxes else "1 = 0")
        key = start if by == "start" else by
        rows = self.db.query(
            f"select {key} as part, {_SUMMED}, coalesce(sum({unverified}), 0) as unverified"
            f" from {tables} join boxes on boxes.id = streams.box_id"
            f" where {' and '.join(conditions)} group by {key}",
            {
                "person": scope.person,
                "site": scope.site_id,
                "box": scope.box_id,
                "stream": scope.stream_id,
                "since": span.since_utc,
                "until": span.until_utc,
                **boxes,
            },
        )
        return list(rows)

    def known(self, step: Step) -> tuple[int, int] | None:
        """From when to when there are any sums of this step; None: there are none."""
        if step == "minute":
            rows = self.db.query("select min(since_utc) as since, max(until_utc) as until from sources")
        else:
            table = "hours" if step == "hour" else "days"
            rows = self.db.query(f"select min(start_utc) as since, max(start_utc) + 1 as until from {table}")
        return next((int(row["since"]), int(row["until"])) if row["since"] is not None else None for row in rows)

    def by_stream_and_step(self, stream_ids: Sequence[int], span: Span) -> list[tuple[int, int, Watched]]:
        """Stream, when the step began, and what was counted in it: by stream, then by time."""
        tables, start, unverified = _FROM[span.step]
        rows = self.db.query(
            f"select streams.id as stream, {start} as part, {_SUMMED}, coalesce(sum({unverified}), 0) as unverified"
            f" from {tables} where streams.id in ({', '.join(str(int(each)) for each in stream_ids)})"
            " and sums.start_utc >= :since and sums.start_utc < :until"
            f" group by streams.id, {start} order by 1, 2",
            {"since": span.since_utc, "until": span.until_utc},
        )
        return [(int(row["stream"]), int(row["part"]), _watched(row)) for row in rows]

    def series(self, scope: Scope, span: Span) -> dict[int, Watched]:
        """By when each step began; a step of which nothing is known is not in it."""
        rows = self._grouped("start", scope, span)
        if span.step != "day":
            return {int(row["part"]): _watched(row) for row in rows}
        found: dict[int, Watched] = {}
        for row in rows:  # days that were cut by another zone belong where they begin
            start_utc = days.start_of(span.zone, int(row["part"]))
            found[start_utc] = found.get(start_utc, Watched()) + _watched(row)
        return found

    def by_box(self, scope: Scope, span: Span) -> dict[str, Watched]:
        """By the id of the box."""
        return {row["part"]: _watched(row) for row in self._grouped("streams.box_id", scope, span)}

    def by_stream(self, scope: Scope, span: Span) -> dict[int, Watched]:
        """By the id of the stream."""
        return {int(row["part"]): _watched(row) for row in self._grouped("streams.id", scope, span)}

    def by_site(self, scope: Scope, span: Span) -> dict[int | None, Watched]:
        """By the id of the site; None: boxes without one."""
        return {row["part"]: _watched(row) for row in self._grouped("boxes.site_id", scope, span)}
