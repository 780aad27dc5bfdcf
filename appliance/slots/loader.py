"""What a bootloader must be able to tell and to be told of two slots: the contract of RAUC's custom backend.

https://rauc.readthedocs.io/en/latest/integration.html#custom
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from appliance.files import sync
from appliance.language import _
from appliance.update.versions import UpdateError

SLOTS = ("A", "B")
ATTEMPTS = 3
"""How often a slot may be started without proving itself, before the other one is."""
_ON_THE_COMMAND_LINE = re.compile(r"(?:^|\s)rauc\.slot=(\S+)")


class Loader(Protocol):
    """The state of a bootloader. A slot is A or B; what else is said of one raises UpdateError."""

    reboot_argument: str
    """What the reboot must be told that starts another slot than usual; empty: nothing."""

    def primary(self) -> str:
        """The slot that is to start next. Raises UpdateError, OSError."""

    def set_primary(self, slot: str) -> None:
        """Have this slot started from the next start on, ATTEMPTS times at most until it is good. Raises likewise."""

    def is_good(self, slot: str) -> bool:
        """Whether a slot may be started. Raises likewise."""

    def set_good(self, slot: str, is_good: bool) -> None:
        """Say that a slot proved itself; or that it must not be started. Raises likewise."""

    def begin_attempt(self) -> bool:
        """Whether the slot that runs must restart the machine now, for another attempt of the other one.

        Always false where the bootloader counts. Raises likewise.
        """


def other(slot: str) -> str:
    """The other slot."""
    return SLOTS[1 - SLOTS.index(known(slot))]


def known(slot: str) -> str:
    """The same. Raises UpdateError if it is no slot."""
    if slot not in SLOTS:
        raise UpdateError(_("there is no slot {slot!r}; there are {slots}", slot=slot, slots=" and ".join(SLOTS)))
    return slot


def current_slot(command_line: str) -> str:
    """The slot that runs, from the kernel's command line. Raises UpdateError."""
    found = _ON_THE_COMMAND_LINE.search(command_line)
    if found is None:
        raise UpdateError(
            _("the kernel's command line names no slot (rauc.slot=A): this machine was set up without slots")
        )
    return known(found[1])


def answer(loader: Loader, words: Sequence[str], command_line: str) -> str:
    """What RAUC's custom backend says to these words; empty: nothing. Raises UpdateError, OSError."""
    if words == ["get-primary"]:
        return loader.primary()
    if words == ["get-current"]:
        return current_slot(command_line)
    if len(words) == 2 and words[0] == "set-primary":
        loader.set_primary(known(words[1]))
        return ""
    if len(words) == 2 and words[0] == "get-state":
        return "good" if loader.is_good(known(words[1])) else "bad"
    if len(words) == 3 and words[0] == "set-state" and words[2] in ("good", "bad"):
        loader.set_good(known(words[1]), words[2] == "good")
        return ""
    raise UpdateError(
        _(
            "{words!r} is nothing that RAUC asks: get-primary, set-primary SLOT, get-state SLOT,"
            " set-state SLOT good|bad, get-current",
            words=" ".join(words),
        )
    )


def replace_whole(path: Path, content: bytes) -> None:
    """Give a file of a bootloader other content: a new file beside it, on the disk, then its name. Raises OSError.

    On FAT that is no transaction, but the name and where its file begins lie in one entry of one sector: Linux writes
    that entry again, and whoever reads finds the old file or the new one. What may be left is a file too many.
    """
    draft = path.with_suffix(".new")  # always the same: of cuts, one file is left at most
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
        sync(path.parent)
    finally:
        draft.unlink(missing_ok=True)
