"""What an update would change, in the language of who reads it; it is noted in English, with the bundle."""

from __future__ import annotations

import re

from appliance.language import ENGLISH, P_, _, spoken
from appliance.retold import retold, told_as

BY_CENTRE = P_("who asked", "{name} at the centre")
_NOTE = re.compile(r"New: (.+)", re.DOTALL)
_PACKAGES = re.compile(r"Packages: (.+)\.", re.DOTALL)
_NEW_PACKAGE = re.compile(r"(\S+) (\S+) \(new\)")


def line_of_plan(line: str) -> str:
    """A line of a plan. What who makes the updates has written stays as it is, and so do names and versions."""
    if spoken() == ENGLISH:
        return line
    if note := _NOTE.fullmatch(line):
        return _("New: {note}", note=note[1])
    if packages := _PACKAGES.fullmatch(line):
        return _("Packages: {packages}.", packages=", ".join(map(_package, packages[1].split(", "))))
    return retold(line)


def who(by: str) -> str:
    """Who asked for an update, as it is on record."""
    return told_as(by, "who asked", BY_CENTRE)


def _package(text: str) -> str:
    """One that another version takes the place of, or a new one."""
    new = _NEW_PACKAGE.fullmatch(text)
    return _("{name} {version} (new)", name=new[1], version=new[2]) if new else text
