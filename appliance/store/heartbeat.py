"""A service's heartbeat, from a thread of its own."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from appliance.store.database import Store
from appliance.times import now


class Heartbeat:
    """Writes that a service lives, over a connection of its own that is opened again after trouble. For one thread.

    problem: what is wrong with the service, for a person to read.
    """

    def __init__(self, path: Path, name: str, problem: Callable[[], str | None] = lambda: None) -> None:
        self.path = path
        self.problem = problem
        self.name = name
        self._started_utc = time.time()
        self._store: Store | None = None

    def write(self) -> None:
        """One heartbeat. Raises sqlite3.Error, StoreError."""
        self._store = self._store or Store.open(self.path)
        try:
            self._store.services.heartbeat(self.name, os.getpid(), self._started_utc, self.problem(), now())
        except sqlite3.Error:
            self._store.close()
            self._store = None
            raise
