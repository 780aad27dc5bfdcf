"""How far faces are measured: what is pasted lies where the figures say it does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from appliance.vision.golden import load_golden
from models.data.dataset import STATES, Bboxes, Pixels
from models.evaluation import far
from models.evaluation.card import FAR_MARKS
from tests.conftest import REPOSITORY

GREEN, GOLDEN = (20, 200, 20), REPOSITORY / "models" / "golden"
MODEL = str(REPOSITORY / "models" / "weights" / "mb9k-int8.onnx")


@pytest.fixture
def golden(tmp_path: Path) -> list[str]:
    """The pictures of the self-test as labelled photos: the arguments that name them."""
    pictures = [picture for picture, _ in load_golden()]
    images = [{"id": number, "file_name": picture.file} for number, picture in enumerate(pictures)]
    annotations = []
    for number, picture in enumerate(pictures):
        for face in picture.faces:
            left, top, right, bottom = face.bbox_px
            bbox, category = [left, top, right - left, bottom - top], STATES.index(face.state.value) + 1
            annotations.append({"image_id": number, "category_id": category, "bbox": bbox})
    (tmp_path / "golden.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return ["--images", str(GOLDEN), "--annotations", str(tmp_path / "golden.json")]


def cutout() -> far.Cutout:
    """A green square as a face of 90 x 100 px, grey around it."""
    pixels = np.full((240, 200, 3), 90, np.uint8)
    pixels[60:160, 50:140] = GREEN
    return far.Cutout(pixels, np.array([50, 60, 140, 160], np.float32), 0)


def assert_green_in(picture: Pixels, bbox: Bboxes) -> None:
    green = picture[..., 1].astype(int) - picture[..., 0] > 90
    rows, columns = np.nonzero(green)
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == pytest.approx(bbox.tolist(), abs=1.1)


@pytest.mark.parametrize("side_px", [16, 56, 120, 300])
def test_a_pasted_face_has_its_size_and_lies_where_it_is_said(side_px: int) -> None:
    for seed in range(5):
        frame, bbox = far.paste(cutout(), side_px, np.random.default_rng(seed))
        assert frame.shape == (1080, 1920, 3) and bbox[2] - bbox[0] == pytest.approx(side_px, abs=1)
        assert_green_in(frame, bbox)
        for side, input_px in ((side_px * 2 + 100, 160), (side_px * 4, 96)):
            square, moved = far.cut(frame, bbox, side, input_px, np.random.default_rng(seed))
            assert square.shape == (input_px, input_px, 3)
            assert moved.min() >= 0 and moved.max() <= input_px
            if side_px > 16:
                assert_green_in(square, moved)


def test_near_faces_are_found_and_far_ones_only_in_regions(golden: list[str]) -> None:
    faces = far.cutouts(Path(golden[1]), Path(golden[3]))
    assert [STATES[face.state] for face in faces] == [
        f.state.value for picture, _ in load_golden() for f in picture.faces
    ]
    ways = far.whole_and_regions(Path(MODEL), faces[:2])
    assert str(ways["320 px region"][56]) == "1.00 / 1.00" == str(ways["whole frame at 640 px"][80])
    assert ways["whole frame at 640 px"][16].found == 0 < ways["320 px region"][16].found


def test_the_tables_are_printed_and_written(
    golden: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("README.md", "experiments.md"):
        (tmp_path / name).write_text("\n".join(FAR_MARKS))
    assert far.main([MODEL, *golden, "--faces", "1", "--card", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    readme, experiments = ((tmp_path / name).read_text() for name in ("README.md", "experiments.md"))
    assert "| 320 px region |" in readme and "| state right, of those found |" in experiments
    assert "| 48 px | 192 px |" in experiments
    assert all(line in printed for page in (readme, experiments) for line in page.splitlines() if line[:1] == "|")


def test_photos_without_large_faces_are_one_clear_line(golden: list[str], tmp_path: Path) -> None:
    (tmp_path / "golden.json").write_text('{"images": [], "annotations": []}')
    with pytest.raises(SystemExit, match="has no face of 80 px that stands alone"):
        far.main([MODEL, *golden])
