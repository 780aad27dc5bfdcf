"""`mb9k central notify`: a look at the fleet every ten seconds, judged by the rules; a thread for each way of telling.

Any number may run beside each other on one PostgreSQL: one of them looks and tells, another takes over when it ends.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing

from appliance import service
from appliance.alerts.courier import Courier
from appliance.alerts.message import Site
from appliance.alerts.recipients import Way
from appliance.alerts.rounds import Rounds
from appliance.alerts.sending import Send
from appliance.alerts.ways import by_mail, by_webhook
from appliance.alone import stay_alone
from appliance.central import processes
from appliance.central.config import CentralConfig
from appliance.central.database import is_postgresql
from appliance.central.leading import Leader
from appliance.central.looking import Looking, Memory
from appliance.central.opening import connect, open_database
from appliance.central.reporting import site_of_centre
from appliance.central.store import CentralStore
from appliance.errors import NotSaved, UserError
from appliance.language import N_
from appliance.reports.sending import Sender
from appliance.times import Now, now

log = logging.getLogger(__name__)
KIND = "notify"
LOOK_S, DELIVER_S, REPORT_S, STOP_S = 10.0, 1.0, 30.0, 2.0
_LOCK = 0x6D62396E  # of those that run, one looks and tells
_TROUBLE = (sqlite3.Error, OSError, UserError)


def site(config: CentralConfig) -> Site:
    """Who tells: the centre, its clocks and its language. Raises DatabaseError, sqlite3.Error."""
    with closing(CentralStore.open_existing(config.database_address)) as store:
        return Site(config.name, "centre", config.web.base_url.rstrip("/"), store.zone(), config.language)


def ways(config: CentralConfig) -> Mapping[Way, Send]:
    """How a centre tells. Who listens to its broker are boxes, so it tells no topics."""

    def about() -> Site:
        return site(config)

    return {Way.WEBHOOK: by_webhook(about), Way.EMAIL: by_mail(config.state, about)}


class Notify:
    """The service. `step` and `end` belong to one thread; couriers deliver in threads of their own while this leads."""

    def __init__(self, config: CentralConfig, couriers: list[Courier], clock: Callable[[], Now] = now) -> None:
        self._config, self.couriers, self._clock = config, couriers, clock
        self._leader = Leader(config.database_address, _LOCK)
        self._rounds, self._memory = Rounds(), Memory()
        self._look_due_s = 0.0
        self._stepped_s = time.monotonic()
        self._trouble = ""
        self.leads = threading.Event()
        self.reports = Sender(site_of_centre(config))

    def is_turning(self) -> bool:
        """Whether it has come round lately."""
        return time.monotonic() - self._stepped_s < LOOK_S * 3

    @property
    def problem(self) -> str:
        """What people must know, as a sentence."""
        told = [*(each.problem for each in self.couriers), self.reports.problem]
        return " ".join(filter(None, [self._trouble, *told]))

    def step(self) -> None:
        """Look if it is due, and if it is this one that looks. Trouble is logged, and tried again."""
        self._stepped_s = time.monotonic()
        trouble = ""
        try:
            trouble = self._turn(self._clock())
        except _TROUBLE as error:
            if not isinstance(error, NotSaved):  # on a full disk what waits is told all the same
                self.leads.clear()
            trouble = N_("Alerts cannot be judged: {error}").format(error=processes.words_of(error))
        if trouble and not self._trouble:
            log.error("%s; trying again", trouble)
        if self._trouble and not trouble:
            log.info("alerts can be judged again")
        self._trouble = trouble

    def _turn(self, moment: Now) -> str:
        """What keeps alerts from being judged: that of the last look, until there is another one."""
        if not self._leader.leads():
            self.leads.clear()
            return ""
        if not self.leads.is_set():
            self._rounds, self._memory = Rounds(), Memory()  # another one led meanwhile
            self.leads.set()
        elif moment.uptime_s < self._look_due_s:
            return self._trouble
        self._look_due_s = moment.uptime_s + LOOK_S
        with closing(CentralStore.open_existing(self._config.database_address, self._config.audit_head_path)) as store:
            look = Looking(store, store.alerts.rules.all(), self._memory, moment)
            self._rounds.step(store, look, moment, store.zone())
        return ""

    def end(self) -> None:
        """Let another one lead."""
        self.leads.clear()
        self._leader.close()

    def deliver(self, courier: Courier) -> None:
        """What a courier's thread does, again and again. Raises UserError, sqlite3.Error."""
        if self.leads.is_set():
            courier.step()
        else:
            courier.close()

    def report(self) -> None:
        """What the thread of reports by mail does, again and again. Raises UserError, sqlite3.Error."""
        if self.leads.is_set():
            self.reports.step(self._clock())


def serve(config: CentralConfig) -> None:
    """Raise alerts and deliver them until the process is told to end. Raises UserError."""
    if not is_postgresql(config.database_address):
        stay_alone(config.state, "central notify")
    open_database(config.database_address).close()  # what is wrong with it is said at once, in one line
    address, started_utc = config.database_address, time.time()
    head_file = config.audit_head_path
    couriers = [
        Courier(way, send, lambda: CentralStore.open_existing(address, head_file)) for way, send in ways(config).items()
    ]
    notify, stopping = Notify(config, couriers), threading.Event()

    def heartbeat() -> None:
        with closing(connect(address)) as database:
            processes.note_alive(database, KIND, started_utc, time.time(), notify.problem)

    threads = [service.keep_alive(heartbeat, notify.is_turning, stopping)]
    # A thread for each way: a server that hangs delays nobody who is told another way.
    threads += [
        service.repeat(lambda each=each: notify.deliver(each), DELIVER_S, f"what is told by {each.way.value}", stopping)  # type: ignore[misc]
        for each in couriers
    ]
    threads.append(service.repeat(notify.report, REPORT_S, "what is reported by mail", stopping))
    service.notify("READY=1")
    try:
        while not stopping.wait(1.0):
            notify.step()
    finally:
        stopping.set()
        for thread in threads:
            thread.join(STOP_S)
        notify.end()
        try:
            with closing(connect(address)) as database:
                processes.forget(database, KIND)
        except (sqlite3.Error, UserError) as error:
            log.warning("that this process has ended is not on record: %s", error)
