"""How far an update of the system is, and how the last ones ended: two small files of root's.

They lie where both slots read them. Each is whole at any moment.
"""

from __future__ import annotations

import enum
from pathlib import Path

import msgspec

from appliance.language import N_
from appliance.update.journal import Steps


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


class Trials(Steps[Trial]):
    """Its two files, in a folder that is made when it is needed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, Trial, N_("look which slot runs (`mb9k slots`), and remove it"))

    def write(self, trial: Trial) -> None:
        """Note how far it is, on the disk. Raises OSError."""
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        super().write(trial)
