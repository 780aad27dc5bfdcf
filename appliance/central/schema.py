"""The tables of a centre, one numbered migration per change, written once for SQLite and PostgreSQL.

Times are whole seconds since 1970 but in the tables of the accounts, where they are text as on a box.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from appliance.accounts import audit_schema
from appliance.alerts import schema as alerts_schema
from appliance.central.database import Database
from appliance.reports import schema as reports_schema

_LOCK = 0x6D62396B  # "mb9k": of the processes that start together, one migrates

SITES_AND_BOXES = """
    create table sites (
      -- Where boxes stand.
      id integer primary key autoincrement,
      name text not null collate nocase unique,
      group_name text not null default '',
      latitude real,
      longitude real
    ) strict;

    create table boxes (
      -- One box that joined. What it last told of itself stands here, too.
      id text primary key,                     -- its name on the wire, that of its certificate
      title text not null default '',
      site_id integer references sites (id) on delete set null,
      note text not null default '',
      joined_utc integer not null,
      revoked_utc integer,                     -- since then nothing of it is taken
      epoch text,                              -- of its newest hello
      machine text not null default '',        -- digest of the hardware that said hello last
      other_machine text not null default '',  -- the one before
      other_utc integer,                       -- when that one last said hello
      version text not null default '',
      hardware text not null default '',
      clock text not null default 'unknown',
      takes_commands integer not null default 1,
      hello_utc integer,                       -- when the hello came, by our clock
      status text not null default '',         -- running, stopped, gone; empty: never heard
      state_utc integer,                       -- when the last state came, by our clock
      state_sent_utc integer,                  -- when the box sent it, by its clock
      live text not null default '[]',         -- JSON: numbers of the streams that are LIVE
      backlog integer not null default 0,      -- rows that no watermark had covered
      disk_free_mb integer,
      temperature_c real,
      problem text not null default '',        -- what the box says is wrong with it
      sums_utc integer,                        -- when rows last came, by our clock
      complete_utc integer,                    -- up to then all it counted is here
      told_problem text not null default '',   -- what we see wrong with what it sends
      told_utc integer                         -- when that was last so
    ) strict;

    create table streams (
      -- A stream of a box. Numbers are never given twice on a box.
      id integer primary key autoincrement,
      box_id text not null references boxes (id) on delete cascade,
      number integer not null,
      name text not null default '',           -- empty: the box keeps its names to itself
      unique (box_id, number)
    ) strict;
"""

SUMS = """
    create table sources (
      -- One stream in one epoch of a box: what rows of sums belong to.
      -- A row of minute m began at base_utc + 60 * m, as the box first said it; where the box corrected its clock,
      -- between low_shift and high_shift later.
      id integer primary key autoincrement,
      stream_id integer not null references streams (id) on delete cascade,
      epoch text not null,
      base_utc integer not null,
      low_shift integer not null default 0,
      high_shift integer not null default 0,
      since_utc integer not null,              -- every row lies in since..until, whole days
      until_utc integer not null,
      made_utc integer not null,               -- when we first heard of it
      unique (stream_id, epoch)
    ) strict;
    create index sources_stream on sources (stream_id, until_utc);
    create index sources_since on sources (since_utc);

    create table watermarks (
      -- Up to which seq every row of an epoch is here.
      box_id text not null references boxes (id) on delete cascade,
      epoch text not null,
      upto integer not null default 0,
      ahead text not null default '[]',        -- JSON: ranges (after, upto] that came before their turn
      gaps integer not null default 0,         -- how often a range came before its turn
      at_utc integer not null,                 -- when the last range came
      primary key (box_id, epoch)
    ) strict, without rowid;
    create index watermarks_at on watermarks (at_utc);

    create table stale_hours (
      -- Hours whose roll-up is to be computed again: appended with the rows, in the same transaction.
      id integer primary key autoincrement,
      box_id text not null,
      hour_utc integer not null
    ) strict;

    create table hours (
      -- Sums of one stream in one hour over all epochs. No row: nothing is known.
      stream_id integer not null references streams (id) on delete cascade,
      start_utc integer not null,
      watched_s integer not null,
      mask integer not null, no_mask integer not null, incorrect integer not null, unknown integer not null,
      unverified integer not null,             -- how many of its minutes have a time that nothing confirms
      primary key (start_utc, stream_id)
    ) strict, without rowid;
    create index hours_stream on hours (stream_id, start_utc);

    create table days (
      -- The same of one day, by the clocks of time_zone.
      stream_id integer not null references streams (id) on delete cascade,
      start_utc integer not null,
      watched_s integer not null,
      mask integer not null, no_mask integer not null, incorrect integer not null, unknown integer not null,
      unverified integer not null,
      primary key (start_utc, stream_id)
    ) strict, without rowid;
    create index days_stream on days (stream_id, start_utc);

    create table facts (
      -- What must be remembered once. closed_utc: minutes from before are deleted, so hours before it stay as they are.
      name text primary key,
      value integer not null
    ) strict, without rowid;
"""

SUMS_OF_SQLITE = """
    create table sums (
      -- What one stream counted in one minute, as far as one epoch knows. The truth is the sum over all epochs.
      source_id integer not null,
      minute integer not null,                 -- of the epoch
      start_utc integer not null,              -- when it began
      watched_s integer not null,
      mask integer not null, no_mask integer not null, incorrect integer not null, unknown integer not null,
      verified integer not null,               -- 0: nothing had said that the box's clock is right
      seq integer not null,                    -- of its last change
      primary key (source_id, minute)
    ) strict, without rowid;
"""

SUMS_OF_POSTGRESQL = """
    -- Partitioned by a time that never changes: where the box corrects its clock, start_utc moves and the row stays.
    create table sums (
      kept_utc bigint not null,                -- sources.base_utc + 60 * minute
      start_utc bigint not null,
      seq bigint not null,
      minute bigint not null,
      source_id integer not null,
      watched_s integer not null,
      mask integer not null, no_mask integer not null, incorrect integer not null, unknown integer not null,
      verified smallint not null,
      primary key (source_id, minute, kept_utc)
    ) partition by range (kept_utc);
    create table sums_other partition of sums default;
"""

JOINING_AND_REST = """
    create table letters (
      -- A message that could not be taken.
      id integer primary key autoincrement,
      at_utc integer not null,                 -- when the last one like this came
      box_id text not null,                    -- as the topic names it; may be nobody
      topic text not null,
      reason text not null,                    -- for a person to read
      payload blob not null,                   -- its first 4 kB
      times integer not null default 1
    ) strict;
    create index letters_box on letters (box_id, id);
    create index letters_at on letters (at_utc);

    create table joins (
      -- A join code that may still be used, or was.
      id integer primary key autoincrement,
      secret_sha256 text not null unique,
      box_id text,                             -- the one box it is for; null: whoever brings it names itself
      title text not null default '',
      site_id integer references sites (id) on delete set null,
      boxes_left integer not null,
      expires_utc integer not null,
      made_by text not null,
      made_utc integer not null
    ) strict;

    create table certificates (
      -- Every certificate we signed.
      serial text primary key,
      box_id text not null,
      made_utc integer not null,
      expires_utc integer not null,
      revoked_utc integer,
      join_id integer,                         -- the join code it was given for; null: a renewal
      key_sha256 text not null default ''      -- of its signing request: who asks again, not having got the answer
    ) strict, without rowid;
    create index certificates_box on certificates (box_id);

    create table commands (
      -- What a person asked a box to do, and what became of it.
      id text primary key,
      box_id text not null references boxes (id) on delete cascade,
      action text not null,
      detail text not null default '',
      given_by text not null,                  -- the person's name
      given_utc integer not null,
      expires_utc integer not null,
      sent_utc integer,
      done integer check (done in (0, 1)),     -- null: no answer yet
      words text not null default '',
      at_utc integer                           -- when the answer came
    ) strict, without rowid;
    create index commands_box on commands (box_id, given_utc);
    create index commands_unsent on commands (expires_utc) where sent_utc is null;

    create table events (
      -- What happened, for people to look up later.
      id integer primary key autoincrement,
      at_utc integer not null,
      box_id text,
      person text,
      what text not null
    ) strict;
    create index events_at on events (at_utc);

    create table processes (
      -- One process of the centre, as last heard of.
      name text primary key,                   -- ingest@host:4711
      kind text not null,                      -- ingest, serve, joining, notify
      started_utc integer not null,
      heartbeat_utc integer not null,
      problem text not null default '',
      rows_taken integer not null default 0,   -- since it started
      messages_taken integer not null default 0
    ) strict, without rowid;
"""

ACCOUNTS = """
    create table people (
      -- Someone who may sign in.
      id integer primary key autoincrement,
      name text not null collate nocase unique,
      password_hash text not null,             -- argon2id
      role text not null check (role in ('admin', 'analyst')),
      created_utc text not null                -- 2026-11-23T16:00:00.000Z
    ) strict;

    create table sessions (
      -- A browser that signed in. It holds the random token, we hold its sha-256.
      token_sha256 text primary key,
      person_id integer not null references people (id) on delete cascade,
      csrf_token text not null,
      created_utc text not null,
      last_used_utc text not null
    ) strict, without rowid;
    create index sessions_person on sessions (person_id);

    create table tokens (
      -- A person's token for programs that use the JSON API.
      id integer primary key autoincrement,
      person_id integer not null references people (id) on delete cascade,
      name text not null,
      token_sha256 text not null unique,
      created_utc text not null,
      last_used_utc text,
      expires_utc text not null default ''     -- from then on it admits nobody
    ) strict;
    create index tokens_person on tokens (person_id);

    create table devices (
      -- A browser in which a person signed in before; it admits nobody, it only lets a person try.
      id_sha256 text not null,
      person_id integer not null references people (id) on delete cascade,
      last_used_utc text not null,
      primary key (id_sha256, person_id)
    ) strict, without rowid;
    create index devices_person on devices (person_id, last_used_utc);

    create table person_sites (
      -- Which sites an analyst sees.
      person_id integer not null references people (id) on delete cascade,
      site_id integer not null references sites (id) on delete cascade,
      primary key (person_id, site_id)
    ) strict, without rowid;
"""


TIME_ZONE = """
    create table time_zone (
      -- One row. By the clocks of this zone the rows of days are cut.
      id integer primary key check (id = 1),
      name text not null,                      -- Europe/Berlin
      seam_utc integer not null                -- days from before keep the cut of another zone: their hours are gone
    ) strict;
    insert into time_zone (id, name, seam_utc) values (1, 'UTC', 0);
"""


def m001_tables(database: Database) -> None:
    """Everything a centre began with."""
    if database.dialect == "postgresql":
        # As `collate nocase` of SQLite; of ICU, which every packaged PostgreSQL has.
        database.script(
            "create collation if not exists nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
        )
    make(database, SITES_AND_BOXES + SUMS)
    database.script(SUMS_OF_SQLITE if database.dialect == "sqlite" else SUMS_OF_POSTGRESQL)
    make(database, JOINING_AND_REST + ACCOUNTS)


def m002_audit(database: Database) -> None:
    """Who did what."""
    make(database, audit_schema.TABLES)
    if database.dialect == "sqlite":
        database.script(audit_schema.TRIGGERS_OF_SQLITE)


def m003_alerts(database: Database) -> None:
    """Who is told when something is wrong, of what, and what they were told."""
    make(database, alerts_schema.TABLES)


def m004_time_zone(database: Database) -> None:
    """By whose clocks days are cut: so far by those of UTC."""
    make(database, TIME_ZONE)


def m005_reports(database: Database) -> None:
    """Reports by mail: schedules, and what was sent."""
    make(database, reports_schema.TABLES)


MIGRATIONS: tuple[Callable[[Database], None], ...] = (
    m001_tables,
    m002_audit,
    m003_alerts,
    m004_time_zone,
    m005_reports,
)
"""In this order, each once; number n is the n-th. Never change one that was released."""


def make(database: Database, tables: str) -> None:
    """Run what is written in SQLite's words in those of this database."""
    database.script(tables if database.dialect == "sqlite" else as_postgresql(tables))


def as_postgresql(tables: str) -> str:
    """The same tables in PostgreSQL's words."""
    for pattern, words in (
        (r"integer primary key autoincrement", "bigint generated by default as identity primary key"),
        (r"\binteger\b", "bigint"),
        (r"\breal\b", "double precision"),
        (r"\bblob\b", "bytea"),
        (r"\) strict(, without rowid)?;", ");"),
    ):
        tables = re.sub(pattern, words, tables)
    return tables


def migrate(database: Database) -> None:
    """Run the migrations that have not run, each in a transaction with the note that it has. Raises sqlite3.Error."""
    if database.dialect == "postgresql":
        database.execute("select pg_advisory_lock(?)", [_LOCK])
    try:
        database.script(
            "create table if not exists migrations"
            " (number integer primary key, name text not null, at_utc bigint not null)"
        )
        newest = database.one("select max(number) from migrations") or 0
        for number, migration in enumerate(MIGRATIONS[newest:], newest + 1):
            with database.writing():
                migration(database)
                database.execute(
                    "insert into migrations (number, name, at_utc) values (?, ?, ?)",
                    [number, migration.__name__, int(time.time())],
                )
    finally:
        if database.dialect == "postgresql":
            database.execute("select pg_advisory_unlock(?)", [_LOCK])


def pending(database: Database) -> list[str]:
    """The names of the migrations that have not run. Raises sqlite3.Error."""
    newest = database.one("select max(number) from migrations") or 0
    return [migration.__name__ for migration in MIGRATIONS[newest:]]
