"""The pictures and their labels, read once and kept as raw pixels.

Expected under the data folder (`--data`):

    images/{train,val,test}/*.jpg                 longest side as you like; 640 px is plenty
    annotations_harmonised/{train,val,test}.json  COCO, categories 1 mask, 2 no_mask, 3 incorrect;
                                                  top-level `ignore_regions`: [{image_id, bbox}]
                                                  over faces nobody labelled
    crops/crops.csv                               optional single-face pictures: file, label,
                                                  face_x, face_y, face_w, face_h (relative),
                                                  n_faces_yunet, synthetic, kind

To train on your own pictures lay them out so; crops are optional. `label_fixes.csv` beside this module corrects labels
of the pictures that mb9k was trained on (README.md says how they were found); others are left as they are.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Boxes = NDArray[np.float32]

STATES = ("mask", "no_mask", "incorrect")
IGNORE = -1  # state of a region that counts neither as a face nor as background
FIXES = Path(__file__).with_name("label_fixes.csv")


@dataclass(slots=True)
class Photo:
    """One picture with its faces.

    pixels: uint8 height x width x 3, RGB. boxes: n x 4, left, top, right, bottom, px.
    states: n, index into STATES, or IGNORE.
    """

    name: str
    pixels: Pixels
    boxes: Boxes
    states: NDArray[np.int64]


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


def label_fixes() -> dict[tuple[str, int, int], int]:
    """(picture, number of the face in it from 0, category it was given) to the category it should have."""
    with FIXES.open(newline="") as file:
        rows = csv.DictReader(file)
        return {(row["file"], int(row["box_index"]), int(row["was"])): int(row["now"]) for row in rows}


def load_photos(data: Path, split: str, cache: Path) -> list[Photo]:
    """The labelled photos of a split, labels corrected; pixels are views into the cache."""
    coco = json.loads((data / "annotations_harmonised" / f"{split}.json").read_text())
    names_by_id, fixes = {image["id"]: image["file_name"] for image in coco["images"]}, label_fixes()
    found: dict[int, list[tuple[list[float], int]]] = defaultdict(list)
    for entry in coco["annotations"]:
        faces, category = found[entry["image_id"]], entry["category_id"]
        category = fixes.get((names_by_id[entry["image_id"]], len(faces), category), category)
        faces.append((entry["bbox"], category - 1))
    for entry in coco.get("ignore_regions", []):
        found[entry["image_id"]].append((entry["bbox"], IGNORE))
    names = [image["file_name"] for image in coco["images"]]
    pixels = PixelCache(cache, split, [data / "images" / split / name for name in names])
    return [
        _photo(image["file_name"], pixels[number], found[image["id"]]) for number, image in enumerate(coco["images"])
    ]


def _photo(name: str, pixels: Pixels, faces: list[tuple[list[float], int]]) -> Photo:
    boxes = np.array([box for box, _ in faces], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return Photo(name, pixels, boxes, np.array([state for _, state in faces], np.int64))


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
        box = [x * width, y * height, w * width, h * height]
        photos.append(_photo(row["file"], pixels[number], [(box, STATES.index(row["label"]))]))
    return photos


def _is_usable(row: dict[str, str]) -> bool:
    return (
        row["synthetic"] == "0"
        and row["n_faces_yunet"] == "1"
        and row["kind"] == "face_crop"
        and bool(row["face_x"])
        and float(row["face_score"]) > 0.6
    )
