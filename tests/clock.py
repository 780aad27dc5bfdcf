"""A clock that only waiting and the test move."""

from __future__ import annotations


class Clock:
    """Stands in for the module `time` and for the event that stops a thread. stop_after: so many waits."""

    def __init__(self, stop_after: int = 1_000_000) -> None:
        self.now_s = 1000.0
        self.waits_s: list[float] = []
        self.stop_after = stop_after

    def monotonic(self) -> float:
        return self.now_s

    time = monotonic

    def wait(self, seconds: float) -> bool:
        self.now_s += seconds
        self.waits_s.append(seconds)
        return self.is_set()

    def is_set(self) -> bool:
        return len(self.waits_s) >= self.stop_after
