"""The parts of the table `sums` on PostgreSQL, one for each month; SQLite has the table whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

from appliance.central.database import Database
from appliance.central.sums import DAY_S

AHEAD_DAYS = 62
_LOCK = 0x6D623970


@dataclass(frozen=True, slots=True)
class Month:
    """One part: rows with since <= kept_utc < until."""

    name: str
    since_utc: int
    until_utc: int


def month_of(utc: int) -> Month:
    """The month, in UTC, of a moment."""
    moment = datetime.fromtimestamp(utc, timezone.utc)
    year, number = moment.year, moment.month
    begins = [datetime(*first, 1, tzinfo=timezone.utc) for first in ((year, number), _next(year, number))]
    return Month(f"sums_{year}_{number:02d}", int(begins[0].timestamp()), int(begins[1].timestamp()))


def _next(year: int, month: int) -> tuple[int, int]:
    return (year + month // 12, month % 12 + 1)


def months(since_utc: int, until_utc: int) -> Iterator[Month]:
    """Every month that has a part of a stretch of time."""
    month = month_of(since_utc)
    while month.since_utc < until_utc:
        yield month
        month = month_of(month.until_utc)


def make_ahead(database: Database, keep_days: int, now_utc: int) -> None:
    """Have a part for each month in which rows may come, late or soon; others go to `sums_other`.

    Raises sqlite3.Error.
    """
    if database.dialect != "postgresql":
        return
    wanted = list(months(now_utc - (keep_days + 1) * DAY_S, now_utc + AHEAD_DAYS * DAY_S))
    there = {part.name for part in existing(database)}
    if all(month.name in there for month in wanted):
        return
    with database.writing():
        database.execute("select pg_advisory_xact_lock(?)", [_LOCK])
        there = {part.name for part in existing(database)}
        database.execute("lock table sums_other in access exclusive mode")  # what of it belongs here must move over
        for month in wanted:
            if month.name not in there:
                _make(database, month)


def _make(database: Database, month: Month) -> None:
    since, until = month.since_utc, month.until_utc
    database.execute(f"create table {month.name} (like sums including all)")
    database.execute(
        f"with moved as (delete from sums_other where kept_utc >= {since} and kept_utc < {until} returning *)"
        f" insert into {month.name} select * from moved"
    )
    database.execute(f"alter table sums attach partition {month.name} for values from ({since}) to ({until})")


def existing(database: Database) -> list[Month]:
    """The parts that there are, without `sums_other`. Raises sqlite3.Error."""
    rows = database.execute(
        "select relname, pg_get_expr(relpartbound, pg_class.oid) from pg_inherits"
        " join pg_class on pg_class.oid = inhrelid where inhparent = 'sums'::regclass order by relname"
    )
    found = []
    for name, bound in rows:
        numbers = re.findall(r"'(-?\d+)'", bound)
        if len(numbers) == 2:
            found.append(Month(name, int(numbers[0]), int(numbers[1])))
    return found


def drop_before(database: Database, cutoff_utc: int) -> list[str]:
    """Remove every part of which no row is to be kept; their names. Raises sqlite3.Error."""
    if database.dialect != "postgresql":
        return []
    dropped = []
    for part in existing(database):
        if part.until_utc > cutoff_utc:
            continue
        kept = database.one(
            f"select 1 from {part.name} as part join sources on sources.id = part.source_id where start_utc >= ?"
            " or (verified = 0 and made_utc >= ?) limit 1",
            [cutoff_utc, cutoff_utc],
        )
        if not kept:
            with database.writing():
                database.execute("set local lock_timeout = '5s'")  # who takes rows in must not wait behind us for long
                database.execute(f"drop table {part.name}")
            dropped.append(part.name)
    return dropped
