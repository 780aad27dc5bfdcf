"""Whether a store's file can be used, and if not, what is wrong with it. Reads only, and changes no byte."""

from __future__ import annotations

import enum
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from appliance.disk import means_full
from appliance.images import SUFFIX
from appliance.language import N_, NN_
from appliance.outside import as_said, quoted
from appliance.sqlite import Database, Migrated
from appliance.store.schema import MIGRATIONS
from appliance.version import version

ASIDE = ".aside-"  # `mb9k restore` puts what was there under this name, with a time
COMPANIONS = ("-wal", "-shm", "-journal")  # what SQLite keeps beside a file and applies to it
BUSY_TIMEOUT_S = 5.0
EMPTY = N_("is empty, though {remains} of its record")
GONE = N_("is gone, though {remains} of its record")
NOBODY = N_("holds nobody, though {remains} of its record")
NO_TABLES = N_("has no tables, though {remains} of its record")
IMAGES = NN_("there are images ({n} day)", "there are images ({n} days)")
FORBIDDEN = N_("may not be read and written by this user")
ANOTHERS = N_("is damaged, or a database of another program (it has no list of migrations)")
NEWER = N_("was made by a newer mb9k than this one (it has {name} of {migrations}, unknown to {version})")
UNREADABLE = N_("cannot be read from the disk ({error})")
DAMAGED = N_("is damaged ({said})")
NOWHERE = NN_("{n} row points nowhere", "{n} rows point nowhere")
MISSING = {
    "table": N_("the table {name} is missing"),
    "index": N_("the index {name} is missing"),
    "trigger": N_("the trigger {name} is missing"),
    "view": N_("the view {name} is missing"),
    "column": N_("the column {name} is missing"),
}


class Remedy(enum.Enum):
    """What helps: a backup, making again what is missing, another mb9k, another owner of the file, room on the disk,
    mending the disk, or waiting."""

    RESTORE = "restore"
    REPAIR = "repair"
    UPDATE = "update"
    OWNER = "owner"
    ROOM = "room"
    DISK = "disk"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a file cannot be used. what: the rest of a sentence that begins with its path, in English: `is gone`."""

    what: str
    remedy: Remedy


class Cause(enum.Enum):
    """What an error of SQLite or of the operating system comes from. Both tell it in words only."""

    FULL = "full"
    READ_ONLY = "read-only"
    BUSY = "busy"
    FAILING = "failing"
    NOT_OPENED = "not opened"
    FORBIDDEN = "forbidden"
    OTHER = "other"


_WORDS = {
    Cause.READ_ONLY: ("readonly", "read-only"),
    Cause.BUSY: ("locked", "busy"),
    Cause.FAILING: ("i/o error", "input/output"),
    Cause.NOT_OPENED: ("unable to open",),
    Cause.FORBIDDEN: ("permission",),
}


def cause_of(error: Exception, folder: Path | None = None) -> Cause:
    """What an error comes from. folder: where it happened, as far as that is known."""
    if means_full(error, folder):
        return Cause.FULL
    text = str(error).lower()
    return next((cause for cause, words in _WORDS.items() if any(word in text for word in words)), Cause.OTHER)


def connect(path: Path, mode: Literal["ro", "rw"]) -> sqlite3.Connection:
    """A connection to a file that is there: nothing is made. Raises sqlite3.Error."""
    return sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", uri=True, timeout=BUSY_TIMEOUT_S)


def diagnose(path: Path, thorough: bool = False, backups: Path | None = None) -> Fault | None:
    """Why the box may not run on this file; None if it may, also if there is none and never was.

    thorough: compare every index with its table, too, which takes three times as long. backups: a folder of them that
    does not lie beside the file.
    """
    try:
        if path.is_dir():
            return Fault(N_("is a folder where a database should be"), Remedy.RESTORE)
        if loss := lost(path, backups):
            return loss
        if not path.exists() or path.stat().st_size == 0:
            return None
        if unwritable := _unwritable(path):
            return unwritable
        with _reading(path) as db:
            return _inspect(db, path, thorough, backups)
    # sqlite_utils and Python's sqlite3 raise ValueError and the like where a table is not as it should be.
    except (sqlite3.Error, OSError, ValueError, TypeError, OverflowError, LookupError) as error:
        return fault_of(error, path)


def is_new(path: Path) -> bool:
    """Whether nothing is recorded yet: no file, or what a first start leaves that was cut off. Raises sqlite3.Error."""
    if not path.exists() or path.stat().st_size == 0:
        return True
    with closing(connect(path, "ro")) as connection:
        return _is_new(Database(connection))


def lost(path: Path, backups: Path | None = None) -> Fault | None:
    """The file is gone or empty although something of its record is still there."""
    empty = path.exists() and path.stat().st_size == 0
    if path.exists() and not empty:
        return None
    wal = Path(f"{path}-wal")
    changes = N_("there are the last changes (-wal)") if wal.exists() and wal.stat().st_size else None
    if not (remains := _remains(path, backups) or changes):
        return None
    return Fault((EMPTY if empty else GONE).format(remains=remains), Remedy.RESTORE)


def _remains(path: Path, backups: Path | None) -> str | None:
    """What shows that there was a record here."""
    if days := _image_days(path):
        return days
    if any(path.parent.glob(f"{path.name}{ASIDE}*")):
        return N_("there is what was set aside")
    folders = {path.parent / "backups", backups or path.parent / "backups"}
    return N_("there are backups") if any(_has_backups(folder) for folder in folders) else None


def _has_backups(folder: Path) -> bool:
    with suppress(OSError):  # one that cannot be looked into tells nothing of the record
        return any(folder.glob("mb9k-*.db"))
    return False


def _image_days(path: Path) -> str | None:
    days = len(list((path.parent / "images").glob(f"*{SUFFIX}")))
    return IMAGES[days != 1].format(n=days) if days else None


def _unwritable(path: Path) -> Fault | None:
    if os.statvfs(path.parent).f_flag & os.ST_RDONLY:
        return Fault(N_("is on a disk that is mounted read-only"), Remedy.DISK)
    if not os.access(path, os.R_OK | os.W_OK) or not os.access(path.parent, os.R_OK | os.W_OK | os.X_OK):
        return Fault(FORBIDDEN, Remedy.OWNER)
    return None


@contextmanager
def _reading(path: Path) -> Iterator[Database]:
    """The file, for reading. SQLite verifies CHECK constraints only of what it may write; it may, and must not.

    The second connection is closed last: one that only reads writes nothing back from the -wal. It reads second:
    after a power cut, it could not make the shared memory.
    """
    any_read = "select count(*) from sqlite_schema"
    with closing(connect(path, "ro")) as last, closing(connect(path, "rw")) as connection:
        connection.execute("pragma query_only=on")
        connection.execute("begin")  # one moment: another service may be migrating
        connection.execute(any_read).fetchone()
        last.execute(any_read).fetchone()
        connection.row_factory = sqlite3.Row
        yield Database(connection)


def _inspect(db: Database, path: Path, thorough: bool, backups: Path | None) -> Fault | None:
    if unfit := not_ours(db, path, backups):
        return unfit
    if _is_new(db):
        return None
    (result,) = db.execute(f"pragma {'integrity' if thorough else 'quick'}_check(1)").fetchone()
    if result != "ok":
        return _damaged(result)
    nowhere = len(db.execute("pragma foreign_key_check").fetchall())
    if nowhere:
        return _damaged(NOWHERE[nowhere != 1].format(n=nowhere))
    missing = missing_parts(db)
    for part in sorted(missing, key=_can_be_made_again):  # first what is lost with all that it held
        _the, kind, name = part.split(" ", 2)
        fault = _damaged(MISSING[kind].format(name=name))
        return replace(fault, remedy=Remedy.REPAIR) if _can_be_made_again(part) else fault
    made = [table for table in ("people", "streams") if db[table].exists()]  # the power may go between migrations
    rows = [db.execute(f"select * from {table}").fetchall() for table in made]  # that all text is UTF-8 shows here
    days = _image_days(path)
    return Fault(NOBODY.format(remains=days), Remedy.RESTORE) if days and not any(rows) else None


def not_ours(db: Database, path: Path, backups: Path | None = None) -> Fault | None:
    """It has no tables although something of its record is there, is another program's, or of a newer mb9k."""
    if _is_new(db):
        remains = _remains(path, backups)  # not the -wal: it was read, and had nothing that was committed
        return Fault(NO_TABLES.format(remains=remains), Remedy.RESTORE) if remains else None
    if not db["_sqlite_migrations"].exists():
        return Fault(ANOTHERS, Remedy.RESTORE)
    known = newest_known()
    for row in db.execute("select migration_set, name from _sqlite_migrations"):
        if row[0] not in known or _migration_number(row[1]) > known[row[0]]:
            return Fault(NEWER.format(name=row[1], migrations=row[0], version=version()), Remedy.UPDATE)
    return None


@lru_cache(maxsize=1)
def newest_known() -> dict[str, int]:
    """The number of the newest migration of each set that this version knows: the form of its record."""
    nothing = Database(memory=True)
    numbers = {of.name: max(_migration_number(each.name) for each in of.pending(nothing)) for of in MIGRATIONS}
    nothing.conn.close()
    return numbers


def _migration_number(name: str) -> int:
    """7 of m007_image_checksums; what is named otherwise is of no version of ours."""
    return int(name[1:4]) if name[1:4].isdecimal() else sys.maxsize


def _is_new(db: Database) -> bool:
    return not db.execute("select 1 from sqlite_schema limit 1").fetchall()


def missing_parts(db: Database) -> list[str]:
    """The tables, columns and indexes that are not there although the migration that makes them has run."""
    there = _parts(db)
    return [part for part in _wanted_parts(_pending(db)) if part not in there]


def make_again(path: Path) -> list[str]:
    """Make the triggers and indexes again that are missing; which. Raises sqlite3.Error: then nothing was done."""
    with closing(connect(path, "rw")) as connection:
        connection.isolation_level = None
        connection.execute("begin immediate")
        db = Database(connection)
        missing, wanted = missing_parts(db), _wanted_parts(_pending(db))
        made = [part for part in missing if _can_be_made_again(part)]
        for part in made:
            connection.execute(wanted[part])
        connection.execute("commit")
    return made


def _can_be_made_again(part: str) -> bool:
    """Whether it holds nothing itself."""
    return part.startswith(("the trigger ", "the index "))


def _pending(db: Database) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(each.name for each in migrations.pending(db)) for migrations in MIGRATIONS)


@lru_cache(maxsize=2)
def _wanted_parts(pending: tuple[tuple[str, ...], ...]) -> dict[str, str]:
    new = Migrated(memory=True)
    for migrations, names in zip(MIGRATIONS, pending, strict=True):
        migrations.apply(new, stop_before=names)
    parts = _parts(new)
    new.conn.close()
    return parts


def _parts(db: Database) -> dict[str, str]:
    """What a database consists of, with the statements that make it; of columns, their types."""
    # The list of migrations has an index that is made after it, which the power may prevent: it is not missed.
    ours = "name not like 'sqlite^_%' escape '^' and tbl_name <> '_sqlite_migrations'"
    named = db.execute(f"select type, name, sql from sqlite_schema where {ours}").fetchall()
    parts = {f"the {kind} {name}": str(sql) for kind, name, sql in named}
    for kind, table, _sql in named:
        if kind == "table":
            columns = db.execute(f"select name, type from pragma_table_info('{table}')")
            parts |= {f"the column {table}.{name} ({column_type})": column_type for name, column_type in columns}
    return parts


def _damaged(said: str) -> Fault:
    return Fault(DAMAGED.format(said=quoted(said)), Remedy.RESTORE)


def fault_of(error: Exception, path: Path) -> Fault:
    """What an error says about the file."""
    unreadable = Fault(UNREADABLE.format(error=as_said(error)), Remedy.DISK)
    faults = {
        Cause.FULL: Fault(N_("cannot be opened"), Remedy.ROOM),
        Cause.READ_ONLY: Fault(N_("cannot be written: its disk or it is read-only"), Remedy.DISK),
        Cause.BUSY: Fault(N_("is held by another program"), Remedy.WAIT),
        Cause.FAILING: unreadable,
        Cause.NOT_OPENED: unreadable,
        Cause.FORBIDDEN: Fault(FORBIDDEN, Remedy.OWNER),
    }
    return faults.get(cause_of(error, path.parent)) or _damaged(str(error))
