"""Pictures of several streams as one batch: who goes with whom, and what they are told when the backend fails."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from numpy.typing import NDArray

from appliance.faces import Face
from appliance.vision.batching import (
    COMPANY_S,
    MOST,
    RECENT_S,
    BackendClosed,
    BackendError,
    BackendFailed,
    BackendTimedOut,
    Batching,
    Line,
    Request,
    split,
)
from appliance.vision.detector import NetworkDetector, Run
from appliance.vision.golden import load_golden, self_test
from appliance.vision.manifest import find
from appliance.vision.onnx import load_detector
from appliance.vision.pixels import Stack, scale_to

LONG_S = 60.0  # of a test that waits for it; nothing here lasts so long


def squares(*values: int, side: int = 32) -> Stack:
    return np.stack([np.full((side, side, 3), value, np.uint8) for value in values])


def means(stack: Stack) -> Sequence[NDArray[Any]]:
    """A stand-in for a backend: the mean of each picture, once as a map of each stride."""
    return [np.full((len(stack), 8, 1, 1), stack.mean(axis=(1, 2, 3)).reshape(-1, 1, 1, 1)) for _ in range(3)]


def said(answer: Sequence[NDArray[Any]]) -> list[int]:
    assert len(answer) == 3
    return [int(value) for value in answer[0][:, 0, 0, 0]]


class Gated:
    """A stand-in for a backend whose passes begin, and end, when the test lets them. It remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.threads: set[int] = set()
        self.begun, self.let = threading.Semaphore(0), threading.Semaphore(0)
        self.answers: Callable[[Stack], Sequence[NDArray[Any]]] = means

    def __call__(self, stack: Stack) -> Sequence[NDArray[Any]]:
        self.batches.append([int(value) for value in stack.mean(axis=(1, 2, 3))])
        self.threads.add(threading.get_ident())
        self.begun.release()
        assert self.let.acquire(timeout=LONG_S)
        return self.answers(stack)


@pytest.fixture
def streams() -> Iterator[ThreadPoolExecutor]:
    """Threads, one for each stream."""
    with ThreadPoolExecutor(32) as pool:
        yield pool


@contextmanager
def shared(run: Run, timeout_s: float = LONG_S, company_s: float = 0.0) -> Iterator[Batching]:
    batching = Batching.around(run, company_s, timeout_s)
    yield batching
    batching.close()


def wait_for(batching: Batching, pictures: int) -> None:
    """Until so many wait."""
    with batching._changed:
        assert batching._changed.wait_for(lambda: batching._line.pictures >= pictures, LONG_S)


def wait(line: Line, *askers: int, at_s: float, count: int = 1, side: int = 32) -> list[Request]:
    requests = [Request(squares(*[asker] * count, side=side), asker, at_s) for asker in askers]
    for request in requests:
        line.join(request)
    return requests


# Who goes with whom


def test_a_stream_alone_goes_at_once() -> None:
    line = Line()
    for at_s in (1.0, 1.1, 1.2):
        (request,) = wait(line, 1, at_s=at_s)
        assert line.next(at_s) == ([request], None)
    assert line.next(1.3) == ([], None)


def test_who_comes_first_waits_for_a_stream_that_asked_lately_but_no_longer_than_that() -> None:
    line = Line(company_s=0.01)
    wait(line, 1, 2, at_s=0.9)
    assert len(line.next(0.9)[0]) == 2
    (first,) = wait(line, 1, at_s=1.0)
    batch, wait_s = line.next(1.004)
    assert not batch
    assert wait_s == pytest.approx(0.006)
    assert line.next(1.0101) == ([first], None)


def test_when_all_are_there_who_may_come_nobody_waits() -> None:
    line = Line()
    wait(line, 1, 2, 3, at_s=0.9)
    line.next(0.9)
    first = wait(line, 1, 3, at_s=1.0)
    assert line.next(1.0)[0] == []
    assert line.next(1.0)[1] == pytest.approx(COMPANY_S)
    last = wait(line, 2, at_s=1.001)
    assert line.next(1.001) == ([*first, *last], None)


def test_a_stream_that_has_gone_is_not_waited_for() -> None:
    line = Line()
    wait(line, 1, 2, at_s=1.0)
    line.next(1.0)
    (request,) = wait(line, 1, at_s=1.1 + RECENT_S)
    assert line.next(1.1 + RECENT_S) == ([request], None)


def test_a_full_batch_goes_at_once_and_the_others_with_the_next() -> None:
    line = Line(most=8)
    requests = wait(line, 1, 2, 3, 4, 5, at_s=1.0, count=3)
    assert line.next(1.0) == (requests[:2], None)
    assert line.next(1.0) == (requests[2:4], None)
    assert line.next(2.0) == (requests[4:], None)


def test_sizes_do_not_mix_and_the_first_goes_first() -> None:
    line = Line(company_s=0.0)
    small = wait(line, 1, 2, at_s=1.0, side=32)
    large = wait(line, 3, at_s=1.0, side=64)
    more = wait(line, 4, at_s=1.0, side=32)
    assert line.next(1.0)[0] == [*small, *more]
    assert line.next(1.0)[0] == large


@given(
    some.lists(
        some.tuples(
            some.floats(0, 0.05), some.integers(0, 5), some.integers(1, MOST), some.sampled_from([32, 64]),
        ),
        max_size=40,
    ),
    some.floats(0.0001, 0.02),
)  # fmt: skip
def test_whatever_comes_everybody_goes_in_time(coming: list[tuple[float, int, int, int]], pass_s: float) -> None:
    assert COMPANY_S <= 0.010, "so much was promised"
    line, waiting, gone = Line(), list[Request](), list[Request]()
    now_s = free_s = 0.0
    for pause_s, asker, count, side in [*coming, (10.0, 9, 1, 32)]:
        arrives_s = now_s + pause_s
        while True:
            now_s = max(now_s, free_s)
            batch, wait_s = line.next(now_s) if now_s <= arrives_s else ([], None)
            if batch:
                assert sum(len(each.stack) for each in batch) <= MOST
                assert len({each.stack.shape[1:] for each in batch}) == 1
                assert batch[0] is waiting[0], "the oldest is always among them"
                assert now_s - max(batch[0].asked_s, free_s) <= COMPANY_S + 1e-9
                waiting = [each for each in waiting if each not in batch]
                gone += batch
                free_s = now_s + pass_s
                continue
            if wait_s is None or now_s + wait_s > arrives_s:
                break
            assert wait_s <= COMPANY_S + 1e-9
            now_s += wait_s
        now_s = max(now_s, arrives_s)
        waiting += wait(line, asker, at_s=arrives_s, count=count, side=side)
    assert len(gone) == len(coming)


# What the streams get


def test_what_waits_at_the_same_time_is_one_batch_and_each_gets_its_own(streams: ThreadPoolExecutor) -> None:
    engine = Gated()
    with shared(engine) as batching:
        first = streams.submit(batching, squares(1))
        assert engine.begun.acquire(timeout=LONG_S)
        others = {value: streams.submit(batching, squares(value, value + 100)) for value in (2, 3, 4)}
        wait_for(batching, 6)
        engine.let.release(2)
        assert said(first.result()) == [1]
        for value, other in others.items():
            assert said(other.result()) == [value, value + 100]
    assert len(engine.batches) == 2
    assert sorted(engine.batches[1]) == [2, 3, 4, 102, 103, 104]


def test_a_stack_that_is_larger_than_a_batch_goes_in_pieces() -> None:
    seen = []

    def run(stack: Stack) -> Sequence[NDArray[Any]]:
        seen.append(len(stack))
        return means(stack)

    values = list(range(2 * MOST + 3))
    with shared(run) as batching:
        assert said(batching(squares(*values))) == values
    assert seen == [MOST, MOST, 3]


def test_one_thread_opens_the_backend_uses_it_and_ends_it(streams: ThreadPoolExecutor) -> None:
    threads = []

    @contextmanager
    def opened() -> Iterator[Run]:
        threads.append(threading.get_ident())
        yield run
        threads.append(threading.get_ident())

    def run(stack: Stack) -> Sequence[NDArray[Any]]:
        threads.append(threading.get_ident())
        return means(stack)

    batching = Batching(opened)
    for _ in streams.map(batching, [squares(1)] * 20):
        pass
    batching.close()
    assert len(threads) >= 4
    assert len(set(threads)) == 1
    assert threading.get_ident() not in threads


def test_a_backend_may_use_its_buffers_again() -> None:
    buffers = [np.zeros((MOST, 8, 1, 1)) for _ in range(3)]

    def run(stack: Stack) -> Sequence[NDArray[Any]]:
        for buffer, output in zip(buffers, means(stack), strict=True):
            buffer[: len(stack)] = output
        return [buffer[: len(stack)] for buffer in buffers]

    with shared(run) as batching:
        first, second = batching(squares(1, 2)), batching(squares(3, 4))
    assert (said(first), said(second)) == ([1, 2], [3, 4])


def test_each_thread_is_charged_for_its_part_of_a_pass(streams: ThreadPoolExecutor) -> None:
    with shared(means) as batching:
        batching(squares(1))
        mine = batching.charged_s
        assert mine > 0
        assert streams.submit(lambda: batching.charged_s).result() == 0
        batching(squares(1))
        assert batching.charged_s > mine


def test_more_streams_than_may_wait_are_all_answered(streams: ThreadPoolExecutor) -> None:
    with shared(means) as batching:
        asked = [[value] * MOST for value in range(32)]
        answers = list(streams.map(batching, [squares(*values) for values in asked] * 3))
    assert [said(answer) for answer in answers] == asked * 3


def test_the_detector_judges_in_batches_as_it_does_alone(streams: ThreadPoolExecutor) -> None:
    alone, model = load_detector(), find()
    with shared(alone.run, company_s=COMPANY_S) as batching:
        batched = NetworkDetector(model, batching, alone.fixed)
        assert self_test(batched) == []
        stacks = [scale_to(image, 320, 320)[None] for _, image in load_golden()]
        found = list(streams.map(batched.look, stacks * 3))
    expected = [alone.look(stack) for stack in stacks] * 3
    assert any(faces for (faces,) in expected)
    for (ours,), (theirs,) in zip(found, expected, strict=True):
        assert [*map(rounded, ours)] == [*map(rounded, theirs)]


def rounded(face: Face) -> tuple[object, ...]:
    return face.state, [round(side) for side in face.bbox_px], round(face.score, 2)


# When it fails


def waiting_streams(
    pool: ThreadPoolExecutor, batching: Batching, engine: Gated
) -> tuple[Future[Sequence[NDArray[Any]]], list[Future[Sequence[NDArray[Any]]]]]:
    """One whose pass is going on, and three that wait."""
    first = pool.submit(batching, squares(1))
    assert engine.begun.acquire(timeout=LONG_S)
    others = [pool.submit(batching, squares(value)) for value in (2, 3, 4)]
    wait_for(batching, 3)
    return first, others


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), SystemExit(3), KeyboardInterrupt()])
def test_an_error_reaches_all_of_its_batch_and_ends_nothing(error: BaseException, streams: ThreadPoolExecutor) -> None:
    engine = Gated()

    def fail(_: Stack) -> Sequence[NDArray[Any]]:
        raise error

    with shared(engine) as batching:
        first, others = waiting_streams(streams, batching, engine)
        engine.let.release()
        assert said(first.result()) == [1]
        assert engine.begun.acquire(timeout=LONG_S)
        engine.answers = fail
        engine.let.release()
        for other in others:
            failed = other.exception()
            assert isinstance(failed, BackendFailed)
            assert failed.__cause__ is error
        engine.answers = means
        engine.let.release()
        assert said(batching(squares(7))) == [7]
    assert len(engine.threads) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda _: [],
        lambda stack: means(stack[:-1]),
        lambda stack: means(np.concatenate([stack, stack])),
        lambda _: None,
        lambda _: [1, 2, 3],
    ],
)
def test_an_answer_that_does_not_fit_is_an_error(wrong: Any) -> None:
    with shared(wrong) as batching, pytest.raises(BackendFailed):
        batching(squares(1))


def test_who_waits_for_a_backend_that_hangs_is_told_and_nobody_waits_for_it_again(streams: ThreadPoolExecutor) -> None:
    engine = Gated()
    with shared(engine, timeout_s=0.2) as batching:
        first = streams.submit(batching, squares(1))
        others = [streams.submit(batching, squares(*[value] * MOST)) for value in range(12)]  # some wait for room
        for each in [first, *others]:
            assert isinstance(each.exception(LONG_S), BackendTimedOut)
        with pytest.raises(BackendTimedOut, match=r"has hung for more than 0\.2 s"):
            batching(squares(1))
        engine.let.release(100)  # it comes back
        while True:
            try:
                assert said(batching(squares(5))) == [5]
                break
            except BackendTimedOut:
                threading.Event().wait(0.01)
    assert len(engine.threads) == 1


def test_closing_tells_who_waits_and_the_pass_that_is_going_on_may_end(streams: ThreadPoolExecutor) -> None:
    engine = Gated()
    batching = Batching.around(engine, 0.0, LONG_S)
    first, others = waiting_streams(streams, batching, engine)
    closing = streams.submit(batching.close, LONG_S)
    for other in others:
        assert isinstance(other.exception(LONG_S), BackendClosed)
    engine.let.release()
    closing.result(LONG_S)
    assert said(first.result()) == [1]
    with pytest.raises(BackendClosed):
        batching(squares(1))
    batching.close()


def test_closing_a_backend_that_hangs_tells_who_waits_for_it(streams: ThreadPoolExecutor) -> None:
    engine = Gated()
    batching = Batching.around(engine, 0.0, LONG_S)
    first, others = waiting_streams(streams, batching, engine)
    batching.close(patience_s=0.01)
    for each in [first, *others]:
        assert isinstance(each.exception(LONG_S), BackendClosed)
    engine.let.release()


def test_a_backend_that_cannot_be_opened_says_why() -> None:
    def opened() -> AbstractContextManager[Run]:
        raise OSError("no device")

    with pytest.raises(OSError, match="no device"):
        Batching(opened)


def test_a_backend_that_takes_too_long_to_open_is_ended_when_it_is_there() -> None:
    may_open, ended = threading.Event(), threading.Event()

    @contextmanager
    def opened() -> Iterator[Run]:
        may_open.wait(LONG_S)
        yield means
        ended.set()

    with pytest.raises(BackendTimedOut, match="could not be opened"):
        Batching(opened, opening_s=0.01)
    may_open.set()
    assert ended.wait(LONG_S)


def test_a_backend_that_cannot_be_ended_tells_the_log(caplog: pytest.LogCaptureFixture) -> None:
    @contextmanager
    def opened() -> Iterator[Run]:
        yield means
        raise OSError("the device is gone")

    batching = Batching(opened)
    batching(squares(1))
    batching.close(LONG_S)
    assert "could not be ended" in caplog.text


@pytest.mark.parametrize("seed", range(3))
def test_streams_that_come_and_go_and_a_backend_that_fails_now_and_then(seed: int) -> None:
    """Each call ends: with the answer to what was asked, or with a typed error; and then who asks again is answered."""
    chance, failures = random.Random(seed), [RuntimeError("lost"), MemoryError(), SystemExit(1)]
    hung = threading.Event()
    faults = chance.choices(["", "raise", "lie", "hang"], [40, 8, 4, 1], k=300)

    def run(stack: Stack) -> Sequence[NDArray[Any]]:
        fault = faults.pop() if faults else ""
        if fault == "hang":
            hung.wait(0.15)
        if fault == "raise":
            raise chance.choice(failures)
        return means(stack[:-1]) if fault == "lie" else means(stack)

    def stream(number: int) -> int:
        mine, errors = random.Random(f"{seed}-{number}"), 0
        for _ in range(mine.randint(1, 12)):
            values = [mine.randint(0, 255) for _ in range(mine.randint(1, 12))]
            while True:
                try:
                    assert said(batching(squares(*values, side=mine.choice([32, 64])))) == values
                    break
                except BackendError:
                    errors += 1
                    hung.wait(0.01)
        return errors

    batching = Batching.around(run, 0.001, 0.05)
    with ThreadPoolExecutor(12) as pool:
        assert sum(pool.map(stream, range(40))) > 0
        batching.close(LONG_S)
    assert batching._line.pictures == 0
    assert not batching._thread.is_alive()


def test_split_gives_each_their_own() -> None:
    outputs = [np.arange(6), np.arange(6) * 10]
    assert [[part.tolist() for part in parts] for parts in split(outputs, [1, 3, 2])] == [
        [[0], [0]],
        [[1, 2, 3], [10, 20, 30]],
        [[4, 5], [40, 50]],
    ]
