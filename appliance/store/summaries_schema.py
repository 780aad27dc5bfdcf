"""The tables of the sums that a centre is told, and the triggers that keep them with the detections (m011)."""

from __future__ import annotations

import hashlib
import logging

from appliance.sqlite import Database

log = logging.getLogger(__name__)

MINUTE_START = "coalesce(strftime('%s', substr({row}.first_seen_utc, 1, 16)), 0)"
"""When the minute began in which a detection was first seen: seconds since 1970, a multiple of 60."""

_TABLES = """
    create table epochs (
      -- One start of a service that writes, or a step of the clock. Nobody writes into an older one: whoever starts
      -- again, perhaps from a copy, never gives a sequence number that the centre has seen with something else.
      number integer primary key autoincrement,  -- autoincrement: the newest has the highest, always
      id text not null unique,                 -- random, 16 hex digits: what the centre knows it by
      boot_id text not null,                   -- which start of the machine
      uptime_s real not null,                  -- seconds since that start, at started_utc
      started_utc integer not null             -- seconds since 1970, a whole minute: where its minutes are counted from
        check (started_utc % 60 = 0),
      verified integer not null check (verified in (0, 1)),  -- 0: by a clock that may yet be corrected
      after_id integer not null,               -- if not verified: what was recorded by that clock has higher ids
      seq integer not null default 0,          -- of the last change to its summaries
      acked integer not null default 0         -- up to here the centre has committed all of it
        check (acked between 0 and seq)
    ) strict;

    create table stream_numbers (
      -- What a stream is called in what is told. Ids of streams may be used again; numbers are not.
      number integer primary key autoincrement,
      stream_id integer not null               -- the highest number of an id is the one in use
    ) strict;
    create index stream_numbers_stream on stream_numbers (stream_id, number);

    create table summaries (
      -- What one stream counted in one minute, as far as one epoch knows. The truth is the sum over all epochs: a
      -- correction is counted in the newest, so it may be negative. A row is still to be told while seq > epochs.acked.
      epoch integer not null references epochs (number),
      stream integer not null,                 -- number in stream_numbers
      minute integer not null,                 -- began at epochs.started_utc + 60 * minute; negative: before the epoch
      watched_s integer not null default 0 check (watched_s >= 0),  -- seconds in which the stream was LIVE and judged
      mask integer not null default 0,         -- persons by state
      no_mask integer not null default 0,
      incorrect integer not null default 0,
      unknown integer not null default 0,
      seq integer not null,                    -- the epoch's, of the last change
      primary key (epoch, stream, minute)
    ) strict, without rowid;
    create index summaries_seq on summaries (epoch, seq);

    create table summaries_kept (
      -- One row: what began before was forgotten, in part at least.
      id integer primary key check (id = 1),
      since_utc integer not null
    ) strict;
    insert into summaries_kept (id, since_utc) values (1, 0);

    create table fleet_status (
      -- One row: how the box and its centre get on, for people to read.
      id integer primary key check (id = 1),
      connected integer not null check (connected in (0, 1)),
      since_utc text not null,
      watermark_utc text,                      -- when the centre last said what it has
      problem text                             -- why there is no connection
    ) strict;

    create table commands (
      -- What people at the centre asked of the box, and what came of it.
      id text primary key,                     -- the centre's, 16 hex digits
      action text not null,
      detail text not null,
      given_by text not null,                  -- a person's name at the centre
      given_utc text not null,
      done integer check (done in (0, 1)),     -- null: not yet answered
      words text not null default '',          -- the outcome
      at_utc text                              -- of the outcome
    ) strict;
    create index commands_given on commands (given_utc);
"""

BY_HAND = "by hand:"
"""How the model of a detection begins that a person entered, and with it the times."""

_EPOCH = f"""(
        select number from epochs
        where verified or ({{row}}.id > after_id and substr({{row}}.model, 1, {len(BY_HAND)}) <> '{BY_HAND}')
        order by number desc limit 1
      )"""
"""The newest epoch. If its clock is not verified, only for what was recorded by that clock and moves with it; all else
is counted in the epoch that was begun beside it."""

_COUNT = """
      update epochs set seq = seq + 1 where number = {epoch};
      insert into summaries (epoch, stream, minute, mask, no_mask, incorrect, unknown, seq)
        select number, (select max(number) from stream_numbers where stream_id = {row}.stream_id),
          ({minute_start} - started_utc) / 60,
          {sign}({row}.state = 'mask'), {sign}({row}.state = 'no_mask'), {sign}({row}.state = 'incorrect'),
          {sign}({row}.state = 'unknown'), seq
        from epochs where number = {epoch}
        on conflict (epoch, stream, minute) do update set mask = mask + excluded.mask,
          no_mask = no_mask + excluded.no_mask, incorrect = incorrect + excluded.incorrect,
          unknown = unknown + excluded.unknown, seq = excluded.seq;
"""


_FILE = """
      insert into {table} (epoch, stream, minute, mask, no_mask, incorrect, unknown)
        select number, (select max(number) from stream_numbers where stream_id = {row}.stream_id),
          ({minute_start} - started_utc) / 60,
          {row}.state = 'mask', {row}.state = 'no_mask', {row}.state = 'incorrect', {row}.state = 'unknown'
        from epochs where number = {epoch}
        on conflict (epoch, stream, minute) do update set mask = mask + excluded.mask,
          no_mask = no_mask + excluded.no_mask, incorrect = incorrect + excluded.incorrect,
          unknown = unknown + excluded.unknown;
"""


def _count(row: str, sign: str) -> str:
    """The statements that count a detection, `new` or `old`, in (sign "") or out (sign "-")."""
    return _COUNT.format(row=row, sign=sign, minute_start=MINUTE_START.format(row=row), epoch=_EPOCH.format(row=row))


def count_out(row: str) -> str:
    """The statements of a trigger that count a detection, `new` or `old`, out."""
    return _count(row, "-")


def file_under_epoch(row: str, table: str) -> str:
    """The statement of a trigger that adds a detection to the sums of another table, where it would be counted out."""
    return _FILE.format(row=row, table=table, minute_start=MINUTE_START.format(row=row), epoch=_EPOCH.format(row=row))


_TRIGGERS = f"""
    create trigger streams_numbered after insert on streams begin
      insert into stream_numbers (stream_id) values (new.id);
    end;

    create trigger detections_counted after insert on detections begin
      {_count("new", "")}
    end;

    create trigger detections_counted_out after delete on detections begin
      -- Also those that go with their stream, whose number is then still the highest of its id.
      {_count("old", "-")}
    end;

    create trigger detections_recounted after update of state on detections when old.state <> new.state begin
      -- When somebody was first seen changes only with the clock, and then the epoch moves along.
      {_count("old", "-")}
      {_count("new", "")}
    end;
"""


def make(db: Database) -> None:
    """Make the tables, count what is recorded already, and have all that comes counted."""
    db.executescript(_TABLES)
    # By its id at first, so that a stream has the same number in an older copy that is put back and upgraded.
    db.execute("insert into stream_numbers (number, stream_id) select id, id from streams order by id")
    if db.execute("select 1 from detections limit 1").fetchone():
        _count_record(db)
    else:
        db.execute(
            "insert into epochs (id, boot_id, uptime_s, started_utc, verified, after_id)"
            " values (lower(hex(randomblob(8))), '', 0, strftime('%s', 'now') / 60 * 60, 1, 0)"
        )
    db.executescript(_TRIGGERS)


def _count_record(db: Database) -> None:
    """Count the detections there are, stream by stream, into an epoch of their own.

    Its id and its minutes (since 1970) are the same whenever this is done: should a copy from before the upgrade be put
    back, the centre is told again what it knows, and counts nobody twice.
    """
    (claimed_utc,) = db.execute("select min(created_utc) from people").fetchone()
    epoch_id = hashlib.sha256(f"the record of {claimed_utc}".encode()).hexdigest()[:16]
    db.execute(
        "insert into epochs (id, boot_id, uptime_s, started_utc, verified, after_id) values (?, '', 0, 0, 1, 0)",
        [epoch_id],
    )
    streams = [number for (number,) in db.execute("select number from stream_numbers order by number").fetchall()]
    log.info("upgrading the record: adding up the detections of %d streams, minute by minute", len(streams))
    for done, number in enumerate(streams, start=1):
        cursor = db.execute(
            "insert into summaries (epoch, stream, minute, mask, no_mask, incorrect, unknown, seq)"
            " select number, ?, start_utc / 60, mask, no_mask, incorrect, unknown,"
            "   epochs.seq + row_number() over (order by start_utc)"
            " from epochs cross join ("
            f"   select {MINUTE_START.format(row='detections')} as start_utc, sum(state = 'mask') as mask,"
            "     sum(state = 'no_mask') as no_mask, sum(state = 'incorrect') as incorrect,"
            "     sum(state = 'unknown') as unknown"
            "   from detections where stream_id = ? group by start_utc)",
            [number, number],
        )
        db.execute("update epochs set seq = seq + ?", [cursor.rowcount])
        log.info("stream %d of %d: %d minutes with persons", done, len(streams), cursor.rowcount)
