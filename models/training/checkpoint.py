"""The network as it is deployed, in one file (safetensors): what every ONNX form is written from and what a training
starts from.

Batch normalisation is folded into the convolutions: a checkpoint holds a weight and a bias for each of them and
nothing else. Its metadata has the network's widths.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from models.training.network import ConvNorm, MaskNet, Widths

FOLDER = "checkpoints"  # of a training run: the moving average at every validation, by its epoch
NETWORK = "network"  # metadata: the widths, as JSON
Weights = dict[str, Tensor]
"""Weight and bias of every convolution, by the name of its module."""


def save(weights: Weights, widths: Widths, path: Path) -> None:
    """Write a checkpoint."""
    contiguous = {name: values.cpu().contiguous() for name, values in weights.items()}
    path.write_bytes(to_bytes(contiguous, {NETWORK: msgspec.json.encode(asdict(widths)).decode()}))


def read(path: Path) -> tuple[Weights, Widths]:
    """A checkpoint's weights and widths. Exits with one line where the file is none."""
    try:
        with safe_open(path, framework="pt") as file:
            widths = msgspec.json.decode((file.metadata() or {})[NETWORK], type=Widths)
            return {name: file.get_tensor(name) for name in file.keys()}, widths  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, msgspec.DecodeError) as error:
        raise SystemExit(f"{path}: is no checkpoint of ours ({error})") from error


def fold(net: MaskNet) -> Weights:
    """The weights of a network, its norms folded into the convolutions before them."""
    weights = {name: values for name, values in net.state_dict().items() if ".norm." not in name}
    for name, norm in _norms(net):
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        weights[f"{name}.conv.weight"] = weights[f"{name}.conv.weight"] * scale[:, None, None, None]
        weights[f"{name}.conv.bias"] = norm.bias - norm.running_mean * scale
    return {name: values.detach() for name, values in weights.items()}


def load(path: Path) -> MaskNet:
    """The network of a checkpoint, ready to run: the same to the bit, its norms add the biases and change nothing."""
    return unfold(*read(path))


def unfold(weights: Weights, widths: Widths) -> MaskNet:
    """The network with these weights."""
    net = MaskNet(widths)
    values = dict(weights)
    for name, norm in _norms(net):
        values[f"{name}.norm.bias"] = values.pop(f"{name}.conv.bias")
        values[f"{name}.norm.weight"] = (norm.running_var + norm.eps).sqrt()
    net.load_state_dict(net.state_dict() | values)
    return net.eval()


@torch.no_grad()
def measure_statistics(net: MaskNet, sample: Tensor) -> None:
    """Give each norm the statistics of `sample` (N x 3 x H x W, ordinary inputs); what the network says stays the same.

    A training normalises by the statistics of its batches: from norms that change nothing it would start elsewhere.
    """
    hooks = [module.conv.register_forward_hook(_measuring(module.norm))
             for module in net.modules() if isinstance(module, ConvNorm)]  # fmt: skip
    net.eval()
    net(sample)
    for hook in hooks:
        hook.remove()


def _measuring(norm: nn.BatchNorm2d) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    def hook(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        mean, var = output.mean((0, 2, 3)), output.var((0, 2, 3))
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        norm.bias += (mean - norm.running_mean) * scale
        norm.weight.copy_(scale * (var + norm.eps).sqrt())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(var)

    return hook


def _norms(net: MaskNet) -> list[tuple[str, nn.BatchNorm2d]]:
    """Every ConvNorm's name and norm."""
    return [(name, module.norm) for name, module in net.named_modules() if isinstance(module, ConvNorm)]
