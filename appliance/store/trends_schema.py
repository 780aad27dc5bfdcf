"""The tables of the sums that stay, and the triggers that keep them with the summaries of minutes (m014, m023)."""

from __future__ import annotations

import logging

from appliance.sqlite import Database
from appliance.store.summaries_schema import MINUTE_START
from appliance.time_zone import ALWAYS_UTC, DAY_S, HOUR_S, QUARTER_S

log = logging.getLogger(__name__)

COLUMNS = ("watched_s", "mask", "no_mask", "incorrect", "unknown")
_NAMES = ", ".join(COLUMNS)
LESS = ", ".join(f"-{name}" for name in COLUMNS)

_SUMS = """
      watched_s integer not null default 0,    -- seconds in which the stream was LIVE and judged
      mask integer not null default 0,         -- persons by state
      no_mask integer not null default 0,
      incorrect integer not null default 0,
      unknown integer not null default 0,
"""
_TABLES = f"""
    create table quarters (
      -- What one stream counted in a quarter of an hour. It stays when minutes and detections are forgotten.
      stream_id integer not null references streams (id) on delete cascade,
      start_utc integer not null,              -- seconds since 1970, a multiple of {QUARTER_S}
      {_SUMS}
      primary key (stream_id, start_utc)
    ) strict, without rowid;

    create table days (
      -- The same by days, cut where the clocks of the zone in time_zone show midnight.
      stream_id integer not null references streams (id) on delete cascade,
      day integer not null,                    -- days since 1970-01-01
      {_SUMS}
      primary key (stream_id, day)
    ) strict, without rowid;

    create table time_zone (
      -- One row: the zone that days are cut in.
      id integer primary key check (id = 1),
      name text not null                       -- Europe/Berlin
    ) strict;
    insert into time_zone (id, name) values (1, 'UTC');

    create table zone_offsets (
      -- How far its clocks are ahead of UTC.
      from_utc integer primary key,            -- seconds since 1970
      offset_s integer not null
    ) strict;
    insert into zone_offsets (from_utc, offset_s) values ({ALWAYS_UTC}, 0);
"""


def floored(value: str, step: int) -> str:
    """SQL for the largest multiple of `step` that is not above an integer; division in SQL goes towards 0."""
    return f"({value} - (({value}) % {step} + {step}) % {step})"


def local(start_utc: str, step_s: int) -> str:
    """SQL for the day or hour of the zone's clocks, counted since 1970, in which a quarter of an hour began."""
    offset_s = f"(select offset_s from zone_offsets where from_utc <= {start_utc} order by from_utc desc limit 1)"
    return f"({floored(f'{start_utc} + {offset_s}', step_s)} / {step_s})"


_ADDED_UP = ", ".join(f"sum({name})" for name in COLUMNS)
_ADDED = "on conflict ({key}) do update set " + ", ".join(f"{name} = {name} + excluded.{name}" for name in COLUMNS)
TO_QUARTERS = f"insert into quarters (stream_id, start_utc, {_NAMES}) {{select}} " + _ADDED.format(
    key="stream_id, start_utc"
)


def _to_local(table: str, select: str) -> str:
    """Add sums to the days or hours of the zone."""
    key = f"stream_id, {_LOCAL[table][0]}"
    return f"insert into {table} ({key}, {_NAMES}) {select} " + _ADDED.format(key=key)


def _cut(table: str) -> str:
    column, step_s = _LOCAL[table]
    return (
        f"insert into {table} (stream_id, {column}, {_NAMES}) select stream_id, {local('start_utc', step_s)} as cut,"
        f" {_ADDED_UP} from quarters group by stream_id, cut"
    )


_LOCAL = {"days": ("day", DAY_S), "hours": ("hour", HOUR_S)}
CUTS = {table: _cut(table) for table in _LOCAL}
"""By table: its rows, of all quarters."""

OF_MINUTES = f"""
      select stream_numbers.stream_id as stream_id,
        {floored("{started_utc} + 60 * {row}.minute", QUARTER_S)} as start_utc, {{columns}}
      from {{tables}} stream_numbers join streams on streams.id = stream_numbers.stream_id
      where stream_numbers.number = {{row}}.stream and not exists (
        select 1 from stream_numbers as later
        where later.stream_id = stream_numbers.stream_id and later.number > stream_numbers.number)
"""
"""Minutes as quarters of the streams there are. One that is being removed counts nobody out: its quarters go, too."""


def _of_minute(columns: str) -> str:
    started_utc = "(select started_utc from epochs where number = new.epoch)"
    return TO_QUARTERS.format(select=OF_MINUTES.format(started_utc=started_utc, row="new", columns=columns, tables=""))


def _of_epoch(sign: str, row: str) -> str:
    select = OF_MINUTES.format(
        started_utc=f"{row}.started_utc",
        row="summaries",
        columns=", ".join(f"{sign}sum(summaries.{name})" for name in COLUMNS),
        tables="summaries cross join",
    )
    return TO_QUARTERS.format(select=f"{select} and summaries.epoch = new.number group by 1, 2")


_IS_ZERO = " and ".join(f"new.{name} = 0" for name in COLUMNS)
_CHANGE = ", ".join(f"new.{name} - old.{name}" for name in COLUMNS)


def _following(table: str, columns: str) -> str:
    """The statement of a trigger on quarters that keeps the days or hours with them."""
    step_s = _LOCAL[table][1]
    return _to_local(table, f"select new.stream_id, {local('new.start_utc', step_s)}, {columns} where true")


_NEW = ", ".join(f"new.{name}" for name in COLUMNS)

_TRIGGERS = f"""
    create trigger summaries_added after insert on summaries begin
      {_of_minute(_NEW)};
    end;

    create trigger summaries_changed after update of {_NAMES} on summaries begin
      {_of_minute(_CHANGE)};
    end;

    create trigger epochs_moved after update of started_utc on epochs when old.started_utc <> new.started_utc begin
      -- The clock was put right: all minutes of the epoch move.
      {_of_epoch("-", "old")};
      {_of_epoch("", "new")};
    end;

    create trigger quarters_added after insert on quarters begin
      {_following("days", _NEW)};
    end;

    create trigger quarters_changed after update on quarters begin
      {_following("days", _CHANGE)};
    end;

    create trigger quarters_emptied after update on quarters when {_IS_ZERO} begin
      -- Nothing tells that somebody was counted whom no sum has any more.
      delete from quarters where stream_id = new.stream_id and start_utc = new.start_utc;
    end;

    create trigger days_emptied after update on days when {_IS_ZERO} begin
      delete from days where stream_id = new.stream_id and day = new.day;
    end;
"""

_HOURS = f"""
    create table hours (
      -- The same by hours of the clocks of that zone; one that they show twice is one.
      stream_id integer not null references streams (id) on delete cascade,
      hour integer not null,                   -- hours since 1970-01-01 00:00
      {_SUMS}
      primary key (stream_id, hour)
    ) strict, without rowid;

    create trigger quarters_added_to_hours after insert on quarters begin
      {_following("hours", _NEW)};
    end;

    create trigger quarters_changed_in_hours after update on quarters begin
      {_following("hours", _CHANGE)};
    end;

    create trigger hours_emptied after update on hours when {_IS_ZERO} begin
      delete from hours where stream_id = new.stream_id and hour = new.hour;
    end;
"""
_BOX_HOURS = f"""
    create table box_hours (
      -- Hours of all streams together, also of those that are being deleted.
      hour integer primary key,                -- hours since 1970-01-01 00:00
      {_SUMS.rstrip().rstrip(",")}
    ) strict;

    create trigger hours_added_to_box after insert on hours begin
      insert into box_hours (hour, {_NAMES}) values (new.hour, {_NEW})
      {_ADDED.format(key="hour")};
    end;

    create trigger hours_changed_in_box after update on hours begin
      update box_hours set {", ".join(f"{name} = {name} + new.{name} - old.{name}" for name in COLUMNS)}
      where hour = new.hour;
    end;

    create trigger hours_gone_from_box after delete on hours begin
      update box_hours set {", ".join(f"{name} = {name} - old.{name}" for name in COLUMNS)} where hour = old.hour;
    end;

    create trigger box_hours_emptied after update on box_hours when {_IS_ZERO} begin
      delete from box_hours where hour = new.hour;
    end;
"""
BOX_HOURS = f"insert into box_hours (hour, {_NAMES}) select hour, {_ADDED_UP} from hours group by hour"
"""Its rows, of all hours."""

_KEPT_SINCE = f"(select {floored(f'since_utc + {QUARTER_S - 1}', QUARTER_S)} from summaries_kept where id = 1)"
_MINUTES = (
    OF_MINUTES.format(
        started_utc="epochs.started_utc",
        row="summaries",
        columns=", ".join(f"-summaries.{name}" for name in COLUMNS),
        tables="epochs cross join summaries on epoch = epochs.number cross join",
    )
    + f" and epochs.started_utc + 60 * summaries.minute >= {_KEPT_SINCE}"
)
_MINUTE = f"cast({MINUTE_START.format(row='detections')} as integer)"
_PERSONS = ", ".join(f"-(state = '{name}')" for name in COLUMNS[1:])
DIFFERENCES = f"""
      select stream_id, start_utc, {", ".join(f"sum({name}) as {name}" for name in COLUMNS)} from (
        select stream_id, start_utc, {_NAMES} from quarters where start_utc >= {_KEPT_SINCE}
        union all
        {_MINUTES}
      )
      group by stream_id, start_utc having {" or ".join(f"sum({name}) <> 0" for name in COLUMNS)}
      union all
      select stream_id, start_utc, 0, {", ".join(f"min(sum({name}), 0)" for name in COLUMNS[1:])} from (
        select stream_id, start_utc, {_NAMES} from quarters where start_utc < {_KEPT_SINCE}
        union all
        select stream_id, {floored(_MINUTE, QUARTER_S)}, 0, {_PERSONS} from detections
        where first_seen_utc < strftime('%Y-%m-%dT%H:%M', {_KEPT_SINCE}, 'unixepoch')
      )
      group by stream_id, start_utc having {" or ".join(f"sum({name}) < 0" for name in COLUMNS[1:])}
"""
"""By how much quarters are above their minutes, where they are not the same; and where minutes were forgotten, by how
much they are below their detections: these may have been forgotten, too, but nobody is recorded and not counted."""
WRONG_QUARTERS = f"select count(*) from ({DIFFERENCES})"


def _wrong(table: str, key: str, finer: str, finer_key: str) -> str:
    """How many rows of sums are not what the finer sums of the same span make together."""
    return f"""
    select count(*) from (
      select 1 from (
        select {key}, {_NAMES} from {table}
        union all
        select {finer_key}, {LESS} from {finer}
      )
      group by {key} having {" or ".join(f"sum({name}) <> 0" for name in COLUMNS)}
    )
"""


def _of_quarters(table: str) -> str:
    column, step_s = _LOCAL[table]
    return _wrong(table, f"stream_id, {column}", "quarters", f"stream_id, {local('start_utc', step_s)}")


WRONG_DAYS, WRONG_HOURS = _of_quarters("days"), _of_quarters("hours")
WRONG_BOX_HOURS = _wrong("box_hours", "hour", "hours", "hour")


def make(db: Database) -> None:
    """Make the tables, add up what is recorded already, and have all that comes added."""
    db.executescript(_TABLES)
    streams = [stream_id for (stream_id,) in db.execute("select id from streams order by id").fetchall()]
    if streams:
        log.info("upgrading the record: adding up the quarters of an hour of %d streams", len(streams))
    for stream_id in streams:
        db.execute(
            TO_QUARTERS.format(
                select=f"select ?, {floored('start_utc', QUARTER_S)} as quarter_utc, 0, sum(state = 'mask'),"
                " sum(state = 'no_mask'), sum(state = 'incorrect'), sum(state = 'unknown')"
                f" from (select {_MINUTE} as start_utc, state from detections where stream_id = ?)"
                " where true group by quarter_utc"
            ),
            [stream_id, stream_id],
        )
    db.execute(
        TO_QUARTERS.format(
            select=OF_MINUTES.format(
                started_utc="epochs.started_utc",
                row="summaries",
                columns="sum(watched_s), 0, 0, 0, 0",
                tables="epochs cross join summaries on epoch = epochs.number cross join",
            )
            + " and watched_s > 0 group by 1, 2"
        )
    )
    db.execute(CUTS["days"])
    db.executescript(_TRIGGERS)


def make_hours(db: Database) -> None:
    """The table of the hours, added up from the quarters that there are, and kept with them."""
    db.executescript(_HOURS)
    db.execute(CUTS["hours"])


def make_box_hours(db: Database) -> None:
    """The table of the hours of all streams together, kept with those of each."""
    db.executescript(_BOX_HOURS)
    db.execute(BOX_HOURS)
