"""Which of several processes, on any machines, does what only one may do."""

from __future__ import annotations

import sqlite3
from contextlib import suppress

from appliance.central.database import Database, is_postgresql
from appliance.central.opening import connect


class Leader:
    """For one thread. With PostgreSQL whoever holds a lock leads, which ends with its connection; with SQLite there is
    one machine, on which `stay_alone` sees to it. lock: a number of its own.
    """

    def __init__(self, address: str, lock: int) -> None:
        self._address, self._lock = address, lock
        self._database: Database | None = None
        self._leads = False

    def leads(self) -> bool:
        """Whether it is this one, now. Raises sqlite3.Error, DatabaseError: the database is away, so it is not."""
        if not is_postgresql(self._address):
            return True
        try:
            self._database = self._database or connect(self._address)
            if self._leads:
                self._database.execute("select 1")
            else:
                self._leads = bool(self._database.one("select pg_try_advisory_lock(?)", [self._lock]))
        except BaseException:
            self.close()
            raise
        return self._leads

    def close(self) -> None:
        """Let another one lead."""
        database, self._database = self._database, None
        if database is not None:
            if self._leads:
                with suppress(sqlite3.Error):  # then the lock has ended with the connection
                    database.execute("select pg_advisory_unlock(?)", [self._lock])
            database.close()
        self._leads = False
