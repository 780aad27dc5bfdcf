"""The detector: letterbox and classification with a network of our own, the golden self-test with the real one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from threading import Barrier

import msgspec
import numpy as np
import pytest

from appliance.errors import UserError
from appliance.faces import CLASSES, Face, State
from appliance.vision.bboxes import PAD_GREY, STRIDES, Float32Array, normalised
from appliance.vision.detector import Detector, NetworkDetector
from appliance.vision.golden import load_golden, self_test
from appliance.vision.manifest import Model, folder, load_manifest
from appliance.vision.onnx import load_detector
from appliance.vision.pixels import Pixels, Stack, scale_to
from tests.conftest import REPOSITORY

MODEL = Model(
    "toy", "-", "0" * 64, 64, 128, 96, score_threshold=0.5, smallest_face_px=12, min_margin=0.2, max_iou=0.5, source="-"
)

TWICE = msgspec.structs.replace(MODEL, second_pass=2)


class Network:
    """Says the same of every picture, and remembers its inputs."""

    def __init__(self, *faces: tuple[float, float, tuple[float, float, float], float]) -> None:
        """faces: row, face logit, state logits, side in pixels; all in the first column of stride 16."""
        self.faces = faces
        self.inputs: list[Pixels] = []

    def __call__(self, canvases: Stack) -> Sequence[Float32Array]:
        self.inputs += [*canvases.copy()]
        count, height, width = canvases.shape[:3]
        said = [np.full((count, 8, height // s, width // s), -12, dtype=np.float32) for s in STRIDES]
        for row, logit, states, side_px in self.faces:
            size = float(np.log(side_px / 16))
            said[1][:, :, int(row), 0] = [logit, *states, 0, 0, size, size]
        return said


def grey(width: int, height: int, value: int = 0) -> Pixels:
    return np.full((height, width, 3), value, dtype=np.uint8)


@pytest.fixture(scope="module")
def real() -> NetworkDetector:
    """The model that a box uses when nothing else is said."""
    return load_detector()


def test_the_picture_lies_in_the_upper_left_corner_of_grey() -> None:
    network = Network()
    image = grey(128, 60)
    image[:] = (0, 255, 51)
    NetworkDetector(MODEL, network).detect(image)
    (canvas,) = network.inputs
    assert canvas.shape == (96, 128, 3) and canvas.dtype == np.uint8
    assert (canvas[:60] == (0, 255, 51)).all()
    assert (canvas[60:] == PAD_GREY).all()


def test_a_network_in_floating_point_gets_the_range_from_minus_one_to_one() -> None:
    canvas = grey(128, 60)
    canvas[:] = (0, 255, 51)
    tensor = normalised(canvas[None])
    assert tensor.shape == (1, 3, 60, 128) and tensor.dtype == np.float32 and tensor.flags.c_contiguous
    np.testing.assert_allclose(tensor.mean(axis=(0, 2, 3)), [-1, 1, 51 / 127.5 - 1], atol=1e-5)


def test_a_larger_picture_is_averaged_down_into_the_input() -> None:
    network = Network()
    image = grey(1280, 720)
    image[:, ::2] = 200  # stripes one pixel wide: anything but averaging shows them
    NetworkDetector(MODEL, network).detect(image)
    np.testing.assert_allclose(network.inputs[0][:72], 100, atol=2)


def test_grey_stays_grey_when_pictures_of_another_size_come() -> None:
    network = Network()
    detector = NetworkDetector(MODEL, network)
    for image in (grey(128, 96, 255), grey(128, 32, 255), grey(64, 96, 0)):
        detector.detect(image)
    assert (network.inputs[1][32:] == PAD_GREY).all()
    assert (network.inputs[2][:, 64:] == PAD_GREY).all()


def test_a_network_with_free_sides_gets_as_little_grey_as_possible() -> None:
    network = Network((1, 2.0, (5, 0, 0), 20))
    faces = NetworkDetector(MODEL, network, fixed=False).detect(grey(1280, 480))
    assert network.inputs[0].shape == (64, 128, 3)
    assert faces[0].bbox_px == pytest.approx((0, 140, 180, 340))  # 8 +- 10, 24 +- 10, ten times as large


def test_bboxes_are_in_pixels_of_the_picture() -> None:
    network = Network((2, 2.0, (5, 0, 0), 40), (4, 3.0, (0, 5, 0), 16))
    faces = NetworkDetector(MODEL, network).detect(grey(256, 192))
    assert [face.state for face in faces] == [State.NO_MASK, State.MASK]  # highest score first
    assert faces[0].bbox_px == pytest.approx((0, 128, 32, 160))
    assert faces[1].bbox_px == pytest.approx((0, 40, 56, 120))  # cut at the picture's edge
    assert faces[1].score == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-5)
    assert sum(faces[1].class_probabilities) == pytest.approx(1, abs=1e-5)


def test_the_second_pass_adds_faces_that_fill_the_frame_and_no_others() -> None:
    first, second = Network(), Network((0, 2.0, (5, 0, 0), 20), (1, 3.0, (5, 0, 0), 6))  # 40 and 12 px to the first

    def network(canvases: Stack) -> Sequence[Float32Array]:
        return (first if canvases.shape[2] == 128 else second)(canvases)

    faces = NetworkDetector(TWICE, network, fixed=False).detect(grey(256, 192))
    assert [canvas.shape for canvas in first.inputs + second.inputs] == [(96, 128, 3), (64, 64, 3)]
    assert [face.bbox_px for face in faces] == [pytest.approx((0, 0, 72, 72))]  # 8 +- 10 px, four times as large
    assert NetworkDetector(MODEL, network, fixed=False).detect(grey(256, 192)) == []


def test_a_face_that_both_passes_see_is_one() -> None:
    first, second = Network((2, 2.0, (5, 0, 0), 64)), Network((1, 3.0, (0, 5, 0), 32))

    def network(canvases: Stack) -> Sequence[Float32Array]:
        return (first if canvases.shape[2] == 128 else second)(canvases)

    (face,) = NetworkDetector(TWICE, network, fixed=False).detect(grey(128, 96))
    assert face.state is State.NO_MASK  # the higher score


def test_faces_of_low_confidence_come_only_with_a_lower_threshold() -> None:
    detector = NetworkDetector(MODEL, Network((0, 2.0, (5, 0, 0), 16), (4, -2.0, (5, 0, 0), 16)))
    assert len(detector.detect(grey(128, 96))) == 1
    assert len(detector.detect(grey(128, 96), score_threshold=0.1)) == 2


def test_of_two_bboxes_on_one_face_the_higher_score_stays_whatever_its_state() -> None:
    faces = NetworkDetector(MODEL, Network((1, 1.0, (5, 0, 0), 64), (2, 2.0, (0, 0, 5), 64))).detect(grey(128, 96))
    assert [face.state for face in faces] == [State.INCORRECT]


@pytest.mark.parametrize(
    ("states", "side_px", "state", "too_small"),
    [
        ((2, 0, 0), 16, State.MASK, False),
        ((0, 2, 0), 16, State.NO_MASK, False),
        ((0, 0, 2), 16, State.INCORRECT, False),
        ((2, 0, 0), 11, State.UNKNOWN, True),
        ((0.3, 0, -9), 16, State.UNKNOWN, False),  # .57 against .43
        ((0.3, 0, -9), 11, State.UNKNOWN, True),
    ],
)
def test_evidence_that_does_not_suffice_is_unknown(
    states: tuple[float, float, float], side_px: float, state: State, too_small: bool
) -> None:
    (face,) = NetworkDetector(MODEL, Network((1, 2.0, states, side_px))).detect(grey(128, 96))
    assert face.state is state and face.too_small is too_small
    assert max(face.class_probabilities) == face.class_probabilities[int(np.argmax(states))]


def test_whether_a_face_is_too_small_is_decided_at_the_scale_the_network_saw() -> None:
    (face,) = NetworkDetector(MODEL, Network((1, 2.0, (5, 0, 0), 11))).detect(grey(1280, 960))
    assert face.bbox_px[3] - face.bbox_px[1] == pytest.approx(110) and face.state is State.UNKNOWN


def test_squares_are_looked_at_as_they_are_in_one_go() -> None:
    network = Network((1, 2.0, (5, 0, 0), 20))
    squares = np.stack([grey(64, 64, value) for value in (7, 8, 9)])
    found = NetworkDetector(MODEL, network).look(squares)
    np.testing.assert_array_equal(network.inputs, squares)
    assert [[face.bbox_px for face in faces] for faces in found] == [[pytest.approx((0, 14, 18, 34))]] * 3


def test_faces_of_each_square_are_its_own() -> None:
    stack = np.stack([grey(64, 64, value) for value in (0, 1, 2)])

    def network(canvases: Stack) -> Sequence[Float32Array]:
        near, far = Network((1, 2.0, (0, 5, 0), 64), (2, 1.0, (5, 0, 0), 64)), Network((3, 1.0, (5, 0, 0), 11))
        said = [each(canvases[:1]) for each in (near, Network(), far)]
        return [np.concatenate(maps) for maps in zip(*said, strict=True)]

    found = NetworkDetector(MODEL, network).look(stack)
    assert [[(face.state, face.too_small) for face in faces] for faces in found] == [
        [(State.NO_MASK, False)],  # after NMS
        [],
        [(State.UNKNOWN, True)],
    ]


def test_no_squares_are_no_work() -> None:
    network = Network()
    assert NetworkDetector(MODEL, network).look(np.zeros((0, 64, 64, 3), np.uint8)) == []
    assert network.inputs == []


@pytest.mark.parametrize("side", [128, 320])
def test_a_stack_is_judged_as_its_squares_one_by_one(real: NetworkDetector, side: int) -> None:
    squares = np.stack([scale_to(image, side, side) for _, image in load_golden()])
    found = real.look(squares, 0.1)
    assert found == [real.look(square[None], 0.1)[0] for square in squares]
    assert len({face.state for faces in found for face in faces}) >= 3


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (3, 2), (641, 361)])
def test_pictures_of_any_size_are_taken(real: NetworkDetector, size: tuple[int, int]) -> None:
    chance = np.random.default_rng(1)
    image: Pixels = chance.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    for face in real.detect(image, score_threshold=0.01):
        left, top, right, bottom = face.bbox_px
        assert 0 <= left <= right <= size[0] and 0 <= top <= bottom <= size[1]


def test_a_picture_in_any_layout_of_memory_is_classified_alike(real: NetworkDetector) -> None:
    _, image = load_golden()[0]
    assert real.detect(np.asfortranarray(image)) == real.detect(image)
    assert real.detect(image[::-1, ::-1][::-1, ::-1]) == real.detect(image)


def test_threads_do_not_write_into_each_others_input() -> None:
    both_wrote = Barrier(2)
    seen = []

    def network(canvases: Stack) -> Sequence[Float32Array]:
        both_wrote.wait(10)
        seen.append(int(canvases[0, 0, 0, 0]))
        return Network()(canvases)

    detector = NetworkDetector(MODEL, network)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(detector.detect, [grey(128, 96, 50), grey(128, 96, 150)]))
    assert sorted(seen) == [50, 150]


def test_threads_share_a_detector(real: NetworkDetector) -> None:
    images = [image[:height] for _, image in load_golden()[:4] for height in (200, 260, 312)] * 2
    alone = [real.detect(image, 0.1) for image in images]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda image: real.detect(image, 0.1), images)) == alone


@pytest.mark.parametrize("name", [*load_manifest().models])
def test_every_model_passes_the_golden_self_test(name: str) -> None:
    assert self_test(load_detector(name)) == []


class Spoilt:
    """A good detector whose answers are changed on the way."""

    def __init__(self, good: NetworkDetector) -> None:
        self.good = good
        self.model_id, self.score_threshold = good.model_id, good.score_threshold
        self.input_width, self.input_height = good.input_width, good.input_height
        self.region_px, self.smallest_face_px = good.region_px, good.smallest_face_px

    def detect(self, image: Pixels, score_threshold: float | None = None) -> list[Face]:
        return [self.change(face) for face in self.good.detect(image, score_threshold)]

    def look(self, squares: Stack, score_threshold: float | None = None) -> list[list[Face]]:
        return [[self.change(face) for face in faces] for faces in self.good.look(squares, score_threshold)]

    def change(self, face: Face) -> Face:
        return face


@pytest.mark.parametrize("swapped", list(combinations(CLASSES, 2)), ids=lambda pair: "-".join(pair))
def test_swapping_any_two_labels_fails_the_self_test(real: NetworkDetector, swapped: tuple[State, State]) -> None:
    class Swapped(Spoilt):
        def change(self, face: Face) -> Face:
            one, other = swapped
            return replace(face, state={one: other, other: one}.get(face.state, face.state))

    problems = self_test(Swapped(real))
    assert any(f"says {swapped[0].value}, is {swapped[1].value}" in problem for problem in problems)
    assert any(f"says {swapped[1].value}, is {swapped[0].value}" in problem for problem in problems)


def test_a_detector_that_misplaces_its_bboxes_fails_the_self_test(real: NetworkDetector) -> None:
    class Shifted(Spoilt):
        def change(self, face: Face) -> Face:
            left, top, right, bottom = face.bbox_px
            return replace(face, bbox_px=(left + 60, top, right + 60, bottom))

    assert any("misses a face" in problem for problem in self_test(Shifted(real)))


def test_a_detector_that_mixes_up_the_regions_of_a_stack_fails_the_self_test(real: NetworkDetector) -> None:
    class Mixed(Spoilt):
        def look(self, squares: Stack, score_threshold: float | None = None) -> list[list[Face]]:
            return super().look(squares, score_threshold)[::-1]

    problems = self_test(Mixed(real))
    assert problems and all(problem.startswith("a region of ") for problem in problems)
    assert "a region of no-face.jpg: sees a face where there is none" in problems


def test_a_detector_that_takes_no_stacks_fails_the_self_test(real: NetworkDetector) -> None:
    class OneByOne(Spoilt):
        def look(self, squares: Stack, score_threshold: float | None = None) -> list[list[Face]]:
            (square,) = squares
            return super().look(square[None], score_threshold)

    assert self_test(OneByOne(real)) == ["it fails at regions (ValueError)"]


class Fixed:
    """Says the same of every picture."""

    model_id, score_threshold, input_width, input_height = "fixed", 0.5, 96, 96
    region_px, smallest_face_px = 96, 10.0

    def __init__(self, faces: list[Face] | None) -> None:
        self.faces = faces

    def detect(self, image: Pixels, score_threshold: float | None = None) -> list[Face]:  # noqa: ARG002
        if self.faces is None:
            raise RuntimeError("bad weights")
        return self.faces

    def look(self, squares: Stack, score_threshold: float | None = None) -> list[list[Face]]:
        return [self.detect(square, score_threshold) for square in squares]


@pytest.mark.parametrize(
    ("faces", "problem"),
    [
        ([], "misses a face"),
        ([Face((0, 0, 20, 20), 0.9, (1, 0, 0), State.MASK)], "sees a face where there is none"),
        (None, "it fails (RuntimeError)"),
    ],
)
def test_a_detector_that_sees_nothing_or_ghosts_or_fails_does_not_pass(faces: list[Face] | None, problem: str) -> None:
    detector: Detector = Fixed(faces)
    problems = self_test(detector)
    assert any(problem in one for one in problems) and len(problems) >= 8


@pytest.mark.parametrize("damage", ["no state", "no bytes", "no list", "broken"])
def test_a_self_test_without_its_pictures_is_no_pass(real: NetworkDetector, tmp_path: Path, damage: str) -> None:
    shutil.copytree(folder() / "golden", tmp_path / "golden")
    listed = tmp_path / "golden" / "golden.toml"
    if damage == "no state":
        known = msgspec.toml.decode(listed.read_bytes())
        known["pictures"] = [one for one in known["pictures"] if not any(f["state"] == "mask" for f in one["faces"])]
        listed.write_bytes(msgspec.toml.encode(known))
    elif damage == "no bytes":
        (tmp_path / "golden" / "hopper-worn.jpg").write_bytes(b"")
    elif damage == "no list":
        listed.unlink()
    else:
        listed.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"self-test .* install mb9k again"):
        self_test(real, tmp_path)


def test_loading_a_model_tells_nobody_about_this_machine(tmp_path: Path) -> None:
    """ONNX Runtime 1.32 makes an id of the machine in the home folder, to send usage figures under."""
    program = "from appliance.vision.onnx import load_detector; load_detector()"
    home = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    home.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", program], check=True, cwd=REPOSITORY, env=home)
    assert list(tmp_path.rglob("*")) == []
