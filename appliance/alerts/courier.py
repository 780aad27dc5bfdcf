"""Delivers what waits in the outbox, one way (webhook, e-mail, MQTT) in a thread of its own, again until it arrived.

After a kill between a delivery and its note the message is sent once more, with the same id. Nothing else is sent
twice: what was delivered and cannot be noted, on a full disk for one, is kept in mind.
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
from appliance.errors import UserError
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
TELL_S = 600.0
"""A recipient that could not be told for so long stands on every page."""


@dataclass
class _Trouble:
    """Of one recipient at one address: failures in a row, since when, and when the next try is due (uptime)."""

    times: int
    since_s: float
    due_s: float
    words: str


class Courier:
    """Call `step` every second or so, in one thread. problem: what people must know, as a sentence."""

    def __init__(self, way: Way, send: Send, open_outbox: Callable[[], Outbox], clock: Callable[[], Now] = now) -> None:
        self.way = way
        self._send, self._open, self._clock = send, open_outbox, clock
        self._outbox: Outbox | None = None
        self._troubles: dict[Recipient, _Trouble] = {}
        self._unnoted: set[int] = set()
        self.problem: str | None = None

    def step(self) -> None:
        """Deliver what is due. Raises UserError, sqlite3.Error: the store cannot be used; call it again."""
        try:
            self._outbox = self._outbox or self._open()
            self._note_sent(self._outbox)
            self._deliver(self._outbox)
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
        waiting = outbox.alerts.log.waiting(recipient, MANY)
        if isinstance(self._send, SendsMany) and len(waiting) > FEW:
            together, send = waiting[:TOGETHER], self._send
            self._try(outbox, recipient, together, lambda: send.many(recipient, [each.event for each in together]))
            return
        for each in waiting[:AT_ONCE]:
            if not self._try(outbox, recipient, [each], partial(self._send, recipient, each.event)):
                return

    def _try(self, outbox: Outbox, recipient: Recipient, those: list[Waiting], send: Callable[[], None]) -> bool:
        """Deliver those, and note it; whether the next of this recipient have their turn."""
        try:
            send()
        except Undelivered as error:
            if error.is_final:
                self._give_up(outbox, those, str(error))
                return True
            self._put_off(outbox, recipient, str(error))
            return False
        self._unnoted |= {each.delivery.id for each in those}
        self._troubles.pop(recipient, None)
        self._note_sent(outbox)
        return True

    def _note_sent(self, outbox: Outbox) -> None:
        if self._unnoted:
            with outbox.saving():
                outbox.alerts.log.note_sent(self._unnoted, self._clock().utc)
            self._unnoted.clear()

    def _give_up(self, outbox: Outbox, those: list[Waiting], words: str) -> None:
        log.error("messages to %s are given up: %s", those[0].delivery.recipient, words)
        with outbox.saving():
            for each in those:
                outbox.alerts.log.note_trouble(each.delivery.id, words, self._clock().utc, is_given_up=True)

    def _put_off(self, outbox: Outbox, recipient: Recipient, words: str) -> None:
        """None of what waits for this recipient could be delivered; after a pause it is tried again."""
        moment, before = self._clock(), self._troubles.get(recipient)
        times = before.times + 1 if before else 1
        if before is None or before.words != words:
            log.warning("%s cannot be told, trying again: %s", recipient.name, words)
        due_s = moment.uptime_s + PAUSES_S[min(times, len(PAUSES_S)) - 1]
        since_s = before.since_s if before else moment.uptime_s
        self._troubles[recipient] = _Trouble(times, since_s, due_s, words)
        with outbox.saving():
            for each in outbox.alerts.log.waiting(recipient, MANY):
                is_over = is_given_up(each.delivery, moment.utc)
                outbox.alerts.log.note_trouble(each.delivery.id, words, moment.utc, is_over)
                if is_over:
                    log.error("a message to %s is given up after a day: %s", recipient.name, words)

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
