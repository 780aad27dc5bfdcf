"""What the watcher says of a stream just now."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from appliance.faces import Health, Work
from appliance.watch.views import Fault


@dataclass(frozen=True, slots=True)
class Status:
    """What the store says of a stream just now."""

    live: bool
    remote: str | None = None
    problem: str | None = None
    watch_problem: str | None = None
    codec: str = ""
    width: int = 0
    height: int = 0
    transport: str | None = None
    key_interval_s: int | None = None
    decoded_by: str | None = None
    health: Health = field(default_factory=Health)
    work: Work = field(default_factory=Work)
    fault: Fault | None = None  # of the picture that comes

    @property
    def is_judged(self) -> bool:
        """Whether whoever passes is counted."""
        return self.live and self.problem is None


def but_for_health(status: Status, stored: Status | None) -> Status:
    """The status, but as it is stored where only its health or work differs."""
    held = stored and replace(status, health=stored.health, work=stored.work)
    return stored if stored is not None and held == stored else status
