"""Jetson: the UEFI firmware counts attempts and chooses; NVIDIA's program `nvbootctrl` speaks with it.

Needs a root file system in two slots (flashed with ROOTFS_AB=1). Not tried on a board; by NVIDIA's guide:
https://docs.nvidia.com/jetson/archives/r36.4/DeveloperGuide/SD/RootFileSystem.html#rootfs-redundancy
"""

from __future__ import annotations

import re
import subprocess

from appliance.language import _
from appliance.outside import quoted, system_words
from appliance.slots.loader import SLOTS, known
from appliance.update.versions import UpdateError

TIMEOUT_S = 60
_ACTIVE = re.compile(r"^Active rootfs slot:\s*([AB])\s*$", re.MULTILINE)
_STATUS = re.compile(r"^slot:\s*([01]),.*\bstatus:\s*(.+?)\s*$", re.MULTILINE)


def active(said: str) -> str:
    """The slot that starts next, of what `dump-slots-info` says. Raises UpdateError."""
    found = _ACTIVE.search(said)
    if found is None:
        raise UpdateError(_("nvbootctrl names no slot; flash this board with ROOTFS_AB=1"))
    return found[1]


def statuses(said: str) -> dict[str, str]:
    """What it says of each slot: normal, unbootable."""
    return {SLOTS[int(number)]: status for number, status in _STATUS.findall(said)}


class Jetson:
    """What the firmware knows."""

    reboot_argument = ""

    def primary(self) -> str:
        """The slot that starts next. Raises UpdateError."""
        return active(_nvbootctrl("dump-slots-info"))

    def set_primary(self, slot: str) -> None:
        """Have this slot started. Raises UpdateError."""
        _nvbootctrl("set-active-boot-slot", str(SLOTS.index(known(slot))))

    def is_good(self, slot: str) -> bool:
        """Whether the firmware would start it. Raises UpdateError."""
        return statuses(_nvbootctrl("dump-slots-info")).get(known(slot)) == "normal"

    def set_good(self, slot: str, is_good: bool) -> None:
        """Tell the firmware. Only the slot that runs can be said to be good. Raises UpdateError."""
        if is_good:
            _nvbootctrl("mark-boot-successful")
        else:
            _nvbootctrl("set-slot-as-unbootable", str(SLOTS.index(known(slot))))

    def begin_attempt(self) -> bool:
        """False: the firmware counts."""
        return False


def _nvbootctrl(*words: str) -> str:
    """What it says of the slots of the root file system."""
    command = ["nvbootctrl", "-t", "rootfs", *words]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UpdateError(
            _("`{command}`: {error}; is this a Jetson?", command=" ".join(command), error=quoted(system_words(error)))
        ) from error
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[-300:]
        raise UpdateError(_("`{command}` failed ({said}); it may need root", command=" ".join(command), said=said))
    return done.stdout
