"""The tables of what people review: who looked at a detection, and what else its camera showed (m025)."""

from __future__ import annotations

from appliance.sqlite import Database

_TABLES = """
    alter table detections add column
      -- Who looked at it and marked it; a correction does as well.
      reviewed_by text;
    alter table detections add column
      reviewed_utc text check ((reviewed_utc is null) = (reviewed_by is null));
    create index detections_stream_reviewed on detections (
      -- A page of those of all states; people mark few of all there are.
      stream_id, first_seen_utc
    ) where reviewed_utc is not null;
    create index detections_stream_state_reviewed on detections (
      -- Those of one state; their counts. With one more column it would not be chosen.
      stream_id, state, first_seen_utc
    ) where reviewed_utc is not null;

    create table pictures (
      -- What is kept beside a detection's image: the scene it was cut from, and the face at other moments.
      id integer primary key autoincrement,
      detection_id integer not null references detections (id) on delete cascade,
      kind text not null check (kind in ('scene', 'face')),
      at_utc text not null,                    -- of the frame
      -- Of a scene: where the face is in it, 0 to 1 of its sides.
      bbox_left real, bbox_top real, bbox_right real, bbox_bottom real,
      image_day text not null,                 -- as of detections
      image_offset integer not null,
      image_size integer not null,
      image_token text not null unique,
      image_crc32 integer not null check (image_crc32 between 0 and 4294967295),
      check ((kind = 'scene') = (bbox_left is not null))
    ) strict;
    create index pictures_detection on pictures (detection_id);
    create index pictures_day on pictures (image_day);
"""

_TRIGGERS = """
    create trigger pictures_removed after delete on pictures begin
      -- Also those that go with their detection: in the same transaction, so that none is forgotten.
      insert into erasures (image_day, image_offset, image_size)
        values (old.image_day, old.image_offset, old.image_size);
    end;

    create trigger detections_pictures_removed after update of image_day on detections
      when old.image_day is not null and new.image_day is null begin
      -- Whoever takes the image away, for whatever reason, means these too.
      delete from pictures where detection_id = old.id;
    end;
"""


def make(db: Database) -> None:
    """Make them. What was recorded before has neither."""
    db.executescript(_TABLES)
    db.executescript(_TRIGGERS)
