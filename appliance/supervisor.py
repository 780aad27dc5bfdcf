"""`mb9k run`: all services of one box in the foreground. One that dies is logged and started again."""

from __future__ import annotations

import ctypes
import logging
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from appliance.config import Config
from appliance.errors import UserError
from appliance.media import mediamtx
from appliance.secrets import kept_secret, new_claim_code
from appliance.store import Store

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0
STEADY_S = 30.0  # a service that lived this long has earned a quick restart again
STOP_S = 8.0
PR_SET_PDEATHSIG = 1


@dataclass
class Service:
    """One child process and how its restarts go. Times are seconds of the monotonic clock."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    pause_s: float = FIRST_PAUSE_S
    due_s: float = field(default=0.0)

    def start(self, now_s: float) -> None:
        """Start it, so that it ends when we do, even by kill -9."""
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, preexec_fn=end_with_parent)
        self.started_s = now_s
        log.info("%s started (process %d)", self.name, self.process.pid)

    def look_after(self, now_s: float) -> None:
        """Start it when it is due; note when it died and when to start it again."""
        if self.process is None:
            if now_s >= self.due_s:
                try:
                    self.start(now_s)
                except OSError as error:
                    log.error("%s cannot be started: %s", self.name, error)
                    self._wait(now_s)
            return
        code = self.process.poll()
        if code is not None:
            if now_s - self.started_s >= STEADY_S:
                self.pause_s = FIRST_PAUSE_S
            log.error("%s died (%s); starting it again in %.1f s", self.name, _describe(code), self.pause_s)
            self._wait(now_s)

    def _wait(self, now_s: float) -> None:
        self.process = None
        self.due_s = now_s + self.pause_s
        self.pause_s = min(LONGEST_PAUSE_S, self.pause_s * 2)


_libc = ctypes.CDLL(None, use_errno=True)


def end_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    # Ctrl-C reaches the whole group; the supervisor alone decides in which order the services end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _describe(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def services(config: Config, config_path: Path) -> list[Service]:
    """What a box runs, in the order of starting: nobody may knock before the gate answers."""
    ourselves = [sys.executable, "-m", "appliance.cli", "--config", str(config_path)]
    ingest = "mediamtx" if mediamtx.engine(config) == "mediamtx" else "ingest"
    return [
        Service("gate", [*ourselves, "gate"]),
        Service(ingest, [*ourselves, "ingest"]),
        Service("watch", [*ourselves, "watch"]),
        Service("serve", [*ourselves, "serve"]),
    ]


def run(config: Config, config_path: Path) -> None:
    """Run all services until SIGTERM or Ctrl-C; then stop them all. Raises UserError."""
    refuse_busy_ports(config)
    store = Store.open(config.store_path)
    unclaimed = store.people.count() == 0
    store.close()
    if unclaimed:
        code = kept_secret(config.claim_code_path, new_claim_code)
        print(f"This box is new. Open its page and enter the claim code {code} to make the first admin.", flush=True)
    children = services(config, config_path)
    try:
        children[0].start(time.monotonic())
        _wait_for_port(config.media.gate_port, children[0])
        while True:
            for child in children:
                child.look_after(time.monotonic())
            time.sleep(0.2)
    finally:
        stop(children)


def stop(children: Sequence[Service]) -> None:
    """End all services: ask first, then insist."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    processes = [child.process for child in reversed(children) if child.process]
    for process in processes:
        process.terminate()
    deadline_s = time.monotonic() + STOP_S
    for process in processes:
        try:
            process.wait(max(0.1, deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.error("process %d did not end when asked; killing it", process.pid)
            process.kill()
            process.wait()


def _wait_for_port(port: int, child: Service, patience_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + patience_s
    while time.monotonic() < deadline_s and child.process is not None and child.process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)


def refuse_busy_ports(config: Config) -> None:
    """Say so in one line, before anything starts, if another program has one of our ports. Raises UserError."""
    wanted = [
        ("web", config.web.host, config.web.port),
        ("rtmp", config.rtmp.host, config.rtmp.port),
        *([("rtmp.tls_port", config.rtmp.host, config.rtmp.tls_port)] if config.rtmp.tls_certificate else []),
        ("media.gate_port", "127.0.0.1", config.media.gate_port),
        ("media.api_port", "127.0.0.1", config.media.api_port),
        ("media.read_port", "127.0.0.1", config.media.read_port),
        ("media.metrics_port", "127.0.0.1", config.media.metrics_port),
    ]
    for name, host, port in wanted:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise UserError(
                    f"port {port} ({name}) on {host} cannot be used: {error.strerror};"
                    " stop the program that has it, or give another port in the configuration"
                ) from error
