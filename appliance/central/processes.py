"""The processes of the centre, as last heard of: any number of each kind, on any number of machines."""

from __future__ import annotations

import os
import socket

from appliance.central.database import Database
from appliance.errors import UserError
from appliance.outside import quoted, system_words

FORGOTTEN_S = 86_400


def note_alive(
    database: Database,
    kind: str,
    started_s: float,
    now_s: float,
    problem: str = "",
    rows: int = 0,
    messages: int = 0,
) -> None:
    """Note that this process lives, and forget those not heard of for a day. Raises sqlite3.Error.

    rows, messages: how many it has taken in since it started.
    """
    database.execute(
        "insert into processes (name, kind, started_utc, heartbeat_utc, problem, rows_taken, messages_taken)"
        " values (?, ?, ?, ?, ?, ?, ?) on conflict (name) do update set started_utc = excluded.started_utc,"
        " heartbeat_utc = excluded.heartbeat_utc, problem = excluded.problem, rows_taken = excluded.rows_taken,"
        " messages_taken = excluded.messages_taken",
        [process_name(kind), kind, int(started_s), int(now_s), problem, rows, messages],
    )
    database.execute("delete from processes where heartbeat_utc < ?", [int(now_s - FORGOTTEN_S)])


def words_of(error: Exception) -> str:
    """What went wrong, as a part of a sentence that is put on record: ours as it is, others' quoted."""
    return str(error) if isinstance(error, UserError) else quoted(system_words(error))


def process_name(kind: str) -> str:
    """What this process is called: ingest@host:4711."""
    return f"{kind}@{socket.gethostname()}:{os.getpid()}"


def forget(database: Database, kind: str) -> None:
    """Note that this process ended in order. Raises sqlite3.Error."""
    database.execute("delete from processes where name = ?", [process_name(kind)])
