"""How the box and its centre get on, and what people at the centre asked of the box."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.messages import Command, Outcome
from appliance.sqlite import Database
from appliance.times import utc_seconds, utc_text

MAX_COMMANDS = 1000


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """How the box and its centre get on. since_utc: as it is now, since then; watermark_utc: the centre last told what
    it has; problem: why there is no connection, for a person to read. Times: seconds since 1970.
    """

    connected: bool
    since_utc: float
    watermark_utc: float | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """A command, and what came of it. done None: not carried out yet. by: a person at the centre."""

    id: str
    action: str
    detail: str
    by: str
    given_utc: float
    done: bool | None
    words: str
    at_utc: float | None


class Fleet:
    """The statements. Writes are single statements unless the caller is inside store.writing()."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def status(self) -> FleetStatus | None:
        """How it was noted last; None: never."""
        row = self.db.execute(
            "select connected, since_utc, watermark_utc, problem from fleet_status where id = 1"
        ).fetchone()
        if row is None:
            return None
        since_utc, watermark_utc = utc_seconds(row["since_utc"]), _seconds(row["watermark_utc"])
        return FleetStatus(bool(row["connected"]), since_utc, watermark_utc, row["problem"])

    def note_status(self, status: FleetStatus) -> None:
        """Note how it is."""
        watermark = None if status.watermark_utc is None else utc_text(status.watermark_utc)
        self.db.execute(
            "insert or replace into fleet_status (id, connected, since_utc, watermark_utc, problem)"
            " values (1, ?, ?, ?, ?)",
            [int(status.connected), utc_text(status.since_utc), watermark, status.problem],
        )

    def forget_status(self) -> None:
        """The box has no centre any more."""
        self.db.execute("delete from fleet_status")

    def add_command(self, command: Command) -> bool:
        """Note that a command came; False if it did before. Keeps the newest MAX_COMMANDS."""
        cursor = self.db.execute(
            "insert into commands (id, action, detail, given_by, given_utc) values (?, ?, ?, ?, ?)"
            " on conflict (id) do nothing",
            [command.id, command.action, command.detail, command.by, utc_text(command.given_utc)],
        )
        self.db.execute(
            "delete from commands where given_utc <"
            " (select given_utc from commands order by given_utc desc limit 1 offset ?)",
            [MAX_COMMANDS - 1],
        )
        return cursor.rowcount == 1

    def note_outcome(self, outcome: Outcome) -> None:
        """What came of a command."""
        self.db.execute(
            "update commands set done = ?, words = ?, at_utc = ? where id = ?",
            [int(outcome.done), outcome.words, utc_text(outcome.at_utc), outcome.id],
        )

    def command(self, command_id: str) -> CommandRecord | None:
        """The command with this id."""
        return next(iter(self._commands("where id = ?", [command_id])), None)

    def commands(self, limit: int = 20) -> list[CommandRecord]:
        """The latest commands, newest first."""
        return self._commands("order by given_utc desc limit ?", [limit])

    def _commands(self, which: str, parameters: list[str | int]) -> list[CommandRecord]:
        rows = self.db.execute(
            f"select id, action, detail, given_by, given_utc, done, words, at_utc from commands {which}", parameters
        )
        return [
            CommandRecord(
                row["id"],
                row["action"],
                row["detail"],
                row["given_by"],
                utc_seconds(row["given_utc"]),
                None if row["done"] is None else bool(row["done"]),
                row["words"],
                _seconds(row["at_utc"]),
            )
            for row in rows
        ]


def _seconds(text: str | None) -> float | None:
    return None if text is None else utc_seconds(text)
