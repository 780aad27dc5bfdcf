"""A bundle of the whole system: a file of RAUC's, whose description says in JSON what RAUC does not know.

RAUC verifies it, before anything of it is believed, and once more while it writes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from appliance.language import _
from appliance.outside import quoted, system_words
from appliance.processes import ended_child
from appliance.update.bundle import NEXT_STEP, Version
from appliance.update.versions import UpdateError

MAGIC = b"hsqs"  # of a squashfs, which every bundle of RAUC begins with
FORMAT = 1
INFO_S = 300
_SIGNER = re.compile(r"Verified \w+ signature by '(?:.*CN ?= ?)?(.+)'")


class Told(msgspec.Struct, frozen=True):
    """What the description says; later formats may say more. program: the mb9k in it. Else as in bundles of wheels."""

    format: int
    program: Version
    updates_from: Version
    schema: dict[str, int]
    notes: list[str] = []


class _Info(msgspec.Struct, frozen=True):
    compatible: Annotated[str, msgspec.Meta(max_length=200)]
    version: Version
    description: str
    build: Annotated[str, msgspec.Meta(max_length=200)]


@dataclass(frozen=True, slots=True)
class SystemBundle:
    """A bundle whose signature was right when it was looked at. version: the system's. signer: the name of who signed.

    compatible: the machine it is for. build: the version and, after a dash, which build of it.
    """

    path: Path
    compatible: str
    version: str
    build: str
    told: Told
    signer: str


def is_of_rauc(path: Path) -> bool:
    """Whether a file begins as RAUC's do; false if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def inspected(path: Path, system_conf: Path) -> SystemBundle:
    """What a bundle says of itself, after RAUC verified who signed it. Raises UpdateError.

    system_conf: RAUC's configuration, which names the authority.
    """
    command = ["rauc", "--conf", str(system_conf), "info", "--output-format=json", str(path.resolve())]
    try:
        code, out, err = ended_child(command, INFO_S)
    except OSError as error:
        raise UpdateError(_("`rauc`: {error}; install the package rauc", error=system_words(error))) from error
    if code:
        raise UpdateError(
            _(
                "{path} is not taken: {err}; {next_step}, or see docs/updates.md",
                path=path,
                err=_why(err),
                next_step=_(NEXT_STEP),
            )
        )
    try:
        info = msgspec.json.decode(out[out.index("{") :], type=_Info)
        told = msgspec.json.decode(info.description, type=Told)
    except (msgspec.DecodeError, ValueError) as error:
        raise UpdateError(
            _("{path} is signed, but no system of mb9k ({error}); tell who makes your updates", path=path, error=error)
        ) from error
    if told.format != FORMAT:
        raise UpdateError(
            _(
                "{path} is of a form that this version does not know ({format}); update to one before it",
                path=path,
                format=told.format,
            )
        )
    signer = _SIGNER.search(err)
    return SystemBundle(path, info.compatible, info.version, info.build, told, signer[1] if signer else "the authority")


def _why(err: str) -> str:
    """RAUC's last words, in ours where they are common."""
    said = " ".join((err.strip().splitlines() or [_("rauc said nothing")])[-1].split())[-300:]
    if "unable to get local issuer" in said or "self-signed certificate" in said or "self signed certificate" in said:
        return _("who signed it is not known to this box")
    if "certificate has expired" in said:
        return _("its signer's certificate has ended")
    if "certificate purpose" in said:
        return _("who signed it may not sign programs")
    return _("rauc says: {said}", said=quoted(said, 300))
