"""What ingest does beside taking messages in: commands to boxes, roll-ups, parts by month, retention, copies."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

from appliance import times
from appliance.accounts.audit import KEPT_S
from appliance.alerts import log as alert_log
from appliance.central import backup, days, letters, partitions, retention, status
from appliance.central.config import CentralConfig
from appliance.central.database import Database, DatabaseAway, is_postgresql
from appliance.central.intake import database_closed_utc
from appliance.central.mqtt import Connection
from appliance.central.opening import connect
from appliance.central.rollups import MARKS, roll_up
from appliance.central.store import CentralStore
from appliance.central.sums import DAY_S
from appliance.messages import Command, Kind

log = logging.getLogger(__name__)
STEP_S = 1.0
ROLL_UP_S, MINUTE_S, HOUR_S = 20.0, 60.0, 3600.0


class Housekeeping:
    """One step of it each STEP_S, over a database connection of its own; for one thread."""

    def __init__(self, config: CentralConfig, connection: Connection) -> None:
        self._config, self._connection = config, connection
        self._database: Database | None = None
        self._due_s: dict[str, float] = {}

    def step(self) -> None:
        """Do what is due. Raises sqlite3.Error, OSError, UserError: it is tried again at the next step."""
        self._database = self._database or connect(self._config.database_address)
        try:
            self._do_what_is_due(self._database, int(time.time()))
        except DatabaseAway:
            self.close()
            raise

    def close(self) -> None:
        """Close the database."""
        if self._database:
            self._database.close()
        self._database = None

    def _do_what_is_due(self, database: Database, now_utc: int) -> None:
        keep = self._config.keep
        send_commands(database, self._connection, now_utc)
        self._each(math.inf, "time zone", lambda: days.follow_zone(database, self._config.zone))
        self._each(ROLL_UP_S, "roll-ups", lambda: roll_up_all(database))
        self._each(MINUTE_S, "told problems", lambda: status.forget_told(database, now_utc))
        self._each(MINUTE_S, "room", database.keep_room)
        self._each(MINUTE_S, "letters", lambda: letters.forget(database, now_utc - keep.letters_days * DAY_S))
        self._each(HOUR_S, "parts", lambda: partitions.make_ahead(database, keep.minutes_days, now_utc))
        self._each(HOUR_S, "copy", lambda: self._copy(now_utc))
        self._each(HOUR_S, "retention", lambda: self._forget(database, now_utc))

    def _each(self, every_s: float, what: str, action: Callable[[], object]) -> None:
        """Do something if it is due: at first at once; what fails is tried again at the next step."""
        if time.monotonic() >= self._due_s.get(what, 0.0):
            action()
            self._due_s[what] = time.monotonic() + every_s

    def _copy(self, now_utc: int) -> None:
        config = self._config
        if is_postgresql(config.database_address) or not config.backup.keep:
            return
        if backup.is_due(config.backups_dir, now_utc):
            path = backup.make(Path(config.database_address), config.backups_dir, config.backup.keep, now_utc)
            log.info("the database was copied to %s", path)

    def _forget(self, database: Database, now_utc: int) -> None:
        keep = self._config.keep
        done = retention.forget_old(
            database,
            now_utc,
            times.clock_is_synchronised(),
            minutes_days=keep.minutes_days,
            hours_days=keep.hours_days,
            letters_days=keep.letters_days,
        )
        if done:
            self._forget_records(database, now_utc)
        else:
            log.warning("nothing old is removed: nothing says that the clock of this machine is right")

    def _forget_records(self, database: Database, now_utc: int) -> None:
        """What the accounts and the alerts do not keep for ever."""
        store = CentralStore(database, self._config.audit_head_path)
        with store.saving():
            store.audit.drop(now_utc - KEPT_S)
            store.alerts.log.forget(now_utc - alert_log.KEPT_S)


def roll_up_all(database: Database) -> None:
    """Bring hours and days up to date. Raises sqlite3.Error."""
    while roll_up(database, database_closed_utc(database)) == MARKS:
        pass


def send_commands(database: Database, connection: Connection, now_utc: int) -> None:
    """Send the commands that wait. One that is sent twice is carried out once. Raises sqlite3.Error."""
    waiting = database.execute(
        "select commands.id, box_id, action, detail, given_by, given_utc, expires_utc from commands"
        " join boxes on boxes.id = box_id"
        " where sent_utc is null and expires_utc > ? and revoked_utc is null order by given_utc limit 100",
        [now_utc],
    ).fetchall()
    if connection.trouble:
        return
    for row in waiting:
        is_update = row["action"] == "update"  # then the detail is an address and a sha-256
        address, _, sha256 = row["detail"].partition(" ") if is_update else ("", "", "")
        command = Command(
            id=row["id"],
            action=row["action"],
            detail=address.rpartition("/")[2][:40] if is_update else row["detail"],
            address=address,
            sha256=sha256,
            by=letters.plain(row["given_by"], 80),
            given_utc=row["given_utc"],
            expires_utc=row["expires_utc"],
        )
        if connection.publish(row["box_id"], Kind.COMMAND, command, expiry_s=row["expires_utc"] - now_utc):
            database.execute("update commands set sent_utc = ? where id = ?", [now_utc, row["id"]])
