"""A network on a finer grid: the graph enlarges its input, and every cell then covers fewer pixels of it.

A picture scaled to 416 px still shows more of small faces than the network's cells can tell apart there: enlarged to
640 px, with nothing added, it is judged about as well as one that came with 640 (README.md has the figures).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from appliance.vision.onnx import MULTIPLE

ALIGN = 32  # sides of the grid are multiples of it


def finer_side(length: int, side: int, grid: int) -> int:
    """What a side of `length` px becomes where `side` becomes `grid`: the nearest multiple of ALIGN."""
    return (length * grid + ALIGN // 2 * side) // (ALIGN * side) * ALIGN


def finer_multiple(side: int, grid: int) -> Fraction:
    """What the sides of a free input shall be multiples of, each rounded to whole pixels, so that the graph need not
    stretch one more than the other: a stretch by a fortieth cost .01 mAP50."""
    return Fraction(ALIGN * side, grid)


def make_finer(model: onnx.ModelProto, side: int, grid: int) -> None:
    """Let the model, one of ours in any form, enlarge its input by grid / side; both multiples of ALIGN.

    A model with a fixed input of grid x grid takes side x side afterwards. Maps come as large as before, so that a cell
    is side / grid of what it was: `appliance.vision.bboxes.decode` tells it by the sizes.
    """
    del model.metadata_props[:]  # which say what `export.load` could not make of it any more
    helper.set_model_props(model, {MULTIPLE: str(finer_multiple(side, grid))})
    graph = model.graph
    entrance = graph.input[0]
    takes_bytes = entrance.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    nodes = [graph.node.pop(0)] if takes_bytes else []  # which lays bytes as N x 3 x H x W
    given = nodes[0].output[0] if takes_bytes else entrance.name
    enlarged = f"{given}_enlarged"
    for node in graph.node:
        node.input[:] = [enlarged if name == given else name for name in node.input]
    axes = entrance.type.tensor_type.shape.dim
    if all(axis.dim_value for axis in axes):
        sizes = "sizes"
        _constant(graph, sizes, np.array([1, 3, grid, grid], np.int64))
        for axis in axes:
            if axis.dim_value == grid:
                axis.dim_value = side
    else:
        nodes += _free_sizes(graph, given, side, grid)
        sizes = nodes[-1].output[0]
    if takes_bytes:
        # ONNX Runtime enlarges floats almost three times as fast as bytes.
        _constant(graph, "one", np.array(1, np.float32))
        _constant(graph, "zero", np.array(0, np.uint8))
        nodes += [
            helper.make_node("Cast", [given], ["floats"], to=onnx.TensorProto.FLOAT),
            _resize("floats", sizes, "floats_enlarged"),
            helper.make_node("QuantizeLinear", ["floats_enlarged", "one", "zero"], [enlarged]),
        ]
    else:
        nodes.append(_resize(given, sizes, enlarged))
    for node in reversed(nodes):
        graph.node.insert(0, node)
    onnx.checker.check_model(model, full_check=True)


def _resize(given: str, sizes: str, enlarged: str) -> onnx.NodeProto:
    return helper.make_node(
        "Resize", [given, "", "", sizes], [enlarged], mode="linear", coordinate_transformation_mode="half_pixel"
    )


def _free_sizes(graph: onnx.GraphProto, given: str, side: int, grid: int) -> list[onnx.NodeProto]:
    """The nodes that find the enlarged sizes: `finer_side`, where the number of pictures and the channels go through
    multiplications by one."""
    steps = [("Mul", grid, 1), ("Add", ALIGN // 2 * side, 0), ("Div", ALIGN * side, 1), ("Mul", ALIGN, 1)]
    nodes = [helper.make_node("Shape", [given], ["sizes_0"])]
    for number, (operation, of_sides, of_others) in enumerate(steps):
        values = [of_others, of_others, of_sides, of_sides]
        _constant(graph, f"sizes_by_{number}", np.array(values, np.int64))
        nodes.append(helper.make_node(operation, [f"sizes_{number}", f"sizes_by_{number}"], [f"sizes_{number + 1}"]))
    return nodes


def _constant(graph: onnx.GraphProto, name: str, values: NDArray[Any]) -> None:
    graph.initializer.append(numpy_helper.from_array(values, name))
