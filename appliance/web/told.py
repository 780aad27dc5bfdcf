"""What was done, said once: a form leads to another page, and the next page of whoever sent it says what happened.

In memory, by the CSRF token of a session, or of the browser of somebody who just signed out; a restart forgets it. Not
in the address: there it would be said again at each reload, and to whoever is sent the address.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from bottle import request

KEPT_S = 60.0
OF_ALL = 200  # the oldest goes
BY_SCRIPT = "X-By-Script"
"""The header of a request by which a script asks for a page that nobody looks at yet (app.js)."""


@dataclass(frozen=True, slots=True)
class Happened:
    """What a form did, in words. is_whole: False: something is left for the reader to do, or to look at."""

    sentence: str
    is_whole: bool = True


class Told:
    """The newest of these for each session. For all threads of the site."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._kept: dict[str, tuple[Happened, float]] = {}
        self._lock = threading.Lock()

    def keep(self, session: str, happened: Happened) -> None:
        """Its next page says this."""
        now_s = self._monotonic_s()
        with self._lock:
            self._kept = {each: kept for each, kept in self._kept.items() if kept[1] > now_s and each != session}
            while len(self._kept) >= OF_ALL:
                del self._kept[next(iter(self._kept))]
            self._kept[session] = happened, now_s + KEPT_S

    def take(self, session: str) -> Happened | None:
        """What the page is to say that is shown to this session now."""
        with self._lock:
            happened, until_s = self._kept.pop(session, (None, 0.0))
        return happened if until_s > self._monotonic_s() else None


def is_looked_at() -> bool:
    """Whether somebody sees the page that answers the present request."""
    return bool(request.method == "GET" and BY_SCRIPT not in request.headers)
