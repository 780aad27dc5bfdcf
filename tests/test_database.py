"""The store's file: opened, written to by several, cut off, damaged."""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.accounts.people import Role
from appliance.errors import NotSaved
from appliance.faces import Detection, State
from appliance.store import Store, StoredImage, StoreError

AT = 1_795_521_600.0
WRONG_SUMS = (
    "the sums by the minute are not those of the detections, so a centre is told wrong figures;"
    " `mb9k check --repair` counts them again; please report it"
)
SEEN = Detection(AT, AT, State.MASK, 0.9, 7, (10, 20, 60, 80), 640, 360, "a model")


@pytest.mark.parametrize("open_again", [Store.open, Store.open_existing])
def test_what_is_written_is_on_the_disk_and_points_somewhere(
    tmp_path: Path, open_again: Callable[[Path], Store]
) -> None:
    path = tmp_path / "state" / "of 50%?#" / "mb9k.db"
    Store.open(path).close()
    store = open_again(path)
    pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    assert [store.db.execute(f"pragma {name}").fetchone()[0] for name in pragmas] == ["wal", 2, 1, 5000]
    assert path.stat().st_mode & 0o777 == 0o600, "nobody else reads it"


def test_a_transaction_waits_as_long_as_it_was_told_to(tmp_path: Path) -> None:
    path = tmp_path / "mb9k.db"
    first, second = Store.open(path), Store.open(path, busy_timeout_s=0.25)
    assert second.db.execute("pragma busy_timeout").fetchone()[0] == 250
    with first.writing(), pytest.raises(sqlite3.OperationalError, match="locked"), second.writing():
        pass


def test_one_service_at_a_time_makes_or_migrates_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect

    def connect_while_locked(path: Path, timeout: float) -> sqlite3.Connection:
        with (tmp_path / "mb9k.db.lock").open() as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return connect(path, timeout=timeout)

    monkeypatch.setattr(sqlite3, "connect", connect_while_locked)
    Store.open(tmp_path / "mb9k.db").close()


@pytest.mark.parametrize("open_it", [Store.open_existing, Store.open_readonly])
def test_a_file_that_is_not_there_is_not_made_for_a_request(tmp_path: Path, open_it: Callable[[Path], Store]) -> None:
    with pytest.raises(StoreError, match="mb9k check"):
        open_it(tmp_path / "mb9k.db")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_store_is_not_opened_for_reading(tmp_path: Path) -> None:
    (tmp_path / "mb9k.db").write_bytes(b"this is no database" * 1000)
    with pytest.raises(StoreError, match="has the box been started"):
        Store.open_readonly(tmp_path / "mb9k.db")


def test_a_transaction_that_cannot_be_committed_is_taken_back(store: Store) -> None:
    with pytest.raises(sqlite3.IntegrityError), store.writing():
        store.db.execute("pragma defer_foreign_keys=on")
        store.streams.add_with_key(99, "of nobody", "digest", AT)
    assert store.streams.ids() == set()
    with store.writing():
        store.people.add("ann", "hash", Role.ADMIN, AT)
    assert store.people.count() == 1


def test_a_migration_that_has_not_run_is_a_problem(store: Store) -> None:
    assert store.problems() == []
    store.db.execute("delete from _sqlite_migrations where name = 'm006_indexes'")
    assert store.problems() == ["migration m006_indexes has not run; start the box once"]


def test_rows_that_cannot_be_are_problems(store: Store) -> None:
    store.people.add("ann", "hash", Role.ADMIN, AT)
    store.streams.add_with_key(1, "door", "digest", AT)
    for number in range(3):
        store.detections.add(1, SEEN, StoredImage("20261124", 100 * number, 10, f"token {number}"))
    assert store.problems() == []
    store.db.execute("update detections set image_offset = 0 where id = 2")
    assert store.problems() == ["two detections share one image"]
    store.db.execute("update detections set image_offset = 100 where id = 2")
    store.db.execute("pragma foreign_keys=off")
    store.db.execute("update detections set stream_id = 99 where id = 3")
    assert store.problems() == ["a row of detections points nowhere", WRONG_SUMS]
    store.db.execute("update detections set stream_id = 1")
    store.db.execute("pragma ignore_check_constraints=on")
    store.db.execute("update detections set last_seen_utc = '1970-01-01T00:00:00.000Z'")
    assert store.problems() == ["a detection ends before it begins"]


def test_two_writers_wait_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "mb9k.db"
    Store.open(path).close()

    def write() -> None:
        store = Store.open(path)
        for number in range(25):
            with store.writing():
                known = store.people.count()  # a read first: a deferred transaction would fail on the write
                store.people.add(f"{threading.get_ident()}-{number}-{known}", "hash", Role.ADMIN, AT)

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Store.open(path).people.count() == 75


def test_a_reader_is_not_blocked_by_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "mb9k.db"
    writer = Store.open(path)
    reader = Store.open_readonly(path)
    with writer.writing():
        writer.people.add("dev", "hash", Role.ADMIN, AT)
        begun = time.monotonic()
        assert reader.people.count() == 0
        assert time.monotonic() - begun < 1
    assert reader.people.count() == 1
    with pytest.raises(sqlite3.OperationalError):
        reader.people.add("eve", "hash", Role.ADMIN, AT)


def test_what_was_committed_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "mb9k.db"
    script = (
        "import sys; from pathlib import Path; from appliance.accounts.people import Role\n"
        "from appliance.store import Store\n"
        f"store = Store.open(Path({str(path)!r}))\n"
        "for n in range(100000):\n"
        "    with store.writing(): store.people.add(f'p{n}', 'hash', Role.ADMIN, 0.0)\n"
        "    print(n, flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        last = [int(next(writer.stdout)) for _ in range(20)][-1]
        os.kill(writer.pid, signal.SIGKILL)
        last = max([last, *(int(line) for line in writer.stdout)])
    store = Store.open(path)
    assert store.people.count() >= last + 1
    assert store.problems() == []


def test_a_write_ahead_log_cut_off_anywhere_leaves_a_whole_prefix(tmp_path: Path) -> None:
    path = tmp_path / "mb9k.db"
    store = Store.open(path)
    for number in range(30):
        with store.writing():
            store.people.add(f"a{number}", "hash", Role.ADMIN, AT)
            store.people.add(f"b{number}", "hash", Role.ADMIN, AT)
    database, log = path.read_bytes(), path.with_name("mb9k.db-wal").read_bytes()
    assert len(log) > 30 * 4096
    for cut in range(0, len(log), len(log) // 40):
        copy = tmp_path / f"cut-{cut}.db"
        copy.write_bytes(database)
        copy.with_name(f"{copy.name}-wal").write_bytes(log[:cut])
        with sqlite3.connect(copy) as connection:
            assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
            tables = {row[0] for row in connection.execute("select name from sqlite_schema")}
            if "people" in tables:
                assert connection.execute("select count(*) % 2 from people").fetchone() == (0,)
        connection.close()


def test_services_that_start_together_migrate_once(tmp_path: Path) -> None:
    script = (
        f"from pathlib import Path; from appliance.store import Store; Store.open(Path({str(tmp_path / 'x.db')!r}))"
    )
    started = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(4)]
    assert [process.wait() for process in started] == [0, 0, 0, 0]


def test_a_damaged_file_is_said_to_be_damaged(tmp_path: Path) -> None:
    path = tmp_path / "mb9k.db"
    Store.open(path).close()
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"\x07" * 4096 + whole[12288:])
    assert any("damaged" in problem for problem in Store.open_readonly(path).problems())
    path.write_bytes(b"this is no database" * 1000)
    with pytest.raises(StoreError, match="mb9k check"):
        Store.open(path)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("database or disk is FULL", "The disk of the box is full, so nothing was changed."),
        ("No space left on device", "The disk of the box is full, so nothing was changed."),
        ("disk I/O error", "The disk of the box is full or failing"),
        ("attempt to write a readonly database", "The box may not write its own data"),
        ("Permission denied", "The box may not write its own data"),
        ("database is locked", "The box is busy writing"),
        ("device busy", "The box is busy writing"),
        ("file is not a database", "The box cannot read its data"),
    ],
)
def test_whoever_saves_learns_why_it_was_not_done(store: Store, error: str, said: str) -> None:
    with pytest.raises(NotSaved, match=f"^{said}"), store.saving():
        store.people.add("ann", "hash", Role.ADMIN, AT)
        raise sqlite3.OperationalError(error)
    assert store.people.count() == 0
