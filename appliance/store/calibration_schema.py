"""The tables of what people say the box got wrong: corrections, and faces labelled to calibrate a camera (m021)."""

from __future__ import annotations

from appliance.sqlite import Database
from appliance.store.summaries_schema import BY_HAND, MINUTE_START
from appliance.store.trends_schema import floored
from appliance.time_zone import QUARTER_S

_STATES = "('mask', 'no_mask', 'incorrect', 'unknown')"
_JUDGED = "('mask', 'no_mask', 'incorrect')"

_TABLES = f"""
    alter table detections add column
      -- What the box judged, where a person said otherwise or the same; null: nobody did, or it is not known any more.
      judged_state text check (judged_state in {_STATES});

    create table corrections (
      -- Persons whose state a person corrected, by quarters of an hour. They stay when detections are forgotten.
      stream_id integer not null references streams (id) on delete cascade,
      start_utc integer not null,              -- seconds since 1970, a multiple of {QUARTER_S}
      judged text not null check (judged in {_STATES}),  -- by the box
      state text not null check (state in {_STATES}),    -- by a person
      persons integer not null,
      primary key (stream_id, start_utc, judged, state)
    ) strict, without rowid;

    create table calibrations (
      -- A sample of a stream's faces that people label, by which the box learns how it errs there.
      id integer primary key autoincrement,    -- autoincrement: an id is never used twice
      stream_id integer not null references streams (id) on delete cascade,
      begun_utc text not null,
      by_name text not null,                   -- who began it
      since_utc text not null,                 -- when the first person was seen whom it speaks of
      model text not null,                     -- id of the model that judged all of them
      frame_width integer not null, frame_height integer not null,
      source text not null,                    -- where the box fetched the stream, without secrets; empty: by a key
      zones text not null,                     -- digest of the zones there were; empty: none
      view integer not null                    -- how often somebody had said that the camera has a new view
    ) strict;
    create index calibrations_stream on calibrations (stream_id, id);

    create table calibration_strata (
      -- The persons that the faces were drawn from, by what the box judged and how sure it was.
      calibration_id integer not null references calibrations (id) on delete cascade,
      judged text not null check (judged in {_JUDGED}),
      sure integer not null check (sure in (0, 1)),
      persons integer not null check (persons > 0),
      primary key (calibration_id, judged, sure)
    ) strict, without rowid;

    create table calibration_faces (
      -- Those that were drawn. A label stays when image and detection are forgotten; who is deleted has none any more.
      calibration_id integer not null references calibrations (id) on delete cascade,
      position integer not null,               -- in which order they are shown, by chance
      detection_id integer,                    -- null: forgotten for its age
      judged text not null check (judged in {_JUDGED}),
      sure integer not null check (sure in (0, 1)),
      confidence real not null check (confidence between 0 and 1),
      label text check (label in {_STATES}),   -- what a person says; unknown: it cannot be told; null: not asked yet
      labelled integer check ((labelled is null) = (label is null)),  -- the how manieth label it was
      primary key (calibration_id, position)
    ) strict, without rowid;
    create index calibration_faces_detection on calibration_faces (detection_id) where detection_id is not null;
"""

_QUARTER = floored(f"cast({MINUTE_START} as integer)", QUARTER_S)
_TAKE_OUT = f"""
      update corrections set persons = persons - 1
        where stream_id = old.stream_id and start_utc = {_QUARTER.format(row="old")}
          and judged = old.judged_state and state = old.state and old.judged_state <> old.state;
"""
_PUT_IN = f"""
      insert into corrections (stream_id, start_utc, judged, state, persons)
        select new.stream_id, {_QUARTER.format(row="new")}, new.judged_state, new.state, 1
        where new.judged_state <> new.state
        on conflict do update set persons = persons + 1;
"""
_TRIGGERS = f"""
    create trigger detections_corrected after update of state, judged_state, first_seen_utc on detections
      when old.judged_state is not null or new.judged_state is not null begin
      {_TAKE_OUT}
      {_PUT_IN}
    end;

    create trigger detections_corrected_out after delete on detections
      when old.judged_state is not null and not exists (select 1 from forgetting) begin
      {_TAKE_OUT}
    end;

    create trigger corrections_emptied after update on corrections when new.persons = 0 begin
      delete from corrections where stream_id = new.stream_id and start_utc = new.start_utc
        and judged = new.judged and state = new.state;
    end;

    create trigger detections_unlabelled after delete on detections when not exists (select 1 from forgetting) begin
      delete from calibration_faces where detection_id = old.id;
    end;

    create trigger detections_label_kept after delete on detections when exists (select 1 from forgetting) begin
      update calibration_faces set detection_id = null where detection_id = old.id;
    end;
"""

WRONG_CORRECTIONS = f"""
    select count(*) from (
      select stream_id, {_QUARTER.format(row="detections")} as start_utc, judged_state, state, count(*) as persons
      from detections where judged_state <> state group by 1, 2, 3, 4
    ) as counted left join corrections on corrections.stream_id = counted.stream_id
      and corrections.start_utc = counted.start_utc and corrections.judged = counted.judged_state
      and corrections.state = counted.state
    where coalesce(corrections.persons, 0) < counted.persons
"""
"""Corrections that stand in the record and not in their sums. Some of the sums may have no detection any more."""

_JUDGED_BEFORE = f"""
    update detections set judged_state = (
      select json_extract(details, '$.before') from audit
      where action = 'detection_corrected' and subject = 'detection ' || detections.id order by number limit 1
    ) where edited_by is not null and substr(model, 1, {len(BY_HAND)}) <> '{BY_HAND}'
"""


def make(db: Database) -> None:
    """Make them. What the box had judged of those who were corrected before is known from the audit, if it is there."""
    db.executescript(_TABLES)
    db.executescript(_TRIGGERS)
    if db.execute("select 1 from sqlite_schema where name = 'audit'").fetchone():
        db.execute(_JUDGED_BEFORE)
