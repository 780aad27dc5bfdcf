"""The loop of `notify`: a look every ten seconds, judged by the rules; threads that tell, one that sends reports."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from appliance.alerts.courier import Courier
from appliance.alerts.message import Site
from appliance.alerts.recipients import Way
from appliance.alerts.rounds import Rounds, forget_old
from appliance.alerts.sending import Send
from appliance.alerts.ways import by_mail, by_webhook
from appliance.config import Config
from appliance.disk import FOR_PEOPLE_BYTES, Reserve
from appliance.errors import UserError
from appliance.notify.looking import Looking
from appliance.reports.sending import Sender
from appliance.rules.boxes import box_title
from appliance.rules.reports import site_of_box
from appliance.service import HEARTBEAT_S, notify, repeat
from appliance.store import Store
from appliance.times import Now, now

log = logging.getLogger(__name__)

NAME = "notify"
LOOK_S = 10.0
DELIVER_S = 1.0
REPORTS_S = 10.0
FORGET_S = 3600.0
STOP_S = 2.0
BUSY_TIMEOUT_S = 1.0  # what cannot be written now is tried again ten seconds later anyway


def site(config: Config, store: Store) -> Site:
    """Who tells: the box, by the title that people gave it, its clocks and its language."""
    return Site(box_title(config) or config.box, "box", config.web.base_url, store.trends.zone(), config.language)


def ways(config: Config) -> dict[Way, Send]:
    """What this service sends by itself; MQTT is `sync`'s, which has the connection."""

    def about() -> Site:
        store = Store.open_readonly(config.store_path)
        try:
            return site(config, store)
        finally:
            store.close()

    return {Way.WEBHOOK: by_webhook(about), Way.EMAIL: by_mail(config.state, about)}


class Notify:
    """The service. All of it but the deliveries runs in one thread, with one Store."""

    def __init__(self, config: Config, tellers: Sequence[Courier | Sender[Store]]) -> None:
        self.config, self.tellers = config, tellers
        self.store = Store.open(config.store_path, BUSY_TIMEOUT_S)
        self.store.reserve = Reserve(config.state, FOR_PEOPLE_BYTES)
        self.rounds = Rounds()
        self.started_utc = time.time()
        self._look_due_s = self._forget_due_s = 0.0
        self._trouble = ""

    def run(self, stopping: threading.Event) -> None:
        """Work until `stopping` is set."""
        notify("READY=1")
        try:
            while not stopping.is_set():
                self.step(now())
                stopping.wait(HEARTBEAT_S)
        finally:
            self.store.close()

    def step(self, moment: Now) -> None:
        """A heartbeat, and a look if it is due. Trouble with the store is logged, and tried again."""
        notify("WATCHDOG=1")
        trouble = ""
        try:
            self._beat(moment)
            if moment.uptime_s >= self._look_due_s:
                self._look_due_s = moment.uptime_s + LOOK_S
                self._look(moment)
        except (sqlite3.Error, OSError, UserError) as error:
            trouble = str(error)
        if trouble and not self._trouble:
            log.error("alerts cannot be judged (%s); trying again", trouble)
        if self._trouble and not trouble:
            log.info("alerts can be judged again")
        self._trouble = trouble

    def _beat(self, moment: Now) -> None:
        problem = " ".join(each.problem for each in self.tellers if each.problem) or None
        self.store.services.heartbeat(NAME, os.getpid(), self.started_utc, problem, moment)

    def _look(self, moment: Now) -> None:
        look = Looking(self.config, self.store, self.store.alerts.rules.all(), moment)
        self.rounds.step(self.store, look, moment, self.store.trends.zone())
        if moment.uptime_s >= self._forget_due_s and self.store.ages.believes(moment):
            self._forget_due_s = moment.uptime_s + FORGET_S
            forget_old(self.store, moment.utc)


def serve(config: Config) -> None:
    """Raise alerts and deliver them until SIGTERM. Raises UserError."""
    stopping = threading.Event()
    couriers = [
        Courier(way, send, lambda: Store.open_for_service(config.store_path)) for way, send in ways(config).items()
    ]
    reports = Sender(site_of_box(config))
    service = Notify(config, [*couriers, reports])
    # A thread for each way: a server that hangs delays nobody who is told another way.
    threads = [repeat(each.step, DELIVER_S, f"what is told by {each.way.value}", stopping) for each in couriers]

    def send_reports() -> None:
        reports.step(now())

    threads.append(repeat(send_reports, REPORTS_S, "what is reported by mail", stopping))
    try:
        service.run(stopping)
    finally:
        stopping.set()
        for thread in threads:
            thread.join(STOP_S)
        for each, thread in zip(couriers, threads, strict=False):  # the reports keep no connection
            if not thread.is_alive():
                with suppress(sqlite3.Error):
                    each.close()
