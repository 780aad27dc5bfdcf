"""Stream keys that were just made, kept in memory for the few minutes in which their maker copies them."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from appliance.times import Now

SHOWN_S = 300


@dataclass(frozen=True, slots=True)
class ShownKey:
    """A key, who made it, and until when its page can be reloaded (seconds since 1970)."""

    key: str
    person_id: int
    until_utc: float
    until_uptime_s: float


class ShownKeys:
    """The newest key of each stream. For all threads of the site; a site that restarts knows none."""

    def __init__(self) -> None:
        self._keys: dict[int, ShownKey] = {}
        self._lock = threading.Lock()

    def keep(self, stream_id: int, person_id: int, key: str, now: Now) -> None:
        """This person just made this key."""
        with self._lock:
            self._keys = {each: kept for each, kept in self._keys.items() if kept.until_uptime_s > now.uptime_s}
            self._keys[stream_id] = ShownKey(key, person_id, now.utc + SHOWN_S, now.uptime_s + SHOWN_S)

    def of(self, stream_id: int, person_id: int, now: Now) -> ShownKey | None:
        """The key, as long as it is shown, to nobody but who made it."""
        with self._lock:
            kept = self._keys.get(stream_id)
        return kept if kept and kept.person_id == person_id and kept.until_uptime_s > now.uptime_s else None
