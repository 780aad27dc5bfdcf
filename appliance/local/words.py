"""What the box says to people: times, problems, services, in plain words. Pure functions."""

from __future__ import annotations

from appliance.disk import MAKE_ROOM
from appliance.faces import State
from appliance.rates import Rate
from appliance.service import SERVICES
from appliance.store import ServiceStatus

STATE_WORDS = {
    State.MASK: "Mask",
    State.NO_MASK: "No mask",
    State.INCORRECT: "Worn incorrectly",
    State.UNKNOWN: "Unknown",
}


LONG_KEY_INTERVAL_S = 4  # rarer key frames are worth a word
DISK_FULL = (
    f"The disk of the box is full, so no images are kept, and new detections may have to wait in memory. {MAKE_ROOM}"
)
UNKNOWN_WHILE_FULL = "While the disk of the box is full, it cannot be told whether this runs: {names}."


def service_problems(services: list[ServiceStatus], disk_is_full: bool = False) -> list[str]:
    """What is wrong with the services, a sentence or two each; empty when all is well.

    disk_is_full: then a service that is not heard of could not write that it lives.
    """
    alive = {service.name: service for service in services if service.alive}
    missing = [service for service in SERVICES if service.without_it and service.name not in alive]
    problems = [service.problem for service in alive.values() if service.problem]
    if disk_is_full:
        names = ", ".join(f"`{service.name}`" for service in missing)
        unknown = [UNKNOWN_WHILE_FULL.format(names=names)] if missing else []
        return [DISK_FULL, *unknown, *problems]
    return [
        f"{service.without_it} If this stays for more than a minute, restart the box, or start it by hand with"
        f" `mb9k {service.name}`."
        for service in missing
    ] + problems


def key_frame_interval(interval_s: int | None) -> str:
    """How often a picture can begin, as far as that is known: `, a key frame every 17 s`."""
    return f", a key frame every {interval_s} s" if interval_s and interval_s >= 1 else ""


def duration(seconds: float) -> str:
    """How long something has lasted: `under a minute`, `5 min`, `3 h 20 min`, `4 days`."""
    minutes = int(max(0.0, seconds) // 60)
    if minutes < 1:
        return "under a minute"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days = hours // 24
    return f"{days} day{'s' if days > 1 else ''}"


def percent(ratio: float) -> str:
    """A ratio as a person reads it: 82 %."""
    return f"{100 * ratio:.0f} %"


def rate_words(rate: Rate | None) -> str:
    """A compliance rate with its interval and n, or that there is not enough to say one."""
    if rate is None:
        return "not enough data"
    return f"{percent(rate.value)} ({100 * rate.low:.0f} to {100 * rate.high:.0f} %, n = {rate.n})"


def number(count: int) -> str:
    """12 345, with narrow no-break spaces."""
    return f"{count:,}".replace(",", "\u202f")
