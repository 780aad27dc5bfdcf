"""Time, passed in: the wall clock for what is stored, the uptime clock for how fresh something is."""

from __future__ import annotations

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


def utc_text(utc: float) -> str:
    """Seconds since 1970 as stored: 2026-11-23T16:00:00.250Z. Sorts as text."""
    moment = datetime.fromtimestamp(utc, timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def utc_seconds(text: str) -> float:
    """A time as stored, or any ISO 8601 time with or without a zone (then UTC). Raises ValueError."""
    moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00").replace("z", "+00:00"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return moment.timestamp()
