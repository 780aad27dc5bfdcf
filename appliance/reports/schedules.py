"""Schedules of reports and what is sent by them: the values, and every SQL statement about them."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.accounts.people import Database
from appliance.reports.periods import Kind, Period, period_of
from appliance.times import utc_text

KEPT = 500
"""So many deliveries that are over are kept, for people to read."""


class DeliveryState(str, enum.Enum):
    """What has become of a message."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a schedule sends. minute_of_day: of the day after, by the site's clocks. subjects: ids; None: all there are.

    recipients: e-mail addresses.
    """

    kind: Kind
    minute_of_day: int
    recipients: tuple[str, ...]
    subjects: tuple[str, ...] | None = None

    @property
    def clock(self) -> str:
        """When: 07:00."""
        return f"{self.minute_of_day // 60:02d}:{self.minute_of_day % 60:02d}"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A plan that is kept."""

    id: int
    plan: Plan
    created_utc: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One report for one recipient. uid: the id of its message. tries: how many there were."""

    id: int
    schedule_id: int
    uid: str
    period: Period
    address: str
    state: DeliveryState
    tries: int
    created_utc: str
    at_utc: str | None
    problem: str


class Reports:
    """The statements. Those that write belong into a transaction."""

    def __init__(self, db: Database) -> None:
        self.db = db

    # Schedules

    def all(self) -> list[Schedule]:
        """Every schedule, the oldest first."""
        recipients = self._lists("select schedule_id, address as value from report_recipients order by 1, 2")
        subjects = self._lists("select schedule_id, subject as value from report_subjects order by 1, 2")
        rows = self.db.query("select id, kind, minute_of_day, of_all, created_utc from report_schedules order by id")
        return [_schedule(row, recipients.get(row["id"], []), subjects.get(row["id"], [])) for row in rows]

    def get(self, schedule_id: int) -> Schedule | None:
        """The schedule with this id."""
        return next((each for each in self.all() if each.id == schedule_id), None)

    def _lists(self, sql: str) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        for row in self.db.query(sql):
            found.setdefault(row["schedule_id"], []).append(row["value"])
        return found

    def add(self, plan: Plan, now_utc: float) -> int:
        """Keep a plan; its id."""
        rows = self.db.query(
            "insert into report_schedules (kind, minute_of_day, of_all, created_utc) values (?, ?, ?, ?) returning id",
            [plan.kind.value, plan.minute_of_day, int(plan.subjects is None), utc_text(now_utc)],
        )
        schedule_id = next(int(row["id"]) for row in list(rows))
        self._add_lists(schedule_id, plan)
        return schedule_id

    def change(self, schedule_id: int, plan: Plan) -> None:
        """Send this from now on."""
        self.db.execute(
            "update report_schedules set kind = ?, minute_of_day = ?, of_all = ? where id = ?",
            [plan.kind.value, plan.minute_of_day, int(plan.subjects is None), schedule_id],
        )
        self.db.execute("delete from report_recipients where schedule_id = ?", [schedule_id])
        self.db.execute("delete from report_subjects where schedule_id = ?", [schedule_id])
        self._add_lists(schedule_id, plan)
        self.db.execute(
            "delete from report_deliveries where schedule_id = ? and state = 'waiting' and address not in"
            " (select address from report_recipients where schedule_id = ?)",
            [schedule_id, schedule_id],
        )

    def _add_lists(self, schedule_id: int, plan: Plan) -> None:
        for address in plan.recipients:
            self.db.execute("insert into report_recipients values (?, ?)", [schedule_id, address])
        for subject in plan.subjects or ():
            self.db.execute("insert into report_subjects values (?, ?)", [schedule_id, subject])

    def remove(self, schedule_id: int) -> bool:
        """Send it no more, nor what waits; False: there is none."""
        return self.db.execute("delete from report_schedules where id = ?", [schedule_id]).rowcount == 1

    # Periods and deliveries

    def is_through(self, schedule_id: int, period: Period) -> bool:
        """Whether this period was sent, or is being sent, or was over before the schedule."""
        rows = self.db.query(
            "select 1 as one from report_periods where schedule_id = ? and kind = ? and first_day = ?",
            [schedule_id, period.kind.value, period.first_day],
        )
        return bool(list(rows))

    def note_through(self, schedule_id: int, period: Period) -> bool:
        """This period is not due any more; whether it was until now."""
        cursor = self.db.execute(
            "insert into report_periods (schedule_id, kind, first_day) values (?, ?, ?) on conflict do nothing",
            [schedule_id, period.kind.value, period.first_day],
        )
        return cursor.rowcount == 1

    def enqueue(self, schedule_id: int, period: Period, address: str, uid: str, now_utc: float) -> int:
        """Have a report sent to somebody; the id of the delivery."""
        rows = self.db.query(
            "insert into report_deliveries (schedule_id, uid, kind, first_day, address, state, tries, created_utc,"
            " problem) values (?, ?, ?, ?, ?, 'waiting', 0, ?, '') returning id",
            [schedule_id, uid, period.kind.value, period.first_day, address, utc_text(now_utc)],
        )
        return next(int(row["id"]) for row in list(rows))

    def waiting(self) -> list[Delivery]:
        """What is still to be sent, the oldest first."""
        return self._deliveries("where state = 'waiting' order by id")

    def newest(self, limit: int = 50) -> list[Delivery]:
        """The latest deliveries, newest first."""
        return self._deliveries("order by id desc limit ?", [limit])

    def delivery(self, delivery_id: int) -> Delivery | None:
        """The delivery with this id."""
        return next(iter(self._deliveries("where id = ?", [delivery_id])), None)

    def _deliveries(self, which: str, parameters: Sequence[object] = ()) -> list[Delivery]:
        rows = self.db.query(
            "select id, schedule_id, uid, kind, first_day, address, state, tries, created_utc, at_utc, problem"
            f" from report_deliveries {which}",
            list(parameters),
        )
        return [_delivery(row) for row in rows]

    def note_try(self, delivery_id: int, state: DeliveryState, problem: str, now_utc: float) -> None:
        """What became of a try."""
        self.db.execute(
            "update report_deliveries set state = ?, tries = tries + 1, problem = ?, at_utc = ? where id = ?",
            [state.value, problem, utc_text(now_utc), delivery_id],
        )

    def give_up_waiting(self, schedule_id: int, problem: str) -> None:
        """What a schedule still has to send is not sent any more."""
        self.db.execute(
            "update report_deliveries set state = 'failed', problem = ? where schedule_id = ? and state = 'waiting'",
            [problem, schedule_id],
        )

    def forget_old(self) -> None:
        """Keep the newest KEPT deliveries, and what waits."""
        self.db.execute(
            "delete from report_deliveries where state <> 'waiting'"
            " and id <= (select coalesce(max(id), 0) from report_deliveries) - ?",
            [KEPT],
        )


def _schedule(row: Mapping[str, Any], recipients: Iterable[str], subjects: Iterable[str]) -> Schedule:
    plan = Plan(
        Kind(row["kind"]), row["minute_of_day"], tuple(recipients), None if row["of_all"] else tuple(sorted(subjects))
    )
    return Schedule(row["id"], plan, row["created_utc"])


def _delivery(row: Mapping[str, Any]) -> Delivery:
    return Delivery(
        row["id"],
        row["schedule_id"],
        row["uid"],
        period_of(Kind(row["kind"]), row["first_day"]),
        row["address"],
        DeliveryState(row["state"]),
        row["tries"],
        row["created_utc"],
        row["at_utc"],
        row["problem"],
    )
