"""What we ask of the GPU by way of a child process, against stand-ins for TensorRT and pycuda: no GPU is involved."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.vision.detector import NetworkDetector
from appliance.vision.golden import self_test
from appliance.vision.gpu import Worker, ask_device, build_engine
from appliance.vision.gpu_child import PRIORITY
from appliance.vision.gpu_errors import (
    BuildFailed,
    ChildCrashed,
    DeviceHung,
    DeviceLost,
    EngineUnusable,
    GpuError,
    NoDevice,
    NotInstalled,
    OutOfMemory,
    Stopped,
)
from appliance.vision.manifest import Model, find, verified
from appliance.vision.onnx import load_form
from appliance.vision.tensorrt import MOST, Device
from tests.boxes import until
from tests.gpus import VERSIONS, StandInGpu, no_gpu, stand_in_gpu

SIDE = 320


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandInGpu:
    """A stand-in."""
    return stand_in_gpu(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def model() -> Model:
    """The default model."""
    return find()


def form(model: Model, precision: str = "int8") -> bytes:
    return verified(model.forms[f"tensorrt_{precision}"])


def plan(model: Model, precision: str = "int8", tell: Callable[[str, int, int], None] = lambda *_: None) -> bytes:
    return build_engine(form(model, precision), precision, SIDE, tell, lambda: False)


@contextmanager
def working(content: bytes, **times_s: float) -> Iterator[Worker]:
    worker = Worker(content, SIDE, **times_s)
    try:
        yield worker
    finally:
        worker.close()


def pictures(count: int, side: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(count).integers(0, 255, (count, side, side, 3), dtype=np.uint8)


def test_without_the_libraries_no_process_is_started_and_the_missing_one_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    no_gpu(monkeypatch)
    monkeypatch.setattr("appliance.vision.child.start_child", None)
    with pytest.raises(NotInstalled, match="TensorRT is not installed"):
        ask_device()


@pytest.mark.parametrize("version", VERSIONS)
def test_the_stand_in_for_a_device_says_what_it_is(gpu: StandInGpu, version: str) -> None:
    gpu.set(version=version)
    assert ask_device() == Device("Orin", "8.7", version)


@pytest.mark.parametrize("behaviour", [{"driver": False}, {"devices": 0}])
def test_the_driver_is_asked_before_the_stand_in_for_tensorrt_is_loaded(
    gpu: StandInGpu, behaviour: dict[str, Any]
) -> None:
    gpu.set(import_crashes=True, **behaviour)
    with pytest.raises(NoDevice, match="CUDA driver"):
        ask_device()


def test_a_stand_in_for_tensorrt_that_crashes_takes_a_child_with_it_and_nothing_else(gpu: StandInGpu) -> None:
    gpu.set(import_crashes=True)
    with pytest.raises(ChildCrashed, match="SIGSEGV"):
        ask_device()


@pytest.mark.parametrize(
    ("version", "precision"), [*((version, "int8") for version in VERSIONS), ("8.6.1", "fp16"), ("11.4.1", "fp16")]
)
def test_each_version_of_the_stand_in_builds_an_engine_that_says_what_onnx_runtime_says(
    gpu: StandInGpu, model: Model, version: str, precision: str
) -> None:
    gpu.set(version=version)
    reference = load_form(model, f"tensorrt_{precision}")
    with working(plan(model, precision)) as worker:
        stack = pictures(3, SIDE)
        for ours, theirs in zip(worker(stack), reference.run(stack), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("integrated", [True, False], ids=["shared memory", "memory of its own"])
def test_the_stand_in_for_an_engine_passes_the_self_test(gpu: StandInGpu, model: Model, integrated: bool) -> None:
    gpu.set(integrated=integrated)
    with working(plan(model)) as worker:
        assert self_test(NetworkDetector(model.of_regions(), worker)) == []


def test_when_memory_is_short_the_process_of_the_stand_in_goes_first(gpu: StandInGpu, model: Model) -> None:
    with working(plan(model)) as worker:
        assert Path(f"/proc/{worker._child._process.pid}/oom_score_adj").read_text() == "1000\n"


def test_closing_a_stand_in_that_hangs_ends_the_pass_before_the_pipe_is_closed(gpu: StandInGpu, model: Model) -> None:
    worker = Worker(plan(model), SIDE)
    gpu.set(run="hung")
    with ThreadPoolExecutor(1) as streams:
        passing = streams.submit(worker, pictures(1, 64))
        until(worker._lock.locked, 20, "the pass has begun")
        worker.close()
        assert isinstance(passing.exception(20), ChildCrashed)
    assert worker._child._process.poll() is not None


def test_more_pictures_than_the_stand_in_takes_go_one_batch_after_the_other(gpu: StandInGpu, model: Model) -> None:
    with working(plan(model)) as worker:
        stack = pictures(2 * MOST + 1, SIDE)
        together = worker(stack)
        alone = [worker(stack[begin : begin + MOST]) for begin in range(0, len(stack), MOST)]
        for maps, parts in zip(together, zip(*alone, strict=True), strict=True):
            np.testing.assert_array_equal(maps, np.concatenate(parts))


def test_a_smaller_square_lies_in_grey_of_which_the_stand_in_tells_nothing(gpu: StandInGpu, model: Model) -> None:
    with working(plan(model)) as worker:
        worker(pictures(1, SIDE))  # what was there before must not show
        small = pictures(1, 128)
        canvas = np.full((1, SIDE, SIDE, 3), 114, np.uint8)
        canvas[:, :128, :128] = small
        for ours, whole, stride in zip(worker(small), worker(canvas), (8, 16, 32), strict=True):
            assert ours.shape == (1, 8, 128 // stride, 128 // stride)
            np.testing.assert_array_equal(ours, whole[:, :, : 128 // stride, : 128 // stride])


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("none", BuildFailed, "built no engine"),
        ("memory", OutOfMemory, "OutOfMemory"),
        ("crash", ChildCrashed, "SIGSEGV"),
        ("parser: no such operator", BuildFailed, "cannot read the model: parser: no such operator"),
    ],
)
def test_a_stand_in_that_builds_nothing_says_why(
    gpu: StandInGpu, model: Model, how: str, kind: type[GpuError], words: str
) -> None:
    gpu.set(build=how)
    with pytest.raises(kind, match=words):
        plan(model)


@pytest.mark.parametrize(("version", "tells"), [("8.6.1", False), ("10.3.0", True), ("11.4.1", True)])
def test_a_build_by_the_stand_in_tells_how_far_it_is_where_that_version_can(
    gpu: StandInGpu, model: Model, version: str, tells: bool
) -> None:
    gpu.set(version=version, build_s=1.5)
    told: list[tuple[str, int, int]] = []
    plan(model, tell=lambda *step: told.append(step))
    assert bool(told) == tells
    assert all(phase == "Building engine" and steps == 4 for phase, _, steps in told)


def test_a_build_by_the_stand_in_leaves_the_processor_to_others(gpu: StandInGpu, model: Model) -> None:
    gpu.set(build_s=1.5)
    priorities: set[int] = set()

    def look(*_: object) -> None:
        for path in Path("/proc/self/task").glob("*/children"):
            for child in path.read_text().split():
                with suppress(ProcessLookupError):
                    priorities.add(os.getpriority(os.PRIO_PROCESS, int(child)))

    plan(model, tell=look)
    assert PRIORITY in priorities


def test_a_build_by_the_stand_in_ends_when_the_box_stops_or_when_it_takes_too_long(
    gpu: StandInGpu, model: Model
) -> None:
    gpu.set(build_s=300)
    with pytest.raises(Stopped):
        build_engine(form(model), "int8", SIDE, lambda *_: None, lambda: True)
    with pytest.raises(DeviceHung, match="was not built within"):
        build_engine(form(model), "int8", SIDE, lambda *_: None, lambda: False, limit_s=0.5)


@pytest.mark.parametrize("damage", ["another version", "half"])
def test_an_engine_that_the_stand_in_does_not_take_is_said_to_be_unusable(
    gpu: StandInGpu, model: Model, damage: str
) -> None:
    content = plan(model)
    if damage == "half":
        content = content[len(content) // 2 :]
    else:
        gpu.set(version="10.16.2")
    with pytest.raises(EngineUnusable, match="does not take the engine"):
        Worker(content, SIDE)


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("lost", DeviceLost, "illegal memory"),
        ("hung", DeviceHung, "did not answer"),
        ("crash", ChildCrashed, "SIGSEGV"),
    ],
)
def test_a_stand_in_that_fails_at_work_is_ended_and_says_so_to_whoever_asks_again(
    gpu: StandInGpu, model: Model, how: str, kind: type[GpuError], words: str
) -> None:
    with working(plan(model), pass_s=10 if how != "hung" else 1) as worker:
        worker(pictures(1, 64))
        gpu.set(run=how)
        with pytest.raises(kind, match=words):
            worker(pictures(1, 64))
        assert worker._child._process.wait(20) is not None
        with pytest.raises(DeviceLost, match=words):
            worker(pictures(1, 64))


def test_a_stand_in_without_memory_for_the_buffers_says_so(gpu: StandInGpu, model: Model) -> None:
    content = plan(model)
    gpu.set(run="memory")
    with pytest.raises(OutOfMemory, match="out of memory"):
        Worker(content, SIDE)
