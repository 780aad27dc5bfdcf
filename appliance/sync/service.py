"""The loop of `sync`: which centre, a connection to it, what is said there, and how it goes, for people to read."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from dataclasses import replace
from random import Random

from appliance import messages
from appliance.config import Config
from appliance.errors import UserError
from appliance.language import N_
from appliance.membership import Membership
from appliance.messages import Command, State
from appliance.service import HEARTBEAT_S, notify, repeat
from appliance.store import FleetStatus, Store
from appliance.sync import machine, reasons
from appliance.sync.alerts import DELIVER_S, alerts_by_mqtt
from appliance.sync.belonging import Belonging
from appliance.sync.commands import MAX_ANSWERS, NAME, Commands
from appliance.sync.conversation import Conversation
from appliance.sync.link import Link
from appliance.sync.on_site import STEP_S, Teller
from appliance.sync.outbox import PACE_S, Outbox
from appliance.times import Now, now, utc_text

log = logging.getLogger(__name__)

NOT_COUNTED = N_("The centre does not get what this box counts.")
NOT_REACHED = N_("This box has not reached its centre since {since}Z.")
POLL_S = 1.0
BUSY_TIMEOUT_S = 1.0  # what cannot be written now is tried again a second later anyway
FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 120.0
STEADY_S = 60.0  # a connection that lived so long has earned a quick try again
STOP_S = 2.0
NOTE_S = 30.0  # so often it is noted that the centre has confirmed something
TELL_S = 600.0
"""What is wrong for so long stands on every page of the box; before, on that of its centre only."""


class Sync:
    """The service. All of it but the connection runs in one thread, with one Store."""

    def __init__(self, config: Config, random: Random | None = None, on_site: Teller | None = None) -> None:
        self.config = config
        self.on_site = on_site
        self.store = Store.open(config.store_path, BUSY_TIMEOUT_S)
        self.wake = threading.Event()
        self.random = random or Random()  # noqa: S311 - it spreads load, and guards nothing
        self.outbox = Outbox(self.store.summaries, self.random)
        self.commands = Commands(self.store, config, self.outbox, machine.Light())
        self.belonging = Belonging(config, self.wake)
        self.started_utc = time.time()
        self.status: FleetStatus | None = None  # as it is
        self._stored: FleetStatus | None = None
        self._has_noted = False
        self._link: Link | None = None
        self._conversation: Conversation | None = None
        self._of: Membership | None = None
        self._epoch = ""
        self._asked: list[Command] = []
        self._problem: str | None = None
        self._trouble = ""
        self._tries = 0
        self._try_due_s = self._tried_s = self._heartbeat_due_s = self._note_due_s = self._wrong_since_s = 0.0

    def run(self, stopping: threading.Event) -> None:
        """Work until `stopping` is set, or the centre has this service started again."""
        notify("READY=1")
        try:
            while not stopping.is_set():
                self.wake.clear()
                self.step(now())
                if self.commands.is_ending and not self.commands.answers:
                    log.info("ending, to be started again")
                    return
                self.wake.wait(PACE_S if self.outbox.has_more else POLL_S)
        finally:
            self._stop()

    def step(self, moment: Now) -> None:
        """One look at everything. Trouble with the store is logged, and tried again with nothing lost."""
        notify("WATCHDOG=1")
        trouble = ""
        parts = (self._belong, self._connect, self._hear, self._judge, self._write, self._obey, self._tell)
        for part in parts:
            try:
                part(moment)
            except sqlite3.Error as error:
                trouble = str(error)
        if trouble and not self._trouble:
            log.error("the store cannot be used (%s); trying again", trouble)
        if self._trouble and not trouble:
            log.info("the store can be used again")
        self._trouble = trouble

    def _belong(self, moment: Now) -> None:
        """Follow people who join a centre, or leave it."""
        self.belonging.step(moment.uptime_s)
        if self.belonging.there != self._of:
            self._hang_up(moment, is_stopping=True)
            self._of, self._tries, self._try_due_s, self._problem = self.belonging.there, 0, 0.0, None
            if self._of:
                log.info("this box is %s at the centre %s port %d", self._of.box, self._of.host, self._of.port)

    def _connect(self, moment: Now) -> None:
        """Have one connection, to this centre, with a will of this epoch; after trouble not at once again."""
        link, epoch = self._link, self.store.summaries.newest_epoch()
        if link is not None and link.ended is not None:
            self._problem = link.ended
            if moment.uptime_s - self._tried_s > STEADY_S and self._conversation:
                self._tries = 0
            self._hang_up(moment)
            pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(self._tries, 10))
            self._try_due_s = moment.uptime_s + self.random.uniform(0.0, pause_s)
            self._tries += 1
        elif link is not None and epoch != self._epoch and moment.uptime_s - self._tried_s > STEADY_S:
            self._hang_up(moment)  # the will of an older start would mean nothing
            self._try_due_s = 0.0
        if self._link is None and self._of and epoch and moment.uptime_s >= self._try_due_s:
            self._try(self._of, epoch, moment)
        elif self._link and self._link.is_up and self._of and not self._conversation:
            self._conversation = Conversation(
                self._link, self._of, self._epoch, self.config, self.store, self.outbox, self.random
            )
            self._problem = None

    def _try(self, there: Membership, epoch: str, moment: Now) -> None:
        self._epoch, self._tried_s = epoch, moment.uptime_s
        client_id = messages.client_id(there.box, machine.digest())
        will = State(epoch=epoch, status="gone", sent_utc=max(0, int(moment.utc)))
        try:
            self._link = Link(there, client_id, will, self.wake)
            self._link.start()
        except UserError as error:
            self._problem, self._link = str(error), None
            self._try_due_s = moment.uptime_s + LONGEST_PAUSE_S

    def _hang_up(self, moment: Now, *, is_stopping: bool = False) -> None:
        """End the connection. is_stopping: the box says so to the centre, which else waits for it."""
        link, conversation = self._link, self._conversation
        self._link = self._conversation = None
        self.outbox.close()
        if link is None:
            return
        last = None
        if is_stopping and conversation:
            try:
                last = conversation.state(moment, is_stopping=True)
            except sqlite3.Error:
                last = State(epoch=self._epoch, status="stopped", sent_utc=max(0, int(moment.utc)))
        link.close(last, STOP_S if is_stopping else 0.0)

    def _hear(self, moment: Now) -> None:
        if self._conversation:
            self._asked = [*self._asked, *self._conversation.hear(moment)][:MAX_ANSWERS]
            if self._conversation.watermark_utc is not None and moment.uptime_s - self._tried_s > STEADY_S:
                self._tries = 0

    def _judge(self, moment: Now) -> None:
        """How it goes, in words."""
        if self._of is None:
            problem = self.belonging.problem
            status = FleetStatus(False, moment.utc, None, problem) if problem else None
        else:
            conversation, before = self._conversation, self.status
            problem = conversation.problem() if conversation else self._why_not(self._of, moment)
            watermark_utc = before.watermark_utc if before else None
            if conversation and conversation.watermark_utc:
                watermark_utc = conversation.watermark_utc
            status = FleetStatus(conversation is not None, moment.utc, watermark_utc, problem)
        if status and self.status and status.connected == self.status.connected:
            status = replace(status, since_utc=self.status.since_utc)
        self._tell_log(status)
        if status is None or not status.problem:
            self._wrong_since_s = moment.uptime_s
        self.status = status

    def _why_not(self, there: Membership, moment: Now) -> str | None:
        """Why there is no connection. What our own certificate says goes first: the other side only sees the result."""
        if self._problem is None:
            return None
        try:
            return reasons.of_our_certificate(there.certificate(), moment.utc) or self._problem
        except UserError as error:
            return str(error)

    def _tell_log(self, status: FleetStatus | None) -> None:
        """A line for each change."""
        before = self.status
        if status and status.problem and status.problem != (before and before.problem):
            log.warning("%s", status.problem)
        elif (
            status
            and status.connected
            and not status.problem
            and (not before or before.problem or not before.connected)
        ):
            log.info("connected with the centre")

    def _write(self, moment: Now) -> None:
        """One transaction, if there is anything to note: a heartbeat, watermarks, how it goes."""
        is_beat = moment.uptime_s >= self._heartbeat_due_s
        if not is_beat and not self.outbox.has_heard and self._is_stored(moment):
            return
        has_less = False
        with self.store.writing():
            if self.outbox.has_heard:
                has_less = self.outbox.note()
            if self.status:
                self.store.fleet.note_status(self.status)
            elif self._stored or not self._has_noted:
                self.store.fleet.forget_status()
            if is_beat:
                problems = (self._for_all_pages(moment), self.on_site.problem if self.on_site else None)
                problem = " ".join(filter(None, problems)) or None
                self.store.services.heartbeat(NAME, os.getpid(), self.started_utc, problem, moment)
        self._stored, self._has_noted = self.status, True
        self._note_due_s = moment.uptime_s + NOTE_S
        if is_beat:
            self._heartbeat_due_s = moment.uptime_s + HEARTBEAT_S
        self.outbox.noted()
        if has_less and self._conversation:
            self._conversation.say_hello_soon(moment)

    def _is_stored(self, moment: Now) -> bool:
        """Whether what people can read of it is as it is, but for the time of the last watermark."""
        if self.status is None or self._stored is None:
            return self.status is self._stored and self._has_noted
        if moment.uptime_s >= self._note_due_s:
            return self.status == self._stored
        return replace(self.status, watermark_utc=None) == replace(self._stored, watermark_utc=None)

    def _for_all_pages(self, moment: Now) -> str | None:
        status = self.status
        if status is None or not status.problem or moment.uptime_s - self._wrong_since_s < TELL_S:
            return None
        if status.connected:
            return f"{NOT_COUNTED} {status.problem}"
        return f"{NOT_REACHED.format(since=utc_text(status.since_utc)[:16])} {status.problem}"

    def _obey(self, moment: Now) -> None:
        """Carry out what was asked."""
        while self._asked:
            command, self._asked = self._asked[0], self._asked[1:]
            self.commands.take(command, moment)
        self.commands.step(moment)

    def _tell(self, moment: Now) -> None:
        if self._conversation:
            self._conversation.tell(self.commands, moment)

    def _stop(self) -> None:
        """End in order: the centre is told that this box stopped on purpose."""
        self.commands.stop()
        self._hang_up(now(), is_stopping=True)
        try:
            if self.status:
                moment = now()
                with self.store.writing():
                    self.outbox.note()
                    self.store.fleet.note_status(replace(self.status, connected=False, since_utc=moment.utc))
        except sqlite3.Error as error:
            log.error("how it went could not be noted: %s", error)
        self.store.close()


def serve(config: Config) -> None:
    """Tell the centre, if the box has joined one, and a broker on site, until SIGTERM. Raises UserError."""
    stopping = threading.Event()
    on_site = Teller(config)
    alerts = alerts_by_mqtt(config, on_site)
    telling = repeat(on_site.step, STEP_S, "what the broker on site is told", stopping)
    # A thread of its own: whoever waits for the broker's word keeps nobody from the figures.
    alerting = repeat(alerts.step, DELIVER_S, "what is told by mqtt", stopping)
    try:
        Sync(config, on_site=on_site).run(stopping)
    finally:
        stopping.set()
        alerting.join(STOP_S)
        telling.join(STOP_S)
        on_site.stop()
