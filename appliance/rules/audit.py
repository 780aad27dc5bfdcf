"""Whether the audit is whole, as far as the record, the file beside it and the backups know."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from appliance.accounts import audit_chain
from appliance.accounts.audit import KEPT_S, Head
from appliance.config import Config
from appliance.store import Store, soundness
from appliance.store.backup import Backups
from appliance.times import Now


def problems(config: Config, store: Store, noted: Head | None = None) -> list[str]:
    """What is wrong with the audit, a sentence each; empty when all is well. noted: a head that somebody wrote down.

    Raises sqlite3.Error, OSError.
    """
    found, known = [], {} if noted is None else {"whoever wrote it down": noted}
    for backup in Backups(config.backups_dir).all():
        if (head := _head_in(backup.path)) is not None:
            known[f"the backup {backup.path.name}"] = head
    path = audit_chain.head_path(config.store_path)
    try:
        beside = audit_chain.HeadFile(path).read()  # before the entries are read: others may be added meanwhile
    except ValueError:
        beside = None
        found.append(f"{path.name}, which knows the last entry, cannot be read")
    else:
        if beside is None and store.audit.head().number > 1:  # between the first entry and its note there is a moment
            found.append(f"{path.name}, which knows the last entry, is gone")
    if beside is not None:
        known[path.name] = beside
    store.db.execute("begin")  # one moment
    try:
        return found + audit_chain.problems(store.audit, known)
    finally:
        store.db.execute("rollback")


def drop_old_entries(config: Config, moment: Now) -> None:
    """Drop entries older than KEPT_S, while the clock is believed. Raises UserError, sqlite3.Error."""
    with closing(Store.open_existing(config.store_path)) as store:
        if store.ages.believes(moment):
            with store.writing():
                store.audit.drop(moment.utc - KEPT_S)


def _head_in(copy: Path) -> Head | None:
    """The last entry that a copy of the record has; None: it is of before there was an audit, or cannot be read."""
    with suppress(sqlite3.Error), closing(soundness.connect(copy, "ro")) as connection:
        row = connection.execute("select number, sha256 from audit_chain").fetchone()
        return Head(*row) if row else None
    return None
