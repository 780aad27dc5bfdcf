"""A release from the wheels of a bundle, without any network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from appliance.disk import LOG_BYTES, free_bytes
from appliance.language import N_, _
from appliance.outside import quoted, system_words
from appliance.processes import ended_child
from appliance.update.bundle import Bundle, stage
from appliance.update.releases import Releases
from appliance.update.versions import UpdateError

PIP_S = 3600
MB = 1_000_000
NOT_MADE = N_("the environment cannot be made ({said})")
NOT_INSTALLED = N_("its wheels cannot be installed ({said})")


def refuse_too_full(
    bundle: Bundle, releases: Releases, state: Path, record_bytes: int, leave_bytes: int, copy_bytes: int = 0
) -> int:
    """How many bytes the release and two copies of the record need. Raises UpdateError if there is no room for them.

    leave_bytes: what must be left on the record's disk, or the box would delete images to have that. copy_bytes: of a
    copy of the bundle that is still to be made.
    """
    needed = {
        releases.folder: bundle.manifest.bundle_bytes + bundle.manifest.installed_bytes + copy_bytes,
        state: 2 * record_bytes + max(LOG_BYTES, leave_bytes),
    }
    if releases.folder.stat().st_dev == state.stat().st_dev:
        needed = {releases.folder: sum(needed.values())}
    for folder, needed_bytes in needed.items():
        missing_bytes = needed_bytes - free_bytes(folder)
        if missing_bytes > 0:
            raise UpdateError(
                _(
                    "there is no room: {mb} MB are needed on the disk of {folder}, {mb_2} MB more"
                    " than are free; keep images for fewer days, and try again",
                    mb=needed_bytes // MB + 1,
                    folder=folder,
                    mb_2=missing_bytes // MB + 1,
                )
            )
    return bundle.manifest.bundle_bytes + bundle.manifest.installed_bytes + copy_bytes + 2 * record_bytes


def build(bundle: Bundle, releases: Releases, like: str) -> None:
    """Make the release, in its own place: an environment cannot be moved. Raises UpdateError, OSError.

    Until the journal says otherwise it does not count. like: the release after which it is made (whether it sees the
    packages of the system, as on a JetPack).
    """
    releases.sweep()
    wheels = stage(bundle, releases.wheels)
    folder = releases.folder / bundle.manifest.version
    options = ["--system-site-packages"] if _sees_system(releases.folder / like) else []
    _run([sys.executable, "-I", "-m", "venv", "--without-pip", *options, str(folder)], NOT_MADE)
    installers = [wheel for wheel in wheels if wheel.name.startswith("pip-")]
    if not installers:
        raise UpdateError(_("{path} brings no pip to install it with; tell who makes your updates", path=bundle.path))
    python = folder / "bin" / "python"
    install = [str(python), "-I", str(installers[0] / "pip"), "--isolated", "--disable-pip-version-check", "install"]
    offline = ["--no-index", "--no-deps", "--no-cache-dir", "--no-input", "--quiet", "--root-user-action=ignore"]
    packages = [str(wheel) for wheel in wheels if wheel not in installers]
    _run([*install, *offline, *packages], NOT_INSTALLED)
    shutil.rmtree(releases.wheels)
    os.sync()  # before anything is switched to it


def _sees_system(folder: Path) -> bool:
    try:
        lines = (folder / "pyvenv.cfg").read_text().splitlines()
    except OSError:
        return False
    return any(line.replace(" ", "").lower() == "include-system-site-packages=true" for line in lines)


def _run(command: list[str], what: str) -> None:
    """what: the sentence for when it fails, for what it `said`."""
    try:
        code, _out, err = ended_child(command, PIP_S, cwd="/", umask=0o022)  # the box's user must be able to read it
    except (OSError, subprocess.SubprocessError) as error:
        raise UpdateError(_(what, said=quoted(system_words(error)))) from error
    if code:
        lines = [line for line in err.splitlines() if line.strip()] or [_("it said nothing")]
        said = next((line for line in lines if line.startswith("ERROR: ")), lines[-1])
        raise UpdateError(_(what, said=quoted(said.removeprefix("ERROR: "), 300)))
