"""The tables of what is kept and what is forgotten, and the triggers that let the sums stay (m016, m020)."""

from __future__ import annotations

from appliance.keeping import MAX_DAYS, ImageMode
from appliance.sqlite import Database
from appliance.store.summaries_schema import count_out, file_under_epoch

_DAYS = f"between 1 and {MAX_DAYS}"
_MODES = ", ".join(f"'{mode.value}'" for mode in ImageMode)

_TABLES = f"""
    alter table streams add column
      -- What is written of a person's picture; null: as the box's settings say.
      images text check (images in ({_MODES}));
    alter table streams add column
      -- For how many days images are kept; null: as long as the box keeps any.
      images_days integer check (images_days {_DAYS});
    alter table streams add column
      -- For how many days detections are kept; null: until somebody deletes them.
      detections_days integer check (detections_days {_DAYS});
    alter table streams add column
      -- Up to this id its detections were forgotten for their age.
      forgotten_id integer not null default 0;
    alter table streams add column
      -- Up to this id the images of its detections were.
      images_forgotten_id integer not null default 0;

    create table detection_ages (
      -- Which detections there were at a moment: they are at least so old, whatever the wall clock says now.
      upto_id integer primary key,             -- this and every lower id
      running_s real not null,                 -- by the box's running time, see box_clock
      utc text                                 -- by the wall clock, if that was believed then
    ) strict;

    create table forgetting (
      -- Not empty within a transaction that forgets detections for their age: the sums of the minutes keep them.
      id integer primary key check (id = 1)
    ) strict;

    create table counted_without_row (
      -- Persons who stand in the summaries, but have no detection (any more). As the summaries, so they move with them.
      epoch integer not null references epochs (number),
      stream integer not null,                 -- number in stream_numbers
      minute integer not null,
      mask integer not null default 0,
      no_mask integer not null default 0,
      incorrect integer not null default 0,
      unknown integer not null default 0,
      primary key (epoch, stream, minute)
    ) strict, without rowid;

    create table receipts (
      -- What was deleted by whom. Nothing of what stood there.
      id integer primary key autoincrement,
      kind text not null check (kind in ('stream', 'detection', 'images', 'statistics')),
      title text not null,                     -- for a person to read: ann:door
      by_name text not null,                   -- who deleted it; empty: at the command line
      at_utc text not null,
      detections integer not null,
      images integer not null,
      image_bytes integer not null,
      sha256 text not null,                    -- over what was deleted, see store/receipts.py
      finished_utc text                        -- overwritten on the disk, and gone from the log; null: not yet
    ) strict;

    create table privacy (
      -- One row, if this box keeps statistics only.
      id integer primary key check (id = 1),
      since_utc text not null,
      by_name text not null,
      files_removed integer not null default 0 check (files_removed in (0, 1))  -- images and copies of before
    ) strict;
"""

_TRIGGERS = f"""
    drop trigger detections_counted_out;
    create trigger detections_counted_out after delete on detections
      when not exists (select 1 from forgetting) begin
      -- Also those that go with their stream, whose number is then still the highest of its id.
      {count_out("old")}
    end;

    create trigger detections_forgotten after delete on detections
      when exists (select 1 from forgetting) begin
      {file_under_epoch("old", "counted_without_row")}
    end;
"""


def make(db: Database) -> None:
    """Make them. What was recorded before is as old as detections say whose times are believed, see store/ages.py."""
    db.executescript(_TABLES)
    db.executescript(_TRIGGERS)


_MORE = """
    alter table receipts rename to receipts_before;
    create table receipts (
      -- What was deleted by whom. Nothing of what stood there.
      id integer primary key autoincrement,
      kind text not null check (kind in ('stream', 'detection', 'images', 'statistics', 'person')),
      title text not null,                     -- for a person to read: ann:door
      by_name text not null,                   -- who deleted it; empty: at the command line
      at_utc text not null,
      detections integer not null,
      images integer not null,
      image_bytes integer not null,
      sha256 text not null,                    -- over what was deleted, see store/receipts.py
      finished_utc text                        -- overwritten on the disk, and gone from the log; null: not yet
    ) strict;
    insert into receipts select * from receipts_before;
    -- A number is never given twice, also where its receipt is no more.
    update sqlite_sequence set seq = (select seq from sqlite_sequence where name = 'receipts_before')
      where name = 'receipts' and exists (select 1 from sqlite_sequence where name = 'receipts_before');
    insert into sqlite_sequence (name, seq)
      select 'receipts', seq from sqlite_sequence
      where name = 'receipts_before' and not exists (select 1 from sqlite_sequence where name = 'receipts');
    drop table receipts_before;

    create table forgotten_untold (
      -- How much of a stream was forgotten for its age since the audit last told of it: one entry a day, with numbers.
      stream_id integer primary key references streams (id) on delete cascade,
      detections integer not null,
      images integer not null,
      running_s real not null                  -- when the first of it was, by the box's running time, see box_clock
    ) strict;
"""


def make_more(db: Database) -> None:
    """Receipts of persons who were removed, and what is to be told of what age makes forgotten (m020)."""
    db.executescript(_MORE)
