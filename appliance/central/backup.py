"""Copies of the SQLite database, made while the centre runs. PostgreSQL has its own way: `pg_dump`, see README.md."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

from appliance.errors import UserError
from appliance.files import sync

NAME = re.compile(r"^central-(\d{8}T\d{6}Z)\.db$")
PARTIAL = ".partial"
HOUR_UTC = 1
DAY_S = 86_400


class BackupError(UserError):
    """A copy cannot be made; the message says why and what to do."""


def all_of_them(folder: Path) -> list[Path]:
    """Every copy, oldest first. Raises OSError."""
    return sorted(path for path in folder.iterdir() if NAME.match(path.name)) if folder.is_dir() else []


def is_due(folder: Path, now_utc: int) -> bool:
    """Whether none was made since the last night's hour. Raises OSError."""
    copies = all_of_them(folder)
    last_due = (now_utc - HOUR_UTC * 3600) // DAY_S * DAY_S + HOUR_UTC * 3600
    return not copies or not last_due <= _made_utc(copies[-1]) <= now_utc


def _made_utc(path: Path) -> int:
    found = NAME.match(path.name)
    moment = datetime.strptime(found[1] if found else "", "%Y%m%dT%H%M%SZ")  # noqa: DTZ007
    return int(moment.replace(tzinfo=timezone.utc).timestamp())


def make(database_path: Path, folder: Path, keep: int, now_utc: int) -> Path:
    """Copy the database as it is at one moment; keep the newest `keep`. Raises BackupError, OSError, sqlite3.Error.

    The name appears once the copy is whole and on the disk.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left_over in folder.glob(f"*{PARTIAL}"):
        left_over.unlink(missing_ok=True)
    needed = sum(path.stat().st_size for path in (database_path, Path(f"{database_path}-wal")) if path.exists())
    if shutil.disk_usage(folder).free < needed:
        raise BackupError(f"there is no room for a copy ({needed // 1_000_000 + 1} MB) in {folder}; make room")
    stamp = datetime.fromtimestamp(now_utc, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    path = folder / f"central-{stamp}.db"
    draft = folder / f"central-{stamp}.db{PARTIAL}"
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT, 0o600))
    with closing(sqlite3.connect(f"{database_path.absolute().as_uri()}?mode=ro", uri=True)) as source:
        source.execute("vacuum into ?", [str(draft)])
    with closing(sqlite3.connect(f"{draft.absolute().as_uri()}?mode=ro", uri=True)) as copy:
        (said,) = copy.execute("pragma quick_check(1)").fetchone()
        if said != "ok":
            raise BackupError(f"{database_path} is damaged ({said}), so it was not copied; put back an older copy")
    sync(draft)
    draft.rename(path)
    sync(folder)
    for old in all_of_them(folder)[:-keep]:
        old.unlink(missing_ok=True)
    return path
