"""Slowing down whoever guesses passwords or codes."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class Limit:
    """How often one subject (an address, a browser) may be wrong.

    Each try beyond `free_tries` waits twice as long as the one before, `longest_s` at most; a subject without tries
    for `forget_s`, which is longer, starts from zero.
    """

    free_tries: int
    longest_s: float
    forget_s: float = 3600.0


@dataclass(slots=True)
class _Tries:
    count: int = 0
    in_a_day: int = 0
    last_s: float = 0.0
    again_s: float = 0.0  # no try is taken before this moment


class Throttle:
    """Slows down subjects that were wrong too often.

    A try counts as wrong until `take_back` is called: many tries at once gain nothing. The moment (seconds of a
    clock that never jumps) is passed in. Memory is bounded: beyond `size` subjects, those with the fewest tries
    are forgotten, so that nobody frees a subject by inventing others.
    """

    def __init__(self, first_s: float = 1.0, size: int = 10_000) -> None:
        self.first_s = first_s
        self.size = size
        self._tries: dict[str, _Tries] = {}
        self._lock = threading.Lock()

    def wait_s(self, limits: Mapping[str, Limit], now_s: float) -> float:
        """Count a try on each of these subjects and return 0; or how long to wait, counting nothing."""
        with self._lock:
            known = (self._tries[subject] for subject in limits if subject in self._tries)
            wait_s = max((tries.again_s - now_s for tries in known), default=0.0)
            if wait_s > 0:
                return wait_s
            for subject, limit in limits.items():
                self._count(subject, limit, now_s)
            return 0.0

    def _count(self, subject: str, limit: Limit, now_s: float) -> None:
        tries = self._tries.get(subject) or self._new(subject, now_s)
        if now_s - tries.last_s > limit.forget_s:
            tries.count = 0
        if now_s - tries.last_s > DAY_S:
            tries.in_a_day = 0
        tries.count += 1
        tries.in_a_day += 1
        tries.last_s = now_s
        over = min(tries.count - limit.free_tries, 30)
        if over > 0:
            tries.again_s = now_s + min(self.first_s * 2 ** (over - 1), limit.longest_s)

    def _new(self, subject: str, now_s: float) -> _Tries:
        if len(self._tries) >= self.size:
            weakest_first = sorted(self._tries, key=lambda each: self._weight(self._tries[each], now_s))
            for each in weakest_first[: self.size // 10 + 1]:  # some at once: a flood must not sort at each try
                del self._tries[each]
        return self._tries.setdefault(subject, _Tries())

    def _weight(self, tries: _Tries, now_s: float) -> tuple[bool, int, float]:
        """By what a subject is kept: those of the last day first, then those with many tries, then late ones."""
        return now_s - tries.last_s <= DAY_S, tries.in_a_day, tries.last_s

    def take_back(self, forget: str | None, uncount: Iterable[str]) -> None:
        """The try was right, or nobody looked: forget all on `forget` (a browser), and this one alone on `uncount`.

        The wrong ones on an address stay: else one good password would buy free guesses at the others.
        """
        with self._lock:
            if forget is not None:
                self._tries.pop(forget, None)
            for subject in uncount:
                if subject in self._tries:
                    self._tries[subject].count -= 1
                    self._tries[subject].in_a_day -= 1
                    self._tries[subject].again_s = 0.0

    def wrong_tries(self, subject: str, now_s: float) -> int:
        """How many tries on this subject were wrong since it last had none for a day."""
        with self._lock:
            tries = self._tries.get(subject)
            return tries.in_a_day if tries is not None and now_s - tries.last_s <= DAY_S else 0
