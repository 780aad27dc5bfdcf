"""Copies of the store, made while the box runs, and putting one back.

A copy is the whole database (people with the hashes of their passwords, streams with the addresses of their cameras,
detections) and no image: what somebody deletes must not live on in pictures.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from appliance.accounts.audit import ITSELF, Action, Actor, Audit, Head
from appliance.accounts.audit_chain import HeadFile, head_path
from appliance.accounts.audit_subjects import EMPTY_RECORD
from appliance.alerts.alerts import Alerts
from appliance.disk import LOG_BYTES
from appliance.errors import UserError
from appliance.files import sync
from appliance.language import N_, _
from appliance.retold import retold
from appliance.sqlite import Database, Migrated
from appliance.store import soundness
from appliance.store.schema import MIGRATIONS
from appliance.store.soundness import ASIDE, COMPANIONS
from appliance.store.summaries import Summaries

NAME = re.compile(r"^mb9k-(\d{6})-(\d{8}T\d{6}Z)\.db$")
PARTIAL = ".partial"
NUMBERS = 1_000_000
"""Among which the numbers of a new record's streams begin, so that they are no longer those of the one before."""
NOT_COPIED = N_("{database} {what}, so it was not copied; `mb9k restore PATH` takes another")
PUT_BACK = N_("A copy of the record was put back.")


class BackupError(UserError):
    """There is no backup, or a copy cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup. number: rises by one with each, whatever the clock says."""

    path: Path
    number: int

    @property
    def when(self) -> str:
        """What the clock said when it was made: 2026-11-27 01:44 UTC."""
        text = self.path.name.split("-")[2]
        return f"{text[:4]}-{text[4:6]}-{text[6:8]} {text[9:11]}:{text[11:13]} UTC"


class Backups:
    """The folder of backups."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self) -> list[Backup]:
        """Every backup, oldest first. Raises OSError."""
        names = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
        found = [Backup(self.folder / name, int(match[1])) for name in names if (match := NAME.match(name))]
        return sorted(found, key=lambda backup: backup.number)

    def newest(self) -> Backup | None:
        """The last one."""
        return next(reversed(self.all()), None)

    def make(self, store_path: Path, utc: float, keep: int, leave_free_bytes: int = LOG_BYTES) -> Backup:
        """Make a backup, keep the newest `keep`. Raises BackupError, OSError, sqlite3.Error."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left_over in self.folder.glob(f"*{PARTIAL}"):
            left_over.unlink(missing_ok=True)
        newest = self.newest()
        number = newest.number + 1 if newest else 1
        path = self.folder / f"mb9k-{number:06d}-{_stamp(utc)}.db"
        copy(store_path, path, leave_free_bytes)
        for old in self.all()[:-keep]:
            old.path.unlink(missing_ok=True)
        return Backup(path, number)


def copy(store_path: Path, path: Path, leave_free_bytes: int = LOG_BYTES) -> None:
    """Copy the store as it is at one moment, also while others write. The name appears once the copy is whole.

    leave_free_bytes: what the disk must still have afterwards.
    Raises BackupError (no room, or the copy is damaged), OSError, sqlite3.Error.
    """
    if path.exists():
        raise BackupError(_("{path} is there already; name another file", path=path))
    needed = sum(part.stat().st_size for part in (store_path, Path(f"{store_path}-wal")) if part.exists())
    if shutil.disk_usage(path.parent).free < needed + leave_free_bytes:
        raise BackupError(
            _(
                "there is no room for a copy ({megabytes} MB) in {parent}; make room",
                megabytes=needed // 1000000 + 1,
                parent=path.parent,
            )
        )
    with _draft(path) as draft:
        with closing(soundness.connect(store_path, "ro")) as source:
            source.execute("vacuum into ?", [str(draft)])  # drops what was deleted, too
        _verify(draft, store_path)
        _publish(draft, path)


def _verify(draft: Path, source: Path) -> None:
    """Raise BackupError if a copy is not a whole store; what was copied is named."""
    fault = soundness.diagnose(draft, thorough=True)
    if fault or draft.stat().st_size == 0:
        what = retold(fault.what) if fault else _("is empty")
        raise BackupError(_(NOT_COPIED, database=source, what=what))


def restore(backup: Path, store_path: Path, utc: float, by: Actor = ITSELF) -> Path | None:
    """Put a copy in the place of the store; where that is now, None: there was none. Nobody may have it open.

    Nobody stays signed in: who was signed out since must not be in again. A copy of an older version is migrated, and
    the audit goes on with an entry by whom it was put back. Raises BackupError, OSError, sqlite3.Error.
    """
    if not backup.is_file():
        raise BackupError(_("{backup}: no such file; `mb9k restore` alone takes the newest backup", backup=backup))
    with _draft(store_path) as draft:
        shutil.copyfile(backup, draft)
        _verify(draft, backup)
        with closing(sqlite3.connect(draft)) as connection:
            with connection:
                connection.execute("delete from sessions")
                if (db := Database(connection))["epochs"].exists():  # else the upgrade counts into an epoch it knows
                    Summaries(db).leave_copy_behind(utc)
            _migrate(connection)
            with connection:  # what was to be told when the copy was made is old news, or was told since
                Alerts(Migrated(connection)).log.give_up_all(PUT_BACK)
            head = _begin_audit(connection, Action.RESTORED, backup.name, store_path, utc, by)
        return _exchange(draft, store_path, utc, head)


def _migrate(connection: sqlite3.Connection) -> None:
    connection.row_factory = sqlite3.Row
    for migrations in MIGRATIONS:
        migrations.apply(Migrated(connection))


def _begin_audit(
    connection: sqlite3.Connection, action: Action, subject: str, store_path: Path, utc: float, by: Actor
) -> Head:
    """Say in the audit of a draft what it takes the place of; its head then."""
    audit = Audit(Migrated(connection))
    audit.act_for(by, utc)
    copied = audit.head()
    with audit.within(connection):
        audit.add(action, subject, copy=str(copied), set_aside=[str(head) for head in _known_heads(store_path)])
    return audit.head()


def _known_heads(store_path: Path) -> list[Head]:
    """How far the audit of a record goes, by itself and by the file beside it: it may be damaged, or be gone."""
    found: list[Head] = []
    with suppress(OSError, ValueError):
        if (noted := HeadFile(head_path(store_path)).read()) is not None:
            found.append(noted)
    with suppress(sqlite3.Error):
        if store_path.exists():
            with closing(soundness.connect(store_path, "ro")) as connection:
                found += [Head(*row) for row in connection.execute("select number, sha256 from audit_chain")]
    return sorted(set(found), key=lambda head: head.number)


def start_empty(store_path: Path, images: Path, utc: float, by: Actor = ITSELF) -> tuple[Path | None, Path | None]:
    """Put an empty store in the place of the one there is, and set its folder of images aside, too.

    Where the folder and the store are now; None: there was none. Raises OSError, sqlite3.Error.
    """
    store_path.parent.mkdir(parents=True, exist_ok=True)
    with _draft(store_path) as draft:
        with closing(sqlite3.connect(draft)) as connection:
            _migrate(connection)
            with connection:  # a centre may know other streams by the first numbers
                Summaries(Database(connection)).skip_numbers(secrets.randbelow(NUMBERS))
            head = _begin_audit(connection, Action.BEGUN, EMPTY_RECORD, store_path, utc, by)
        sync(draft)
        return set_aside(images, utc), _exchange(draft, store_path, utc, head)


def _exchange(draft: Path, store_path: Path, utc: float, head: Head) -> Path | None:
    """Put a draft in the place of the store, which is set aside once the draft is on the disk. head: of its audit.

    What is cut off before the head is noted is no harm: the audit of the draft says what it knew.
    """
    sync(draft)
    aside = set_aside(store_path, utc)
    _publish(draft, store_path)
    HeadFile(head_path(store_path)).replace(head)
    return aside


def set_aside(store_path: Path, utc: float) -> Path | None:
    """Give the store, and what SQLite keeps beside it, another name with a time; None: there is none. Raises OSError.

    What lies beside a file is applied to whatever has its name, so it goes first.
    """
    aside = store_path.with_name(f"{store_path.name}{ASIDE}{_stamp(utc)}")
    count = 1
    while aside.exists():
        count += 1
        aside = store_path.with_name(f"{store_path.name}{ASIDE}{_stamp(utc)}-{count}")
    moved = None
    for suffix in ("", *COMPANIONS):  # without its file, a -wal is missed at the next start; the file would not miss it
        part = Path(f"{store_path}{suffix}")
        if part.exists():
            part.rename(f"{aside}{suffix}")
            moved = aside
    sync(store_path.parent)
    return moved


@contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """An empty file that only its owner may read, on the disk of `path`; gone afterwards unless it was published."""
    for left_over in path.parent.glob(f"{path.name}.*{PARTIAL}"):  # by a copying that was cut off
        left_over.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.", suffix=PARTIAL)
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
    finally:
        for suffix in (*COMPANIONS, ""):
            Path(f"{draft}{suffix}").unlink(missing_ok=True)


def _publish(draft: Path, path: Path) -> None:
    sync(draft)
    draft.rename(path)
    sync(path.parent)


def _stamp(utc: float) -> str:
    return datetime.fromtimestamp(utc, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
