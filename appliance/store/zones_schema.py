"""The tables of zones, of who crossed their lines, and of places where somebody does not move (m018)."""

from __future__ import annotations

from appliance.sqlite import Database
from appliance.store.trends_schema import floored
from appliance.time_zone import QUARTER_S
from appliance.zones import ZoneKind

_KINDS = ", ".join(f"'{kind.value}'" for kind in ZoneKind)

_TABLES = f"""
    create table zones (
      -- Where in a stream's picture people are counted and where never, and lines that they cross.
      stream_id integer not null references streams (id) on delete cascade,
      position integer not null,               -- 0, 1, ...: in the order in which people gave them
      kind text not null check (kind in ({_KINDS})),
      name text not null,
      points text not null,                    -- [[x, y], ...]: fractions of the picture's width and height
      primary key (stream_id, position),
      unique (stream_id, name)
    ) strict, without rowid;

    create table crossings (
      -- How many persons crossed a line in a quarter of an hour. It stays, also when the line is taken away.
      stream_id integer not null references streams (id) on delete cascade,
      line text not null,                      -- its name
      start_utc integer not null,              -- seconds since 1970, a multiple of {QUARTER_S}; see epoch
      epoch integer not null,                  -- 0; or that whose clock may yet be put right: by minutes until then
      inward integer not null default 0,       -- from its left to its right, seen from its first point to its second
      outward integer not null default 0,
      primary key (stream_id, line, start_utc, epoch)
    ) strict, without rowid;

    create table still_places (
      -- Where in a stream's picture a face does not move. None while the box keeps statistics only.
      stream_id integer not null references streams (id) on delete cascade,
      number integer not null,                 -- 0, 1, ... of its stream
      bbox_left real not null, bbox_top real not null,      -- fractions of the picture's width and height
      bbox_right real not null, bbox_bottom real not null,
      still_s real not null,                   -- for so long, up to an hour: then it is a thing
      unseen_s real not null,                  -- for so long nothing was seen there, of the time in which it was judged
      primary key (stream_id, number)
    ) strict, without rowid;
"""

ADD_CROSSINGS = """
  insert into crossings (stream_id, line, start_utc, epoch, inward, outward) {select}
    on conflict (stream_id, line, start_utc, epoch)
    do update set inward = inward + excluded.inward, outward = outward + excluded.outward
"""

_MOVED = "start_utc + new.started_utc - old.started_utc"
_TRIGGER = f"""
    create trigger epochs_corrected after update of started_utc, verified on epochs
      when old.started_utc <> new.started_utc or old.verified <> new.verified begin
      -- The clock was put right. By way of a number that no epoch has: rows move to where others of them still are.
      {
    ADD_CROSSINGS.format(
        select=f"select stream_id, line, case when new.verified then {floored(_MOVED, QUARTER_S)} else {_MOVED} end,"
        " -new.number, inward, outward from crossings where epoch = new.number"
    )
};
      delete from crossings where epoch = new.number;
      {
    ADD_CROSSINGS.format(
        select="select stream_id, line, start_utc, case when new.verified then 0 else new.number end, inward, outward"
        " from crossings where epoch = -new.number"
    )
};
      delete from crossings where epoch = -new.number;
    end;
"""


def make(db: Database) -> None:
    """Make them."""
    db.executescript(_TABLES)
    db.executescript(_TRIGGER)
