"""The commands of the evaluation, on weights that are here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.evaluation import evaluate, thresholds
from tests.conftest import REPOSITORY
from tests.mask_photos import write_mask_photos

MODEL = str(REPOSITORY / "models" / "weights" / "mb9k-int8.onnx")


def arguments(folder: Path) -> list[str]:
    """Of both commands: the model and four pictures."""
    data = write_mask_photos(folder / "data")
    annotations = str(data / "annotations_harmonised" / "val.json")
    return [MODEL, "--images", str(data / "images" / "val"), "--annotations", annotations, "--side", "128"]


def test_every_figure_of_a_model_is_written(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    assert evaluate.main([*arguments(tmp_path), "--corruptions", "--second-pass", "2", "--out", str(out)]) == 0
    figures = json.loads(out.read_text())[MODEL]
    assert figures["corruptions"].keys() == {"dark", "backlit", "blurred", "compressed", "close"}
    assert 0 <= figures["any_face"] <= 1
    assert figures["cpu_ms"] > 0


def test_what_each_threshold_would_cost_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert thresholds.main(arguments(tmp_path)) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("score_threshold", "smallest_face_px", "min_margin"))
