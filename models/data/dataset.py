"""The pictures and their labels, read once and stored as raw pixels.

Expected under the data folder (`--data`):

    images/{train,val,test}/*.jpg                 longest side as you like; 640 px is plenty
    annotations_harmonised/{train,val,test}.json  COCO, categories 1 mask, 2 no_mask, 3 incorrect;
                                                  top-level `ignore_regions`: [{image_id, bbox}]
                                                  over faces nobody labelled
    crops/crops.csv                               optional single-face pictures: file, label,
                                                  face_x, face_y, face_w, face_h (relative),
                                                  n_faces_yunet, synthetic, kind

To train on your own pictures lay them out so; crops are optional. `label_fixes.csv` beside this module corrects labels
of the pictures that mb9k was trained on (experiments.md says how they were found); others are left as they are.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from appliance.faces import CLASSES

Pixels = NDArray[np.uint8]
Bboxes = NDArray[np.float32]
Int64Array = NDArray[np.int64]

STATES = tuple(state.value for state in CLASSES)
IGNORE = -1  # state of a region that counts neither as a face nor as background
FIXES = Path(__file__).with_name("label_fixes.csv")


@dataclass(slots=True)
class Photo:
    """One picture with its faces.

    pixels: uint8 height x width x 3, RGB. bboxes: n x 4, left, top, right, bottom, px.
    states: n, index into STATES, or IGNORE.
    """

    name: str
    pixels: Pixels
    bboxes: Bboxes
    states: Int64Array


class PixelCache:
    """Decoded pictures in one file that the operating system pages in and out.

    JPEG decoding would cost a fifth of the training time on a CPU.
    """

    def __init__(self, folder: Path, name: str, files: list[Path]) -> None:
        self.files = files
        data, index = folder / f"{name}.bin", folder / f"{name}.json"
        names = [str(file.name) for file in files]
        if not (data.exists() and index.exists() and json.loads(index.read_text())["names"] == names):
            folder.mkdir(parents=True, exist_ok=True)
            self._build(data, index, names)
        self.shapes = [tuple(shape) for shape in json.loads(index.read_text())["shapes"]]
        sizes = [height * width * 3 for height, width in self.shapes]
        self.starts = np.concatenate(([0], np.cumsum(sizes)))
        self.bytes = np.memmap(data, np.uint8, mode="r")

    def _build(self, data: Path, index: Path, names: list[str]) -> None:
        shapes = []
        with data.open("wb") as out:
            for file in self.files:
                bgr = cv2.imread(str(file), cv2.IMREAD_COLOR)
                if bgr is None:
                    raise FileNotFoundError(f"{file}: not a readable picture")
                shapes.append(bgr.shape[:2])
                out.write(np.ascontiguousarray(bgr[:, :, ::-1]).tobytes())
        index.write_text(json.dumps({"names": names, "shapes": shapes}))

    def __getitem__(self, number: int) -> Pixels:
        height, width = self.shapes[number]
        flat = self.bytes[self.starts[number] : self.starts[number + 1]]
        return flat.reshape(height, width, 3)


class Labels(NamedTuple):
    """What a picture shows; `group` ties near-duplicates together."""

    file: str
    bboxes: Bboxes
    states: Int64Array
    source: str
    group: int


def label_fixes() -> dict[tuple[str, int, int], int]:
    """(picture, number of the face in it from 0, category it had) to the category it should have."""
    with FIXES.open(newline="") as file:
        rows = csv.DictReader(file)
        return {(row["file"], int(row["bbox_index"]), int(row["was"])): int(row["now"]) for row in rows}


def read_labels(path: Path, fixes: dict[tuple[str, int, int], int] | None = None) -> list[Labels]:
    """The pictures of a COCO file; `iscrowd` regions and `ignore_regions` count neither way."""
    coco = json.loads(path.read_text())
    names = {image["id"]: image["file_name"] for image in coco["images"]}
    found: dict[int, list[tuple[list[float], int]]] = defaultdict(list)
    for entry in coco["annotations"]:
        faces, category = found[entry["image_id"]], entry["category_id"]
        category = (fixes or {}).get((names[entry["image_id"]], len(faces), category), category)
        faces.append((entry["bbox"], IGNORE if entry.get("iscrowd") else category - 1))
    for entry in coco.get("ignore_regions", []):
        found[entry["image_id"]].append((entry["bbox"], IGNORE))
    labels = []
    for number, image in enumerate(coco["images"]):
        bboxes = corners([bbox for bbox, _ in found[image["id"]]])
        states = np.array([state for _, state in found[image["id"]]], np.int64)
        labels.append(Labels(image["file_name"], bboxes, states, image.get("source", ""), image.get("group", number)))
    return labels


def corners(bboxes: list[list[float]]) -> Bboxes:
    """Left, top, right, bottom of left, top, width, height, each n x 4."""
    result = np.array(bboxes, np.float32).reshape(-1, 4)
    result[:, 2:] += result[:, :2]
    return result


def load_photos(data: Path, split: str, cache: Path) -> list[Photo]:
    """The labelled photos of a split, labels corrected; pixels are views into the cache."""
    labels = read_labels(data / "annotations_harmonised" / f"{split}.json", label_fixes())
    pixels = PixelCache(cache, split, [data / "images" / split / picture.file for picture in labels])
    return [
        Photo(picture.file, pixels[number], picture.bboxes, picture.states) for number, picture in enumerate(labels)
    ]


def load_crops(data: Path, cache: Path) -> list[Photo]:
    """The single-face pictures whose one face is known; pasted-on masks left out."""
    table = data / "crops" / "crops.csv"
    if not table.exists():
        return []
    with table.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if _is_usable(row)]
    if not rows:
        return []
    pixels = PixelCache(cache, "crops", [data / row["file"] for row in rows])
    photos = []
    for number, row in enumerate(rows):
        height, width = pixels.shapes[number]
        x, y, w, h = (float(row[f"face_{key}"]) for key in "xywh")
        bboxes = corners([[x * width, y * height, w * width, h * height]])
        photos.append(Photo(row["file"], pixels[number], bboxes, np.array([STATES.index(row["label"])])))
    return photos


def _is_usable(row: dict[str, str]) -> bool:
    return (
        row["synthetic"] == "0"
        and row["n_faces_yunet"] == "1"
        and row["kind"] == "face_crop"
        and bool(row["face_x"])
        and float(row["face_score"]) > 0.6
    )
