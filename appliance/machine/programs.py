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

from appliance.errors import UserError
from appliance.language import _
from appliance.outside import system_words

log = logging.getLogger(__name__)
ANSWER_S = 2.0
"""The page needs so long to pass the answer on."""
PROGRAM_S = 50.0  # less than the page waits for (asking.PATIENCE_S)
WORDS_SHOWN = 300


def run(*words: str | Path, timeout_s: float = PROGRAM_S) -> str:
    """What a program says. Raises UserError with what it complains of."""
    named = [str(word) for word in words]
    try:
        done = subprocess.run(
            named,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise UserError(
            _("`{named}` could not be run ({error}).", named=named[0], error=system_words(error))
        ) from error
    if done.returncode:
        said = " ".join(done.stderr.split())[-WORDS_SHOWN:] or f"code {done.returncode}"
        raise UserError(_("`{named}` failed ({said}).", named=_shown(named), said=said))
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
