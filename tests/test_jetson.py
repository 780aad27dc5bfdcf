"""detectNet behind our detector, with a stand-in for jetson-inference that computes on the CPU. No Jetson was here."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest

from appliance.faces import State
from appliance.vision import jetson
from appliance.vision.engines import alone
from appliance.vision.golden import agreement, load_golden, self_test
from appliance.vision.gpu_errors import (
    BuildFailed,
    ChildCrashed,
    DeviceHung,
    DeviceLost,
    EngineRefused,
    GpuError,
    NotInstalled,
    Stopped,
)
from appliance.vision.jetson import FORM, LOCK, MOST, NUMBERS, candidates_of, laid_out, open_detector
from appliance.vision.manifest import find, load_manifest, verified
from appliance.vision.onnx import load_form
from appliance.vision.pixels import scale_to
from tests.conftest import REPOSITORY

STAND_IN = REPOSITORY / "tests" / "stand_in_jetson"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in is installed, for this process and for the child."""
    monkeypatch.syspath_prepend(str(STAND_IN))
    monkeypatch.setenv("PYTHONPATH", f"{STAND_IN}:{REPOSITORY}")


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch, installed: None) -> pytest.MonkeyPatch:
    """Lets the stand-in fail: fault.setenv("STAND_IN_FAULT", ...)."""
    return monkeypatch


@pytest.mark.parametrize("name", load_manifest().models)
def test_by_the_stand_in_every_preset_passes_its_self_test_and_judges_as_another_form_does(
    name: str, installed: None, tmp_path: Path
) -> None:
    model = find(name)
    opened = open_detector(model, tmp_path)
    try:
        assert self_test(opened.detector) == []
        close = agreement(opened.detector, load_form(model, "tensorrt_fp16"))
        assert (close.missed, close.states) == (0, 0)
        assert close.iou > 0.8
    finally:
        opened.close()


def test_smaller_squares_lie_in_the_corner_and_several_threads_may_ask(installed: None, tmp_path: Path) -> None:
    opened = open_detector(find(), tmp_path)
    try:
        (square,) = [scale_to(image, 160, 160) for picture, image in load_golden() if picture.file == "hopper-bare.jpg"]
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(opened.detector.look, [np.stack([square, np.zeros_like(square)])] * 6))
        for (face,), nobody in found:
            assert face.state is State.NO_MASK
            assert max(face.bbox_px) <= 160
            assert nobody == []
        assert opened.detector.look(np.zeros((0, 160, 160, 3), np.uint8)) == []
    finally:
        opened.close()


def test_without_jetson_inference_it_says_so(tmp_path: Path) -> None:
    assert "jetson_inference" not in sys.modules
    with pytest.raises(NotInstalled, match="jetson-inference is not installed"):
        open_detector(find(), tmp_path)


def test_a_model_without_the_form_is_refused(installed: None, tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="has no form for detectNet"):
        open_detector(msgspec.structs.replace(find(), forms={}), tmp_path)


def test_an_engine_lies_in_a_folder_that_is_called_after_its_model(tmp_path: Path) -> None:
    first = laid_out(b"one", tmp_path)
    (first / "model.onnx.1.1.GPU.FP16.engine").write_bytes(b"the engine of one")
    (tmp_path / "of-tensorrt.engine").write_bytes(b"")
    assert laid_out(b"one", tmp_path) == first
    assert (first / "model.onnx.1.1.GPU.FP16.engine").exists()
    assert (first / "labels.txt").read_text().split() == ["BACKGROUND", "mask", "no_mask", "incorrect"]
    second = laid_out(b"two", tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [second.name], "the other one is gone"
    assert {path.name for path in second.iterdir()} == {"model.onnx", "labels.txt"}
    assert (tmp_path / "of-tensorrt.engine").exists()


def test_two_processes_do_not_make_an_engine_at_once(installed: None, tmp_path: Path) -> None:
    waits = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with alone(tmp_path / LOCK, lambda: False, lambda: None):
            other = pool.submit(open_detector, find(), tmp_path, waits=waits.set)
            assert waits.wait(30) and not list(tmp_path.glob("detectnet-*"))
            with pytest.raises(Stopped):
                open_detector(find(), tmp_path, is_stopping=lambda: True)
        other.result(120).close()


@pytest.mark.parametrize("damaged", [b"", b"half an eng", None])
def test_an_engine_that_is_damaged_or_of_another_model_is_made_again(
    damaged: bytes | None, installed: None, tmp_path: Path
) -> None:
    model = find()
    files = laid_out(verified(model.forms[FORM]), tmp_path)
    engine = files / "model.onnx.1.1.GPU.FP16.engine"
    engine.write_bytes(verified(find("mb9k-416").forms[FORM]) if damaged is None else damaged)
    opened = open_detector(model, tmp_path)
    opened.close()
    if damaged is not None:
        assert engine.read_bytes() == (files / "model.onnx").read_bytes()


@pytest.mark.parametrize(
    ("what", "kind", "said"),
    [
        ("load", ChildCrashed, "ended by itself"),
        ("crash at loading", ChildCrashed, r"crashed \(SIGSEGV\)"),
        ("labels", EngineRefused, "fails its self-test"),
    ],
)
def test_one_that_does_not_load_or_judges_wrongly_never_judges(
    what: str, kind: type[GpuError], said: str, fault: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fault.setenv("STAND_IN_FAULT", what)
    with pytest.raises(kind, match=said):
        open_detector(find(), tmp_path)


@pytest.mark.parametrize(
    ("what", "kind", "said"),
    [
        ("detect", DeviceLost, "detectNet failed"),
        ("crash", ChildCrashed, r"crashed \(SIGSEGV\)"),
        ("hang", DeviceHung, "did not answer within"),
    ],
)
def test_one_that_fails_while_it_judges_says_how_and_is_of_no_use_then(
    what: str, kind: type[GpuError], said: str, fault: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fault.setenv("STAND_IN_FAULT", what)
    fault.setattr(jetson, "PASS_S", 0.3 if what == "hang" else 30.0)
    model = find()
    opened = jetson.Jetson(model, laid_out(verified(model.forms[FORM]), tmp_path))
    squares = np.zeros((1, 320, 320, 3), np.uint8)
    with pytest.raises(kind, match=said):
        opened.detector.look(squares)
    with pytest.raises(DeviceLost):
        opened.detector.look(squares)
    assert opened._child._process.poll() is not None
    opened.close()


def rows(*told: tuple[float, float, float, float, float, int]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    found = np.zeros((MOST, NUMBERS), np.float32)
    found[: len(told)] = np.reshape(told, (-1, NUMBERS))
    return found


def test_candidates_of_one_state_are_sure_and_of_two_states_are_not() -> None:
    found = candidates_of(
        rows((0, 0, 20, 20, 0.6, 1), (100, 100, 120, 120, 0.9, 3), (1, 0, 21, 20, 0.5, 2), (0, 1, 20, 21, 0.4, 1)),
        0.45, 0.5,
    )  # fmt: skip
    assert found.scores.tolist() == pytest.approx([0.9, 0.6, 0.5])
    assert found.probabilities[0].tolist() == pytest.approx([0, 0, 1])
    assert found.probabilities[1].tolist() == pytest.approx([0.6 / 1.1, 0.5 / 1.1, 0])


def test_where_nothing_is_told_there_is_nobody() -> None:
    found = candidates_of(rows(), 0.1, 0.5)
    assert (len(found.bboxes), len(found.scores), len(found.probabilities)) == (0, 0, 0)
