"""The tables of alerts: a box and a centre have the same, in what SQLite and PostgreSQL have in common."""

from __future__ import annotations

TABLES = """
    create table alert_recipients (
      -- Who is told.
      id integer primary key autoincrement,
      kind text not null,                      -- webhook, email, mqtt
      name text not null unique,
      address text not null,                   -- a URL, a mail address, a topic
      secret text not null,                    -- of a webhook: what its messages are signed with; empty: they are not
      created_utc text not null                -- 2026-11-23T16:00:00.000Z, like every time here
    ) strict;

    create table alert_rules (
      -- What is watched for.
      id integer primary key autoincrement,
      kind text not null,                      -- rate, offline, ... (alerts/kinds.py)
      parameters text not null,                -- JSON, of its kind
      subject_of text not null,                -- all, stream, site, box
      subject_id text not null,                -- which one; empty: all
      cool_down_minutes integer not null,      -- after a message, for so long none says it again
      active integer not null,
      to_all integer not null,                 -- every recipient is told; 0: those of alert_rule_recipients
      created_utc text not null
    ) strict;
    create index alert_rules_subject on alert_rules (subject_of, subject_id);

    create table alert_rule_recipients (
      rule_id integer not null references alert_rules (id) on delete cascade,
      recipient_id integer not null references alert_recipients (id) on delete cascade,
      primary key (rule_id, recipient_id)
    ) strict, without rowid;
    create index alert_rule_recipients_recipient on alert_rule_recipients (recipient_id);

    create table alert_settings (
      -- One row.
      id integer primary key check (id = 1),
      quiet_from_minute integer,               -- of the day, by the site's clocks; null: no quiet hours
      quiet_until_minute integer               -- until then only what was told before is known; may be before `from`
    ) strict;
    insert into alert_settings (id) values (1);

    create table alert_log (
      -- What happened: an alert was raised, is over, or a message was tried out. Kept for 90 days.
      id integer primary key autoincrement,
      uid text not null unique,                -- random; the id of the message, the same however often it is sent
      alert text not null,                     -- random; joins `raised` and `over`
      what text not null,                      -- raised, over, test
      at_utc text not null,
      since_utc text not null,                 -- since when it was so
      rule_id integer,                         -- which may be gone
      kind text not null,
      subject_of text not null,
      subject_id text not null,
      title text not null,                     -- of what it is about, as it was called then
      words text not null,                     -- a sentence for people
      figures text not null                    -- a JSON object: what was measured
    ) strict;
    create index alert_log_subject on alert_log (subject_of, subject_id, id);
    create index alert_log_time on alert_log (at_utc);

    create table alert_states (
      -- How it is with a rule, for each subject that it has been so of.
      rule_id integer not null references alert_rules (id) on delete cascade,
      subject_of text not null,
      subject_id text not null,
      phase text not null,                     -- idle, pending, open (alerts/judge.py)
      owes integer not null,                   -- a message about the last change waits for quiet hours or a cool-down
      since_utc text not null,                 -- since when it is as it is, by both clocks
      since_boot text not null,
      since_s real not null,
      told_utc text,                           -- when it was last said that it is so; null: not lately
      told_boot text,
      told_s real,
      log_id integer,                          -- the entry about the last change
      primary key (rule_id, subject_of, subject_id)
    ) strict, without rowid;

    create table alert_deliveries (
      -- The outbox: one message for one recipient.
      id integer primary key autoincrement,
      log_id integer not null references alert_log (id) on delete cascade,
      recipient_id integer references alert_recipients (id) on delete set null,
      recipient text not null,                 -- its name
      kind text not null,                      -- how: webhook, email, mqtt
      state text not null,                     -- waiting, sent, failed
      tries integer not null,
      created_utc text not null,
      at_utc text,                             -- of the last try
      problem text not null                    -- why that failed, for people
    ) strict;
    create index alert_deliveries_log on alert_deliveries (log_id);
    create index alert_deliveries_recipient on alert_deliveries (recipient_id);
    create index alert_deliveries_waiting on alert_deliveries (recipient_id, id) where state = 'waiting';
"""

OF_BOX = """
    create trigger alert_rules_of_stream after delete on streams begin
      -- Nothing of a stream stays behind.
      delete from alert_rules where subject_of = 'stream' and subject_id = cast(old.id as text);
      delete from alert_states where subject_of = 'stream' and subject_id = cast(old.id as text);
      delete from alert_log where subject_of = 'stream' and subject_id = cast(old.id as text);
    end;
"""
"""What a box has besides: there, subjects are its streams."""
