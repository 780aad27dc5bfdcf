"""How far an update is, and how the last ones ended: two small files that are whole at any moment.

The journal is written before each step is begun. So whoever finds one knows what may have been done since: everything
up to this step, and this step in part.
"""

from __future__ import annotations

import enum
import os
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from appliance.files import sync
from appliance.language import N_, _
from appliance.outside import quoted
from appliance.update.releases import DRAFT
from appliance.update.versions import UpdateError

OUTCOMES_KEPT = 20


Told = TypeVar("Told", bound=msgspec.Struct)


class Step(enum.Enum):
    """What is being done. Until SETTLING everything is undone when it is cut off; from then on it stands."""

    BUILDING = "building"  # the release is made and tried; what runs is not touched
    STOPPING = "stopping"
    COPYING = "copying"  # the record, as it is when nothing runs
    SWITCHING = "switching"
    CHECKING = "checking"  # the other release runs and must prove itself
    UNDOING = "undoing"
    SETTLING = "settling"


class Progress(msgspec.Struct, frozen=True):
    """How far an update is.

    is_new: whether the release `after` was made for it, and goes when it is undone. outage: whether services may have
    been stopped, and what comes then may have been done. trouble: why it is undone; record: what became of the record
    then, which a second undoing could no longer see.
    """

    step: Step
    before: str
    after: str
    begun_utc: float
    is_new: bool
    outage: bool = False
    trouble: str = ""
    record: str = ""


class Outcome(msgspec.Struct, frozen=True):
    """How one ended. runs: the release that ran then. trouble: why it was undone; empty: it was not.

    record: what became of the record when it was undone.
    """

    utc: float
    before: str
    after: str
    runs: str
    trouble: str = ""
    record: str = ""


class Steps(Generic[Told]):
    """Two files in a folder: how far an update is, and how the last ones ended. next_step: if the first is damaged."""

    def __init__(self, folder: Path, shape: type[Told], next_step: str) -> None:
        self.folder = folder
        self.path = folder / "update.json"
        self._outcomes = folder / "outcomes.json"
        self._shape, self._next_step = shape, next_step

    def read(self) -> Told | None:
        """How far the update is that is under way or was cut off; None: there is none. Raises UpdateError, OSError."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=self._shape)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise UpdateError(
                _(
                    "{path} cannot be used ({error}); {next_step}",
                    path=self.path,
                    error=quoted(str(error)),
                    next_step=_(self._next_step),
                )
            ) from error

    def write(self, progress: Told) -> None:
        """Note how far it is, on the disk. Raises OSError."""
        replace_readable(self.path, progress)

    def outcomes(self) -> list[Outcome]:
        """How the last ones ended, oldest first."""
        try:
            return msgspec.json.decode(self._outcomes.read_bytes(), type=list[Outcome])
        except (OSError, msgspec.DecodeError):
            return []

    def end(self, outcome: Outcome) -> None:
        """Note how it ended; then there is none under way. Raises OSError."""
        replace_readable(self._outcomes, [*self.outcomes(), outcome][-OUTCOMES_KEPT:])
        self.path.unlink(missing_ok=True)
        sync(self.folder)


class Journal(Steps[Progress]):
    """That of updates of mb9k alone, in the folder of releases."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, Progress, N_("look which release runs, and remove this file"))


def replace_readable(path: Path, content: object) -> None:
    """Give a file other content as JSON, from one moment to the next, also on the disk. Raises OSError."""
    draft = path.with_name(f".{path.name}{DRAFT}")  # swept if it is left over
    with draft.open("wb") as file:
        file.write(msgspec.json.encode(content))
        file.flush()
        os.fsync(file.fileno())
    draft.chmod(0o644)  # the site shows it
    draft.rename(path)
    sync(path.parent)
