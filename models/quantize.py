"""INT8 from FP32: `python -m models.quantize --model FP32.onnx --images DIR --out INT8.onnx [--form tensorrt]`.

Post-training, per channel, Q/DQ nodes. The output convolutions stay FP32: eight channels cost nothing, and their box
and face numbers need the range. Two forms from the same pictures:

cpu       unsigned activations, which ONNX Runtime fuses with ReLU. Weights keep to seven bits: processors without
          VNNI add two 8-bit products in 16 bits and would overflow (measured: .03 mAP50 lost with eight bits).
          It takes the picture's bytes, 1 x H x W x 3, which are its first activations: a tenth of the time saved,
          and a twelfth by taking four of its pixels at once (`quads`).
tensorrt  signed, symmetric, zero-point 0, eight bits: the only Q/DQ form that TensorRT takes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from appliance.vision.bboxes import PAD_GREY, normalised
from models.quads import take_quads
from models.readers import letterbox

METHODS = {"minmax": CalibrationMethod.MinMax, "percentile": CalibrationMethod.Percentile}


class Pictures(CalibrationDataReader):  # type: ignore[misc]
    """Network inputs of ordinary pictures, one by one. files: JPEG; side: longest side in px."""

    def __init__(self, files: list[Path], side: int) -> None:
        self.inputs = self._read(files, side)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next input, None after the last."""
        return next(self.inputs, None)

    @staticmethod
    def _read(files: list[Path], side: int) -> Iterator[dict[str, NDArray[np.float32]]]:
        for file in files:
            bgr = cv2.imread(str(file), cv2.IMREAD_COLOR)
            if bgr is None:
                continue
            canvas, _ = letterbox(bgr[:, :, ::-1], side, (side, side), PAD_GREY)
            yield {"input_0": normalised(canvas)}


def evenly(folder: Path, count: int = 200) -> list[Path]:
    """About `count` JPEG files, evenly taken from the folder."""
    files = sorted(folder.glob("*.jpg"))
    return files[:: max(1, len(files) // count)][:count]


def quantize(
    model: Path, files: list[Path], out: Path, form: str, side: int = 416, method: str = "minmax", static: bool = False
) -> None:
    """Write the INT8 form of an FP32 model. files: calibration pictures, best a few hundred, never those of `test`.

    static: the input is fixed at side x side, as TensorRT wants it; else it stays as free as that of `model`.
    """
    if not files:
        raise SystemExit("no calibration pictures; --images must hold JPEG files")
    signed = form == "tensorrt"
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.onnx"
        given = onnx.load(str(model))
        if static:
            _fix_input(given, side)
        onnx.save(given, str(ready))
        quant_pre_process(str(ready), str(ready), skip_symbolic_shape=True)
        graph = onnx.load(str(ready)).graph
        wanted = {output.name for output in graph.output}
        last = [node.name for node in graph.node if node.op_type == "Conv" and wanted & set(node.output)]
        quantize_static(
            str(ready), str(out), Pictures(files, side), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QInt8 if signed else QuantType.QUInt8, weight_type=QuantType.QInt8,
            reduce_range=not signed, nodes_to_exclude=last, calibrate_method=METHODS[method],
            extra_options={"ActivationSymmetric": signed, "WeightSymmetric": True},
        )  # fmt: skip
    if not signed:
        _take_bytes(out)


def _take_bytes(path: Path) -> None:
    """Let the INT8 model at `path` take the bytes of the picture where it took floats, value / 127.5 - 1."""
    model = onnx.load(str(path))
    graph = model.graph
    entrance = graph.input[0]
    first = next(node for node in graph.node if entrance.name in node.input)
    assert first.op_type == "QuantizeLinear"
    known = {entry.name: entry for entry in graph.initializer}
    for name, value in zip(first.input[1:], (np.float32(1 / 127.5), np.uint8(128)), strict=True):
        known[name].CopyFrom(numpy_helper.from_array(np.array(value), name))
    to_channels = helper.make_node("Transpose", [entrance.name], first.output, "channels_first", perm=[0, 3, 1, 2])
    graph.node.remove(first)
    graph.node.insert(0, to_channels)
    high, wide = (axis.dim_param or axis.dim_value for axis in entrance.type.tensor_type.shape.dim[2:])
    entrance.CopyFrom(helper.make_tensor_value_info(entrance.name, onnx.TensorProto.UINT8, [1, high, wide, 3]))
    take_quads(graph)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def _fix_input(model: onnx.ModelProto, side: int) -> None:
    """Give the input its size; the outputs' sizes follow from it again."""
    for axis in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        axis.ClearField("dim_param")
        axis.dim_value = side
    for output in model.graph.output:
        for axis in output.type.tensor_type.shape.dim[2:]:
            axis.ClearField("dim_param")
            axis.dim_value = side // int(output.name.removeprefix("p"))


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m models.quantize", description="Make an INT8 model.")
    parser.add_argument("--model", type=Path, required=True, help="the FP32 ONNX file, raw outputs")
    parser.add_argument("--images", type=Path, required=True, help="folder of JPEG pictures to measure ranges on")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--form", choices=("cpu", "tensorrt"), default="cpu")
    parser.add_argument("--side", type=int, default=416, help="longest side of the pictures, px")
    parser.add_argument("--static", action="store_true", help="fix the input at SIDE x SIDE, as TensorRT wants it")
    parser.add_argument("--method", choices=sorted(METHODS), default="minmax")
    parser.add_argument("--count", type=int, default=200, help="how many pictures, evenly taken from the folder")
    given = parser.parse_args(argv)
    quantize(
        given.model, evenly(given.images, given.count), given.out, given.form, given.side, given.method, given.static
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
