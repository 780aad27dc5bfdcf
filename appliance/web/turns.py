"""Few answers are made at once: those that contend for the interpreter take longer together than one after another.

CPython runs one thread at a time, and sqlite3 hands the interpreter over at every row it reads: six threads that make
answers take a fifth to a third more of the processor for each than two. With two, one computes while the disk or SQLite
works for the other.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

AT_ONCE = 2
LONGEST_S = 0.5  # whoever takes longer waits for something outside, as a disk or root, and keeps nobody back


class Turns:
    """Turns for the threads of one process, in the order in which they ask."""

    def __init__(self, at_once: int = AT_ONCE, longest_s: float = LONGEST_S) -> None:
        self._at_once, self._longest_s = at_once, longest_s
        self._waiting: deque[object] = deque()
        self._begun_s: dict[object, float] = {}
        self._changed = Condition()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for a turn, and have it until the end of the block, or for `longest_s`."""
        me = object()
        with self._changed:
            self._waiting.append(me)
            try:
                while self._waiting[0] is not me or not self._is_free():
                    self._changed.wait(self._until_free_s())
                self._begun_s[me] = time.monotonic()
            finally:
                self._waiting.remove(me)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                del self._begun_s[me]
                self._changed.notify_all()

    def _is_free(self) -> bool:
        return len(self._held()) < self._at_once

    def _held(self) -> list[float]:
        """When the turns began that somebody still has."""
        past_s = time.monotonic() - self._longest_s
        return [begun_s for begun_s in self._begun_s.values() if begun_s > past_s]

    def _until_free_s(self) -> float:
        held = self._held()
        return max(0.0, min(held) + self._longest_s - time.monotonic()) if held else self._longest_s
