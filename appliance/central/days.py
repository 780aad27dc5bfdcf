"""Days as a centre cuts them: by the clocks of its time zone, in whole hours of UTC, the finest sums kept for years.

Where a zone is ahead by half or a quarter of an hour, its day begins with the hour of UTC in which its midnight is.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator

from appliance.central.database import Database
from appliance.central.sums import HOUR_S
from appliance.time_zone import QUARTER_S, UTC, TimeZone, named

log = logging.getLogger(__name__)
ROLL_UP_LOCK = 0x6D623972
"""Of PostgreSQL's advisory locks the one of whoever changes days: of the processes there are, one rolls up."""
SUMMED = "watched_s, mask, no_mask, incorrect, unknown, unverified"
_ADDED = ", ".join(f"sum({name})" for name in SUMMED.split(", "))
INSERT = (
    f"insert into days (stream_id, start_utc, {SUMMED}) select stream_id, :start, {_ADDED} from hours"
    " where start_utc >= :since and start_utc < :until{only} group by stream_id"
)
"""The days of all streams, or `only` of some, that begin at :start, from the hours in since..until."""


def start_of(zone: TimeZone, utc: int) -> int:
    """When the day began to which the hour of this moment belongs."""
    return _start(zone, zone.day(utc // HOUR_S * HOUR_S + HOUR_S - QUARTER_S))


def end_of(zone: TimeZone, utc: int) -> int:
    """When the next day begins. A day has 23 or 25 hours where the clocks change."""
    hour_utc = utc // HOUR_S * HOUR_S
    day = zone.day(hour_utc + HOUR_S - QUARTER_S)
    while True:
        day += 1
        if (start_utc := _start(zone, day)) > hour_utc:  # Samoa had no 30 December 2011
            return start_utc


def cuts(zone: TimeZone, since_utc: int, until_utc: int) -> list[int]:
    """When the days that touch [since_utc, until_utc) begin, and when the last one ends."""
    found = [start_of(zone, since_utc)]
    while len(found) < 2 or found[-1] < until_utc:
        found.append(end_of(zone, found[-1]))
    return found


def _start(zone: TimeZone, day: int) -> int:
    return zone.day_start_utc(day) // HOUR_S * HOUR_S


def zone_in_force(database: Database) -> TimeZone:
    """The zone by which days are cut. Raises sqlite3.Error."""
    return named(str(database.one("select name from time_zone"))) or UTC


def follow_zone(database: Database, zone: TimeZone) -> bool:
    """Cut days by this zone from now on, and those that were, as far as their hours are kept; whether it is another.

    In one transaction: about a second for a million sums of hours. Raises sqlite3.Error.
    """
    if database.one("select name from time_zone") == zone.name:
        return False
    with database.writing():
        if database.dialect == "postgresql":
            database.execute("select pg_advisory_xact_lock(?)", [ROLL_UP_LOCK])
        before = zone_in_force(database)
        database.execute("update time_zone set name = ?", [zone.name])
        for start_utc, since_utc, until_utc in _to_cut(database, before, zone):
            database.execute(INSERT.format(only=""), {"start": start_utc, "since": since_utc, "until": until_utc})
    log.info("days begin at midnight of %s now, no longer of %s", zone.name, before.name)
    return True


def _to_cut(database: Database, before: TimeZone, zone: TimeZone) -> Iterator[tuple[int, int, int]]:
    """Delete the days whose hours are all kept; the same hours by the days of another zone: start, since, until."""
    oldest = database.one("select min(start_utc) from hours")
    if oldest is None:
        return
    newest = database.one("select max(start_utc) from hours")
    first, seam_utc = start_of(before, oldest), database.one("select seam_utc from time_zone")
    if first < seam_utc:
        first = seam_utc
    elif not _is_whole(database, first, end_of(before, oldest)):
        first = end_of(before, oldest)  # some of its hours are forgotten: this day stays as it is
    database.execute("delete from days where start_utc >= ?", [first])
    if database.one("select max(start_utc) from days") is None:
        first_start = start_of(zone, first)
    else:
        database.execute("update time_zone set seam_utc = ?", [first])
        first_start = first
    for start_utc, end_utc in itertools.pairwise(cuts(zone, first, newest + HOUR_S)):
        yield max(start_utc, first_start), max(start_utc, first), end_utc


def _is_whole(database: Database, since_utc: int, until_utc: int) -> bool:
    total = "select coalesce(sum(watched_s + mask + no_mask + incorrect + unknown), 0) from {} where start_utc >= ?"
    spans = [database.one(f"{total.format(table)} and start_utc < ?", [since_utc, until_utc]) for table in _TABLES]
    return bool(spans[0] == spans[1])


_TABLES = ("hours", "days")
