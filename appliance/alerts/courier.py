"""Delivers what waits in the outbox, one way (webhook, e-mail, MQTT) in a thread of its own, again until it arrived.

After a kill between a delivery and its note the message is sent once more, with the same id. Nothing else is sent
twice: what came of it and cannot be noted, on a full disk for one, is kept in mind, and keeps nothing else waiting.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from appliance.alerts.alerts import Outbox
from appliance.alerts.log import Delivery, Waiting
from appliance.alerts.recipients import Recipient, Way
from appliance.alerts.sending import Send, SendsMany, Undelivered
from appliance.errors import NotSaved, UserError
from appliance.language import _, n_
from appliance.times import Now, now, utc_seconds

log = logging.getLogger(__name__)

PAUSES_S = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0)
"""After the first failure, the second, ...; then the last one again and again."""
TRIED_FOR_S = 86_400.0
LEAST_TRIES, MOST_TRIES = 8, 60
"""The wall clock may have leapt: nothing is given up before so many tries, whatever it says, nor kept after so many."""
AT_ONCE, TOGETHER, MANY = 20, 200, 1000
"""Messages to one recipient before the next one's turn; in one mail; and of those that wait, how many are looked at."""
FEW = 3
"""More messages than these to a person at once become one."""
NOTE_PAUSE_S = 10.0
"""What cannot be noted is tried again after so long."""
TELL_S = 600.0
"""A recipient that could not be told for so long stands on every page."""


@dataclass
class _Trouble:
    """Of one recipient at one address: failures in a row, since when, and when the next try is due (uptime)."""

    times: int
    since_s: float
    due_s: float
    words: str


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of a message and is still to be noted. problem: why it was not delivered; empty: it was."""

    problem: str = ""
    is_given_up: bool = False

    @property
    def is_done(self) -> bool:
        """Whether it must not be sent again."""
        return self.is_given_up or not self.problem


class Courier:
    """Call `step` every second or so, in one thread. problem: what people must know, as a sentence."""

    def __init__(self, way: Way, send: Send, open_outbox: Callable[[], Outbox], clock: Callable[[], Now] = now) -> None:
        self.way = way
        self._send, self._open, self._clock = send, open_outbox, clock
        self._outbox: Outbox | None = None
        self._troubles: dict[Recipient, _Trouble] = {}
        self._unnoted: dict[int, _Outcome] = {}  # by the id of the delivery
        self._unwritten = ""  # why they could not be noted
        self._note_due_s = 0.0
        self.problem: str | None = None

    def step(self) -> None:
        """Deliver what is due. Raises UserError, sqlite3.Error: the store cannot be used; call it again."""
        try:
            self._outbox = self._outbox or self._open()
            self._note(self._outbox)
            self._deliver(self._outbox)
            if self._unwritten:
                raise NotSaved(self._unwritten)
        except (UserError, sqlite3.Error):
            self.close()
            raise
        finally:
            self._tell_people(self._clock().uptime_s)

    def close(self) -> None:
        """Give the connection back."""
        outbox, self._outbox = self._outbox, None
        if outbox is not None:
            outbox.close()

    def _deliver(self, outbox: Outbox) -> None:
        recipients = outbox.alerts.log.recipients_waiting(self.way)
        self._troubles = {each: trouble for each, trouble in self._troubles.items() if each in recipients}
        for recipient in recipients:
            trouble = self._troubles.get(recipient)
            if trouble is None or self._clock().uptime_s >= trouble.due_s:
                self._deliver_to(outbox, recipient)

    def _deliver_to(self, outbox: Outbox, recipient: Recipient) -> None:
        done = {delivery_id for delivery_id, outcome in self._unnoted.items() if outcome.is_done}
        waiting = [each for each in outbox.alerts.log.waiting(recipient, MANY) if each.delivery.id not in done]
        if isinstance(self._send, SendsMany) and len(waiting) > FEW:
            together, send = waiting[:TOGETHER], self._send
            self._try(outbox, recipient, together, lambda: send.many(recipient, [each.event for each in together]))
            return
        for each in waiting[:AT_ONCE]:
            if not self._try(outbox, recipient, [each], partial(self._send, recipient, each.event)):
                return

    def _try(self, outbox: Outbox, recipient: Recipient, those: list[Waiting], send: Callable[[], None]) -> bool:
        """Deliver those, and note it; whether the next of this recipient have their turn."""
        outcome = _Outcome()
        try:
            send()
        except Undelivered as error:
            if not error.is_final:
                self._put_off(outbox, recipient, str(error))
                return False
            log.error("messages to %s are given up: %s", those[0].delivery.recipient, error)
            outcome = _Outcome(str(error), is_given_up=True)
        else:
            self._troubles.pop(recipient, None)
        self._unnoted |= dict.fromkeys((each.delivery.id for each in those), outcome)
        self._note(outbox)
        return True

    def _note(self, outbox: Outbox) -> None:
        """Note what came of messages; what cannot be noted stays in mind."""
        moment, notes = self._clock(), outbox.alerts.log
        if not self._unnoted or moment.uptime_s < self._note_due_s:
            return
        try:
            with outbox.saving():
                notes.note_sent([each for each, outcome in self._unnoted.items() if not outcome.problem], moment.utc)
                for delivery_id, outcome in self._unnoted.items():
                    if outcome.problem:
                        notes.note_trouble(delivery_id, outcome.problem, moment.utc, outcome.is_given_up)
        except (UserError, sqlite3.Error) as error:
            self._unwritten, self._note_due_s = str(error), moment.uptime_s + NOTE_PAUSE_S
        else:
            self._unnoted.clear()
            self._unwritten = ""

    def _put_off(self, outbox: Outbox, recipient: Recipient, words: str) -> None:
        """None of what waits for this recipient could be delivered; after a pause it is tried again."""
        moment, before = self._clock(), self._troubles.get(recipient)
        times = before.times + 1 if before else 1
        if before is None or before.words != words:
            log.warning("%s cannot be told, trying again: %s", recipient.name, words)
        due_s = moment.uptime_s + PAUSES_S[min(times, len(PAUSES_S)) - 1]
        since_s = before.since_s if before else moment.uptime_s
        self._troubles[recipient] = _Trouble(times, since_s, due_s, words)
        for each in outbox.alerts.log.waiting(recipient, MANY):
            if (known := self._unnoted.get(each.delivery.id)) and known.is_done:
                continue
            is_over = is_given_up(each.delivery, moment.utc)
            self._unnoted[each.delivery.id] = _Outcome(words, is_over)
            if is_over:
                log.error("a message to %s is given up after a day: %s", recipient.name, words)
        self._note(outbox)

    def _tell_people(self, uptime_s: float) -> None:
        troubles = [each for each in self._troubles.items() if uptime_s - each[1].since_s >= TELL_S]
        if not troubles:
            self.problem = None
            return
        recipient, trouble = troubles[0]
        others = len(troubles) - 1
        self.problem = _("Alerts do not reach {name}: {problem}", name=recipient.name, problem=trouble.words)
        if others:
            self.problem += " " + n_("Nor can {n} more.", "Nor can {n} more.", others)


def is_given_up(delivery: Delivery, now_utc: float) -> bool:
    """Whether a try that fails now is the last one."""
    tries, age_s = delivery.tries + 1, now_utc - utc_seconds(delivery.created_utc)
    return tries >= MOST_TRIES or (tries >= LEAST_TRIES and age_s >= TRIED_FOR_S)
