"""A graph that upscales its input, so that every cell of the network covers fewer pixels of it.

A picture scaled to 416 px still shows more of small faces than the network's cells can tell apart there: upscaled to
640 px, with nothing added, its faces are found about as well as those of one that came with 640 (experiments.md has
the figures).

It is done on the graph, and not before the export, because the INT8 form upscales between its bytes and its first
convolution, where quantisation would put nodes of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from appliance.vision.onnx import MULTIPLE
from models.evaluation.readers import ALIGN_PX, upscale_multiple


def upscale(model: onnx.ModelProto, side: int, to_side: int) -> None:
    """Let the model, one of ours in any form, upscale its input by to_side / side; both multiples of ALIGN_PX.

    A model with a fixed input of to_side x to_side takes side x side afterwards. Maps come as large as before, so that
    a cell is side / to_side of what it was: `appliance.vision.bboxes.decode` finds it by the sizes.
    """
    del model.metadata_props[:]  # the widths: this is no plain export any more
    helper.set_model_props(model, {MULTIPLE: str(upscale_multiple(side, to_side))})
    graph = model.graph
    entrance = graph.input[0]
    takes_bytes = entrance.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    nodes = [graph.node.pop(0)] if takes_bytes else []  # which lays bytes as N x 3 x H x W
    small = nodes[0].output[0] if takes_bytes else entrance.name
    large = f"{small}_enlarged"
    for node in graph.node:
        node.input[:] = [large if name == small else name for name in node.input]
    axes = entrance.type.tensor_type.shape.dim
    if all(axis.dim_value for axis in axes):
        sizes = "sizes"
        _constant(graph, sizes, np.array([1, 3, to_side, to_side], np.int64))
        for axis in axes:
            if axis.dim_value == to_side:
                axis.dim_value = side
    else:
        nodes += _free_sizes(graph, small, side, to_side)
        sizes = nodes[-1].output[0]
    if takes_bytes:
        # ONNX Runtime upscales floats almost three times as fast as bytes.
        _constant(graph, "one", np.array(1, np.float32))
        _constant(graph, "zero", np.array(0, np.uint8))
        nodes += [
            helper.make_node("Cast", [small], ["floats"], to=onnx.TensorProto.FLOAT),
            _resize("floats", sizes, "floats_enlarged"),
            helper.make_node("QuantizeLinear", ["floats_enlarged", "one", "zero"], [large]),
        ]
    else:
        nodes.append(_resize(small, sizes, large))
    for node in reversed(nodes):
        graph.node.insert(0, node)
    onnx.checker.check_model(model, full_check=True)


def _resize(small: str, sizes: str, large: str) -> onnx.NodeProto:
    return helper.make_node(
        "Resize", [small, "", "", sizes], [large], mode="linear", coordinate_transformation_mode="half_pixel"
    )


def _free_sizes(graph: onnx.GraphProto, small: str, side: int, to_side: int) -> list[onnx.NodeProto]:
    """The nodes that compute `readers.upscaled_px` of both sides, where the number of pictures and the channels go
    through multiplications by one."""
    steps = [("Mul", to_side, 1), ("Add", ALIGN_PX // 2 * side, 0), ("Div", ALIGN_PX * side, 1), ("Mul", ALIGN_PX, 1)]
    nodes = [helper.make_node("Shape", [small], ["sizes_0"])]
    for number, (operation, of_sides, of_others) in enumerate(steps):
        values = [of_others, of_others, of_sides, of_sides]
        _constant(graph, f"sizes_by_{number}", np.array(values, np.int64))
        nodes.append(helper.make_node(operation, [f"sizes_{number}", f"sizes_by_{number}"], [f"sizes_{number + 1}"]))
    return nodes


def _constant(graph: onnx.GraphProto, name: str, values: NDArray[Any]) -> None:
    graph.initializer.append(numpy_helper.from_array(values, name))
