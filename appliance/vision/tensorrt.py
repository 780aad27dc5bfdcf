"""TensorRT with pycuda: the one file that imports them, inside the functions that need them.

Runs in a child process alone (gpu_child.py). Written against TensorRT 8.6 (JetPack 6.0), 10.3 (6.1, 6.2), 10.16 (7.2)
and 11, whose tensor API is the same; what differs are flags: 8 must be told that the batch is explicit, 8 and 10 which
precisions they may use, and 11 takes the types that the file has. 8.6 tells no progress.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from appliance.vision.bboxes import STRIDES
from appliance.vision.gpu_errors import (
    BuildFailed,
    DeviceLost,
    EngineUnusable,
    GpuError,
    NoDevice,
    NotInstalled,
    OutOfMemory,
)

MOST = 8  # pictures in a batch
OFTEN = 4  # for which the engine is tuned
WORKSPACE_BYTES = 256 << 20
PRECISIONS = {"int8": ("INT8", "FP16"), "fp16": ("FP16",)}
"""By precision, the builder's flags, as far as it has them: layers without Q/DQ nodes may be FP16."""
CELL = 8  # numbers in each cell of an output
Tell = Callable[[str, int, int], None]
"""Told how a build goes: the phase, and the step of how many."""


class Device(msgspec.Struct, frozen=True):
    """The GPU and the library. capability: 8.7; tensorrt: its version."""

    gpu: str
    capability: str
    tensorrt: str


def device() -> Device:
    """The first GPU. The driver is asked before TensorRT is loaded, which crashes without one.

    Raises NoDevice, NotInstalled.
    """
    try:
        import pycuda.driver as cuda
    except ModuleNotFoundError as error:
        raise NotInstalled("pycuda is not installed") from error
    except ImportError as error:  # mostly the driver's library
        raise NoDevice(f"pycuda cannot be loaded ({_line(error)})") from error
    try:
        cuda.init()
        if not cuda.Device.count():
            raise NoDevice("the CUDA driver knows no device")
        first = cuda.Device(0)
        gpu, capability = str(first.name()), "{}.{}".format(*first.compute_capability())
    except cuda.Error as error:
        raise NoDevice(f"the CUDA driver does not answer ({_line(error)})") from error
    try:
        import tensorrt
    except ImportError as error:
        raise NotInstalled(f"TensorRT cannot be loaded ({_line(error)})") from error
    return Device(gpu, capability, str(tensorrt.__version__))


def build(form: bytes, precision: str, side_px: int, tell: Tell) -> bytes:
    """The engine (a plan) of an ONNX file that takes bytes, N x side x side x 3, for 1 to MOST pictures.

    It takes minutes. Raises BuildFailed, OutOfMemory.
    """
    import tensorrt as trt

    logger = _logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(_network_flags(trt))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(form):
        errors = [parser.get_error(number).desc() for number in range(parser.num_errors)]
        raise BuildFailed(f"TensorRT cannot read the model: {_line((errors or logger.errors or ['no reason'])[0])}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    for flag in PRECISIONS[precision]:
        if hasattr(trt.BuilderFlag, flag):
            config.set_flag(getattr(trt.BuilderFlag, flag))
    profile = builder.create_optimization_profile()
    shapes = [(count, side_px, side_px, 3) for count in (1, OFTEN, MOST)]
    profile.set_shape(network.get_input(0).name, *shapes)
    if config.add_optimization_profile(profile) < 0:
        raise BuildFailed(f"TensorRT takes no inputs of {side_px} px")
    if hasattr(trt, "IProgressMonitor"):
        monitor = _monitor(trt, tell)
        config.progress_monitor = monitor
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise _of_log(logger, BuildFailed("TensorRT built no engine"))
    return bytes(plan)


class Engine:
    """An engine on the device, for the thread that made it. Buffers are made once, for MOST pictures.

    pictures: MOST x side x side x 3 bytes, written to before `run`; outputs: a map of cells per stride, read after it.
    Both are page-locked. A GPU that shares the processor's memory (a Jetson) works in them, others get copies.
    """

    def __init__(self, plan: bytes, side_px: int, shares: bool | None = None) -> None:
        """shares: whether it works in the host's buffers; None: as suits the GPU.

        Raises EngineUnusable, OutOfMemory, DeviceLost.
        """
        import pycuda.driver as cuda
        import tensorrt as trt

        self._cuda, self._logger = cuda, _logger(trt)
        try:
            cuda.init()
            device = cuda.Device(0)
            self._owned = device.retain_primary_context()  # TensorRT's own, so that both work in one
            self._owned.push()
            if shares is None:
                shares = bool(device.get_attribute(cuda.device_attribute.INTEGRATED))
            self._runtime = trt.Runtime(self._logger)
            self._engine = self._runtime.deserialize_cuda_engine(plan)
            if self._engine is None:
                raise _of_log(self._logger, EngineUnusable("TensorRT does not take the engine"))
            self._context = self._engine.create_execution_context()
            if self._context is None:
                raise _of_log(self._logger, OutOfMemory("there is not enough memory for the engine"))
            self._stream = cuda.Stream()
            self._done = cuda.Event(cuda.event_flags.BLOCKING_SYNC)  # waiting must not keep a processor busy
            self._entrance, exits = self._names(trt)
            self._in = _Buffer(cuda, (MOST, side_px, side_px, 3), np.uint8, shares)
            self._out = [_Buffer(cuda, shape, np.float32, shares) for shape in output_shapes(side_px)]
            self._bind(exits)
        except cuda.Error as error:
            raise _of_cuda(cuda, error) from error
        self.pictures = self._in.host
        self.outputs = [buffer.host for buffer in self._out]

    def run(self, count: int) -> None:
        """Judge the first `count` pictures. Raises DeviceLost, OutOfMemory."""
        cuda = self._cuda
        try:
            self._in.to_device(count, self._stream)
            if not self._context.set_input_shape(self._entrance, (count, *self.pictures.shape[1:])):
                raise DeviceLost(f"the engine takes no {count} pictures")
            if not self._context.execute_async_v3(int(self._stream.handle)):
                raise _of_log(self._logger, DeviceLost("the engine could not be started"))
            for buffer in self._out:
                buffer.to_host(count, self._stream)
            self._done.record(self._stream).synchronize()
        except cuda.Error as error:
            raise _of_cuda(cuda, error) from error

    def _names(self, trt: Any) -> tuple[str, list[str]]:
        """Of the input, and of the outputs in the order of their strides. Raises EngineUnusable."""
        names = [str(self._engine.get_tensor_name(number)) for number in range(self._engine.num_io_tensors)]
        inputs = [name for name in names if self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        wanted = [f"p{stride}" for stride in STRIDES]
        if len(inputs) != 1 or sorted(names) != sorted(inputs + wanted):
            raise EngineUnusable(f"the engine has {', '.join(names)}, not one input and {', '.join(wanted)}")
        return inputs[0], wanted

    def _bind(self, exits: Sequence[str]) -> None:
        """Tell the engine where everything lies. Raises EngineUnusable where a shape is another.

        The engine itself may call a side free that its profile has fixed, so the context is asked.
        """
        if not self._context.set_input_shape(self._entrance, self._in.host.shape):
            raise EngineUnusable(f"the engine takes no {self._in.host.shape}")
        for name, buffer in zip([self._entrance, *exits], [self._in, *self._out], strict=True):
            shape = tuple(self._context.get_tensor_shape(name))
            if shape != buffer.host.shape or not self._context.set_tensor_address(name, buffer.address):
                raise EngineUnusable(f"the engine's {name} is {shape}, not {buffer.host.shape}")


class _Buffer:
    """Memory of the host that the device can reach, and its twin there unless they share it."""

    def __init__(self, cuda: Any, shape: tuple[int, ...], kind: type[np.generic], shares: bool) -> None:
        self._cuda = cuda
        flags = cuda.host_alloc_flags.DEVICEMAP if shares else 0
        self.host: NDArray[Any] = cuda.pagelocked_empty(shape, kind, mem_flags=flags)
        self._twin = None if shares else cuda.mem_alloc(self.host.nbytes)
        self.address = int(self.host.base.get_device_pointer() if self._twin is None else self._twin)

    def to_device(self, count: int, stream: Any) -> None:
        """Have the first `count` on the device."""
        if self._twin is not None:
            self._cuda.memcpy_htod_async(self._twin, self.host[:count], stream)

    def to_host(self, count: int, stream: Any) -> None:
        """Have the first `count` on the host, once the stream is that far."""
        if self._twin is not None:
            self._cuda.memcpy_dtoh_async(self.host[:count], self._twin, stream)


def output_shapes(side_px: int) -> list[tuple[int, ...]]:
    """The shapes of the outputs for MOST pictures of side x side."""
    return [(MOST, CELL, side_px // stride, side_px // stride) for stride in STRIDES]


def _network_flags(trt: Any) -> int:
    """8 has implicit batches unless told otherwise; 10 knows the flag and ignores it, 11 has no such flag."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None)
    return 0 if flag is None or int(str(trt.__version__).split(".")[0]) >= 10 else 1 << int(flag)


def _logger(trt: Any) -> Any:
    """A logger that keeps the last errors: the functions themselves say only None."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, text: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors = [*self.errors, str(text)][-10:]

    return Logger()


def _monitor(trt: Any, tell: Tell) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:  # noqa: ARG002
            self.steps[phase] = int(steps)
            tell(str(phase), 0, int(steps))

        def step_complete(self, phase: str, step: int) -> bool:
            tell(str(phase), int(step) + 1, self.steps.get(phase, 0))
            return True  # go on

        def phase_finish(self, phase: str) -> None:
            self.steps.pop(phase, None)

    return Monitor()


def _of_log(logger: Any, error: GpuError) -> GpuError:
    """The error with what the library said last, as lack of memory where it is that."""
    said = _line(logger.errors[-1]) if logger.errors else ""
    text = f"{error}: {said}" if said else str(error)
    return OutOfMemory(text) if "memory" in said.lower() and "out" in said.lower() else type(error)(text)


def _of_cuda(cuda: Any, error: Exception) -> GpuError:
    return OutOfMemory(_line(error)) if isinstance(error, cuda.MemoryError) else DeviceLost(_line(error))


def _line(text: object, most: int = 200) -> str:
    """The first line, not too long."""
    first = next(iter(str(text).strip().splitlines()), "").replace(". ", ".\u00a0")  # a part of a sentence (outside.py)
    return first if len(first) <= most else f"{first[:most]}..."


def bytes_for(side_px: int) -> int:
    """How much room MOST pictures take, and after them their outputs."""
    return MOST * side_px * side_px * 3 + sum(4 * math.prod(shape) for shape in output_shapes(side_px))
