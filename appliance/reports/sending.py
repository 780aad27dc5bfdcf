"""Sends the reports that are due, each once: what is due becomes a delivery in the same commit as the note that it was.

A kill between the mail server's answer and its note leads to one more message, with the same id; a note that the disk
refuses does not, since what was sent is kept in mind. How long to wait
after a failure is counted in tries and by the uptime clock, so that no jump of the wall clock sends or gives up early.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from appliance import mail
from appliance.accounts.audit import Action
from appliance.accounts.audit_subjects import REPORT
from appliance.errors import InputError, NotSaved, UserError
from appliance.language import ENGLISH, N_, _, speaking
from appliance.mail import Mail, MailError, MailServer
from appliance.reports import changes, mails
from appliance.reports.figures import Source
from appliance.reports.periods import last_due
from appliance.reports.report import report
from appliance.reports.schedules import Delivery, DeliveryState, Plan, Schedule
from appliance.reports.words import address_of
from appliance.time_zone import TimeZone
from appliance.times import Now

log = logging.getLogger(__name__)
PAUSES_S = (60.0, 300.0, 900.0, 1800.0)
"""How long to wait after the first failures; after later ones LONGEST_PAUSE_S."""
LONGEST_PAUSE_S = 3600.0
MOST_TRIES = 28
"""With these pauses, they take a day."""
NO_SERVER = N_("There is no mail server; set one on the page Alerts.")
OVERTAKEN = N_("It could not be sent before the next one was due.")
NO_SUBJECTS = N_("All that this report was about is gone; choose anew what it is of, or remove it.")


class Store(changes.Store, Protocol):
    """What schedules are kept in, opened for each step."""

    def close(self) -> None: ...


S = TypeVar("S", bound=Store)


@dataclass(frozen=True, slots=True)
class Site(Generic[S]):
    """The box or centre that sends.

    folder: where its mail server is kept. title: how it is called. source: the sums of a plan. zone: by whose clocks
    reports are due. knows_time: whether the wall clock can be believed: else nothing becomes due. address: of its
    pages, as people open them; empty: not known. language: of what it sends, a key of LANGUAGES.
    """

    folder: Path
    open_store: Callable[[], S]
    title: Callable[[], str]
    source: Callable[[S, Plan, Now], Source]
    zone: Callable[[S], TimeZone]
    knows_time: Callable[[S, Now], bool]
    address: str = ""
    language: str = ENGLISH


class Sender(Generic[S]):
    """Call `step` every minute or so, in a thread of its own: a mail server may take its time. For one thread.

    problem: what keeps reports from being sent, as a sentence; None: nothing.
    """

    def __init__(self, site: Site[S]) -> None:
        self.problem: str | None = None
        self._site = site
        self._again_s: dict[str, float] = {}  # by the id of the message: when to try again, by the uptime clock
        self._server: MailServer | None = None
        self._unnoted: set[str] = set()  # what was sent and could not be noted, as on a full disk

    def step(self, now: Now) -> int:
        """Note what is due, and send what waits; how many were sent. Raises UserError, sqlite3.Error: try again."""
        store = self._site.open_store()
        try:
            with speaking(ENGLISH):  # the record is in one language
                note_due(self._site, store, now)
                return self._send(store, now)
        finally:
            store.close()

    def _send(self, store: S, now: Now) -> int:
        """Send what waits, until the server fails: another minute may be better, and nobody waits for all to fail."""
        schedules, sent = {each.id: each for each in store.reports.all()}, 0
        waiting = [each for each in store.reports.waiting() if each.schedule_id in schedules]
        try:
            server = mail.load(self._site.folder) if waiting else None
        except NotSaved as error:
            self.problem = _("Reports cannot be sent. {problem}", problem=error)
            return 0
        if server != self._server:  # there is another one: what failed may go now
            self._server, self._again_s = server, {}
        self._again_s = {each.uid: self._again_s[each.uid] for each in waiting if each.uid in self._again_s}
        self.problem = (
            _("Reports cannot be sent. {problem}", problem=_(NO_SERVER)) if waiting and server is None else None
        )
        if server is None:
            return 0
        for delivery in waiting:
            if delivery.uid in self._unnoted:
                self._note_sent(store, delivery, now)
                continue
            if self._again_s.get(delivery.uid, 0.0) > now.uptime_s:
                self.problem = self.problem or _("Reports cannot be sent. {problem}", problem=delivery.problem)
                continue
            try:
                message = mail_of(self._site, store, schedules[delivery.schedule_id], delivery, now)
                mail.send(server, message, now.utc)
            except (MailError, InputError) as error:
                self.problem = _("Reports cannot be sent. {problem}", problem=error)
                if self._failed(store, delivery, error, now):
                    continue
                return sent
            self._unnoted.add(delivery.uid)
            sent += 1
            self._note_sent(store, delivery, now)
        return sent

    def _note_sent(self, store: S, delivery: Delivery, now: Now) -> None:
        self._note(store, delivery, DeliveryState.SENT, "", now)
        self._unnoted.discard(delivery.uid)

    def _failed(self, store: S, delivery: Delivery, error: UserError, now: Now) -> bool:
        """Note a failure; whether it is of this message alone, and final."""
        tries = delivery.tries + 1
        is_final = isinstance(error, InputError) or (isinstance(error, MailError) and error.is_final)
        if is_final or tries >= MOST_TRIES:
            log.error("a report for %s is given up: %s", delivery.address, error)
            self._again_s[delivery.uid] = now.uptime_s + LONGEST_PAUSE_S  # if that cannot be noted now
            self._note(store, delivery, DeliveryState.FAILED, str(error), now)
            return is_final
        pause_s = PAUSES_S[tries - 1] if tries <= len(PAUSES_S) else LONGEST_PAUSE_S
        self._again_s[delivery.uid] = now.uptime_s + pause_s
        log.warning("a report for %s was not sent, trying again in %.0f min: %s", delivery.address, pause_s / 60, error)
        self._note(store, delivery, DeliveryState.WAITING, str(error), now)
        return False

    def _note(self, store: S, delivery: Delivery, state: DeliveryState, problem: str, now: Now) -> None:
        with store.saving():
            store.reports.note_try(delivery.id, state, problem, now.utc)
            if state is DeliveryState.SENT:
                told = {"of": delivery.period.title, "to": delivery.address}
                store.audit.add(Action.REPORT_SENT, REPORT.format(id=delivery.schedule_id), **told)
            store.reports.forget_old()


def note_due(site: Site[S], store: S, now: Now) -> list[Schedule]:
    """Have all that is due sent, each period once; the schedules of which something was. Raises NotSaved.

    Of a box that was off over several periods, the latest is sent. Nothing is due while the clock is not believed.
    """
    found: list[Schedule] = []
    schedules = store.reports.all()
    if not schedules or not site.knows_time(store, now):
        return found
    zone = site.zone(store)
    for schedule in schedules:
        plan = schedule.plan
        period = last_due(plan.kind, plan.minute_of_day, now.utc, zone)
        if store.reports.is_through(schedule.id, period):
            continue
        with store.saving():
            if store.reports.note_through(schedule.id, period):  # nobody else did meanwhile
                store.reports.give_up_waiting(schedule.id, _(OVERTAKEN))
                changes.enqueue(store.reports, schedule.id, plan, period, now.utc)
                found.append(schedule)
    return found


def mail_of(site: Site[S], store: S, schedule: Schedule, delivery: Delivery, now: Now) -> Mail:
    """The message of a delivery, from the sums as they are now. Raises MailError: all that it was about is gone."""
    if schedule.plan.subjects == ():
        raise MailError(NO_SUBJECTS, is_final=True)
    with speaking(site.language):
        return _mail(site, store, schedule, delivery, now)


def _mail(site: Site[S], store: S, schedule: Schedule, delivery: Delivery, now: Now) -> Mail:
    made = report(site.source(store, schedule.plan, now), delivery.period, now.utc)
    title = site.title()
    address = f"{site.address}{address_of(delivery.period, schedule.plan.subjects)}" if site.address else ""
    return Mail(
        id=delivery.uid,
        to=delivery.address,
        subject=mails.subject(made, title),
        text=mails.text(made, title, address),
        html=mails.html(made, title, address),
        from_name=title,
    )
