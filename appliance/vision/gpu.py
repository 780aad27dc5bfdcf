"""What we ask of the GPU, by way of a process of its own (gpu_child.py): which there is, an engine, and to judge.

A kernel that hangs cannot be ended within a process, and a context that failed stays so: here the child is ended, and
another one begins.
"""

from __future__ import annotations

import importlib.util
import mmap
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from appliance.language import N_
from appliance.vision.bboxes import PAD_GREY, STRIDES
from appliance.vision.child import Child
from appliance.vision.gpu_child import Answer, Task, views
from appliance.vision.gpu_errors import BY_NAME, DeviceHung, DeviceLost, NotInstalled, Stopped
from appliance.vision.pixels import Stack
from appliance.vision.tensorrt import MOST, Device, Tell, bytes_for

LIBRARIES = {"tensorrt": "TensorRT", "pycuda": "pycuda"}
ASK_S = 20.0
OPEN_S = 60.0
PASS_S = 3.0  # a batch takes milliseconds; one that takes longer has hung
BUILD_S = 3600.0
POLL_S = 0.2


class GpuChild(Child):
    """One process with one task. payload: the form or the engine. Raises OSError, GpuError."""

    def __init__(self, task: Task, payload: bytes | None = None, memory_fd: int | None = None) -> None:
        shared = [] if memory_fd is None else [memory_fd]
        super().__init__(N_("the process that speaks with the GPU"), "appliance.vision.gpu_child", pass_fds=shared)
        try:
            self.send(msgspec.json.encode(task))
            if payload is not None:
                self.send(payload)
        except BaseException:
            self.end()
            raise

    def answer(self, timeout_s: float) -> Answer | None:
        """What it says within the time; None: nothing. Raises what it reports, ChildCrashed."""
        if not self.has_news(timeout_s):
            return None
        answer = msgspec.json.decode(self.content(), type=Answer)
        if answer.kind == "error":
            raise BY_NAME.get(answer.error, DeviceLost)(answer.text)
        return answer


def ask_device(timeout_s: float = ASK_S) -> Device:
    """Which GPU there is. Raises NoDevice, NotInstalled, ChildCrashed, DeviceHung."""
    for module, name in LIBRARIES.items():
        if importlib.util.find_spec(module) is None:  # no process is needed to know that
            raise NotInstalled(N_("{library} is not installed").format(library=name))
    child = GpuChild(Task("device"))
    try:
        answer = child.answer(timeout_s)
        if answer is None or answer.device is None:
            raise DeviceHung(N_("the CUDA driver did not answer within {seconds} s").format(seconds=f"{timeout_s:g}"))
        return answer.device
    finally:
        child.end()


def build_engine(
    form: bytes, precision: str, side_px: int, tell: Tell, is_stopping: Callable[[], bool], limit_s: float = BUILD_S
) -> bytes:
    """The engine of a form, made in a child of low priority; see tensorrt.build.

    Raises BuildFailed, OutOfMemory, ChildCrashed, DeviceHung, Stopped.
    """
    child, begun_s = GpuChild(Task("build", precision, side_px), form), time.monotonic()
    try:
        while not is_stopping():
            answer = child.answer(POLL_S)
            if answer is None and time.monotonic() - begun_s > limit_s:
                raise DeviceHung(
                    N_("the engine was not built within {minutes} minutes").format(minutes=f"{limit_s / 60:.0f}")
                )
            if answer is not None and answer.kind == "progress":
                tell(answer.text, answer.step, answer.steps)
            elif answer is not None:
                return child.content()
        raise Stopped("the box stops")
    finally:
        child.end()


class Worker:
    """An engine that judges, in a child. Is a `Run` for squares of side_px or less; one call at a time, others wait.

    Raises GpuError, after which it is of no use.
    """

    def __init__(self, plan: bytes, side_px: int, opening_s: float | None = None, pass_s: float | None = None) -> None:
        self.side_px = side_px
        opening_s, self._pass_s = opening_s or OPEN_S, pass_s or PASS_S
        self._lock = threading.Lock()
        self._failure: Exception | None = None
        memory_fd = os.memfd_create("mb9k-gpu")
        try:
            os.ftruncate(memory_fd, bytes_for(side_px))
            self._pictures, self._outputs = views(mmap.mmap(memory_fd, bytes_for(side_px)), side_px)
            self._child = GpuChild(Task("judge", side_px=side_px, memory_fd=memory_fd), plan, memory_fd)
        finally:
            os.close(memory_fd)
        try:
            if self._child.answer(opening_s) is None:
                raise DeviceHung(
                    N_("the engine could not be opened within {seconds} s").format(seconds=f"{opening_s:g}")
                )
        except BaseException:
            self.close()
            raise

    def __call__(self, squares: Stack) -> Sequence[NDArray[Any]]:
        """See `Run`. Smaller squares lie in the upper left corner of grey, of which nothing is told."""
        with self._lock:
            pieces = [self._pass(squares[begin : begin + MOST]) for begin in range(0, len(squares), MOST)]
        return pieces[0] if len(pieces) == 1 else [np.concatenate(maps) for maps in zip(*pieces, strict=True)]

    def close(self) -> None:
        """End it; a pass that hangs ends with it."""
        self._failure = self._failure or DeviceLost(N_("it was closed"))
        self._child.kill()
        with self._lock:  # whoever is in a pass lets go of the pipe first
            self._child.end()

    def _pass(self, squares: Stack) -> list[NDArray[Any]]:
        if self._failure is not None:
            raise DeviceLost(str(self._failure)) from self._failure
        count, side = len(squares), squares.shape[1]
        if side < self.side_px:
            self._pictures[:count] = PAD_GREY
        self._pictures[:count, :side, :side] = squares
        try:
            self._child.send(count.to_bytes(4, "little"))
            if self._child.answer(self._pass_s) is None:
                raise DeviceHung(N_("the GPU did not answer within {seconds} s").format(seconds=f"{self._pass_s:g}"))
        except Exception as error:
            self._failure = error
            self._child.end()
            raise
        cells = [side // stride for stride in STRIDES]
        return [np.array(maps[:count, :, :some, :some]) for maps, some in zip(self._outputs, cells, strict=True)]
