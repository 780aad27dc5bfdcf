"""The services that one process runs as its children: one that dies or hangs is logged and started again."""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from appliance.processes import start_child
from appliance.service import HEARTBEAT_S, notify

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0
STEADY_S = 30.0  # a service that lived this long has earned a quick restart again
STOP_S = 8.0
PACE_S = 0.2
KILL_S = 1.0
HUNG_S = 60.0  # a slow card may hold a service up for many seconds


@dataclass
class Child:
    """One child process and how its restarts go. Times are seconds of the monotonic clock.

    is_ours: whether it is one of our services, which tell us all the time that they are alive; others say at most once
    that they are ready.
    """

    name: str
    command: Sequence[str]
    is_ours: bool = True
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    pause_s: float = FIRST_PAUSE_S
    due_s: float = 0.0
    watchdog: socket.socket | None = None
    alive_s: float | None = None  # when the watchdog last heard from it; None: not once

    def start(self, now_s: float) -> None:
        """Start it, so that it ends when we do, even by kill -9."""
        self.watchdog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.watchdog.bind("")  # the kernel chooses an abstract address
        address = self.watchdog.getsockname().decode().replace("\0", "@")
        self.process = start_child(self.command, stdin=subprocess.DEVNULL, env={**os.environ, "NOTIFY_SOCKET": address})
        self.started_s, self.alive_s = now_s, None
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
        if code is None:
            self._end_if_hung(self.process, now_s)
        else:
            if now_s - self.started_s >= STEADY_S:
                self.pause_s = FIRST_PAUSE_S
            log.error("%s died (%s); starting it again in %.1f s", self.name, _describe(code), self.pause_s)
            self._wait(now_s)

    def forget(self) -> None:
        """Its process has ended."""
        if self.watchdog:
            self.watchdog.close()
        self.process = self.watchdog = None

    def _end_if_hung(self, process: subprocess.Popen[bytes], now_s: float) -> None:
        """Kill it if it has not told its watchdog for long that it is alive; it is then started again."""
        while self.watchdog and select.select([self.watchdog], [], [], 0)[0]:
            self.watchdog.recv(100)
            self.alive_s = now_s
        if self.is_ours and self.alive_s is not None and now_s - self.alive_s > HUNG_S:
            log.error("%s has hung for %.0f s; ending it", self.name, HUNG_S)
            process.kill()
            with suppress(subprocess.TimeoutExpired):  # a failing disk may hold it; the others need us
                process.wait(KILL_S)

    def _wait(self, now_s: float) -> None:
        self.forget()
        self.due_s = now_s + self.pause_s
        self.pause_s = min(LONGEST_PAUSE_S, self.pause_s * 2)


def keep(started: Sequence[Child], also: Callable[[float], None] | None = None) -> None:
    """Look after services until a signal's exception ends it, and tell who started us so: when all are up, and on.

    also: what else is looked after, at the same pace; it is given the time.
    """
    is_ready, told_s = False, 0.0
    while True:
        now_s = time.monotonic()
        for child in started:
            child.look_after(now_s)
        if also:
            also(now_s)
        if not is_ready and all(child.alive_s is not None for child in started if child.is_ours):
            notify("READY=1")
            is_ready = True
        if now_s - told_s >= HEARTBEAT_S:
            notify("WATCHDOG=1")
            told_s = now_s
        time.sleep(PACE_S)


def _describe(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def stop(started: Sequence[Child]) -> None:
    """End all services, the last one started first: by SIGTERM, and after STOP_S by SIGKILL."""
    processes = [child.process for child in reversed(started) if child.process]
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
    for child in started:
        child.forget()
