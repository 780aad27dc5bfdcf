"""GRUB: which slot it starts stands in its environment block; grub.cfg of the image reads and writes it, too.

The block is a file of 1024 bytes, `NAME=VALUE` lines after a first one, filled up with `#`: GRUB writes it in place and
knows no other size. https://www.gnu.org/software/grub/manual/grub/html_node/Environment-block.html

ORDER: the slots, the one that is to start first. X_OK: 1 if slot X may be started. X_TRY: how often it was started
since it last was good. RAUC's own backend for GRUB reads and writes the same, though it knows one attempt only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from appliance.language import _
from appliance.slots.loader import ATTEMPTS, SLOTS, known, other, replace_whole
from appliance.update.versions import UpdateError

BLOCK_BYTES = 1024
HEAD = b"# GRUB Environment Block\n"
_LINE = re.compile(r"^([A-Za-z_][A-Za-z0-9_]*)=(.*)$")


def decode(block: bytes) -> dict[str, str]:
    """The variables of a block. Raises UpdateError: it is none."""
    if len(block) != BLOCK_BYTES or not block.startswith(HEAD):
        raise UpdateError(_("this is no environment block of GRUB (1024 bytes that begin with their name)"))
    found: dict[str, str] = {}
    for line in block[len(HEAD) :].decode("ascii", "replace").replace("\\\n", "").split("\n"):
        if match := _LINE.match(line):
            found[match[1]] = re.sub(r"\\(.)", r"\1", match[2])
    return found


def encode(variables: Mapping[str, str]) -> bytes:
    """The block of these variables. Raises UpdateError: they have no room in it."""
    lines = (f"{name}=" + value.replace("\\", "\\\\") + "\n" for name, value in variables.items())
    text = HEAD + "".join(lines).encode("ascii")
    if len(text) > BLOCK_BYTES:
        raise UpdateError(_("the variables have no room in GRUB's environment block; remove those that are not mb9k's"))
    return text.ljust(BLOCK_BYTES, b"#")


@dataclass(frozen=True, slots=True)
class Choice:
    """What GRUB starts, and the variables afterwards. starts_over: no slot qualified, so the counters began again."""

    slot: str
    variables: dict[str, str]
    starts_over: bool = False


def choose(variables: Mapping[str, str]) -> Choice:
    """What image/'s grub.cfg does with these variables, in Python: the first in ORDER that is OK and has attempts left.

    If there is none, all counters start over and the first that is OK is started; if no slot is OK, the first.
    """
    order, after = _order(variables), dict(variables)
    fit = [slot for slot in order if _is_ok(variables, slot) and _attempts(variables, slot) < ATTEMPTS]
    if not fit:
        after.update({f"{slot}_TRY": "0" for slot in SLOTS})
    chosen = (fit or [slot for slot in order if _is_ok(variables, slot)] or order)[0]
    after[f"{chosen}_TRY"] = str(_attempts(after, chosen) + 1)
    return Choice(chosen, after, starts_over=not fit)


class Grub:
    """The environment block at a path."""

    reboot_argument = ""

    def __init__(self, path: Path) -> None:
        self.path = path

    def primary(self) -> str:
        """The slot that GRUB starts next. Raises UpdateError, OSError."""
        return choose(self.variables()).slot

    def set_primary(self, slot: str) -> None:
        """Put a slot first, with all its attempts. Raises UpdateError, OSError."""
        self._change({f"{known(slot)}_OK": "1", f"{slot}_TRY": "0", "ORDER": f"{slot} {other(slot)}"})

    def is_good(self, slot: str) -> bool:
        """Whether a slot is OK and has attempts left. Raises UpdateError, OSError."""
        variables = self.variables()
        return _is_ok(variables, known(slot)) and _attempts(variables, slot) < ATTEMPTS

    def set_good(self, slot: str, is_good: bool) -> None:
        """Let it be OK or not; its attempts are all left. Raises UpdateError, OSError."""
        self._change({f"{known(slot)}_OK": "1" if is_good else "0", f"{slot}_TRY": "0"})

    def begin_attempt(self) -> bool:
        """False: GRUB counts."""
        return False

    def variables(self) -> dict[str, str]:
        """What stands in the block. Raises UpdateError, OSError."""
        try:
            return decode(self.path.read_bytes())
        except UpdateError as error:
            raise UpdateError(
                _("{path}: {error}; `grub-editenv {path} create` makes an empty one", path=self.path, error=error)
            ) from error

    def _change(self, changes: Mapping[str, str]) -> None:
        replace_whole(self.path, encode({**self.variables(), **changes}))


def _order(variables: Mapping[str, str]) -> list[str]:
    named = [slot for slot in variables.get("ORDER", "").split() if slot in SLOTS]
    return list(dict.fromkeys([*named, *SLOTS]))


def _is_ok(variables: Mapping[str, str], slot: str) -> bool:
    return variables.get(f"{slot}_OK") == "1"


def _attempts(variables: Mapping[str, str], slot: str) -> int:
    text = variables.get(f"{slot}_TRY", "0")
    return min(int(text), ATTEMPTS) if text.isdecimal() else 0
