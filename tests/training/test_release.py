"""From a checkpoint to every form: exports, INT8, blends, calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from appliance.vision import bboxes as runtime
from models.evaluation.readers import letterbox
from models.release import calibrate, export, for_tensorrt, quantize, release
from models.training import checkpoint
from models.training.network import MaskNet, Widths, decode
from tests.conftest import REPOSITORY

WIDTHS = Widths(4, (4, 8, 8, 8), (1, 1, 1, 1), 8)
WEIGHTS = REPOSITORY / "models" / "weights"


@pytest.fixture
def net() -> MaskNet:
    """A small network that has learned nothing."""
    torch.manual_seed(0)
    return MaskNet(WIDTHS).eval()


@pytest.fixture
def picture(data: Path) -> Path:
    """A JPEG file."""
    return data / "images" / "train" / "train0.jpg"


def outputs(path: Path, tensor: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """The three maps of a raw model."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return list(session.run(["p8", "p16", "p32"], {"input_0": tensor}))


def test_a_release_has_every_form(net: MaskNet, data: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    checkpoint.save(checkpoint.fold(net), WIDTHS, weights / release.NAME)
    assert release.main(["--data", str(data), "--out", str(weights)]) == 0
    sizes = {}
    for path in weights.glob("*.onnx"):
        entrance = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).get_inputs()[0]
        sizes[path.stem.removeprefix("mb9k-")] = tuple(entrance.shape)
    expected: dict[str, tuple[int | str, ...]] = {"fp32": ("n", 3, "h", "w"), "int8": ("n", "h", "w", 3)}
    expected["fp16-tensorrt"] = ("n", "h", "w", 3)
    for side in (320, 416):
        expected |= {f"int8-tensorrt-{side}": ("n", side, side, 3), f"decoded-{side}": (1, 3, side, side)}
    assert sizes == expected


def test_the_committed_checkpoint_gives_the_committed_files(tmp_path: Path) -> None:
    loaded = checkpoint.load(WEIGHTS / release.NAME)
    export.export_raw(loaded, tmp_path / "fp32.onnx")
    assert (tmp_path / "fp32.onnx").read_bytes() == (WEIGHTS / "mb9k-fp32.onnx").read_bytes()
    export.export_decoded(loaded, tmp_path / "decoded.onnx", 320)  # its biases are rounded otherwise on other machines
    ours, theirs = (
        onnx.load(path).graph.initializer for path in (tmp_path / "decoded.onnx", WEIGHTS / "mb9k-decoded-320.onnx")
    )
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(onnx.numpy_helper.to_array(one), onnx.numpy_helper.to_array(other), atol=1e-6)


def test_the_committed_forms_for_tensorrt_are_those_of_the_committed_files(tmp_path: Path) -> None:
    form = for_tensorrt.fp16_form(onnx.load(WEIGHTS / "mb9k-fp32.onnx"))
    onnx.save(form, tmp_path / "fp16.onnx")
    assert (tmp_path / "fp16.onnx").read_bytes() == (WEIGHTS / "mb9k-fp16-tensorrt.onnx").read_bytes()


def test_a_release_takes_the_checkpoints_of_some_epochs(tmp_path: Path) -> None:
    folder = tmp_path / checkpoint.FOLDER
    folder.mkdir()
    for epoch in (1, 2, 3):
        (folder / f"{epoch:05d}.safetensors").touch()
    assert [path.stem for path in release.checkpoints(tmp_path, (2, 3))] == ["00002", "00003"]
    assert [path.stem for path in release.checkpoints(tmp_path, None)] == ["00003"]
    with pytest.raises(SystemExit, match="no epoch from 7 to 9, but 1, 2, 3"):
        release.checkpoints(tmp_path, (7, 9))


def test_a_mean_and_a_blend_lie_between_networks() -> None:
    ours, start = {"a.weight": torch.tensor([1.0, 2.0])}, {"a.weight": torch.tensor([3.0, 6.0])}
    assert release.mean([ours, start])["a.weight"].tolist() == [2, 4]
    assert release.blend(ours, start, 0.25)["a.weight"].tolist() == [1.5, 3]
    with pytest.raises(SystemExit, match="has other layers"):
        release.blend(ours, {"a.weight": torch.zeros(3)}, 0.5)


def test_the_export_says_what_the_network_says(net: MaskNet, tmp_path: Path) -> None:
    export.export_raw(net, tmp_path / "net.onnx")
    assert onnx.load(tmp_path / "net.onnx").opset_import[0].version == 17
    pixels = torch.rand(1, 3, 64, 96)
    exported = outputs(tmp_path / "net.onnx", pixels.numpy())
    with torch.no_grad():
        expected = net(pixels)
    for ours, theirs in zip(exported, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4)
    bboxes, faces, _ = decode(expected)
    ((decoded, scores, _),) = runtime.decode(exported, 0.0)
    assert len(decoded) == bboxes.shape[1]
    best = int(faces[0].argmax())
    np.testing.assert_allclose((decoded[0, :2] + decoded[0, 2:]) / 2, bboxes[0, best, :2], atol=1e-3)
    assert scores[0] == pytest.approx(float(faces[0].sigmoid().max()), abs=1e-5)


def test_the_decoded_form_is_what_detectnet_takes(net: MaskNet, tmp_path: Path) -> None:
    export.export_decoded(net, tmp_path / "decoded.onnx", 64)
    shapes = {
        output.name: [axis.dim_value for axis in output.type.tensor_type.shape.dim]
        for output in onnx.load(tmp_path / "decoded.onnx").graph.output
    }
    assert shapes == {"scores": [1, 84, 4], "boxes": [1, 84, 4]}


def test_int8_for_the_cpu_stays_near_fp32(net: MaskNet, picture: Path, tmp_path: Path) -> None:
    export.export_raw(net, tmp_path / "net.onnx")
    quantize.quantize_for_cpu(tmp_path / "net.onnx", [picture], tmp_path / "int8.onnx", side=128)
    graph = onnx.load(tmp_path / "int8.onnx").graph
    weights = [onnx.numpy_helper.to_array(a) for a in graph.initializer if a.name.endswith("weight_quantized")]
    assert max(np.abs(weight.astype(int)).max() for weight in weights) <= 64
    canvas = letterboxed(picture, 128)
    near(
        outputs(tmp_path / "net.onnx", runtime.normalised(canvas[None])), outputs(tmp_path / "int8.onnx", canvas[None])
    )


def test_int8_for_tensorrt_is_symmetric_fixed_and_near_fp32(net: MaskNet, picture: Path, tmp_path: Path) -> None:
    export.export_raw(net, tmp_path / "net.onnx")
    quantize.quantize_for_tensorrt(tmp_path / "net.onnx", [picture], tmp_path / "int8.onnx", 128)
    graph = onnx.load(tmp_path / "int8.onnx").graph
    sizes = [[axis.dim_value for axis in output.type.tensor_type.shape.dim] for output in graph.output]
    assert sizes == [[0, 8, 16, 16], [0, 8, 8, 8], [0, 8, 4, 4]]  # 0: a free number of pictures
    points = [onnx.numpy_helper.to_array(array) for array in graph.initializer if "zero_point" in array.name]
    assert points and all(not point.any() and point.dtype == np.int8 for point in points)
    canvas = letterboxed(picture, 128)[None]
    near(outputs(tmp_path / "net.onnx", runtime.normalised(canvas)), outputs(tmp_path / "int8.onnx", canvas))


def letterboxed(picture: Path, side: int) -> np.ndarray[Any, Any]:
    """The picture as an input of side x side."""
    return letterbox(cv2.imread(str(picture))[:, :, ::-1], side, (side, side), runtime.PAD_GREY)[0]


def near(exact: list[np.ndarray[Any, Any]], quantised: list[np.ndarray[Any, Any]]) -> None:
    """Fails where the numbers of the states and bboxes differ by more than quantisation does."""
    for ours, theirs in zip(exact, quantised, strict=True):
        assert np.abs(ours - theirs)[0, 1:].mean() < 0.2 * ours[0, 1:].std()


def test_space_to_depth_gives_the_same_to_the_bit(
    net: MaskNet, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export.export_raw(net, tmp_path / "net.onnx")
    quantize.quantize_for_cpu(tmp_path / "net.onnx", [picture], tmp_path / "deep.onnx", side=128)
    monkeypatch.setattr(quantize, "space_to_depth", lambda _: None)
    quantize.quantize_for_cpu(tmp_path / "net.onnx", [picture], tmp_path / "plain.onnx", side=128)
    first = next(node for node in onnx.load(tmp_path / "deep.onnx").graph.node if node.op_type == "Conv")
    assert onnx.helper.get_attribute_value(first.attribute[0]) == [3, 2]
    pixels = np.random.default_rng(0).integers(0, 256, (1, 96, 160, 3), dtype=np.uint8)
    for ours, theirs in zip(
        outputs(tmp_path / "deep.onnx", pixels), outputs(tmp_path / "plain.onnx", pixels), strict=True
    ):
        assert np.array_equal(ours, theirs)
        assert ours.std() > 0


@pytest.mark.parametrize("form", ["fp32", "cpu", "tensorrt"])
def test_a_stack_says_what_its_pictures_say_one_by_one(form: str, net: MaskNet, picture: Path, tmp_path: Path) -> None:
    path, pixels = tmp_path / "net.onnx", np.random.default_rng(0).integers(0, 256, (3, 96, 96, 3), dtype=np.uint8)
    export.export_raw(net, path)
    if form == "cpu":
        quantize.quantize_for_cpu(path, [picture], path, 96)
    elif form == "tensorrt":
        quantize.quantize_for_tensorrt(path, [picture], path, 96)
    stack = runtime.normalised(pixels) if form == "fp32" else pixels
    together, alone = outputs(path, stack), [outputs(path, stack[number : number + 1]) for number in range(3)]
    for maps, parts in zip(together, zip(*alone, strict=True), strict=True):
        np.testing.assert_allclose(maps, np.concatenate(parts), atol=1e-6 if form == "fp32" else 0)
        assert not np.array_equal(maps[0], maps[1])


def test_calibration_finds_the_line_that_made_the_verdicts() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, 20000)
    right = random.random(20000) < 1 / (1 + np.exp(-(1.7 * logits + 0.4)))
    slope, offset = calibrate.fit_line(logits, right)
    assert slope == pytest.approx(1.7, abs=0.1) and offset == pytest.approx(0.4, abs=0.1)


def test_calibration_finds_the_temperature_that_made_the_states() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (5000, 3))
    powers = np.exp(logits)
    states = (random.random((5000, 1)) > (powers / powers.sum(1, keepdims=True)).cumsum(1)).sum(1)
    sharp = np.exp((logits - (0, 0, -0.5)) * 2.0)
    temperature = calibrate.fit_temperature(sharp / sharp.sum(1, keepdims=True), states, -0.5)
    assert temperature == pytest.approx(2.0, abs=0.15)


def test_a_network_that_finds_nothing_cannot_be_calibrated(net: MaskNet, data: Path, tmp_path: Path) -> None:
    (tmp_path / checkpoint.FOLDER).mkdir()
    start = tmp_path / checkpoint.FOLDER / "00001.safetensors"
    checkpoint.save(checkpoint.fold(net), WIDTHS, start)
    with pytest.raises(SystemExit, match=r"finds none of the faces .* train it longer"):
        release.main(["--run", str(tmp_path), "--blend", str(start), "--data", str(data), "--out", str(tmp_path)])
    assert not (tmp_path / release.NAME).exists()


def test_calibration_comes_out_of_the_network(net: MaskNet) -> None:
    weights = checkpoint.fold(net)
    changed = checkpoint.unfold(calibrate.calibrated(weights, calibrate.Calibration(2.0, 0.5, 4.0, -0.25)), WIDTHS)
    pixels = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        for before, after in zip(net(pixels), changed(pixels), strict=True):
            np.testing.assert_allclose(after[:, 0], 2 * before[:, 0] + 0.5, atol=1e-4)
            np.testing.assert_allclose(after[:, 1:3], before[:, 1:3] / 4, atol=1e-4)
            np.testing.assert_allclose(after[:, 3], before[:, 3] / 4 - 0.25, atol=1e-4)
            np.testing.assert_allclose(after[:, 4:], before[:, 4:], atol=1e-5)
