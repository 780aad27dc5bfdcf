"""A machine room for tests: a real socket, a real process for each connection, and stand-ins for the system's programs.

The seam is PATH: a folder with a program of each name, which only notes its words. So nothing happens to this machine.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec

from appliance.config import Config
from tests.conftest import REPOSITORY

STAND_INS = ("systemctl", "hostnamectl", "timedatectl", "loginctl", "sed")
REAL = ("find", "ssh-keygen")


class Room:
    """What systemd does for mb9k-machine.socket: a process for each connection, which has it as standard input."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "mb9k.toml"
        self.socket_path = folder / "room.sock"
        self.noted_path = folder / "noted"
        self.programs = folder / "programs"
        ssh_dir, releases = folder / "ssh", folder / "releases"
        for made in (ssh_dir, releases):
            made.mkdir()
        machine = {"socket": str(self.socket_path), "ssh_dir": str(ssh_dir), **config.pop("machine", {})}
        whole = {
            "state_dir": str(folder / "state"),
            "machine": machine,
            "update": {"releases": str(releases)},
            **config,
        }
        self.path.write_bytes(msgspec.toml.encode(whole))
        self.config: Config = msgspec.convert(whole, Config)
        self.config.state.mkdir(exist_ok=True)
        self.programs.mkdir()
        for name in STAND_INS:
            self.stand_in(name)
        for name in REAL:
            if there := shutil.which(name):
                (self.programs / name).symlink_to(there)
        self.processes: list[subprocess.Popen[bytes]] = []
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(self.socket_path))
        self._listening.listen()
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def stand_in(self, name: str, says: str = "", code: int = 0, also: str = "") -> None:
        """A program that notes its words, says something, and ends with a code. also: what it does in between."""
        path = self.programs / name
        path.write_text(
            f'#!/bin/sh\necho "{name} $*" >> {self.noted_path}\nprintf %s "{says}" >&2\n{also}\nexit {code}\n'
        )
        path.chmod(0o755)

    def noted(self) -> list[str]:
        """The commands that were run, in order."""
        return self.noted_path.read_text().splitlines() if self.noted_path.exists() else []

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                self.processes.append(self.start(connection.fileno()))

    def start(self, handle: int, command_name: str = "answer") -> subprocess.Popen[bytes]:
        """What mb9k-machine@.service runs, with this as its standard input; or another command of the room."""
        command = [sys.executable, "-m", "appliance.cli", "--config", str(self.path), "machine", command_name]
        environment = {**os.environ, "PATH": str(self.programs), "PYTHONPATH": str(REPOSITORY)}
        return subprocess.Popen(
            command, stdin=handle, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd="/"
        )

    def ended(self) -> str:
        """Wait until every process has ended; what the last one wrote."""
        said = b""
        for process in self.processes:
            out, err = process.communicate(timeout=60)
            said = out + err
        return said.decode()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()
        self.ended()
