"""The tables of the audit: a box and a centre have the same, in what SQLite and PostgreSQL have in common."""

from __future__ import annotations

TABLES = """
    create table audit (
      -- Who did what. Entries are added and, when they are very old, dropped from the front; none is ever changed.
      number integer primary key,              -- 1, 2, 3, ... without a gap
      at_utc text not null,                    -- 2026-11-23T16:00:00.000Z
      actor_kind text not null,                -- person, token, operator, centre, itself, stranger
      actor_id integer,                        -- of the person, who may be gone
      actor text not null,                     -- by name
      address text not null,                   -- from where
      action text not null,                    -- signed_in, stream_deleted, ...
      subject text not null,                   -- of what
      details text not null,                   -- a JSON object, or empty
      sha256 text not null                     -- of this and the hash of the entry before, see docs/audit.md
    ) strict;
    create index audit_time on audit (at_utc);
    create index audit_action on audit (action, number);

    create table audit_chain (
      -- One row: where the entries begin and end.
      id integer primary key check (id = 1),
      number integer not null,                 -- of the last entry
      sha256 text not null,                    -- its hash
      start_number integer not null,           -- of the last entry that was dropped; 0: none was
      start_sha256 text not null               -- its hash
    ) strict;
    insert into audit_chain (id, number, sha256, start_number, start_sha256) values (1, 0,
      '0000000000000000000000000000000000000000000000000000000000000000', 0,
      '0000000000000000000000000000000000000000000000000000000000000000');
"""

TRIGGERS_OF_SQLITE = """
    create trigger audit_unchanged before update on audit begin
      -- Against mistakes, not people: whoever can write the file can take this away; the hashes show it.
      select raise(abort, 'an audit entry is never changed');
    end;
    create trigger audit_kept before delete on audit
      when old.number > (select start_number from audit_chain) begin
      select raise(abort, 'an audit entry is never deleted, only dropped from the front');
    end;
"""
