"""What is said on one connection and in which order: hello, the state, sums, answers to commands, renewals."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from random import Random
from typing import Literal

from appliance import messages
from appliance.certificates import CertificateError
from appliance.config import Config
from appliance.membership import Membership
from appliance.messages import Certificate, Command, Kind, Malformed, Renewal, State, Watermarks
from appliance.store import Store
from appliance.sync import news, reasons
from appliance.sync.commands import Commands
from appliance.sync.link import Link
from appliance.sync.outbox import Outbox
from appliance.times import Now

log = logging.getLogger(__name__)

STATE_S = 60.0
LOOK_S = 5.0
"""So often it is looked whether there is something new to say of the box."""
HELLO_S = 6 * 3600.0
"""Between two hellos on a connection that holds: should the centre lose rows without a word."""
HELLO_PAUSE_S = 60.0
UNANSWERED_S = (30.0, 60.0)
SPREAD_S = 30.0
"""A centre that asks for hellos asks all boxes at once."""
RENEWAL_S = 3600.0


@dataclass(frozen=True, slots=True)
class _Said:
    """What the centre was last told of the box, beside numbers that move all the time."""

    names: dict[str, str]
    clock: str
    live: list[int]
    problem: str
    update: str


class Conversation:
    """On one link, which is up. epoch: that of the link's will, so that the centre knows which start it speaks of.

    For one thread. watermark_utc: when the centre last said what it has.
    """

    def __init__(
        self, link: Link, there: Membership, epoch: str, config: Config, store: Store, outbox: Outbox, random: Random
    ) -> None:
        self.watermark_utc: float | None = None
        self._update = ""
        self._link = link
        self._there = there
        self._epoch = epoch
        self._config = config
        self._store = store
        self._outbox = outbox
        self._random = random
        self._said: _Said | None = None
        self._has_rows = self._is_answered = False
        self._hello_s = self._hello_due_s = self._state_due_s = self._look_due_s = self._renewal_due_s = 0.0

    def hear(self, now: Now) -> list[Command]:
        """Read what came; the commands among it, which are still to be carried out."""
        commands: list[Command] = []
        for arrived in self._link.arrived():
            try:
                if arrived.kind is Kind.WATERMARKS and not arrived.retained:
                    # One that was kept may be older than what the centre has now: hello is answered with what counts.
                    self._hear_watermarks(messages.decode(arrived.payload, Watermarks), now)
                elif arrived.kind is Kind.COMMAND:
                    commands.append(messages.decode(arrived.payload, Command))
                elif arrived.kind is Kind.CERTIFICATE:
                    self._renew(messages.decode(arrived.payload, Certificate))
            except Malformed as error:
                log.warning("a message from the centre (%s) is not looked at: %s", arrived.kind.value, error)
        return commands

    def _hear_watermarks(self, message: Watermarks, now: Now) -> None:
        self.watermark_utc = now.utc
        if not message.upto:
            if self._has_rows:
                self.say_hello_soon(now)
            return
        if not self._is_answered:
            self._is_answered, self._hello_due_s = True, now.uptime_s + HELLO_S * self._random.uniform(0.5, 1)
        if self._outbox.hear(message.upto, now.uptime_s):
            self.say_hello_soon(now)

    def say_hello_soon(self, now: Now) -> None:
        """The centre has lost something, or asks. Not at once: it asks all boxes."""
        due_s = max(now.uptime_s, self._hello_s + HELLO_PAUSE_S) + self._random.uniform(0, SPREAD_S)
        self._hello_due_s = min(self._hello_due_s, due_s)

    def tell(self, commands: Commands, now: Now) -> None:
        """Say what is to be said now. Raises sqlite3.Error."""
        self._update = commands.updating.words(now)
        if now.uptime_s >= self._look_due_s:
            self._look_due_s = now.uptime_s + LOOK_S
            self._look(now)
        if now.uptime_s >= self._hello_due_s:
            self._say_hello(now)
        if now.uptime_s >= self._state_due_s and self._link.publish(Kind.STATE, self.state(now)):
            self._state_due_s = now.uptime_s + STATE_S
        while commands.answers and self._link.publish(Kind.OUTCOME, commands.answers[0]):
            commands.answers.pop(0)
        while (sums := self._outbox.next(now)) is not None and self._link.publish(Kind.SUMS, sums):
            self._outbox.told(sums, now)
        if now.uptime_s >= self._renewal_due_s:
            self._ask_for_renewal(now)

    def _look(self, now: Now) -> None:
        """Whether there is something new to say of the box."""
        found = _Said(
            news.stream_names(self._store, self._config),
            news.clock(self._store, now),
            news.live(self._store, now),
            news.problem(self._store, self._config, now),
            self._update,
        )
        if self._said is None or (found.names, found.clock) != (self._said.names, self._said.clock):
            self._hello_due_s = 0.0
        if found != self._said:
            self._state_due_s = 0.0
        self._said = found

    def _say_hello(self, now: Now) -> None:
        parts = news.hellos(self._store, self._config, self._epoch, now)
        if not all(self._link.publish(Kind.HELLO, part) for part in parts):
            return
        if not self._hello_s:
            self._outbox.open(now.uptime_s)
        self._hello_s, self._has_rows = now.uptime_s, any(part.tops for part in parts)
        self._is_answered = not self._has_rows
        wait_s = self._random.uniform(*UNANSWERED_S) if self._has_rows else HELLO_S
        self._hello_due_s = now.uptime_s + wait_s

    def state(self, now: Now, *, is_stopping: bool = False) -> State:
        """How the box is. Raises sqlite3.Error."""
        status: Literal["running", "stopped"] = "stopped" if is_stopping else "running"
        return news.state(self._store, self._config, self._epoch, now, status, self._update)

    def _ask_for_renewal(self, now: Now) -> None:
        self._renewal_due_s = now.uptime_s + RENEWAL_S * self._random.uniform(0.5, 1)
        if self._there.certificate().is_due(now.utc):
            log.info("asking the centre for the next certificate")
            self._link.publish(Kind.RENEWAL, Renewal(request=self._there.request()))

    def _renew(self, answer: Certificate) -> None:
        try:
            self._there.renew(answer.certificate, answer.authority)
        except (CertificateError, OSError) as error:
            log.error("the certificate that the centre sent is not kept: %s", error)
        else:
            log.info("this box has its next certificate, which it shows from the next connection on")

    def problem(self) -> str | None:
        """Why the centre does not get what is said, in words; None: as far as can be told, it does."""
        if self._link.refused:
            return self._link.refused
        if not self._link.is_heard:
            return reasons.NOBODY_LISTENS
        return reasons.SILENT if self._outbox.silences > 1 else None
