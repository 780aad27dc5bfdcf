"""Training, samples and evaluation on a handful of drawn pictures; needs the extra `train`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra `train`)")
onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra `train`)")
cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed (extra `train`)")

from models import augment, dataset, evaluate, export, release, synthesis, thresholds, train, transplant  # noqa: E402
from models.loss import LossWeights, detection_loss  # noqa: E402
from models.samples import Batches  # noqa: E402

TINY = {"stem": 4, "stages": [4, 8, 8, 8], "blocks": [1, 1, 1, 1], "neck": 8, "reach": 2, "start": ""}


def settings(epochs: int, processes: int) -> str:
    """A run of two steps per epoch."""
    text = (Path(train.__file__).parent / "settings.toml").read_text()
    changed: dict[str, Any] = {"epochs": epochs, "samples_per_epoch": 4, "batch": 2 // processes, "minutes": 0,
                               "check_every": 1, "workers": 0, "processes": processes, "sizes": [64],
                               **TINY}  # fmt: skip
    lines = []
    for line in text.splitlines():
        key = line.partition("=")[0].strip()
        lines.append(f"{key} = {json.dumps(changed[key])}" if key in changed else line)
    return "\n".join(lines)


def run(data: Path, out: Path, epochs: int, processes: int = 1) -> None:
    """The training command."""
    out.mkdir(exist_ok=True)
    config = out.parent / "settings.toml"
    config.write_text(settings(epochs, processes))
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


def test_a_release_can_be_the_mean_of_several_looks(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(data, out, 3)
    kept = release.looks(out, (2, 3))
    assert [path.name for path in kept] == ["00002.pt", "00003.pt"]
    one, other, both = (export.mean(paths).outputs[0].weight for paths in (kept[:1], kept[1:], kept))
    assert not torch.equal(one, other)
    assert torch.allclose(both, (one + other) / 2)
    assert torch.equal(other, export.mean(release.looks(out, None)).outputs[0].weight)
    with pytest.raises(SystemExit, match="no epoch from 7 to 9, but 1, 2, 3"):
        release.looks(out, (7, 9))


def test_a_label_is_corrected_if_it_is_what_it_was(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = dataset.load_photos(data, "train", tmp_path)[:2]
    states = [int(photo.states[0]) for photo in (first, second)]
    fixes = tmp_path / "fixes.csv"
    lines = [f"{first.name},0,{states[0] + 1},{(states[0] + 1) % 3 + 1},wrong",
             f"{second.name},0,{(states[1] + 1) % 3 + 1},{states[1] + 1},stale"]  # fmt: skip
    fixes.write_text("\n".join(["file,box_index,was,now,reason", *lines]))
    monkeypatch.setattr(dataset, "FIXES", fixes)
    after = dataset.load_photos(data, "train", tmp_path)
    assert [int(photo.states[0]) for photo in after[:2]] == [(states[0] + 1) % 3, states[1]]


def test_two_processes_learn_the_same_network(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "run", 1, processes=2)
    state = torch.load(tmp_path / "run" / train.STATE_FILE, weights_only=True)
    assert state["step"] == 2


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
    assert figures["cpu_ms"] > 0


def test_thresholds_are_told_from_what_was_found(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(data, tmp_path / "run", 1)
    capsys.readouterr()
    annotations = data / "annotations_harmonised" / "val.json"
    model = str(tmp_path / "run" / "fp32.onnx")
    assert thresholds.main([model, "--images", str(data / "images" / "val"), "--annotations", str(annotations)]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in ("min_score", "min_face_px", "min_margin"))


FACE = np.array([[70, 80], [110, 80], [90, 100], [75, 120], [105, 120]], np.float32)


def test_a_transplanted_nose_changes_what_the_edge_says_and_no_more() -> None:
    skin, cloth = np.full((200, 180, 3), (200, 150, 120), np.uint8), np.full((200, 180, 3), (200, 150, 120), np.uint8)
    skin[90:110, 85:95] = (120, 60, 60)  # a nose
    cloth[92:160] = (40, 90, 200)
    pool = [transplant.Donor(skin, FACE)]
    seen = set()
    for seed in range(30):
        face = cloth.copy()
        state = transplant.show_nose(face, FACE, pool, np.random.default_rng(seed))
        nose_shows = bool((face[100, 90] == skin[100, 90]).all())
        assert nose_shows == (state == transplant.INCORRECT)
        assert (face[150:] == cloth[150:]).all() and (face[:70] == cloth[:70]).all()
        seen.add(state)
    assert seen == {transplant.MASK, transplant.INCORRECT}


def test_a_nose_that_points_elsewhere_is_not_transplanted() -> None:
    turned = FACE.copy()
    turned[2, 0] += 12
    pool = [transplant.Donor(np.zeros((200, 180, 3), np.uint8), turned)]
    face = np.zeros((200, 180, 3), np.uint8)
    assert transplant.show_nose(face, FACE, pool, np.random.default_rng(0)) is None


def test_a_tilted_face_stays_in_its_box() -> None:
    picture = np.full((200, 200, 3), 90, np.uint8)
    cv2.ellipse(picture, (120, 80), (20, 28), 0, 0, 360, (255, 0, 0), -1)
    sample = augment.Sample(picture, np.array([[100, 52, 140, 108]], np.float32), np.array([0]))
    for seed in range(10):
        tilted = augment.tilt(sample, np.random.default_rng(seed))
        rows, columns = np.nonzero((tilted.pixels[..., 0] > 170) & (tilted.pixels[..., 1] < 50))
        seen = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        np.testing.assert_allclose(tilted.boxes[0], seen, atol=2)


def test_hands_before_a_mouth_are_no_mask() -> None:
    seen = set()
    for seed in range(60):
        face = np.full((200, 180, 3), (200, 150, 120), np.uint8)
        state = synthesis.draw_mask(face, FACE, np.random.default_rng(seed))
        red, green, blue = face[125, 90].astype(float)  # the colour of the skin, in whatever light
        skin = abs(red / green - 200 / 150) < 0.35 and abs(blue / green - 120 / 150) < 0.35
        seen.add(state)
        assert state != synthesis.BARE or skin
    assert seen == {synthesis.MASK, synthesis.BARE, synthesis.INCORRECT}


def test_at_the_end_of_a_run_fewer_samples_are_made_up(data: Path, tmp_path: Path) -> None:
    import msgspec

    given = msgspec.toml.decode(settings(1, 1))
    batches = Batches(train.load_sources(data, tmp_path / "cache", None), given, 0, 10)
    batches[0]
    assert batches.samples["mosaic"] == given["samples"]["mosaic"]
    batches.done.fill_(0.9)
    batches[1]
    assert batches.samples["mosaic"] == pytest.approx(given["samples"]["mosaic"] * given["samples"]["calm"])
    surplus = (given["samples"]["incorrect_times"] - 1) * given["samples"]["calm"]
    assert batches.samples["incorrect_times"] == pytest.approx(1 + surplus)
