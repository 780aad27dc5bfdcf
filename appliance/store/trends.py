"""How many persons, when: the sums that stay, by quarters of an hour, hours and days in the time zone of the box.

Every count, rate and chart reads these; none of them costs more when more persons were recorded. Triggers keep the sums
with the detections, in the same transaction (summaries_schema.py, trends_schema.py).
"""

from __future__ import annotations

import enum
import itertools
import json
import sqlite3
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from appliance.faces import Counts, State
from appliance.sqlite import Database
from appliance.store.detections import Detections
from appliance.store.filters import OF_STREAMS, STREAMS, DetectionFilter, conditions
from appliance.store.trends_schema import (
    BOX_HOURS,
    COLUMNS,
    CUTS,
    DIFFERENCES,
    LESS,
    TO_QUARTERS,
    WRONG_BOX_HOURS,
    WRONG_DAYS,
    WRONG_HOURS,
    floored,
)
from appliance.time_zone import ALWAYS_UTC, DAY_S, HOUR_S, QUARTER_S, TimeZone

_STATES = tuple(state.value for state in State)
_SUMS = ", ".join(f"coalesce(sum({name}), 0) as {name}" for name in COLUMNS)
_OF_STREAMS = "stream_id in (select value from json_each(:stream_ids))"
_OF_ALL = "stream_id in (select id from streams where receipt_id is null)"
_NAMES = ", ".join(COLUMNS)
_GOING = "stream_id in (select id from streams where receipt_id is not null)"  # being deleted
_WITHIN = "hour >= :first and hour < :end"
_DAY_OF_HOUR = f"{floored('hour', 24)} / 24"
_END_UTC = -ALWAYS_UTC
_NOBODY = Counts()


class Step(enum.Enum):
    """How long a bucket is, by the clocks of the box's zone."""

    QUARTER = "quarter"
    HOUR = "hour"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class Bucket:
    """What was counted in start_utc <= first seen < end_utc, seconds since 1970.

    watched_s: for how long streams were LIVE and judged, added up over the streams; 0: nobody looked.
    """

    start_utc: int
    end_utc: int
    counts: Counts
    watched_s: int


@dataclass(frozen=True, slots=True)
class Recounted:
    """How many quarters, hours (of streams and of the whole box) and days were not as they should be."""

    quarters: int
    hours: int
    days: int

    def __bool__(self) -> bool:
        """Whether there was any."""
        return bool(self.quarters or self.hours or self.days)


class Trends:
    """The statements. A time is in seconds since 1970; streams are given by id, None: all there are."""

    def __init__(self, db: Database, detections: Detections) -> None:
        self.db = db
        self._detections = detections

    # The zone

    def zone(self) -> TimeZone:
        """The zone in which days are cut: the box's."""
        (name,) = self.db.execute("select name from time_zone").fetchone()
        rows = self.db.execute("select from_utc, offset_s from zone_offsets order by from_utc")
        return TimeZone(name, tuple((row["from_utc"], row["offset_s"]) for row in rows))

    def midnight_utc(self, utc: float) -> int:
        """When the day began in which this moment is: Today."""
        return self.zone().midnight_utc(utc)

    def follow_zone(self, zone: TimeZone) -> bool:
        """Cut days in this zone from now on; whether they were cut otherwise. Belongs inside store.writing()."""
        if self.zone() == zone:
            return False
        self.db.execute("update time_zone set name = ?", [zone.name])
        self.db.execute("delete from zone_offsets")
        self.db.conn.executemany("insert into zone_offsets (from_utc, offset_s) values (?, ?)", zone.changes)
        self.cut()
        return True

    def cut(self) -> None:
        """Add up all days and hours from their quarters."""
        for table, sums in CUTS.items():
            self.db.execute(f"delete from {table}")
            self.db.execute(sums)
        self.db.execute("delete from box_hours")
        self.db.execute(BOX_HOURS)

    def recount(self) -> Recounted:
        """Put the quarters right by their minutes, and those older than the minutes that are kept by their detections;
        then the hours and days by these. Belongs inside store.writing(), after summaries.recount().
        """
        wrong = self.db.execute(DIFFERENCES).fetchall()
        added = TO_QUARTERS.format(select="values (?, ?, ?, ?, ?, ?, ?)")
        for row in wrong:
            key = [row["stream_id"], row["start_utc"]]
            self.db.execute(added, [*key, *(-row[name] for name in COLUMNS)])
        hours, days = map(self._count, (WRONG_HOURS, WRONG_DAYS))
        hours += self._count(WRONG_BOX_HOURS)
        self.cut()
        return Recounted(len(wrong), hours, days)

    def _count(self, sql: str) -> int:
        (count,) = self.db.execute(sql).fetchone()
        return int(count)

    # Sums

    def buckets(
        self, stream_ids: Collection[int] | None, since_utc: float, until_utc: float, step: Step
    ) -> list[Bucket]:
        """Every whole step that touches [since_utc, until_utc), in the order of time, also those without anybody.

        A day has 23 or 25 hours where the clocks change; an hour that they show twice is two buckets.
        """
        zone = self.zone()
        if step is Step.DAY:
            cuts = zone.day_cuts(since_utc, until_utc)
            rows = self._select("day", "days", stream_ids, zone.day(cuts[0]), zone.day(cuts[-1]))
            at = {zone.day_start_utc(row["key"]): row for row in rows}
            return [_bucket(start, end, [at[start]] if start in at else []) for start, end in _pairs(cuts)]
        cuts = zone.cuts(since_utc, until_utc, HOUR_S if step is Step.HOUR else QUARTER_S)
        within: list[list[sqlite3.Row]] = [[] for _ in cuts[1:]]
        for row in self._select("start_utc", "quarters", stream_ids, cuts[0], cuts[-1]):
            within[bisect_right(cuts, row["key"]) - 1].append(row)
        return [_bucket(start, end, of) for (start, end), of in zip(_pairs(cuts), within, strict=True)]

    def by_weekday_hour(
        self, stream_ids: Collection[int] | None, since_utc: float, until_utc: float
    ) -> list[list[Bucket]]:
        """Sums of the whole quarters in [since_utc, until_utc), by the box's clocks: 7 x 24.

        [0][9]: Mondays from 9 to 10. start_utc and end_utc are those of the whole span.
        """
        since, until = _inner(since_utc, until_utc)
        within: dict[int, list[sqlite3.Row]] = {}
        for table, _, first, end in self._pieces(since, until):
            read = self._week_of_days if table == "days" else self._week_of_quarters
            for row in read(stream_ids, first, end):
                within.setdefault(row["key"], []).append(row)
        return [
            [_bucket(since, until, within.get(24 * weekday + hour, [])) for hour in range(24)] for weekday in range(7)
        ]

    def _week_of_days(self, stream_ids: Collection[int] | None, first: int, end: int) -> list[sqlite3.Row]:
        if stream_ids is None:
            return self._of_box(_of_week("hour"), first, end)
        return self._select(_of_week("hour"), "hours", stream_ids, 24 * first, 24 * end, "hour")

    def _week_of_quarters(self, stream_ids: Collection[int] | None, since: int, until: int) -> Iterator[sqlite3.Row]:
        for start, end, offset_s in self.zone().parts(since, until):
            hour = f"{floored(f'start_utc + {offset_s}', HOUR_S)} / {HOUR_S}"
            yield from self._select(_of_week(hour), "quarters", stream_ids, start, end, "start_utc")

    def by_stream(
        self, stream_ids: Collection[int] | None, since_utc: float | None = None, until_utc: float | None = None
    ) -> dict[int, Counts]:
        """What each stream (by id, also if nobody) counted in the whole quarters in [since_utc, until_utc)."""
        return {stream_id: bucket.counts for stream_id, bucket in self.of_streams(stream_ids, since_utc, until_utc)}

    def of_streams(
        self, stream_ids: Collection[int] | None, since_utc: float | None = None, until_utc: float | None = None
    ) -> list[tuple[int, Bucket]]:
        """The same, with for how long each was watched."""
        since, until = _inner(since_utc, until_utc)
        found: dict[int, list[sqlite3.Row]] = {stream_id: [] for stream_id in self._ids(stream_ids)}
        for table, column, first, end in self._pieces(since, until):
            for row in self._select("stream_id", table, found, first, end, column):  # none that came in between
                found[row["key"]].append(row)
        return [(stream_id, _bucket(since, until, rows)) for stream_id, rows in found.items()]

    def counts(self, where: DetectionFilter) -> Counts:
        """How many persons, by state; to the moment, by the detections before the first and after the last quarter."""
        if where.reviewed is not None:
            reviewed = self._detections.counts(replace(where, reviewed=True))  # people reviewed them: they are few
            return reviewed if where.reviewed else self.counts(replace(where, reviewed=None)).without(reviewed)
        since, until = _inner(where.since_utc, where.until_utc)
        if since >= until:
            return self._detections.counts(where)
        parameters = where.parameters()
        wanted = f"select streams.id {STREAMS} where {conditions(OF_STREAMS, parameters)}"
        ids = [stream_id for (stream_id,) in self.db.execute(wanted, parameters)]
        counts = Counts()
        for table, column, first, end in self._pieces(since, until):
            added = _bucket(since, until, self._select("0", table, ids, first, end, column))
            counts = _sum([counts, added.counts])
        edges = []
        if where.since_utc is not None and where.since_utc < since:
            edges.append(replace(where, until_utc=float(since)))
        if where.until_utc is not None and until < where.until_utc:
            edges.append(replace(where, since_utc=float(until)))
        for edge in edges:
            counts = _sum([counts, self._detections.counts(edge)])
        return counts if where.state is None else Counts(**{where.state.value: getattr(counts, where.state.value)})

    def first_utc(self, stream_ids: Collection[int] | None) -> int | None:
        """When the first quarter of an hour began of which anything is known; None: nothing is."""
        row = self.db.execute(
            "select min((select min(start_utc) from quarters where stream_id = value)) as first_utc"
            " from json_each(:stream_ids)",
            {"stream_ids": json.dumps(self._ids(stream_ids))},
        ).fetchone()
        return None if row["first_utc"] is None else int(row["first_utc"])

    def _pieces(self, since: int, until: int) -> list[tuple[str, str, int, int]]:
        """A span as whole days, and the quarters before and after: (table, column, first, end)."""
        zone = self.zone()
        first = zone.day(since) if since > ALWAYS_UTC else _END_UTC // -DAY_S
        end = zone.day(until) if until < _END_UTC else _END_UTC // DAY_S
        if since > ALWAYS_UTC and zone.day_start_utc(first) < since:
            first += 1
        if first >= end:
            return [("quarters", "start_utc", since, until)]
        pieces = [("days", "day", first, end)]
        if since > ALWAYS_UTC:
            pieces.append(("quarters", "start_utc", since, zone.day_start_utc(first)))
        if until < _END_UTC:
            pieces.append(("quarters", "start_utc", zone.day_start_utc(end), until))
        return pieces

    def _select(
        self, key: str, table: str, stream_ids: Collection[int] | None, first: int, end: int, column: str = ""
    ) -> list[sqlite3.Row]:
        column = column or key
        if stream_ids is None and table == "days":
            return self._of_box(_DAY_OF_HOUR if key == column else key, first, end)
        return self.db.execute(
            f"select {key} as key, {_SUMS} from {table} where {_of_streams(stream_ids)} and {column} >= :first"
            f" and {column} < :end group by 1",
            {"stream_ids": _ids_json(stream_ids), "first": first, "end": end},
        ).fetchall()

    def _of_box(self, key: str, first: int, end: int) -> list[sqlite3.Row]:
        """All streams together in the days first <= day < end, without those that are being deleted.

        key: SQL of `hour`.
        """
        return self.db.execute(
            f"select {key} as key, {_SUMS} from"
            f" (select hour, {_NAMES} from box_hours where {_WITHIN}"
            f" union all select hour, {LESS} from hours where {_GOING} and {_WITHIN}) group by 1",
            {"first": 24 * first, "end": 24 * end},
        ).fetchall()

    def _ids(self, stream_ids: Collection[int] | None) -> list[int]:
        if stream_ids is not None:
            return sorted(set(stream_ids))
        return [row["id"] for row in self.db.execute("select id from streams where receipt_id is null order by id")]


def _of_streams(stream_ids: Collection[int] | None) -> str:
    return _OF_ALL if stream_ids is None else _OF_STREAMS


def _ids_json(stream_ids: Collection[int] | None) -> str:
    return json.dumps(None if stream_ids is None else [*stream_ids])


def _of_week(hour: str) -> str:
    """SQL for the hour of the week, from Monday's first, of one since 1970-01-01, which was a Thursday."""
    return f"(({hour} + 72) % 168 + 168) % 168"


def _inner(since_utc: float | None, until_utc: float | None) -> tuple[int, int]:
    """The first whole quarter of a span, and the end of the last one."""
    since = ALWAYS_UTC if since_utc is None else int(-(-since_utc // QUARTER_S)) * QUARTER_S
    until = _END_UTC if until_utc is None else int(until_utc // QUARTER_S) * QUARTER_S
    return since, until


def _pairs(cuts: list[int]) -> Iterable[tuple[int, int]]:
    return itertools.pairwise(cuts)


def _bucket(start_utc: int, end_utc: int, rows: list[sqlite3.Row]) -> Bucket:
    """rows: of `_select`, all of them of this bucket."""
    if not rows:
        return Bucket(start_utc, end_utc, _NOBODY, 0)
    _key, watched_s, *persons = map(sum, zip(*rows, strict=True))
    return Bucket(start_utc, end_utc, Counts(*persons), watched_s)


def _sum(counts: list[Counts]) -> Counts:
    return Counts(**{name: sum(getattr(each, name) for each in counts) for name in _STATES})
