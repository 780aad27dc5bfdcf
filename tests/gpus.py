"""A GPU for tests that is none: the stand-ins for `tensorrt` and `pycuda` of tests/stand_in_gpu, set up and steered."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "stand_in_gpu"
VERSIONS = ("8.6.1", "10.3.0", "10.16.2", "11.4.1")
"""Of JetPack 6.0, of 6.1 and 6.2, of 7.2, and the newest."""


class StandInGpu:
    """Says how the stand-ins behave, in this process's children, too; `set` works while they run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: dict[str, Any] = {}
        self.set()

    def set(self, **values: Any) -> None:
        """Behave so from now on (see stand_in_behaviour.DEFAULTS)."""
        self.told |= values
        draft = self.path.with_suffix(".draft")
        draft.write_text(json.dumps(self.told))
        draft.rename(self.path)

    @property
    def builds(self) -> list[str]:
        """The version of TensorRT of each engine that was begun."""
        path = Path(f"{self.path}.builds")
        return path.read_text().split() if path.exists() else []


def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT is not installed, also where it is."""
    monkeypatch.setattr("appliance.vision.gpu.LIBRARIES", {"a_library_that_nobody_has": "TensorRT"})


def stand_in_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandInGpu:
    """The stand-ins, found by this process and its children."""
    gpu = StandInGpu(tmp_path / "stand-in-gpu.json")
    monkeypatch.setenv("STAND_IN_GPU", str(gpu.path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(FOLDER), os.environ.get("PYTHONPATH")])))
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr("appliance.vision.gpu.PASS_S", 60.0)  # it computes on a processor that has other things to do
    return gpu
