# mypy: disable-error-code="import-not-found,misc,untyped-decorator,no-any-return,unused-ignore,no-untyped-call"
# (PyTorch belongs to the extra `train`; checks run without it.)
"""Every file of a trained network in one go: `python -m models.release --run RUN --data DIR --out models/weights`.

Calibrated FP32, INT8 for ONNX Runtime, and for each preset the forms for TensorRT and detectNet.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

from models import calibrate, export
from models.quantize import evenly, quantize

PRESETS_PX = (320, 416, 640)


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m models.release", description="Write all forms of a network.")
    parser.add_argument("--run", type=Path, required=True, help="the folder that the training wrote")
    parser.add_argument("--data", type=Path, required=True, help="folder of pictures and labels, see models/README.md")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(argv)
    given.out.mkdir(parents=True, exist_ok=True)
    trained, fp32 = given.run / "fp32.onnx", given.out / "mb9k-fp32.onnx"
    export.export_raw(export.load(given.run / "state.pt"), trained)
    calibrate.main(
        ["--model", str(trained), "--images", str(given.data / "images" / "val"),
         "--annotations", str(given.data / "annotations_harmonised" / "val.json"), "--out", str(fp32)]
    )  # fmt: skip
    files = evenly(given.data / "images" / "train")
    quantize(fp32, files, given.out / "mb9k-int8.onnx", "cpu")
    net = export.load(fp32)
    for side in PRESETS_PX:
        quantize(fp32, files, given.out / f"mb9k-int8-tensorrt-{side}.onnx", "tensorrt", side, static=True)
        export.export_decoded(net, given.out / f"mb9k-decoded-{side}.onnx", (side, side))
    for path in sorted(given.out.glob("mb9k-*.onnx")):
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}  {path.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
