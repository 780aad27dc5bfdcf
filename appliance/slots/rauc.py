"""RAUC writes a bundle into the slot that does not run."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from appliance.language import _
from appliance.outside import quoted
from appliance.update.versions import UpdateError

_PERCENT = re.compile(r"^\s*([0-9]{1,3})%\s")
EVERY_PERCENT = 10


def install(path: Path, say: Callable[[str], None]) -> None:
    """Write it; RAUC verifies all of it once more. say: is told how far it is. Raises UpdateError, OSError."""
    command = ["rauc", "install", str(path.resolve())]
    told, lines = -EVERY_PERCENT, list[str]()
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines = [*lines[-20:], line.strip()]
            found = _PERCENT.match(line)
            if found and int(found[1]) >= told + EVERY_PERCENT:
                told = int(found[1])
                say(f"Writing it: {told} %")
    if process.returncode:
        said = next((line for line in reversed(lines) if line and not _PERCENT.match(line)), _("rauc said nothing"))
        raise UpdateError(
            _("it could not be written ({said}); look into `journalctl -u rauc`", said=quoted(said[-300:], 300))
        )
