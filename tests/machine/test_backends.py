"""The life of an engine, against stand-ins for TensorRT and pycuda that compute on the CPU: no GPU is involved."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.vision import gpu as gpu_module
from appliance.vision.backends import Backends
from appliance.vision.detector import NetworkDetector
from appliance.vision.engines import Engines
from appliance.vision.onnx import load_detector
from tests.boxes import until
from tests.gpus import StandInGpu, no_gpu, stand_in_gpu

PATIENCE_S = 90.0


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandInGpu:
    """A stand-in."""
    return stand_in_gpu(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def cpu() -> NetworkDetector:
    """The detector that the box begins with."""
    return load_detector()


@contextmanager
def running(folder: Path, cpu: NetworkDetector, wanted: str = "auto", pause_s: float = 300) -> Iterator[Backends]:
    """Backends that choose, until the end of the block."""
    backends = Backends(wanted, "", cpu, folder, pause_s)
    backends.start()
    try:
        yield backends
    finally:
        backends.stop()
        assert not backends._thread.is_alive()


def wait_for(backends: Backends, condition: Callable[[Backends], bool], what: str) -> None:
    until(lambda: condition(backends), PATIENCE_S, f"{what} ({backends.judging})")


def on_gpu(backends: Backends) -> bool:
    return backends.judging.backend == "tensorrt"


def gave_up(backends: Backends) -> bool:
    return backends.judging.backend == "onnx" and "CPU judges" in backends.judging.reason


def entries(folder: Path) -> list[tuple[str, str, bool]]:
    """Precision, version and whether it was refused, of all that is known."""
    known = [entry for _, entry in Engines(folder).all()]
    return [(entry.key.precision, entry.key.tensorrt, entry.refused) for entry in known if entry]


def test_the_cpu_judges_and_nothing_is_asked_where_the_configuration_says_so(
    gpu: StandInGpu, cpu: NetworkDetector, tmp_path: Path
) -> None:
    gpu.set(import_crashes=True)
    backends = Backends("onnx", "", cpu, tmp_path / "engines")
    backends.start()
    assert (backends.judging.backend, backends.judging.reason) == ("onnx", "vision.backend says so.")
    assert not backends._thread.is_alive()
    backends.stop()


@pytest.mark.parametrize("wanted", ["auto", "tensorrt"])
def test_without_the_libraries_the_cpu_judges_and_says_which_one_is_missing(
    cpu: NetworkDetector, tmp_path: Path, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_gpu(monkeypatch)
    with running(tmp_path / "engines", cpu, wanted) as backends:
        wait_for(backends, gave_up, "the CPU judges")
        assert backends.judging.reason == "TensorRT is not installed. The CPU judges."
        assert backends.judging.name == "ONNX Runtime on the CPU"
        backends._thread.join(PATIENCE_S)


def test_a_stand_in_engine_is_built_at_the_first_start_and_there_at_the_second(
    gpu: StandInGpu, cpu: NetworkDetector, tmp_path: Path
) -> None:
    folder = tmp_path / "engines"
    gpu.set(build_s=1.0)
    with running(folder, cpu) as backends:
        assert backends.judging.backend == "onnx"  # at once, whatever the GPU does
        assert backends.judge.look(np.zeros((1, 64, 64, 3), np.uint8)) == [[]]
        wait_for(backends, lambda each: "being built (INT8)" in (each.judging.progress or ""), "progress")
        wait_for(backends, lambda each: "Building engine: 3 of 4" in (each.judging.progress or "") or on_gpu(each), "")
        wait_for(backends, on_gpu, "the GPU judges")
        assert backends.judging.name == "TensorRT 10.3.0 on Orin, INT8"
        assert backends.judging.progress is None
    assert entries(folder) == [("int8", "10.3.0", False)]
    gpu.set(build="none")
    with running(folder, cpu) as backends:
        wait_for(backends, on_gpu, "the GPU judges again")
    assert gpu.builds == ["10.3.0"]


def test_after_an_upgrade_of_jetpack_the_stand_in_engine_is_built_again(
    gpu: StandInGpu, cpu: NetworkDetector, tmp_path: Path
) -> None:
    folder = tmp_path / "engines"
    for version in ("8.6.1", "10.3.0"):
        gpu.set(version=version)
        with running(folder, cpu) as backends:
            wait_for(backends, on_gpu, "the GPU judges")
            assert version in backends.judging.name
    assert gpu.builds == ["8.6.1", "10.3.0"]
    assert sorted(entries(folder)) == [("int8", "10.3.0", False), ("int8", "8.6.1", False)]


@pytest.mark.parametrize("damage", ["cut in half", "off", "foreign", "cut in half within"])
def test_a_stand_in_engine_on_disk_that_is_of_no_use_is_built_again(
    gpu: StandInGpu, cpu: NetworkDetector, tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "engines"
    with running(folder, cpu) as backends:
        wait_for(backends, on_gpu, "the GPU judges")
    (path,) = folder.glob("*.engine")
    ((_, entry),) = Engines(folder).all()
    assert entry is not None
    content = path.read_bytes()
    if damage == "cut in half":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "cut in half within":
        plan = content.partition(b"\n")[2]
        Engines(folder).keep(entry.key, plan[: len(plan) // 2], "", 0, "")
    else:  # whole by its sum, and wrong inside
        plan = content.partition(b"\n")[2]
        old, new = (b'"wrong": ""', b'"wrong": "off"') if damage == "off" else (b'"10.3.0"', b'"10.2.0"')
        assert old in plan
        Engines(folder).keep(entry.key, plan.replace(old, new, 1), "", 0, "")
    with running(folder, cpu) as backends:
        wait_for(backends, on_gpu, "the GPU judges")
    assert gpu.builds == ["10.3.0", "10.3.0"]
    assert Engines(folder).load(entry.key) == content.partition(b"\n")[2]


def test_a_stand_in_engine_with_swapped_labels_is_refused_with_the_figures_and_not_built_again(
    gpu: StandInGpu, cpu: NetworkDetector, tmp_path: Path
) -> None:
    folder = tmp_path / "engines"
    gpu.set(build="swapped")
    with running(folder, cpu) as backends:
        wait_for(backends, gave_up, "it is refused")
        assert "fails its self-test" in backends.judging.reason
        assert "says mask, is no_mask" in backends.judging.reason
        assert "in another state" in backends.judging.reason
        assert "It is not used; the CPU judges." in backends.judging.reason
    assert sorted(entries(folder)) == [("fp16", "10.3.0", True), ("int8", "10.3.0", True)]
    with running(folder, cpu) as backends:
        wait_for(backends, gave_up, "it is refused still")
        assert "says mask, is no_mask" in backends.judging.reason
    assert len(gpu.builds) == 2  # INT8 and FP16


def test_a_stand_in_engine_that_passes_the_self_test_and_is_a_bit_off_is_refused_with_the_figures(
    gpu: StandInGpu, cpu: NetworkDetector, tmp_path: Path
) -> None:
    gpu.set(build="off")
    with running(tmp_path / "engines", cpu) as backends:
        wait_for(backends, gave_up, "it is refused")
        figures = "16 faces, 0 of one only, 0 in another state, least IoU"
        assert f"The engine does not judge as ONNX Runtime does: {figures}" in backends.judging.reason
        assert "self-test" not in backends.judging.reason


def test_where_the_stand_in_computes_int8_wrongly_fp16_judges(
    gpu: StandInGpu, cpu: NetworkDetector, tmp_path: Path
) -> None:
    gpu.set(no_int8=True)
    with running(tmp_path / "engines", cpu) as backends:
        wait_for(backends, on_gpu, "the GPU judges")
        assert backends.judging.name == "TensorRT 10.3.0 on Orin, FP16"
    assert sorted(entries(tmp_path / "engines")) == [("fp16", "10.3.0", False), ("int8", "10.3.0", True)]


def test_two_who_want_the_same_stand_in_engine_build_it_once(
    gpu: StandInGpu, cpu: NetworkDetector, tmp_path: Path
) -> None:
    folder = tmp_path / "engines"
    gpu.set(build_s=4.0)
    with running(folder, cpu) as first, running(folder, cpu) as second:
        for backends in (first, second):
            wait_for(backends, on_gpu, "the GPU judges")
    assert gpu.builds == ["10.3.0"]


def test_a_stand_in_engine_judges_although_the_disk_is_full(
    gpu: StandInGpu, cpu: NetworkDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("appliance.vision.engines.os.fsync", full)
    with running(tmp_path / "engines", cpu) as backends:
        wait_for(backends, on_gpu, "the GPU judges")
    assert entries(tmp_path / "engines") == []
    assert not list((tmp_path / "engines").glob("*.draft"))


def test_when_the_stand_in_device_fails_the_cpu_judges_the_same_look_and_the_gpu_is_tried_again(
    gpu: StandInGpu, cpu: NetworkDetector, tmp_path: Path
) -> None:
    with running(tmp_path / "engines", cpu, pause_s=1.0) as backends:
        wait_for(backends, on_gpu, "the GPU judges")
        square = np.zeros((1, 64, 64, 3), np.uint8)
        assert backends.judge.look(square) == [[]]
        gpu.set(run="lost")
        assert backends.judge.look(square) == cpu.look(square)
        wait_for(backends, gave_up, "the CPU judges")
        assert "The GPU failed: " in backends.judging.reason
        assert "illegal memory access" in backends.judging.reason
        gpu.set(run="right")
        wait_for(backends, on_gpu, "the GPU judges again")
    assert gpu.builds == ["10.3.0"]


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ({"driver": False}, "The CUDA driver does not answer"),
        ({"import_crashes": True}, "crashed (SIGSEGV)"),
        ({"build": "crash"}, "crashed (SIGSEGV)"),
        ({"build": "memory"}, "OutOfMemory"),
        ({"run": "memory"}, "out of memory"),
        ({"run": "lost"}, "illegal memory"),
    ],
    ids=["no driver", "crash at import", "crash at build", "no memory to build", "no memory to run", "lost"],
)
def test_whatever_the_stand_in_does_the_cpu_judges_and_it_is_not_tried_again_at_once(
    gpu: StandInGpu, cpu: NetworkDetector, tmp_path: Path, behaviour: dict[str, Any], words: str
) -> None:
    gpu.set(**behaviour)
    with running(tmp_path / "engines", cpu) as backends:
        wait_for(backends, gave_up, "the CPU judges")
        assert words in backends.judging.reason
        assert "tried again in 5 min" in backends.judging.reason
        assert backends.judge.look(np.zeros((1, 64, 64, 3), np.uint8)) == [[]]


def test_a_box_that_stops_ends_the_stand_in_of_a_build_of_five_minutes(
    gpu: StandInGpu, cpu: NetworkDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    children: list[gpu_module.GpuChild] = []
    made = gpu_module.GpuChild.__init__

    def noted(child: gpu_module.GpuChild, *arguments: Any, **named: Any) -> None:
        made(child, *arguments, **named)
        children.append(child)

    monkeypatch.setattr(gpu_module.GpuChild, "__init__", noted)
    gpu.set(build_s=300)
    with running(tmp_path / "engines", cpu) as backends:
        wait_for(backends, lambda _: bool(gpu.builds), "it is being built")
        assert backends.judge.look(np.zeros((1, 64, 64, 3), np.uint8)) == [[]]
    assert children and all(child._process.poll() is not None for child in children)
    assert entries(tmp_path / "engines") == []


def test_jetson_inference_that_is_not_installed_leaves_it_to_the_cpu(cpu: NetworkDetector, tmp_path: Path) -> None:
    with running(tmp_path / "engines", cpu, "jetson") as backends:
        wait_for(backends, gave_up, "the CPU judges")
