"""Versions, and what a bundle was built for: compared here, and nowhere else."""

from __future__ import annotations

import platform
import re
import sys

from appliance.errors import UserError
from appliance.language import N_, _

VERSION = r"^[0-9]{1,6}(\.[0-9]{1,6}){1,3}$"
_NAME = re.compile(r"^([0-9]{1,6}(?:\.[0-9]{1,6}){1,3})(?:[-+][A-Za-z0-9._+-]{1,60})?$")


class UpdateError(UserError):
    """An update cannot be made, or was undone; one line that names the next step."""


ELSEWHERE = N_("this box was set up in another way; update it in that way, with pip for one")


def sentence(error: Exception) -> str:
    """What an error says, as pages say it: with a capital letter and a full stop."""
    text = str(error).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."


def is_version(name: str) -> bool:
    """Whether a release may have this name: 0.2.0, also with a suffix, as 0.2.0-test."""
    return _NAME.match(name) is not None


def order(version: str) -> tuple[int, ...]:
    """What to sort versions by: their numbers; a suffix says nothing of older or newer. 0.2 and 0.2.0 are the same."""
    numbers = [int(part) for part in number(version).split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def number(name: str) -> str:
    """The version in the name of a release: 0.2.0 of 0.2.0-1a2b. Raises UpdateError."""
    match = _NAME.match(name)
    if match is None:
        raise UpdateError(_("{name!r} is no version: it must be like 0.2.0", name=name))
    return match[1]


def span(seconds: float) -> str:
    """A time for people: 5 minutes, 8 s."""
    return _("{minutes} minutes", minutes=f"{seconds / 60:g}") if seconds >= 120 else f"{seconds:g} s"


def this_python() -> str:
    """The Python that runs, as a bundle names it: 3.11."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def this_machine() -> str:
    """The processor, as a bundle names it: x86_64 or aarch64."""
    return platform.machine()
