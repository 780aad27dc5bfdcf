"""The tables of what a camera looks at, and of what is wrong with its picture (m020)."""

from __future__ import annotations

from appliance.faces import PictureFault
from appliance.sqlite import Database

_FAULTS = ", ".join(f"'{fault.value}'" for fault in PictureFault)

_TABLES = f"""
    alter table stream_status add column
      -- What is wrong with the picture that comes; null: nothing, or it is not known yet.
      picture_fault text check (picture_fault in ({_FAULTS}));
    alter table stream_status add column
      -- Since when; it stays over a start of the watcher, as the fault does.
      picture_fault_since_utc text;

    create table views (
      -- What a camera looks at, as the box learned it: no picture, and nobody can be recognised in it.
      stream_id integer primary key references streams (id) on delete cascade,
      asked integer not null default 0,        -- how often somebody said: this is the new view, learn it
      learned blob,                            -- vision/looking/view.py; null: being learned, or statistics only
      learned_utc text                         -- when it was learned
    ) strict;
"""


def make(db: Database) -> None:
    """Make them."""
    db.executescript(_TABLES)
