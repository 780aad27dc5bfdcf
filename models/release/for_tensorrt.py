"""What TensorRT wants of an ONNX file: bytes in, biases and weights in floating point, half precision that is typed.

Its parser dequantises only eight bits, so no bias of 32 (https://github.com/onnx/onnx-tensorrt, docs/operators.md), and
TensorRT 8 quantises weights itself: they are given in floating point, before a Q/DQ pair. TensorRT 11 computes in the
types that the file has, so half precision must stand in it. It takes bytes as an input and nowhere else: the first
thing is a Cast.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

OWN_DOMAINS = {"", "ai.onnx"}


def take_bytes(model: onnx.ModelProto, kind: int = onnx.TensorProto.FLOAT) -> None:
    """Let a model of N x 3 x H x W, value / 127.5 - 1, take the bytes of pictures, N x H x W x 3. kind: its floats."""
    graph = model.graph
    entrance = graph.input[0]
    name, number = entrance.name, helper.tensor_dtype_to_np_dtype(kind)
    values, moved, scaled, ready = (f"{name}_{word}" for word in ("values", "moved", "scaled", "ready"))
    for node in graph.node:
        node.input[:] = [ready if source == name else source for source in node.input]
    for constant, value in ((f"{name}_factor", 1 / 127.5), (f"{name}_one", 1.0)):
        graph.initializer.append(numpy_helper.from_array(np.array(value, number), constant))
    nodes = [
        helper.make_node("Cast", [name], [values], values, to=kind),
        helper.make_node("Transpose", [values], [moved], moved, perm=[0, 3, 1, 2]),
        helper.make_node("Mul", [moved, f"{name}_factor"], [scaled], scaled),
        helper.make_node("Sub", [scaled, f"{name}_one"], [ready], ready),
    ]
    for node in reversed(nodes):
        graph.node.insert(0, node)
    count, _, high, wide = (axis.dim_param or axis.dim_value for axis in entrance.type.tensor_type.shape.dim)
    entrance.CopyFrom(helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, [count, high, wide, 3]))


def write_out_weights(model: onnx.ModelProto) -> None:
    """Give the Q/DQ form its weights in floating point, before a Q/DQ pair, and its biases without one.

    The values are those that its DQ nodes made, to the bit.
    """
    graph = model.graph
    arrays = {entry.name: entry for entry in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in arrays]:
        whole, scale, zero = (numpy_helper.to_array(arrays[name]) for name in node.input)
        assert not zero.any()
        shaped = scale.reshape([-1] + [1] * (whole.ndim - 1)) if scale.ndim and whole.ndim > 1 else scale
        values = whole.astype(np.float32) * shaped.astype(np.float32)
        name = node.input[0]
        if whole.dtype == np.int32:
            for used in node.input:
                graph.initializer.remove(arrays[used])
            graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
            graph.node.remove(node)
            continue
        arrays[name].CopyFrom(numpy_helper.from_array(values, name))
        quantised = f"{name}_again"
        pair = helper.make_node("QuantizeLinear", [name, *node.input[1:]], [quantised], quantised)
        pair.attribute.extend(node.attribute)  # the axis
        graph.node.insert(list(graph.node).index(node), pair)
        node.input[0] = quantised


def to_half(model: onnx.ModelProto) -> None:
    """Let a model in floating point compute in half precision; its outputs stay as they are."""
    graph = model.graph
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype == np.float32:
            weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), weight.name))
    for output in graph.output:
        half = f"{output.name}_half"
        for node in graph.node:
            node.output[:] = [half if name == output.name else name for name in node.output]
            node.input[:] = [half if name == output.name else name for name in node.input]
        graph.node.append(helper.make_node("Cast", [half], [output.name], half, to=onnx.TensorProto.FLOAT))


def int8_form(model: onnx.ModelProto) -> onnx.ModelProto:
    """The form for INT8 of a signed, symmetric Q/DQ model (quantize.py)."""
    write_out_weights(model)
    take_bytes(model)
    return _finished(model)


def fp16_form(model: onnx.ModelProto) -> onnx.ModelProto:
    """The form for FP16 of the raw export (export.py)."""
    to_half(model)
    take_bytes(model, onnx.TensorProto.FLOAT16)
    return _finished(model)


def _finished(model: onnx.ModelProto) -> onnx.ModelProto:
    del model.graph.value_info[:]  # of before
    kept = [entry for entry in model.opset_import if entry.domain in OWN_DOMAINS]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    onnx.checker.check_model(model, full_check=True)
    return model
