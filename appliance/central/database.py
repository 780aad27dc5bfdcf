"""The centre's database: a SQLite file, or PostgreSQL; everything else writes SQL once, for both.

The SQL is what SQLite 3.37 and PostgreSQL 15 have in common, with `?` or `:name` where a value goes. Two things are
put into each one's words on the way: `greatest(...)` and `least(...)`. Errors are always sqlite3.Error, since that is
the family that the web kit and the accounts know.
"""

from __future__ import annotations

import abc
import itertools
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol

from appliance import sqlite_room
from appliance.disk import LOG_BYTES, free_bytes
from appliance.errors import UserError
from appliance.sqlite import statements

Dialect = Literal["sqlite", "postgresql"]
Parameters = Sequence[Any] | Mapping[str, Any]
BUSY_TIMEOUT_S = 10.0
ROWS_AT_ONCE = 50
"""How many rows one statement puts into SQLite: half the time of one by one, and more of them save nothing."""


class DatabaseError(UserError):
    """The database cannot be used; the message says which, why, and what to do."""


class DatabaseAway(sqlite3.OperationalError):
    """The connection to the database is gone, so nothing that was begun is kept. It may come back by itself."""


class Row(Protocol):
    """A row, by name (`row["id"]`) and by place (`row[0]`); it unpacks like a tuple."""

    def __getitem__(self, key: Any, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...

    def keys(self) -> list[str]: ...


class Cursor(Protocol):
    """What a statement gave. rowcount: how many rows it changed."""

    @property
    def rowcount(self) -> int: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...


class Database(abc.ABC):
    """One connection, for one thread at a time. Statements outside of `writing` are kept at once, one by one."""

    dialect: Dialect

    @abc.abstractmethod
    def execute(self, sql: str, parameters: Parameters = ()) -> Cursor:
        """Run one statement. Raises sqlite3.Error."""

    @abc.abstractmethod
    def executemany(self, sql: str, rows: Iterable[Parameters]) -> None:
        """Run one statement for each of the rows. Raises sqlite3.Error."""

    @abc.abstractmethod
    def put(self, into: str, rows: Iterable[Sequence[int | str]], otherwise: str = "") -> None:
        """Insert many rows in few statements, in this order. Raises sqlite3.Error.

        into: the table and its columns, of numbers and text without nulls. otherwise: `on conflict ...`; on PostgreSQL
        no row may then come twice.
        """

    @abc.abstractmethod
    def among(self, sql: str, keys: Sequence[Sequence[int | str]]) -> list[Any]:
        """The rows of a question that has `in {keys}` after the columns of a key. Raises sqlite3.Error."""

    @abc.abstractmethod
    def copy(self, into: str, rows: Iterable[Sequence[int]]) -> None:
        """Add many rows of whole numbers at once. into: the table and its columns. Raises sqlite3.Error."""

    @abc.abstractmethod
    def script(self, sql: str) -> None:
        """Run several statements of this dialect, without parameters. Raises sqlite3.Error."""

    @abc.abstractmethod
    def writing(self) -> Any:
        """A context: one transaction, all of it is kept or none. Raises sqlite3.Error.

        With SQLite it takes the write lock at once; with PostgreSQL each statement sees what others have committed.
        """

    def is_full(self) -> bool:
        """Whether the disk is so full that writing fails, as far as that can be told from here."""
        return False

    @abc.abstractmethod
    def keep_room(self) -> None:
        """Keep room for when the disk is full, where that is ours to do. Raises sqlite3.Error."""

    @abc.abstractmethod
    def close(self) -> None:
        """Give the connection back."""

    def query(self, sql: str, parameters: Parameters = ()) -> Iterator[dict[str, Any]]:
        """The rows as dicts; the statement runs at once. Raises sqlite3.Error."""
        return iter([dict(row) for row in self.execute(sql, parameters).fetchall()])

    def one(self, sql: str, parameters: Parameters = ()) -> Any:
        """The first column of the first row; None: there is none."""
        row = self.execute(sql, parameters).fetchone()
        return row[0] if row else None


def is_postgresql(address: str) -> bool:
    """Whether this names a PostgreSQL, not a file."""
    return address.startswith(("postgresql://", "postgres://"))


class SqliteDatabase(Database):
    """A SQLite file: WAL with synchronous=FULL, so that what was committed survives a power cut."""

    dialect: Dialect = "sqlite"

    def __init__(self, path: Path, mode: str = "rwc", busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = path
        uri = f"{path.absolute().as_uri()}?mode={mode}"
        self.connection = sqlite3.connect(
            uri,
            uri=True,
            timeout=busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,  # one at a time may use it, and another one close it
        )
        self.connection.row_factory = sqlite3.Row
        try:
            for pragma in ("synchronous=full", "foreign_keys=on", "temp_store=memory"):
                self.connection.execute(f"pragma {pragma}")
        except BaseException:
            self.connection.close()
            raise

    def execute(self, sql: str, parameters: Parameters = ()) -> Cursor:
        """Run one statement. Raises sqlite3.Error."""
        return self.connection.execute(for_sqlite(sql), parameters)

    def executemany(self, sql: str, rows: Iterable[Parameters]) -> None:
        """Run one statement for each of the rows. Raises sqlite3.Error."""
        self.connection.executemany(for_sqlite(sql), rows)

    def put(self, into: str, rows: Iterable[Sequence[int | str]], otherwise: str = "") -> None:
        """Insert many rows in few statements. Raises sqlite3.Error."""
        one = f"({', '.join('?' * (into.count(',') + 1))})"
        many = f"insert into {into} values {', '.join([one] * ROWS_AT_ONCE)} {otherwise}"
        waiting = iter(rows)
        while len(some := list(itertools.islice(waiting, ROWS_AT_ONCE))) == ROWS_AT_ONCE:
            self.connection.execute(many, list(itertools.chain.from_iterable(some)))
        self.connection.executemany(f"insert into {into} values {one} {otherwise}", some)

    def among(self, sql: str, keys: Sequence[Sequence[int | str]]) -> list[Any]:
        """The rows whose key is among these. Raises sqlite3.Error."""
        if not keys:
            return []
        # As one value: so the statement is the same however many there are, and compiled once.
        parts = ", ".join(f"json_extract(value, '$[{place}]')" for place in range(len(keys[0])))
        return self.connection.execute(
            sql.format(keys=f"(select {parts} from json_each(?))"), [json.dumps(keys)]
        ).fetchall()

    def copy(self, into: str, rows: Iterable[Sequence[int]]) -> None:
        """Add many rows at once. Raises sqlite3.Error."""
        places = ", ".join("?" * (into.count(",") + 1))
        self.connection.executemany(f"insert into {into} values ({places})", rows)

    def script(self, sql: str) -> None:
        """Run several statements. Raises sqlite3.Error."""
        for statement in statements(sql):
            self.connection.execute(statement)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction; it takes the write lock at once."""
        if self.is_full():
            with suppress(sqlite3.Error):
                sqlite_room.use_log_again(self)
        self.connection.execute("begin immediate")
        try:
            yield
            self.connection.execute("commit")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("rollback")
            raise

    def is_full(self) -> bool:
        """Whether hardly anything is free on the disk of the file."""
        with suppress(OSError):
            return free_bytes(self.path.parent) < LOG_BYTES
        return False

    def keep_room(self) -> None:
        """While the disk has room, keep some of it within the file, for when it has none. Raises sqlite3.Error."""
        if not self.is_full():
            with self.writing():
                sqlite_room.keep_spare(self)
            sqlite_room.use_log_again(self)  # only then the file has it

    def close(self) -> None:
        """Close the file."""
        self.connection.close()


_PIECE = re.compile(
    r"""(?P<literal>'(?:[^']|'')*')|(?P<comment>--[^\n]*)|(?P<cast>::)|(?P<place>\?)|:(?P<name>[a-z_][a-z_0-9]*)|(?P<percent>%)"""
)
_GREATEST = re.compile(r"\b(greatest|least)\s*\(", re.IGNORECASE)


@lru_cache(maxsize=1000)
def for_sqlite(sql: str) -> str:
    """A statement in SQLite's words."""
    return _GREATEST.sub(lambda found: "max(" if found[1].lower() == "greatest" else "min(", sql)


@lru_cache(maxsize=1000)
def for_postgresql(sql: str) -> str:
    """A statement with the places for values as psycopg has them: `%s` and `%(name)s`."""

    def piece(found: re.Match[str]) -> str:
        if found["place"]:
            return "%s"
        if found["name"]:
            return f"%({found['name']})s"
        return "%%" if found["percent"] else found[0].replace("%", "%%")

    return _PIECE.sub(piece, sql)
