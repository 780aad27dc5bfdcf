"""Room within a database's own files: what is written finds it there on a full disk, where nobody else can take it.

SQLite needs new room for two things. The file grows by a page now and then; free pages are kept in it for that. The log
beside it grows until all of it is in the file, and is then used again from its beginning; a file that cannot grow keeps
all of it in the log, and then nothing at all can be written, for want of a few KB.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

SPARE_BYTES = 2_000_000
"""What is kept free in the file: some five thousand persons."""
LEAST_BYTES = 500_000
"""What a few writes may need."""


class Database(Protocol):
    """One of SQLite's, with rows by name."""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """Run one statement. Raises sqlite3.Error."""


def keep_spare(db: Database) -> None:
    """Have at least half of SPARE_BYTES free in the file, and a log that is long enough for a few writes.

    In a transaction of the caller's. Raises sqlite3.Error.
    """
    takes_bytes = SPARE_BYTES if _free_bytes(db) < SPARE_BYTES // 2 else LEAST_BYTES
    if takes_bytes == SPARE_BYTES or _log_bytes(db) < LEAST_BYTES:
        before = db.execute("pragma secure_delete").fetchone()[0]
        db.execute("pragma secure_delete=on")  # every page is written, so that the disk gives room for it
        db.execute("create table spare (room blob) strict")
        db.execute("insert into spare (room) values (zeroblob(?))", [takes_bytes])
        db.execute("drop table spare")
        db.execute(f"pragma secure_delete={int(before)}")


def has_room(db: Database) -> bool:
    """Whether a few writes fit into what there is, however full the disk is.

    Not in a transaction. Raises sqlite3.Error.
    """
    return use_log_again(db) and _free_bytes(db) >= LEAST_BYTES and _log_bytes(db) >= LEAST_BYTES


def use_log_again(db: Database) -> bool:
    """Write the log into the file, so that it is used from its beginning; whether all of it is there.

    Not in a transaction. Raises sqlite3.Error.
    """
    row = db.execute("pragma wal_checkpoint(passive)").fetchone()
    return bool(row[1] == row[2])


def _free_bytes(db: Database) -> int:
    pages, page_bytes = (db.execute(f"pragma {name}").fetchone()[0] for name in ("freelist_count", "page_size"))
    return int(pages) * int(page_bytes)


def _log_bytes(db: Database) -> int:
    path = next(str(row["file"]) for row in db.execute("pragma database_list") if row["name"] == "main")
    log = Path(f"{path}-wal")
    return log.stat().st_size if path and log.exists() else 0
