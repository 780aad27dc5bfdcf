"""What is on record beside the sums: refused messages, commands, events, our processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from appliance.central.database import Database
from appliance.central.store.boxes import seen_by
from appliance.language import _
from appliance.retold import retold

SILENT_S = 30
"""After so long without a heartbeat a process of the centre does not run."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that could not be taken. box_id: by its topic; payload: its first bytes, as they came."""

    id: int
    at_utc: int
    box_id: str
    topic: str
    reason: str
    payload: str
    times: int


@dataclass(frozen=True, slots=True)
class Command:
    """What somebody asked a box to do. done: None until it answers; words: what it answered."""

    id: str
    box_id: str
    action: str
    detail: str
    by: str
    given_utc: int
    expires_utc: int
    sent_utc: int | None
    done: bool | None
    words: str
    at_utc: int | None

    def state(self, now_utc: float) -> str:
        """How it stands, in words."""
        if self.done is not None:
            return retold(self.words) or (_("done") if self.done else _("refused"))
        if self.words:
            return retold(self.words)  # how far an update is
        if now_utc > self.expires_utc:
            return _("expired: the box did not answer in time")
        return _("waits to be sent") if self.sent_utc is None else _("sent, no answer yet")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. person: who did it, None: no person; box_id: with which box, None: with none."""

    id: int
    at_utc: int
    box_id: str | None
    person: str | None
    what: str


@dataclass(frozen=True, slots=True)
class OpenJoin:
    """A join code that may still be used. box_id: whose place it gives; title: of the one box it is for."""

    id: int
    box_id: str | None
    title: str
    site: str | None
    boxes_left: int
    expires_utc: int
    made_by: str


@dataclass(frozen=True, slots=True)
class Process:
    """A process of the centre: ingest, serve or joining. problem: in words.

    rows_taken, messages_taken: since it started.
    """

    name: str
    kind: str
    started_utc: int
    heartbeat_utc: int
    problem: str
    rows_taken: int = 0
    messages_taken: int = 0

    def is_alive(self, now_utc: float) -> bool:
        """Whether it was heard of just now."""
        return now_utc - self.heartbeat_utc < SILENT_S


def _letter(row: Mapping[str, Any]) -> Letter:
    payload = row["payload"]
    text = payload if isinstance(payload, str) else bytes(payload or b"").decode("utf-8", "backslashreplace")
    told = row["at_utc"], row["box_id"] or "", row["topic"] or "", row["reason"] or ""
    return Letter(row["id"], *told, text, row["times"] or 1)


def _command(row: Mapping[str, Any]) -> Command:
    return Command(
        id=row["id"],
        box_id=row["box_id"],
        action=row["action"],
        detail=row["detail"] or "",
        by=row["given_by"],
        given_utc=row["given_utc"],
        expires_utc=row["expires_utc"],
        sent_utc=row["sent_utc"],
        done=None if row["done"] is None else bool(row["done"]),
        words=row["words"] or "",
        at_utc=row["at_utc"],
    )


class Records:
    """The statements. person: of whose boxes; None: of all."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def letters(self, person: int | None, box_id: str | None = None, limit: int = 100) -> list[Letter]:
        """The newest refused messages; for an analyst those of their boxes."""
        join = "" if person is None else "join boxes on boxes.id = letters.box_id"
        rows = self.db.query(
            f"select letters.* from letters {join} where {seen_by(person)}"
            " and (:box is null or letters.box_id = :box) order by letters.at_utc desc, letters.id desc limit :most",
            {"person": person, "box": box_id, "most": limit},
        )
        return [_letter(row) for row in rows]

    def count_letters(self, since_utc: float) -> int:
        """How many messages were refused since then: of those that are alike all, if one came since then."""
        rows = self.db.query(
            "select coalesce(sum(times), 0) as letters from letters where at_utc >= ?", [int(since_utc)]
        )
        return next(int(row["letters"]) for row in rows)

    def commands(self, box_id: str, limit: int = 20) -> list[Command]:
        """What a box was asked to do, newest first."""
        rows = self.db.query(
            "select * from commands where box_id = ? order by given_utc desc, id limit ?", [box_id, limit]
        )
        return [_command(row) for row in rows]

    def give_command(self, command: Command) -> None:
        """Put a command where ingest finds it, to send it."""
        self.db.execute(
            "insert into commands (id, box_id, action, detail, given_by, given_utc, expires_utc)"
            " values (?, ?, ?, ?, ?, ?, ?)",
            [
                *(command.id, command.box_id, command.action, command.detail, command.by),
                *(command.given_utc, command.expires_utc),
            ],
        )

    def note(self, now_utc: float, what: str, person: str, box_id: str | None = None) -> None:
        """Write down what a person did."""
        self.db.execute(
            "insert into events (at_utc, box_id, person, what) values (?, ?, ?, ?)",
            [int(now_utc), box_id, person, what],
        )

    def events(
        self, box_id: str | None = None, limit: int = 100, offset: int = 0, before_id: int | None = None
    ) -> list[Event]:
        """What happened, newest first; of one box, and from before an event, where these are given."""
        rows = self.db.query(
            "select * from events where (:box is null or box_id = :box) and (:before is null or id < :before)"
            " order by id desc limit :most offset :offset",
            {"box": box_id, "before": before_id, "most": limit, "offset": offset},
        )
        return [Event(row["id"], row["at_utc"], row["box_id"], row["person"], row["what"]) for row in rows]

    def count_events(self, box_id: str | None = None) -> int:
        """How many events are on record, of all or of one box."""
        rows = self.db.query(
            "select count(*) as events from events where :box is null or box_id = :box", {"box": box_id}
        )
        return next(int(row["events"]) for row in rows)

    def processes(self) -> list[Process]:
        """Every process of the centre that was heard of, by kind and name."""
        rows = self.db.query("select * from processes order by kind, name")
        return [
            Process(
                *(row["name"], row["kind"], row["started_utc"], row["heartbeat_utc"], row["problem"] or ""),
                *(row["rows_taken"] or 0, row["messages_taken"] or 0),
            )
            for row in rows
        ]

    def open_joins(self, now_utc: float) -> list[OpenJoin]:
        """The join codes that may still be used, newest first."""
        rows = self.db.query(
            "select joins.*, sites.name as site from joins left join sites on sites.id = joins.site_id"
            " where boxes_left > 0 and expires_utc > ? order by joins.id desc",
            [int(now_utc)],
        )
        return [
            OpenJoin(
                *(row["id"], row["box_id"], row["title"], row["site"]),
                *(row["boxes_left"], row["expires_utc"], row["made_by"]),
            )
            for row in rows
        ]
