"""When the next backup is due, and that it is made then."""

from __future__ import annotations

import logging
import sqlite3

from appliance.config import Config
from appliance.disk import LOG_BYTES, RESERVE_BYTES
from appliance.errors import UserError
from appliance.language import ENGLISH, N_, speaking
from appliance.outside import as_said
from appliance.store.backup import Backups
from appliance.times import Now

log = logging.getLogger(__name__)

FIRST_S = 300.0  # a box that has just started has other things to do, and network time may not have arrived
RETRY_S = 3600.0
NOT_BACKED_UP = N_("The record was not backed up: {error}.")


class BackupSchedule:
    """Makes a backup when one is due: by how long the box has run, since its clock may be wrong. For one thread."""

    def __init__(self, config: Config, moment: Now) -> None:
        self.problem: str | None = None
        self._config = config
        self._backups = Backups(config.backups_dir)
        self._every_s = config.backup.every_h * 3600
        self._due_s = moment.uptime_s + FIRST_S
        self._begun = False

    def step(self, moment: Now) -> None:
        """Make a backup if one is due; problem says why not, for a person. Raises UserError, OSError, sqlite3.Error."""
        if self._config.backup.keep == 0 or moment.uptime_s < self._due_s:
            return
        try:
            if not self._begun and (wait_s := self._wait_s(moment)):
                self._begun, self._due_s = True, moment.uptime_s + wait_s
                return
            leave_free_bytes = max(self._config.images.min_free_mb * 1_000_000, RESERVE_BYTES + LOG_BYTES)
            with speaking(ENGLISH):  # the record is in one language
                made = self._backups.make(
                    self._config.store_path, moment.utc, self._config.backup.keep, leave_free_bytes
                )
        except (UserError, OSError, sqlite3.Error) as error:
            self._due_s = moment.uptime_s + RETRY_S
            self.problem = NOT_BACKED_UP.format(error=as_said(error).rstrip("."))
            raise
        self._begun, self._due_s, self.problem = True, moment.uptime_s + self._every_s, None
        log.info("the record was backed up: %s", made.path)

    def _wait_s(self, moment: Now) -> float:
        """For how long the last backup is still fresh. One from the future says that a clock was wrong: not at all."""
        newest = self._backups.newest()
        age_s = moment.utc - newest.path.stat().st_mtime if newest else -1.0
        return max(0.0, self._every_s - age_s) if age_s >= 0 else 0.0
