"""INT8 from FP32: post-training, per channel, Q/DQ nodes.

The output convolutions stay FP32: eight channels cost nothing, and their bbox and face numbers need the range. Two
forms from the same pictures:

cpu       unsigned activations, which ONNX Runtime fuses with ReLU. Weights have seven bits: processors without
          VNNI add two 8-bit products in 16 bits and would overflow (measured: .03 mAP50 lost with eight bits).
          Ranges are percentiles of the activations (by their extremes .007 mAP50 is lost).
          It takes the pictures' bytes, N x H x W x 3, which are its first activations: a tenth of the time saved,
          and a twelfth by space to depth.
tensorrt  signed, symmetric, zero-point 0, eight bits: the only Q/DQ form that TensorRT takes. The sides of the input
          are fixed, the number of pictures is free. It takes bytes, too, and is written as its parser wants it
          (for_tensorrt.py).
"""

from __future__ import annotations

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
from models.evaluation.readers import letterbox
from models.release.for_tensorrt import int8_form
from models.release.space_to_depth import space_to_depth


class Pictures(CalibrationDataReader):
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
            yield {"input_0": normalised(canvas[None])}


def evenly(folder: Path, count: int = 200) -> list[Path]:
    """About `count` JPEG files, evenly taken from the folder. Exits with one line where there are none."""
    files = sorted(folder.glob("*.jpg"))
    if not files:
        raise SystemExit(f"{folder} holds no JPEG files to measure ranges on")
    return files[:: max(1, len(files) // count)][:count]


def quantize_for_cpu(model: Path, files: list[Path], out: Path, side: int = 416) -> None:
    """Write the form for ONNX Runtime of an FP32 model, its input as free as that of `model`.

    files: pictures to measure ranges on, fifty to a hundred since all their values are in memory, never those of
    `test`; side: their longest side, px.
    """
    _quantize(onnx.load(model), files, out, side, signed=False)
    quantised = onnx.load(out)
    _take_bytes(quantised)
    onnx.save(quantised, out)


def quantize_for_tensorrt(model: Path, files: list[Path], out: Path, side: int) -> None:
    """Write the form for TensorRT of an FP32 model, for inputs of side x side. files: as for the CPU, a few hundred."""
    fixed = onnx.load(model)
    _fix_input(fixed, side)
    _quantize(fixed, files, out, side, signed=True)
    onnx.save(int8_form(onnx.load(out)), out)


def _quantize(model: onnx.ModelProto, files: list[Path], out: Path, side: int, signed: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ready = str(Path(folder) / "ready.onnx")
        onnx.save(model, ready)
        quant_pre_process(ready, ready, skip_symbolic_shape=True)
        graph = onnx.load(ready).graph
        outputs = {output.name for output in graph.output}
        last = [node.name for node in graph.node if node.op_type == "Conv" and outputs & set(node.output)]
        quantize_static(
            ready, str(out), Pictures(files, side), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QInt8 if signed else QuantType.QUInt8, weight_type=QuantType.QInt8,
            reduce_range=not signed, nodes_to_exclude=last,
            calibrate_method=CalibrationMethod.MinMax if signed else CalibrationMethod.Percentile,
            extra_options={"ActivationSymmetric": signed, "WeightSymmetric": True},
        )  # fmt: skip


def _take_bytes(model: onnx.ModelProto) -> None:
    """Let the INT8 model take the bytes of the picture where it took floats, value / 127.5 - 1."""
    graph = model.graph
    entrance = graph.input[0]
    first = next(node for node in graph.node if entrance.name in node.input)
    assert first.op_type == "QuantizeLinear"
    arrays = {entry.name: entry for entry in graph.initializer}
    for name, value in zip(first.input[1:], (np.float32(1 / 127.5), np.uint8(128)), strict=True):
        arrays[name].CopyFrom(numpy_helper.from_array(np.array(value), name))
    to_channels = helper.make_node("Transpose", [entrance.name], first.output, "channels_first", perm=[0, 3, 1, 2])
    graph.node.remove(first)
    graph.node.insert(0, to_channels)
    count, _, high, wide = (axis.dim_param or axis.dim_value for axis in entrance.type.tensor_type.shape.dim)
    entrance.CopyFrom(helper.make_tensor_value_info(entrance.name, onnx.TensorProto.UINT8, [count, high, wide, 3]))
    space_to_depth(graph)
    onnx.checker.check_model(model, full_check=True)


def _fix_input(model: onnx.ModelProto, side: int) -> None:
    """Give the input its sides; the outputs' follow from them."""
    for axis in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        axis.ClearField("dim_param")
        axis.dim_value = side
    for output in model.graph.output:
        for axis in output.type.tensor_type.shape.dim[2:]:
            axis.ClearField("dim_param")
            axis.dim_value = side // int(output.name.removeprefix("p"))
