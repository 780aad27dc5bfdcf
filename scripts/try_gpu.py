"""Prints what a GPU really does with the engines of ours: for whoever has a board, or any machine with TensorRT.

    python -m scripts.try_gpu                    all of it (some minutes)
    python -m scripts.try_gpu build break        only these of: build buffers break memory streams

The box must not run meanwhile: it would share the GPU. Engines are built in a folder of their own, `--folder`.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from appliance.vision import gpu, tensorrt
from appliance.vision.backends import Backends, TensorRT
from appliance.vision.detector import Run
from appliance.vision.engines import Engines
from appliance.vision.gpu_errors import GpuError
from appliance.vision.manifest import Model, find, verified
from appliance.vision.onnx import load_detector
from appliance.vision.pixels import Stack

MODELS, PRECISIONS = ("mb9k-320", "mb9k-416"), ("int8", "fp16")
PATIENCE_S, ROUNDS = 120.0, 300
CROWDS = ((8, 5.0), (8, 30.0), (16, 60.0))  # streams, looks a second
CROWD_S = 10.0
MIB = 1 << 20


class _Silent:
    def tell(self, sentence: str) -> None:
        """See Progress."""

    def is_stopping(self) -> bool:
        """See Progress."""
        return False


def build(engines: Engines) -> None:
    """Every engine there can be: how it agrees, how long it takes, and once more from its file."""
    for name in MODELS:
        for precision in PRECISIONS:
            model = only(find(name), precision)
            for what in ("built and tested", "from its file"):
                begun_s = time.monotonic()
                try:
                    with closing(TensorRT(model, engines, _Silent())) as opened:
                        print(
                            f"  {opened.name}, {name}: {what} in {time.monotonic() - begun_s:.1f} s; {opened.figures}"
                        )
                except GpuError as error:
                    print(f"  {name}, {precision}: {type(error).__name__}: {error}")
                    break


def buffers(engines: Engines) -> None:
    """The engine in this process, its buffers copied and shared: milliseconds a pass, and whether both say the same."""
    plan = _plan(engines)
    pictures, said = _squares(tensorrt.MOST), dict[bool, list[bytes]]()
    for shares in (False, True):
        engine = tensorrt.Engine(plan, pictures.shape[1], shares)
        for count in (1, 4, tensorrt.MOST):
            engine.pictures[:] = pictures
            took_ms = _took_ms(partial(engine.run, count))
            print(f"  {'shared' if shares else 'copied'}, {count}: {_spread(took_ms)}")
        said[shares] = [each.tobytes() for each in engine.outputs]
    print(f"  both say the same to the bit: {said[False] == said[True]}")


def break_it(engines: Engines) -> None:
    """A process on the GPU that dies or hangs, files that are damaged: who judges, and how long until the GPU does."""
    cpu, squares = load_detector(), _squares(4)
    expected = cpu.look(squares)
    backends = Backends("auto", "", cpu, engines.folder, pause_s=1.0)
    backends.start()
    try:
        _until("the GPU judges", lambda: backends.judging.backend == "tensorrt")
        for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP):
            for pid in _children():
                os.kill(pid, number)
            begun_s = time.monotonic()
            same = backends.judge.look(squares) == expected
            print(f"  {number.name}: answered in {time.monotonic() - begun_s:.2f} s, as the CPU would: {same}")
            _until("the CPU judges", lambda: backends.judging.backend == "onnx")
            print(f"  {backends.judging.reason}")
            _until("the GPU judges again", lambda: backends.judging.backend == "tensorrt")
    finally:
        backends.stop()
    model, plan = only(find(), PRECISIONS[0]), _plan(engines)
    (key,) = (entry.key for _, entry in engines.all() if entry and engines.load(entry.key) == plan)
    for what, damaged in (("half an engine", plan[: len(plan) // 2]), ("nonsense", b"nonsense" * 1000)):
        engines.keep(key, damaged, "", 0, "")  # whole by its sum: TensorRT itself has to see it
        begun_s = time.monotonic()
        with closing(TensorRT(model, engines, _Silent())) as opened:
            print(f"  {what}: another one judges after {time.monotonic() - begun_s:.1f} s; {opened.figures}")


def memory(engines: Engines) -> None:
    """The GPU's memory taken by another but for 600 and for 0 MiB, and back."""
    import pycuda.driver as cuda

    model = only(find(), PRECISIONS[0])
    cuda.init()
    context, held = cuda.Device(0).make_context(), []
    for left in (600, 0):
        while (size := cuda.mem_get_info()[0] - left * MIB) > 16 * MIB:
            try:
                held.append(cuda.mem_alloc(size))
            except cuda.MemoryError:
                held.append(cuda.mem_alloc(size // 2))
        print(f"  {cuda.mem_get_info()[0] // MIB} MiB left: {_outcome(partial(TensorRT, model, engines, _Silent()))}")
        form = verified(model.forms[f"tensorrt_{PRECISIONS[0]}"])
        built = partial(gpu.build_engine, form, PRECISIONS[0], model.region_px, lambda *_: None, lambda: False)
        print(f"  to build another: {_outcome(built)}")
    for each in held:
        each.free()
    context.pop()
    print(f"  and back: {_outcome(partial(TensorRT, model, engines, _Silent()))}")


def streams(engines: Engines) -> None:
    """Looks of several streams at once, one by one and as batches: milliseconds each takes."""
    with closing(TensorRT(only(find(), PRECISIONS[0]), engines, _Silent())) as opened:
        for name, run in (("one by one", opened.run), ("batches", opened.detector.run)):  # type: ignore[attr-defined]
            for count, rate in CROWDS:
                took_ms, failed = _crowd(run, count, rate)
                print(f"  {name}, {count} streams, {rate:g} looks a second: {_spread(took_ms)}; {failed} failed")


def _crowd(run: Run, count: int, rate: float) -> tuple[list[float], int]:
    square, took_ms, failed = _squares(1), list[float](), list[str]()

    def look(number: int) -> None:
        due_s = time.monotonic() + number / count / rate
        end_s = due_s + CROWD_S
        while due_s < end_s:
            time.sleep(max(0.0, due_s - time.monotonic()))
            try:
                took_ms.append(_one_ms(lambda: run(square)))
            except Exception as error:  # counted, whatever it is
                failed.append(str(error))
            due_s = max(due_s + 1 / rate, time.monotonic())  # a GPU that is too slow gets no more than it can do

    threads = [threading.Thread(target=look, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took_ms, len(failed)


def only(model: Model, precision: str) -> Model:
    """The model with the form of this precision alone."""
    name = f"tensorrt_{precision}"
    return msgspec.structs.replace(model, forms={name: model.forms[name]})


def _plan(engines: Engines) -> bytes:
    """The INT8 engine of the default model, built if there is none."""
    model = only(find(), PRECISIONS[0])
    TensorRT(model, engines, _Silent()).close()
    digest = model.forms[f"tensorrt_{PRECISIONS[0]}"].sha256
    plans = (engines.load(entry.key) for _, entry in engines.all() if entry and entry.key.form_sha256 == digest)
    return next(plan for plan in plans if plan)


def _squares(count: int) -> Stack:
    side = find().region_px
    return np.random.default_rng(1).integers(0, 255, (count, side, side, 3), dtype=np.uint8)


def _took_ms(act: Callable[[], object]) -> list[float]:
    for _ in range(ROUNDS // 10):
        act()
    return [_one_ms(act) for _ in range(ROUNDS)]


def _one_ms(act: Callable[[], object]) -> float:
    begun_s = time.perf_counter()
    act()
    return (time.perf_counter() - begun_s) * 1000


def _spread(took_ms: Sequence[float]) -> str:
    return (
        f"median {statistics.median(took_ms):.2f} ms, p95 {statistics.quantiles(took_ms, n=20)[-1]:.2f}, "
        f"most {max(took_ms):.2f}, of {len(took_ms)}"
    )


def _outcome(act: Callable[[], object]) -> str:
    begun_s = time.monotonic()
    try:
        made = act()
    except GpuError as error:
        return f"{type(error).__name__} after {time.monotonic() - begun_s:.1f} s: {error}"
    if isinstance(made, TensorRT):
        made.close()
    return f"done in {time.monotonic() - begun_s:.1f} s"


def _until(what: str, condition: Callable[[], bool]) -> None:
    begun_s = time.monotonic()
    while not condition():
        if time.monotonic() - begun_s > PATIENCE_S:
            raise SystemExit(f"{what}: not within {PATIENCE_S:.0f} s")
        time.sleep(0.02)
    print(f"  {what} after {time.monotonic() - begun_s:.2f} s")


def _children() -> Iterator[int]:
    """The processes of ours that speak with the GPU."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"appliance.vision.gpu_child" in path.read_bytes().split(b"\0"):
                yield int(path.parent.name)
        except OSError:  # it is gone
            continue


PARTS: dict[str, Callable[[Engines], None]] = {
    "build": build, "buffers": buffers, "break": break_it, "memory": memory, "streams": streams,
}  # fmt: skip


@contextmanager
def _folder(chosen: Path | None) -> Iterator[Path]:
    if chosen is not None:
        yield chosen
        return
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m scripts.try_gpu", description="Try a GPU with our engines.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--folder", type=Path, help="where engines are kept (default: nowhere)")
    options = parser.parse_args(argv)
    if wrong := [part for part in options.parts if part not in PARTS]:
        parser.error(f"there is no {', '.join(wrong)}; choose of {', '.join(PARTS)}")
    try:
        device = gpu.ask_device()
    except GpuError as error:
        print(f"no GPU to try: {error}", file=sys.stderr)
        return 1
    print(f"{device.gpu}, compute capability {device.capability}, TensorRT {device.tensorrt}")
    with _folder(options.folder) as folder:
        for part in options.parts or PARTS:
            print(part, flush=True)
            PARTS[part](Engines(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
