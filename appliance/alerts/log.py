"""What happened and who was told: the values, and every SQL statement about them."""

from __future__ import annotations

import enum
import json
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from appliance.accounts.people import Database
from appliance.alerts.judge import Phase, What
from appliance.alerts.kinds import Of, Subject
from appliance.alerts.recipients import Recipient, Recipients, Way
from appliance.times import utc_seconds, utc_text

KEPT_S = 90 * 86_400.0
MAX_ENTRIES = 20_000
"""A rule that is raised and over all day long must not fill the disk; the oldest entries go first."""


class Outcome(str, enum.Enum):
    """How it is with a message to one recipient."""

    WAITING = "waiting"  # to be sent, or to be sent again
    SENT = "sent"
    FAILED = "failed"  # it is not tried any more


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message to one recipient. at_utc: of the last try, as stored. problem: why that failed; empty: it did not.

    recipient_id None: they were removed.
    """

    id: int
    log_id: int
    recipient_id: int | None
    recipient: str
    way: Way
    outcome: Outcome
    tries: int
    created_utc: str
    at_utc: str | None
    problem: str


@dataclass(frozen=True, slots=True)
class Event:
    """What happened. uid: the id of its message. alert: the same for `raised` and `over`. rule_id None: a test.

    at_utc, since_utc: seconds since 1970. title: of what it is about, as it was called. words: a sentence.
    figures: what was measured, as the message holds it.
    """

    uid: str
    alert: str
    what: What
    at_utc: float
    since_utc: float
    rule_id: int | None
    kind: str
    subject: Subject
    title: str
    words: str
    figures: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened, and who was told."""

    id: int
    event: Event
    deliveries: tuple[Delivery, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """What is wrong now. raised: the entry that says so. is_held_back: quiet hours or a cool-down keep it untold."""

    rule_id: int
    subject: Subject
    raised: Entry
    is_held_back: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that is to be sent."""

    delivery: Delivery
    event: Event = field(repr=False)


_ENTRY = (
    "id, uid, alert, what, at_utc, since_utc, rule_id, kind, subject_of, subject_id, title, words, figures"
    " from alert_log"
)
_DELIVERY = (
    "id, log_id, recipient_id, recipient, kind, state, tries, created_utc, at_utc, problem from alert_deliveries"
)


class Log:
    """The statements. Those that write belong into a transaction of the store."""

    def __init__(self, db: Database) -> None:
        self.db = db

    # Reading

    def page(
        self, limit: int, before_id: int | None = None, subjects: Collection[Subject] | None = None
    ) -> list[Entry]:
        """What happened last, newest first. before_id: what came before that entry. subjects: only about these."""
        which, parameters = _about(subjects)
        if before_id is not None:
            which, parameters = f"{which} and id < ?", [*parameters, before_id]
        return self._entries(f"where {which} order by id desc limit ?", [*parameters, limit])

    def get(self, entry_id: int) -> Entry | None:
        """The entry with this id."""
        return next(iter(self._entries("where id = ?", [entry_id])), None)

    def open(self, subjects: Collection[Subject] | None = None) -> list[OpenAlert]:
        """What is wrong now, what began first first. subjects: only about these."""
        which, parameters = _about(subjects)
        states = list(
            self.db.query(
                "select rule_id, subject_of, subject_id, owes, log_id from alert_states"
                f" where phase = ? and log_id is not null and {which} order by since_utc, rule_id, subject_id",
                [Phase.OPEN.value, *parameters],
            )
        )
        entries = {entry.id: entry for entry in self._among([int(row["log_id"]) for row in states])}
        return [
            OpenAlert(int(row["rule_id"]), _subject(row), entries[int(row["log_id"])], bool(row["owes"]))
            for row in states
            if int(row["log_id"]) in entries
        ]

    def failed_since(self, since_utc: float) -> int:
        """How many messages were given up since then."""
        rows = self.db.query(
            "select count(*) as n from alert_deliveries where state = 'failed' and at_utc >= ?", [utc_text(since_utc)]
        )
        return next(int(row["n"]) for row in rows)

    def count_waiting(self) -> int:
        """How many messages are to be sent."""
        rows = self.db.query("select count(*) as n from alert_deliveries where state = 'waiting'")
        return next(int(row["n"]) for row in rows)

    def recipients_waiting(self, way: Way) -> list[Recipient]:
        """For whom something is to be sent this way."""
        rows = self.db.query(
            "select distinct recipient_id from alert_deliveries where state = 'waiting' and kind = ?"
            " and recipient_id is not null",
            [way.value],
        )
        ids = {int(row["recipient_id"]) for row in rows}
        return [each for each in Recipients(self.db).all() if each.id in ids] if ids else []

    def waiting(self, recipient: Recipient, limit: int) -> list[Waiting]:
        """What is to be sent to a recipient, the oldest first."""
        rows = self.db.query(
            f"select {_DELIVERY} where state = 'waiting' and recipient_id = ? order by id limit ?",
            [recipient.id, limit],
        )
        found = [_delivery(row) for row in rows]
        events = {entry.id: entry.event for entry in self._among(sorted({each.log_id for each in found}))}
        return [Waiting(each, events[each.log_id]) for each in found]

    # Writing

    def add(self, event: Event) -> int:
        """Note what happened; the id of the entry."""
        rows = self.db.query(
            "insert into alert_log (uid, alert, what, at_utc, since_utc, rule_id, kind, subject_of, subject_id, title,"
            " words, figures) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) returning id",
            [
                event.uid,
                event.alert,
                event.what.value,
                utc_text(event.at_utc),
                utc_text(event.since_utc),
                event.rule_id,
                event.kind,
                event.subject.of.value,
                event.subject.id,
                event.title,
                event.words,
                json.dumps(dict(event.figures), ensure_ascii=False, separators=(",", ":")),
            ],
        )
        return next(int(row["id"]) for row in list(rows))

    def tell(
        self,
        log_id: int,
        recipients: Iterable[Recipient],
        now_utc: float,
        outcome: Outcome = Outcome.WAITING,
        problem: str = "",
    ) -> list[int]:
        """Have these told what an entry says; the ids of the deliveries. outcome: if that has been tried already."""
        tries, at_utc = (0, None) if outcome is Outcome.WAITING else (1, utc_text(now_utc))
        made = []
        for each in recipients:
            rows = self.db.query(
                "insert into alert_deliveries (log_id, recipient_id, recipient, kind, state, tries, created_utc,"
                " at_utc, problem) values (?, ?, ?, ?, ?, ?, ?, ?, ?) returning id",
                [
                    *(log_id, each.id, each.name, each.way.value, outcome.value, tries),
                    *(utc_text(now_utc), at_utc, problem[:500]),
                ],
            )
            made += [int(row["id"]) for row in list(rows)]
        return made

    def note_sent(self, delivery_ids: Iterable[int], now_utc: float) -> None:
        """These have been delivered."""
        for delivery_id in delivery_ids:
            self.db.execute(
                "update alert_deliveries set state = 'sent', tries = tries + 1, at_utc = ?, problem = ''"
                " where id = ? and state = 'waiting'",
                [utc_text(now_utc), delivery_id],
            )

    def note_trouble(self, delivery_id: int, problem: str, now_utc: float, is_given_up: bool) -> None:
        """A try failed. is_given_up: it was the last one."""
        self.db.execute(
            "update alert_deliveries set state = ?, tries = tries + 1, at_utc = ?, problem = ?"
            " where id = ? and state = 'waiting'",
            [(Outcome.FAILED if is_given_up else Outcome.WAITING).value, utc_text(now_utc), problem[:500], delivery_id],
        )

    def give_up_all(self, problem: str) -> None:
        """Send nothing that waits."""
        self.db.execute("update alert_deliveries set state = 'failed', problem = ? where state = 'waiting'", [problem])

    def forget(self, before_utc: float) -> int:
        """Forget what is older, but for what is still open, and more than MAX_ENTRIES; how many."""
        kept = "id not in (select log_id from alert_states where log_id is not null and (phase = 'open' or owes = 1))"
        old = self.db.execute(f"delete from alert_log where at_utc < ? and {kept}", [utc_text(before_utc)]).rowcount
        many = self.db.execute(
            "delete from alert_log where id <= (select id from alert_log order by id desc limit 1 offset ?)"
            f" and {kept}",
            [MAX_ENTRIES],
        ).rowcount
        return old + many

    def _entries(self, which: str, parameters: Any) -> list[Entry]:
        entries = [Entry(int(row["id"]), _event(row)) for row in self.db.query(f"select {_ENTRY} {which}", parameters)]
        return self._with_deliveries(entries)

    def _with_deliveries(self, entries: list[Entry]) -> list[Entry]:
        if not entries:
            return entries
        places = ", ".join("?" * len(entries))
        rows = self.db.query(
            f"select {_DELIVERY} where log_id in ({places}) order by id", [entry.id for entry in entries]
        )
        of: dict[int, list[Delivery]] = {}
        for row in rows:
            of.setdefault(int(row["log_id"]), []).append(_delivery(row))
        return [replace(entry, deliveries=tuple(of.get(entry.id, ()))) for entry in entries]

    def _among(self, values: list[int]) -> list[Entry]:
        found: list[Entry] = []
        for start in range(0, len(values), 500):
            some = values[start : start + 500]
            found += self._entries(f"where id in ({', '.join('?' * len(some))})", some)
        return found


def new_uid() -> str:
    """An id that nobody else gives: 32 hexadecimal digits."""
    return secrets.token_hex(16)


def _about(subjects: Collection[Subject] | None) -> tuple[str, list[Any]]:
    """A condition, and its values."""
    if subjects is None:
        return "1 = 1", []
    if not subjects:
        return "1 = 0", []
    values = [value for each in subjects for value in (each.of.value, each.id)]
    rows = ", ".join(["(?, ?)"] * len(subjects))
    return f"(subject_of, subject_id) in (values {rows})", values


def _subject(row: Mapping[str, Any]) -> Subject:
    return Subject(Of(row["subject_of"]), row["subject_id"])


def _event(row: Mapping[str, Any]) -> Event:
    return Event(
        row["uid"],
        row["alert"],
        What(row["what"]),
        utc_seconds(row["at_utc"]),
        utc_seconds(row["since_utc"]),
        None if row["rule_id"] is None else int(row["rule_id"]),
        row["kind"],
        _subject(row),
        row["title"],
        row["words"],
        json.loads(row["figures"]),
    )


def _delivery(row: Mapping[str, Any]) -> Delivery:
    return Delivery(
        int(row["id"]),
        int(row["log_id"]),
        None if row["recipient_id"] is None else int(row["recipient_id"]),
        row["recipient"],
        Way(row["kind"]),
        Outcome(row["state"]),
        int(row["tries"]),
        row["created_utc"],
        row["at_utc"],
        row["problem"],
    )
