"""The tables of a box, one numbered migration per change. `.schema` on the device shows the comments too.

Number 1 made the people, whose tables are now the business of `accounts`.
"""

from __future__ import annotations

from appliance.accounts.schema import migrations as accounts_migrations
from appliance.alerts import schema as alerts_schema
from appliance.reports import schema as reports_schema
from appliance.sqlite import Database, Migrations
from appliance.store import (
    calibration_schema,
    keeping_schema,
    picture_schema,
    review_schema,
    senders_schema,
    summaries_schema,
    trends_schema,
    zones_schema,
)

migrations = Migrations("appliance")
MIGRATIONS = (accounts_migrations, migrations)  # streams refer to people, so these come first


@migrations()
def m002_streams(db: Database) -> None:
    """What may be published to the box, what is, and who was refused."""
    db.executescript("""
        create table streams (
          -- A named video source of one owner: published to us with a key, or pulled by us from a source.
          id integer primary key,
          owner_id integer not null references people (id) on delete restrict,
          name text not null,
          key_sha256 text unique,                  -- of the stream key; the key itself is kept nowhere
          source_url text,                         -- an RTSP camera, a file, a webcam
          active integer not null default 1 check (active in (0, 1)),
          created_utc text not null,
          unique (owner_id, name),
          check ((key_sha256 is null) <> (source_url is null))
        ) strict;

        create table stream_status (
          -- What the watcher last knew of a stream. True only while the watcher's heartbeat is fresh (services).
          stream_id integer primary key references streams (id) on delete cascade,
          live integer not null check (live in (0, 1)),
          since_utc text,                          -- LIVE since
          remote text,                             -- address of the publisher
          codec text,
          width integer,
          height integer,
          problem text                             -- why nobody in the stream is being judged, for a person to read
        ) strict;

        create table refusals (
          -- Someone was refused. Never the key that was tried.
          id integer primary key,
          at_utc text not null,
          remote text not null,                    -- address
          action text not null,                    -- publish, read, ...
          reason text not null,                    -- for a person to read
          times integer not null default 1         -- the same again within a minute only counts up
        ) strict;
    """)


@migrations()
def m003_detections(db: Database) -> None:
    """The record."""
    db.executescript("""
        create table detections (
          -- One row per person who passed a stream's camera; ids rise in the order of arrival.
          id integer primary key autoincrement,    -- autoincrement: an id is never used twice
          stream_id integer not null references streams (id) on delete cascade,
          first_seen_utc text not null,
          last_seen_utc text not null,
          state text not null check (state in ('mask', 'no_mask', 'incorrect', 'unknown')),
          confidence real not null check (confidence between 0 and 1),
          votes integer not null check (votes >= 0),   -- faces that voted
          box_left real not null, box_top real not null, box_right real not null, box_bottom real not null,
          frame_width integer not null, frame_height integer not null,  -- what the bbox is measured in
          model text not null,                     -- id of the model that judged, or who entered it by hand
          edited_by text,                          -- who corrected the state
          image_day text,                          -- 20261123: the day file that holds the image
          image_offset integer,
          image_size integer,
          image_token text unique,                 -- the unguessable part of the image's address
          check ((image_day is null) = (image_offset is null)
             and (image_day is null) = (image_size is null)
             and (image_day is null) = (image_token is null)),
          check (last_seen_utc >= first_seen_utc)
        ) strict;
        create index detections_stream on detections (stream_id, id);
        create index detections_state on detections (state, id);
        create index detections_seen on detections (first_seen_utc, state, stream_id);  -- counts need no more
        create index detections_image_day on detections (image_day) where image_day is not null;
    """)


@migrations()
def m004_services(db: Database) -> None:
    """How the services are."""
    db.executescript("""
        create table services (
          -- The last heartbeat of each service.
          name text primary key,                   -- gate, watch, serve, ...
          boot_id text not null,                   -- which start of the machine; an old one is no life
          beat_s real not null,                    -- seconds since that start
          started_utc text not null,
          pid integer not null,
          problem text                             -- what is wrong, for a person to read
        ) strict, without rowid;
    """)


@migrations()
def m005_words(db: Database) -> None:
    """A box is the machine: a rectangle is a bbox, a sign of life a heartbeat."""
    db.executescript("""
        alter table detections rename column box_left to bbox_left;
        alter table detections rename column box_top to bbox_top;
        alter table detections rename column box_right to bbox_right;
        alter table detections rename column box_bottom to bbox_bottom;
        alter table services rename column beat_s to heartbeat_s;
    """)


@migrations()
def m006_indexes(db: Database) -> None:
    """One index for each question that is often asked; all begin with the stream, see filters.py."""
    db.executescript("""
        drop index detections_stream;
        drop index detections_state;
        drop index detections_seen;
        drop index detections_image_day;

        create index detections_stream_seen on detections (
          -- A page of all states.
          stream_id, first_seen_utc
        );
        create index detections_stream_state_seen on detections (
          -- A page of one state; counts, for which it alone suffices.
          stream_id, state, first_seen_utc
        );
        create index detections_stream_last on detections (
          -- Who may still be in view when the watcher starts again.
          stream_id, last_seen_utc
        );
        create index detections_stream_image on detections (
          -- The latest image, the images of a stream, and those of a day that is forgotten.
          stream_id, image_day
        ) where image_day is not null;
    """)


@migrations()
def m007_image_checksums(db: Database) -> None:
    """So that an image that the disk spoiled is known from one that was erased. What was written before has none."""
    db.executescript("""
        alter table detections add column image_crc32 integer  -- zlib.crc32 of the JPEG; null: not known
          check (image_crc32 between 0 and 4294967295)
    """)


@migrations()
def m008_erasures_and_ages(db: Database) -> None:
    """What is still to be erased, and how old images are whatever the wall clock says."""
    db.executescript("""
        create table erasures (
          -- An image that no detection has any more, while it may still lie in its day file.
          id integer primary key autoincrement,    -- autoincrement: an id is never used twice
          image_day text not null,
          image_offset integer not null,
          image_size integer not null
        ) strict;

        create trigger detections_removed after delete on detections when old.image_day is not null begin
          -- Also those that go with their stream: in the same transaction, so that none is forgotten.
          insert into erasures (image_day, image_offset, image_size)
            values (old.image_day, old.image_offset, old.image_size);
        end;

        create trigger detections_image_replaced after update of image_day, image_offset on detections
          when old.image_day is not null
            and (old.image_day, old.image_offset) is not (new.image_day, new.image_offset) begin
          insert into erasures (image_day, image_offset, image_size)
            values (old.image_day, old.image_offset, old.image_size);
        end;

        create table image_days (
          -- When a day file was last written to. Its name is what the wall clock said, which may have been wrong.
          day text primary key,                    -- 20261123
          size_bytes integer not null,             -- of the file, by which the next write is seen
          running_s real not null,                 -- by the box's running time, see box_clock
          utc text                                 -- by the wall clock, if that was believed then
        ) strict, without rowid;

        create table box_clock (
          -- One row: time as the record knows it, noted every minute.
          id integer primary key check (id = 1),
          running_s real not null,                 -- how long the machine has run in all; it never jumps
          boot_id text not null,
          uptime_s real not null,                  -- of this start, when that was noted
          utc text,                                -- where the wall clock were now, had it run on since last believed
          wall_clock text not null check (wall_clock in ('believed', 'unknown', 'leapt')),
          notice text                              -- what people must know of it
        ) strict;
    """)


@migrations()
def m009_condition(db: Database) -> None:
    """What was learnt of a stream's picture, beside its size."""
    db.executescript("""
        alter table stream_status add column
          -- Over which the camera's pictures came last: it is asked for that first.
          transport text check (transport in ('tcp', 'udp'));
        alter table stream_status add column
          -- From one key frame to the next, seconds.
          key_interval_s integer;
    """)


@migrations()
def m010_health(db: Database) -> None:
    """How well a stream can be judged, why a person could not be, and a second address that is lighter to watch."""
    db.executescript("""
        alter table stream_status add column
          -- Share of persons whose faces were too small to judge, of the last minutes.
          too_small real check (too_small between 0 and 1);
        alter table stream_status add column
          -- Share of the looks wanted that the box could afford.
          looks real check (looks between 0 and 1);
        alter table stream_status add column
          -- Shorter side of the smallest face that is judged, px of the picture.
          smallest_face_px real;
        alter table stream_status add column
          -- CPU time a second that decoding takes, ms.
          decoding_ms real;
        alter table stream_status add column
          -- The same while nothing moves, if key frames came each second; null: they do.
          idle_ms real;

        alter table detections add column
          -- Why the state is unknown: the faces had too few pixels to judge.
          too_small integer not null default 0
            check (too_small in (0, 1) and (too_small = 0 or state = 'unknown'));

        alter table streams add column
          -- A smaller picture of the same camera, in which the box watches for movement; null: there is none.
          watch_url text check (watch_url is null or source_url is not null);
        alter table stream_status add column
          -- Why that is not watched just now; null: it is.
          watch_problem text;
    """)


@migrations()
def m011_summaries(db: Database) -> None:
    """Sums by the minute, kept with the detections, for a centre; and how the box and its centre get on."""
    summaries_schema.make(db)


@migrations()
def m012_judging(db: Database) -> None:
    """What judges the streams: the processor or a GPU."""
    db.executescript("""
        alter table services add column
          -- Of the watcher: what judges, why, since when, as JSON (faces.Judging); null: nothing yet.
          judging text;
    """)


@migrations()
def m013_decoded_by(db: Database) -> None:
    """What decodes a stream: FFmpeg, or a chip."""
    db.executescript("""
        alter table stream_status add column
          -- FFmpeg, or the name of what decodes in its place; null: not known.
          decoded_by text;
    """)


@migrations()
def m014_trends(db: Database) -> None:
    """Sums by quarters of an hour and by days, which stay."""
    trends_schema.make(db)


@migrations()
def m016_keeping(db: Database) -> None:
    """What is kept of a stream, and for how long; receipts of what was deleted; statistics only."""
    keeping_schema.make(db)


@migrations()
def m017_work(db: Database) -> None:
    """How late a stream is judged, and what was done with it since the box began to judge it (faces.Work)."""
    db.executescript("""
        alter table stream_status add column
          -- From when the camera showed a frame until it was judged, on average of the last minutes.
          delay_s real;
        alter table stream_status add column frames_judged integer not null default 0;
        alter table stream_status add column
          -- For want of computing time.
          looks_put_off integer not null default 0;
        alter table stream_status add column persons_left integer not null default 0;
        alter table stream_status add column
          -- Of the persons who left: too few pixels to judge.
          faces_too_small integer not null default 0;
        alter table stream_status add column
          -- Sum over the frames judged.
          delays_s real not null default 0;
        alter table stream_status add column
          -- How much of the stream nobody took in time.
          dropped_s real not null default 0;
    """)


@migrations()
def m018_zones(db: Database) -> None:
    """Where people are counted, who crossed a line, and what does not move."""
    zones_schema.make(db)


@migrations()
def m019_alerts(db: Database) -> None:
    """Who is told when something is wrong, of what, and what they were told."""
    db.executescript(alerts_schema.TABLES + alerts_schema.OF_BOX)


@migrations()
def m020_picture(db: Database) -> None:
    """What a camera looks at, and what is wrong with its picture; what was forgotten and is not yet told; receipts of
    persons."""
    picture_schema.make(db)
    keeping_schema.make_more(db)


@migrations()
def m021_calibration(db: Database) -> None:
    """What the box had judged of whom a person corrected, and faces that people label to calibrate a camera."""
    calibration_schema.make(db)


@migrations()
def m022_reports(db: Database) -> None:
    """Reports by mail: schedules, and what was sent."""
    db.executescript(reports_schema.TABLES + reports_schema.OF_BOX)


@migrations()
def m023_hours(db: Database) -> None:
    """Sums by the hours of the clocks, for what is asked by the hour of the week."""
    trends_schema.make_hours(db)


@migrations()
def m024_senders(db: Database) -> None:
    """Which stream a sender meant who was refused, and until when a stream was LIVE."""
    senders_schema.make(db)


@migrations()
def m025_review(db: Database) -> None:
    """Who reviewed a detection; the scene around a face, and the face at other moments."""
    review_schema.make(db)


@migrations()
def m026_deletions(db: Database) -> None:
    """A stream with many detections is deleted step by step."""
    db.executescript("""
        alter table streams add column
          -- It is being deleted under this receipt: for people it is gone already. null: it is not.
          receipt_id integer references receipts (id);
    """)


@migrations()
def m027_box_hours(db: Database) -> None:
    """Sums by the hour of all streams together, for what is asked of the whole box."""
    trends_schema.make_box_hours(db)
