"""Opening the centre's database, whichever it is."""

from __future__ import annotations

import fcntl
import sqlite3
from pathlib import Path

from appliance.central.database import Database, DatabaseError, SqliteDatabase, is_postgresql
from appliance.central.schema import migrate
from appliance.language import _
from appliance.outside import quoted, system_words
from appliance.retold import retold


def open_database(address: str) -> Database:
    """Open; make or migrate the tables. Raises DatabaseError.

    address: postgresql://USER@HOST/NAME, or the path of a SQLite file.
    """
    if is_postgresql(address):
        database = connect(address)
        try:
            migrate(database)
        except BaseException:
            database.close()
            raise
        return database
    path = Path(address)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Two processes that start together must not both migrate.
        with path.with_name(f"{path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            database = SqliteDatabase(path)
            try:
                path.chmod(0o600)
                database.execute("pragma journal_mode=wal")
                migrate(database)
            except BaseException:
                database.close()
                raise
    except (OSError, sqlite3.Error) as error:
        raise DatabaseError(
            _(
                "{path} cannot be used ({error}); the centre must be able to write its database there",
                path=path,
                error=retold(quoted(system_words(error))),
            )
        ) from error
    return database


def connect(address: str) -> Database:
    """Open what `open_database` has made, quickly: for each request. Raises DatabaseError."""
    if is_postgresql(address):
        from appliance.central.postgresql import PostgresqlDatabase  # a centre with SQLite needs no psycopg

        return PostgresqlDatabase(address)
    try:
        return SqliteDatabase(Path(address), mode="rw")
    except sqlite3.Error as error:
        raise DatabaseError(
            _(
                "{address} cannot be opened ({error}); has the centre been started?",
                address=address,
                error=retold(quoted(str(error))),
            )
        ) from error
