"""What the board under this box tells of itself while it runs: warmth, throttling, memory, load; where Linux has it.

root: `/`, or a copy of the few files for tests. What is not there is not told: None, or nothing.
"""

from __future__ import annotations

import enum
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")
HOT_C = 80.0
"""From here on boards slow down, and people are told."""
LITTLE_MEMORY = 0.05
"""Of all memory; with less to be had, the kernel may soon end a service."""
_BELIEVABLE_C = range(-40, 150)  # some boards have zones that are not wired, and say nonsense
_COOLERS = ("cpufreq", "thermal-cpufreq", "devfreq", "thermal-devfreq", "processor", "cpu", "gpu")
"""How the types of cooling devices begin that slow something down; others are fans."""


class Throttling(enum.Enum):
    """Why a board runs slower than it could. Values: bits of a Raspberry Pi's firmware; 16 higher: since it started.

    https://www.raspberrypi.com/documentation/computers/os.html#get_throttled
    """

    UNDER_VOLTAGE = 1 << 0
    CAPPED = 1 << 1
    THROTTLED = 1 << 2
    HOT = 1 << 3

    @property
    def label(self) -> str:
        """For programs: under_voltage."""
        return self.name.lower()


_SINCE_START = 16


@dataclass(frozen=True, slots=True)
class Throttled:
    """now, since_start: why it is, and was, slowed down. told: what this board can tell of at all."""

    now: frozenset[Throttling]
    since_start: frozenset[Throttling]
    told: frozenset[Throttling]


@dataclass(frozen=True, slots=True)
class Memory:
    """size_bytes: all of it; available_bytes: what a program could have without others being swapped out."""

    size_bytes: int
    available_bytes: int

    @property
    def is_short(self) -> bool:
        """Whether hardly any is left."""
        return self.available_bytes < LITTLE_MEMORY * self.size_bytes


@dataclass(frozen=True, slots=True)
class Board:
    """How the board is. temperatures_c: by zone. load: how many processes wanted to run, on average of a minute."""

    temperatures_c: dict[str, float]
    throttled: Throttled | None
    memory: Memory | None
    load: float | None
    processors: int

    @property
    def warmest_c(self) -> float | None:
        """The warmest zone; None: none has a thermometer."""
        return max(self.temperatures_c.values(), default=None)


def look(root: Path = ROOT) -> Board:
    """How it is just now."""
    load = _text(root / "proc/loadavg").partition(" ")[0]
    return Board(temperatures_c(root), throttled(root), memory(root), _number(load), os.cpu_count() or 1)


def temperatures_c(root: Path = ROOT) -> dict[str, float]:
    """Degrees Celsius by zone (`cpu-thermal`); of several zones of one name the warmest."""
    found: dict[str, float] = {}
    for zone in _children(root / "sys/class/thermal", "thermal_zone*"):
        reading = _number(_text(zone / "temp"))
        if reading is not None and int(reading / 1000) in _BELIEVABLE_C:
            name = _text(zone / "type") or zone.name
            found[name] = max(round(reading / 1000, 1), found.get(name, -273.0))
    return found


def throttled(root: Path = ROOT) -> Throttled | None:
    """Whether it is slowed down: as a Raspberry Pi's firmware says, else as cooling devices do; None: unknown."""
    soc = root / "sys/devices/platform"
    for path in (*_children(soc, "soc*/*firmware/get_throttled"), *_children(soc, "*firmware/get_throttled")):
        with suppress(ValueError):
            bits = int(_text(path), 16)
            since_start = bits >> _SINCE_START
            return Throttled(_reasons(bits), _reasons(since_start), frozenset(Throttling))
    coolers = _children(root / "sys/class/thermal", "cooling_device*")
    states = [_number(_text(each / "cur_state")) for each in coolers if _slows_down(_text(each / "type"))]
    if not states:
        return None
    hot = frozenset({Throttling.HOT})
    return Throttled(hot if any(state and state > 0 for state in states) else frozenset(), frozenset(), hot)


def _reasons(bits: int) -> frozenset[Throttling]:
    return frozenset(reason for reason in Throttling if bits & reason.value)


def _slows_down(kind: str) -> bool:
    return kind.lower().startswith(_COOLERS)


def memory(root: Path = ROOT) -> Memory | None:
    """How much memory there is; None: the kernel does not say."""
    lines = dict(line.split(":", 1) for line in _text(root / "proc/meminfo").splitlines() if ":" in line)
    with suppress(KeyError, ValueError, IndexError):
        size_kib, available_kib = (int(lines[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
        return Memory(size_kib * 1024, available_kib * 1024)
    return None


def _children(folder: Path, pattern: str) -> list[Path]:
    with suppress(OSError):
        return sorted(folder.glob(pattern))
    return []


def _number(text: str) -> float | None:
    with suppress(ValueError):
        return float(text)
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip("\0\n ")
    except OSError:
        return ""
