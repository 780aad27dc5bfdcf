"""All that is done at a start of the machine, in its order; each part alone, so that one cannot stop the others."""

from __future__ import annotations

import errno
import logging
import subprocess
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from appliance.errors import InputError, UserError
from appliance.first_boot import naming, wifi
from appliance.first_boot.hotspot import Run, run
from appliance.language import _
from appliance.notes import Notes

log = logging.getLogger(__name__)


def start(boot: Path, etc: Path, notes: Notes, run_program: Run = run) -> list[str]:
    """Name the machine and take over its Wi-Fi file; what went wrong, in words.

    boot: the partition that other computers can write, where the file lies. etc: the folder /etc.
    """
    problems = []
    parts: list[Callable[[], None]] = [
        partial(_name, etc),
        partial(_take_wifi, boot, etc, notes, run_program),
        partial(_tell_country, etc, run_program),
    ]
    for part in parts:
        try:
            part()
        except (OSError, UserError) as error:
            log.error("%s", error)
            problems.append(str(error))
    return problems


def _name(etc: Path) -> None:
    log.info("this machine is called %s", naming.name_machine(etc))


def _take_wifi(boot: Path, etc: Path, notes: Notes, run_program: Run) -> None:
    """Read the file, keep what it says, and only then remove it; a wrong one stays, to be mended. Raises OSError."""
    path = wifi.find(boot)
    if path is None:
        notes.say_wifi("")
        return
    try:
        found = wifi.read(path)
    except InputError as error:
        what_to_do = _("It stays on the card: correct it, and restart the box.")
        notes.say_wifi(f"{error} {what_to_do}")
        log.error("%s", error)
        return
    wifi.keep(found, etc)
    _writable(boot, lambda: wifi.wipe(path), run_program)
    notes.say_wifi(
        _(
            "The Wi-Fi “{ssid}” was taken from {file}. If it does not connect in a minute, its name or its"
            " password may be wrong: write the file again.",
            ssid=found.ssid,
            file=wifi.FILE,
        )
    )
    log.info("the Wi-Fi of %s was taken over, and the file removed", wifi.FILE)


def _tell_country(etc: Path, run_program: Run) -> None:
    """Tell the radio its country at each start, whether its code is loaded already or comes later. Raises OSError."""
    line = wifi.country_line(etc)
    if not line:
        return
    path = etc / "modprobe.d" / "mb9k-wifi.conf"
    if not path.exists() or path.read_text() != line:
        path.parent.mkdir(exist_ok=True)
        path.write_text(line)
        path.chmod(0o644)
    with suppress(OSError, subprocess.SubprocessError):  # not loaded yet, or there is no radio
        run_program(["iw", "reg", "set", line.strip()[-2:]])


def _writable(folder: Path, act: Callable[[], None], run_program: Run) -> None:
    """Act in a folder whose file system may be mounted for reading only. Raises OSError."""
    try:
        act()
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        run_program(["mount", "-o", "remount,rw", str(folder)])
        try:
            act()
        finally:
            run_program(["mount", "-o", "remount,ro", str(folder)])
