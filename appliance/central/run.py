"""`mb9k central run`: all that one machine needs of a centre in the foreground; what dies or hangs is started again."""

from __future__ import annotations

import logging
import resource
import shutil
import socket
import sys
import threading
import time
from pathlib import Path

from appliance import service
from appliance.alone import stay_alone
from appliance.central import broker
from appliance.central.authority import Trust, broker_address, prepare
from appliance.central.config import CentralConfig
from appliance.central.database import Database
from appliance.central.members import tell_broker
from appliance.central.opening import connect, open_database
from appliance.children import HUNG_S, Child, keep, stop
from appliance.errors import UserError
from appliance.secrets import claim_code

log = logging.getLogger(__name__)
SERVICES = ("ingest", "serve", "joining", "notify")
BROKER = "mosquitto"
SYSTEM_PATHS = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"
LISTS_S = 2.0
"""How often the broker's lists are compared with the database: a box may be revoked on another machine."""
CHECK_S, CHECK_TIMEOUT_S = 10.0, 5.0


def run(config: CentralConfig, config_path: Path, log_level: str) -> None:
    """Run all services until SIGTERM or Ctrl-C; then stop them all. Raises UserError."""
    stay_alone(config.state, "central run")
    refuse_busy_ports(config)
    trust = prepare(config, time.time())
    database = open_database(config.database_address)
    try:
        unclaimed = not database.one("select count(*) from people")
        known = set(_revoked(database))
        broker.write(config, trust, database, time.time())
    finally:
        database.close()
    started = children(config, config_path, log_level)
    if unclaimed:
        code = claim_code(config.claim_code_path)
        print(f"This centre is new. Open its page and enter the claim code {code} to make the first admin.", flush=True)
    _raise_file_limit()
    stopping = threading.Event()
    keeper = BrokerKeeper(config, trust, next((child for child in started if child.name == BROKER), None), known)
    service.repeat(keeper.step, LISTS_S, "the broker's lists", stopping)
    try:
        keep(started, keeper.end_if_hung)
    finally:
        stopping.set()
        stop(started)


def children(config: CentralConfig, config_path: Path, log_level: str) -> list[Child]:
    """What a centre runs, in the order of starting. Raises UserError."""
    command = [sys.executable, "-m", "appliance.cli", "--log-level", log_level, "central", "--config", str(config_path)]
    services = [Child(name, [*command, name]) for name in SERVICES]
    return [Child(BROKER, broker_command(config), is_ours=False), *services] if config.broker.own else services


def broker_command(config: CentralConfig) -> list[str]:
    """How mosquitto is started here. Raises UserError: there is none."""
    found = shutil.which(config.broker.binary) or shutil.which(config.broker.binary, path=SYSTEM_PATHS)
    if found is None:
        raise UserError(
            f"there is no {config.broker.binary}: install the package mosquitto, or set broker.own = false in"
            " central.toml and say where another broker is"
        )
    return [found, *broker.command(config)[1:]]


class BrokerKeeper:
    """Keeps the broker's lists as the database has them, and sees whether our mosquitto still answers.

    known: the boxes that were revoked before the broker started, and so have no connection.
    """

    def __init__(self, config: CentralConfig, trust: Trust, child: Child | None, known: set[str]) -> None:
        self.config, self.trust, self.child = config, trust, child
        self._known = known
        self._answered_s = self._checked_s = time.monotonic()

    def step(self) -> None:
        """Bring the lists up to date; cut off who was revoked elsewhere. Raises sqlite3.Error, UserError."""
        database = connect(self.config.database_address)
        try:
            self._keep_lists(database)
        finally:
            database.close()
        now_s = time.monotonic()
        if self.child is not None and now_s - self._checked_s >= CHECK_S:
            self._checked_s = now_s
            if self._answers():
                self._answered_s = time.monotonic()

    def _keep_lists(self, database: Database) -> None:
        revoked = _revoked(database)
        new = [(box, machine) for box, machine in revoked.items() if box not in self._known]
        if new or broker.write(self.config, self.trust, database, time.time()):
            tell_broker(database, self.config, self.trust, time.time(), new)
        self._known = set(revoked)

    def _answers(self) -> bool:
        try:
            with (
                socket.create_connection(broker_address(self.config), CHECK_TIMEOUT_S) as connection,
                self.trust.broker_tls(self.config).wrap_socket(connection, server_hostname="localhost"),
            ):
                return True
        except OSError as error:
            log.warning("mosquitto does not answer: %s", error)
            return False

    def end_if_hung(self, now_s: float) -> None:
        """Kill mosquitto if it has not answered for long; it is then started again."""
        process = self.child.process if self.child is not None else None
        if process is None or self.child is None:
            self._answered_s = now_s
        elif now_s - max(self._answered_s, self.child.started_s) > HUNG_S:
            log.error("%s has hung for %.0f s; ending it", BROKER, HUNG_S)
            process.kill()
            self._answered_s = now_s


def _revoked(database: Database) -> dict[str, str]:
    """The machines of the boxes that are revoked, by box."""
    rows = database.execute("select id, machine from boxes where revoked_utc is not null").fetchall()
    return {str(row["id"]): str(row["machine"]) for row in rows}


def refuse_busy_ports(config: CentralConfig) -> None:
    """Say so in one line, before anything starts, if another program has one of our ports. Raises UserError."""
    service.refuse_busy_port(config.web.host, config.web.port, "web.port")
    service.refuse_busy_port(config.joining.host, config.joining.port, "joining.port")
    if config.broker.own:
        service.refuse_busy_port(config.broker.host, config.broker.port, "broker.port")


def _raise_file_limit() -> None:
    """A broker holds a file for each box; children inherit the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
