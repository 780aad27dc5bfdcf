"""Training on a handful of drawn pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from models.training import checkpoint, train
from models.training.loss import LossWeights, detection_loss
from models.training.network import MaskNet, Widths
from models.training.samples import Batches
from models.training.teacher import taught_loss
from tests.conftest import REPOSITORY

TINY = {"stem": 4, "stages": [4, 8, 8, 8], "blocks": [1, 1, 1, 1], "neck": 8, "reach": 2}


def settings(epochs: int, processes: int, start: str = "", teacher: str = "") -> str:
    """A run of two steps per epoch."""
    text = Path(train.__file__).with_name("settings.toml").read_text()
    changed: dict[str, Any] = {"epochs": epochs, "samples_per_epoch": 4, "batch": 2 // processes, "minutes": 0,
                               "validate_every": 1, "workers": 0, "processes": processes, "sizes": [64],
                               "start": start, "checkpoint": teacher, **TINY}  # fmt: skip
    lines = []
    for line in text.splitlines():
        key = line.partition("=")[0].strip()
        lines.append(f"{key} = {json.dumps(changed[key])}" if key in changed else line)
    return "\n".join(lines)


def run(data: Path, out: Path, epochs: int, processes: int = 1, start: str = "", teacher: str = "") -> None:
    """The training command."""
    out.mkdir(exist_ok=True)
    config = out.parent / "settings.toml"
    config.write_text(settings(epochs, processes, start, teacher))
    assert train.main(["--data", str(data), "--config", str(config), "--out", str(out), "--device", "cpu"]) == 0


def test_training_goes_on_where_it_ended(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    run(data, out, 1)
    assert (out / checkpoint.FOLDER / "00001.safetensors").exists() and (out / "curves.png").exists()
    assert torch.load(out / train.STATE_FILE, weights_only=True)["step"] == 2
    capsys.readouterr()
    run(data, out, 2)
    assert "4 steps, from step 2" in capsys.readouterr().out
    state = torch.load(out / train.STATE_FILE, weights_only=True)
    assert state["step"] == 4
    assert [entry["epoch"] for entry in state["history"]] == [1, 2]


def test_training_starts_from_a_checkpoint(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    start = MaskNet(msgspec.convert(TINY, Widths)).eval()
    checkpoint.save(checkpoint.fold(start), start.widths, tmp_path / "start.safetensors")
    run(data, tmp_path / "run", 1, start="start.safetensors")
    begun = train.Run(msgspec.toml.decode((tmp_path / "settings.toml").read_text()), tmp_path / "none", "cpu")
    sample = torch.rand(8, 3, 64, 64)
    begun.prepare(tmp_path / "start.safetensors", sample)
    with torch.no_grad():
        expected, said = start(sample)[0][:, 1:], begun.net.train()(sample)[0][:, 1:]
    assert (said - expected).abs().mean() < 0.05 * expected.std()
    before = checkpoint.fold(start)
    after, widths = checkpoint.read(tmp_path / "run" / checkpoint.FOLDER / "00001.safetensors")
    assert widths == start.widths
    assert all((after[name] - before[name]).abs().max() < 0.01 for name in before)
    assert any(not torch.equal(after[name], before[name]) for name in before)
    with pytest.raises(SystemExit, match="but the settings say"):
        run(data, tmp_path / "other", 1, start=str(REPOSITORY / "models" / "weights" / "mb9k.safetensors"))


def test_a_teacher_of_other_widths_is_learned_from_and_stays_as_it_is(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    teacher = MaskNet(Widths(stem=8, stages=(8, 8, 8, 8), blocks=(1, 1, 2, 1), neck=8)).eval()
    path = tmp_path / "teacher.safetensors"
    checkpoint.save(checkpoint.fold(teacher), teacher.widths, path)
    before = path.read_bytes()
    run(data, tmp_path / "run", 1, teacher=path.name)
    history = torch.load(tmp_path / "run" / train.STATE_FILE, weights_only=True)["history"]
    assert history[-1]["taught"] > 0
    assert path.read_bytes() == before


def test_who_says_what_the_teacher_says_has_nothing_left_to_learn_from_it() -> None:
    torch.manual_seed(0)
    net = MaskNet(msgspec.convert(TINY, Widths)).eval()
    with torch.no_grad():
        outputs = net(torch.rand(2, 3, 64, 64))
    for out in outputs:
        out[:, 0] += 6  # faces in most cells
    other = tuple(out.clone() for out in outputs)
    weights = LossWeights()
    at_best = taught_loss(outputs, outputs, weights)
    step = 2 * 5.0 * torch.sigmoid(torch.tensor(10 * (0.55 - 1.0)))  # what is left of the bbox's soft step, at most
    assert at_best <= step
    for channel in range(8):  # each number of a cell counts
        changed = tuple(out.clone() for out in other)
        for out in changed:
            out[:, channel] += 0.3
        assert taught_loss(changed, outputs, weights) > at_best


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


def test_at_the_end_of_a_run_fewer_samples_are_made_up(data: Path, tmp_path: Path) -> None:
    values = msgspec.toml.decode(settings(1, 1))
    batches = Batches(train.load_sources(data, tmp_path / "cache", None), values, 0, 10)
    batches[0]
    assert batches.samples["mosaic"] == values["samples"]["mosaic"]
    batches.done.fill_(0.9)
    batches[1]
    assert batches.samples["mosaic"] == pytest.approx(values["samples"]["mosaic"] * values["samples"]["calm"])
    surplus = (values["samples"]["incorrect_times"] - 1) * values["samples"]["calm"]
    assert batches.samples["incorrect_times"] == pytest.approx(1 + surplus)
