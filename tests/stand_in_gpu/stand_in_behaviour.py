"""How the stand-ins for TensorRT and pycuda are to behave."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

DEFAULTS: dict[str, Any] = {
    "version": "10.3.0",  # of TensorRT
    "gpu": "Orin",
    "capability": [8, 7],
    "integrated": True,  # the GPU shares the processor's memory
    "driver": True,
    "devices": 1,
    "import_crashes": False,  # TensorRT dies by SIGSEGV when it is loaded
    # right, none (it returns None), memory, crash, swapped (two states), off (bboxes a bit), "parser: " and its words
    "build": "right",
    "build_s": 0.0,
    "run": "right",  # right, lost, hung, crash, memory (when buffers are made)
    "no_int8": False,  # engines with INT8 are never right
}


def behaviour(name: str) -> Any:
    """A setting as it is now."""
    told = json.loads(Path(os.environ["STAND_IN_GPU"]).read_text())
    unknown = told.keys() - DEFAULTS.keys()
    assert not unknown, unknown
    return {**DEFAULTS, **told}[name]


def note_build() -> None:
    """So that tests can count."""
    with Path(f"{os.environ['STAND_IN_GPU']}.builds").open("a") as file:
        file.write(f"{behaviour('version')}\n")


def crash() -> None:
    """Die as a library in C++ does."""
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(60)
