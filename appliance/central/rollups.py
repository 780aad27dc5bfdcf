"""Sums of hours and days, computed again from the minutes whenever those change: exactly their sum, always."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from appliance.central import days
from appliance.central.database import Database
from appliance.central.sums import BETWEEN, HOUR_S
from appliance.time_zone import TimeZone

MARKS = 500
"""How many marks one transaction works off: it must not hold up those that take rows in."""

_HOURS = (
    "insert into hours (stream_id, start_utc, watched_s, mask, no_mask, incorrect, unknown, unverified)"
    " select sources.stream_id, sums.start_utc / 3600 * 3600, sum(sums.watched_s), sum(sums.mask), sum(sums.no_mask),"
    f" sum(sums.incorrect), sum(sums.unknown), sum(1 - sums.verified) {BETWEEN}"
    " and sources.stream_id in (select id from streams where box_id = :box)"
    " group by sources.stream_id, sums.start_utc / 3600"
)
_DAY = days.INSERT.format(only=" and stream_id in (select id from streams where box_id = :box)")
_CLEAR = (
    "delete from {table} where start_utc >= :since and start_utc < :until"
    " and stream_id in (select id from streams where box_id = :box)"
)


def roll_up(database: Database, closed_utc: int) -> int:
    """Work off some of what changed; how many marks. closed_utc: hours from before stay. Raises sqlite3.Error.

    A mark is appended by whoever changes a minute, in the same transaction; so whoever sees the mark sees the minute.
    """
    with database.writing():
        if database.dialect == "postgresql" and not database.one(
            "select pg_try_advisory_xact_lock(?)", [days.ROLL_UP_LOCK]
        ):
            return 0
        marks = database.execute(
            "delete from stale_hours where id in (select id from stale_hours order by id limit ?)"
            " returning box_id, hour_utc",
            [MARKS],
        ).fetchall()
        hours: dict[str, set[int]] = defaultdict(set)
        for box, hour_utc in marks:
            if hour_utc >= closed_utc:
                hours[box].add(hour_utc)
        zone = days.zone_in_force(database)
        for box, stale in sorted(hours.items()):
            _compute(database, zone, box, stale)
    return len(marks)


def _compute(database: Database, zone: TimeZone, box: str, hours: Collection[int]) -> None:
    for since_utc, until_utc in runs(hours, HOUR_S):
        where = {"box": box, "since": since_utc, "until": until_utc}
        database.execute(_CLEAR.format(table="hours"), where)
        database.execute(_HOURS, where)
    for start_utc in sorted({days.start_of(zone, hour_utc) for hour_utc in hours}):
        where = {"box": box, "since": start_utc, "until": days.end_of(zone, start_utc)}
        database.execute(_CLEAR.format(table="days"), where)
        database.execute(_DAY, {**where, "start": start_utc})


def runs(starts: Iterable[int], length_s: int) -> Iterator[tuple[int, int]]:
    """Stretches of time out of parts that follow each other: since, until."""
    ordered = sorted(starts)
    begin = 0
    for place in range(1, len(ordered) + 1):
        if place == len(ordered) or ordered[place] != ordered[place - 1] + length_s:
            yield ordered[begin], ordered[place - 1] + length_s
            begin = place
