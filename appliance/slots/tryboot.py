"""Raspberry Pi: autoboot.txt names the partition that the firmware starts, and the one that it starts once when asked.

The firmware forgets that it was asked before it starts anything, so a crash, a hang or a power cut leads back to the
slot of before, which counts: what it needs for that stands in a comment of the same file. So there is one file, whole
at any moment. The firmware reads 512 bytes of it.
https://www.raspberrypi.com/documentation/computers/config_txt.html#autoboot-txt
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.language import _
from appliance.slots.loader import ATTEMPTS, SLOTS, known, other, replace_whole
from appliance.update.versions import UpdateError

_NOTE = re.compile(r"^# mb9k usual=([AB]) attempts_left=([0-9]) bad=([AB]*) tried=(yes|no)$", re.MULTILINE)
_PARTITION = re.compile(r"^boot_partition=([0-9]{1,2})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Autoboot:
    """What the file says. partitions: those of A and B. usual: the slot that the firmware starts.

    is_tried: whether the other one is to prove itself. attempts_left: how often it may still be started for that.
    bad: slots that must not be started.
    """

    partitions: tuple[int, int]
    usual: str
    is_tried: bool = False
    attempts_left: int = 0
    bad: frozenset[str] = frozenset("B")


def decode(text: str) -> Autoboot:
    """What a file says. One without our comment has partitions only: of A the first. Raises UpdateError."""
    found = [int(number) for number in _PARTITION.findall(text)]
    if len(found) != 2 or found[0] == found[1] or "tryboot_a_b=1" not in text.split():
        raise UpdateError(_("this is no autoboot.txt for two slots (tryboot_a_b=1, boot_partition= twice)"))
    note = _NOTE.search(text)
    if note is None:
        return Autoboot((found[0], found[1]), "A")
    partitions = (found[0], found[1]) if note[1] == "A" else (found[1], found[0])
    return Autoboot(partitions, note[1], note[4] == "yes", int(note[2]), frozenset(note[3]))


def encode(state: Autoboot) -> str:
    """The file that says so."""
    usual, tried = (state.partitions[SLOTS.index(slot)] for slot in (state.usual, other(state.usual)))
    note = f"# mb9k usual={state.usual} attempts_left={state.attempts_left} bad={''.join(sorted(state.bad))}"
    note += f" tried={'yes' if state.is_tried else 'no'}"
    return f"{note}\n[all]\ntryboot_a_b=1\nboot_partition={usual}\n[tryboot]\nboot_partition={tried}\n"


class Tryboot:
    """The autoboot.txt at a path, on the first FAT partition."""

    reboot_argument = "0 tryboot"

    def __init__(self, path: Path) -> None:
        self.path = path

    def primary(self) -> str:
        """The slot that is to start next. Raises UpdateError, OSError."""
        state = self.state()
        return other(state.usual) if state.is_tried else state.usual

    def set_primary(self, slot: str) -> None:
        """Have a slot tried; or, if it is the usual one, no other. Raises UpdateError, OSError."""
        state = self.state()
        is_tried = known(slot) != state.usual
        left = ATTEMPTS if is_tried else 0
        self._write(replace(state, is_tried=is_tried, attempts_left=left, bad=state.bad - {slot}))

    def is_good(self, slot: str) -> bool:
        """Whether a slot may be started. Raises UpdateError, OSError."""
        return known(slot) not in self.state().bad

    def set_good(self, slot: str, is_good: bool) -> None:
        """A slot that was tried and is good is the usual one from now on. Raises UpdateError, OSError."""
        state = self.state()
        bad = state.bad - {known(slot)} if is_good else state.bad | {slot}
        if slot == state.usual or not state.is_tried:
            self._write(replace(state, bad=bad))
        else:
            usual = slot if is_good else state.usual
            self._write(replace(state, usual=usual, is_tried=False, attempts_left=0, bad=bad))

    def begin_attempt(self) -> bool:
        """Count one down, if the other slot is tried and the usual one runs; none left: it is bad.

        Raises UpdateError, OSError.
        """
        state = self.state()
        if not state.is_tried:
            return False
        if state.attempts_left > 0:
            self._write(replace(state, attempts_left=state.attempts_left - 1))
            return True
        self.set_good(other(state.usual), False)
        return False

    def state(self) -> Autoboot:
        """What the file says. Raises UpdateError, OSError."""
        try:
            return decode(self.path.read_text("ascii"))
        except (UpdateError, UnicodeDecodeError) as error:
            raise UpdateError(
                _("{path}: {error}; image/README.md has one to put there", path=self.path, error=error)
            ) from error

    def _write(self, state: Autoboot) -> None:
        replace_whole(self.path, encode(state).encode("ascii"))
