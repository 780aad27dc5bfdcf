"""ONNX Runtime on the CPU: runs a model's tensors, one thread per session."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from appliance.errors import UserError
from appliance.vision.boxes import STRIDES, Floats
from appliance.vision.detector import NetworkDetector
from appliance.vision.models import find, verified

OUTPUTS = [f"p{stride}" for stride in STRIDES]


def load_detector(name: str = "", directory: Path | None = None) -> NetworkDetector:
    """The detector of that name (empty: the default), on the CPU. Raises UserError if it cannot be trusted or run."""
    model = find(name, directory)
    options = onnxruntime.SessionOptions()
    # Many streams share the processor: one thread each, and none that spins while it waits.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(verified(model, directory), options, providers=["CPUExecutionProvider"])
        names = {output.name for output in session.get_outputs()}
    except UserError:
        raise
    except Exception as error:  # ONNX Runtime raises a dozen kinds that share no base of their own
        raise UserError(f"the model {model.id} cannot be loaded: {str(error).splitlines()[0]}") from error
    if not names.issuperset(OUTPUTS):
        raise UserError(f"the model {model.id} has the outputs {', '.join(sorted(names))}, not {', '.join(OUTPUTS)}")
    entrance = session.get_inputs()[0]
    fixed = all(isinstance(side, int) for side in entrance.shape[2:])  # a free side has a name instead

    def run(tensor: Floats) -> Sequence[NDArray[Any]]:
        outputs: Sequence[NDArray[Any]] = session.run(OUTPUTS, {entrance.name: tensor})
        return outputs

    return NetworkDetector(model, run, fixed)
