# mypy: disable-error-code="import-not-found,misc,untyped-decorator,no-any-return,unused-ignore,no-untyped-call"
# (PyTorch belongs to the extra `train`; checks run without it.)
"""A trained network as ONNX (opset 17): raw maps for CPU runtimes and TensorRT, decoded boxes for detectNet."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from models.network import STRIDES, MaskNet, build, decode
from models.warmstart import convolutions, copy_weights

OPSET = 17
NETWORK = "network"  # metadata of a raw export: the widths, as JSON
LARGE = 256  # numbers; fewer are not worth storing in half precision


class Decoded(nn.Module):
    """What jetson-inference's detectNet takes: scores [1, N, 4] (background first), boxes [1, N, 4] in 0..1."""

    def __init__(self, net: nn.Module, size: tuple[int, int]) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("size", torch.tensor([*size, *size], dtype=torch.float32))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        boxes, faces, states = decode(self.net(x))
        face = faces.sigmoid().unsqueeze(-1)
        scores = torch.cat((1 - face, face * states.softmax(-1)), -1)
        half = boxes[..., 2:] / 2
        corners = torch.cat((boxes[..., :2] - half, boxes[..., :2] + half), -1)
        return scores, corners / self.size


def export_raw(net: MaskNet, path: Path, size: tuple[int, int] | None = None) -> None:
    """Write `input_0` -> p8, p16, p32. size: (width, height) of a static input; None leaves both free."""
    names = [f"p{stride}" for stride in STRIDES]
    axes = None
    if size is None:
        axes = {"input_0": {2: "h", 3: "w"}}
        axes |= {name: {2: f"h_{name}", 3: f"w_{name}"} for name in names}
    _export(net, path, names, size or (416, 416), axes)
    model = onnx.load(str(path))
    helper.set_model_props(model, {NETWORK: json.dumps(asdict(net.widths))})
    onnx.save(model, str(path))


def export_decoded(net: nn.Module, path: Path, size: tuple[int, int]) -> None:
    """Write `input_0` -> scores, boxes for a static input of (width, height). Weights are stored in half precision, in
    which detectNet computes anyway."""
    _export(Decoded(net, size), path, ["scores", "boxes"], size, None)
    model = onnx.load(str(path))
    store_half(model.graph)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


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
    net: nn.Module, path: Path, outputs: list[str], size: tuple[int, int], axes: dict[str, dict[int, str]] | None
) -> None:
    net = net.cpu().eval()
    sample = torch.zeros(1, 3, size[1], size[0])
    with warnings.catch_warnings():
        # The newer exporter writes opset 18 and rewrites the graph; this one is deprecated, exact and small.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            net, (sample,), str(path), input_names=["input_0"], output_names=outputs, opset_version=OPSET,
            dynamic_axes=axes, dynamo=False,
        )  # fmt: skip
    model = onnx.load(str(path))
    _unshare_weights(model.graph)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def _unshare_weights(graph: onnx.GraphProto) -> None:
    """Give each layer weights of its own, where the exporter let layers with equal ones share them."""
    weights = {weight.name: weight for weight in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "Identity" and node.input[0] in weights]:
        graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(weights[node.input[0]]), node.output[0]))
        graph.node.remove(node)


def load(path: Path) -> MaskNet:
    """The averaged network of a training run's state.pt, or that of a raw FP32 export. Exits with one line where the
    file is neither."""
    if path.suffix == ".onnx":
        properties = {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props}
        if NETWORK not in properties:
            raise SystemExit(f"{path}: does not say its widths; it must be a raw FP32 export of ours")
        net = build(json.loads(properties[NETWORK]))
        sample = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))  # equal files from equal weights
        copy_weights(net, path, sample)
        return net.eval()
    return mean([path])


def mean(states: list[Path]) -> MaskNet:
    """The mean of the averaged networks of one training run, a file each."""
    read = [torch.load(path, map_location="cpu", weights_only=True) for path in states]
    net = build(read[0]["network"])
    averages = [state["average"] for state in read]
    net.load_state_dict(
        {
            name: sum(average[name] for average in averages) / len(averages) if value.is_floating_point() else value
            for name, value in averages[0].items()
        }
    )
    return net.eval()


def blend(model: onnx.ModelProto, other: onnx.ModelProto, share: float) -> None:
    """Give each convolution of `model` that share of the other's weights; both raw exports of one architecture.

    What learned on from `other` and what it began with err in different places; between them lies a network that errs
    less, also on pictures unlike the new ones (WiSE-FT, https://arxiv.org/abs/2109.01903).
    """
    ours, theirs = convolutions(model.graph), convolutions(other.graph)
    shapes = [{name: weight.dims for name, (weight, _) in found.items()} for found in (ours, theirs)]
    if shapes[0] != shapes[1]:
        raise SystemExit("the network to blend with has other layers; take the one that the training began with")
    for name, weights in ours.items():
        for weight, added in zip(weights, theirs[name], strict=True):
            mixed = (1 - share) * numpy_helper.to_array(weight) + share * numpy_helper.to_array(added)
            weight.CopyFrom(numpy_helper.from_array(mixed.astype(np.float32), weight.name))


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m models.export", description="Write a trained network as ONNX.")
    parser.add_argument("--state", type=Path, required=True, help="state.pt of a training run, or an FP32 export")
    parser.add_argument("--out", type=Path, required=True, help="the ONNX file to write")
    parser.add_argument("--size", help="WIDTHxHEIGHT of a static input, multiples of 32; left out: any")
    parser.add_argument("--decoded", action="store_true", help="scores and boxes, for detectNet; needs --size")
    given = parser.parse_args(argv)
    size = None
    if given.size:
        width, _, height = given.size.partition("x")
        if not (width.isdigit() and height.isdigit() and int(width) % 32 == int(height) % 32 == 0):
            parser.error("--size must be WIDTHxHEIGHT, both multiples of 32, such as 416x416")
        size = (int(width), int(height))
    net = load(given.state)
    if given.decoded:
        if size is None:
            parser.error("--decoded needs --size")
        export_decoded(net, given.out, size)
    else:
        export_raw(net, given.out, size)
    return 0


if __name__ == "__main__":
    sys.exit(main())
