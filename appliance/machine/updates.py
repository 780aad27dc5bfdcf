"""Root's part of an update that the page asked for: takes the bundle over, looks at it, and starts what installs it.

The bundle is copied to where only root writes before anything of it is believed: in the folder of uploads it could be
changed after it was verified. What installs it is a unit of its own, mb9k-update@.service: it outlives the page, this
process, and whatever systemd does to either.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from appliance.alone import alone
from appliance.config import Config
from appliance.disk import free_bytes
from appliance.errors import InputError, UserError
from appliance.language import N_, _
from appliance.machine.programs import run
from appliance.outside import system_words
from appliance.slots.either import prepare_either
from appliance.update.journal import Journal
from appliance.update.releases import DRAFT, Releases
from appliance.update.uploads import MB, open_upload
from appliance.update.versions import UpdateError, sentence

UNIT = "mb9k-update@{}.service"
CHUNK_BYTES = 1 << 20
SAY_S = 5.0
BUSY = N_("An update is under way, or was cut off and is still to be undone; wait until that is done.")


def begin(config: Config, file: str, say: Callable[[str], None]) -> str:
    """Have an upload installed, or the release before run again (no file); a sentence of what happens now.

    It goes on when this returns. Raises InputError, UserError.
    """
    releases = Releases(Path(config.update.releases))
    _refuse_during(releases)
    if not file:
        try:
            before = releases.before_current()
        except UpdateError as error:
            raise InputError(sentence(error)) from error
        run("systemctl", "start", "--no-block", UNIT.format("back"))
        return _("Going back to {release}.", release=before)
    with alone(releases.folder, "update"):
        say(N_("Taking the bundle over ..."))
        _take_over(config, file, releases, say)
        say(N_("Verifying it ..."))
        try:
            prepared = prepare_either(config, releases.waiting, time.time())
        except UserError as error:
            releases.waiting.unlink(missing_ok=True)
            raise InputError(sentence(error)) from error
    run("systemctl", "start", "--no-block", UNIT.format("waiting"))
    return _("Updating from {before} to {after}.", before=prepared.before, after=prepared.after)


def _refuse_during(releases: Releases) -> None:
    """Raise UserError if an update is under way."""
    try:
        if Journal(releases.folder).read():
            raise UserError(_(BUSY))
        with alone(releases.folder, "update"):
            return
    except UserError as error:
        raise UserError(_(BUSY)) from error


def _take_over(config: Config, file: str, releases: Releases, say: Callable[[str], None]) -> None:
    """Copy an upload to where only root writes. Raises InputError, UserError."""
    draft = releases.folder / f"{releases.waiting.name}{DRAFT}"
    try:
        with os.fdopen(open_upload(config.uploads_dir, file), "rb") as source:
            about = os.fstat(source.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise InputError(_("The upload is no file."))
            if about.st_size > config.update.upload_mb * MB:
                raise InputError(_("The upload is larger than this box takes."))
            if about.st_size > free_bytes(releases.folder):
                raise UserError(_("There is no room for it on the disk of {folder}.", folder=releases.folder))
            draft.unlink(missing_ok=True)
            with draft.open("xb") as copy:
                _copy(source, copy, about.st_size, say)
            draft.rename(releases.waiting)
    except OSError as error:
        raise UserError(
            _("The upload cannot be taken over ({strerror}); send it again.", strerror=system_words(error))
        ) from error
    finally:
        draft.unlink(missing_ok=True)


TAKING = N_("Taking the bundle over ... {percent} %")


def _copy(source: BinaryIO, copy: BinaryIO, size_bytes: int, say: Callable[[str], None]) -> None:
    """Copy so many bytes and no more: the file may grow meanwhile."""
    left_bytes, said_s = size_bytes, time.monotonic()
    while left_bytes and (chunk := source.read(min(CHUNK_BYTES, left_bytes))):
        copy.write(chunk)
        left_bytes -= len(chunk)
        if time.monotonic() - said_s > SAY_S:
            said_s = time.monotonic()
            say(TAKING.format(percent=100 - 100 * left_bytes // size_bytes))
    copy.flush()
    os.fsync(copy.fileno())
