"""Secrets that were just made, kept in memory for the few minutes in which their maker copies them.

After a form comes a redirect, to a page that can be reloaded: reloading the answer to the form would make another one.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from appliance.times import Now
from appliance.web.compression import keep_apart

SHOWN_S = 300


@dataclass(frozen=True, slots=True)
class Shown:
    """A secret, what else its page tells of it, and until when that can be reloaded (seconds since 1970)."""

    secret: str
    about: Mapping[str, Any]
    until_utc: float
    until_uptime_s: float


class ShownSecrets:
    """The newest secret of each kind that each person made. For all threads of the site; a restart forgets them."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int], Shown] = {}
        self._lock = threading.Lock()

    def keep(self, what: str, person_id: int, secret: str, now: Now, **about: Any) -> None:
        """This person just made it. what: `stream 3`."""
        with self._lock:
            self._kept = {each: kept for each, kept in self._kept.items() if kept.until_uptime_s > now.uptime_s}
            self._kept[what, person_id] = Shown(secret, about, now.utc + SHOWN_S, now.uptime_s + SHOWN_S)

    def of(self, what: str, person_id: int, now: Now) -> Shown | None:
        """The secret, as long as it is shown, to nobody but who made it."""
        with self._lock:
            kept = self._kept.get((what, person_id))
        if kept is None or kept.until_uptime_s <= now.uptime_s:
            return None
        keep_apart(kept.secret)
        return kept
