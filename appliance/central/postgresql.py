"""PostgreSQL: the one file that imports psycopg. Connections come from a pool, one for each address and process."""

from __future__ import annotations

import itertools
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import psycopg
import psycopg_pool
from psycopg.adapt import Buffer, Dumper, Loader
from psycopg.rows import RowMaker

from appliance.central.database import (
    Cursor,
    Database,
    DatabaseAway,
    DatabaseError,
    Dialect,
    Parameters,
    for_postgresql,
)
from appliance.language import _
from appliance.outside import quoted

CONNECTIONS = 24
"""At most, of one process: the site's threads and a few more."""
CONNECT_S = 10.0
COPY_AT_ONCE = 1000
"""How many rows are written out at a time."""

_pools: dict[str, psycopg_pool.ConnectionPool[psycopg.Connection[Any]]] = {}
_lock = threading.Lock()


class NamedRow(tuple[Any, ...]):
    """A row as sqlite3.Row has it: by name and by place."""

    places: Mapping[str, int] = MappingProxyType({})

    def __getitem__(self, key: Any, /) -> Any:
        place = self.places.get(key) if isinstance(key, str) else key
        if place is None:
            raise IndexError(f"there is no column {key}")
        return tuple.__getitem__(self, place)

    def keys(self) -> list[str]:
        """The names of the columns."""
        return list(self.places)


def _named_row(cursor: psycopg.Cursor[Any]) -> RowMaker[NamedRow]:
    columns = enumerate(cursor.description or ())
    kind = type("NamedRow", (NamedRow,), {"places": {column.name: place for place, column in columns}})

    def make(values: Sequence[Any]) -> NamedRow:
        row: NamedRow = kind(values)
        return row

    return make


class _BoolAsNumber(Dumper):
    """SQLite has no bool: True is 1 there, so it is here."""

    oid = 23

    def dump(self, value: Any) -> Buffer:
        return b"1" if value else b"0"


class _PlainNumber(Loader):
    """The sum of a bigint is a `numeric`, which psycopg gives as a Decimal; as int or float it is what SQLite gives."""

    def load(self, data: Buffer) -> int | float:
        text = bytes(data).decode()
        return int(text) if re.fullmatch(r"-?\d+", text) else float(text)


def _prepare(connection: psycopg.Connection[Any]) -> None:
    connection.adapters.register_dumper(bool, _BoolAsNumber)
    connection.adapters.register_loader("numeric", _PlainNumber)


def _pool(address: str) -> psycopg_pool.ConnectionPool[psycopg.Connection[Any]]:
    with _lock:
        if address not in _pools:
            _pools[address] = psycopg_pool.ConnectionPool(
                address,
                min_size=0,
                max_size=CONNECTIONS,
                timeout=CONNECT_S,
                reconnect_timeout=CONNECT_S,
                check=psycopg_pool.ConnectionPool.check_connection,
                configure=_prepare,
                # Values are put in here, not by the server: `? is null` needs no type there.
                kwargs={
                    "autocommit": True,
                    "cursor_factory": psycopg.ClientCursor,
                    "row_factory": _named_row,
                    "connect_timeout": int(CONNECT_S),
                    "application_name": "mb9k-centre",
                },
                open=True,
            )
        return _pools[address]


def close_pools() -> None:
    """End every connection of this process that nobody uses."""
    with _lock:
        pools = list(_pools.values())
        _pools.clear()
    for pool in pools:
        pool.close()


def without_password(address: str) -> str:
    """An address as it may stand in a log."""
    return re.sub(r"(://[^:@/]*):[^@]*@", r"\1:...@", re.sub(r"(password=)[^&\s]*", r"\1...", address))


@contextmanager
def _as_sqlite_errors(connection: psycopg.Connection[Any] | None = None) -> Iterator[None]:
    """Raise what psycopg raises as what sqlite3 would raise."""
    try:
        yield
    except psycopg.Error as error:
        words = " ".join(str(error).split())
        if isinstance(error, psycopg.IntegrityError):
            raise sqlite3.IntegrityError(words) from error
        if connection is not None and connection.broken:
            raise DatabaseAway(words) from error
        if isinstance(error, psycopg.DataError):
            raise sqlite3.DataError(words) from error
        kind = sqlite3.OperationalError if isinstance(error, psycopg.OperationalError) else sqlite3.DatabaseError
        raise kind(words) from error


def _as_lists(rows: Sequence[Sequence[int | str]]) -> tuple[str, list[str]]:
    """Rows as a source of rows for a statement, and its values: an array for each column.

    Arrays are written here, since psycopg takes four times as long to.
    """
    kinds = ["text" if isinstance(value, str) else "bigint" for value in rows[0]]
    values = [
        f"{{{','.join(map(_quoted if kind == 'text' else str, column))}}}"
        for kind, column in zip(kinds, zip(*rows, strict=True), strict=True)
    ]
    return f"unnest({', '.join(f'%s::{kind}[]' for kind in kinds)})", values


def _quoted(text: Any) -> str:
    """Text as an element of an array."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class PostgresqlDatabase(Database):
    """One connection out of the pool."""

    dialect: Dialect = "postgresql"

    def __init__(self, address: str) -> None:
        """Raises DatabaseError."""
        self._pool = _pool(address)
        try:
            self.connection = self._pool.getconn()
        except (psycopg.Error, psycopg_pool.PoolTimeout) as error:
            raise DatabaseError(
                _(
                    "{address} cannot be reached ({error}); does PostgreSQL run there, and may this user connect?"
                    " (database.url)",
                    address=without_password(address),
                    error=quoted(str(error)),
                )
            ) from error

    def execute(self, sql: str, parameters: Parameters = ()) -> Cursor:
        """Run one statement. Raises sqlite3.Error."""
        with _as_sqlite_errors(self.connection):
            return self.connection.execute(for_postgresql(sql), parameters)

    def executemany(self, sql: str, rows: Iterable[Parameters]) -> None:
        """Run one statement for each of the rows. Raises sqlite3.Error."""
        # The server puts the values in: so one round trip is enough for all.
        with _as_sqlite_errors(self.connection), psycopg.Cursor(self.connection) as cursor:
            cursor.executemany(for_postgresql(sql), rows)

    def put(self, into: str, rows: Iterable[Sequence[int | str]], otherwise: str = "") -> None:
        """Insert many rows in one statement. Raises sqlite3.Error."""
        if all_rows := list(rows):
            lists, values = _as_lists(all_rows)
            with _as_sqlite_errors(self.connection), psycopg.Cursor(self.connection) as cursor:
                cursor.execute(f"insert into {into} select * from {lists} {otherwise}".encode(), values)

    def among(self, sql: str, keys: Sequence[Sequence[int | str]]) -> list[Any]:
        """The rows whose key is among these. Raises sqlite3.Error."""
        if not keys:
            return []
        lists, values = _as_lists(keys)
        with (
            _as_sqlite_errors(self.connection),
            psycopg.Cursor(self.connection, row_factory=_named_row) as cursor,
        ):
            return cursor.execute(sql.format(keys=f"(select * from {lists})").encode(), values).fetchall()

    def script(self, sql: str) -> None:
        """Run several statements, without parameters. Raises sqlite3.Error."""
        with _as_sqlite_errors(self.connection):
            self.connection.execute(sql.encode())

    def copy(self, into: str, rows: Iterable[Sequence[int]]) -> None:
        """Add many rows of whole numbers at once. Raises sqlite3.Error."""
        with (
            _as_sqlite_errors(self.connection),
            self.connection.cursor() as cursor,
            cursor.copy(f"copy {into} from stdin".encode()) as copying,
        ):
            waiting = iter(rows)
            while some := list(itertools.islice(waiting, COPY_AT_ONCE)):  # the text of all of them takes its place
                copying.write("".join("\t".join(map(str, row)) + "\n" for row in some))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction."""
        with _as_sqlite_errors(self.connection), self.connection.transaction():
            yield

    def keep_room(self) -> None:
        """Whoever runs the server does."""

    def close(self) -> None:
        """Give the connection back to the pool."""
        self._pool.putconn(self.connection)
