"""The tables of people, sessions and tokens; they come before the site's own, which refer to people."""

from __future__ import annotations

from appliance.accounts import audit_schema
from appliance.sqlite import Database, Migrations

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


@migrations()
def m002_token_expiry(db: Database) -> None:
    """Every token ends. Those that there are have a year, also where this machine's clock starts in the past."""
    db.executescript("""
        alter table tokens add column
          expires_utc text not null default '';    -- from then on it admits nobody
        update tokens set expires_utc = strftime('%Y-%m-%dT%H:%M:%fZ',
          max(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), created_utc, coalesce(last_used_utc, '')), '+365 days');
    """)


@migrations()
def m003_devices(db: Database) -> None:
    """In which browsers a person has signed in before: others' wrong tries do not hold them up there."""
    db.executescript("""
        create table devices (
          -- A browser holds a random id, we hold its sha-256. It admits nobody; it only lets a person try.
          id_sha256 text not null,
          person_id integer not null references people (id) on delete cascade,
          last_used_utc text not null,             -- when the person last signed in there
          primary key (id_sha256, person_id)
        ) strict, without rowid;
        create index devices_person on devices (person_id, last_used_utc);
    """)


@migrations()
def m004_audit(db: Database) -> None:
    """Who did what."""
    db.executescript(audit_schema.TABLES + audit_schema.TRIGGERS_OF_SQLITE)
