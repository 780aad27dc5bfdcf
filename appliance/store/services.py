"""The services' heartbeats."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from appliance.faces import Judging
from appliance.sqlite import Database
from appliance.times import Now, utc_text

FRESH_S = 7.0
"""A heartbeat older than this says nothing any more; services give one every 2 s."""


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service as last heard of. alive: its heartbeat is fresh. judging: of the watcher, what judges.

    silent_s: since its last heartbeat; None: it gave none since the machine was started.
    """

    name: str
    alive: bool
    started_utc: str
    pid: int
    problem: str | None
    judging: Judging | None = None
    silent_s: float | None = None


class Services:
    """The statements about services."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def heartbeat(
        self,
        name: str,
        pid: int,
        started_utc: float,
        problem: str | None,
        now: Now,
        judging: Judging | None = None,
    ) -> None:
        """Note that a service is alive, what is wrong with it, and of the watcher what judges."""
        self.db.execute(
            "insert into services (name, boot_id, heartbeat_s, started_utc, pid, problem, judging)"
            " values (?, ?, ?, ?, ?, ?, ?)"
            " on conflict (name) do update set boot_id = excluded.boot_id, heartbeat_s = excluded.heartbeat_s,"
            " started_utc = excluded.started_utc, pid = excluded.pid, problem = excluded.problem,"
            " judging = excluded.judging",
            [
                name,
                now.boot_id,
                now.uptime_s,
                utc_text(started_utc),
                pid,
                problem,
                None if judging is None else msgspec.json.encode(judging).decode(),
            ],
        )

    def all(self, now: Now) -> list[ServiceStatus]:
        """Every service that ever gave a heartbeat, by name."""
        rows = self.db.execute(
            "select name, boot_id = :boot_id and :uptime_s - heartbeat_s < :fresh_s as alive, started_utc, pid,"
            " problem, judging, iif(boot_id = :boot_id, :uptime_s - heartbeat_s, null) as silent_s"
            " from services order by name",
            {"boot_id": now.boot_id, "uptime_s": now.uptime_s, "fresh_s": FRESH_S},
        )
        return [
            ServiceStatus(**{**row, "alive": bool(row["alive"]), "judging": _judging(row["judging"])}) for row in rows
        ]

    def is_alive(self, name: str, now: Now) -> bool:
        """Whether the service's heartbeat is fresh."""
        return any(service.alive for service in self.all(now) if service.name == name)


def _judging(text: str | None) -> Judging | None:
    """As it was written; None: nothing, or by another version that meant something else."""
    try:
        return None if text is None else msgspec.json.decode(text, type=Judging)
    except msgspec.DecodeError:
        return None
