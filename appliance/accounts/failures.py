"""How many failed sign-ins get an entry of their own: whoever tries a million passwords must not fill the disk."""

from __future__ import annotations

import threading

MOST_A_MINUTE = 30


class Failures:
    """Counts; may be used by several threads at once. What got no entry of its own is told by the next one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minute = 0
        self._entries = 0
        self._left_out = 0

    def count(self, now_s: float) -> dict[str, int] | None:
        """One more. None: it gets no entry; else what its entry says of those before. now_s: by the uptime clock."""
        with self._lock:
            minute = int(now_s // 60)
            if minute != self._minute:
                self._minute, self._entries = minute, 0
            self._entries += 1
            if self._entries > MOST_A_MINUTE:
                self._left_out += 1
                return None
            return self._told()

    def left_out(self) -> dict[str, int]:
        """What an entry says of those that got none: how many; then they count no more."""
        with self._lock:
            return self._told()

    def _told(self) -> dict[str, int]:
        count, self._left_out = self._left_out, 0
        return {"failures_before": count} if count else {}
