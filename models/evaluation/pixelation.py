"""How well eyes are hidden: `python -m models.evaluation.pixelation MODEL --data DIR --yunet YUNET.onnx`.

The photos of `val` are looked at as a box looks at whole pictures, and the eyes of every face that it finds (also one
of low confidence) are made coarse blocks, by the same code. YuNet, which is not shipped, marks where the eyes of a face
of 24 px and more really are, before anything is hidden. Of each size of face it is counted

* how many faces have an eye that is not wholly within the blocks, with those that the box does not find, and of those
  that it finds: the image of a detection always shows a face that was found;
* in how many a detector of eyes (OpenCV's Haar cascade, `haarcascade_eye.xml`) finds one where one is, before and
  after.

The figures are of still photos, each looked at once. They say nothing of whether somebody who knows a person would know
them by what is left: mouth, chin, hair, clothes, place and time.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from appliance.vision.observer import LOW_SCORE_THRESHOLD
from appliance.vision.snapshot import eyes_of, pixelate_eyes
from models.data.dataset import Bboxes, Photo, Pixels, load_photos
from models.data.landmarks import Points, find_landmarks
from models.evaluation.card import table
from models.evaluation.figures import iou
from models.evaluation.readers import Detect, read

SIZES_PX = (24, 32, 48, 64, 96, 1000)
WHOLE_PX, SECOND_PASS = 640, 4  # as the manifest has whole pictures looked at
EYE = (0.24, 0.12)  # half of an eye's opening, width and height, of the distance between the pupils
FOUND_IOU = 0.3  # people draw bboxes of faces loosely
CASCADE_PX = 240  # a face is shown to the detector of eyes at this width
NEAR = 0.35  # an eye is found where its middle is so near, of the distance between the pupils


@dataclass(slots=True)
class Tally:
    """What became of the faces of one size. uncovered: with an eye that is not wholly hidden."""

    faces: int = 0
    found: int = 0
    uncovered: int = 0
    uncovered_found: int = 0
    seen_before: int = 0
    seen_after: int = 0

    def row(self) -> list[str]:
        """As a row of the table."""
        shares = (
            (self.found, self.faces),
            (self.uncovered, self.faces),
            (self.uncovered_found, self.found),
            (self.seen_before, self.found),
            (self.seen_after, self.found),
        )
        return [str(self.faces), *(f"{part / whole:.3f}" if whole else "" for part, whole in shares)]


def is_covered(eyes: Points, bboxes: Bboxes, width: int, height: int) -> bool:
    """Whether both eyes lie wholly within what is hidden of one face. eyes: 2 x 2, px."""
    distance = float(np.linalg.norm(eyes[0] - eyes[1]))
    aside, above = EYE[0] * distance, EYE[1] * distance
    hidden = [eyes_of((box[0], box[1], box[2], box[3]), width, height)[0] for box in bboxes.tolist()]
    return all(
        any(
            left <= x - aside and x + aside <= right and top <= y - above and y + above <= bottom
            for left, top, right, bottom in hidden
        )
        for x, y in eyes.tolist()
    )


def finds_eye(pixels: Pixels, bbox: Bboxes, eyes: Points, cascade: cv2.CascadeClassifier) -> bool:
    """Whether the detector of eyes finds one of a face where one is."""
    left, top, right, bottom = (round(side) for side in bbox.tolist())
    left, top = max(0, left), max(0, top)
    crop = cv2.cvtColor(pixels[top:bottom, left:right], cv2.COLOR_RGB2GRAY)
    scale = CASCADE_PX / crop.shape[1]
    large = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    near_px = NEAR * float(np.linalg.norm(eyes[0] - eyes[1]))
    for x, y, wide, high in cascade.detectMultiScale(large, 1.05, 3):
        middle = np.array([left + (x + wide / 2) / scale, top + (y + high / 2) / scale])
        if (np.linalg.norm(eyes - middle, axis=1) < near_px).any():
            return True
    return False


def measure(photos: list[Photo], marks: list[dict[int, Points]], detect: Detect) -> dict[int, Tally]:
    """The tallies of the sizes, by the size they begin with, px of the shorter side."""
    cascade = cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_eye.xml")
    tallies = {size: Tally() for size in SIZES_PX[:-1]}
    for photo, of_photo in zip(photos, marks, strict=True):
        found = detect(photo.pixels, LOW_SCORE_THRESHOLD).bboxes
        hidden = pixelate_eyes(photo.pixels, [(b[0], b[1], b[2], b[3]) for b in found.tolist()])
        height, width = photo.pixels.shape[:2]
        for number, points in of_photo.items():
            bbox, eyes = photo.bboxes[number], points[:2]
            tally = tallies[max(size for size in tallies if size <= max(SIZES_PX[0], (bbox[2:] - bbox[:2]).min()))]
            is_found = bool(len(found)) and bool((iou(bbox[None], found) >= FOUND_IOU).any())
            uncovered = not is_covered(eyes, found, width, height)
            tally.faces += 1
            tally.found += is_found
            tally.uncovered += uncovered
            if is_found:
                tally.uncovered_found += uncovered
                tally.seen_before += finds_eye(photo.pixels, bbox, eyes, cascade)
                tally.seen_after += finds_eye(hidden, bbox, eyes, cascade)
    return tallies


def main(arguments: list[str]) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="the folder with images/ and annotations_harmonised/")
    parser.add_argument("--yunet", type=Path, required=True, help="yunet_n_dynamic.onnx")
    parser.add_argument("--cache", type=Path, required=True, help="a folder for decoded pictures and landmarks")
    chosen = parser.parse_args(arguments)
    photos = load_photos(chosen.data, "val", chosen.cache)
    marks = find_landmarks(photos, chosen.yunet, chosen.cache / "val-landmarks.json")
    tallies = measure(photos, marks, read(chosen.model, WHOLE_PX, second_pass=SECOND_PASS))
    names = [f"{low} to {high - 1} px" for low, high in itertools.pairwise(SIZES_PX[:-1])]
    names.append(f"{SIZES_PX[-2]} px and more")
    every = Tally(*(sum(getattr(each, name) for each in tallies.values()) for name in Tally.__slots__))
    rows = [[name, *each.row()] for name, each in zip([*names, "all"], [*tallies.values(), every], strict=True)]
    head = ["shorter side", "faces", "found", "an eye uncovered", "of those found", "eye detected before", "after"]
    print(table(head, rows))


if __name__ == "__main__":
    main(sys.argv[1:])
