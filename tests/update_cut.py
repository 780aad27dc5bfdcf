"""An update in a process of its own, in which the power goes at one event: `python -m tests.update_cut FOLDER ...`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from appliance.errors import UserError
from appliance.update.asking import Box
from appliance.update.bundle import verified
from appliance.update.services import Systemd
from appliance.update.updating import Patience, Updater
from tests.conftest import REPOSITORY
from tests.update_room import UTC, Room

CALLS = ("rename", "renameat", "renameat2", "unlink", "unlinkat", "symlink", "symlinkat", "fsync", "rmdir")
ALONE = "the updater alone "
IN_PIP = "while pip installs"
METHODS = ("point", "stop", "start", "keep", "trial", "keep_at_rest", "put_back", "forget", "remove", "prune")
PROGRAM = f"import sys; sys.path.append({str(REPOSITORY)!r}); from tests.update_cut import main; main(sys.argv[1:])"


class Cut:
    """Everything is killed at one event, at once; or (not everything) the updater alone.

    at: "say Stopping": before the step that is told so; "after stop": after the method of that name, of the folder of
    releases (with what it was told: "after point current"), of the box, or of its services.
    """

    def __init__(self, room: Room, at: str, everything: bool) -> None:
        self.room, self.at, self.everything = room, at, everything
        self.events: list[str] = []

    def __call__(self, event: str) -> None:
        """An event comes."""
        self.events.append(event)
        if event == self.at:
            if self.everything:
                self.room.kill_services()
            os.kill(os.getpid(), signal.SIGKILL)

    def in_pip(self, releases: Path) -> None:
        """Wait until pip writes the first files of a new release; that is an event, too."""
        there = set(releases.glob("*/lib/*/site-packages/appliance"))
        while set(releases.glob("*/lib/*/site-packages/appliance")) == there:
            time.sleep(0.001)
        self(IN_PIP)

    def watch(self, of: Any) -> Any:
        """The same, whose methods tell of each call."""
        return _Watched(of, self)


class _Watched:
    def __init__(self, of: Any, cut: Cut) -> None:
        self._of, self._cut = of, cut

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._of, name)
        if name not in METHODS:
            return found

        def call(*words: Any) -> Any:
            answer = found(*words)
            self._cut(f"after point {words[0]}" if name == "point" else f"after {name}")
            return answer

        return call


class Untried(Updater):
    """An updater that does not try a release first, for the steps after that."""

    def _try(self, version: str) -> None:
        pass


def main(words: list[str]) -> None:
    """What: "update BUNDLE", "back VERSION" or "resume"."""
    folder, at, what, *which = words
    room = Room(Path(folder))
    cut = Cut(room, at.removeprefix(ALONE), everything=not at.startswith(ALONE))
    if at == IN_PIP:
        threading.Thread(target=cut.in_pip, args=[room.releases.folder], daemon=True).start()
    updater = (Untried if what == "back" else Updater)(
        cut.watch(room.releases),
        cut.watch(Box(room.config.state, room.config_path)),
        cut.watch(Systemd()),
        Path(sys.executable),
        Patience(room.config.update.health_s),
        lambda said: cut(f"say {said.split()[0]}" if "is well" not in said else "say is well"),
    )
    try:
        if what == "update":
            updater.update(verified(Path(which[0]), Path(room.config.update.authority).read_text(), UTC), UTC)
        elif what == "back":
            updater.back(which[0], UTC)
        else:
            updater.resume(UTC, at_boot=True)
    except UserError as error:
        print(error, file=sys.stderr)
    print(cut.events)


def cut_off(room: Room, at: str, *what: str) -> None:
    """Do it in a process of 0.1.0, which must be killed by the cut."""
    done = subprocess.run(
        program(room, at, *what), capture_output=True, text=True, check=False, cwd="/", env=room.environment
    )
    assert done.returncode == -signal.SIGKILL, f"{at} never came: {done.stdout}{done.stderr}"


def cut_at_call(room: Room, call: str, number: int, *what: str) -> bool:
    """Do it in a process of 0.1.0 that is killed as it begins this system call for so many times; whether it came so
    far. Needs strace, which counts each call by itself."""
    kill = ["-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}"]
    command = ["strace", "-o", "/dev/null", *kill, *program(room, "never", *what)]
    done = subprocess.run(command, capture_output=True, check=False, cwd="/", env=room.environment)
    room.kill_services()
    return done.returncode != 0


def program(room: Room, at: str, *what: str) -> list[str]:
    """The command of such a process."""
    return [str(room.releases.python("0.1.0")), "-c", PROGRAM, str(room.folder), at, *what]
