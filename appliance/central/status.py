"""What boxes tell of themselves: hello and state, as changes of their rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from appliance.central.database import Database
from appliance.central.letters import plain
from appliance.language import N_
from appliance.messages import Hello, State

TWO_MACHINES_S = 86_400
"""A machine that says hello again within so long, after another one of the same name did, is not a replaced one."""
SKEW_S = 300
TOLD_S = 900
"""For how long what we see wrong is shown after it was last so."""

TWO_MACHINES = N_(
    "Two machines use the name of this box, as after its card was copied. Both are counted. Let one of them leave and"
    " join under another name."
)
CLOCK_BEHIND = (
    N_("The clock of the box is {count} minutes behind ours."),
    N_("The clock of the box is {count} hours behind ours."),
)
CLOCK_AHEAD = (
    N_("The clock of the box is {count} minutes ahead of ours."),
    N_("The clock of the box is {count} hours ahead of ours."),
)
NOT_TAKEN = N_("Messages of this box cannot be taken: {reason}.")
TOLD = (TWO_MACHINES, *CLOCK_BEHIND, *CLOCK_AHEAD, NOT_TAKEN)
"""What we see wrong with a box; it is kept in English, and put into another language where it is shown."""

Patch = dict[str, Any]
"""New values of a row of `boxes`, by column."""


def read(database: Database, boxes: Iterable[str], to_change: bool = False) -> dict[str, Mapping[str, Any]]:
    """The rows of these boxes, by id; those that there are. Raises sqlite3.Error.

    to_change: keep other processes from changing them until the transaction ends.
    """
    # Not `for update`: that would also wait for whoever adds a stream of the box.
    lock = " for no key update" if to_change and database.dialect == "postgresql" else ""
    rows = database.among(
        "select id, revoked_utc, epoch, machine, other_machine, other_utc, clock, hello_utc, sums_utc from boxes"
        f" where id in {{keys}} order by id{lock}",
        [(box,) for box in sorted(boxes)],
    )
    return {row[0]: row for row in rows}


def note_heard(database: Database, boxes: Iterable[str], now_utc: int) -> None:
    """Note that rows of these boxes came. Raises sqlite3.Error."""
    database.among(f"update boxes set sums_utc = {now_utc} where id in {{keys}} returning id", [(b,) for b in boxes])


def change(database: Database, patches: Mapping[str, Patch]) -> None:
    """Change the rows of these boxes. Raises sqlite3.Error."""
    alike: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
    for box, patch in patches.items():
        if patch:
            alike.setdefault(tuple(patch), []).append((*patch.values(), box))
    for columns, rows in alike.items():
        new = ", ".join(f"{column} = ?" for column in columns)
        database.executemany(f"update boxes set {new} where id = ?", rows)


def after_hello(row: Mapping[str, Any], hello: Hello, now_utc: int) -> Patch:
    """What a hello changes in the row of its box."""
    patch: Patch = {
        "epoch": hello.epoch,
        "version": plain(hello.version),
        "hardware": plain(hello.hardware),
        "clock": hello.clock,
        "takes_commands": int(hello.takes_commands),
        "hello_utc": now_utc,
        "status": "running",
        "state_utc": now_utc,
    }
    machine = plain(hello.machine)
    if machine and machine != row["machine"]:
        patch |= {"machine": machine, "other_machine": row["machine"], "other_utc": row["hello_utc"]}
        if machine == row["other_machine"] and now_utc - (row["other_utc"] or 0) < TWO_MACHINES_S:
            patch |= told(TWO_MACHINES, now_utc)
    return patch | _skew(hello.sent_utc, hello.clock, now_utc)


def after_state(row: Mapping[str, Any], state: State, now_utc: int) -> Patch | None:
    """What a state changes in the row of its box; None: it is of a start that is not the newest one we know of.

    A last will is as old as the connection it belongs to: it says nothing but that the box is gone.
    """
    if state.epoch != row["epoch"]:
        return None
    if state.status == "gone":
        return {"status": "gone", "state_utc": now_utc}
    patch: Patch = {
        "status": state.status,
        "state_utc": now_utc,
        "state_sent_utc": state.sent_utc,
        "live": json.dumps(state.live),
        "backlog": state.backlog,
        "disk_free_mb": state.disk_free_mb,
        "temperature_c": state.temperature_c,
        "problem": plain(state.problem),
    }
    if state.backlog == 0 and state.sent_utc:
        patch["complete_utc"] = min(state.sent_utc, now_utc) // 60 * 60
    return patch | _skew(state.sent_utc, row["clock"], now_utc)


def _skew(sent_utc: int, clock: str, now_utc: int) -> Patch:
    behind_s = now_utc - sent_utc
    if not sent_utc or clock != "believed" or abs(behind_s) <= SKEW_S:
        return {}
    minutes, hours = CLOCK_BEHIND if behind_s > 0 else CLOCK_AHEAD
    if abs(behind_s) < 7200:
        return told(minutes.format(count=abs(behind_s) // 60), now_utc)
    return told(hours.format(count=abs(behind_s) // 3600), now_utc)


def told(words: str, now_utc: int) -> Patch:
    """What we see wrong with a box."""
    return {"told_problem": words, "told_utc": now_utc}


def forget_told(database: Database, now_utc: int) -> None:
    """Show no longer what has not been so for a while. Raises sqlite3.Error."""
    database.execute("update boxes set told_problem = '' where told_problem <> '' and told_utc < ?", [now_utc - TOLD_S])


def name_streams(database: Database, box: str, hello: Hello) -> None:
    """Take over the names of a box's streams, in a transaction of the caller's. Raises sqlite3.Error."""
    if not hello.streams and hello.part == 1:  # it keeps them to itself now
        database.execute("update streams set name = '' where box_id = ? and name <> ''", [box])
    known = {
        row["number"]: row["name"]
        for row in database.execute("select number, name from streams where box_id = ?", [box])
    }
    names = {int(number): plain(name) for number, name in hello.streams.items() if is_number(number)}
    database.executemany(
        "insert into streams (box_id, number, name) values (?, ?, ?)"
        " on conflict (box_id, number) do update set name = excluded.name",
        [(box, number, name) for number, name in sorted(names.items()) if known.get(number) != name],
    )


def is_number(text: str) -> bool:
    """Whether this is the number of a stream."""
    return text.isascii() and text.isdecimal() and len(text) <= 9
