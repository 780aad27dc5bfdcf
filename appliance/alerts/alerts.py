"""All of the alerts of a site's store, and what a site hands in."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from appliance.accounts.audit import Audit
from appliance.accounts.people import Database
from appliance.alerts.log import Log
from appliance.alerts.recipients import Recipients
from appliance.alerts.rules import Rules
from appliance.alerts.states import States


class Alerts:
    """The statements about alerts, in what SQLite and PostgreSQL have in common."""

    def __init__(self, db: Database) -> None:
        self.rules = Rules(db)
        self.recipients = Recipients(db)
        self.states = States(db)
        self.log = Log(db)


class AlertStore(Protocol):
    """What alerts are kept in: the store of a box, or of a centre."""

    @property
    def alerts(self) -> Alerts: ...

    @property
    def audit(self) -> Audit: ...

    def saving(self) -> AbstractContextManager[None]:
        """One transaction: all of it is stored, or nothing. Raises NotSaved."""


class Outbox(Protocol):
    """The same for what runs by itself, and its own connection, for one thread."""

    @property
    def alerts(self) -> Alerts: ...

    def saving(self) -> AbstractContextManager[None]:
        """One transaction: all of it is stored, or nothing. Raises NotSaved."""

    def close(self) -> None: ...
