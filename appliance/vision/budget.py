"""The budget: what watching may cost a second, shared fairly over the streams.

Each stream has a purse. What it must do (decoding) is paid from it first; what it wants beyond that (looks) is granted
as far as its share goes: the allowance is what may be spent just now. Shares are max-min fair: no stream gets less than
an equal part unless it wants less, and what one leaves goes to those who want more (Bertsekas and Gallager, Data
Networks, 2nd ed. 1992, 6.5.2).
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from appliance.vision.detector import Detector

SHARE_OUT_S = 1.0  # so often the shares are worked out, where anybody asks
# A budget is an average. A stream may save up so much of its share, because who walks in costs much at once: what was
# kept is looked at in a moment, and they for as long as they pass.
BURST_S = 4.0
DEBT_S = 1.0  # so much of its share may it owe: one that could not help it is not silenced for longer
HEADROOM = 1.3  # a stream may want more in a moment than it did in the last one
FORGET = 0.5  # of what a stream wanted before, each SHARE_OUT_S
LEARN = 0.02  # of each look, towards what looks really cost
MOST_OFF = 4.0  # times: a look that took more, or less, was interrupted, and counts as this
LEAST_MS = 0.01  # of a region: none is free
OWN_GROUP, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
PROBES_PX = (128, 320)
PROBE_ROUNDS = 5


class Budget:
    """CPU milliseconds a second for all streams of this box. For any number of threads."""

    def __init__(self, ms_per_s: float) -> None:
        self.ms_per_s = ms_per_s
        self._purses: list[Purse] = []
        self._lock = threading.Lock()
        self._shared_out_s = -math.inf

    def open_purse(self) -> Purse:
        """The part of one stream, until it is closed."""
        with self._lock:
            purse = Purse(self, self._lock)
            self._purses.append(purse)
            self._share_out()
            return purse

    def close_purse(self, purse: Purse) -> None:
        """The stream is gone; what it had goes to the others."""
        with self._lock:
            if purse in self._purses:
                self._purses.remove(purse)
                self._share_out()

    @property
    def equal_ms_per_s(self) -> float:
        """What each stream would get if all wanted more."""
        return self.ms_per_s / max(1, len(self._purses))

    def refresh(self, now_s: float) -> None:
        """For the purses alone, which hold the lock: work out the shares where that is due."""
        passed_s = now_s - self._shared_out_s
        if passed_s >= SHARE_OUT_S:
            self._shared_out_s = now_s
            for purse in self._purses:
                purse.note_wanted(SHARE_OUT_S if math.isinf(passed_s) else passed_s)
            self._share_out()

    def _share_out(self) -> None:
        wanted = [purse.wanted_ms_per_s for purse in self._purses]
        for purse, share_ms in zip(self._purses, fair_shares(self.ms_per_s, wanted), strict=True):
            purse.ms_per_s = share_ms


class Purse:
    """What one stream may spend. Times are seconds of one clock that never goes back, the same for all purses.

    ms_per_s: its share. wanted_ms_per_s: what it has wanted lately.
    """

    def __init__(self, budget: Budget, lock: threading.Lock) -> None:
        self.ms_per_s = 0.0
        self.wanted_ms_per_s = 0.0
        self._budget, self._lock = budget, lock
        self._balance_ms = 0.0
        self._wanted_ms = 0.0  # since the shares were worked out
        self._filled_s: float | None = None

    def allowance_ms(self, now_s: float) -> float:
        """What may be spent now; zero or less: nothing."""
        with self._lock:
            self._budget.refresh(now_s)
            # Who is quiet has a small share, and keeps what it saved. Who begins has much to look at.
            most_ms = BURST_S * max(self.ms_per_s, self._budget.equal_ms_per_s)
            if self._filled_s is None:
                self._filled_s, self._balance_ms = now_s, self._balance_ms + most_ms
            passed_s = max(0.0, now_s - self._filled_s)
            self._filled_s += passed_s
            self._balance_ms = min(self._balance_ms + passed_s * self.ms_per_s, most_ms)
            return self._balance_ms

    def spend(self, ms: float) -> None:
        """Note what was spent, also beyond the allowance."""
        with self._lock:
            self._balance_ms = max(self._balance_ms - ms, -DEBT_S * self.ms_per_s)
            self._wanted_ms += ms

    def want(self, ms: float) -> None:
        """Note what would have been spent, had there been enough."""
        with self._lock:
            self._wanted_ms += ms

    def close(self) -> None:
        """The stream is gone."""
        self._budget.close_purse(self)

    def note_wanted(self, passed_s: float) -> None:
        """For the budget alone, each time before it works out the shares. passed_s: since the last time."""
        remembered = FORGET ** (passed_s / SHARE_OUT_S)
        self.wanted_ms_per_s = max(self._wanted_ms / passed_s, self.wanted_ms_per_s * remembered)
        self._wanted_ms = 0.0


def fair_shares(total: float, wanted: Sequence[float]) -> list[float]:
    """Max-min fair shares of the total: what each wants (and a little more), as far as it goes; the rest equally."""
    shares = [0.0] * len(wanted)
    left, waiting = total, len(wanted)
    for index in sorted(range(len(wanted)), key=lambda index: wanted[index]):
        shares[index] = min(wanted[index] * HEADROOM, left / waiting)
        left, waiting = left - shares[index], waiting - 1
    return [share + left / len(wanted) for share in shares]


class Costs:
    """What a region costs on this machine: CPU milliseconds by the side of the network's input.

    spent_s: what the calling thread has spent; with a GPU, the time that it waits for that counts, too.
    """

    def __init__(self, base_ms: float, per_pixel_ms: float, spent_s: Callable[[], float] = time.thread_time) -> None:
        self.base_ms, self.per_pixel_ms = base_ms, per_pixel_ms
        self.spent_s = spent_s
        self._factor = 1.0

    def __call__(self, input_px: int) -> float:
        return (self.base_ms + self.per_pixel_ms * input_px * input_px) * self._factor

    def learn(self, inputs_px: Sequence[int], spent_ms: float) -> None:
        """A look at regions with these inputs cost so much: move a little towards that."""
        expected_ms = sum(map(self, inputs_px))
        if expected_ms > 0:
            self._factor *= 1 + LEARN * (min(max(spent_ms / expected_ms, 1 / MOST_OFF), MOST_OFF) - 1)


def measured_costs(detector: Detector, cpu_s: Callable[[], float] = time.thread_time) -> Costs:
    """Try out what regions cost here: the least of a few rounds, of a small and a large one."""
    chance = np.random.default_rng(1)
    spent_ms = []
    for side in PROBES_PX:
        square = chance.integers(0, 255, (1, side, side, 3), dtype=np.uint8)
        rounds = []
        for _ in range(PROBE_ROUNDS):
            begun_s = cpu_s()
            detector.look(square)
            rounds.append((cpu_s() - begun_s) * 1000)
        spent_ms.append(min(rounds))
    small_ms, large_ms = spent_ms
    small, large = (side * side for side in PROBES_PX)
    per_pixel_ms = max(large_ms - small_ms, 0.0) / (large - small)
    return Costs(max(small_ms - per_pixel_ms * small, LEAST_MS), per_pixel_ms)


def processors(own_group: Path = OWN_GROUP, groups: Path = GROUPS, bound: float | None = None) -> float:
    """How many processors this process may use: those it is bound to, or less where its control group has a quota.

    A container has one, or a systemd unit with CPUQuota=. See https://docs.kernel.org/admin-guide/cgroup-v2.html.
    """
    count = float(len(os.sched_getaffinity(0))) if bound is None else bound
    try:
        group = own_group.read_text().strip().rpartition("::")[2]  # 0::/system.slice/mb9k.service; in a container 0::/
        allowed_us, period_us = (groups / group.lstrip("/") / "cpu.max").read_text().split()
        return count if allowed_us == "max" else min(count, int(allowed_us) / int(period_us))
    except (OSError, ValueError):
        return count
