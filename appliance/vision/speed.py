"""How long a picture takes: each backend that works here, for batches of some sizes, beside NVIDIA's trtexec."""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path

import msgspec
import numpy as np

from appliance.config import Config
from appliance.errors import UserError
from appliance.processes import ended_child
from appliance.vision.backends import TensorRT
from appliance.vision.detector import Run
from appliance.vision.engines import Engines
from appliance.vision.gpu_errors import GpuError
from appliance.vision.jetson import open_detector
from appliance.vision.manifest import find, folder
from appliance.vision.onnx import inputs_of, load_detector

Opening = Callable[[str, Config], AbstractContextManager[Run]]
"""Opens a backend for a model of the manifest (its name; empty: the default). Raises UserError: why it cannot, here."""

FORM = "tensorrt_int8"  # what trtexec is given: the same as what our TensorRT is
BATCHES = (1, 2, 4, 8)
SECONDS = 10.0
FEWEST_ROUNDS = 3
TRTEXEC_PLACES = (Path("/usr/src/tensorrt/bin/trtexec"),)  # where JetPack has it, beside PATH
TRTEXEC_TIMEOUT_S = 900.0  # it builds an engine first
PRECISIONS = (("--int8", "--fp16"), ())  # from TensorRT 11 on the file alone says it, and the flags are gone


class Figure(msgspec.Struct, frozen=True):
    """Milliseconds a picture, of passes over so many: the median, the least, and CPU time (None: not known)."""

    backend: str
    batch: int
    ms: float
    least_ms: float
    cpu_ms: float | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What came of measuring. absent: backends that do not work here, and why; side_px: of the pictures."""

    model: str
    side_px: int
    figures: list[Figure]
    absent: dict[str, str]


def _onnx(model: str, _: Config) -> AbstractContextManager[Run]:
    return nullcontext(load_detector(model).run)


@contextmanager
def _tensorrt(model: str, config: Config) -> Iterator[Run]:
    opened = TensorRT(find(model), Engines(config.engines_dir), _Silent())
    with closing(opened):
        yield opened.run


@contextmanager
def _jetson(model: str, config: Config) -> Iterator[Run]:
    with closing(open_detector(find(model), config.engines_dir)) as opened:
        yield opened.run


class _Silent:
    """Whom nothing need be told while an engine is built."""

    def tell(self, sentence: str) -> None:
        """See Progress."""

    def is_stopping(self) -> bool:
        """See Progress."""
        return False


BACKENDS: dict[str, Opening] = {"onnx": _onnx, "tensorrt": _tensorrt, "jetson": _jetson}
"""All backends there are, by the name that the configuration has for them."""


def measured(
    model: str,
    config: Config,
    seconds: float = SECONDS,
    batches: Sequence[int] = BATCHES,
    backends: Mapping[str, Opening] = BACKENDS,
) -> Outcome:
    """Try all backends, each for so many seconds. Raises UserError if there is no such model."""
    of_model = find(model)
    figures: list[Figure] = []
    absent: dict[str, str] = {}
    for name, opening in backends.items():
        try:
            with opening(model, config) as run:
                figures += _figures(name, run, of_model.region_px, batches, seconds)
        except (UserError, GpuError) as error:
            absent[name] = str(error)
        except Exception as error:  # whatever a backend raises, the others are measured
            absent[name] = f"it failed ({type(error).__name__}: {str(error).partition(chr(10))[0]})"
    for name, path in _trtexec():
        try:
            if FORM not in of_model.forms:
                raise UserError(f"the model {of_model.id} has no form for it")
            figures += trtexec(path, folder() / of_model.forms[FORM].file, batches)
        except UserError as error:
            absent[name] = str(error)
    return Outcome(of_model.id, of_model.region_px, figures, absent)


def _figures(name: str, run: Run, side_px: int, batches: Sequence[int], seconds: float) -> Iterator[Figure]:
    chance = np.random.default_rng(1)
    stacks = [chance.integers(0, 255, (batch, side_px, side_px, 3), dtype=np.uint8) for batch in batches]
    for stack in stacks:
        run(stack)  # what is only done once
    spent: list[list[tuple[float, float]]] = [[] for _ in stacks]
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s or len(spent[-1]) < FEWEST_ROUNDS:
        for stack, times in zip(stacks, spent, strict=True):  # in turns, so that all see the same load
            begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
            run(stack)
            times.append((time.perf_counter() - begun_s, time.process_time() - begun_cpu_s))
    for batch, times in zip(batches, spent, strict=True):
        wall_ms, cpu_ms = ([each * 1000 / batch for each in column] for column in zip(*times, strict=True))
        yield Figure(name, batch, *(round(ms, 3) for ms in (statistics.median(wall_ms), min(wall_ms), min(cpu_ms))))


def _trtexec() -> Iterator[tuple[str, Path]]:
    found = shutil.which("trtexec")
    places = [Path(found)] if found else [place for place in TRTEXEC_PLACES if place.is_file()]
    yield from (("trtexec", place) for place in places[:1])


def trtexec(program: Path, file: Path, batches: Sequence[int] = BATCHES) -> list[Figure]:
    """The same file in NVIDIA's own tool: what the GPU alone takes, nothing of ours around it. Raises UserError."""
    if not file.is_file():
        raise UserError(f"there is no {file} for it to measure")
    name, shape = inputs_of(file)
    figures: list[Figure] = []
    for batch in batches if isinstance(shape[0], str) else (1,):
        said = _trtexec_said(program, file, name, shape, batch)
        found = re.search(r"GPU Compute Time: min = ([\d.]+) ms.*?median = ([\d.]+) ms", said)
        if found is None:
            lines = [line for line in said.splitlines() if "[E]" in line] or ["it says no GPU compute time"]
            raise UserError(f"{program} measured nothing: {lines[0].strip()}")
        figures.append(Figure("trtexec", batch, *(round(float(found[group]) / batch, 3) for group in (2, 1))))
    return figures


def _trtexec_said(program: Path, file: Path, name: str, shape: Sequence[int | str], batch: int) -> str:
    command = [str(program), f"--onnx={file}", "--useSpinWait"]
    if isinstance(shape[0], str):  # an input whose size is free needs one; any other takes none
        command.append(f"--shapes={name}:{'x'.join(map(str, [batch, *shape[1:]]))}")
    said = ""
    for flags in PRECISIONS:
        try:
            code, out, err = ended_child([*command, *flags], TRTEXEC_TIMEOUT_S)
        except (OSError, subprocess.SubprocessError) as error:
            raise UserError(f"{program} cannot be run ({type(error).__name__})") from error
        said = out + err
        if code == 0:
            break
    return said
