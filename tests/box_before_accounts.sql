-- A box's database as it was before accounts had migrations of their own, with a row of each kind.
BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'appliance','m001_people','2026-11-26 00:00:00.000000+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'appliance','m002_streams','2026-11-26 00:00:00.000000+00:00');
INSERT INTO "_sqlite_migrations" VALUES(3,'appliance','m003_detections','2026-11-26 00:00:00.000000+00:00');
INSERT INTO "_sqlite_migrations" VALUES(4,'appliance','m004_services','2026-11-26 00:00:00.000000+00:00');
CREATE TABLE detections (
          -- One row per person who passed a stream's camera; ids rise in the order of arrival.
          id integer primary key autoincrement,    -- autoincrement: an id is never used twice
          stream_id integer not null references streams (id) on delete cascade,
          first_seen_utc text not null,
          last_seen_utc text not null,
          state text not null check (state in ('mask', 'no_mask', 'incorrect', 'unknown')),
          confidence real not null check (confidence between 0 and 1),
          votes integer not null check (votes >= 0),   -- faces that voted
          box_left real not null, box_top real not null, box_right real not null, box_bottom real not null,
          frame_width integer not null, frame_height integer not null,  -- what the box is measured in
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
INSERT INTO "detections" VALUES(1,1,'1970-01-01T00:05:00.000Z','1970-01-01T00:05:03.000Z','mask',0.9,7,1.0,2.0,30.0,40.0,640,360,'m',NULL,NULL,NULL,NULL,NULL);
CREATE TABLE people (
          -- Someone who may sign in.
          id integer primary key,
          name text not null collate nocase unique,
          password_hash text not null,             -- argon2id
          role text not null check (role in ('admin', 'data_scientist')),
          created_utc text not null                -- 2026-11-23T16:00:00.000Z, like every time here
        ) strict;
INSERT INTO "people" VALUES(1,'ann','hash of ann','admin','1970-01-01T00:00:00.000Z');
INSERT INTO "people" VALUES(2,'sci','hash of sci','data_scientist','1970-01-01T00:01:00.000Z');
CREATE TABLE refusals (
          -- Someone was turned away at the door. Never the key that was tried.
          id integer primary key,
          at_utc text not null,
          remote text not null,                    -- address
          action text not null,                    -- publish, read, ...
          reason text not null,                    -- for a person to read
          times integer not null default 1         -- the same again within a minute only counts up
        ) strict;
CREATE TABLE services (
          -- The last sign of life of each service.
          name text primary key,                   -- gate, watch, serve, ...
          boot_id text not null,                   -- which start of the machine; an old one is no life
          beat_s real not null,                    -- seconds since that start
          started_utc text not null,
          pid integer not null,
          problem text                             -- what is wrong, for a person to read
        ) strict, without rowid;
CREATE TABLE sessions (
          -- A browser that signed in. It holds the random token, we hold its sha-256.
          token_sha256 text primary key,
          person_id integer not null references people (id) on delete cascade,
          csrf_token text not null,                -- every form of this session carries it
          created_utc text not null,
          last_used_utc text not null
        ) strict, without rowid;
INSERT INTO "sessions" VALUES('b6376076de3d2d5269d01b130e47bc91137af8df4409d2cba9c05495d7bb5a1d',1,'csrf','1970-01-01T00:02:00.000Z','1970-01-01T00:02:00.000Z');
CREATE TABLE stream_status (
          -- What the watcher last knew of a stream. True only while the watcher's beat is fresh (services).
          stream_id integer primary key references streams (id) on delete cascade,
          live integer not null check (live in (0, 1)),
          since_utc text,                          -- LIVE since
          remote text,                             -- address of the publisher
          codec text,
          width integer,
          height integer,
          problem text                             -- why the stream is not being judged, for a person to read
        ) strict;
CREATE TABLE streams (
          -- A named video source of one owner: sent to us with a key, or pulled by us from a source.
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
INSERT INTO "streams" VALUES(1,2,'lab','2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683',NULL,1,'1970-01-01T00:04:00.000Z');
CREATE TABLE tokens (
          -- A person's token for programs that use the JSON API.
          id integer primary key,
          person_id integer not null references people (id) on delete cascade,
          name text not null,                      -- what the person calls the program
          token_sha256 text not null unique,
          created_utc text not null,
          last_used_utc text
        ) strict;
INSERT INTO "tokens" VALUES(1,2,'report','258628e694828d0efcb9c8efabdeebf11e65c4d51302032acb3d1a932a89cbfa','1970-01-01T00:03:00.000Z',NULL);
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE INDEX sessions_person on sessions (person_id);
CREATE INDEX tokens_person on tokens (person_id);
CREATE INDEX detections_stream on detections (stream_id, id);
CREATE INDEX detections_state on detections (state, id);
CREATE INDEX detections_seen on detections (first_seen_utc, state, stream_id);
CREATE INDEX detections_image_day on detections (image_day) where image_day is not null;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('detections',1);
COMMIT;
