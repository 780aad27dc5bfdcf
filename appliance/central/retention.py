"""What the centre no longer keeps. A centre whose clock went wrong must not believe that everything is old."""

from __future__ import annotations

import logging

from appliance.central import letters, partitions
from appliance.central.database import Database
from appliance.central.intake import database_closed_utc
from appliance.central.rollups import roll_up
from appliance.central.sums import DAY_S, HOUR_S, day_of

SOURCES_AT_ONCE = 200
WATERMARK_DAYS = 400
"""Far longer than boxes keep what they counted: an epoch that was forgotten would be told again, all of it."""
RECORD_DAYS = 400
"""For how long commands and events can be looked up."""
LEAP_S = 3 * DAY_S
log = logging.getLogger(__name__)


def forget_old(
    database: Database, now_utc: int, clock_is_right: bool, minutes_days: int, hours_days: int, letters_days: int
) -> bool:
    """Delete what is older than these; whether it was done. Raises sqlite3.Error.

    clock_is_right: whether something says so; without, it is done only if this machine's clock went on as it should.
    """
    last_utc = database.one("select value from facts where name = 'forgot_utc'")
    if not clock_is_right and (last_utc is None or not 0 <= now_utc - last_utc <= LEAP_S):
        if last_utc is None:
            _remember(database, "forgot_utc", now_utc)
        return False
    _close(database, day_of(now_utc - minutes_days * DAY_S))
    cutoff_utc = database_closed_utc(database)
    dropped = partitions.drop_before(database, cutoff_utc)
    if dropped:
        log.info("removed %s: every row in it was older than %d days", ", ".join(dropped), minutes_days)
    _forget_minutes(database, cutoff_utc)
    _forget_hours(database, now_utc - hours_days * DAY_S)
    letters.forget(database, now_utc - letters_days * DAY_S)
    with database.writing():
        database.execute("delete from watermarks where at_utc < ?", [now_utc - WATERMARK_DAYS * DAY_S])
        database.execute("delete from commands where given_utc < ?", [now_utc - RECORD_DAYS * DAY_S])
        database.execute("delete from events where at_utc < ?", [now_utc - RECORD_DAYS * DAY_S])
        database.execute("delete from processes where heartbeat_utc < ?", [now_utc - DAY_S])
        _remember(database, "forgot_utc", now_utc)
    return True


def _remember(database: Database, name: str, value: int) -> None:
    database.execute(
        "insert into facts (name, value) values (?, ?) on conflict (name) do update set value = excluded.value",
        [name, value],
    )


def _close(database: Database, cutoff_utc: int) -> None:
    """From now on hours before the cutoff stay as they are; first they are brought up to date."""
    while roll_up(database, database_closed_utc(database)):
        pass
    if cutoff_utc > database_closed_utc(database):
        _remember(database, "closed_utc", cutoff_utc)


def _forget_minutes(database: Database, cutoff_utc: int) -> None:
    after = 0
    while True:
        sources = database.execute(
            "select id, (? - base_utc - low_shift) / 60 + 1 as last_minute, made_utc from sources"
            " where since_utc < ? and id > ? order by id limit ?",
            [cutoff_utc, cutoff_utc, after, SOURCES_AT_ONCE],
        ).fetchall()
        if not sources:
            break
        after = sources[-1]["id"]
        with database.writing():
            for source in sources:
                # One whose time nothing confirms may yet be corrected, and is then young.
                young = " and verified = 1" if source["made_utc"] >= cutoff_utc else ""
                database.execute(
                    f"delete from sums where source_id = ? and minute <= ? and start_utc < ?{young}",
                    [source["id"], source["last_minute"], cutoff_utc],
                )
                if not young:
                    database.execute("update sources set since_utc = ? where id = ?", [cutoff_utc, source["id"]])
    database.execute(
        "delete from sources where until_utc <= ? and made_utc < ?"
        " and not exists (select 1 from sums where source_id = sources.id)",
        [cutoff_utc, cutoff_utc],
    )


def _forget_hours(database: Database, before_utc: int) -> None:
    oldest = database.one("select min(start_utc) from hours")
    while oldest is not None and oldest < before_utc:
        until = min(before_utc // HOUR_S * HOUR_S + HOUR_S, day_of(oldest) + DAY_S)
        database.execute("delete from hours where start_utc < ?", [min(until, before_utc)])
        oldest = database.one("select min(start_utc) from hours")
