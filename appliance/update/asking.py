"""What the updater asks of a version of the program: each question is a process of that version, run as the box's user.

So nobody who could change the box's data can have root change something else, and each version reads the record with
its own code. These questions are what versions owe each other: `mb9k update ask-...`, in appliance/commands/asked.py.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from appliance.language import N_, _
from appliance.outside import quoted, system_words
from appliance.processes import ended_child
from appliance.update.versions import UpdateError

TRIAL_S = 1800  # a record of years on a slow card, migrated
ASK_S = 600
HEALTH_S = 60
SILENT = N_("it does not say how it is ({error})")
ENDED = N_("it ended with code {code}")


class Health(msgspec.Struct, frozen=True):
    """How a box is. pids: of the services that live. missing: what does not, a phrase each. problem: the watcher's."""

    pids: dict[str, int]
    missing: list[str]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Box:
    """Whose record it is. state: the folder of its data, whose owner the services run as; there must be one."""

    state: Path
    config_path: Path

    def keep(self, python: Path, name: str) -> str:
        """Copy the record under this name beside it, also while it is written to; what was done."""
        return self._ask(python, ASK_S, "ask-keep", name)

    def keep_at_rest(self, python: Path, name: str) -> str:
        """Copy the record when no service may run; what was done."""
        return self._ask(python, ASK_S, "ask-keep", "--at-rest", name)

    def trial(self, python: Path, name: str) -> str:
        """Whether a version can do with this box: its configuration, its record (the copy is migrated), its model."""
        return self._ask(python, TRIAL_S, "ask-trial", name)

    def health(self, python: Path) -> Health:
        """How the box is by a version's own measure."""
        try:
            return msgspec.json.decode(self._ask(python, HEALTH_S, "ask-health"), type=Health)
        except (UpdateError, msgspec.DecodeError) as error:
            return Health({}, [SILENT.format(error=error)])

    def put_back(self, python: Path, name: str) -> str:
        """Have a record that this version can use: the one there is, if it can, else the copy; what was done."""
        return self._ask(python, ASK_S, "ask-put-back", name)

    def forget(self, python: Path) -> str:
        """Remove the copies."""
        return self._ask(python, ASK_S, "ask-forget")

    def _ask(self, python: Path, timeout_s: float, *words: str) -> str:
        """What it answers. Raises UpdateError with what it says is wrong."""
        command = [str(python), "-I", "-m", "appliance.cli", "--config", str(self.config_path), "update", *words]
        user, group, groups = _owner(self.state)
        options: dict[str, Any] = {"cwd": "/", "umask": 0o077, "user": user, "group": group, "extra_groups": groups}
        try:
            code, out, err = ended_child(command, timeout_s, **options)
        except (OSError, subprocess.SubprocessError) as error:
            version = python.parent.parent.name
            raise UpdateError(
                _("{version} cannot be asked ({error})", version=version, error=quoted(system_words(error)))
            ) from error
        if code:
            lines = err.strip().splitlines() or [ENDED.format(code=code)]
            raise UpdateError(lines[-1].removeprefix("mb9k: "))
        return out.strip()


def _owner(folder: Path) -> tuple[int | None, int | None, list[int] | None]:
    """The user, group and further groups as whom a process is started: whose folder it is, where we may choose."""
    if os.geteuid() != 0:
        return None, None, None
    owner = folder.stat()
    return owner.st_uid, owner.st_gid, []
