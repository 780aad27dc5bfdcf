# mypy: disable-error-code="import-not-found,misc,untyped-decorator,no-any-return,unused-ignore,no-untyped-call"
# (PyTorch belongs to the extra `train`; checks run without it.)
"""Start from the weights of an earlier export (ONNX), also into a wider or deeper network.

A wider layer keeps the function of the old one: old outputs read only old inputs, new
outputs start at random and nothing old listens to them yet; an added block begins as the identity (after Net2Net,
https://arxiv.org/abs/1511.05641). An export has batch normalisation folded into the
convolutions; it is put back so that the first forward pass gives the same numbers.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from models.network import Block, ConvNorm, MaskNet


def read_convolutions(path: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """(weight, bias) of every convolution of an FP32 export, by the name of its module."""
    found = {}
    for node, arrays in convolutions(onnx.load(str(path)).graph).items():
        weight, bias = (torch.from_numpy(numpy_helper.to_array(array).copy()) for array in arrays)
        found[_module_name(node)] = (weight, bias)
    return found


def convolutions(graph: onnx.GraphProto) -> dict[str, tuple[onnx.TensorProto, onnx.TensorProto]]:
    """Weight and bias of every convolution of an FP32 export, by the name of its node."""
    arrays = {entry.name: entry for entry in graph.initializer}
    return {node.name: (arrays[node.input[1]], arrays[node.input[2]]) for node in graph.node if node.op_type == "Conv"}


def _module_name(node: str) -> str:
    """Of "/stages.3/stages.3.1/second/conv/Conv": "stages.3.1.second.conv"."""
    parts: list[str] = []
    for part in node.strip("/").split("/")[:-1]:
        if parts and part.startswith(parts[-1] + "."):
            parts.pop()
        parts.append(part)
    return ".".join(parts)


@torch.no_grad()
def copy_weights(net: MaskNet, path: Path, sample: Tensor) -> None:
    """Copy the export at `path` into `net`, which must hold its layers, as wide or wider, and may have more blocks.
    `sample` (N x 3 x H x W, ordinary inputs) sets the batch statistics."""
    found = read_convolutions(path)
    modules = dict(net.named_modules())
    if strangers := found.keys() - modules.keys():
        raise ValueError(f"{path}: the network has no layer {min(strangers)}")
    for name, module in modules.items():
        if isinstance(module, Block) and f"{name}.first.conv" in found:
            if (module.shortcut is None) != (f"{name}.shortcut.conv" not in found):
                raise ValueError(f"{path}: {name} needs a shortcut in both networks or in neither")
        elif isinstance(module, Block):
            assert module.shortcut is None
            nn.init.zeros_(module.second.norm.weight)
    for name, lateral in net.laterals.named_children():
        if isinstance(lateral, nn.Conv2d) and f"laterals.{name}" not in found:
            nn.init.zeros_(lateral.weight)  # the older, narrower network passed this level on as it was
            same = min(lateral.weight.shape[:2])
            lateral.weight[range(same), range(same)] = 1.0
    if "detail" not in found:
        nn.init.zeros_(net.detail.weight)
    hooks = []
    for name, (weight, bias) in found.items():
        conv = modules[name]
        assert isinstance(conv, nn.Conv2d)
        outs, ins = weight.shape[:2]
        conv.weight[:outs] = 0.0
        conv.weight[:outs, :ins] = weight
        owner = modules[name.rpartition(".")[0]]
        if isinstance(owner, ConvNorm):
            hooks.append(conv.register_forward_hook(_restore_norm(owner.norm, bias)))
        else:
            assert conv.bias is not None
            conv.bias[:outs] = bias
    net.eval()
    net(sample)
    for hook in hooks:
        hook.remove()


def _restore_norm(norm: nn.BatchNorm2d, bias: Tensor):  # type: ignore[no-untyped-def]
    """A hook that sets `norm` so that norm(conv(x)) == conv(x) + bias on old channels."""

    def hook(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        mean, var = output.mean((0, 2, 3)), output.var((0, 2, 3))
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(var)
        old = len(bias)
        norm.weight[:old] = (var[:old] + norm.eps).sqrt()
        norm.bias[:old] = mean[:old] + bias

    return hook
