"""The system's own programs, which know best how a machine is restarted, named and set to a time zone.

They are found by name on PATH, which systemd sets for root, and tests to stand-ins. Nothing passes through a shell.
"""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from appliance.errors import UserError

log = logging.getLogger(__name__)
ANSWER_S = 2.0
"""The page needs so long to pass the answer on."""
PROGRAM_S = 120.0
WORDS_SHOWN = 300


def run(*words: str | Path, **options: Any) -> str:
    """What a program says. options: of subprocess.run. Raises UserError with what it complains of."""
    named = [str(word) for word in words]
    try:
        done = subprocess.run(
            named,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=PROGRAM_S,
            stdin=subprocess.DEVNULL,
            **options,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise UserError(f"`{named[0]}` could not be run ({error}).") from error
    if done.returncode:
        said = " ".join(done.stderr.split())[-WORDS_SHOWN:] or f"code {done.returncode}"
        raise UserError(f"`{_shown(named)}` failed ({said}).")
    return str(done.stdout)


def try_run(*words: str | Path) -> None:
    """Run a program that may be missing, or have nothing to do."""
    with suppress(UserError):
        run(*words)


def later(*words: str | Path) -> None:
    """Run a program once the page has answered. What goes wrong then stands in the log only."""
    time.sleep(ANSWER_S)
    try:
        run(*words)
    except UserError as error:
        log.error("%s", error)


def _shown(words: Sequence[str]) -> str:
    return " ".join(words)[:WORDS_SHOWN].replace("`", "'")
