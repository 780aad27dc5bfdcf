"""What the centre keeps, what it no longer keeps, its parts by month, and its copies; SQLite and PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.central import backup, partitions, processes, retention
from appliance.central.backup import BackupError
from appliance.central.config import CentralConfig
from appliance.central.database import Database
from appliance.central.housekeeping import Housekeeping, roll_up_all
from appliance.central.intake import Intake
from appliance.central.mqtt import Connection
from appliance.central.opening import open_database
from appliance.central.rollups import runs
from appliance.central.sums import minutes
from tests.fleet import EPOCHS, NOW, SimulatedBox, join, rolled_up, rows_of, sent, sums_of, take

A, B, C = EPOCHS
DAY_S = 86_400
KEEP = {"minutes_days": 10, "hours_days": 30, "letters_days": 30}


@pytest.fixture
def database(made_database: str) -> Iterator[Database]:
    opened = open_database(made_database)
    join(opened, "north")
    yield opened
    opened.close()


def told_for_weeks(database: Database, intake: Intake, days: int) -> SimulatedBox:
    """A box that ran for so many days, and told all of it in time."""
    box = SimulatedBox("north")
    box.begin(A, NOW - days * DAY_S)
    for hour in range(days * 24):
        box.count(A, 1, hour * 60, mask=1, watched_s=59)
        if hour % 200 == 199:
            now_utc = box.starts[A] + hour * 3600
            take(intake, database, sent("north", box.range(A, max(0, hour - 200))), now_utc=now_utc)
    take(intake, database, sent("north", box.range(A, max(0, days * 24 - 230))))
    roll_up_all(database)
    return box


def test_old_minutes_and_hours_go_and_what_they_added_up_to_stays(database: Database) -> None:
    partitions.make_ahead(database, 60, NOW)
    intake = Intake(10**6, keep_days=60)
    box = told_for_weeks(database, intake, 50)
    assert sums_of(database, "north") == rows_of(box)
    before = database.execute("select start_utc, mask from days order by start_utc").fetchall()
    for _ in range(2):
        assert retention.forget_old(database, NOW, True, **KEEP)
    cutoff = (NOW - 10 * DAY_S) // DAY_S * DAY_S
    assert database.one("select min(start_utc) from sums") == cutoff
    assert database.one("select min(start_utc) from hours") >= NOW - 30 * DAY_S
    after = database.execute("select start_utc, mask from days order by start_utc").fetchall()
    assert [tuple(row) for row in after] == [tuple(row) for row in before]
    box.begin(B, NOW)
    box.count(B, 1, -12 * 1440, mask=-1)  # a correction of what is closed changes nothing
    box.count(B, 1, -60, mask=-1)
    take(Intake(10**6, keep_days=10), database, sent("north", box.range(B, 0)))
    roll_up_all(database)
    assert database.one("select sum(mask) from days") == 50 * 24 - 1
    if database.dialect == "postgresql":
        assert partitions.month_of(NOW - 50 * DAY_S).name not in {part.name for part in partitions.existing(database)}


def test_rows_whose_time_nothing_confirms_are_kept_until_they_can_be_corrected(database: Database) -> None:
    intake, box = Intake(10**6, keep_days=10), SimulatedBox("north")
    box.begin(C, 946_684_800)  # a board without a clock begins in 2000
    for minute in range(3):
        box.count(C, 1, minute, verified=False, mask=1)
    take(intake, database, sent("north", box.range(C, 0)))
    assert retention.forget_old(database, NOW, True, **KEEP)
    assert len(sums_of(database, "north")) == 3
    box.correct_clock(C, NOW - 3600 - 946_684_800)
    take(intake, database, sent("north", box.range(C, 3)))
    roll_up_all(database)
    assert sums_of(database, "north") == rows_of(box)
    assert database.one("select sum(mask) from hours where start_utc > ?", [NOW - DAY_S]) == 3


def test_a_source_without_rows_goes_and_a_late_row_of_it_brings_it_back(database: Database) -> None:
    intake, box = Intake(10**6, keep_days=60), SimulatedBox("north")
    box.begin(A, NOW - 40 * DAY_S)
    box.count(A, 1, 0, mask=1)
    take(intake, database, sent("north", box.range(A, 0)), now_utc=NOW - 40 * DAY_S)
    retention.forget_old(database, NOW, True, **KEEP)
    assert database.one("select count(*) from sources") == 0
    box.count(A, 1, 40 * 1440 - 10, mask=1)  # the one process still remembers the source
    assert take(intake, database, sent("north", box.range(A, 1))).upto == {"north": {A: 2}}
    assert len(sums_of(database, "north")) == 1


def test_a_clock_that_leapt_removes_nothing(database: Database) -> None:
    intake = Intake(10**6, keep_days=60)
    box = told_for_weeks(database, intake, 5)
    assert not retention.forget_old(database, NOW, False, **KEEP)
    assert not retention.forget_old(database, NOW + 3000 * DAY_S, False, **KEEP)
    assert sums_of(database, "north") == rows_of(box)
    assert retention.forget_old(database, NOW + DAY_S, False, **KEEP)
    assert retention.forget_old(database, NOW + 3000 * DAY_S, True, **KEEP)
    assert sums_of(database, "north") == {}


def test_minutes_are_read_over_all_epochs_and_what_is_unknown_is_not_there(database: Database) -> None:
    intake, box = Intake(10**6, keep_days=60), SimulatedBox("north")
    box.begin(A, NOW - 3600)
    box.begin(B, NOW - 1800)
    box.count(A, 1, 30, mask=2, watched_s=20)
    box.count(A, 1, 32, watched_s=60)
    box.count(B, 1, 0, mask=-1, watched_s=30)
    box.count(B, 2, 0, mask=9)
    take(intake, database, *(sent("north", box.range(epoch, 0)) for epoch in (A, B)))
    stream = database.one("select id from streams where number = 1")
    found = list(minutes(database, stream, NOW - 1800, NOW))
    assert [(row["start_utc"], row["watched_s"], row["mask"], row["unverified"]) for row in found] == [
        (NOW - 1800, 50, 1, 0),
        (NOW - 1800 + 120, 60, 0, 0),
    ]
    assert list(minutes(database, stream, NOW - 1800 + 60, NOW - 1800 + 120)) == []


def test_parts_are_there_before_they_are_needed_and_take_over_what_came_too_early(database: Database) -> None:
    if database.dialect != "postgresql":
        partitions.make_ahead(database, 100, NOW)
        assert partitions.drop_before(database, NOW) == []
        return
    intake, box = Intake(10**6, keep_days=100), SimulatedBox("north")
    box.begin(A, NOW - 50 * DAY_S)
    for minute in (0, 10, 50 * 1440 - 5):
        box.count(A, 1, minute, mask=1)
    take(intake, database, sent("north", box.range(A, 0)))
    assert database.one("select count(*) from sums_other") == 3
    partitions.make_ahead(database, 100, NOW)
    partitions.make_ahead(database, 100, NOW)
    assert database.one("select count(*) from sums_other") == 0
    assert sums_of(database, "north") == rows_of(box)
    names = {part.name for part in partitions.existing(database)}
    assert {partitions.month_of(utc).name for utc in (NOW - 100 * DAY_S, NOW, NOW + 62 * DAY_S)} <= names
    box.count(A, 1, 0, mask=1)
    take(intake, database, sent("north", box.range(A, 0)))
    assert sums_of(database, "north") == rows_of(box)

    roll_up_all(database)
    have, want = rolled_up(database, "hours", 3600)
    assert have == want


def test_months_and_runs() -> None:
    december = partitions.month_of(1_798_675_200)
    assert (december.name, december.until_utc) == ("sums_2026_12", 1_798_761_600)
    assert partitions.month_of(december.until_utc).name == "sums_2027_01"
    assert list(runs([7200, 3600, 14400], 3600)) == [(3600, 10800), (14400, 18000)]
    assert list(runs([], 3600)) == []


def test_a_process_that_lives_is_on_record_until_it_ends(database: Database) -> None:
    processes.note_alive(database, "ingest", NOW, NOW, "trouble", 5, 2)
    processes.note_alive(database, "ingest", NOW, NOW + 2, "", 7, 3)
    row = next(database.query("select kind, heartbeat_utc, problem, rows_taken, messages_taken from processes"))
    assert row == {
        "kind": "ingest", "heartbeat_utc": NOW + 2, "problem": "", "rows_taken": 7, "messages_taken": 3,
    }  # fmt: skip
    processes.forget(database, "ingest")
    assert database.one("select count(*) from processes") == 0


@pytest.fixture
def sqlite_path(tmp_path: Path) -> Path:
    database = open_database(str(tmp_path / "central.db"))
    join(database, "north")
    database.close()
    return tmp_path / "central.db"


def test_a_copy_is_whole_and_only_the_newest_are_kept(sqlite_path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    assert backup.is_due(folder, NOW)
    for night in range(4):
        made = backup.make(sqlite_path, folder, 3, NOW + night * DAY_S)
        assert not backup.is_due(folder, NOW + night * DAY_S + 3600)
        assert backup.is_due(folder, NOW + (night + 1) * DAY_S)
    assert len(backup.all_of_them(folder)) == 3
    assert made.stat().st_mode & 0o777 == 0o600
    copy = open_database(str(made))
    assert copy.one("select id from boxes") == "north"
    copy.close()


def test_a_copy_made_by_a_clock_that_was_ahead_keeps_no_other_from_being_made(
    sqlite_path: Path, tmp_path: Path
) -> None:
    backup.make(sqlite_path, tmp_path / "backups", 3, NOW + 1000 * DAY_S)
    assert backup.is_due(tmp_path / "backups", NOW)


def test_a_damaged_database_is_not_copied(sqlite_path: Path, tmp_path: Path) -> None:
    database = open_database(str(sqlite_path))
    database.execute("pragma wal_checkpoint(truncate)")
    database.execute("create index extra on boxes (title)")
    database.execute("pragma writable_schema = on")
    database.execute("update sqlite_schema set rootpage = 3 where name = 'extra'")
    database.close()
    with pytest.raises((BackupError, sqlite3.Error)):
        backup.make(sqlite_path, tmp_path / "backups", 3, NOW)
    assert backup.all_of_them(tmp_path / "backups") == []


def test_housekeeping_does_all_that_is_due(sqlite_path: Path, tmp_path: Path) -> None:
    housekeeping = Housekeeping(CentralConfig(state_dir=str(tmp_path)), Connection("127.0.0.1", 1))
    housekeeping.step()
    housekeeping.step()
    housekeeping.close()
    assert len(backup.all_of_them(tmp_path / "backups")) == 1
