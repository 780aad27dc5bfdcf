"""Stopping and starting what a box runs."""

from __future__ import annotations

import subprocess
from typing import Protocol

from appliance.language import _
from appliance.outside import quoted, system_words
from appliance.service import SERVICES
from appliance.update.versions import ELSEWHERE, UpdateError

TARGET = "mb9k.target"
UNITS = tuple(service.unit for service in SERVICES)
TIMEOUT_S = 120


class Running(Protocol):
    """What a box runs, as one thing."""

    def stop(self) -> None:
        """Have nothing of it run; it may be that nothing does. Raises UpdateError."""

    def start(self) -> None:
        """Have all of it started, by the link `current`; it need not be well yet. Raises UpdateError."""


class Systemd:
    """The units under mb9k.target, which are stopped and started with it."""

    def stop(self) -> None:
        """Stop them, and wait until none runs. Raises UpdateError."""
        _systemctl("stop", TARGET)
        _systemctl("stop", *UNITS)  # the target's job is done before theirs

    def start(self) -> None:
        """Start them, also those that systemd has given up. Raises UpdateError."""
        _systemctl("reset-failed", "mb9k-*")
        _systemctl("start", TARGET)

    @staticmethod
    def refuse_absent() -> None:
        """Raise UpdateError if this machine does not run a box by units."""
        try:
            _systemctl("cat", TARGET)
        except UpdateError as error:
            raise UpdateError(
                _("systemd knows no {target} here: {elsewhere}", target=TARGET, elsewhere=_(ELSEWHERE))
            ) from error


def _systemctl(*words: str) -> None:
    try:
        done = subprocess.run(
            ["systemctl", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UpdateError(
            _(
                "`systemctl {words}`: {error}; look into `journalctl -b`",
                words=" ".join(words),
                error=quoted(system_words(error)),
            )
        ) from error
    if done.returncode:
        said = " ".join(done.stderr.split())[-300:]
        raise UpdateError(
            _("`systemctl {words}` failed ({said}); look into `journalctl -b`", words=" ".join(words), said=said)
        )
