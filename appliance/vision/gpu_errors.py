"""What can go wrong on a GPU. Each message is a phrase for a person; the CPU judges meanwhile."""

from __future__ import annotations


class GpuError(Exception):
    """The GPU does not judge. It may later, unless a kind of it says otherwise."""


class NoDevice(GpuError):
    """There is no library, no driver or no device."""


class NotInstalled(NoDevice):
    """A library is not there, and will not be before somebody installs it."""


class BuildFailed(GpuError):
    """The library made no engine of the model."""


class EngineUnusable(GpuError):
    """The library does not take this engine: it is another version's or GPU's, or damaged."""


class EngineRefused(GpuError):
    """An engine was made, and it does not judge as the model does: it is never used."""


class OutOfMemory(GpuError):
    """The device has not enough memory just now."""


class DeviceLost(GpuError):
    """The device failed, or is gone."""


class DeviceHung(GpuError):
    """The device did not answer in time."""


class ChildCrashed(GpuError):
    """The process that speaks with the GPU died."""


class Stopped(GpuError):
    """Nobody wants to know any more."""


BY_NAME: dict[str, type[GpuError]] = {
    kind.__name__: kind
    for kind in (
        NoDevice, NotInstalled, BuildFailed, EngineUnusable, OutOfMemory, DeviceLost, DeviceHung, ChildCrashed,
    )
}  # fmt: skip
"""The kinds that one process may tell another."""
