"""The centre's database, a real SQLite and a real PostgreSQL: one SQL, one family of errors."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.central import schema
from appliance.central.database import Database, DatabaseAway, DatabaseError, for_postgresql, for_sqlite, is_postgresql
from appliance.central.opening import connect, open_database
from tests.disks import fill, small_disk
from tests.postgres import Cluster


@pytest.fixture
def database(database_address: str) -> Iterator[Database]:
    opened = open_database(database_address)
    yield opened
    opened.close()


def test_rows_come_by_name_and_by_place(database: Database) -> None:
    database.execute("insert into sites (name, latitude) values (?, ?)", ["north", 48.5])
    row = database.execute("select id, name, latitude from sites where name = :name", {"name": "north"}).fetchone()
    number, name, latitude = row
    assert (number, name, latitude) == (row["id"], row["name"], row[2]) == (1, "north", 48.5)
    assert dict(row) == {"id": 1, "name": "north", "latitude": 48.5} == {**row}
    assert list(database.query("select name from sites")) == [{"name": "north"}]
    assert database.one("select count(*) from sites") == 1
    assert database.one("select id from sites where name = ''") is None


def test_what_is_written_in_a_transaction_that_fails_is_not_kept(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.writing():
        database.execute("insert into sites (name) values ('north')")
        raise ZeroDivisionError
    with database.writing():
        database.execute("insert into sites (name) values ('south')")
    assert [row["name"] for row in database.query("select name from sites")] == ["south"]


def test_names_differ_by_more_than_their_case(database: Database) -> None:
    database.execute("insert into sites (name) values ('North')")
    with pytest.raises(sqlite3.IntegrityError):
        database.execute("insert into sites (name) values ('nORTH')")
    assert database.one("select name from sites where name = 'NORTH'") == "North"


def test_errors_are_those_of_sqlite(database: Database) -> None:
    with pytest.raises(sqlite3.Error):
        database.execute("select nonsense from nowhere")
    with pytest.raises(sqlite3.IntegrityError):
        database.execute("insert into streams (box_id, number) values ('nobody', 1)")
    assert database.one("select 1") == 1


def test_the_common_words_mean_the_same(database: Database) -> None:
    database.executemany("insert into sites (name, latitude) values (?, ?)", [["a", 1.5], ["b", 2.5]])
    assert database.one("select greatest(?, least(4, 3))", [2]) == 3
    assert database.one("select count(*) from sites where :name is null or name = :name", {"name": None}) == 2
    assert database.one("select sum(id) from sites") == 3
    assert isinstance(database.one("select sum(id) from sites"), int)
    assert database.one("select avg(latitude) from sites") == 2
    assert database.one("select name from sites where name <> '100%' and group_name like '%' order by id") == "a"
    database.execute("insert into boxes (id, joined_utc, takes_commands) values ('one', 1, ?)", [True])
    assert database.one("select takes_commands from boxes") == 1
    new = database.execute("insert into sites (name) values ('c') returning id").fetchone()
    assert new["id"] == 3
    assert database.execute("update sites set latitude = 1").rowcount == 3
    database.execute(
        "insert into letters (at_utc, box_id, topic, reason, payload) values (1, 'x', 't', 'r', ?)", [b"\0\xff"]
    )
    assert bytes(database.one("select payload from letters")) == b"\0\xff"


ODD = ["", "a,b", 'quo"ted', "back\\slash", "{brace}", "NULL", "line\nbreak", "100%s", "\U0001f637", " spaced "]


@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 230])
def test_many_rows_are_put_in_their_order_and_found_by_their_keys(database: Database, count: int) -> None:
    boxes = [(f"box-{number:03}", ODD[number % len(ODD)], number) for number in range(count)]
    database.put("boxes (id, title, joined_utc)", boxes)
    columns = "id, title, joined_utc"
    assert [tuple(row) for row in database.execute(f"select {columns} from boxes order by id")] == boxes
    wanted = [(title, at) for _, title, at in boxes[1::2]]
    found = database.among(f"select {columns} from boxes where (title, joined_utc) in {{keys}} order by id", wanted)
    assert [tuple(row) for row in found] == boxes[1::2]
    assert all(row["id"] == row[0] for row in found)
    marks = [(title, -at) for _, title, at in reversed(boxes)]
    database.put("stale_hours (box_id, hour_utc)", (mark for mark in marks))
    assert [tuple(row) for row in database.execute("select box_id, hour_utc from stale_hours order by id")] == marks


def test_a_row_that_is_put_again_does_what_is_asked_for(database: Database) -> None:
    newer = (
        "on conflict (id) do update set joined_utc = excluded.joined_utc where excluded.joined_utc > boxes.joined_utc"
    )
    for at_utc in (2, 3, 1):
        database.put("boxes (id, joined_utc)", [(f"box-{number}", at_utc) for number in range(60)], newer)
    assert database.one("select min(joined_utc) from boxes") == database.one("select max(joined_utc) from boxes") == 3
    with pytest.raises(sqlite3.IntegrityError), database.writing():
        database.put("boxes (id, joined_utc)", [("new", 1), ("box-59", 4)])
    assert database.one("select count(*) from boxes") == 60


def test_processes_that_start_together_do_not_both_migrate(database_address: str) -> None:
    problems: list[BaseException] = []

    def start() -> None:
        try:
            open_database(database_address).close()
        except BaseException as error:  # shown below
            problems.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    database = connect(database_address)
    assert database.one("select count(*) from migrations") == len(schema.MIGRATIONS)
    assert schema.pending(database) == []
    database.close()


def test_a_migration_that_fails_leaves_nothing(database_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    open_database(database_address).close()

    def m999_broken(database: Database) -> None:
        database.script("create table half (id integer); create table half (id integer)")

    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, m999_broken))
    with pytest.raises((sqlite3.Error, DatabaseError)):
        open_database(database_address)
    database = connect(database_address)
    assert schema.pending(database) == ["m999_broken"]
    with pytest.raises(sqlite3.Error):
        database.execute("select * from half")
    database.close()


def test_a_database_that_is_not_there_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"none\.db.*has the centre been started"):
        connect(str(tmp_path / "none.db"))
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseError, match="must be able to write"):
        open_database(str(tmp_path / "file" / "central.db"))


def test_a_postgresql_that_is_not_there_is_named_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from appliance.central import postgresql

    monkeypatch.setattr(postgresql, "CONNECT_S", 2.0)
    with pytest.raises(DatabaseError, match="does PostgreSQL run there") as caught:
        open_database(f"postgresql://me:secret@/none?host={tmp_path}")
    postgresql.close_pools()
    assert "secret" not in str(caught.value)


def test_a_postgresql_that_goes_away_and_comes_back_is_found_again(postgres: Cluster) -> None:
    from appliance.central.postgresql import close_pools

    address = postgres.new_database()
    database = open_database(address)
    postgres.stop("immediate")
    with pytest.raises(DatabaseAway):
        database.execute("select 1")
    database.close()
    postgres.start()
    again = connect(address)
    assert again.one("select count(*) from boxes") == 0
    again.close()
    close_pools()
    postgres.drop(address)


def test_places_for_values_are_found_outside_of_literals_only() -> None:
    assert for_postgresql("select ?, ':a ? 50%', :b, x::text, '%' -- ? :c") == (
        "select %s, ':a ? 50%%', %(b)s, x::text, '%%' -- ? :c"
    )
    assert for_sqlite("select greatest(1, 2), least(3, 4), my_greatest") == "select max(1, 2), min(3, 4), my_greatest"


def test_which_addresses_are_postgresql() -> None:
    assert is_postgresql("postgresql://x/y")
    assert not is_postgresql("/var/lib/mb9k-central/central.db")


def test_on_a_full_disk_a_file_takes_rows_by_the_room_within_it(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as folder:
        database = open_database(str(folder / "central.db"))
        database.keep_room()
        for number in range(300):
            fill(folder)
            _note(database, f"{number} {'x' * 2000}")
        assert database.is_full()
        assert database.one("select count(*) from facts where value = 7") >= 300
        database.close()


def _note(database: Database, name: str) -> None:
    with database.writing():
        database.execute("insert into facts (name, value) values (?, 7)", [name])
