"""The tables of people, sessions and tokens; they come before the site's own, which refer to people."""

from __future__ import annotations

from sqlite_utils import Database, Migrations

migrations = Migrations("accounts")


@migrations()
def m001_people(db: Database) -> None:
    """Who may sign in, and by what. `if not exists`: older boxes made the same tables with the set "appliance"."""
    db.executescript("""
        create table if not exists people (
          -- Someone who may sign in.
          id integer primary key,
          name text not null collate nocase unique,
          password_hash text not null,             -- argon2id
          role text not null check (role in ('admin', 'data_scientist')),
          created_utc text not null                -- 2026-11-23T16:00:00.000Z, like every time here
        ) strict;

        create table if not exists sessions (
          -- A browser that signed in. It holds the random token, we hold its sha-256.
          token_sha256 text primary key,
          person_id integer not null references people (id) on delete cascade,
          csrf_token text not null,                -- every form of this session carries it
          created_utc text not null,
          last_used_utc text not null
        ) strict, without rowid;
        create index if not exists sessions_person on sessions (person_id);

        create table if not exists tokens (
          -- A person's token for programs that use the JSON API.
          id integer primary key,
          person_id integer not null references people (id) on delete cascade,
          name text not null,                      -- what the person calls the program
          token_sha256 text not null unique,
          created_utc text not null,
          last_used_utc text
        ) strict;
        create index if not exists tokens_person on tokens (person_id);
    """)
