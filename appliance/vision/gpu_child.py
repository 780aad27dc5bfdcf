"""The process that speaks with the GPU: a library that crashes or hangs takes nothing else with it.

Started by gpu.py. Tasks: `device` says which there is, `build` makes an engine, `judge` runs one.
"""

from __future__ import annotations

import math
import mmap
import os
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection

import msgspec
import numpy as np
from numpy.typing import NDArray

from appliance.vision import tensorrt
from appliance.vision.child import parent
from appliance.vision.gpu_errors import EngineUnusable, GpuError

PRIORITY = 19  # of a build: the lowest
TELL_PAUSE_S = 0.5


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the child says. kind: ready, done, error or progress. error: a name of gpu_errors.BY_NAME."""

    kind: str
    text: str = ""
    error: str = ""
    step: int = 0
    steps: int = 0
    device: tensorrt.Device | None = None


class Task(msgspec.Struct, frozen=True):
    """What it is to do. The form or the engine follows by itself."""

    name: str
    precision: str = ""
    side_px: int = 0
    memory_fd: int = -1


def say(pipe: Connection, answer: Answer) -> None:
    """Answer."""
    pipe.send_bytes(msgspec.json.encode(answer))


def main(pipe: Connection) -> None:
    """Do the one task that comes."""
    task = msgspec.json.decode(pipe.recv_bytes(), type=Task)
    try:
        if task.name == "device":
            say(pipe, Answer("done", device=tensorrt.device()))
        elif task.name == "build":
            _build(pipe, task)
        else:
            _judge(pipe, task)
    except GpuError as error:
        say(pipe, Answer("error", str(error), type(error).__name__))
    except (EOFError, ConnectionError):
        return  # who asked is gone
    except MemoryError:
        say(pipe, Answer("error", "there is not enough memory", "OutOfMemory"))
    except Exception as error:  # a library may raise what it likes
        say(pipe, Answer("error", f"{type(error).__name__}: {str(error)[:200]}", "DeviceLost"))


def _build(pipe: Connection, task: Task) -> None:
    with suppress(OSError):  # the sandbox of a service may forbid it
        os.nice(PRIORITY)
    told_s = 0.0

    def tell(phase: str, step: int, steps: int) -> None:
        nonlocal told_s
        if time.monotonic() - told_s > TELL_PAUSE_S:
            told_s = time.monotonic()
            say(pipe, Answer("progress", phase, step=step, steps=steps))

    plan = tensorrt.build(pipe.recv_bytes(), task.precision, task.side_px, tell)
    say(pipe, Answer("done"))
    pipe.send_bytes(plan)


def _judge(pipe: Connection, task: Task) -> None:
    """Judge what lies in the shared memory, whenever a number of pictures comes."""
    shared = mmap.mmap(task.memory_fd, tensorrt.bytes_for(task.side_px))
    os.close(task.memory_fd)
    pictures, outputs = views(shared, task.side_px)
    plan = pipe.recv_bytes()
    try:
        engine = tensorrt.Engine(plan, task.side_px)
    except GpuError:
        raise
    except Exception as error:
        # A library may raise what it likes; another engine is built, instead of this one being tried for ever.
        raise EngineUnusable(f"the engine cannot be opened ({type(error).__name__}: {str(error)[:200]})") from error
    say(pipe, Answer("ready"))
    while count := int.from_bytes(pipe.recv_bytes(), "little"):
        np.copyto(engine.pictures[:count], pictures[:count])
        engine.run(count)
        for ours, theirs in zip(outputs, engine.outputs, strict=True):
            np.copyto(ours[:count], theirs[:count])
        say(pipe, Answer("done"))


def views(shared: mmap.mmap, side_px: int) -> tuple[NDArray[np.uint8], list[NDArray[np.float32]]]:
    """The pictures and the outputs in the shared memory."""
    shape = (tensorrt.MOST, side_px, side_px, 3)
    pictures = np.frombuffer(shared, np.uint8, math.prod(shape)).reshape(shape)
    outputs: list[NDArray[np.float32]] = []
    offset = pictures.nbytes
    for each in tensorrt.output_shapes(side_px):
        outputs.append(np.frombuffer(shared, np.float32, math.prod(each), offset).reshape(each))
        offset += outputs[-1].nbytes
    return pictures, outputs


if __name__ == "__main__":
    main(parent())
    sys.stdout.flush()
    # TensorRT without a working driver crashes when it is unloaded; everything is said.
    os._exit(0)
