"""One connection of the viewer to the centre's database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Error

from appliance.accounts.audit import Audit
from appliance.accounts.audit_chain import HeadFile
from appliance.accounts.people import People
from appliance.alerts.alerts import Alerts
from appliance.central.database import Database, DatabaseError
from appliance.central.days import zone_in_force
from appliance.central.opening import connect
from appliance.central.store.boxes import Boxes
from appliance.central.store.records import Records
from appliance.central.store.sites import Sites
from appliance.central.store.sums import Sums
from appliance.errors import NotSaved
from appliance.language import _
from appliance.reports.schedules import Reports
from appliance.time_zone import TimeZone

WRITERS_LOCK = 0x6D62396B
"""Of PostgreSQL's advisory locks, the one that a person's change holds: as in SQLite, one is made after the other."""


class CentralStore:
    """What the pages of one request need; for one thread."""

    def __init__(self, db: Database, head_file: Path | None = None) -> None:
        self.db = db
        self.people = People(db)
        self.audit = Audit(db, HeadFile(head_file) if head_file else None)
        self.alerts = Alerts(db)
        self.reports = Reports(db)
        self.boxes = Boxes(db)
        self.sites = Sites(db)
        self.sums = Sums(db)
        self.records = Records(db)

    @classmethod
    def open_existing(cls, address: str, head_file: Path | None = None) -> CentralStore:
        """Open what `open_database` has made: for each request. Raises DatabaseError.

        head_file: where this machine notes the last entry of the audit (`CentralConfig.audit_head_path`).
        """
        return cls(connect(address), head_file)

    def zone(self) -> TimeZone:
        """The time zone by whose clocks days are cut."""
        return zone_in_force(self.db)

    @contextmanager
    def saving(self) -> Iterator[None]:
        """One transaction: all of it is stored, or nothing. Raises NotSaved."""
        try:
            with self.audit.within(self.db.writing()):
                if self.db.dialect == "postgresql":
                    self.db.execute("select pg_advisory_xact_lock(?)", [WRITERS_LOCK])
                yield
        except Error as error:
            raise NotSaved(_("Nothing was saved: {why}", why=explain_trouble(error))) from error

    def close(self) -> None:
        """Give the connection back."""
        self.db.close()


def explain_trouble(error: Exception) -> str:
    """Why the database did not do something, in words for a person, from the error it raised."""
    if isinstance(error, DatabaseError):
        return _("The database of the centre cannot be reached. Try again in a moment; if it stays, tell an admin.")
    text = str(error)
    if "locked" in text:
        return _("The database of the centre is busy. Try again in a moment.")
    if "full" in text or "space" in text:
        return _("The disk of the centre is full. Make room, then try again.")
    return _("The database of the centre could not do this just now. Its log says why; try again in a moment.")
