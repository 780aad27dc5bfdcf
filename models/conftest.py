"""What the tests of the models share."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set in the documented form: two pictures a split, one coloured square as a face."""
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed (extra `train`)")
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
