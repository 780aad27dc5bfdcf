"""What is done for each request: the deed that is meant, or a refusal.

What the system's own programs do (`systemctl`, `hostnamectl` ...) is left to them. They are found by name on PATH,
which systemd sets for root, and tests to stand-ins. Nothing passes through a shell.
"""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Callable
from typing import TypeAlias

from appliance.config import Config
from appliance.errors import UserError
from appliance.machine import updates
from appliance.machine.requests import Done, Request, Restart, Update

log = logging.getLogger(__name__)
Say: TypeAlias = Callable[[str], None]
Afterwards: TypeAlias = Callable[[], None]
"""What is done when the answer is out: it ends the page that asked, or the machine."""
Outcome: TypeAlias = tuple[Done, Afterwards | None]
ANSWER_S = 2.0
"""The page needs so long to pass the answer on."""
PROGRAM_S = 60.0


def do(config: Config, request: Request, say: Say) -> Outcome:
    """Do it. say: takes sentences on how far it is. Raises InputError, UserError."""
    match request:
        case Restart():
            return Done("The machine restarts now."), lambda: later("systemctl", "reboot")
        case Update(file=file):
            return Done(updates.begin(config, file, say, run)), None


def later(*words: str) -> None:
    """Run a program once the page has answered. What goes wrong then stands in the log only."""
    time.sleep(ANSWER_S)
    try:
        run(*words)
    except UserError as error:
        log.error("%s", error)


def run(*words: str) -> str:
    """What a program of the system says. Raises UserError with what it complains of."""
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, errors="replace", check=False, timeout=PROGRAM_S,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"`{words[0]}` could not be run ({error}).") from error
    if done.returncode:
        said = " ".join(done.stderr.split())[-300:] or f"code {done.returncode}"
        raise UserError(f"`{' '.join(words)}` failed ({said}).")
    return done.stdout
