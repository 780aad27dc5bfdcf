"""What may be done to schedules, on every site: add, change, remove, send once more. Each with its audit entry."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import AbstractContextManager
from secrets import token_hex
from typing import Protocol

from appliance.accounts.audit import Action, Audit
from appliance.accounts.audit_details import ALL
from appliance.accounts.audit_subjects import REPORT
from appliance.errors import InputError, NotFound
from appliance.language import N_, _
from appliance.mail import clean_address
from appliance.reports.periods import Kind, Period, last_due
from appliance.reports.schedules import Plan, Reports, Schedule
from appliance.time_zone import TimeZone

MAX_SCHEDULES, MAX_RECIPIENTS = 50, 50
_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", re.ASCII)

CHOOSE = {
    "stream": N_("Choose of which streams the report is, or all of them."),
    "box": N_("Choose of which boxes the report is, or all of them."),
}


class Store(Protocol):
    """What schedules are kept in: of a box or of a centre."""

    @property
    def reports(self) -> Reports: ...

    @property
    def audit(self) -> Audit: ...

    def saving(self) -> AbstractContextManager[None]:
        """One transaction: all of it is stored, or nothing. Raises NotSaved."""


def plan_of(
    kind: str, clock: str, recipients: str, subjects: Iterable[str] | None, known: Iterable[str], noun: str
) -> Plan:
    """What people typed, as a plan. recipients: addresses, parted by commas, spaces or lines. Raises InputError.

    subjects: None: of all. known: the ids there are, of what is called `noun`.
    """
    if kind not in {each.value for each in Kind}:
        raise InputError(_("A report is of a day, a week or a month."), "kind")
    match = _CLOCK.fullmatch(clock.strip())
    if match is None:
        raise InputError(_("The time of day looks like 07:00."), "clock")
    addresses = tuple(sorted({clean_address(each) for each in re.split(r"[\s,;]+", recipients) if each}))
    if not addresses:
        raise InputError(_("Say who gets the report: one or more e-mail addresses."), "recipients")
    if len(addresses) > MAX_RECIPIENTS:
        words = _("A report goes to {most} addresses at most; use a mailing list.", most=MAX_RECIPIENTS)
        raise InputError(words, "recipients")
    chosen = None if subjects is None else tuple(sorted(set(subjects)))
    if chosen is not None and (not chosen or set(chosen) - set(known)):
        raise InputError(_(CHOOSE[noun]), "subject", "about")
    return Plan(Kind(kind), int(match[1]) * 60 + int(match[2]), addresses, chosen)


def find(store: Store, schedule_id: int) -> Schedule:
    """The schedule with this id. Raises NotFound."""
    found = store.reports.get(schedule_id) if schedule_id < 2**63 else None
    if found is None:
        raise NotFound(_("This report is not sent any more, or never was."))
    return found


def add(store: Store, plan: Plan, now_utc: float, zone: TimeZone) -> int:
    """Send it from the next period on; its id. Raises InputError, NotSaved."""
    with store.saving():
        if len(store.reports.all()) >= MAX_SCHEDULES:
            raise InputError(_("There are {most} schedules already; change or remove one of them.", most=MAX_SCHEDULES))
        schedule_id = store.reports.add(plan, now_utc)
        store.reports.note_through(schedule_id, last_due(plan.kind, plan.minute_of_day, now_utc, zone))
        store.audit.add(Action.REPORT_SCHEDULED, _title(schedule_id), **_told(plan))
    return schedule_id


def change(store: Store, schedule_id: int, plan: Plan, now_utc: float, zone: TimeZone) -> None:
    """Send this instead; what is due already by the new plan is not sent late. Raises NotFound, NotSaved."""
    with store.saving():
        find(store, schedule_id)
        store.reports.change(schedule_id, plan)
        store.reports.note_through(schedule_id, last_due(plan.kind, plan.minute_of_day, now_utc, zone))
        store.audit.add(Action.REPORT_CHANGED, _title(schedule_id), **_told(plan))


def remove(store: Store, schedule_id: int) -> None:
    """Send it no more, nor what still waits. Raises NotFound, NotSaved."""
    with store.saving():
        find(store, schedule_id)
        store.reports.remove(schedule_id)
        store.audit.add(Action.REPORT_REMOVED, _title(schedule_id))


def send_again(store: Store, schedule_id: int, now_utc: float, zone: TimeZone) -> Period:
    """Have the latest period that is over sent to all recipients, also if it was; which one. Raises NotFound, NotSaved.

    To see how it looks, or for somebody who has lost it.
    """
    with store.saving():
        plan = find(store, schedule_id).plan
        period = last_due(plan.kind, 0, now_utc, zone)
        if any(each.schedule_id == schedule_id for each in store.reports.waiting()):
            raise InputError(_("It is being sent already; what became of it stands below."))
        enqueue(store.reports, schedule_id, plan, period, now_utc)
    return period


def enqueue(reports: Reports, schedule_id: int, plan: Plan, period: Period, now_utc: float) -> None:
    """Have the report of a period sent to all recipients of a plan. Belongs into a transaction."""
    for address in plan.recipients:
        reports.enqueue(schedule_id, period, address, f"report-{token_hex(16)}", now_utc)


def _title(schedule_id: int) -> str:
    return REPORT.format(id=schedule_id)


def _told(plan: Plan) -> dict[str, object]:
    subjects = ALL if plan.subjects is None else ", ".join(plan.subjects)
    return {"of": plan.kind.value, "at": plan.clock, "about": subjects, "to": ", ".join(plan.recipients)}
