"""How well faces far from a camera are found and judged: `python -m models.evaluation.far MODEL --images DIR/images/val
--annotations DIR/annotations_harmonised/val.json`.

Faces cut out of photos, with what is around them, are pasted into frames of 1920 x 1080, and a region is cut around
each, as a box does it (`appliance/vision/looking/region.py`): 1:1 where the face fits, else scaled down. All our
photos have at most 640 px, which is why the figures on whole photos say nothing of this. Prints three tables, and with
`--card models` writes them into README.md and experiments.md there. The pictures are still and not compressed, so a
real camera does a little worse.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from appliance.vision.bboxes import ALIGN_PX, PAD_GREY
from models.data.dataset import IGNORE, Bboxes, Int64Array, Pixels, label_fixes, read_labels
from models.evaluation.card import FAR_MARKS, rewrite, table
from models.evaluation.figures import Truth, match
from models.evaluation.readers import Detect, read

WIDTH, HEIGHT = 1920, 1080
SIZES_PX = (16, 20, 28, 40, 56, 80, 120)
REGIONS_PX = (160, 320, 416)  # inputs, cut 1:1
SMALL_PX = (8, 10, 12, 14, 16, 20, 24, 28, 32)  # to choose `smallest_face_px` by
SMALL_REGION_PX = 320
LARGE_PX, TARGETS_PX = (80, 120, 200, 300), (32, 40, 48, 64)  # faces in the frame, and in the input
TARGET_ROOM = 3.5  # side of such an input, in faces
WHOLE_PX, SECOND_PASS = 640, 4  # as the manifest has whole pictures looked at
SCORE_THRESHOLD = 0.5
MIN_SOURCE_PX = 80.0
AROUND = (0.8, 0.6, 0.8, 1.2)  # what is cut out around a face: left, above, right, below, in faces
PASTES = 2  # of each face, at other places


@dataclass(slots=True)
class Cutout:
    """A face with what is around it. bbox: 4, px of `pixels`; state: index into STATES."""

    pixels: Pixels
    bbox: Bboxes
    state: int

    @property
    def side_px(self) -> float:
        """The face's shorter side."""
        return float((self.bbox[2:] - self.bbox[:2]).min())


@dataclass(slots=True)
class Tally:
    """What became of the faces of a cell of a table."""

    faces: int = 0
    found: int = 0
    right: int = 0
    cpu_ms: list[float] = field(default_factory=list)

    def look(self, detect: Detect, pixels: Pixels, bbox: Bboxes, state: int) -> None:
        """Look at a picture with one face."""
        began = time.process_time()
        found = detect(pixels, SCORE_THRESHOLD)
        self.cpu_ms.append(1000 * (time.process_time() - began))
        matched = match(found, Truth(bbox[None], np.array([state])), SCORE_THRESHOLD).faces
        self.faces += 1
        self.found += len(matched)
        self.right += sum(face.true == face.found for face in matched)

    def __str__(self) -> str:
        return f"{_share(self.found, self.faces)} / {_share(self.right, self.faces)}"


def cutouts(images: Path, annotations: Path) -> list[Cutout]:
    """The faces of 80 px and more that stand alone, cut out of their photos."""
    found = []
    for labels in read_labels(annotations, label_fixes()):
        chosen = [number for number in range(len(labels.states)) if _is_alone(number, labels.bboxes, labels.states)]
        if not chosen:
            continue
        bgr = cv2.imread(str(images / labels.file), cv2.IMREAD_COLOR)
        if bgr is None:
            raise SystemExit(f"{images / labels.file}: not a readable picture")
        for number in chosen:
            left, top, right, bottom = _around(labels.bboxes[number]).clip(0, [*bgr.shape[1::-1]] * 2).astype(int)
            bbox = labels.bboxes[number] - np.array([left, top, left, top], np.float32)
            pixels = np.ascontiguousarray(bgr[top:bottom, left:right, ::-1])
            found.append(Cutout(pixels, bbox, int(labels.states[number])))
    return found


def _is_alone(number: int, bboxes: Bboxes, states: Int64Array) -> bool:
    left, top, right, bottom = bbox = bboxes[number]
    if states[number] == IGNORE or min(right - left, bottom - top) < MIN_SOURCE_PX:
        return False
    left, top, right, bottom = _around(bbox)
    others = np.delete(bboxes, number, 0)
    inside = (others[:, 0] < right) & (others[:, 2] > left) & (others[:, 1] < bottom) & (others[:, 3] > top)
    return not inside.any()


def _around(bbox: Bboxes) -> Bboxes:
    width, height = bbox[2:] - bbox[:2]
    around: Bboxes = bbox + np.array(AROUND, np.float32) * np.array([-width, -height, width, height])
    return around


@lru_cache(maxsize=1)
def backgrounds() -> list[Pixels]:
    """Frames with nobody in them: slopes of light, a coarse texture, noise."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    slopes = np.stack([90 + 50 * rows / HEIGHT, 100 + 30 * columns / WIDTH, 110 + 20 * rows / HEIGHT], 2)
    texture = np.random.default_rng(1).integers(-18, 18, (HEIGHT // 8, WIDTH // 8, 1))
    base = slopes + texture.repeat(8, 0).repeat(8, 1)
    noise = (np.random.default_rng(seed).normal(0, 2, (HEIGHT, WIDTH, 1)) for seed in range(4))
    return [np.clip(base + one, 0, 255).astype(np.uint8) for one in noise]


def paste(cutout: Cutout, side_px: float, random: np.random.Generator) -> tuple[Pixels, Bboxes]:
    """A frame with the face, its shorter side `side_px`, anywhere; and its bbox (4)."""
    height, width = cutout.pixels.shape[:2]
    size = [max(1, round(length * side_px / cutout.side_px)) for length in (width, height)]
    interpolation = cv2.INTER_AREA if side_px < cutout.side_px else cv2.INTER_LINEAR
    small = cv2.resize(cutout.pixels, size, interpolation=interpolation)
    bbox = cutout.bbox * np.array([size[0] / width, size[1] / height] * 2, np.float32)
    free = np.array([WIDTH, HEIGHT]) - bbox[2:]  # the face is inside the frame, the rest may hang over
    left, top = (int(place) for place in random.uniform(-bbox[:2], free))
    frame = backgrounds()[int(random.integers(len(backgrounds())))].copy()
    _lay(small, frame, left, top)
    return frame, bbox + np.array([left, top, left, top], np.float32)


def cut(frame: Pixels, bbox: Bboxes, side: int, input_px: int, random: np.random.Generator) -> tuple[Pixels, Bboxes]:
    """A square of `side` px that holds the face somewhere, scaled to input_px; and the bbox in it (4)."""
    middle, longest = (bbox[:2] + bbox[2:]) / 2, float((bbox[2:] - bbox[:2]).max())
    room = max(0.0, side / 2 - 0.75 * longest)  # a quarter of a face stays between it and the edge
    corner = middle - side / 2 + random.uniform(-room, room, 2)
    left, top = (int(place) for place in corner)
    square = np.full((side, side, 3), PAD_GREY, np.uint8)
    _lay(frame, square, -left, -top)
    moved = (bbox - np.array([left, top, left, top], np.float32)) * np.float32(input_px / side)
    return cv2.resize(square, (input_px, input_px), interpolation=cv2.INTER_AREA), moved


def _lay(picture: Pixels, ground: Pixels, left: int, top: int) -> None:
    """Copy the picture onto the ground, its corner at (left, top); what hangs over is left out."""
    height, width = (min(there, at + here) for there, here, at in
                     zip(ground.shape, picture.shape, (top, left), strict=False))  # fmt: skip
    ground[max(0, top) : height, max(0, left) : width] = picture[max(0, -top) : height - top,
                                                                 max(0, -left) : width - left]  # fmt: skip


def whole_and_regions(model: Path, faces: list[Cutout]) -> dict[str, dict[int, Tally]]:
    """By way of looking and size of the face: regions cut 1:1, and the whole frame scaled down."""
    ways = {f"{side} px region": (side, read(model, side)) for side in REGIONS_PX}
    whole = read(model, WHOLE_PX, second_pass=SECOND_PASS)
    tallies: dict[str, dict[int, Tally]] = {name: {} for name in (f"whole frame at {WHOLE_PX} px", *ways)}
    for size_px, cutout, random in _pastes(faces, SIZES_PX):
        frame, bbox = paste(cutout, size_px, random)
        first, *others = tallies.values()
        first.setdefault(size_px, Tally()).look(whole, frame, bbox, cutout.state)
        for tally, (side, detect) in zip(others, ways.values(), strict=True):
            tally.setdefault(size_px, Tally()).look(detect, *cut(frame, bbox, side, side, random), cutout.state)
    return tallies


def small(model: Path, faces: list[Cutout]) -> dict[int, Tally]:
    """By size of the face, 1:1: to choose `smallest_face_px` by."""
    detect, tallies = read(model, SMALL_REGION_PX), {size_px: Tally() for size_px in SMALL_PX}
    for size_px, cutout, random in _pastes(faces, SMALL_PX):
        frame, bbox = paste(cutout, size_px, random)
        square, moved = cut(frame, bbox, SMALL_REGION_PX, SMALL_REGION_PX, random)
        tallies[size_px].look(detect, square, moved, cutout.state)
    return tallies


def scaled_down(model: Path, faces: list[Cutout]) -> dict[int, dict[int, Tally]]:
    """By size of the face in the input and in the frame: regions that hold TARGET_ROOM faces, scaled down.

    Faces larger than their photo showed them are enlarged first; scaled down again they lose nothing.
    """
    inputs = {target: target_input_px(target) for target in TARGETS_PX}
    detects = {target: read(model, input_px) for target, input_px in inputs.items()}
    tallies = {target: {size_px: Tally() for size_px in LARGE_PX} for target in TARGETS_PX}
    for size_px, cutout, random in _pastes(faces, LARGE_PX, enlarge=True):
        frame, bbox = paste(cutout, size_px, random)
        for target, input_px in inputs.items():
            square, moved = cut(frame, bbox, round(input_px * size_px / target), input_px, random)
            tallies[target][size_px].look(detects[target], square, moved, cutout.state)
    return tallies


def target_input_px(target_px: int) -> int:
    """Side of the input that holds TARGET_ROOM faces of target_px."""
    return -(-round(TARGET_ROOM * target_px) // ALIGN_PX) * ALIGN_PX


def _pastes(
    faces: list[Cutout], sizes_px: Iterable[int], enlarge: bool = False
) -> Iterator[tuple[int, Cutout, np.random.Generator]]:
    """(size, face, chance) of every paste; a face is not enlarged unless asked for."""
    for size_px in sizes_px:
        for number, cutout in enumerate(faces):
            for place in range(PASTES if enlarge or cutout.side_px >= size_px else 0):
                yield size_px, cutout, np.random.default_rng((size_px, number, place))


def near_and_far_table(ways: dict[str, dict[int, Tally]]) -> str:
    """Markdown: found / with the right state, and the CPU time of a look."""
    first = next(iter(ways.values()))
    head = ["shorter side of the face", *(f"{size_px} px" for size_px in first), "CPU ms"]
    rows = [[name, *map(str, sizes.values()), _median_ms(sizes.values())] for name, sizes in ways.items()]
    return table(head, [["faces", *(str(tally.faces) for tally in first.values()), ""], *rows])


def small_table(sizes: dict[int, Tally]) -> str:
    """Markdown: found, and of those found with the right state."""
    head = ["shorter side of the face, 1:1", *(f"{size_px} px" for size_px in sizes)]
    found = ["found", *(_share(tally.found, tally.faces) for tally in sizes.values())]
    return table(head, [found, ["state right, of those found", *(_share(t.right, t.found) for t in sizes.values())]])


def scaled_table(targets: dict[int, dict[int, Tally]]) -> str:
    """Markdown: found / with the right state, and the CPU time of a look."""
    head = ["face in the input", "input", *(f"{size_px} px in the frame" for size_px in LARGE_PX), "CPU ms"]
    return table(
        head,
        [
            [
                f"{target} px",
                f"{target_input_px(target)} px",
                *map(str, sizes.values()),
                _median_ms(sizes.values()),
            ]
            for target, sizes in targets.items()
        ],
    )


def _median_ms(tallies: Iterable[Tally]) -> str:
    return f"{statistics.median(ms for tally in tallies for ms in tally.cpu_ms):.1f}"


def _share(part: int, whole: int) -> str:
    """.81 of 81 and 100."""
    return f"{part / whole:.2f}".removeprefix("0") if whole else "-"


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m models.evaluation.far", description="Measure far faces.")
    parser.add_argument("model", type=Path, help="ours, with a free input")
    parser.add_argument("--images", type=Path, required=True, help="pictures of `val`, never those of `test`")
    parser.add_argument("--annotations", type=Path, required=True)
    parser.add_argument("--faces", type=int, default=0, help="only so many of the faces (default: all)")
    parser.add_argument("--card", type=Path, help="write the tables into README.md and experiments.md of this folder")
    options = parser.parse_args(argv)
    cv2.setNumThreads(1)
    faces = cutouts(options.images, options.annotations)
    if not faces:
        raise SystemExit(f"{options.annotations} has no face of {MIN_SOURCE_PX:g} px that stands alone")
    faces = faces[: options.faces or len(faces)]
    far = near_and_far_table(whole_and_regions(options.model, faces))
    more = [far, small_table(small(options.model, faces)), scaled_table(scaled_down(options.model, faces))]
    print(*more, sep="\n\n")
    if options.card:
        rewrite(options.card / "README.md", far, FAR_MARKS)
        rewrite(options.card / "experiments.md", "\n\n".join(more[1:]), FAR_MARKS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
