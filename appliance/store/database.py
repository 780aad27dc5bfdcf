"""The file: opening it, writing to it, checking it."""

from __future__ import annotations

import fcntl
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from appliance import sqlite_room
from appliance.accounts.audit import Audit
from appliance.accounts.audit_chain import HeadFile, head_path
from appliance.accounts.people import People
from appliance.alerts.alerts import Alerts
from appliance.disk import FOR_PEOPLE_BYTES, MAKE_ROOM, Reserve, means_full
from appliance.errors import NotSaved, UserError
from appliance.language import N_, _
from appliance.outside import as_said
from appliance.reports.schedules import Reports
from appliance.sqlite import Database, Migrated
from appliance.store import soundness
from appliance.store.ages import Ages
from appliance.store.calibration_schema import WRONG_CORRECTIONS
from appliance.store.calibrations import Calibrations
from appliance.store.corrections import Corrections
from appliance.store.crossings import Crossings
from appliance.store.deletions import Deletions
from appliance.store.detections import Detections
from appliance.store.erasures import Erasures
from appliance.store.exports import Exports
from appliance.store.fleet import Fleet
from appliance.store.forgotten import ForgottenUntold
from appliance.store.pictures import Pictures
from appliance.store.privacy import Privacy
from appliance.store.receipts import Receipts
from appliance.store.schema import MIGRATIONS
from appliance.store.senders import Senders
from appliance.store.services import Services
from appliance.store.soundness import BUSY_TIMEOUT_S, Cause, cause_of, connect
from appliance.store.still_places import StillPlaces
from appliance.store.streams import Streams
from appliance.store.summaries import WRONG_MINUTES, Summaries
from appliance.store.trends import Trends
from appliance.store.trends_schema import WRONG_BOX_HOURS, WRONG_DAYS, WRONG_HOURS, WRONG_QUARTERS
from appliance.store.views import Views
from appliance.store.without_row import WithoutRow
from appliance.store.zones import Zones

log = logging.getLogger(__name__)
NOT_OPENED = N_("{database}: {error}; `mb9k check` says more")
NOT_BEGUN = N_("{database}: {error}; has the box been started? `mb9k check` says more")
NO_ROOM = N_("{database}: {error}; the disk is full; make room on it")
REFUSED = N_("{database} {what}; `mb9k check` says what to do")


class StoreError(UserError):
    """The store cannot be used; the message says what to do."""


class Store:
    """The box's SQLite file. One Store is for one thread.

    WAL with synchronous=FULL: what was committed survives a power cut, and readers never wait for a writer.
    Several processes may write; each takes the write lock at the start of its transaction and waits at most
    BUSY_TIMEOUT_S for it.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        connection.row_factory = sqlite3.Row
        self.db = Migrated(connection)
        self.people = People(self.db)
        self.streams = Streams(self.db)
        self.senders = Senders(self.db)
        self.detections = Detections(self.db)
        self.deletions = Deletions(self.db)
        self.exports = Exports(self.db)
        self.services = Services(self.db)
        self.erasures = Erasures(self.db)
        self.pictures = Pictures(self.db)
        self.ages = Ages(self.db)
        self.summaries = Summaries(self.db)
        self.trends = Trends(self.db, self.detections)
        self.corrections = Corrections(self.db)
        self.calibrations = Calibrations(self.db)
        self.zones = Zones(self.db)
        self.crossings = Crossings(self.db, self.trends)
        self.still_places = StillPlaces(self.db)
        self.without_row = WithoutRow(self.db)
        self.receipts = Receipts(self.db)
        self.privacy = Privacy(self.db)
        self.views = Views(self.db)
        self.forgotten_untold = ForgottenUntold(self.db)
        self.fleet = Fleet(self.db)
        self.alerts = Alerts(self.db)
        self.reports = Reports(self.db)
        self.audit = Audit(self.db)
        self.reserve: Reserve | None = None

    @classmethod
    def open(cls, path: Path, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Store:
        """Open for reading and writing; makes or migrates the file. Raises StoreError.

        busy_timeout_s: how long a transaction waits for another writer.
        """
        try:
            store = Reserve(path.parent).spend(lambda: cls._opened(path, busy_timeout_s))
            store.make_room()  # for who starts on a full disk: the log begins without any
            return store
        except (OSError, sqlite3.Error) as error:
            raise StoreError(_unusable(path, error)) from error

    @classmethod
    def _opened(cls, path: Path, busy_timeout_s: float) -> Store:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Two services that start together must not both migrate.
        with (path.parent / f"{path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _refuse(path, soundness.lost(path))
            connection = sqlite3.connect(path, timeout=busy_timeout_s)
            try:
                path.chmod(0o600)
                _refuse(path, soundness.not_ours(Database(connection), path))
                connection.execute("pragma journal_mode=wal")
                store = cls._prepared(connection, path)
                store._migrate()
            except BaseException:
                connection.close()
                raise
        return store

    @classmethod
    def open_existing(cls, path: Path) -> Store:
        """Open for reading and writing what `open` has made, quickly: for each request. Raises StoreError."""
        try:
            return cls._prepared(connect(path, "rw"), path)
        except sqlite3.Error as error:
            raise StoreError(_unusable(path, error)) from error

    @classmethod
    def _prepared(cls, connection: sqlite3.Connection, path: Path) -> Store:
        connection.execute("pragma synchronous=full")
        connection.execute("pragma foreign_keys=on")
        connection.execute("pragma secure_delete=on")  # what is deleted is overwritten, also in free pages
        connection.execute("pragma temp_store=memory")  # a full disk must not stop what makes room
        store = cls(connection)
        store.reserve = Reserve(path.parent)
        store.audit.outside = HeadFile(head_path(path))
        return store

    @classmethod
    def open_for_service(cls, path: Path) -> Store:
        """The same for what writes by itself, again and again: it leaves people their half of the reserve.

        Raises StoreError.
        """
        store = cls.open_existing(path)
        store.reserve = Reserve(path.parent, FOR_PEOPLE_BYTES)
        return store

    @classmethod
    def open_readonly(cls, path: Path) -> Store:
        """Open for reading; the file must be there. Raises StoreError."""
        try:
            connection = connect(path, "ro")
            connection.execute("select count(*) from sqlite_schema")
            return cls(connection)
        except sqlite3.Error as error:
            raise StoreError(_unusable(path, error, NOT_BEGUN)) from error

    @classmethod
    def in_memory(cls) -> Store:
        """A store that is gone when closed, for tests."""
        connection = sqlite3.connect(":memory:")
        connection.execute("pragma foreign_keys=on")
        store = cls(connection)
        store._migrate()
        return store

    def _migrate(self) -> None:
        for migrations in MIGRATIONS:
            migrations.apply(self.db)

    def close(self) -> None:
        """Close the file."""
        self.db.conn.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction: all of it is kept, or none. Raises sqlite3.Error (locked, disk full, ...).

        It takes the write lock at once: a transaction that reads first and then writes may be refused
        at any time when another process wrote in between.
        """
        if self.reserve and self.reserve.is_due():
            with suppress(sqlite3.Error):
                sqlite_room.use_log_again(self.db)
        with self.audit.within(self._transaction()):
            yield

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.db.conn.execute("begin immediate")
        try:
            yield
            self.db.conn.execute("commit")
        except BaseException:
            self.db.rollback()
            raise

    @contextmanager
    def saving(self) -> Iterator[None]:
        """`writing` what a person asked for, on a full disk with the reserve. Raises NotSaved, which says why not."""
        self.make_room()
        try:
            with self.writing():
                yield
        except sqlite3.Error as error:
            log.error("not saved: %s", error)
            if means_full(error):
                self.make_room()  # for whoever tries again
            raise NotSaved(explain_trouble(error)) from error

    def make_room(self, keep_bytes: int = 0) -> None:
        """On a full disk, give up some of the reserve, unless there is room within the store's own files.

        keep_bytes: of the reserve. Not in a transaction.
        """
        if self.reserve and self.reserve.is_due():
            with suppress(sqlite3.Error, OSError):
                if sqlite_room.has_room(self.db):
                    return
            self.reserve.give_up_if_full(keep_bytes)
            with suppress(sqlite3.Error), self._transaction():
                sqlite_room.take_least(self.db)  # before something else does

    def keep_room(self) -> None:
        """While the disk has room, keep some of it within the file, for when it has none. Raises sqlite3.Error."""
        with self._transaction():
            sqlite_room.keep_spare(self.db)
        sqlite_room.use_log_again(self.db)  # only then the file has it

    def empty_log(self) -> bool:
        """Write all of the write-ahead log into the file and empty it: what was deleted stands in it until then.

        False: another connection still reads what it was; try again. Raises sqlite3.Error.
        """
        busy = self.db.execute("pragma wal_checkpoint(truncate)").fetchone()[0]
        return not busy

    def problems(self) -> list[str]:
        """What is wrong with the file and its invariants, a sentence each; empty when all is well."""
        try:
            found = [f"damaged: {said}" for (said,) in self.db.execute("pragma integrity_check(10)") if said != "ok"]
            found += [f"a row of {row['table']} points nowhere" for row in self.db.execute("pragma foreign_key_check")]
            missing = [migration.name for migrations in MIGRATIONS for migration in migrations.pending(self.db)]
            if not missing:  # they ask the tables as these will be
                found += [sentence for question, sentence in INVARIANTS if self._count(question)]
        except sqlite3.Error as error:
            return [f"damaged: {error}"]
        return found + [f"migration {name} has not run; start the box once" for name in missing]

    def _count(self, sql: str, parameters: tuple[Any, ...] = ()) -> int:
        (count,) = self.db.execute(sql, parameters).fetchone()
        return int(count)


def _refuse(path: Path, fault: soundness.Fault | None) -> None:
    if fault:
        raise StoreError(REFUSED.format(database=path, what=fault.what))


def _unusable(path: Path, error: Exception, words: str = NOT_OPENED) -> str:
    """What is wrong with a file that cannot be opened, and what to do, for the record."""
    return (NO_ROOM if means_full(error, path.parent) else words).format(database=path, error=as_said(error))


_NOT_WRITABLE = N_("The box may not write its own data, so nothing was changed. An admin can run `mb9k check` on it.")
_NOT_READABLE = N_("The box cannot read its data. An admin can run `mb9k check` on it; it says what to do.")
_SENTENCES = {
    Cause.FULL: N_("The disk of the box is full, so nothing was changed. {make_room}"),
    Cause.FAILING: N_("The disk of the box is full or failing, so nothing was changed. {make_room}"),
    Cause.READ_ONLY: _NOT_WRITABLE,
    Cause.FORBIDDEN: _NOT_WRITABLE,
    Cause.BUSY: N_("The box is busy writing, so nothing was changed. Wait a moment and send it again."),
}


def explain_trouble(error: Exception) -> str:
    """Why the store or the disk did not do what was asked, and what to do, for a person."""
    return _(_SENTENCES.get(cause_of(error), _NOT_READABLE), make_room=_(MAKE_ROOM))


INVARIANTS = (
    (
        "select count(*) from detections where last_seen_utc < first_seen_utc",
        "a detection ends before it begins",
    ),
    (
        "select count(*) from (select 1 from detections where image_day is not null"
        " group by image_day, image_offset having count(*) > 1)",
        "two detections share one image",
    ),
    (
        "select count(*) from pictures left join detections on detections.id = detection_id where"
        " detections.image_day is null",
        "pictures of a detection are there that has no image (any more); please report it",
    ),
    (
        "select (select count(*) from people) > 0 and (select count(*) from people where role = 'admin') = 0",
        "there are people but no admin; make one with `mb9k user add NAME --role admin`",
    ),
    (
        WRONG_MINUTES,
        "the sums by the minute are not those of the detections, so a centre is told wrong figures;"
        " `mb9k check --repair` counts them again; please report it",
    ),
    (
        WRONG_QUARTERS,
        "the sums by the quarter of an hour are not those of the minutes, so pages show wrong figures;"
        " `mb9k check --repair` counts them again; please report it",
    ),
    (
        WRONG_HOURS,
        "the sums by the hour are not those of the quarters of an hour, so pages show wrong figures;"
        " `mb9k check --repair` counts them again; please report it",
    ),
    (
        WRONG_BOX_HOURS,
        "the sums by the hour of the whole box are not those of its streams, so pages show wrong figures;"
        " `mb9k check --repair` counts them again; please report it",
    ),
    (
        WRONG_DAYS,
        "the sums by the day are not those of the quarters of an hour, so pages show wrong figures;"
        " `mb9k check --repair` counts them again; please report it",
    ),
    (
        WRONG_CORRECTIONS,
        "persons whose state was corrected are missing in the sums of corrections, so the box's own error is shown too"
        " small; please report it",
    ),
)
"""(a count that must be 0, what it means if it is not)"""
