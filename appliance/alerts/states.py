"""How it is with each rule and subject, as the last look left it: every SQL statement about that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appliance.accounts.people import Database
from appliance.alerts.judge import Phase, State
from appliance.alerts.kinds import Of, Subject
from appliance.times import Now, utc_seconds, utc_text


class States:
    """The statements. Those that write belong into a transaction of the store."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def all(self) -> dict[tuple[int, Subject], State]:
        """By rule (id) and subject."""
        rows = self.db.query(
            "select rule_id, subject_of, subject_id, phase, owes, since_utc, since_boot, since_s, told_utc, told_boot,"
            " told_s, log_id from alert_states"
        )
        return {(int(row["rule_id"]), Subject(Of(row["subject_of"]), row["subject_id"])): _state(row) for row in rows}

    def put(self, rule_id: int, subject: Subject, state: State | None) -> None:
        """Keep how it is; None: forget it."""
        key = [rule_id, subject.of.value, subject.id]
        self.db.execute("delete from alert_states where rule_id = ? and subject_of = ? and subject_id = ?", key)
        if state is None:
            return
        since, told = state.since, state.told
        told_values = [None, None, None] if told is None else [utc_text(told.utc), told.boot_id, told.uptime_s]
        self.db.execute(
            "insert into alert_states (rule_id, subject_of, subject_id, phase, owes, since_utc, since_boot, since_s,"
            " told_utc, told_boot, told_s, log_id) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                *key,
                state.phase.value,
                int(state.owes),
                *(utc_text(since.utc), since.boot_id, since.uptime_s),
                *told_values,
                state.log_id,
            ],
        )

    def forget(self, rule_id: int) -> None:
        """Begin again with a rule: what it watches for was changed."""
        self.db.execute("delete from alert_states where rule_id = ?", [rule_id])


def _state(row: Mapping[str, Any]) -> State:
    told = None
    if row["told_utc"] is not None:
        told = Now(utc_seconds(row["told_utc"]), row["told_boot"], float(row["told_s"]))
    since = Now(utc_seconds(row["since_utc"]), row["since_boot"], float(row["since_s"]))
    log_id = None if row["log_id"] is None else int(row["log_id"])
    return State(Phase(row["phase"]), since, bool(row["owes"]), told, log_id)
