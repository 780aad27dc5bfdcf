"""What batching costs and saves: streams that share one backend, which takes 3 ms and .7 ms a picture.

The backend is simulated: it sleeps, as a thread does that waits for a GPU. Delay is what a stream waits beyond what its
own pictures take alone: for others' passes, for company, and for the machine.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.vision.batching import BackendError, Batching, Line, Request
from appliance.vision.detector import Run
from appliance.vision.pixels import Stack

PASS_S, PICTURE_S = 0.003, 0.0007
SECONDS = 10.0
SIDE_PX = 32
COMPANIES_S = (0.0, 0.005, 0.01)
LOADS = ((8, 5, 1), (8, 10, 1), (8, 10, 4), (1, 10, 4))  # streams, looks a second, pictures a look


def batching() -> None:
    """Batches against one stream at a time, on this machine and in simulated time, where nothing else runs."""
    for streams, looks_per_s, pictures in LOADS:
        print(f"  {streams} streams, {looks_per_s} looks a second each, {pictures} pictures a look")
        with _one_by_one() as (run, engine):
            print(f"    {'one stream at a time':34} {_measured(run, engine, streams, looks_per_s, pictures)}")
        for company_s in COMPANIES_S:
            engine = Engine()
            shared = Batching.around(engine, company_s)
            figures = _measured(shared, engine, streams, looks_per_s, pictures)
            shared.close()
            print(f"    {f'batches, company {company_s * 1000:.0f} ms':34} {figures}", flush=True)
            print(f"    {'the same in simulated time':34} {_simulated(company_s, streams, looks_per_s, pictures)}")


class Engine:
    """Simulates a backend: takes its time, and says nothing."""

    def __init__(self) -> None:
        self.passes = 0
        self.busy_s = 0.0

    def __call__(self, stack: Stack) -> Sequence[NDArray[Any]]:
        """See Run."""
        time.sleep(pass_s(len(stack)))
        self.passes += 1
        self.busy_s += pass_s(len(stack))
        return [np.zeros((len(stack), 8, 1, 1), np.float32)]


def pass_s(pictures: int) -> float:
    """How long it takes for so many."""
    return PASS_S + PICTURE_S * pictures


@contextmanager
def _one_by_one() -> Iterator[tuple[Run, Engine]]:
    engine, lock = Engine(), threading.Lock()

    def run(stack: Stack) -> Sequence[NDArray[Any]]:
        with lock:
            return engine(stack)

    yield run, engine


def _measured(run: Run, engine: Engine, streams: int, looks_per_s: float, pictures: int) -> str:
    delays_s: list[float] = []
    dropped: list[int] = []
    begin_s = time.monotonic() + 0.1
    threads = [
        threading.Thread(target=_stream, args=(run, begin_s, due_s, pictures, delays_s, dropped))
        for due_s in _due_s(streams, looks_per_s)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return _figures(delays_s, len(dropped), engine.busy_s, engine.passes)


def _due_s(streams: int, looks_per_s: float) -> list[list[float]]:
    """When each stream looks: at its rate from a moment of its own, each look a little early or late."""
    chance = random.Random(1)  # noqa: S311
    pause_s = 1 / looks_per_s
    return [
        [begin_s + number * pause_s + chance.uniform(0, pause_s / 5) for number in range(int(SECONDS * looks_per_s))]
        for begin_s in (chance.uniform(0, pause_s) for _ in range(streams))
    ]


def _stream(
    run: Run, begin_s: float, due_s: Sequence[float], pictures: int, delays_s: list[float], dropped: list[int]
) -> None:
    stack = np.zeros((pictures, SIDE_PX, SIDE_PX, 3), np.uint8)
    for time_s in due_s:
        time.sleep(max(0.0, begin_s + time_s - time.monotonic()))
        asked_s = time.monotonic()
        try:
            run(stack)
            delays_s.append(time.monotonic() - asked_s - pass_s(pictures))
        except BackendError:
            dropped.append(1)


def _simulated(company_s: float, streams: int, looks_per_s: float, pictures: int) -> str:
    """The same with a line of Batching, and a clock that is turned by hand."""
    line, stack = Line(company_s=company_s), np.zeros((pictures, SIDE_PX, SIDE_PX, 3), np.uint8)
    coming = sorted((at_s, who) for who, due_s in enumerate(_due_s(streams, looks_per_s)) for at_s in due_s)
    now_s = busy_s = 0.0
    passes, delays_s = 0, []
    while True:
        while coming and coming[0][0] <= now_s:
            at_s, who = coming.pop(0)
            line.join(Request(stack, who, at_s))
        batch, wait_s = line.next(now_s)
        if batch:
            spent_s = pass_s(sum(len(request.stack) for request in batch))
            now_s, busy_s, passes = now_s + spent_s, busy_s + spent_s, passes + 1
            delays_s += [now_s - request.asked_s - pass_s(pictures) for request in batch]
        elif not coming and wait_s is None:
            return _figures(delays_s, 0, busy_s, passes)
        else:
            now_s = min([at_s for at_s, _ in coming[:1]] + ([] if wait_s is None else [now_s + wait_s]))


def _figures(delays_s: Sequence[float], dropped: int, busy_s: float, passes: int) -> str:
    ordered = sorted(delays_s)
    p50, p95 = ordered[len(ordered) // 2] * 1000, ordered[len(ordered) * 95 // 100] * 1000
    return (
        f"delay p50 {p50:5.1f} ms, p95 {p95:5.1f} ms; {dropped} dropped of {len(ordered) + dropped};"
        f" {passes} passes, backend busy {busy_s / SECONDS:4.0%}"
    )
