"""Every file of a network in one go: `python -m models.release.release --data DIR [--run RUN] --out models/weights`.

With --run a checkpoint is made of those that the training wrote, calibrated on `val`. Then every ONNX form of it is
written: FP32, INT8 for ONNX Runtime, and for the regions of each preset the forms for TensorRT and detectNet.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from pathlib import Path

import onnx
import torch

from models.evaluation.evaluate import detect_all, load_pictures
from models.evaluation.readers import read
from models.release.calibrate import calibrated, calibration
from models.release.export import export_decoded, export_raw
from models.release.for_tensorrt import fp16_form
from models.release.quantize import evenly, quantize_for_cpu, quantize_for_tensorrt
from models.training import checkpoint
from models.training.checkpoint import Weights
from models.training.network import Widths

REGION_PX = (320, 416)  # sides of the inputs of the forms that take no other
PICTURE_PX = 640  # longest side of the pictures it is calibrated on: that of whole pictures, see the manifest
INCORRECT_OFFSET = -0.9  # of its logit: training shows wrongly worn masks far oftener than they are seen
NAME = "mb9k.safetensors"


def checkpoints(run: Path, epochs: tuple[int, int] | None) -> list[Path]:
    """What a training wrote from the first to the last of these epochs; None: where it ended."""
    by_epoch = {int(path.stem): path for path in sorted((run / checkpoint.FOLDER).glob("*.safetensors"))}
    first, last = epochs or (max(by_epoch, default=0),) * 2
    chosen = [path for epoch, path in by_epoch.items() if first <= epoch <= last]
    if not chosen:
        others = ", ".join(str(epoch) for epoch in by_epoch)
        raise SystemExit(f"{run / checkpoint.FOLDER} holds no epoch from {first} to {last}, but {others or 'none'}")
    return chosen


def mean(networks: list[Weights]) -> Weights:
    """The mean of several networks of one training."""
    return {name: torch.stack([weights[name] for weights in networks]).mean(0) for name in networks[0]}


def blend(weights: Weights, start: Weights, start_weight: float) -> Weights:
    """The weighted mean of a network and the one that its training began with.

    The two err in different places; between them lies a network that errs less, also on pictures unlike the new ones
    (WiSE-FT, https://arxiv.org/abs/2109.01903).
    """
    if {name: values.shape for name, values in weights.items()} != {n: v.shape for n, v in start.items()}:
        raise SystemExit("the network to blend with has other layers; take the one that the training began with")
    return {name: values.lerp(start[name], start_weight) for name, values in weights.items()}


def calibrate(weights: Weights, widths: Widths, data: Path) -> Weights:
    """The weights calibrated on `val`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fp32.onnx"
        export_raw(checkpoint.unfold(weights, widths), path)
        pictures = load_pictures(data / "images" / "val", data / "annotations_harmonised" / "val.json")
        fitted = calibration(*detect_all(read(path, PICTURE_PX), pictures), INCORRECT_OFFSET)
    print(", ".join(f"{name} {value:.3f}" for name, value in fitted._asdict().items()))
    return calibrated(weights, fitted)


def write_forms(source: Path, files: list[Path], out: Path) -> None:
    """Every ONNX form of a checkpoint. files: pictures to measure ranges on."""
    net, fp32 = checkpoint.load(source), out / "mb9k-fp32.onnx"
    export_raw(net, fp32)
    quantize_for_cpu(fp32, files[::3], out / "mb9k-int8.onnx")
    onnx.save(fp16_form(onnx.load(fp32)), out / "mb9k-fp16-tensorrt.onnx")
    # The forms for detectNet were first written from norms with these statistics; without them a release of the same
    # weights would round some biases otherwise, by 6e-8.
    checkpoint.measure_statistics(net, torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    for side in REGION_PX:
        quantize_for_tensorrt(fp32, files, out / f"mb9k-int8-tensorrt-{side}.onnx", side)
        export_decoded(net, out / f"mb9k-decoded-{side}.onnx", side)


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m models.release.release", description="Write all forms.")
    parser.add_argument("--data", type=Path, required=True, help="folder of pictures and labels, see data/dataset.py")
    parser.add_argument("--out", type=Path, required=True, help=f"folder to write to; without --run it holds {NAME}")
    parser.add_argument("--run", type=Path, help=f"the folder that a training wrote; makes a new {NAME}")
    parser.add_argument(
        "--epochs", type=int, nargs=2, metavar=("FIRST", "LAST"), help="the mean of these checkpoints (default: last)"
    )
    parser.add_argument("--blend", type=Path, metavar="CHECKPOINT", help="what the training began with")
    parser.add_argument("--blend-weight", type=float, default=0.5, help="its weight in the mean, 0 to 1")
    options = parser.parse_args(argv)
    if not 0 <= options.blend_weight <= 1:
        parser.error("--blend-weight must be from 0 to 1")
    options.out.mkdir(parents=True, exist_ok=True)
    if options.run:
        networks, widths = zip(*map(checkpoint.read, checkpoints(options.run, options.epochs)), strict=True)
        weights = mean(list(networks))
        if options.blend:
            weights = blend(weights, checkpoint.read(options.blend)[0], options.blend_weight)
        checkpoint.save(calibrate(weights, widths[0], options.data), widths[0], options.out / NAME)
    write_forms(options.out / NAME, evenly(options.data / "images" / "train"), options.out)
    for path in sorted(options.out.glob("mb9k*")):
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}  {path.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
