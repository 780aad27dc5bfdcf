"""A stand-in for TensorRT 8.6, 10.3, 10.16 and 11: flags that exist or not, plans of their own version, and its ways
to fail. It computes with ONNX Runtime."""

from __future__ import annotations

import enum
import json
import time
from typing import Any

import numpy as np
import onnxruntime
from stand_in_behaviour import behaviour, crash, note_build

if behaviour("import_crashes"):
    crash()

__version__ = str(behaviour("version"))
MAJOR = int(__version__.split(".")[0])

_of_network = {8: {"EXPLICIT_BATCH": 0}, 10: {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1}, 11: {"STRONGLY_TYPED": 1}}
NetworkDefinitionCreationFlag = enum.IntEnum("NetworkDefinitionCreationFlag", _of_network[MAJOR])  # type: ignore[misc]
_of_builder = {"FP16": 0, "INT8": 1} if MAJOR < 11 else {"TF32": 7}
BuilderFlag = enum.IntEnum("BuilderFlag", _of_builder)  # type: ignore[misc]
MemoryPoolType = enum.Enum("MemoryPoolType", "WORKSPACE")
TensorIOMode = enum.Enum("TensorIOMode", "NONE INPUT OUTPUT")


class _Severity(enum.IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2


class ILogger:
    """Its __init__ must be called by who derives from it: else the real one ends the process."""

    Severity = _Severity

    def __init__(self) -> None:
        self.is_made = True

    def log(self, severity: _Severity, text: str) -> None:
        raise NotImplementedError


if MAJOR >= 10:

    class IProgressMonitor:
        def __init__(self) -> None:
            self.is_made = True


class Builder:
    def __init__(self, logger: ILogger) -> None:
        assert logger.is_made
        self.logger = logger

    def create_network(self, flags: int = 0) -> Network:
        return Network(flags)

    def create_builder_config(self) -> Config:
        return Config()

    def create_optimization_profile(self) -> Profile:
        return Profile()

    def build_serialized_network(self, network: Network, config: Config) -> bytes | None:
        monitor = getattr(config, "progress_monitor", None)
        if monitor is not None:
            assert MAJOR >= 10 and monitor.is_made
            monitor.phase_start("Building engine", None, 4)
        note_build()
        until_s = time.monotonic() + behaviour("build_s")
        step = 0
        while time.monotonic() < until_s:
            time.sleep(0.05)
            step = min(3, step + 1)
            if monitor is not None and not monitor.step_complete("Building engine", step):
                return None
        return self._built(network, config)

    def _built(self, network: Network, config: Config) -> bytes | None:
        how = behaviour("build")
        if how == "crash":
            crash()
        if how in ("none", "memory"):
            text = (
                "Error Code 2: OutOfMemory (Requested size was 268435456 bytes)" if how == "memory" else "Error Code 10"
            )
            self.logger.log(_Severity.ERROR, text)
            return None
        is_int8 = b"QuantizeLinear" in network.content
        if MAJOR < 11 and is_int8 and "INT8" not in config.flags:
            self.logger.log(_Severity.ERROR, "Networks with Q/DQ nodes need the flag INT8")
            return None
        (profile,) = config.profiles
        assert profile.shapes is not None and config.workspace_bytes > 0
        wrong = how if how in ("swapped", "off") else "swapped" if is_int8 and behaviour("no_int8") else ""
        header = {
            "version": __version__,
            "gpu": behaviour("gpu"),
            "wrong": wrong,
            "side": profile.shapes[0][1],
            "most": profile.shapes[2][0],
        }
        return json.dumps(header).encode() + b"\n" + network.content


class Network:
    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.content = b""

    def get_input(self, number: int) -> Tensor:
        assert number == 0 and self.content
        return Tensor("input_0")


class Tensor:
    def __init__(self, name: str) -> None:
        self.name = name


class ParserError:
    def __init__(self, text: str) -> None:
        self.text = text

    def desc(self) -> str:
        return self.text


class OnnxParser:
    def __init__(self, network: Network, logger: ILogger) -> None:
        assert logger.is_made
        self.network, self.errors = network, [""] * 0

    def parse(self, content: bytes) -> bool:
        if MAJOR == 8 and not self.network.flags & 1:
            self.errors = ["This version of the ONNX parser only supports networks with an explicit batch dimension"]
        elif behaviour("build").startswith("parser: "):
            self.errors = [behaviour("build")]
        self.network.content = content
        return not self.errors

    @property
    def num_errors(self) -> int:
        return len(self.errors)

    def get_error(self, number: int) -> ParserError:
        return ParserError(self.errors[number])


class Config:
    def __init__(self) -> None:
        self.flags: set[str] = set()
        self.profiles: list[Profile] = []
        self.workspace_bytes = 0

    def set_memory_pool_limit(self, pool: Any, size_bytes: int) -> None:
        assert pool is MemoryPoolType.WORKSPACE
        self.workspace_bytes = size_bytes

    def set_flag(self, flag: Any) -> None:
        self.flags.add(flag.name)

    def add_optimization_profile(self, profile: Profile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1


class Profile:
    shapes: tuple[tuple[int, ...], ...] | None = None

    def set_shape(self, name: str, least: tuple[int, ...], often: tuple[int, ...], most: tuple[int, ...]) -> None:
        assert name == "input_0" and len(least) == 4
        self.shapes = (least, often, most)


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        assert logger.is_made
        self.logger = logger

    def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
        header, _, content = plan.partition(b"\n")
        try:
            about = json.loads(header)
        except ValueError:
            self.logger.log(_Severity.ERROR, "Serialization assertion magicTag failed")
            return None
        if about["version"] != __version__:
            self.logger.log(_Severity.ERROR, "The engine plan file is not compatible with this version of TensorRT")
            return None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        return Engine(about, onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"]))


class Engine:
    def __init__(self, about: dict[str, Any], session: onnxruntime.InferenceSession) -> None:
        self.about, self.session = about, session
        self.names = [each.name for each in [*session.get_inputs(), *session.get_outputs()]]

    @property
    def num_io_tensors(self) -> int:
        return len(self.names)

    def get_tensor_name(self, number: int) -> str:
        return str(self.names[number])

    def get_tensor_mode(self, name: str) -> Any:
        return TensorIOMode["INPUT" if name == "input_0" else "OUTPUT"]

    def create_execution_context(self) -> ExecutionContext:
        return ExecutionContext(self)


class ExecutionContext:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.addresses: dict[str, int] = {}
        self.shape: tuple[int, ...] = ()

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shape = tuple(shape)
        side, most = self.engine.about["side"], self.engine.about["most"]
        return name == "input_0" and 1 <= shape[0] <= most and self.shape[1:] == (side, side, 3)

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        count, side = self.shape[0], self.shape[1]
        return self.shape if name == "input_0" else (count, 8, *[side // int(name.removeprefix("p"))] * 2)

    def execute_async_v3(self, stream_handle: int) -> bool:
        from pycuda.driver import memory

        assert stream_handle
        pictures = memory[self.addresses["input_0"]][: int(np.prod(self.shape))].reshape(self.shape)
        names = self.engine.names[1:]
        for name, result in zip(names, self.engine.session.run(names, {"input_0": pictures}), strict=True):
            if self.engine.about["wrong"] == "swapped":  # mask and no_mask
                result = result[:, [0, 2, 1, 3, 4, 5, 6, 7]]
            if self.engine.about["wrong"] == "off":
                result[:, 4] += 0.4  # cells to the right
            flat = np.ascontiguousarray(result, np.float32).reshape(-1).view(np.uint8)
            memory[self.addresses[name]][: flat.nbytes] = flat
        return True
