"""A zoo of damaged stores: each is told in one line with the next step, by `mb9k check` and at every start."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from appliance.accounts.audit_search import Search, found
from appliance.accounts.people import Role
from appliance.config import load
from appliance.errors import UserError
from appliance.faces import Detection, State
from appliance.images import ImageFiles
from appliance.language import speaking
from appliance.rules.check import problems, refuse_unsound
from appliance.store import Store, StoredImage
from appliance.store.backup import Backups
from tests.disks import read_only
from tests.starts import start

AT = 1_795_521_600.0
PAGE = 4096
STARTS = ("run", "gate", "ingest", "watch", "serve")
JPEG = b"\xff\xd8" + bytes(range(256)) + b"\xff\xd9"
Damage = Callable[[Path], None]


def seen(number: int) -> Detection:
    """One of many persons."""
    at = AT + number
    return Detection(at, at + 5, State.MASK, 0.9, 7, (10, 20, 60, 80), 640, 360, "a model")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a box that is well: people, streams, 400 detections, some with images, and one backup."""
    state = tmp_path_factory.mktemp("whole") / "state"
    store = Store.open(state / "mb9k.db")
    images = ImageFiles(state / "images")
    store.people.add("ann", "hash", Role.ADMIN, AT)
    store.streams.add_with_key(1, "door", "digest", AT)
    with store.writing():
        for number in range(400):
            place = images.append(JPEG, AT)
            image = StoredImage(place.day, place.offset, place.size_bytes, f"t{number}", crc32=place.crc32)
            store.detections.add(1, seen(number), image if number % 50 == 0 else None)
    Backups(state / "backups").make(state / "mb9k.db", AT, keep=1)
    store.close()
    return state


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    """A copy of its store, with all that lies beside it."""
    shutil.copytree(whole, tmp_path / "state")
    (tmp_path / "mb9k.toml").write_bytes(msgspec.toml.encode({"state_dir": str(tmp_path / "state")}))
    return tmp_path / "state" / "mb9k.db"


def config_of(path: Path) -> Path:
    return path.parent.parent / "mb9k.toml"


def overwrite(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def statements(*lines: str) -> Damage:
    """What somebody did to it with SQLite, with every safeguard off."""

    def run(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(
                "pragma foreign_keys=off; pragma ignore_check_constraints=on; pragma writable_schema=on;"
                f"{';'.join(lines)};"
            )
            connection.execute("pragma wal_checkpoint(truncate)")

    return run


def without(words: str, table: str, line: str) -> Damage:
    """A row that some words of its table's SQL forbid: they are taken away, and put back after it was written."""

    def run(path: Path) -> None:
        (whole,) = statements_result(path, f"select sql from sqlite_schema where name = '{table}'")
        assert words in whole
        for sql in (whole.replace(words, ""), whole):
            quoted = sql.replace("'", "''")
            statements(f"update sqlite_schema set sql = '{quoted}' where name = '{table}'")(path)
            if sql != whole:
                statements(line)(path)

    return run


def statements_result(path: Path, sql: str) -> sqlite3.Row:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchone()  # type: ignore[no-any-return]


def tear_pages(path: Path) -> None:
    chance = random.Random(1)
    for page in range(3, path.stat().st_size // PAGE, 4):
        overwrite(path, page * PAGE + chance.randrange(200), chance.randbytes(300))


def foreign_wal(path: Path) -> None:
    """The -wal of another database, as it stays when somebody copies the file of one box over that of another."""
    other = path.with_name("other.db")
    with closing(sqlite3.connect(other)) as connection:
        connection.executescript("pragma journal_mode=wal; create table notes (a); insert into notes values (1)")
        shutil.copy(f"{other}-wal", f"{path}-wal")
    for left_over in path.parent.glob("other.db*"):
        left_over.unlink()


def replaced_by(sql: str) -> Damage:
    def run(path: Path) -> None:
        path.unlink()
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(sql)

    return run


def emptied(path: Path) -> None:
    """A new store in the place of the old one, as a box made it that did not look around."""
    path.rename(path.with_name("moved"))
    for name in ("images", "backups"):
        (path.parent / name).rename(path.parent / f"{name}-")
    Store.open(path).close()
    path.with_name("moved").unlink()
    for name in ("images", "backups"):
        (path.parent / f"{name}-").rename(path.parent / name)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


ZOO: dict[str, tuple[Damage, str]] = {
    "a header cut short": (lambda path: os.truncate(path, 50), "is damaged"),
    "cut at half its length": (lambda path: os.truncate(path, path.stat().st_size // 2), "is damaged"),
    "cut within a page": (lambda path: os.truncate(path, path.stat().st_size - 100), "is damaged"),
    "a page of zeros in the middle": (lambda path: overwrite(path, 12 * PAGE, bytes(PAGE)), "is damaged"),
    "its first page zeros": (lambda path: overwrite(path, 0, bytes(PAGE)), "is damaged"),
    "torn pages": (tear_pages, "is damaged"),
    "emptied to 0 bytes": (lambda path: os.truncate(path, 0), "is empty, though there are images (1 day)"),
    "gone": (lambda path: path.unlink(), "is gone, though there are images (1 day)"),
    "garbage": (lambda path: overwrite(path, 0, os.urandom(path.stat().st_size)), "is damaged"),
    "not a database": (lambda path: overwrite(path, 0, b"# a text file\n" * 50), "is damaged"),
    "a wrong letter in its first line": (lambda path: overwrite(path, 3, b"x"), "is damaged"),
    "a wrong page size": (lambda path: overwrite(path, 16, b"\x20\x00"), "is damaged"),
    "an impossible page size": (lambda path: overwrite(path, 16, b"\x00\x07"), "is damaged"),
    "a free list that leads out of the file": (lambda path: overwrite(path, 32, b"\0\7\7\7\0\0\0\5"), "is damaged"),
    "another program's format": (lambda path: overwrite(path, 18, b"\x09\x09"), "is damaged"),
    "another encoding": (lambda path: overwrite(path, 56, b"\0\0\0\7"), "is damaged"),
    "no tables": (replaced_by("pragma user_version=1; vacuum"), "has no tables, though there are images"),
    "another program's database": (replaced_by("create table notes (a)"), "is damaged"),
    "a new store where one was": (emptied, "holds nobody, though there are images"),
    "a table missing": (statements("drop table refusals"), "the table refusals is missing"),
    "the table of detections missing": (statements("drop table detections"), "the table detections is missing"),
    "the people missing": (statements("drop table people"), "is damaged"),
    "an index missing": (statements("drop index detections_stream_last"), "the index detections_stream_last is miss"),
    "a column missing": (statements("alter table refusals drop column times"), "times (INTEGER) is missing"),
    "a trigger missing": (statements("drop trigger detections_removed"), "the trigger detections_removed is missing"),
    "no record of migrations": (statements("drop table _sqlite_migrations"), "is damaged"),
    "a table's root outside the file": (
        statements("update sqlite_schema set rootpage = 99999 where name = 'people'"), "is damaged"),
    "SQL that is none": (statements("update sqlite_schema set sql = 'oh' where name = 'streams'"), "is damaged"),
    "the -wal of another database": (foreign_wal, "is damaged"),
    "a folder in its place": (folder, "is a folder where a database should be"),
    "a row that points nowhere": (statements("update detections set stream_id = 9 where id = 7"), "1 row points now"),
    "a state that there is not": (statements("update detections set state = 'hat' where id = 7"), "CHECK constraint"),
    "a role that there is not": (statements("update people set role = 'king'"), "CHECK constraint failed in people"),
    "a word for a number": (
        without(" strict", "detections", "update detections set votes = 'many' where id = 7"), "is damaged"),
    "nothing where something must be": (
        without(" not null", "refusals", "insert into refusals values (1, 'now', null, 'a', 'b', 1, null)"),
        "is damaged"),
    "a name that is no text": (statements("update people set name = cast(x'ff' as text)"), "is damaged"),
    "made by a newer mb9k": (
        statements("insert into _sqlite_migrations (migration_set, name) values ('appliance', 'm999_new')"),
        "was made by a newer mb9k than this one (it has m999_new of appliance"),
    "of a set of migrations that is unknown": (
        statements("insert into _sqlite_migrations (migration_set, name) values ('clouds', 'm001_sky')"),
        "was made by a newer mb9k"),
}  # fmt: skip


MADE_AGAIN = ("an index missing", "a trigger missing")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a state folder but what belongs to running: locks, and SQLite's shared memory."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if not path.name.endswith("-shm")}


def assert_one_line(path: Path, words: str, *parts: str) -> None:
    code, line = start(config_of(path), *words.split())
    assert (code, line.count("\n")) == (1, 1), f"{words}: {code}: {line}"
    assert line.startswith(f"mb9k: {path} ") and all(part in line for part in parts), line


@contextmanager
def untouched(path: Path) -> Iterator[None]:
    """Nothing of the state folder is changed, and no new store made in silence."""
    before = contents(path.parent)
    yield
    after = contents(path.parent)
    assert {name: after.get(name) for name in before} == before
    assert not path.is_file() or path.stat().st_size == len(before["mb9k.db"]), "no silent new store"


@pytest.mark.parametrize("kind", ZOO)
def test_damage_is_one_line_with_the_next_step_and_nothing_is_touched(path: Path, kind: str) -> None:
    damage, said = ZOO[kind]
    damage(path)
    next_step = "update mb9k" if "newer" in said else "`mb9k restore` sets it aside and puts back the backup of 2026"
    if kind in MADE_AGAIN:
        next_step = "`mb9k check --repair` makes it again"
    config = load(config_of(path))
    with untouched(path):
        for refuse in (refuse_unsound, problems):
            with pytest.raises(UserError) as refused:
                refuse(config)
            line = str(refused.value)
            assert line.startswith(f"{path} ") and "\n" not in line and said in line and next_step in line, line
        with speaking("de"), pytest.raises(UserError) as refused:  # who wants to download the record reads it on a page
            refuse_unsound(config)
        what, _semicolon, german_step = str(refused.value).removeprefix(f"{path} ").partition("; ")
        assert german_step.startswith(
            ("aktualisieren Sie mb9k", "halten Sie die Box an; `mb9k restore` legt", "`mb9k check --repair` legt")
        )
        assert not re.match("(is|has|holds|was) ", what) and (what.endswith(")") or "though" not in what), what


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        ("drop index detections_stream_last", "the index detections_stream_last"),
        ("drop trigger hours_changed_in_box; update hours set mask = mask + 1", "the trigger hours_changed_in_box"),
    ],
)
def test_what_holds_nothing_itself_is_made_again_and_what_it_kept_is_counted_again(
    path: Path, damage: str, part: str
) -> None:
    statements(damage)(path)
    assert_one_line(path, "watch", f"{part} is missing", "`mb9k check --repair` makes it again")
    code, said = start(config_of(path), "check", "--repair")
    assert code == 0 and said.startswith(f"{part} was made again") and said.endswith("all is well\n"), said
    with closing(Store.open(path)) as store:
        (entry, _sha256), *_ = found(store.audit, Search())
        assert json.loads(entry.details)["made_again"] == [part]


def test_what_is_lost_with_a_table_is_not_made_again(path: Path) -> None:
    statements("drop index detections_stream_last; drop table refusals")(path)
    assert_one_line(path, "check --repair", "the table refusals is missing", "`mb9k restore` sets it aside")


COMMANDS = (*STARTS, "check", "claim", "backup", "user list", "stream list", "clock show", "clock confirm")


@pytest.mark.parametrize("kind", ["torn pages", "gone", "made by a newer mb9k"])
def test_every_start_and_command_is_refused_in_one_line(path: Path, kind: str) -> None:
    damage, said = ZOO[kind]
    damage(path)
    with untouched(path):
        for words in COMMANDS:
            assert_one_line(path, words, said)


def test_without_a_backup_the_next_step_is_an_empty_record(path: Path) -> None:
    shutil.rmtree(path.parent / "backups")
    tear_pages(path)
    assert_one_line(path, "watch", "is damaged", "there is no backup; stop the box; `mb9k restore --new` sets it aside")


def test_a_store_that_is_gone_is_missed_though_only_its_backups_are_left(path: Path) -> None:
    shutil.rmtree(path.parent / "images")
    shutil.copytree(path.parent / "backups", elsewhere := path.parent.parent / "elsewhere")
    shutil.rmtree(path.parent / "backups")
    wiring = {"state_dir": str(path.parent), "backup": {"folder": str(elsewhere)}}
    config_of(path).write_bytes(msgspec.toml.encode(wiring))
    path.unlink()
    assert_one_line(path, "gate", "is gone, though there are backups of its record", "`mb9k restore`")


def test_an_index_that_is_not_its_table_is_found_by_check(path: Path) -> None:
    sql, other = "stream_id, last_seen_utc", "stream_id, first_seen_utc"
    change = f"update sqlite_schema set sql = replace(sql, '{sql}', '{other}') where name = 'detections_stream_last'"
    statements(change)(path)
    assert_one_line(path, "check", "is damaged", "index")


def test_a_damaged_name_in_the_configuration_does_not_matter_to_a_box_that_is_new(tmp_path: Path) -> None:
    path = tmp_path / "state" / "mb9k.db"
    config_of(path).write_bytes(msgspec.toml.encode({"state_dir": str(path.parent)}))
    path.parent.mkdir()
    path.touch()  # the power went while the first file was made
    assert start(config_of(path), "user", "list") == (0, "")


@pytest.mark.parametrize("sql", ["", "pragma journal_mode=wal; pragma user_version=1"])
def test_what_a_first_start_leaves_that_was_cut_off_is_a_new_box_to_check_too(tmp_path: Path, sql: str) -> None:
    path = tmp_path / "state" / "mb9k.db"
    config_of(path).write_bytes(msgspec.toml.encode({"state_dir": str(path.parent)}))
    path.parent.mkdir()
    path.touch()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(sql)
    said = f"mb9k: {path}: there is no record yet; `mb9k run` begins one\n"
    for words in ("check", "backup"):
        assert start(config_of(path), *words.split()) == (1, said)
    assert start(config_of(path), "user", "list") == (0, ""), "it is begun"
    assert start(config_of(path), "check") == (0, f"{path}: all is well\n")


def test_other_databases_where_backups_are_kept_are_no_backups(tmp_path: Path) -> None:
    path, disk = tmp_path / "state" / "mb9k.db", tmp_path / "disk"
    disk.mkdir()
    (disk / "music.db").touch()
    wiring = {"state_dir": str(path.parent), "backup": {"folder": str(disk)}}
    config_of(path).write_bytes(msgspec.toml.encode(wiring))
    assert start(config_of(path), "user", "list") == (0, "")


def test_a_disk_that_is_read_only_is_named_and_nothing_is_advised_that_writes_to_it(path: Path) -> None:
    with read_only(path.parent):
        assert_one_line(path, "check", "is on a disk that is mounted read-only", "look into `dmesg`")
        for word in STARTS:
            code, said = start(config_of(path), word)
            assert (code, said.count("\n")) == (1, 1) and "read-only" in said.lower().replace("_", "-"), said


def test_a_store_of_another_user_is_told_whose_it_must_be(whole: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folder is closed to others
        Path(folder).chmod(0o755)
        shutil.copytree(whole, Path(folder) / "state")
        path = Path(folder) / "state" / "mb9k.db"
        config_of(path).write_bytes(msgspec.toml.encode({"state_dir": str(path.parent)}))
        path.chmod(0o600 if os.geteuid() == 0 else 0)
        code, line = start(config_of(path), "check", as_nobody=True)
    assert (code, line.count("\n")) == (1, 1), line
    assert "may not be read and written by this user" in line and "must belong to the user the box runs as" in line


HARMLESS: dict[str, Damage] = {
    "a -wal cut off": lambda path: os.truncate(f"{path}-wal", Path(f"{path}-wal").stat().st_size // 2),
    "a -wal cut off within its header": lambda path: os.truncate(f"{path}-wal", 20),
    "a -wal of garbage": lambda path: overwrite(Path(f"{path}-wal"), 0, os.urandom(5000)),
    "a -shm of garbage": lambda path: overwrite(Path(f"{path}-shm"), 0, os.urandom(5000)),
    "no -shm": lambda path: Path(f"{path}-shm").unlink(),
    "the -wal gone": lambda path: Path(f"{path}-wal").unlink(),
}


@pytest.mark.parametrize("kind", HARMLESS)
def test_what_a_power_cut_leaves_is_no_damage(path: Path, kind: str) -> None:
    shutil.copytree(path.parent, running := path.parent.parent / "running")
    with closing(Store.open(running / "mb9k.db")) as store:
        for number in range(50):
            with store.writing():
                store.detections.add(1, seen(1000 + number))
        for name in ("mb9k.db", "mb9k.db-wal", "mb9k.db-shm"):
            shutil.copy(running / name, path.parent)
    HARMLESS[kind](path)
    code, said = start(config_of(path), "check")
    assert (code, said) == (0, f"{path}: all is well\n")
    assert start(config_of(path), "user", "list") == (0, "ann\tadmin\n")
    with closing(Store.open(path)) as store:
        (there,) = store.db.execute("select count(*) from detections").fetchone()
        assert 400 <= there <= 450


def test_check_tells_damaged_images_from_erased_ones_by_day(path: Path) -> None:
    images = path.parent / "images" / "20261124.jpegs"
    overwrite(images, 100, b"\0\0\0")
    overwrite(images, 50 * len(JPEG), bytes(len(JPEG)))
    code, said = start(config_of(path), "check")
    gone, damaged, end = said.splitlines()
    assert code == 1 and end.endswith("is not well; see above")
    assert gone.startswith("1 image is gone (20261124: 1); its detection is kept")
    assert damaged.startswith("1 image is damaged on the disk (20261124: 1) and not shown")
