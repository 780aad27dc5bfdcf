"""ONNX Runtime on the CPU: runs a model, one thread per session.

A model takes the bytes of a stack of pictures (N x H x W x 3), as our INT8 form does, or N x 3 x H x W in floating
point.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# Otherwise ONNX Runtime 1.32 makes an id of this machine in the home folder and sends figures to Microsoft. It reads
# this when it is imported; its own disable_telemetry_events() comes too late.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime
from numpy.typing import NDArray

from appliance.errors import UserError
from appliance.language import _
from appliance.outside import quoted
from appliance.vision.bboxes import STRIDES, normalised
from appliance.vision.detector import NetworkDetector, Run
from appliance.vision.manifest import Model, find, verified
from appliance.vision.pixels import Pixels, Stack

OUTPUTS = [f"p{stride}" for stride in STRIDES]
BYTES = "tensor(uint8)"


def load_detector(name: str = "", directory: Path | None = None) -> NetworkDetector:
    """The detector of that name (empty: the default), on the CPU. Raises UserError if it cannot be trusted or run."""
    model = find(name, directory)
    session = _session(model.id, verified(model, directory))
    fixed = fixed_size(session) is not None
    if fixed and model.second_pass:
        raise UserError(
            _(
                "the model {model} takes one size only and cannot have a second pass; take second_pass out",
                model=model.id,
            )
        )
    return NetworkDetector(model, runner(session), fixed)


def load_form(model: Model, form: str, directory: Path | None = None) -> NetworkDetector:
    """A form of a model for another runtime, on the CPU: what that one is compared with. Raises UserError."""
    session = _session(f"{model.id} ({form})", verified(model.forms[form], directory))
    return NetworkDetector(model.of_regions(), runner(session))


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    # Many streams share the processor: one thread each, and none that spins while it waits.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options


def _session(what: str, content: bytes) -> onnxruntime.InferenceSession:
    try:
        session = onnxruntime.InferenceSession(content, _options(), providers=["CPUExecutionProvider"])
        names = {output.name for output in session.get_outputs()}
    except Exception as error:  # ONNX Runtime raises a dozen kinds that share no base of their own
        said = quoted(next(iter(str(error).splitlines()), type(error).__name__))
        raise UserError(_("the model {model} cannot be loaded: {error}", model=what, error=said)) from error
    if not names.issuperset(OUTPUTS):
        has, wanted = ", ".join(sorted(names)), ", ".join(OUTPUTS)
        raise UserError(_("the model {model} has the outputs {has}, not {wanted}", model=what, has=has, wanted=wanted))
    return session


def decoded_runner(content: bytes) -> Callable[[Pixels], tuple[NDArray[Any], NDArray[Any]]]:
    """Runs the form for detectNet as that does: a picture to scores, N x 4, and bboxes, N x 4 in parts of its sides."""
    session = onnxruntime.InferenceSession(content, _options(), providers=["CPUExecutionProvider"])

    def run(picture: Pixels) -> tuple[NDArray[Any], NDArray[Any]]:
        scores, bboxes = session.run(["scores", "boxes"], {"input_0": normalised(picture[None])})
        return scores[0], bboxes[0]

    return run


def fixed_size(session: onnxruntime.InferenceSession) -> tuple[int, int] | None:
    """(width, height) of the input of a network that takes no other, else None."""
    entrance = session.get_inputs()[0]
    height, width = entrance.shape[1:3] if entrance.type == BYTES else entrance.shape[2:]
    return (width, height) if isinstance(width, int) and isinstance(height, int) else None  # a free side has a name


def inputs_of(path: Path) -> tuple[str, list[int | str]]:
    """Name and shape of the input of a network; a side that is free has a name. Raises UserError."""
    try:
        (entrance,) = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).get_inputs()
    except Exception as error:  # as above
        raise UserError(f"{path} is no network with one input: {str(error).splitlines()[0]}") from error
    return entrance.name, list(entrance.shape)


def runner(session: onnxruntime.InferenceSession) -> Run:
    """Runs one of our networks, a stack in one go: a quarter quicker than one by one at 128 px, a twentieth at 320."""
    entrance = session.get_inputs()[0]
    takes_bytes = entrance.type == BYTES

    def run(canvases: Stack) -> Sequence[NDArray[Any]]:
        tensor = canvases if takes_bytes else normalised(canvases)
        outputs: Sequence[NDArray[Any]] = session.run(OUTPUTS, {entrance.name: tensor})
        return outputs

    return run
