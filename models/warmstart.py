# mypy: disable-error-code="import-not-found,misc,untyped-decorator,no-any-return,unused-ignore,no-untyped-call"
# (PyTorch belongs to the extra `train`; checks run without it.)
"""Start from the weights of an earlier export (ONNX), also into a wider network.

A wider layer keeps the function of the old one: old outputs read only old inputs, new
outputs start at random and nothing old listens to them yet (after Net2Net,
https://arxiv.org/abs/1511.05641). An export has batch normalisation folded into the
convolutions; it is put back so that the first forward pass gives the same numbers.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from models.network import ConvNorm, MaskNet


def read_convolutions(path: Path) -> list[tuple[Tensor, Tensor]]:
    """(weight, bias) of every convolution of an FP32 export, in graph order."""
    graph = onnx.load(str(path)).graph
    arrays = {entry.name: numpy_helper.to_array(entry) for entry in graph.initializer}
    found = []
    for node in graph.node:
        if node.op_type == "Conv":
            weight, bias = (torch.from_numpy(arrays[name].copy()) for name in node.input[1:3])
            found.append((weight, bias))
    return found


@torch.no_grad()
def copy_weights(net: MaskNet, path: Path, sample: Tensor) -> None:
    """Copy the export at `path` into `net`, which must have the same layers, as wide or
    wider. `sample` (N x 3 x H x W, ordinary inputs) sets the batch statistics."""
    layers = net.convolutions()
    found = read_convolutions(path)
    if len(layers) != len(found):
        raise ValueError(f"{path}: {len(found)} convolutions, the network has {len(layers)}")
    hooks = []
    for layer, (weight, bias) in zip(layers, found, strict=True):
        conv = layer.conv if isinstance(layer, ConvNorm) else layer
        assert isinstance(conv, nn.Conv2d)
        outs, ins = weight.shape[:2]
        conv.weight[:outs] = 0.0
        conv.weight[:outs, :ins] = weight
        if isinstance(layer, ConvNorm):
            hooks.append(layer.conv.register_forward_hook(_restore_norm(layer.norm, bias)))
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
