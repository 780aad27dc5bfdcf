"""A stand-in for pycuda.driver: device memory is a dict. It insists on a context that is current in this thread."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stand_in_behaviour import behaviour, crash

memory: dict[int, NDArray[np.uint8]] = {}
_current = threading.local()


class Error(Exception):
    """As in pycuda."""


class MemoryError(Error):
    """As in pycuda."""


class LogicError(Error):
    """As in pycuda."""


class LaunchError(Error):
    """As in pycuda."""


class host_alloc_flags:
    DEVICEMAP = 2


class device_attribute:
    INTEGRATED = 18


class event_flags:
    BLOCKING_SYNC = 1


def init(flags: int = 0) -> None:
    """cuInit."""
    assert flags == 0
    if not behaviour("driver"):
        raise LogicError("cuInit failed: no CUDA-capable device is detected")


def check() -> None:
    """Nothing works without a current context."""
    if not getattr(_current, "pushed", False):
        raise LogicError("invalid device context - no currently active context?")


class Context:
    def push(self) -> None:
        _current.pushed = True


class Device:
    @staticmethod
    def count() -> int:
        return int(behaviour("devices"))

    def __init__(self, number: int) -> None:
        if number >= self.count():
            raise LogicError("cuDeviceGet failed: invalid device ordinal")

    def name(self) -> str:
        return str(behaviour("gpu"))

    def compute_capability(self) -> tuple[int, int]:
        major, minor = behaviour("capability")
        return major, minor

    def get_attribute(self, attribute: int) -> int:
        assert attribute == device_attribute.INTEGRATED
        return int(behaviour("integrated"))

    def retain_primary_context(self) -> Context:
        return Context()


class Stream:
    def __init__(self) -> None:
        check()
        self.handle = id(self)


class Event:
    def __init__(self, flags: int = 0) -> None:
        check()
        assert flags == event_flags.BLOCKING_SYNC

    def record(self, stream: Stream) -> Event:
        assert isinstance(stream, Stream)
        return self

    def synchronize(self) -> Event:
        """Here a failed kernel shows."""
        check()
        how = behaviour("run")
        if how == "lost":
            raise LaunchError("cuEventSynchronize failed: an illegal memory access was encountered")
        if how == "crash":
            crash()
        while behaviour("run") == "hung":
            time.sleep(0.05)
        return self


class HostPointer:
    """What a page-locked array rests on."""

    def __init__(self, size_bytes: int, shape: tuple[int, ...], kind: Any) -> None:
        self.buffer = np.zeros(size_bytes, np.uint8)
        self.__array_interface__ = {
            "shape": shape,
            "typestr": np.dtype(kind).str,
            "data": (self.buffer.ctypes.data, False),
            "version": 3,
        }

    def get_device_pointer(self) -> int:
        address = self.buffer.ctypes.data
        memory[address] = self.buffer
        return int(address)


def pagelocked_empty(shape: tuple[int, ...], dtype: Any, order: str = "C", mem_flags: int = 0) -> NDArray[Any]:
    check()
    assert order == "C"
    assert (mem_flags == host_alloc_flags.DEVICEMAP) == bool(behaviour("integrated"))
    if behaviour("run") == "memory":
        raise MemoryError("cuMemHostAlloc failed: out of memory")
    return np.asarray(HostPointer(int(np.prod(shape)) * np.dtype(dtype).itemsize, shape, dtype))


class DeviceAllocation:
    def __init__(self, size_bytes: int) -> None:
        self.buffer = np.zeros(size_bytes, np.uint8)
        memory[int(self)] = self.buffer

    def __int__(self) -> int:
        return int(self.buffer.ctypes.data)


def mem_alloc(size_bytes: int) -> DeviceAllocation:
    check()
    return DeviceAllocation(size_bytes)


def memcpy_htod_async(to: DeviceAllocation, source: NDArray[Any], stream: Stream) -> None:
    check()
    assert source.flags.c_contiguous and isinstance(stream, Stream)
    to.buffer[: source.nbytes] = source.reshape(-1).view(np.uint8)


def memcpy_dtoh_async(to: NDArray[Any], source: DeviceAllocation, stream: Stream) -> None:
    check()
    assert to.flags.c_contiguous and isinstance(stream, Stream)
    to.reshape(-1).view(np.uint8)[:] = source.buffer[: to.nbytes]
