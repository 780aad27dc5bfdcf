"""Slowing down whoever guesses passwords or codes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(slots=True)
class _Tries:
    count: int = 0
    last_s: float = 0.0
    again_s: float = 0.0  # no try is taken before this moment


class Throttle:
    """After some free wrong tries on one subject (a name, an address), each further one waits twice as long.

    A try counts as wrong until `succeeded` is called: many tries at once gain nothing. The moment (seconds of a
    clock that never jumps) is passed in. The longest wait is `longest_s`; a subject without tries for `forget_s`
    starts from zero. Memory is bounded: beyond `size` subjects, the one unused for longest is forgotten.
    """

    def __init__(
        self, first_s: float = 1.0, longest_s: float = 60.0, forget_s: float = 900.0, size: int = 10_000
    ) -> None:
        self.first_s = first_s
        self.longest_s = longest_s
        self.forget_s = forget_s
        self.size = size
        self._tries: OrderedDict[str, _Tries] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, free_tries: Mapping[str, int], now_s: float) -> float:
        """Count a try and return 0; or how long to wait, counting nothing.

        free_tries: the subjects of this try, each with its number of free tries.
        """
        with self._lock:
            tries = [(self._of(subject, now_s), free) for subject, free in free_tries.items()]
            wait = max((each.again_s - now_s for each, _ in tries), default=0.0)
            if wait > 0:
                return wait
            for each, free in tries:
                each.count += 1
                each.last_s = now_s
                over = min(each.count - free, 30)
                if over > 0:
                    each.again_s = now_s + min(self.first_s * 2 ** (over - 1), self.longest_s)
            return 0.0

    def succeeded(self, forget: str, uncount: str) -> None:
        """The try was right: forget the wrong ones on `forget` (a name), take back this one on `uncount`.

        The wrong ones on an address stay: else one good password would buy free guesses at the others.
        """
        with self._lock:
            self._tries.pop(forget, None)
            if uncount in self._tries:
                self._tries[uncount].count -= 1
                self._tries[uncount].again_s = 0.0

    def _of(self, subject: str, now_s: float) -> _Tries:
        tries = self._tries.setdefault(subject, _Tries())
        if now_s - tries.last_s > self.forget_s:
            tries.count = 0
        self._tries.move_to_end(subject)
        while len(self._tries) > self.size:
            self._tries.popitem(last=False)
        return tries
