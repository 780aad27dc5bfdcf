"""A service's heartbeat, from a thread of its own."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

from appliance.store.database import Store
from appliance.times import now


class Heartbeat:
    """Writes that a service lives, over a connection of its own that is opened again after trouble. For one thread."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self._started_utc = time.time()
        self._store: Store | None = None

    def write(self) -> None:
        """One heartbeat. Raises sqlite3.Error, StoreError."""
        self._store = self._store or Store.open(self.path)
        try:
            self._store.services.heartbeat(self.name, os.getpid(), self._started_utc, None, now())
        except sqlite3.Error:
            self._store.close()
            self._store = None
            raise
