"""The network: a small dense residual detector with three output strides.

Input: float32 N x 3 x H x W, RGB, value / 127.5 - 1; H and W multiples of 32.
Raw output: three maps (strides 8, 16, 32), each N x 8 x H/s x W/s, channels
[face logit, mask, no_mask, incorrect logits, dx, dy, log w, log h];
centre = (cell + 0.5 + d) * s, size = exp(log) * s, in input pixels.

Only convolution, ReLU, max-pooling, addition and nearest resizing are used, so that
ONNX Runtime, TensorRT, ncnn and Hailo all convert the graph without help.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDES = (8, 16, 32)
CHANNELS = 8  # per cell: face, three states, four bbox numbers
MAX_LOG_SIZE = 6.0  # exp(6) * 8 px = 3227 px: larger is never meant


@dataclass(frozen=True, slots=True)
class Widths:
    """Channels per stage. `blocks` counts residual blocks at /4, /8, /16, /32; `reach` is the dilation of the last one,
    so that a face which fills the frame is seen whole."""

    stem: int = 16
    stages: tuple[int, int, int, int] = (24, 32, 48, 64)
    blocks: tuple[int, int, int, int] = (1, 2, 2, 2)
    neck: int = 32
    reach: int = 1


class ConvNorm(nn.Module):
    """Convolution without bias, then batch normalisation; no activation."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, reach: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2 * reach, reach, bias=False)
        self.norm = nn.BatchNorm2d(outputs, momentum=0.03)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.norm(self.conv(x)))


class Block(nn.Module):
    """Basic residual block; a 1x1 shortcut where the width changes."""

    def __init__(self, inputs: int, outputs: int, reach: int = 1) -> None:
        super().__init__()
        self.first = ConvNorm(inputs, outputs, reach=reach)
        self.second = ConvNorm(outputs, outputs, reach=reach)
        self.shortcut = ConvNorm(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return F.relu(self.second(F.relu(self.first(x))) + shortcut)


class MaskNet(nn.Module):
    """Backbone, top-down neck and one head per stride."""

    def __init__(self, widths: Widths = Widths()) -> None:
        super().__init__()
        self.widths = widths
        self.stem = ConvNorm(3, widths.stem, stride=2)
        stages: list[nn.Module] = []
        inputs = widths.stem
        for outputs, count in zip(widths.stages, widths.blocks, strict=True):
            ins = [inputs] + [outputs] * (count - 1)
            reaches = [1] * count
            if len(stages) == len(widths.stages) - 1:
                reaches[-1] = widths.reach
            stages.append(nn.Sequential(*(Block(i, outputs, reach) for i, reach in zip(ins, reaches, strict=True))))
            inputs = outputs
        self.stages = nn.ModuleList(stages)
        neck = widths.neck
        self.laterals = nn.ModuleList(
            nn.Identity() if level == 0 and width == neck else nn.Conv2d(width, neck, 1)
            for level, width in enumerate(widths.stages[1:])
        )
        # Where a small face lies within its cell is lost in the pooling; four pixels at /4 say it.
        self.detail = nn.Conv2d(widths.stages[0], neck, 2, stride=2)
        self.smooth = nn.ModuleList(ConvNorm(neck, neck) for _ in STRIDES)
        self.heads = nn.ModuleList(ConvNorm(neck, neck) for _ in STRIDES)
        self.outputs = nn.ModuleList(nn.Conv2d(neck, CHANNELS, 1) for _ in STRIDES)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for out in self.outputs:
            assert isinstance(out, nn.Conv2d) and out.bias is not None
            nn.init.normal_(out.weight, std=0.01)
            out.bias.data[0] = -4.6  # about 1 % of the cells hold a face

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = F.relu(self.stem(x))
        levels: list[Tensor] = []
        for stage in self.stages:
            x = stage(F.max_pool2d(x, 2))
            levels.append(x)
        sides = [lateral(level) for lateral, level in zip(self.laterals, levels[1:], strict=True)]
        sides[0] = sides[0] + self.detail(levels[0])
        x = F.relu(self.smooth[2](sides[2]))
        merged = [x]
        for level in (1, 0):
            x = sides[level] + F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = F.relu(self.smooth[level](x))
            merged.insert(0, x)
        p8, p16, p32 = (out(F.relu(head(x))) for out, head, x in zip(self.outputs, self.heads, merged, strict=True))
        return p8, p16, p32


def decode(outputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Raw maps -> (bboxes N x A x 4 as centre x, centre y, width, height in input pixels,
    face logits N x A, state logits N x A x 3), cells row by row, strides ascending."""
    bboxes, faces, states = [], [], []
    for stride, out in zip(STRIDES, outputs, strict=True):
        height, width = out.shape[-2:]
        ys = torch.arange(height, device=out.device, dtype=out.dtype)
        xs = torch.arange(width, device=out.device, dtype=out.dtype)
        gy, gx = torch.meshgrid(ys, xs, indexing="ij")
        cells = torch.stack((gx, gy)).unsqueeze(0)
        centres = (cells + 0.5 + out[:, 4:6]) * stride
        sizes = out[:, 6:8].clamp(max=MAX_LOG_SIZE).exp() * stride
        bboxes.append(torch.cat((centres, sizes), 1).flatten(2).transpose(1, 2))
        faces.append(out[:, 0].flatten(1))
        states.append(out[:, 1:4].flatten(2).transpose(1, 2))
    return torch.cat(bboxes, 1), torch.cat(faces, 1), torch.cat(states, 1)


def cell_centres(height: int, width: int) -> tuple[Tensor, Tensor]:
    """(A x 2 cell centres in input pixels, A strides) for an input of height x width."""
    centres, strides = [], []
    for stride in STRIDES:
        ys = (torch.arange(height // stride) + 0.5) * stride
        xs = (torch.arange(width // stride) + 0.5) * stride
        gy, gx = torch.meshgrid(ys, xs, indexing="ij")
        centres.append(torch.stack((gx, gy), -1).reshape(-1, 2))
        strides.append(torch.full((gx.numel(),), float(stride)))
    return torch.cat(centres), torch.cat(strides)
