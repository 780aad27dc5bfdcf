"""`mb9k run`: all services of one box in the foreground. One that dies or hangs is logged and started again."""

from __future__ import annotations

import logging
import socket
import sys
import time
from pathlib import Path

from appliance.alone import refuse_company, stay_alone
from appliance.children import Child, keep, stop
from appliance.config import Config
from appliance.https import https_words
from appliance.media import mediamtx
from appliance.rules.check import refuse_unsound
from appliance.secrets import claim_code
from appliance.service import SERVICES, refuse_busy_port
from appliance.store import Store
from appliance.times import now

log = logging.getLogger(__name__)

PORT_PATIENCE_S = 10.0


def children(config: Config, config_path: Path, log_level: str) -> list[Child]:
    """What a box runs, in the order of starting. Which ingest is decided here, once. Raises UserError."""
    engine = mediamtx.engine(config)
    command = [sys.executable, "-m", "appliance.cli", "--config", str(config_path), "--log-level", log_level]
    started = {service.name: Child(service.name, [*command, service.name]) for service in SERVICES}
    started["ingest"] = Child("ingest", [*command, "ingest", "--engine", engine])
    return list(started.values())


def run(config: Config, config_path: Path, log_level: str) -> None:
    """Run all services until SIGTERM or Ctrl-C; then stop them all. Raises UserError."""
    stay_alone(config.state, "run")
    for service in SERVICES:
        refuse_company(config.state, service.name)
    refuse_unsound(config)
    refuse_busy_ports(config)
    store = Store.open(config.store_path)
    unclaimed = store.people.count() == 0
    store.close()
    if unclaimed:
        code = claim_code(config.claim_code_path)
        print(f"This box is new. Open its page and enter the claim code {code} to make the first admin.", flush=True)
    if config.web.https:
        print(https_words(config, now().utc), flush=True)
    started = children(config, config_path, log_level)
    try:
        started[0].start(time.monotonic())
        _wait_for_port(config.media.gate_port, started[0])
        keep(started)
    finally:
        stop(started)


def _wait_for_port(port: int, child: Child) -> None:
    deadline_s = time.monotonic() + PORT_PATIENCE_S
    while time.monotonic() < deadline_s and child.process is not None and child.process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)


def refuse_busy_ports(config: Config) -> None:
    """Say so in one line, before anything starts, if another program has one of our ports. Raises UserError."""
    web = config.web
    ports = [
        ("web.port", config.web.host, config.web.port),
        *([("web.http_port", config.web.host, web.http_port)] if web.https and web.http_port else []),
        ("rtmp.port", config.rtmp.host, config.rtmp.port),
        *([("rtmp.tls_port", config.rtmp.host, config.rtmp.tls_port)] if mediamtx.has_rtmps(config) else []),
        ("media.gate_port", "127.0.0.1", config.media.gate_port),
        ("media.api_port", "127.0.0.1", config.media.api_port),
        ("media.read_port", "127.0.0.1", config.media.read_port),
    ]
    for setting, host, port in ports:
        refuse_busy_port(host, port, setting)
