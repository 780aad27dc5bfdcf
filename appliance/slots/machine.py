"""What this machine says of itself: its slots, which system runs, for which machine it takes another."""

from __future__ import annotations

import configparser
from dataclasses import dataclass
from pathlib import Path

from appliance.language import N_, _
from appliance.outside import system_words
from appliance.sections import Slots
from appliance.slots.grubenv import Grub
from appliance.slots.jetson import Jetson
from appliance.slots.loader import Loader, current_slot
from appliance.slots.tryboot import Tryboot
from appliance.update.versions import UpdateError, number

ELSEWHERE = N_(
    "this machine has no second slot (slots.loader); update it with its package manager, and mb9k with a bundle"
)


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a machine says it. model: what the device tree calls the board; absent on a PC."""

    rauc: Path = Path("/etc/rauc/system.conf")
    build_id: Path = Path("/usr/lib/mb9k/build-id")
    command_line: Path = Path("/proc/cmdline")
    model: Path = Path("/proc/device-tree/model")

    def slot(self) -> str:
        """The slot that runs. Raises UpdateError, OSError."""
        return current_slot(self.command_line.read_text())

    def compatible(self) -> str:
        """For which machine a bundle must be. Raises UpdateError."""
        parsed = configparser.ConfigParser(strict=False, interpolation=None)
        try:
            parsed.read_string(self.rauc.read_text())
            return parsed["system"]["compatible"]
        except (OSError, configparser.Error, KeyError, UnicodeDecodeError) as error:
            raise UpdateError(
                _(
                    "{rauc}: {error}; it must say `compatible=`, see rauc's documentation",
                    rauc=self.rauc,
                    error=system_words(error),
                )
            ) from error

    def build(self) -> str:
        """Which system runs: its version and, after a dash, which build of that. Raises UpdateError: no image's."""
        try:
            build = self.build_id.read_text().strip()
        except OSError as error:
            raise UpdateError(f"{self.build_id}: {system_words(error)}: {_(ELSEWHERE)}") from error
        number(build)
        return build

    def loader(self, slots: Slots) -> Loader:
        """The bootloader that the configuration names. Raises UpdateError: there are no slots."""
        kind = slots.loader
        if kind == "auto":
            kind = "tryboot" if self._model().startswith("Raspberry Pi") else "grub"
        if kind == "grub":
            return Grub(Path(slots.grubenv))
        if kind == "tryboot":
            return Tryboot(Path(slots.autoboot))
        if kind == "jetson":
            return Jetson()
        raise UpdateError(_(ELSEWHERE))

    def _model(self) -> str:
        try:
            return self.model.read_text(errors="replace")
        except OSError:
            return ""
