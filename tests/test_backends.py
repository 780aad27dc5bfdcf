"""Who judges, and what happens when the GPU fails or the box stops; detectors of the tests stand in for a GPU."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from appliance.faces import Face, State
from appliance.vision import backends as backends_module
from appliance.vision.backends import MOST_CUT_OFF, Backends, Judge, TensorRT
from appliance.vision.engines import Engines, Key
from appliance.vision.gpu_errors import BuildFailed, ChildCrashed, DeviceLost, EngineRefused, GpuError
from appliance.vision.manifest import find
from appliance.vision.pixels import Stack
from appliance.vision.tensorrt import Device
from tests.boxes import until
from tests.colour_detector import ColourDetector

SQUARE = np.full((1, 160, 160, 3), 90, np.uint8)
SQUARE[:, 40:90, 40:90] = (20, 200, 20)
PATIENCE_S = 30.0


class Broken(ColourDetector):
    """A GPU that failed."""

    def look(self, squares: Stack, score_threshold: float | None = None) -> list[list[Face]]:
        """It raises."""
        raise DeviceLost(f"gone with {len(squares)} ({score_threshold})")


def test_a_judge_falls_back_in_the_middle_of_a_look_and_forgets_only_who_failed() -> None:
    judge = Judge(ColourDetector())
    judge.use(Broken())
    ((face,),) = judge.look(SQUARE)
    assert face.state is State.MASK
    assert judge.lost.is_set() and judge.why == "gone with 1 (None)"
    fresh = ColourDetector()
    judge.use(fresh)
    judge._lose(Broken(), DeviceLost("an older one"))
    assert judge._gpu is fresh and not judge.lost.is_set()


class Slow(ColourDetector):
    """A GPU that one waits for."""

    def look(self, squares: Stack, score_threshold: float | None = None) -> list[list[Face]]:
        """It takes a while."""
        time.sleep(0.05)
        return super().look(squares, score_threshold)


def test_who_waits_for_the_gpu_is_charged_for_it_and_nobody_else() -> None:
    judge = Judge(ColourDetector())
    judge.use(Slow())
    before_s = judge.spent_s() - time.thread_time()
    judge.look(SQUARE)
    assert judge.spent_s() - time.thread_time() >= before_s + 0.04
    others: list[float] = []
    other = threading.Thread(target=lambda: others.append(judge.spent_s() - time.thread_time()))
    other.start()
    other.join()
    assert others[0] < 0.04


class Opened:
    """Stands in for a GPU that judges."""

    name = "A stand-in"

    def __init__(self, detector: ColourDetector) -> None:
        self.detector, self.is_closed = detector, threading.Event()

    def close(self) -> None:
        """See Opened of backends.py."""
        self.is_closed.set()


def test_a_box_that_stops_while_the_gpu_is_being_opened_does_not_let_it_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backends, gpu = Backends("auto", "", ColourDetector(), tmp_path), Opened(ColourDetector())
    stop = threading.Thread(target=backends.stop)

    def opened(_: Backends) -> Opened:
        stop.start()
        until(backends.judge.lost.is_set, PATIENCE_S, "it is told to stop")
        return gpu

    monkeypatch.setattr(Backends, "_opened", opened)
    monkeypatch.setattr(backends_module, "END_S", 10 * PATIENCE_S)
    backends.start()
    backends._thread.join(PATIENCE_S)
    assert not backends._thread.is_alive()
    assert gpu.is_closed.is_set() and backends.judge._gpu is None
    stop.join()


def test_a_gpu_that_cannot_be_closed_is_tried_again_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stuck(Opened):
        def close(self) -> None:
            raise OSError("the device is busy")

    monkeypatch.setattr(Backends, "_opened", lambda _: Stuck(Broken()))
    backends = Backends("auto", "", ColourDetector(), tmp_path, pause_s=1.0)  # long enough to be seen
    backends.start()
    try:
        for _ in range(2):
            until(lambda: backends.judging.backend == "tensorrt", PATIENCE_S, "the GPU judges")
            assert len(backends.judge.look(SQUARE)[0]) == 1
            until(lambda: "The device is busy. The CPU judges" in backends.judging.reason, PATIENCE_S, "it says why")
    finally:
        backends.stop()
    assert not backends._thread.is_alive()


@pytest.mark.parametrize(
    ("of_int8", "of_fp16", "kind"),
    [
        (ChildCrashed("it crashed"), EngineRefused("wrong"), ChildCrashed),
        (EngineRefused("wrong"), BuildFailed("no memory"), BuildFailed),
        (EngineRefused("wrong"), EngineRefused("wrong, too"), EngineRefused),
    ],
)
def test_only_when_every_engine_was_refused_it_is_not_tried_again(
    of_int8: GpuError, of_fp16: GpuError, kind: type[GpuError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = {"int8": of_int8, "fp16": of_fp16}

    def fail(_: TensorRT, key: Key, form: str) -> None:
        assert form == f"tensorrt_{key.precision}"
        raise failures[key.precision]

    monkeypatch.setattr("appliance.vision.gpu.ask_device", lambda: Device("Orin", "8.7", "10.3.0"))
    monkeypatch.setattr(TensorRT, "_open", fail)
    backends = Backends("auto", "", ColourDetector(), tmp_path)
    with pytest.raises(kind, match=f"^{of_int8}; {of_fp16}$") as caught:
        TensorRT(find(), Engines(tmp_path), backends)
    assert type(caught.value) is kind


def test_an_engine_that_ended_with_the_box_again_and_again_is_not_built_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Key] = []

    def fail(_: TensorRT, key: Key, form: str) -> bytes:
        assert form == f"tensorrt_{key.precision}"
        assert Engines(tmp_path).cut_off(key) == 1, "it is noted before it begins"
        built.append(key)
        raise BuildFailed("nothing came of it")

    monkeypatch.setattr("appliance.vision.gpu.ask_device", lambda: Device("Orin", "8.7", "10.3.0"))
    monkeypatch.setattr(TensorRT, "_build", fail)
    backends = Backends("auto", "", ColourDetector(), tmp_path)

    def opened() -> list[str]:
        built.clear()
        with pytest.raises(BuildFailed):
            TensorRT(find(), Engines(tmp_path), backends)
        return [key.precision for key in built]

    assert opened() == ["int8", "fp16"]
    of_int8 = built[0].name
    (tmp_path / f"{of_int8}.begun").write_text(str(MOST_CUT_OFF))
    assert opened() == ["fp16"]
    assert opened() == ["fp16"], "it is remembered"
    ((name, entry),) = Engines(tmp_path).all()
    assert name == of_int8 and entry is not None and entry.refused and "ended 3 times" in entry.figures
    Engines(tmp_path).remove(of_int8)
    assert opened() == ["int8", "fp16"]
