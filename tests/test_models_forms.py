"""The forms of the model for TensorRT: what its parser takes, and that they judge as the model does. Run on the CPU."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest

from appliance.faces import Face, State
from appliance.vision.detector import NetworkDetector
from appliance.vision.golden import AGREED_SCORE, Agreement, agreement, self_test
from appliance.vision.manifest import find, load_manifest, verified
from appliance.vision.onnx import load_detector, load_form
from appliance.vision.pixels import Pixels, Stack

FLOAT, UINT8, INT8, INT64, FLOAT16 = 1, 2, 3, 7, 10  # onnx.proto: TensorProto.DataType
TAKEN = {"Cast", "Transpose", "Mul", "Sub", "Conv", "Relu", "Add", "MaxPool", "Resize", "Constant"}
"""Of those here TensorRT 8.6 to 11 take (onnx-tensorrt, docs/operators.md), beside Q/DQ."""
FORMS = [(name, form) for name, model in load_manifest().models.items() for form in model.forms if "tensorrt" in form]


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message: number, and content."""
    place = 0

    def number() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = message[place]
            place += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while place < len(message):
        tag = number()
        if tag & 7 == 0:
            yield tag >> 3, number()
            continue
        length = {1: 8, 5: 4}.get(tag & 7) or number()
        yield tag >> 3, message[place : place + length]
        place += length


@dataclass
class Graph:
    """Of an ONNX file: its nodes (operator, inputs, outputs), the type of each initializer, and its domains."""

    nodes: list[tuple[str, list[str], list[str]]] = field(default_factory=list)
    types: dict[str, int] = field(default_factory=dict)
    domains: list[str] = field(default_factory=list)


def graph_of(content: bytes) -> Graph:
    """See onnx.proto: model 7 graph, 8 opset; graph 1 node, 5 initializer."""
    graph = Graph()
    for key, part in fields(content):
        if key == 8 and isinstance(part, bytes):
            domains = [str(text, "utf-8") for number, text in fields(part) if number == 1 and isinstance(text, bytes)]
            graph.domains += domains or [""]
        for inner, entry in fields(part) if key == 7 and isinstance(part, bytes) else ():
            if not isinstance(entry, bytes):
                continue
            parts = list(fields(entry))
            texts = {
                number: [str(text, "utf-8") for at, text in parts if at == number and isinstance(text, bytes)]
                for number in ((1, 2, 4) if inner == 1 else (8,) if inner == 5 else ())
            }
            if inner == 1:
                graph.nodes.append((texts[4][0], texts[1], texts[2]))
            elif inner == 5:
                graph.types[texts[8][0]] = next(kind for at, kind in parts if at == 2 and isinstance(kind, int))
    return graph


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_a_form_holds_nothing_that_tensorrt_does_not_take(name: str, form: str) -> None:
    graph = graph_of(verified(find(name).forms[form]))
    assert graph.domains == [""]
    assert {node for node, _, _ in graph.nodes} <= TAKEN | {"QuantizeLinear", "DequantizeLinear"}
    # Bytes are an input and nothing else, so the first thing is a Cast.
    assert [node for node, inputs, _ in graph.nodes if "input_0" in inputs] == ["Cast"]
    made = {output: node for node, _, outputs in graph.nodes for output in outputs}
    for node, inputs, _ in graph.nodes:
        if node == "DequantizeLinear":  # of what a QuantizeLinear made alone: no integers of 32 bits, none ready made
            assert made[inputs[0]] == "QuantizeLinear"
        if node in ("QuantizeLinear", "DequantizeLinear"):
            assert (graph.types[inputs[1]], graph.types[inputs[2]]) == (FLOAT, INT8)
        if node == "Conv":
            assert all(graph.types.get(each, FLOAT) in (FLOAT, FLOAT16) for each in inputs)


@pytest.mark.parametrize("name", list(load_manifest().models))
def test_the_form_for_fp16_computes_in_half_precision_by_its_own_types(name: str) -> None:
    graph = graph_of(verified(find(name).forms["tensorrt_fp16"]))
    scales = {inputs[2] for node, inputs, _ in graph.nodes if node == "Resize"}
    assert {kind for key, kind in graph.types.items() if key not in scales} <= {FLOAT16, INT64}
    assert not any("Linear" in node for node, _, _ in graph.nodes)


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_a_form_passes_the_self_test_and_judges_nearly_as_the_model_of_the_cpu(name: str, form: str) -> None:
    detector = load_form(find(name), form)
    assert self_test(detector) == []
    of_cpu = load_detector(name)
    close = agreement(detector, NetworkDetector(of_cpu.model.of_regions(), of_cpu.run))
    assert (close.missed, close.states) == (0, 0), close
    assert close.score < AGREED_SCORE and close.iou > 0.8, close


def test_a_detector_agrees_with_itself_to_the_last_bit() -> None:
    detector = load_form(find(), "tensorrt_int8")
    close = agreement(detector, detector)
    assert close.is_close
    assert (close.faces, close.missed, close.iou, close.score, close.states) == (16, 0, 1.0, 0.0, 0)


class Blind(NetworkDetector):
    """A detector that finds nobody."""

    def detect(self, image: Pixels, score_threshold: float | None = None) -> list[Face]:  # noqa: ARG002
        """See Detector."""
        return []

    def look(self, squares: Stack, score_threshold: float | None = None) -> list[list[Face]]:  # noqa: ARG002
        """See Detector."""
        return [[] for _ in squares]


@pytest.mark.parametrize(
    ("close", "is_close"),
    [
        (Agreement(16, 0, 0.9, 0.05, 0), True),
        (Agreement(16, 0, 0.899, 0.0, 0), False),
        (Agreement(16, 0, 1.0, 0.0501, 0), False),
        (Agreement(16, 1, 1.0, 0.0, 0), False),
        (Agreement(16, 0, 1.0, 0.0, 1), False),
    ],
)
def test_how_far_two_may_be_apart(close: Agreement, is_close: bool) -> None:
    assert close.is_close == is_close


def test_detectors_that_find_nobody_do_not_agree() -> None:
    good = load_form(find(), "tensorrt_int8")
    blind = Blind(good.model, good.run)
    for first, second in ((blind, blind), (blind, good), (good, blind)):
        assert not agreement(first, second).is_close


class Two(Blind):
    """A detector that finds the same two faces everywhere, in one order or the other."""

    def __init__(self, good: NetworkDetector, step: int) -> None:
        super().__init__(good.model, good.run)
        self.faces = [
            Face((10.0, 10.0, 50.0, 50.0), 0.9, (0.8, 0.1, 0.1), State.MASK),
            Face((110.0, 10.0, 150.0, 50.0), 0.7, (0.1, 0.8, 0.1), State.NO_MASK),
        ][::step]

    def detect(self, image: Pixels, score_threshold: float | None = None) -> list[Face]:  # noqa: ARG002
        """See Detector."""
        return self.faces


def test_each_face_is_compared_with_the_one_in_its_place() -> None:
    good = load_form(find(), "tensorrt_int8")
    assert agreement(Two(good, 1), Two(good, -1)).is_close


class Changed(NetworkDetector):
    """A detector of whose faces in whole pictures something is changed."""

    def __init__(self, good: NetworkDetector, change: Callable[[Face], Face | None]) -> None:
        super().__init__(good.model, good.run)
        self.change = change

    def detect(self, image: Pixels, score_threshold: float | None = None) -> list[Face]:
        """See Detector."""
        found = [self.change(face) for face in super().detect(image, score_threshold)]
        return [face for face in found if face is not None]


def moved(face: Face) -> Face:
    left, top, right, bottom = face.bbox_px
    by = (right - left) / 10
    return replace(face, bbox_px=(left + by, top, right + by, bottom))


def less_sure(face: Face) -> tuple[float, float, float]:
    first, second, third = face.class_probabilities
    return first - 0.06, second + 0.03, third + 0.03


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda _: None, "8 of one only"),
        (lambda face: replace(face, state=State.UNKNOWN), "8 in another state"),
        (moved, "least IoU 0.8"),
        (lambda face: replace(face, score=face.score - 0.06), "up to 0.060 apart"),
        (lambda face: replace(face, class_probabilities=less_sure(face)), "up to 0.060 apart"),
        (lambda face: replace(face, class_probabilities=(math.nan,) * 3), "up to nan apart"),
    ],
    ids=["missed", "state", "place", "score", "class", "no number"],
)
def test_detectors_that_differ_in_one_thing_do_not_agree(change: Callable[[Face], Face | None], says: str) -> None:
    good = load_form(find(), "tensorrt_int8")
    for first, second in ((Changed(good, change), good), (good, Changed(good, change))):
        close = agreement(first, second)
        assert not close.is_close
        assert says in str(close)
