"""The rules, and for which hours nobody is told anything: the values, and every SQL statement about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from appliance.accounts.people import Database
from appliance.alerts.kinds import KINDS, Kind, Of, Parameters, Subject, kind_of
from appliance.times import utc_text

COOL_DOWN_MINUTES = 60
"""As a rule has it unless somebody chooses otherwise."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is watched for, and who is told.

    cool_down_minutes: after a message, for so long none says it again. recipient_ids: who is told; None: everybody.
    """

    id: int
    parameters: Parameters
    subject: Subject
    cool_down_minutes: int
    active: bool
    recipient_ids: tuple[int, ...] | None
    created_utc: str

    @property
    def kind(self) -> Kind:
        """What it watches for, in general."""
        return kind_of(self.parameters)

    @property
    def words(self) -> str:
        """What it watches for: `Rate under 80 % over 15 min, with 20 people judged or more`."""
        return self.parameters.words()

    def is_for(self, recipient_id: int) -> bool:
        """Whether this recipient is told."""
        return self.recipient_ids is None or recipient_id in self.recipient_ids


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours of the day, by the site's clocks, in which nobody is told anything; minutes since midnight, 0 to 1439.

    From 1320 until 420: from ten in the evening until seven in the morning.
    """

    from_minute: int
    until_minute: int

    def holds(self, minute: int) -> bool:
        """Whether this minute of a day is among them."""
        if self.from_minute <= self.until_minute:
            return self.from_minute <= minute < self.until_minute
        return minute >= self.from_minute or minute < self.until_minute


class Rules:
    """The statements. Those that write belong into a transaction of the store."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def all(self, subjects: Iterable[Subject] | None = None) -> list[Rule]:
        """Every rule, in the order in which they were made; only those about these subjects, if given."""
        rules = self._select("")
        wanted = None if subjects is None else set(subjects)
        return [rule for rule in rules if wanted is None or rule.subject in wanted]

    def get(self, rule_id: int) -> Rule | None:
        """The rule with this id."""
        return next(iter(self._select("where id = ?", [rule_id])), None)

    def add(
        self,
        parameters: Parameters,
        subject: Subject,
        cool_down_minutes: int,
        recipient_ids: Iterable[int] | None,
        now_utc: float,
    ) -> int:
        """Add a rule that is active; its id."""
        rows = self.db.query(
            "insert into alert_rules (kind, parameters, subject_of, subject_id, cool_down_minutes, active, to_all,"
            " created_utc) values (?, ?, ?, ?, ?, 1, ?, ?) returning id",
            [
                kind_of(parameters).name,
                _text(parameters),
                subject.of.value,
                subject.id,
                cool_down_minutes,
                int(recipient_ids is None),
                utc_text(now_utc),
            ],
        )
        rule_id = next(int(row["id"]) for row in list(rows))
        self._put_recipients(rule_id, recipient_ids)
        return rule_id

    def change(
        self,
        rule_id: int,
        parameters: Parameters,
        cool_down_minutes: int,
        recipient_ids: Iterable[int] | None,
        active: bool,
    ) -> None:
        """Change all of a rule but its kind and what it is about."""
        self.db.execute(
            "update alert_rules set parameters = ?, cool_down_minutes = ?, active = ?, to_all = ? where id = ?",
            [_text(parameters), cool_down_minutes, int(active), int(recipient_ids is None), rule_id],
        )
        self.db.execute("delete from alert_rule_recipients where rule_id = ?", [rule_id])
        self._put_recipients(rule_id, recipient_ids)

    def remove(self, rule_id: int) -> bool:
        """Remove a rule; whether there was one. What it raised stays in the log."""
        return self.db.execute("delete from alert_rules where id = ?", [rule_id]).rowcount == 1

    def quiet(self) -> Quiet | None:
        """The quiet hours; None: there are none."""
        rows = self.db.query("select quiet_from_minute, quiet_until_minute from alert_settings where id = 1")
        for row in rows:
            if row["quiet_from_minute"] is not None:
                return Quiet(int(row["quiet_from_minute"]), int(row["quiet_until_minute"]))
        return None

    def set_quiet(self, quiet: Quiet | None) -> None:
        """Have these quiet hours, or none."""
        self.db.execute(
            "update alert_settings set quiet_from_minute = ?, quiet_until_minute = ? where id = 1",
            [quiet.from_minute, quiet.until_minute] if quiet else [None, None],
        )

    def _put_recipients(self, rule_id: int, recipient_ids: Iterable[int] | None) -> None:
        for recipient_id in sorted(set(recipient_ids or ())):
            self.db.execute(
                "insert into alert_rule_recipients (rule_id, recipient_id) values (?, ?)", [rule_id, recipient_id]
            )

    def _select(self, which: str, parameters: Any = ()) -> list[Rule]:
        rows = list(
            self.db.query(
                "select id, kind, parameters, subject_of, subject_id, cool_down_minutes, active, to_all, created_utc"
                f" from alert_rules {which} order by id",
                parameters,
            )
        )
        chosen: dict[int, list[int]] = {}
        for row in self.db.query("select rule_id, recipient_id from alert_rule_recipients order by recipient_id"):
            chosen.setdefault(int(row["rule_id"]), []).append(int(row["recipient_id"]))
        return [_rule(row, chosen.get(int(row["id"]), [])) for row in rows if row["kind"] in KINDS]


def _rule(row: Mapping[str, Any], chosen: list[int]) -> Rule:
    return Rule(
        int(row["id"]),
        msgspec.json.decode(row["parameters"], type=KINDS[row["kind"]].type),
        Subject(Of(row["subject_of"]), row["subject_id"]),
        int(row["cool_down_minutes"]),
        bool(row["active"]),
        None if row["to_all"] else tuple(chosen),
        row["created_utc"],
    )


def _text(parameters: Parameters) -> str:
    return msgspec.json.encode(parameters).decode()
