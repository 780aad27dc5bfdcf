"""What the centre says to people, in plain words. Pure functions; views find all of them under `words`."""

from __future__ import annotations

from appliance.central.store import Box
from appliance.central.viewer.condition import Age
from appliance.web.words import duration as duration
from appliance.web.words import number as number
from appliance.web.words import percent as percent
from appliance.web.words import rate_words as rate_words

ACTIONS = {
    "identify": "Identify: it shows itself for a minute",
    "restart": "Restart a service",
    "send_again": "Send everything again",
    "rotate_key": "Give a stream a new key",
}
SERVICES = ("watch", "ingest", "gate", "serve", "sync")
"""What can be restarted on a box."""
STATUS = {"running": "running", "stopped": "stopped on purpose", "gone": "lost its connection", "": "not heard of yet"}
UNKNOWN = "not known"
CLOCK = {"believed": "confirmed", "unknown": "not confirmed", "leapt": "jumped", "": "not known"}


def age(kind: Age, age_s: float | None) -> str:
    """How old data is: `fresh`, `3 min old`, `nothing yet`."""
    if age_s is None:
        return "nothing yet"
    return "fresh" if kind is Age.FRESH else f"{duration(age_s)} old"


def megabytes(free_mb: int | None) -> str:
    """Room on a disk: 900 MB, 12 GB."""
    if free_mb is None:
        return UNKNOWN
    return f"{number(free_mb)} MB" if free_mb < 2000 else f"{number(round(free_mb / 1000))} GB"


def degrees(temperature_c: float | None) -> str:
    """A temperature."""
    return UNKNOWN if temperature_c is None else f"{temperature_c:.0f} °C"


def share(part: float, whole: float) -> str:
    """How much of a time was watched."""
    return percent(min(1.0, part / whole)) if whole > 0 else UNKNOWN


def machine(box: Box) -> str:
    """Version, disk and temperature in a line, as far as they are known."""
    known = [box.version]
    known += [] if box.disk_free_mb is None else [f"{megabytes(box.disk_free_mb)} of disk free"]
    known += [] if box.temperature_c is None else [degrees(box.temperature_c)]
    return " · ".join(part for part in known if part)
