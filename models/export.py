# mypy: disable-error-code="import-not-found,misc,untyped-decorator,no-any-return,unused-ignore,no-untyped-call"
# (PyTorch belongs to the extra `train`; checks run without it.)
"""A trained network as ONNX (opset 17): raw maps for CPU runtimes and TensorRT, decoded boxes for detectNet."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from models.network import STRIDES, MaskNet, Widths, decode

OPSET = 17


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


def export_raw(net: nn.Module, path: Path, size: tuple[int, int] | None = None) -> None:
    """Write `input_0` -> p8, p16, p32. size: (width, height) of a static input; None leaves both free."""
    names = [f"p{stride}" for stride in STRIDES]
    axes = None
    if size is None:
        axes = {"input_0": {2: "h", 3: "w"}}
        axes |= {name: {2: f"h_{name}", 3: f"w_{name}"} for name in names}
    _export(net, path, names, size or (416, 416), axes)


def export_decoded(net: nn.Module, path: Path, size: tuple[int, int]) -> None:
    """Write `input_0` -> scores, boxes for a static input of (width, height)."""
    _export(Decoded(net, size), path, ["scores", "boxes"], size, None)


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
    onnx.checker.check_model(onnx.load(str(path)), full_check=True)


def load_checkpoint(path: Path) -> MaskNet:
    """The averaged network of a training run's state.pt; its widths are read from the shapes."""
    state = torch.load(path, map_location="cpu", weights_only=True)["average"]
    blocks = [1 + max(int(name.split(".")[2]) for name in state if name.startswith(f"stages.{n}.")) for n in range(4)]
    stages = [len(state[f"stages.{n}.0.first.conv.weight"]) for n in range(4)]
    neck = len(state["smooth.0.conv.weight"])
    widths = Widths(
        len(state["stem.conv.weight"]), (stages[0], stages[1], stages[2], stages[3]),
        (blocks[0], blocks[1], blocks[2], blocks[3]), neck,
    )  # fmt: skip
    net = MaskNet(widths)
    net.load_state_dict(state)
    return net.eval()


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m models.export", description="Write a trained network as ONNX.")
    parser.add_argument("--state", type=Path, required=True, help="state.pt of a training run")
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
    net = load_checkpoint(given.state)
    if given.decoded:
        if size is None:
            parser.error("--decoded needs --size")
        export_decoded(net, given.out, size)
    else:
        export_raw(net, given.out, size)
    return 0


if __name__ == "__main__":
    sys.exit(main())
