"""Rows as CSV, as JSON lines, and as a SQLite file that Datasette opens."""

from __future__ import annotations

import csv
import enum
import io
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from functools import lru_cache
from pathlib import Path

import msgspec

from appliance.exports.batches import Batch
from appliance.exports.columns import Column, Table
from appliance.web.tables import cell


class Format(str, enum.Enum):
    """How rows are written. The value is how the name of a file ends."""

    CSV = "csv"
    JSON_LINES = "jsonl"
    SQLITE = "sqlite"
    ZIP = "zip"

    @property
    def mime_type(self) -> str:
        """What a browser is told that it is."""
        return _MIME_TYPES[self]


_MIME_TYPES = {
    Format.CSV: "text/csv; charset=utf-8; header=present",
    Format.JSON_LINES: "application/jsonl",
    Format.SQLITE: "application/vnd.sqlite3",
    Format.ZIP: "application/zip",
}
_safe = lru_cache(maxsize=4096)(cell)  # names come again in row after row


def csv_parts(table: Table, batches: Iterable[Batch]) -> Iterator[bytes]:
    """A table as CSV (RFC 4180), part by part. Text that a spreadsheet would run has an apostrophe before it."""
    free = [index for index, column in enumerate(table.columns) if column.free_text]
    yield _csv([table.names])
    for batch in batches:
        for row in batch:
            for index in free:
                row[index] = _safe(row[index])
        yield _csv(batch)


def _csv(rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def json_line_parts(table: Table, batches: Iterable[Batch]) -> Iterator[bytes]:
    """A table as JSON lines: an object a line, with all columns in each; what is empty is null."""
    names, encoder = table.names, msgspec.json.Encoder()
    for batch in batches:
        yield encoder.encode_lines([dict(zip(names, row, strict=True)) for row in batch])


def write_sqlite(path: Path, table: Table, batches: Iterable[Batch], about: Mapping[str, str]) -> None:
    """A table as a new SQLite file, which also says what its columns mean. Raises sqlite3.Error, OSError.

    about: what is known of the whole, for its table `about`.
    """
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -4000;")
        columns = ", ".join(_declared(table, column) for column in table.columns)
        connection.execute(f'create table "{table.name}" ({columns}) strict')
        places = ", ".join("?" * len(table.columns))
        for batch in batches:
            with connection:
                connection.executemany(f'insert into "{table.name}" values ({places})', batch)  # noqa: S608  # our names
        for name in table.indexes:
            connection.execute(f'create index "{table.name}_{name}" on "{table.name}" ("{name}")')
        connection.execute("create table columns (name text primary key, unit text, meaning text) strict")
        connection.execute("create table about (name text primary key, value text) strict")
        with connection:
            connection.executemany(
                "insert into columns values (?, ?, ?)", [(each.name, each.unit, each.meaning) for each in table.columns]
            )
            connection.executemany("insert into about values (?, ?)", list(about.items()))


def _declared(table: Table, column: Column) -> str:
    key = " primary key" if table.key and column is table.columns[0] else ""
    return f'"{column.name}" {column.kind}{key}'
