"""Training, export and quantization on a handful of drawn pictures; needs the extra `train`."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra `train`)")
onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra `train`)")
cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed (extra `train`)")

from appliance.vision import boxes as runtime  # noqa: E402
from models import evaluate, export, quantize, train  # noqa: E402
from models.loss import LossWeights, detection_loss  # noqa: E402
from models.network import MaskNet, Widths, decode  # noqa: E402

TINY = {"stem": 4, "stages": [4, 8, 8, 8], "blocks": [1, 1, 1, 1], "neck": 8, "start": ""}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set in the documented form: two pictures a split, one coloured square as a face."""
    folder = tmp_path / "data"
    (folder / "annotations_harmonised").mkdir(parents=True)
    for split in ("train", "val"):
        (folder / "images" / split).mkdir(parents=True)
        images, annotations = [], []
        for number in range(2):
            picture = np.full((96, 128, 3), 90, np.uint8)
            picture[30:70, 40:80] = (200, 180, 40)
            name = f"{split}{number}.jpg"
            cv2.imwrite(str(folder / "images" / split / name), picture)
            images.append({"id": number, "file_name": name, "width": 128, "height": 96})
            annotations.append({"id": number, "image_id": number, "category_id": 1, "bbox": [40, 30, 40, 40]})
        coco = {"images": images, "annotations": annotations, "ignore_regions": []}
        (folder / "annotations_harmonised" / f"{split}.json").write_text(json.dumps(coco))
    (folder / "crops").mkdir()
    with (folder / "crops" / "crops.csv").open("w", newline="") as file:
        csv.writer(file).writerow(["file", "label"])
    return folder


def settings(epochs: int) -> str:
    """A run of two steps per epoch."""
    text = (Path(train.__file__).parent / "settings.toml").read_text()
    changed: dict[str, Any] = {"epochs": epochs, "samples_per_epoch": 4, "batch": 2, "minutes": 0, "check_every": 1,
                               "workers": 0, "sizes": [64], **TINY}  # fmt: skip
    lines = []
    for line in text.splitlines():
        key = line.partition("=")[0].strip()
        lines.append(f"{key} = {json.dumps(changed[key])}" if key in changed else line)
    return "\n".join(lines)


def run(data: Path, out: Path, epochs: int) -> None:
    """The training command."""
    out.mkdir(exist_ok=True)
    config = out.parent / "settings.toml"
    config.write_text(settings(epochs))
    assert train.main(["--data", str(data), "--config", str(config), "--out", str(out), "--device", "cpu"]) == 0


def test_training_goes_on_where_it_ended(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    run(data, out, 1)
    assert (out / "fp32.onnx").exists() and (out / "curves.png").exists()
    assert torch.load(out / train.STATE_FILE, weights_only=True)["step"] == 2
    capsys.readouterr()
    run(data, out, 2)
    assert "4 steps, from step 2" in capsys.readouterr().out
    state = torch.load(out / train.STATE_FILE, weights_only=True)
    assert state["step"] == 4
    assert [entry["epoch"] for entry in state["history"]] == [1, 2]


def test_the_export_says_what_the_network_says(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = MaskNet(Widths(4, (4, 8, 8, 8), (1, 1, 1, 1), 8)).eval()
    export.export_raw(net, tmp_path / "net.onnx")
    assert onnx.load(str(tmp_path / "net.onnx")).opset_import[0].version == 17
    detect_input = torch.rand(1, 3, 64, 96)
    import onnxruntime

    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    outputs = session.run(["p8", "p16", "p32"], {"input_0": detect_input.numpy()})
    with torch.no_grad():
        wanted = net(detect_input)
    for output, expected in zip(outputs, wanted, strict=True):
        np.testing.assert_allclose(output, expected.numpy(), atol=1e-4)
    boxes, faces, _ = decode(wanted)
    theirs, scores, _ = runtime.decode(outputs, 0.0)
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
    graph = onnx.load(str(tmp_path / "int8.onnx")).graph
    points = [onnx.numpy_helper.to_array(array) for array in graph.initializer if "zero_point" in array.name]
    if form == "tensorrt":
        assert all(not point.any() and point.dtype in (np.int8, np.int32) for point in points)
    else:
        weights = [onnx.numpy_helper.to_array(a) for a in graph.initializer if a.name.endswith("weight_quantized")]
        assert max(np.abs(weight.astype(int)).max() for weight in weights) <= 64
    assert len(graph.node) > 40


def test_faces_nobody_labelled_are_not_background() -> None:
    torch.manual_seed(0)
    outputs = tuple(torch.randn(1, 8, side, side) for side in (8, 4, 2))
    nothing, states = torch.zeros(1, 1, 4), torch.full((1, 1), -1)
    all_of_it = torch.tensor([[[0.0, 0.0, 64.0, 64.0]]])
    punished = detection_loss(outputs, nothing, states, nothing, LossWeights())["face"]
    ignored = detection_loss(outputs, nothing, states, all_of_it, LossWeights())["face"]
    assert float(punished) > 1 and float(ignored) == 0


def test_the_evaluation_reads_what_the_training_wrote(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "run", 1)
    annotations = data / "annotations_harmonised" / "val.json"
    out = tmp_path / "figures.json"
    model = str(tmp_path / "run" / "fp32.onnx")
    assert evaluate.main([model, "--images", str(data / "images" / "val"), "--annotations", str(annotations),
                          "--side", "128", "--hard", "--out", str(out)]) == 0  # fmt: skip
    figures = json.loads(out.read_text())[model]
    assert figures["hard"].keys() == {"dark", "backlit", "blurred", "compressed", "close"}
    assert 0 <= figures["any_face"] <= 1
