"""How far an update of the system is, and how the last ones ended: two small files of root's.

They lie where both slots read them. Each is whole at any moment.
"""

from __future__ import annotations

import enum
from pathlib import Path

import msgspec

from appliance.update.journal import OUTCOMES_KEPT, Outcome, replace_readable
from appliance.update.versions import UpdateError


class Step(enum.Enum):
    """How far it is."""

    WRITING = "writing"  # into the slot that does not run; what runs is not touched
    TRYING = "trying"  # the record is copied, the other slot starts next and must prove itself


class Trial(msgspec.Struct, frozen=True):
    """A system that is to take over. before and after: versions, and the slots they are in.

    was_ailing: whether the watcher had a problem before, which is then no fault of the new one.
    """

    step: Step
    before: str
    after: str
    slot_before: str
    slot_after: str
    begun_utc: float
    was_ailing: bool = False


class Trials:
    """The two files in a folder, which is made when it is needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "update.json"
        self._outcomes = folder / "outcomes.json"

    def read(self) -> Trial | None:
        """The one under way, or cut off; None: there is none. Raises UpdateError, OSError."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Trial)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise UpdateError(f"{self.path}: {error}; look which slot runs (`mb9k slots`), and remove it") from error

    def write(self, trial: Trial) -> None:
        """Note how far it is. Raises OSError."""
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        replace_readable(self.path, trial)

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
