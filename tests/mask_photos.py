"""A data set in the form that models/ reads, small enough for a test."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np


def write_mask_photos(folder: Path) -> Path:
    """Two pictures a split, a coloured square as the face of each; returns the folder."""
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
