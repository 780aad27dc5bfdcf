"""What judges: a GPU where one does it right, else the CPU. The choice is made again when that changes.

The CPU judges from the first second, whatever the GPU does; a GPU takes over once an engine is there that passed its
tests, and gives back at the first failure, in the middle of a look. Everything slow is done in a thread of its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from appliance.errors import UserError
from appliance.faces import Face, Judging
from appliance.language import N_
from appliance.outside import quoted, system_words
from appliance.times import utc_text
from appliance.vision import gpu
from appliance.vision.batching import Batching
from appliance.vision.detector import Detector, NetworkDetector
from appliance.vision.engines import Engines, Key
from appliance.vision.golden import agreement, self_test
from appliance.vision.gpu_errors import BuildFailed, ChildCrashed, EngineRefused, EngineUnusable, GpuError, NotInstalled
from appliance.vision.jetson import open_detector
from appliance.vision.manifest import Model, find, verified
from appliance.vision.onnx import load_form
from appliance.vision.pixels import Pixels, Stack
from appliance.vision.tensorrt import MOST

log = logging.getLogger(__name__)

CPU, TENSORRT, JETSON = "onnx", "tensorrt", "jetson"
ON_CPU = N_("ONNX Runtime on the CPU")
NAME = N_("TensorRT {version} on {gpu}, {precision}")
AS_CONFIGURED = N_("vision.backend says so.")
ASKED = N_("The GPU is being asked.")
GPU_JUDGES = N_("A GPU answers, and judges as it should.")
FAILED = N_("The GPU failed: {why}")
CPU_JUDGES = N_("The CPU judges.")
NOT_USED = N_("It is not used; the CPU judges.")
CPU_FOR_NOW = N_("The CPU judges; tried again in {pause}.")
"""Why it is that one which judges."""
WAITING = N_("Another process builds the engine; waiting for it.")
PRECISIONS = ("int8", "fp16")  # the first that is right
FIRST_PAUSE_S, LONGEST_PAUSE_S = 60.0, 3600.0
MOST_CUT_OFF = 3  # a build that ends with the machine each time must not be what the box does at each start
BUILDS = N_("An engine is being built ({precision}), for {minutes} min.")
BUILDS_STEP = N_("An engine is being built ({precision}), for {minutes} min, {phase}: {step} of {steps}.")
CUT_OFF = N_(
    "the box ended {times} times while the engine was built or tested; see `mb9k engine build --again`"
).format(times=MOST_CUT_OFF)
STEADY_S = 600.0  # who judged for so long may be tried again soon
END_S = 10.0


class Judge:
    """A detector that never fails because of the GPU: what that cannot judge, the CPU does at once.

    lost: set when the GPU failed; why: the reason.
    """

    def __init__(self, cpu: Detector) -> None:
        self.model_id = cpu.model_id
        self.input_width, self.input_height = cpu.input_width, cpu.input_height
        self.score_threshold, self.region_px, self.smallest_face_px = (
            cpu.score_threshold, cpu.region_px, cpu.smallest_face_px,
        )  # fmt: skip
        self._cpu = cpu
        self._gpu: Detector | None = None
        self._waited = threading.local()
        self._lock = threading.Lock()
        self.lost, self.why = threading.Event(), ""

    def detect(self, image: Pixels, score_threshold: float | None = None) -> list[Face]:
        """See Detector. The CPU's network takes whole pictures as they are, so it sees more in them."""
        return self._cpu.detect(image, score_threshold)

    def look(self, squares: Stack, score_threshold: float | None = None) -> list[list[Face]]:
        """See Detector."""
        there = self._gpu
        if there is not None and len(squares):
            begun_s = time.monotonic()
            try:
                return there.look(squares, score_threshold)
            except Exception as error:  # also what a library raises that nobody knew of
                self._lose(there, error)
            finally:
                self._waited.s = self._waited_s + time.monotonic() - begun_s
        return self._cpu.look(squares, score_threshold)

    def spent_s(self) -> float:
        """What this thread has spent: its own CPU time, and the time that it waited for the GPU."""
        return time.thread_time() + self._waited_s

    @property
    def _waited_s(self) -> float:
        return float(getattr(self._waited, "s", 0.0))

    def use(self, detector: Detector) -> None:
        """Let the GPU judge from now on."""
        with self._lock:
            self._gpu, self.why = detector, ""
            self.lost.clear()

    def leave(self) -> None:
        """Let the CPU judge from now on."""
        with self._lock:
            self._gpu = None

    def _lose(self, detector: Detector, error: Exception) -> None:
        with self._lock:
            if self._gpu is detector:
                self._gpu, self.why = None, str(error)
                self.lost.set()


class Opened(Protocol):
    """A GPU that judges. detector: for any number of threads; name: for people, such as TensorRT 10.3.0 on Orin."""

    name: str

    @property
    def detector(self) -> Detector:
        """The detector."""

    def close(self) -> None:
        """End it."""


class Progress(Protocol):
    """What a way to the GPU is given: where to say what it does, and whether anybody still wants to know."""

    def tell(self, sentence: str) -> None:
        """What is being done, a sentence."""

    def is_stopping(self) -> bool:
        """Whether to give up."""


class TensorRT:
    """An engine of TensorRT that passed its tests, built if there is none. See Opened."""

    def __init__(self, model: Model, engines: Engines, progress: Progress, directory: Path | None = None) -> None:
        """Raises GpuError, UserError, OSError."""
        self._model, self._engines, self._progress, self._directory = model, engines, progress, directory
        device = gpu.ask_device()
        failures = []
        for precision in PRECISIONS:
            if (form := f"tensorrt_{precision}") not in model.forms:
                continue
            key = Key(
                model.forms[form].sha256, model.region_px, precision, MOST,
                device.tensorrt, device.gpu, device.capability,
            )  # fmt: skip
            try:
                self._detector, self._worker, self.figures = self._open(key, form)
            except (EngineRefused, BuildFailed, ChildCrashed) as error:
                log.error("no engine in %s: %s", precision.upper(), error)
                failures.append(error)
                continue
            self._batching = Batching.around(self._worker)
            self._detector = NetworkDetector(model.of_regions(), self._batching)
            self.name = NAME.format(version=device.tensorrt, gpu=device.gpu, precision=precision.upper())
            return
        if not failures:
            raise BuildFailed(N_("the model {model} has no form for TensorRT").format(model=model.id))
        worth_trying = [error for error in failures if not isinstance(error, EngineRefused)]
        raise type((worth_trying or failures)[0])("; ".join(dict.fromkeys(map(str, failures))))

    @property
    def detector(self) -> Detector:
        """See Opened."""
        return self._detector

    def run(self, stack: Stack) -> Sequence[NDArray[Any]]:
        """The engine alone, without others' pictures: see `Run`."""
        return self._worker(stack)

    def close(self) -> None:
        """End it."""
        self._worker.close()  # first: a pass that hangs ends with it
        self._batching.close()

    def _open(self, key: Key, form: str) -> tuple[NetworkDetector, gpu.Worker, str]:
        """From the folder, or built. One that is there and of no use is built again, once."""
        engines, progress = self._engines, self._progress
        with engines.building(key, progress.is_stopping, lambda: progress.tell(WAITING)):
            if engines.cut_off(key) >= MOST_CUT_OFF:
                _if_there_is_room(lambda: engines.refuse(key, utc_text(time.time()), 0.0, CUT_OFF))
                raise EngineRefused(CUT_OFF)
            if (figures := engines.refusal(key)) is not None:
                raise EngineRefused(figures)
            with engines.begun(key):
                return self._kept(key, form) or self._new(key, form)

    def _kept(self, key: Key, form: str) -> tuple[NetworkDetector, gpu.Worker, str] | None:
        plan = self._engines.load(key)
        if plan is None:
            return None
        try:
            return self._tested(plan, form)
        except (EngineUnusable, EngineRefused, ChildCrashed) as error:
            log.warning("the engine %s is of no use (%s); it is built again", key.name, error)
            self._engines.forget(key)
            return None

    def _new(self, key: Key, form: str) -> tuple[NetworkDetector, gpu.Worker, str]:
        begun_s = time.monotonic()
        plan = self._build(key, form)
        built_s, built_utc = time.monotonic() - begun_s, utc_text(time.time())
        self._progress.tell(N_("The engine is built; it is being tested."))
        try:
            opened = self._tested(plan, form)
        except EngineRefused as error:
            figures = str(error)
            _if_there_is_room(lambda: self._engines.refuse(key, built_utc, built_s, figures))
            raise
        _if_there_is_room(lambda: self._engines.keep(key, plan, built_utc, built_s, opened[2]))
        return opened

    def _build(self, key: Key, form: str) -> bytes:
        """A new engine, made by a child."""
        begun_s = time.monotonic()
        log.info("building the engine %s; the CPU judges meanwhile", key.name)

        def tell(phase: str, step: int, steps: int) -> None:
            minutes = (time.monotonic() - begun_s) / 60
            words = BUILDS_STEP if steps else BUILDS
            told = {"precision": key.precision.upper(), "minutes": f"{minutes:.0f}"}
            self._progress.tell(words.format(**told, phase=phase, step=step, steps=steps))

        tell("", 0, 0)
        content = verified(self._model.forms[form], self._directory)
        plan = gpu.build_engine(content, key.precision, key.side_px, tell, self._progress.is_stopping)
        log.info("built the engine %s in %.0f s", key.name, time.monotonic() - begun_s)
        return plan

    def _tested(self, plan: bytes, form: str) -> tuple[NetworkDetector, gpu.Worker, str]:
        """The engine at work, once it passed its self-test and agrees with ONNX Runtime. Raises EngineRefused.

        It is compared with the file that it was built from: what another form of the model says is another question.
        """
        worker = gpu.Worker(plan, self._model.region_px)
        try:
            detector = NetworkDetector(self._model.of_regions(), worker)
            problems = self_test(detector, self._directory)
            close = agreement(detector, load_form(self._model, form, self._directory), self._directory)
            if problems:
                words = N_("the engine fails its self-test: {problems} ({figures})")
                raise EngineRefused(words.format(problems="; ".join(problems[:3]), figures=close))
            if not close.is_close:
                words = N_("the engine does not judge as ONNX Runtime does: {figures}")
                raise EngineRefused(words.format(figures=close))
        except BaseException:
            worker.close()
            raise
        return detector, worker, str(close)


def _if_there_is_room(write: Callable[[], None]) -> None:
    """What cannot be written is not needed today: it is made again at the next start."""
    try:
        write()
    except OSError as error:
        log.warning("the engine cannot be kept (%s); it will be built again at the next start", error.strerror)


def _jetson(model: Model, engines: Engines, progress: Progress, directory: Path | None) -> Opened:
    """jetson-inference, by a file of its own."""
    progress.tell(N_("detectNet loads the model; the first time it builds an engine, which takes minutes."))
    return open_detector(
        model,
        engines.folder,
        directory,
        progress.is_stopping,
        lambda: progress.tell(WAITING),
    )


class Backends:
    """Chooses what judges, and goes on choosing until stopped.

    wanted: vision.backend of the configuration. judge: what the streams use. judging: what to say of it.
    """

    def __init__(
        self, wanted: str, model: str, cpu: Detector, folder: Path, pause_s: float = FIRST_PAUSE_S,
        directory: Path | None = None,
    ) -> None:  # fmt: skip
        self.judge = Judge(cpu)
        self._wanted, self._model, self._directory = wanted, model, directory
        self._engines, self._first_pause_s = Engines(folder), pause_s
        self._stopping = threading.Event()
        reason = AS_CONFIGURED if wanted == CPU else ASKED
        self.judging = Judging(CPU, ON_CPU, reason, utc_text(time.time()))
        self._thread = threading.Thread(target=self._run, name="backends", daemon=True)

    def start(self) -> None:
        """Begin to look for a GPU, if one is wanted."""
        if self._wanted != CPU:
            self._thread.start()

    def stop(self) -> None:
        """End it, and what runs on the GPU."""
        self._stopping.set()
        self.judge.lost.set()
        if self._thread.is_alive():
            self._thread.join(END_S)

    def tell(self, sentence: str) -> None:
        """What is being prepared, for people."""
        self.judging = replace(self.judging, progress=sentence)

    def is_stopping(self) -> bool:
        """See Progress."""
        return self._stopping.is_set()

    def _run(self) -> None:
        pause_s = self._first_pause_s
        while not self._stopping.is_set():
            try:
                judged_s = self._judge_until_lost(self._opened())
                reason = FAILED.format(why=_sentence(self.judge.why))
                if judged_s > STEADY_S:
                    pause_s = self._first_pause_s
            except NotInstalled as error:
                self._say_cpu(f"{_sentence(error)} {CPU_JUDGES}", expected=self._wanted == "auto")
                return
            except EngineRefused as error:
                self._say_cpu(f"{_sentence(error)} {NOT_USED}")
                return
            except Exception as error:  # nothing that the GPU does may end the watcher, or this thread
                if not isinstance(error, (GpuError, UserError, OSError)):
                    log.exception("the GPU could not be used")
                reason = _sentence(error)
            if self._stopping.is_set():
                return
            self._say_cpu(f"{reason} {CPU_FOR_NOW.format(pause=_words(pause_s))}")
            self._stopping.wait(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)

    def _opened(self) -> Opened:
        model = find(self._model, self._directory)
        if self._wanted == JETSON:
            return _jetson(model, self._engines, self, self._directory)
        return TensorRT(model, self._engines, self, self._directory)

    def _judge_until_lost(self, opened: Opened) -> float:
        """Let it judge until it fails or the box stops; for how long that was."""
        backend = JETSON if self._wanted == JETSON else TENSORRT
        reason = AS_CONFIGURED if self._wanted != "auto" else GPU_JUDGES
        begun_s = time.monotonic()
        try:
            self.judging = Judging(backend, opened.name, reason, utc_text(time.time()))
            self.judge.use(opened.detector)
            log.info("%s judges", opened.name)
            if not self._stopping.is_set():  # `use` takes back what `stop` says
                self.judge.lost.wait()
        finally:
            self.judge.leave()
            opened.close()
        return time.monotonic() - begun_s

    def _say_cpu(self, reason: str, expected: bool = False) -> None:
        log.log(logging.INFO if expected else logging.WARNING, "%s", reason)
        since_utc = self.judging.since_utc if self.judging.backend == CPU else utc_text(time.time())
        self.judging = Judging(CPU, ON_CPU, reason, since_utc)


def _sentence(what: object) -> str:
    text = (quoted(system_words(what)) if isinstance(what, OSError) else str(what)).strip() or N_("it gave no reason")
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith(".") else ".")


def _words(pause_s: float) -> str:
    return f"{pause_s / 60:.0f} min" if pause_s >= 60 else f"{pause_s:.0f} s"
