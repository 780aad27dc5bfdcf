"""Copies of the record: made while it is written, verified, kept, and put back."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from sqlite_utils import Database

from appliance.accounts.people import Role
from appliance.accounts.schema import migrations as accounts_migrations
from appliance.config import Config
from appliance.errors import UserError
from appliance.faces import Counts, Detection, State
from appliance.images import ImageFiles, Integrity
from appliance.language import speaking
from appliance.retold import retold
from appliance.rules import recovery
from appliance.rules.detections import erase_some
from appliance.sections import Backup
from appliance.store import DetectionFilter, Store, StoredImage
from appliance.store.backup import BackupError, Backups, copy
from appliance.store.schedule import FIRST_S, RETRY_S, BackupSchedule
from appliance.store.schema import migrations as box_migrations
from appliance.times import Now, now
from tests.boxes import START_S, end, until
from tests.conftest import REPOSITORY
from tests.starts import start

AT = 1_795_521_600.0
DAY_S = 86400.0
SEEN = Detection(AT, AT + 5, State.MASK, 0.9, 7, (10, 20, 60, 80), 640, 360, "a model")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A box with an admin, a stream and a detection that has an image."""
    config = Config(state_dir=str(tmp_path / "state"))
    (tmp_path / "mb9k.toml").write_bytes(msgspec.toml.encode({"state_dir": config.state_dir}))
    images = ImageFiles(config.images_dir)
    with closing(Store.open(config.store_path)) as store:
        store.people.add("ann", "hash", Role.ADMIN, AT)
        store.streams.add_with_key(1, "door", "digest", AT)
        place = images.append(b"\xff\xd8\xff\xd9", AT)
        store.detections.add(1, SEEN, StoredImage(place.day, place.offset, place.size_bytes, "t", crc32=place.crc32))
    return config


def mb9k(config: Config, *words: str) -> tuple[int | None, str]:
    return start(config.state.parent / "mb9k.toml", *words)


def detections(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (count,) = connection.execute("select count(*) from detections").fetchone()
        return int(count)


def image_places(config: Config) -> list[StoredImage]:
    with closing(Store.open_readonly(config.store_path)) as store:
        return store.detections.all_images()


def at(uptime_s: float, utc: float = AT) -> Now:
    return Now(utc, "boot", uptime_s)


def test_a_copy_holds_one_moment_while_another_process_writes(config: Config, tmp_path: Path) -> None:
    stopping = threading.Event()

    def write() -> None:
        with closing(Store.open(config.store_path)) as store:
            while not stopping.is_set():
                with store.writing():
                    store.detections.add(1, SEEN)
                    store.detections.add(1, SEEN)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(5):
            copy(config.store_path, tmp_path / f"{number}.db")
    finally:
        stopping.set()
        thread.join()
    for number in range(5):
        path = tmp_path / f"{number}.db"
        assert path.stat().st_mode & 0o777 == 0o600
        assert detections(path) % 2 == 1
    assert sorted(path.name for path in tmp_path.iterdir() if "partial" in path.name) == []


def test_only_the_newest_are_kept_whatever_the_clock_says(config: Config) -> None:
    backups = Backups(config.backups_dir)
    for utc in (AT, AT + DAY_S, 60.0, AT + 2 * DAY_S):  # the third came from a box that had just lost its time
        backups.make(config.store_path, utc, keep=2)
    assert [backup.when for backup in backups.all()] == ["1970-01-01 00:01 UTC", "2026-11-26 12:00 UTC"]
    assert config.backups_dir.stat().st_mode & 0o077 == 0


def test_a_damaged_store_makes_no_copy_and_takes_no_older_one_away(config: Config) -> None:
    backups = Backups(config.backups_dir)
    backups.make(config.store_path, AT, keep=1)
    with closing(sqlite3.connect(config.store_path)) as connection, connection:
        connection.execute("drop table refusals")
    with pytest.raises(BackupError, match=r"the table refusals is missing.*so it was not copied"):
        backups.make(config.store_path, AT + DAY_S, keep=1)
    assert [path.name for path in config.backups_dir.iterdir()] == ["mb9k-000001-20261124T120000Z.db"]


def test_no_copy_is_made_when_the_disk_is_short_of_room(config: Config) -> None:
    with pytest.raises(BackupError, match="there is no room for a copy"):
        Backups(config.backups_dir).make(config.store_path, AT, keep=7, leave_free_bytes=10**18)
    assert list(config.backups_dir.iterdir()) == []


def test_what_a_cut_left_of_a_copy_is_no_copy_and_goes(config: Config) -> None:
    config.backups_dir.mkdir()
    (config.backups_dir / "mb9k-000009-20261124T120000Z.db.x.partial").write_bytes(b"half")
    backups = Backups(config.backups_dir)
    assert backups.newest() is None
    made = backups.make(config.store_path, AT, keep=7)
    assert list(config.backups_dir.iterdir()) == [made.path]


def test_the_command_makes_one_of_the_copies_or_the_one_that_is_named(config: Config, tmp_path: Path) -> None:
    code, said = mb9k(config, "backup")
    (made,) = config.backups_dir.iterdir()
    assert (code, said) == (0, f"{made}: the record as it is now\n")
    assert mb9k(config, "backup", str(tmp_path / "mine.db"))[0] == 0
    assert detections(tmp_path / "mine.db") == 1
    code, said = mb9k(config, "backup", str(tmp_path / "mine.db"))
    assert (code, said) == (1, f"mb9k: {tmp_path / 'mine.db'} is there already; name another file\n")
    code, said = mb9k(config, "backup", str(tmp_path / "no" / "mine.db"))
    assert code == 1 and said.count("\n") == 1 and "cannot be made" in said


def test_restore_puts_the_newest_back_and_keeps_what_was_there(config: Config) -> None:
    mb9k(config, "backup")
    with closing(Store.open(config.store_path)) as store:
        store.people.add_session("session", 1, "csrf", AT)
        mb9k(config, "backup")
        store.detections.add(1, SEEN)
        for suffix in ("-wal", "-shm"):
            shutil.copy(f"{config.store_path}{suffix}", config.state / f"kept{suffix}")
    for suffix in ("-wal", "-shm"):
        shutil.move(config.state / f"kept{suffix}", f"{config.store_path}{suffix}")
    os.truncate(config.store_path, 5000)
    code, said = mb9k(config, "restore")
    assert code == 0 and said.count("\n") == 1, said
    aside = sorted(path.name for path in config.state.glob("mb9k.db.aside-*"))
    assert len(aside) == 3 and aside[1] == f"{aside[0]}-shm" and aside[0] in said
    assert (config.state / aside[0]).stat().st_size == 5000
    assert mb9k(config, "check") == (0, f"{config.store_path}: all is well\n")
    assert config.store_path.stat().st_mode & 0o777 == 0o600
    with closing(Store.open(config.store_path)) as store:
        assert store.people.session("session") is None, "who was signed out since is not in again"
    assert detections(config.store_path) == 1


def test_restore_refuses_what_is_no_store_and_changes_nothing(config: Config, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database")
    (tmp_path / "empty").write_text("")
    for name, why in (
        ("text", "is damaged"),
        ("empty", "is empty"),
        ("nowhere", "no such file"),
        (".", "no such file"),
    ):
        code, said = mb9k(config, "restore", str(tmp_path / name))
        assert code == 1 and said.count("\n") == 1 and why in said, said
    assert "there is no backup in" in mb9k(config, "restore")[1]
    assert list(config.state.glob("*aside*")) == [] and detections(config.store_path) == 1


def test_restore_refuses_while_a_service_runs(config: Config) -> None:
    toml = {"state_dir": config.state_dir, "media": {"gate_port": 18_901}}
    (config.state.parent / "mb9k.toml").write_bytes(msgspec.toml.encode(toml))
    said: list[tuple[int | None, str]] = []
    running = threading.Thread(
        target=lambda: said.append(start(config.state.parent / "mb9k.toml", "gate", patience_s=6))
    )
    running.start()
    other = config.state.parent / "other"
    other.mkdir()
    (other / "mb9k.toml").write_bytes(msgspec.toml.encode(toml))
    lock = config.state / "gate.lock"
    while not lock.exists() or not lock.read_text():
        threading.Event().wait(0.05)
    code, refused = start(other / "mb9k.toml", "restore")
    running.join()
    assert code == 1 and "`mb9k gate` runs on" in refused


def test_an_empty_record_is_begun_with_everything_else_set_aside(config: Config) -> None:
    config.store_path.write_bytes(b"broken" * 1000)
    assert mb9k(config, "user", "list")[0] == 1
    code, said = mb9k(config, "restore", "--new")
    assert code == 0 and said.count("\n") == 1, said
    assert mb9k(config, "user", "list") == (0, "")
    aside = sorted(path.name.partition(".aside-")[0] for path in config.state.glob("*.aside-*"))
    assert aside == ["images", "mb9k.db"]
    assert mb9k(config, "check") == (0, f"{config.store_path}: all is well\n")


def test_an_old_copy_is_migrated_at_the_next_start(config: Config, tmp_path: Path) -> None:
    (place,) = image_places(config)
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection:
        accounts_migrations.apply(Database(connection))
        box_migrations.apply(Database(connection), stop_before="m007_image_checksums")
        connection.executescript(f"""
            insert into people (name, password_hash, role, created_utc) values ('dev', 'h', 'admin', 't');
            insert into streams (owner_id, name, key_sha256, created_utc) values (1, 'door', 'd', 't');
            insert into detections (stream_id, first_seen_utc, last_seen_utc, state, confidence, votes, bbox_left,
              bbox_top, bbox_right, bbox_bottom, frame_width, frame_height, model, image_day, image_offset, image_size,
              image_token) values (1, '2026-11-24T12:00:00.000Z', '2026-11-24T12:00:02.000Z', 'mask', 0.9, 7, 10, 20,
              60, 80, 640, 360, 'm', '{place.day}', {place.offset}, {place.size_bytes}, 'token');
        """)
    assert mb9k(config, "restore", str(tmp_path / "old.db"))[0] == 0
    with closing(Store.open(config.store_path)) as store:
        image = store.detections.all_images()[0]
    assert image.crc32 is None
    assert ImageFiles(config.images_dir).read(image) == b"\xff\xd8\xff\xd9"
    assert mb9k(config, "check")[0] == 0


LATER = [each.name for each in box_migrations.pending(Database(memory=True)) if each.name > "m004"]


@pytest.mark.parametrize("stopped_before", LATER)
def test_a_copy_of_every_older_version_is_put_back_and_migrated(
    config: Config, tmp_path: Path, stopped_before: str
) -> None:
    """Made by that version's own migrations, with the columns that a detection had then."""
    old = tmp_path / "old.db"
    bbox = ("bbox_" if stopped_before > "m006" else "box_").join(["", "left, ", "top, ", "right, ", "bottom"])
    with closing(sqlite3.connect(old)) as connection:
        accounts_migrations.apply(Database(connection), stop_before="m004_audit")
        box_migrations.apply(Database(connection), stop_before=stopped_before)
        connection.executescript(f"""
            insert into people (name, password_hash, role, created_utc) values ('dev', 'h', 'admin', 't');
            insert into streams (owner_id, name, key_sha256, created_utc) values (1, 'door', 'd', 't');
            insert into detections (stream_id, first_seen_utc, last_seen_utc, state, confidence, votes, {bbox},
              frame_width, frame_height, model) values (1, '2026-11-24T12:00:00.000Z', '2026-11-24T12:00:02.000Z',
              'no_mask', 0.9, 7, 10, 20, 60, 80, 640, 360, 'm');
        """)
    recovery.restore(config, old, AT + DAY_S)
    with closing(Store.open(config.store_path)) as store:
        assert store.problems() == []
        found = store.detections.get(1)
        expected = replace(SEEN, state=State.NO_MASK, last_seen_utc=AT + 2, model="m")
        assert found and (found.stream, found.detection) == ("dev:door", expected)
        assert store.trends.counts(DetectionFilter()) == Counts(no_mask=1)


def test_what_waited_to_be_erased_in_a_copy_is_erased_and_what_was_recorded_since_is_not(config: Config) -> None:
    images = ImageFiles(config.images_dir)
    (first,) = image_places(config)
    with closing(Store.open(config.store_path)) as store:
        store.detections.remove(1)
        mb9k(config, "backup")
        since = images.append(b"\xff\xd8 somebody \xff\xd9", AT)
    assert mb9k(config, "restore")[0] == 0
    assert mb9k(config, "check")[1].startswith(
        "1 deleted image is still to be erased; the box does that when it runs\n"
    )
    with closing(Store.open(config.store_path)) as store:
        assert not erase_some(store, images)
    assert images.integrity(first) is Integrity.ERASED
    assert images.integrity(since) is Integrity.WHOLE


def made(config: Config) -> int:
    return len(Backups(config.backups_dir).all())


def test_a_copy_is_made_each_day_of_running_whatever_the_clock_says(config: Config) -> None:
    schedule = BackupSchedule(config, at(1000.0))
    schedule.step(at(1000.0))
    assert made(config) == 0, "not at once"
    schedule.step(at(1000.0 + FIRST_S))
    assert made(config) == 1
    schedule.step(at(1060.0 + FIRST_S, utc=AT + 400 * DAY_S))  # the clock jumped
    schedule.step(at(999.0 + FIRST_S + DAY_S, utc=0.0))
    assert made(config) == 1
    schedule.step(at(1000.0 + FIRST_S + DAY_S, utc=0.0))
    assert made(config) == 2


def test_a_box_that_starts_often_does_not_make_a_copy_each_time(config: Config) -> None:
    Backups(config.backups_dir).make(config.store_path, AT, keep=7)
    newest = Backups(config.backups_dir).newest()
    assert newest
    os.utime(newest.path, (AT, AT))
    schedule = BackupSchedule(config, at(10.0, utc=AT + 3600))
    schedule.step(at(10.0 + FIRST_S, utc=AT + 3600))
    assert made(config) == 1
    schedule.step(at(9.0 + FIRST_S + 23 * 3600, utc=AT + DAY_S))
    assert made(config) == 1
    schedule.step(at(10.0 + FIRST_S + 23 * 3600, utc=AT + DAY_S))
    assert made(config) == 2


def test_a_copy_that_is_too_old_is_followed_by_another_soon(config: Config) -> None:
    Backups(config.backups_dir).make(config.store_path, AT, keep=7)
    schedule = BackupSchedule(config, at(10.0, utc=AT))
    schedule.step(at(10.0 + FIRST_S, utc=AT + 400 * DAY_S))
    assert made(config) == 2


def test_why_there_is_no_copy_is_the_services_problem_until_there_is_one(config: Config) -> None:
    schedule = BackupSchedule(config, at(0.0))
    config.backups_dir.write_text("a file where the folder should be")
    with pytest.raises((UserError, OSError)), speaking("fr"):  # as a site speaks: the record is in English
        schedule.step(at(FIRST_S))
    assert schedule.problem == "The record was not backed up: File exists."
    with speaking("de"):
        assert retold(schedule.problem) == "Die Aufzeichnung wurde nicht gesichert: Die Datei gibt es schon."
    config.backups_dir.unlink()
    schedule.step(at(FIRST_S + RETRY_S - 1))
    assert made(config) == 0, "it is not tried at every step"
    schedule.step(at(FIRST_S + RETRY_S))
    assert made(config) == 1 and schedule.problem is None


def test_none_is_made_by_itself_when_none_is_to_be_kept(config: Config) -> None:
    config = msgspec.structs.replace(config, backup=Backup(keep=0))
    BackupSchedule(config, at(0.0)).step(at(10 * DAY_S))
    assert made(config) == 0


def test_a_restore_that_was_cut_off_is_missed_at_the_next_start_and_done_again(config: Config) -> None:
    mb9k(config, "backup")
    config.store_path.rename(f"{config.store_path}.aside-20261124T120000Z")
    (config.state / "mb9k.db.abc.partial").write_bytes(b"half")
    code, said = mb9k(config, "watch")
    assert code == 1 and "is gone, though" in said and "`mb9k restore`" in said
    assert mb9k(config, "restore")[0] == 0
    assert mb9k(config, "check")[0] == 0
    assert list(config.state.glob("*.partial")) == []


@pytest.mark.parametrize("possible", [True, False])
def test_the_site_makes_the_copy_and_says_when_it_cannot(
    config: Config, possible: bool, free_port: Callable[[], int]
) -> None:
    if not possible:
        config.backups_dir.write_text("a file where the folder should be")
    program = (
        "from pathlib import Path; from appliance.config import load; from appliance.local import site\n"
        "from appliance.service import prepare; from appliance.store import schedule\n"
        "schedule.FIRST_S, site.BACKUP_POLL_S = 0.0, 0.1; prepare('serve')\n"
        f"site.serve(load(Path({str(config.state.parent / 'mb9k.toml')!r})))"
    )
    wiring = {"state_dir": config.state_dir, "web": {"host": "127.0.0.1", "port": free_port()}}
    (config.state.parent / "mb9k.toml").write_bytes(msgspec.toml.encode(wiring))
    process = subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY)
    try:
        with closing(Store.open(config.store_path)) as store:
            if possible:
                until(lambda: made(config) == 1, START_S, "a copy")
            until(lambda: bool(store.services.all(now())), START_S, "a heartbeat")
            said = "The record was not backed up"
            until(lambda: possible != (said in str(store.services.all(now())[0].problem)), START_S, "the problem")
    finally:
        end(process)
