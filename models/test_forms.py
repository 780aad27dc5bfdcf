"""The forms of a network: exports, blends, finer ones, INT8, calibrated ones, a release; needs the extra `train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra `train`)")
onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra `train`)")
cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed (extra `train`)")

from appliance.vision import bboxes as runtime  # noqa: E402
from models import calibrate, export, quantize, release  # noqa: E402
from models.finer import finer_side, make_finer  # noqa: E402
from models.network import MaskNet, Widths, decode  # noqa: E402
from models.readers import letterbox  # noqa: E402
from models.warmstart import copy_weights  # noqa: E402


def test_a_release_has_every_form(data: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    torch.manual_seed(0)
    export.export_raw(MaskNet(Widths(4, (4, 8, 8, 8), (1, 1, 1, 1), 8)).eval(), weights / "mb9k-fp32.onnx")
    release.write_forms(weights / "mb9k-fp32.onnx", sorted((data / "images" / "train").glob("*.jpg")))
    sizes = {}
    for path in weights.iterdir():
        entrance = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).get_inputs()[0]
        sizes[path.stem.removeprefix("mb9k-")] = tuple(entrance.shape)
    free = {
        "int8": (1, "h", "w", 3),
        "int8-416": (1, "h", "w", 3),
        "fp32": (1, 3, "h", "w"),
        "fp32-416": (1, 3, "h", "w"),
    }
    forms = ("int8-tensorrt", "decoded")
    assert sizes == free | {f"{form}-{side}": (1, 3, side, side) for form in forms for side in (320, 416, 640)}
    for name in ("fp32", "int8"):  # at 416 the finer one's maps are those of the plain one at 640
        plain, finer = (
            said(weights / f"mb9k-{form}.onnx", given_to(name, side))
            for form, side in ((name, 640), (f"{name}-416", 416))
        )
        assert [one.shape for one in finer] == [one.shape for one in plain]


def given_to(form: str, side: int) -> np.ndarray[Any, Any]:
    """A black picture."""
    return np.zeros((1, side, side, 3), np.uint8) if form == "int8" else np.zeros((1, 3, side, side), np.float32)


def test_a_wider_and_deeper_network_begins_as_the_one_it_starts_from(tmp_path: Path) -> None:
    torch.manual_seed(0)
    small = MaskNet(Widths(4, (6, 8, 10, 12), (1, 1, 1, 1), 8)).eval()
    export.export_raw(small, tmp_path / "small.onnx")
    large = MaskNet(Widths(4, (6, 8, 12, 16), (1, 1, 1, 2), 12, reach=2)).eval()
    pixels = torch.rand(2, 3, 64, 96)
    copy_weights(large, tmp_path / "small.onnx", pixels)
    with torch.no_grad():
        for one, other in zip(small(pixels), large(pixels), strict=True):
            np.testing.assert_allclose(other.numpy(), one.numpy(), atol=1e-3)
    with pytest.raises(ValueError, match="shortcut"):
        copy_weights(MaskNet(Widths(4, (8, 8, 12, 16), (1, 1, 1, 1), 8)), tmp_path / "small.onnx", pixels)


def test_an_export_can_be_loaded_and_exported_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = MaskNet(Widths(4, (4, 8, 8, 8), (1, 1, 1, 1), 12, reach=2)).eval()
    export.export_raw(net, tmp_path / "net.onnx")
    again = export.load(tmp_path / "net.onnx")
    pixels = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        for one, other in zip(net(pixels), again(pixels), strict=True):
            np.testing.assert_allclose(other.numpy(), one.numpy(), atol=1e-3)
    (tmp_path / "other.onnx").write_bytes(b"")
    with pytest.raises(SystemExit, match="raw FP32 export of ours"):
        export.load(tmp_path / "other.onnx")


def test_a_blend_lies_between_two_networks(tmp_path: Path) -> None:
    models = []
    for seed, width in ((0, 8), (1, 8), (2, 4)):
        torch.manual_seed(seed)
        export.export_raw(MaskNet(Widths(4, (4, 8, 8, 8), (1, 1, 1, 1), width)).eval(), tmp_path / "net.onnx")
        models.append(onnx.load(str(tmp_path / "net.onnx")))
    one, other, narrow = models
    blended = type(one)()
    blended.CopyFrom(one)
    export.blend(blended, other, 0.25)
    for weight, *parts in zip(*(model.graph.initializer for model in (blended, one, other)), strict=True):
        mine, theirs = (onnx.numpy_helper.to_array(part) for part in parts)
        if mine.dtype == np.float32 and mine.size > 2:
            np.testing.assert_allclose(onnx.numpy_helper.to_array(weight), 0.75 * mine + 0.25 * theirs, atol=1e-6)
    with pytest.raises(SystemExit, match="has other layers"):
        export.blend(blended, narrow, 0.5)


def test_the_export_says_what_the_network_says(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = MaskNet(Widths(4, (4, 8, 8, 8), (1, 1, 1, 1), 8)).eval()
    export.export_raw(net, tmp_path / "net.onnx")
    assert onnx.load(str(tmp_path / "net.onnx")).opset_import[0].version == 17
    detect_input = torch.rand(1, 3, 64, 96)
    outputs = said(tmp_path / "net.onnx", detect_input.numpy())
    with torch.no_grad():
        wanted = net(detect_input)
    for output, expected in zip(outputs, wanted, strict=True):
        np.testing.assert_allclose(output, expected.numpy(), atol=1e-4)
    boxes, faces, _ = decode(wanted)
    theirs, scores, _ = runtime.decode(outputs, (96, 64), 0.0)
    assert len(theirs) == boxes.shape[1]
    best = int(faces[0].argmax())
    np.testing.assert_allclose((theirs[0, :2] + theirs[0, 2:]) / 2, boxes[0, best, :2], atol=1e-3)
    assert scores[0] == pytest.approx(float(faces[0].sigmoid().max()), abs=1e-5)


def test_the_decoded_form_is_what_detectnet_takes(tmp_path: Path) -> None:
    net = MaskNet(Widths(4, (4, 8, 8, 8), (1, 1, 1, 1), 8)).eval()
    export.export_decoded(net, tmp_path / "decoded.onnx", (64, 64))
    outputs = {
        output.name: [axis.dim_value for axis in output.type.tensor_type.shape.dim]
        for output in onnx.load(str(tmp_path / "decoded.onnx")).graph.output
    }
    assert outputs == {"scores": [1, 84, 4], "boxes": [1, 84, 4]}


@pytest.mark.parametrize("form", ["cpu", "tensorrt"])
def test_int8_stays_near_fp32(form: str, data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = MaskNet(Widths(4, (4, 8, 8, 8), (1, 1, 1, 1), 8)).eval()
    export.export_raw(net, tmp_path / "net.onnx")
    files = sorted((data / "images" / "train").glob("*.jpg"))
    quantize.quantize(tmp_path / "net.onnx", files, tmp_path / "int8.onnx", form, side=128)
    quantize.quantize(tmp_path / "net.onnx", files, tmp_path / "fixed.onnx", form, side=128, static=True)
    sizes = [[axis.dim_value for axis in output.type.tensor_type.shape.dim]
             for output in onnx.load(str(tmp_path / "fixed.onnx")).graph.output]  # fmt: skip
    assert sizes == [[1, 8, 16, 16], [1, 8, 8, 8], [1, 8, 4, 4]]
    graph = onnx.load(str(tmp_path / "int8.onnx")).graph
    points = [onnx.numpy_helper.to_array(array) for array in graph.initializer if "zero_point" in array.name]
    if form == "tensorrt":
        assert all(not point.any() and point.dtype in (np.int8, np.int32) for point in points)
    else:
        weights = [onnx.numpy_helper.to_array(a) for a in graph.initializer if a.name.endswith("weight_quantized")]
        assert max(np.abs(weight.astype(int)).max() for weight in weights) <= 64
    assert len(graph.node) > 40
    canvas, _ = letterbox(cv2.imread(str(files[0]))[:, :, ::-1], 128, (128, 128), runtime.PAD_GREY)
    for name in ("int8.onnx", "fixed.onnx"):
        given = canvas[None] if form == "cpu" else runtime.normalised(canvas)
        near = said(tmp_path / name, given)
        for one, other in zip(said(tmp_path / "net.onnx", runtime.normalised(canvas)), near, strict=True):
            assert np.abs(one - other)[0, 1:].mean() < 0.2 * one[0, 1:].std()


def test_four_pixels_at_once_give_the_same_to_the_bit(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    export.export_raw(MaskNet(Widths(4, (4, 8, 8, 8), (1, 1, 1, 1), 8)).eval(), tmp_path / "net.onnx")
    files = sorted((data / "images" / "train").glob("*.jpg"))
    quantize.quantize(tmp_path / "net.onnx", files, tmp_path / "quads.onnx", "cpu", side=128)
    monkeypatch.setattr(quantize, "take_quads", lambda _: None)
    quantize.quantize(tmp_path / "net.onnx", files, tmp_path / "plain.onnx", "cpu", side=128)
    first = next(node for node in onnx.load(str(tmp_path / "quads.onnx")).graph.node if node.op_type == "Conv")
    assert onnx.helper.get_attribute_value(first.attribute[0]) == [3, 2]
    pixels = np.random.default_rng(0).integers(0, 256, (1, 96, 160, 3), dtype=np.uint8)
    for one, other in zip(said(tmp_path / "quads.onnx", pixels), said(tmp_path / "plain.onnx", pixels), strict=True):
        assert np.array_equal(one, other)
        assert one.std() > 0


@pytest.mark.parametrize("fixed", [False, True], ids=["free", "fixed"])
def test_a_finer_network_enlarges_its_input_itself(fixed: bool, data: Path, tmp_path: Path) -> None:
    side, grid, picture = 64, 96, sorted((data / "images" / "train").glob("*.jpg"))[0]
    torch.manual_seed(0)
    net = MaskNet(Widths(4, (4, 8, 8, 8), (1, 1, 1, 1), 8)).eval()
    export.export_raw(net, tmp_path / "fp32.onnx", (grid, grid) if fixed else None)
    for form in ("cpu", "tensorrt"):
        quantize.quantize(tmp_path / "fp32.onnx", [picture], tmp_path / f"{form}.onnx", form, grid, static=fixed)
    size = (side, side) if fixed else (96, side)  # width, height; free sides are rounded to 32 each
    canvas, _ = letterbox(cv2.imread(str(picture))[:, :, ::-1], side, size, runtime.PAD_GREY)
    enlarged = cv2.resize(canvas, [finer_side(length, side, grid) for length in size])
    for form in ("fp32", "cpu", "tensorrt"):
        model = onnx.load(str(tmp_path / f"{form}.onnx"))
        make_finer(model, side, grid)
        onnx.save(model, str(tmp_path / f"{form}-finer.onnx"))
        takes_bytes = form == "cpu"
        plain, finer = (
            said(tmp_path / name, pixels[None] if takes_bytes else runtime.normalised(pixels))
            for name, pixels in ((f"{form}.onnx", enlarged), (f"{form}-finer.onnx", canvas))
        )
        assert [one.shape for one in finer] == [one.shape for one in plain]
        for one, other in zip(plain, finer, strict=True):  # OpenCV rounds its enlarged picture to bytes
            assert np.abs(one - other).max() < 0.05 * one[0, 1:].std() + 0.01


def said(path: Path, given: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """The three maps of a raw model."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return list(session.run(["p8", "p16", "p32"], {"input_0": given}))


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
    sure = np.exp((logits - (0, 0, -0.5)) * 2.0)
    found = calibrate.fit_temperature(sure / sure.sum(1, keepdims=True), states, -0.5)
    assert found == pytest.approx(2.0, abs=0.15)


def test_a_network_that_finds_nothing_cannot_be_calibrated(data: Path, tmp_path: Path) -> None:
    export.export_raw(MaskNet(Widths(4, (4, 8, 8, 8), (1, 1, 1, 1), 8)).eval(), tmp_path / "net.onnx")
    annotations = data / "annotations_harmonised" / "val.json"
    with pytest.raises(SystemExit, match=r"finds none of the faces in .*; train it longer"):
        calibrate.main(["--model", str(tmp_path / "net.onnx"), "--images", str(data / "images" / "val"),
                        "--annotations", str(annotations), "--out", str(tmp_path / "calibrated.onnx")])  # fmt: skip


def test_a_folded_line_and_temperature_come_out_of_the_network(tmp_path: Path) -> None:
    import onnxruntime

    torch.manual_seed(0)
    export.export_raw(MaskNet(Widths(4, (4, 8, 8, 8), (1, 1, 1, 1), 8)).eval(), tmp_path / "net.onnx")
    model = onnx.load(str(tmp_path / "net.onnx"))
    calibrate.fold(model, (2.0, 0.5), (4.0, -0.25))
    onnx.save(model, str(tmp_path / "folded.onnx"))
    pixels = np.random.default_rng(0).random((1, 3, 64, 64), np.float32)
    plain, folded = (
        onnxruntime.InferenceSession(str(tmp_path / name), providers=["CPUExecutionProvider"]).run(
            None, {"input_0": pixels}
        )
        for name in ("net.onnx", "folded.onnx")
    )
    for before, after in zip(plain, folded, strict=True):
        np.testing.assert_allclose(after[:, 0], 2 * before[:, 0] + 0.5, atol=1e-4)
        np.testing.assert_allclose(after[:, 1:3], before[:, 1:3] / 4, atol=1e-4)
        np.testing.assert_allclose(after[:, 3], before[:, 3] / 4 - 0.25, atol=1e-4)
        np.testing.assert_allclose(after[:, 4:], before[:, 4:], atol=1e-5)
