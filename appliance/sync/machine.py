"""What the machine under this box says of itself: which one it is, how warm, how full; and its light, by which people
find it. All of it is read where Linux has it; what is not there is not told.

root: `/`, or a copy of the few files for tests.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from appliance import board
from appliance.disk import free_bytes

ROOT = Path("/")
DIGEST_CHARACTERS = 16
_SERIALS = ("proc/device-tree/serial-number", "sys/class/dmi/id/product_uuid", "sys/class/dmi/id/board_serial")
_LIGHTS = ("ACT", "led0", "act", "PWR", "led1")
BLINKING = "timer"


def digest(root: Path = ROOT) -> str:
    """Which machine this is: the beginning of a SHA-256 of what its hardware is numbered by, in hex.

    The card can be put into another machine, and a copy of it into a third: neither takes this along.
    """
    named = next(_numbers(root), "")
    return hashlib.sha256(named.encode()).hexdigest()[:DIGEST_CHARACTERS]


def _numbers(root: Path) -> Iterator[str]:
    for name in _SERIALS:
        if serial := _text(root / name):
            yield serial
    # Only what is a device: addresses of bridges and containers are made up at each start.
    yield from sorted(
        _text(path / "address") for path in _children(root / "sys/class/net") if (path / "device").exists()
    )
    yield _text(root / "etc/machine-id")
    yield platform.node()


def hardware(root: Path = ROOT) -> str:
    """What kind of machine it is, for people: `Raspberry Pi 5 Model B Rev 1.0`."""
    model = _text(root / "proc/device-tree/model")
    made = [_text(root / "sys/class/dmi/id" / name) for name in ("sys_vendor", "product_name")]
    return (model or " ".join(word for word in made if word) or platform.machine())[:80]


def temperature_c(root: Path = ROOT) -> float | None:
    """The warmest part that has a thermometer, in degrees Celsius; None: none has."""
    return max(board.temperatures_c(root).values(), default=None)


def disk_free_mb(folder: Path) -> int | None:
    """How much room there is for the record, MB; None: it cannot be told."""
    with suppress(OSError):
        return free_bytes(folder) // 1_000_000
    return None


class Light:
    """The light of a board, where this process may switch it."""

    def __init__(self, root: Path = ROOT) -> None:
        lights = (root / "sys/class/leds" / name / "trigger" for name in _LIGHTS)
        self._trigger = next((path for path in lights if os.access(path, os.W_OK)), None)
        self._before: str | None = None

    def blink(self) -> bool:
        """Begin to blink; whether there is a light that does."""
        if self._trigger is None or self._before is not None:
            return self._before is not None
        try:
            words = self._trigger.read_text().split()
            self._trigger.write_text(BLINKING)
        except OSError:
            return False
        self._before = next((word.strip("[]") for word in words if word.startswith("[")), "none")
        return True

    def stop(self) -> None:
        """Do again what it did before."""
        if self._trigger is not None and self._before is not None:
            with suppress(OSError):
                self._trigger.write_text(self._before)
            self._before = None


def _children(folder: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(folder.iterdir())
    return []


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip("\0\n ")
    except OSError:
        return ""
