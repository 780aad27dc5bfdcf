"""What the record takes from sqlite-utils, without what that costs each service as it starts.

It imports NumPy wherever that is installed, only to know its types, and we store none of them. And it looks for the end
of a script's statement after each character, from its beginning: each service would do so as it starts, since it makes
all tables in memory to know what its file must have (`store/soundness.py`).
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _found_nowhere(module: str) -> Iterator[None]:
    """An import of it fails, unless it was imported before. For one that is optional, while there is but one thread."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # which is how the language says so
    try:
        yield
    finally:
        del sys.modules[module]


with _found_nowhere("numpy"):
    from sqlite_utils import Database, Migrations

__all__ = ["Database", "Migrated", "Migrations", "statements"]


class Migrated(Database):
    """A database that migrations are applied to. Their statements end with a line."""

    def executescript(self, sql: str) -> sqlite3.Cursor:
        """Run the statements, as a part of the transaction if one is open. Raises sqlite3.Error."""
        if not self.conn.in_transaction:
            return super().executescript(sql)
        cursor = self.conn.cursor()
        for statement in statements(sql):
            cursor.execute(statement)
        return cursor


def statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one: unlike sqlite3.executescript, that leaves a transaction open."""
    text = ""
    for line in script.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            yield text
            text = ""
    if text.strip():
        yield text
