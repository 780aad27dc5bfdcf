"""The tables of who sends to a stream, and of who meant to (m024)."""

from __future__ import annotations

from appliance.sqlite import Database

MAX_OLD_KEYS = 10

_TABLES = f"""
    create table old_keys (
      -- The last keys that a stream had before: whoever still sends with one is told on its page. They open nothing.
      id integer primary key,
      stream_id integer not null references streams (id) on delete cascade,
      key_sha256 text not null unique          -- of the key; the key itself is kept nowhere
    ) strict;
    create index old_keys_stream on old_keys (
      -- Those of a stream, also when it goes.
      stream_id
    );

    create trigger streams_key_ended after update of key_sha256 on streams
      when old.key_sha256 is not null and old.key_sha256 is not new.key_sha256 begin
      insert into old_keys (stream_id, key_sha256) values (old.id, old.key_sha256)
        on conflict (key_sha256) do update set stream_id = excluded.stream_id;
      delete from old_keys where stream_id = old.id and id not in
        (select id from old_keys where stream_id = old.id order by id desc limit {MAX_OLD_KEYS});
    end;

    alter table refusals add column
      -- The stream that was meant; null: not known.
      stream_id integer references streams (id) on delete cascade;
    create index refusals_stream on refusals (
      -- Those of a stream, also when it goes.
      stream_id, at_utc
    ) where stream_id is not null;

    alter table stream_status add column
      -- Until when it was LIVE, where it is not; null: not known.
      ended_utc text;
"""


def make(db: Database) -> None:
    """Make them."""
    db.executescript(_TABLES)
