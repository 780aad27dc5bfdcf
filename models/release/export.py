"""The network as ONNX (opset 17): raw maps for CPU runtimes and TensorRT, decoded bboxes for detectNet."""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from models.training.checkpoint import NETWORK
from models.training.network import STRIDES, MaskNet, decode

OPSET = 17
LARGE = 256  # numbers; fewer are not worth storing in half precision


class Decoded(nn.Module):
    """What jetson-inference's detectNet takes: scores [1, N, 4] (background first), boxes [1, N, 4] in 0..1."""

    def __init__(self, net: nn.Module, side: int) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("size", torch.full((4,), float(side)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        bboxes, faces, states = decode(self.net(x))
        face = faces.sigmoid().unsqueeze(-1)
        scores = torch.cat((1 - face, face * states.softmax(-1)), -1)
        half = bboxes[..., 2:] / 2
        corners = torch.cat((bboxes[..., :2] - half, bboxes[..., :2] + half), -1)
        return scores, corners / self.size


def export_raw(net: MaskNet, path: Path) -> None:
    """Write `input_0` -> p8, p16, p32, for stacks of any number of inputs of any size."""
    names = [f"p{stride}" for stride in STRIDES]
    axes = {"input_0": {0: "n", 2: "h", 3: "w"}} | {name: {0: "n", 2: f"h_{name}", 3: f"w_{name}"} for name in names}
    model = _export(net, path, names, 416, axes)
    helper.set_model_props(model, {NETWORK: json.dumps(asdict(net.widths))})
    onnx.save(model, path)


def export_decoded(net: MaskNet, path: Path, side: int) -> None:
    """Write `input_0` -> scores, boxes for inputs of side x side. Weights are stored in half precision, in which
    detectNet computes anyway."""
    model = _export(Decoded(net, side), path, ["scores", "boxes"], side, None)
    store_half(model.graph)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def store_half(graph: onnx.GraphProto) -> None:
    """Large FP32 weights become FP16 and a Cast; the runtime folds it when it loads the file."""
    for weight in list(graph.initializer):
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < LARGE:
            continue
        graph.initializer.remove(weight)
        half = f"{weight.name}_half"
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), half))
        graph.node.insert(0, helper.make_node("Cast", [half], [weight.name], to=onnx.TensorProto.FLOAT))


def _export(
    net: nn.Module, path: Path, outputs: list[str], side: int, axes: dict[str, dict[int, str]] | None
) -> onnx.ModelProto:
    with warnings.catch_warnings():
        # The newer exporter writes opset 18 and rewrites the graph; this one is deprecated, exact and small.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            net.eval(), (torch.zeros(1, 3, side, side),), str(path), input_names=["input_0"], output_names=outputs,
            opset_version=OPSET, dynamic_axes=axes, dynamo=False,
        )  # fmt: skip
    model = onnx.load(path)
    _unshare_weights(model.graph)
    onnx.checker.check_model(model, full_check=True)
    return model


def _unshare_weights(graph: onnx.GraphProto) -> None:
    """Give each layer weights of its own, where the exporter let layers with equal ones share them."""
    weights = {weight.name: weight for weight in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "Identity" and node.input[0] in weights]:
        graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(weights[node.input[0]]), node.output[0]))
        graph.node.remove(node)
