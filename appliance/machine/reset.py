"""A factory reset: the box forgets whom it belonged to and what it saw, and can be claimed again.

An image wipes its data before it mounts them, at a start at which it finds machine.reset_file; everything goes. On any
other machine the box's own folders are emptied. What was begun is ended, also after a power cut: a mark is written
first, and mb9k-reset.service looks for it at each start, before the services.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from appliance.config import Config
from appliance.errors import InputError, UserError
from appliance.files import sync
from appliance.language import _
from appliance.machine import ssh
from appliance.machine.programs import ANSWER_S, run
from appliance.machine.requests import FactoryReset
from appliance.outside import system_words
from appliance.service import SERVICES

log = logging.getLogger(__name__)
UNITS = ("mb9k.target", *(service.unit for service in SERVICES))
MARK = "reset-begun"
STOP_S = 120.0
WIPE_S = 3600.0  # a large card full of small files


def begin(config: Config, asked: FactoryReset) -> tuple[str, Callable[[], None]]:
    """Check that it is meant, and note it on the disk; what happens now, and what does it.

    Nothing is lost before what is returned is called. Raises InputError, UserError.
    """
    if asked.confirmed.strip().lower() != socket.gethostname().lower():
        raise InputError(
            _("To wipe this box, type its name in the network: {gethostname}.", gethostname=socket.gethostname())
        )
    mark = Path(config.machine.reset_file) if config.machine.reset_file else mark_path(config)
    try:
        handle = os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        os.fsync(handle)
        os.close(handle)
        sync(mark.parent)
    except OSError as error:
        raise UserError(
            _("{mark} cannot be written ({strerror}), so nothing was wiped.", mark=mark, strerror=system_words(error))
        ) from error
    if config.machine.reset_file:
        return _("The machine restarts now, and wipes everything."), lambda: _soon(lambda: run("systemctl", "reboot"))
    return _("The box is wiped now."), lambda: _soon(lambda: wipe(config))


def mark_path(config: Config) -> Path:
    """What says that a reset was begun: in a folder of root's."""
    return Path(config.update.releases) / MARK


def wipe(config: Config, *, at_boot: bool = False) -> None:
    """Empty the box's folders and start it again. at_boot: nothing runs yet, and others start it. Raises UserError."""
    if not at_boot:
        run("systemctl", "stop", *UNITS, timeout_s=STOP_S)
    try:
        for folder in (config.state, config.run):
            if folder.is_dir():
                _empty(folder)
        if "ssh" in config.machine.may and Path(config.machine.ssh_dir).is_dir():
            ssh.forget(config)
        mark_path(config).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            _(
                "{filename}: {strerror}, so not everything was wiped.",
                filename=error.filename,
                strerror=system_words(error),
            )
        ) from error
    finally:
        if not at_boot:
            run("systemctl", "start", "mb9k.target", timeout_s=STOP_S)


def _empty(folder: Path) -> None:
    """Remove all in a folder, whoever put it there. Raises UserError.

    find follows no link and stays on this disk: what is mounted below, such as a disk of copies, is another's, too.
    """
    if folder.is_symlink() or folder.parent == folder:
        raise UserError(_("{folder} is no folder of the box's own, so nothing was wiped.", folder=folder))
    removed = ["(", "-type", "d", "-empty", "-o", "-not", "-type", "d", ")", "-delete"]
    run("find", folder, "-xdev", "-depth", "-mindepth", "1", *removed, timeout_s=WIPE_S)


def _soon(act: Callable[[], object]) -> None:
    """Once the page has answered."""
    time.sleep(ANSWER_S)
    try:
        act()
    except UserError as error:
        log.error("%s", error)
