# mypy: disable-error-code="import-not-found,misc,untyped-decorator,no-any-return,unused-ignore,no-untyped-call"
# (PyTorch belongs to the extra `train`; checks run without it.)
"""Every file of a trained network in one go: `python -m models.release --run RUN --data DIR --out models/weights`.

Calibrated FP32, INT8 for ONNX Runtime, and for each preset the forms for TensorRT and detectNet. Those for 416 are the
same networks on a finer grid (`finer`).
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

import onnx

from models import calibrate, export
from models.finer import make_finer
from models.quantize import evenly, quantize
from models.train import AVERAGES, STATE_FILE

PLAIN_PX = (320, 640)  # sides of the inputs that the network sees as they are
SIDE_PX, GRID_PX = 416, 640  # of the input that it sees enlarged
INCORRECT_OFFSET = -0.9  # of its logit: training shows wrongly worn masks far oftener than they are seen (README.md)
FINER = {"fp32": "fp32-416", "int8": "int8-416", "int8-tensorrt-640": "int8-tensorrt-416", "decoded-640": "decoded-416"}


def looks(run: Path, epochs: tuple[int, int] | None) -> list[Path]:
    """The averages that a training kept from the first to the last of these epochs; None: where it ended."""
    if epochs is None:
        return [run / STATE_FILE]
    kept = {int(path.stem): path for path in sorted((run / AVERAGES).glob("*.pt"))}
    wanted = [path for epoch, path in kept.items() if epochs[0] <= epoch <= epochs[1]]
    if not wanted:
        others = ", ".join(str(epoch) for epoch in kept)
        raise SystemExit(f"{run / AVERAGES} holds no epoch from {epochs[0]} to {epochs[1]}, but {others or 'none'}")
    return wanted


def write_forms(fp32: Path, files: list[Path]) -> None:
    """Every other form of the calibrated FP32 export, beside it. files: pictures to measure ranges on."""
    out = fp32.parent
    # Percentiles over fewer pictures: they keep all values in memory. On `val` .789 mAP50, by least and most .782.
    quantize(fp32, files[::3], out / "mb9k-int8.onnx", "cpu", method="percentile")
    net = export.load(fp32)
    for side in PLAIN_PX:
        quantize(fp32, files, out / f"mb9k-int8-tensorrt-{side}.onnx", "tensorrt", side, static=True)
        export.export_decoded(net, out / f"mb9k-decoded-{side}.onnx", (side, side))
    for name, finer in FINER.items():
        model = onnx.load(str(out / f"mb9k-{name}.onnx"))
        make_finer(model, SIDE_PX, GRID_PX)
        if name == "fp32":
            export.store_half(model.graph)
        onnx.save(model, str(out / f"mb9k-{finer}.onnx"))


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m models.release", description="Write all forms of a network.")
    parser.add_argument("--run", type=Path, required=True, help="the folder that the training wrote")
    parser.add_argument("--data", type=Path, required=True, help="folder of pictures and labels, see models/README.md")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--epochs", type=int, nargs=2, metavar=("FIRST", "LAST"), help="the mean of these looks (default: the last)"
    )
    parser.add_argument("--blend", type=Path, metavar="FP32", help="the export that the training began with")
    parser.add_argument("--share", type=float, default=0.5, help="its share, with --blend")
    given = parser.parse_args(argv)
    if given.blend and not given.blend.is_file():
        parser.error(f"--blend: there is no file {given.blend}")
    if not 0 <= given.share <= 1:
        parser.error("--share must be from 0 to 1")
    given.out.mkdir(parents=True, exist_ok=True)
    trained, fp32 = given.run / "fp32.onnx", given.out / "mb9k-fp32.onnx"
    export.export_raw(export.mean(looks(given.run, given.epochs)), trained)
    if given.blend:
        model = onnx.load(str(trained))
        export.blend(model, onnx.load(str(given.blend)), given.share)
        onnx.save(model, str(trained))
    calibrate.main(
        ["--model", str(trained), "--images", str(given.data / "images" / "val"), "--side", str(GRID_PX),
         "--annotations", str(given.data / "annotations_harmonised" / "val.json"),
         "--incorrect-offset", str(INCORRECT_OFFSET), "--out", str(fp32)]
    )  # fmt: skip
    write_forms(fp32, evenly(given.data / "images" / "train"))
    for path in sorted(given.out.glob("mb9k-*.onnx")):
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}  {path.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
