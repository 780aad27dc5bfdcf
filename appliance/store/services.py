"""The services' signs of life."""

from __future__ import annotations

from dataclasses import dataclass

from sqlite_utils import Database

from appliance.times import Now, utc_text

FRESH_S = 7.0
"""A beat older than this is no sign of life; services beat every 2 s."""


@dataclass(frozen=True, slots=True)
class Service:
    """One service as last heard of. alive: its beat is fresh."""

    name: str
    alive: bool
    started_utc: str
    pid: int
    problem: str | None


class Services:
    """The statements about services."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def beat(self, name: str, pid: int, started_utc: float, problem: str | None, now: Now) -> None:
        """Give a sign of life."""
        self.db.execute(
            "insert into services (name, boot_id, beat_s, started_utc, pid, problem) values (?, ?, ?, ?, ?, ?)"
            " on conflict (name) do update set boot_id = excluded.boot_id, beat_s = excluded.beat_s,"
            " started_utc = excluded.started_utc, pid = excluded.pid, problem = excluded.problem",
            [name, now.boot_id, now.uptime_s, utc_text(started_utc), pid, problem],
        )

    def all(self, now: Now) -> list[Service]:
        """Every service that ever gave a sign of life, by name."""
        rows = self.db.execute(
            "select name, boot_id = ? and ? - beat_s < ?, started_utc, pid, problem from services order by name",
            [now.boot_id, now.uptime_s, FRESH_S],
        )
        return [Service(row[0], bool(row[1]), row[2], row[3], row[4]) for row in rows]

    def is_alive(self, name: str, now: Now) -> bool:
        """Whether the service's beat is fresh."""
        return any(service.alive for service in self.all(now) if service.name == name)
