"""Pictures of several streams as one batch: what waits at the same time goes to a backend together.

A GPU needs hardly longer for eight pictures than for one, and its context belongs to one thread. So one thread owns the
backend, and the streams' threads hand it their pictures. What waits when the backend gets free goes with the next pass,
as far as it is of one size (adaptive batching: Crankshaw et al., Clipper, NSDI 2017, 4.3).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.language import N_
from appliance.vision.detector import Run
from appliance.vision.pixels import Stack

log = logging.getLogger(__name__)

MOST = 8  # pictures in a batch
# Nobody waits longer for company, and 10 ms is the most that this may be: of 8 streams with 10 looks a second it saves
# a quarter of the time that the backend is busy (scripts/bench batching).
COMPANY_S = 0.005
RECENT_S = 1.0  # who asked within this may ask again any moment; a stream looks at least as often
TIMEOUT_S = 5.0  # a pass that takes longer does not end
MAX_WAITING = 64  # pictures; who comes when it is full waits outside
OPENING_S, CLOSE_S = 30.0, 2.0
CLOSED = N_("the backend was closed")
NOT_OPENED = N_("the backend could not be opened within {seconds} s")
HUNG = N_("the backend has hung for more than {seconds} s")
NO_ANSWER = N_("the backend did not answer within {seconds} s")
FAILED = N_("the backend failed ({error})")


class BackendError(Exception):
    """A backend gave no answer; the message says why."""


class BackendFailed(BackendError):
    """It raised something (the cause), or what it answered does not fit what it was asked."""


class BackendTimedOut(BackendError):
    """It has been busy with one pass for too long."""


class BackendClosed(BackendError):
    """It was closed."""


@dataclass(eq=False, slots=True)
class Request:
    """Pictures that wait for a pass.

    asker: who asks, the same for all requests of one stream. answer, error: one of them, once `done` is set.
    asked_s: when, monotonic clock. device_s: its part of the time that the pass took.
    """

    stack: Stack
    asker: int
    asked_s: float
    done: threading.Event = field(default_factory=threading.Event)
    answer: list[NDArray[Any]] | None = None
    error: BackendError | None = None
    device_s: float = 0.0

    def fail(self, error: BackendError) -> None:
        """It gets no answer."""
        self.error = error
        self.done.set()


class Line:
    """Who waits, and who goes next. Knows no thread and no clock.

    most: pictures that go together. company_s: how long the first may wait for others.
    """

    def __init__(self, most: int = MOST, company_s: float = COMPANY_S) -> None:
        self._most, self._company_s = most, company_s
        self._waiting: list[Request] = []
        self._asked_s: dict[int, float] = {}  # when each asker asked last

    @property
    def pictures(self) -> int:
        """How many wait."""
        return sum(len(request.stack) for request in self._waiting)

    def join(self, request: Request) -> None:
        """Wait from now on; of at most `most` pictures."""
        self._waiting.append(request)
        recent_s = request.asked_s - RECENT_S
        self._asked_s = {asker: time_s for asker, time_s in self._asked_s.items() if time_s > recent_s}
        self._asked_s[request.asker] = request.asked_s

    def leave(self) -> list[Request]:
        """All who waited; nobody does any more."""
        left, self._waiting = self._waiting, []
        return left

    def next(self, now_s: float) -> tuple[list[Request], float | None]:
        """The batch that is due now, which no longer waits; or none, and for how long (None: until somebody comes)."""
        if not self._waiting:
            return [], None
        batch, is_full = self._batch()
        wait_s = self._waiting[0].asked_s + self._company_s - now_s
        if not is_full and wait_s > 0 and self._may_come():
            return [], wait_s
        self._waiting = [request for request in self._waiting if request not in batch]
        return batch, None

    def _batch(self) -> tuple[list[Request], bool]:
        """The first, and those after it of its size that have room; and whether nobody else has."""
        first = self._waiting[0]
        batch, count, is_full = [first], len(first.stack), False
        for request in self._waiting[1:]:
            if request.stack.shape[1:] != first.stack.shape[1:]:
                continue
            if count + len(request.stack) > self._most:
                is_full = True
                continue
            batch.append(request)
            count += len(request.stack)
        return batch, is_full or count >= self._most

    def _may_come(self) -> bool:
        """Whether anybody asked lately who does not wait already."""
        return bool(self._asked_s.keys() - {request.asker for request in self._waiting})


class Batching:
    """A backend for any number of threads, made of one that only the thread may use that opened it. Is itself a `Run`.

    opened: makes the backend, in the thread that will own it, and ends it there. company_s: how long the first of a
    batch may wait for others; a stream alone never does. timeout_s, opening_s: the longest that a pass, and opening it,
    may take.

    Raises what `opened` raises. When it is called, a BackendError: whatever happens to a pass, all who wait for it are
    told. While a pass that took too long has not ended, nobody waits for another.
    """

    def __init__(
        self,
        opened: Callable[[], AbstractContextManager[Run]],
        company_s: float = COMPANY_S,
        timeout_s: float = TIMEOUT_S,
        most: int = MOST,
        opening_s: float = OPENING_S,
    ) -> None:
        self._opened, self._timeout_s, self._most = opened, timeout_s, most
        self._line = Line(most, company_s)
        self._changed = threading.Condition()
        self._running: list[Request] = []
        self._begun_s: float | None = None  # of the pass that is going on
        self._hangs = self._closed = False
        self._charged = threading.local()
        self._is_open = threading.Event()
        self._opening_error: BaseException | None = None
        self._thread = threading.Thread(target=self._own, name="backend", daemon=True)
        self._thread.start()
        if not self._is_open.wait(opening_s):
            self._closed = True
            raise BackendTimedOut(NOT_OPENED.format(seconds=f"{opening_s:g}"))
        if self._opening_error is not None:
            raise self._opening_error

    @classmethod
    def around(cls, run: Run, company_s: float = COMPANY_S, timeout_s: float = TIMEOUT_S) -> Batching:
        """The same of a backend that is there already and needs no closing."""
        return cls(lambda: nullcontext(run), company_s, timeout_s)

    def __call__(self, stack: Stack) -> Sequence[NDArray[Any]]:
        """What the backend says of the stack (see `Run`). Raises BackendError."""
        pieces = [stack[begin : begin + self._most] for begin in range(0, max(1, len(stack)), self._most)]
        requests = [self._ask(piece) for piece in pieces]
        answers = [self._answer(request) for request in requests]
        self._charged.s = self.charged_s + sum(request.device_s for request in requests)
        return answers[0] if len(answers) == 1 else [np.concatenate(maps) for maps in zip(*answers, strict=True)]

    @property
    def charged_s(self) -> float:
        """How long the backend was busy for this thread, in all; a pass is shared by the pictures in it."""
        return float(getattr(self._charged, "s", 0.0))

    def close(self, patience_s: float = CLOSE_S) -> None:
        """End it: who waits is told, and the backend is ended once its pass is over, for which this waits a while."""
        self._end()
        self._thread.join(patience_s)
        with self._changed:  # a pass that does not end
            for request in self._running:
                request.fail(BackendClosed(CLOSED))

    def _end(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            for request in self._line.leave():
                request.fail(BackendClosed(CLOSED))

    def _ask(self, piece: Stack) -> Request:
        """Let the pictures wait, as soon as there is room."""
        with self._changed:
            while True:
                self._refuse_if_closed_or_hung()
                now_s = time.monotonic()
                if not self._line.pictures or self._line.pictures + len(piece) <= MAX_WAITING:
                    break
                self._changed.wait(self._patience_s(now_s))
                self._note_if_hung(time.monotonic())
            request = Request(piece, threading.get_ident(), now_s)
            self._line.join(request)
            self._changed.notify_all()
            return request

    def _answer(self, request: Request) -> list[NDArray[Any]]:
        while not request.done.wait(self._patience_s(time.monotonic())):
            with self._changed:
                self._note_if_hung(time.monotonic())
        if request.error is not None:
            # One for each thread: an exception that several raise would collect the traces of all.
            raise type(request.error)(*request.error.args) from request.error.__cause__
        assert request.answer is not None
        return request.answer

    def _refuse_if_closed_or_hung(self) -> None:
        if self._closed:
            raise BackendClosed(CLOSED)
        if self._hangs:
            raise BackendTimedOut(HUNG.format(seconds=f"{self._timeout_s:g}"))

    def _patience_s(self, now_s: float) -> float:
        """After how long it must be looked whether the pass that is going on hangs."""
        begun_s = self._begun_s
        return self._timeout_s if begun_s is None else max(0.0, begun_s + self._timeout_s - now_s)

    def _note_if_hung(self, now_s: float) -> None:
        """If the pass takes too long, nobody waits any more."""
        if self._begun_s is None or now_s - self._begun_s < self._timeout_s or self._hangs:
            return
        self._hangs = True
        log.error("the backend has been busy with one pass for more than %g s", self._timeout_s)
        for request in [*self._running, *self._line.leave()]:
            request.fail(BackendTimedOut(NO_ANSWER.format(seconds=f"{self._timeout_s:g}")))
        self._changed.notify_all()

    def _own(self) -> None:
        """All that the thread does which owns the backend."""
        try:
            with self._opened() as run:
                self._is_open.set()
                while batch := self._next_batch():
                    self._pass(run, batch)
        except BaseException as error:
            if self._is_open.is_set():
                log.exception("the backend could not be ended")
            self._opening_error = error
        finally:
            self._is_open.set()
            self._end()

    def _next_batch(self) -> list[Request]:
        """Wait for it; empty: closed."""
        with self._changed:
            while not self._closed:
                batch, wait_s = self._line.next(time.monotonic())
                if batch:
                    self._running, self._begun_s = batch, time.monotonic()
                    self._changed.notify_all()  # there is room
                    return batch
                self._changed.wait(wait_s)
        return []

    def _pass(self, run: Run, batch: list[Request]) -> None:
        stacks = [request.stack for request in batch]
        answers, failure = [], None
        begun_s = time.monotonic()
        try:
            answers = split(run(stacks[0] if len(stacks) == 1 else np.concatenate(stacks)), list(map(len, stacks)))
        except BaseException as error:  # a backend may fail in any way, and the thread goes on
            failure = BackendFailed(str(error).partition("\n")[0] or FAILED.format(error=type(error).__name__))
            failure.__cause__ = error
        spent_s, pictures = time.monotonic() - begun_s, max(1, sum(map(len, stacks)))
        with self._changed:
            self._running, self._begun_s, self._hangs = [], None, False
            for number, request in enumerate(batch):
                if request.done.is_set():
                    continue  # it took too long
                if failure is not None:
                    request.fail(failure)
                    continue
                request.answer = answers[number]
                request.device_s = spent_s * len(request.stack) / pictures
                request.done.set()
            self._changed.notify_all()


def split(outputs: Sequence[NDArray[Any]], counts: Sequence[int]) -> list[list[NDArray[Any]]]:
    """What a backend said of a batch, for each who asked. counts: their pictures. Raises ValueError if it does not fit.

    Copies: a backend may use its buffers again.
    """
    if not outputs or any(len(output) != sum(counts) for output in outputs):
        raise ValueError(f"it was asked for {sum(counts)} pictures and answered for {[len(each) for each in outputs]}")
    ends = np.cumsum(counts)
    return [
        [np.array(output[end - count : end]) for output in outputs] for end, count in zip(ends, counts, strict=True)
    ]
