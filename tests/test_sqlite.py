"""What the record takes from sqlite-utils."""

from __future__ import annotations

import sqlite3
import subprocess
import sys

import pytest

from appliance.sqlite import Database, Migrated
from appliance.store.schema import MIGRATIONS
from tests.conftest import REPOSITORY

SCRIPT = """
    create table notes (a text);   -- what follows is the second statement; so is this
    create trigger noted after insert on notes when new.a = 'first' begin
      insert into notes values ('a line
        that ends with;
        in the middle of a value');
    end;
    insert into notes values ('first')
"""


def made_by(db: Database) -> list[tuple[object, ...]]:
    """All that a database consists of, in the words that made it."""
    return [tuple(row) for row in db.execute("select type, name, tbl_name, sql from sqlite_schema order by rowid")]


def test_services_that_see_no_picture_do_without_numpy() -> None:
    """A tenth of a second and 11 MB at each start of the gate, the page and the centre's link would be for nothing."""
    code = (
        "import sys, appliance.supervisor, appliance.media.gate, appliance.media.ingest, appliance.local.site,"
        " appliance.sync.service; print('numpy' in sys.modules); import numpy; print(numpy.__name__)"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert said.stdout.split() == ["False", "numpy"]


def test_migrations_make_what_sqlite_utils_alone_makes_of_them() -> None:
    ours, theirs = Migrated(memory=True), Database(memory=True)
    for migrations in MIGRATIONS:
        migrations.apply(ours)
        migrations.apply(theirs)
    assert made_by(ours) == made_by(theirs)


@pytest.mark.parametrize("begin", ["begin", ""])
def test_a_script_is_cut_where_its_statements_end(begin: str) -> None:
    db = Migrated(memory=True)
    db.execute(begin)
    db.executescript(SCRIPT)
    assert [len(a.splitlines()) for (a,) in db.execute("select a from notes")] == [1, 3]


def test_a_script_is_a_part_of_the_transaction_that_is_open() -> None:
    db = Migrated(memory=True)
    with pytest.raises(sqlite3.OperationalError, match="no such table: more"), db.atomic():
        db.executescript("create table notes (a);\n insert into notes values (1);\n insert into more values (1);")
    assert made_by(db) == []
