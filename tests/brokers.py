"""A real mosquitto for tests, on loopback, without TLS."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.boxes import is_listening, until

START_S = 60.0


def mosquitto() -> str:
    """The program; without it the test is skipped."""
    found = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/sbin")
    if not found:
        pytest.skip("no mosquitto: install the package mosquitto")
    return found


class Broker:
    """A mosquitto on a loopback port. It keeps nothing: what it had is lost when it ends.

    configuration: all of it; empty: anybody may do anything.
    """

    def __init__(self, folder: Path, port: int, configuration: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self.log_path, self.path = port, folder / "mosquitto.log", folder / "mosquitto.conf"
        plain = f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_inflight_messages 1000\n"
        # As root it would become another user, who may not read the folders of tests.
        self.path.write_text((configuration or plain + "max_queued_messages 100000\n") + "user root\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it takes connections afterwards."""
        with self.log_path.open("ab") as log:
            self._process = process = subprocess.Popen([mosquitto(), "-c", str(self.path)], stdout=log, stderr=log)
        until(lambda: is_listening(self.port) or process.poll() is not None, START_S, "mosquitto answers")
        assert process.poll() is None, self.log_path.read_text()

    def kill(self) -> None:
        """As if its machine had gone: SIGKILL."""
        if self._process:
            self._process.kill()
            self._process.wait()
        self._process = None

    def pause(self) -> None:
        """Let it hang."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it run again."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def running_broker(folder: Path, port: int, configuration: str = "") -> Iterator[Broker]:
    """A broker until the end of the block."""
    broker = Broker(folder, port, configuration)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()
