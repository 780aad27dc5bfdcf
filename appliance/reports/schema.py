"""The tables of reports by mail: a box and a centre have the same, in what SQLite and PostgreSQL have in common."""

from __future__ import annotations

TABLES = """
    create table report_schedules (
      -- A report that is sent by itself.
      id integer primary key autoincrement,
      kind text not null,                      -- day, week, month
      minute_of_day integer not null,          -- when it is sent on the day after, by the site's clocks
      of_all integer not null,                 -- 1: of all streams (boxes), also those to come; 0: of its subjects
      created_utc text not null                -- 2026-11-23T16:00:00.000Z, like every time here
    ) strict;

    create table report_subjects (
      -- What a schedule is about.
      schedule_id integer not null references report_schedules (id) on delete cascade,
      subject text not null,                   -- the id of a stream; of a centre: of a site or a box
      primary key (schedule_id, subject)
    ) strict, without rowid;

    create table report_recipients (
      -- Whom it is sent to.
      schedule_id integer not null references report_schedules (id) on delete cascade,
      address text not null,
      primary key (schedule_id, address)
    ) strict, without rowid;

    create table report_periods (
      -- Which periods a schedule has been through. By days of the calendar and not by a clock, which may be set back.
      schedule_id integer not null references report_schedules (id) on delete cascade,
      kind text not null,
      first_day integer not null,              -- days since 1970-01-01
      primary key (schedule_id, kind, first_day)
    ) strict, without rowid;

    create table report_deliveries (
      -- The outbox, and what became of it: one report for one recipient.
      id integer primary key autoincrement,
      schedule_id integer not null references report_schedules (id) on delete cascade,
      uid text not null unique,                -- random; the id of the message, the same however often it is sent
      kind text not null,
      first_day integer not null,
      address text not null,
      state text not null,                     -- waiting, sent, failed
      tries integer not null,
      created_utc text not null,
      at_utc text,                             -- of the last try
      problem text not null                    -- why that failed, for people
    ) strict;
    create index report_deliveries_schedule on report_deliveries (schedule_id);
    create index report_deliveries_waiting on report_deliveries (id) where state = 'waiting';
"""

OF_BOX = """
    create trigger report_subjects_of_stream after delete on streams begin
      -- Nothing of a stream stays behind, and its number may be given again.
      delete from report_subjects where subject = cast(old.id as text);
    end;
"""
"""What a box has besides: there, subjects are its streams."""
