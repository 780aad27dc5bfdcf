"""What tests of recipients and of the mail server came to, kept in memory for the page after them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from appliance.errors import InputError, UserError
from appliance.language import N_, _
from appliance.times import Now

SHOWN_S = 900.0
AT_ONCE = 2
"""A server that does not answer holds a thread of the site for as long as it is waited for."""
BUSY = N_("Other tests are still waiting for an answer; try again in a minute.")


@dataclass(frozen=True, slots=True)
class Trial:
    """One test. ok: the message was taken. words: what came of it."""

    ok: bool
    words: str
    at_utc: float
    until_uptime_s: float


class Trials:
    """The last test of each; may be used by several threads at once. A site that restarts knows none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._last: dict[str, Trial] = {}

    def run(self, name: str, now: Now, send: Callable[[], str]) -> Trial:
        """Send a test; what it came to, which is kept. send: its words, or UserError. Raises InputError: busy."""
        with self._place():
            try:
                ok, words = True, send()
            except UserError as error:
                ok, words = False, str(error)
        with self._lock:
            self._last = {each: trial for each, trial in self._last.items() if trial.until_uptime_s > now.uptime_s}
            self._last[name] = trial = Trial(ok, words, now.utc, now.uptime_s + SHOWN_S)
        return trial

    def of(self, name: str, now: Now) -> Trial | None:
        """The last test of this name, while it is shown."""
        with self._lock:
            trial = self._last.get(name)
        return trial if trial and trial.until_uptime_s > now.uptime_s else None

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise InputError(_(BUSY))
        try:
            yield
        finally:
            self._places.release()
