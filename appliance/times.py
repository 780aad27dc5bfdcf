"""Time, passed in: the wall clock for what is stored, the uptime clock for how fresh something is."""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Now:
    """One moment on this machine.

    utc: seconds since 1970. Small boards without a clock jump when network time arrives.
    boot_id, uptime_s: which start of the machine, and seconds since it (counting sleep). Never jumps.
    """

    utc: float
    boot_id: str
    uptime_s: float


@lru_cache(maxsize=1)
def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def now() -> Now:
    """This moment."""
    return Now(time.time(), _boot_id(), time.clock_gettime(time.CLOCK_BOOTTIME))


MAX_ERROR_US = 16_000_000
"""What the kernel says of a clock that nobody has set right for long: it adds 500 ppm to the error since."""


def clock_is_synchronised() -> bool:
    """Whether something (timesyncd, chrony, ntpd) has lately set this machine's clock right, as the kernel knows it.

    By the largest possible error, as systemd does it: chrony without `rtcsync` leaves the flag STA_UNSYNC as it is.
    Reading needs no rights, and in a container tells of the host's clock; where it is not allowed: False.
    https://www.man7.org/linux/man-pages/man2/adjtimex.2.html
    """
    timex = (ctypes.c_long * 64)()  # modes (0: only read), offset, freq, maxerror, ...; larger than the struct is
    read = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    return read >= 0 and timex[3] < MAX_ERROR_US


def utc_text(utc: float) -> str:
    """Seconds since 1970 as stored: 2026-11-23T16:00:00.250Z. Sorts as text."""
    return datetime.fromtimestamp(utc, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc_seconds(text: str) -> float:
    """A time as stored, or any ISO 8601 time with or without a zone (then UTC). Raises ValueError."""
    moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00").replace("z", "+00:00"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return moment.timestamp()
