"""Measures detectors: `python -m models.evaluation.evaluate --images DIR --annotations FILE MODEL [MODEL ...]`.

Prints a table and writes JSON (`--out`). Every model runs in the same process, on one thread, on the same pictures; for
the time they take turns at each picture, because a machine is not as quick now as it was a minute ago.
With `--card models/card.toml` it measures what the model card lists, and writes the tables of README.md and
experiments.md beside that file.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.data.dataset import STATES, Pixels, read_labels
from models.evaluation.card import Row, details, headline, read_rows, rewrite
from models.evaluation.corruptions import CORRUPTIONS
from models.evaluation.figures import (
    Found,
    MatchedFace,
    Truth,
    any_face,
    average_precision,
    by_state,
    calibration_error,
    face_scores,
    match,
)
from models.evaluation.readers import Detect, read

SIZES = {"under 16 px": (0.0, 16.0), "16 to 32 px": (16.0, 32.0), "32 to 96 px": (32.0, 96.0),
         "96 px and more": (96.0, np.inf)}  # fmt: skip
MIN_STATE_PX = 32
LOWEST_SCORE = 0.001  # average precision is of the whole curve
BOOTSTRAPS = 200


@dataclass(slots=True)
class Picture:
    """A labelled picture; `group` ties near-duplicates together."""

    pixels: Pixels
    truth: Truth
    group: int


def load_pictures(images: Path, annotations: Path) -> list[Picture]:
    """Pictures of a COCO file."""
    pictures = []
    for labels in read_labels(annotations):
        bgr = cv2.imread(str(images / labels.file), cv2.IMREAD_COLOR)
        if bgr is None:
            raise SystemExit(f"{images / labels.file}: not a readable picture")
        truth = Truth(labels.bboxes, labels.states, labels.source)
        pictures.append(Picture(np.ascontiguousarray(bgr[:, :, ::-1]), truth, labels.group))
    return pictures


def detect_all(detect: Detect, pictures: list[Picture], corruption: str = "clean") -> tuple[list[Found], list[Truth]]:
    """What was found in each picture, at whatever score, and its truth after the corruption."""
    found, truths = [], []
    for picture in pictures:
        pixels, bboxes, states = CORRUPTIONS[corruption](picture.pixels, picture.truth.bboxes, picture.truth.states)
        if corruption == "close" and not len(states):
            continue  # there is no face large enough
        truths.append(Truth(bboxes, states, picture.truth.source))
        found.append(detect(pixels, LOWEST_SCORE))
    return found, truths


def cpu_times(detectors: list[Detect], pictures: list[Picture], score_threshold: float) -> NDArray[np.float64]:
    """CPU time from picture to faces from the threshold on, ms: detectors x pictures. They take turns."""
    times = np.empty((len(detectors), len(pictures)))
    for number, picture in enumerate(pictures):
        for row, detect in enumerate(detectors):
            began = time.process_time()
            detect(picture.pixels, score_threshold)
            times[row, number] = time.process_time() - began
    return 1000 * times


def measure(found: list[Found], truths: list[Truth], score_threshold: float) -> dict[str, Any]:
    """All figures of one model on one set of pictures."""
    pairs = list(zip(found, truths, strict=True))
    ap = ap_by_state(pairs)
    faces = [face for pair in pairs for face in match(*pair, score_threshold).faces]
    figures: dict[str, Any] = {"ap50": ap, "map50": float(np.nanmean(list(ap.values())))}
    figures["any_face"] = average_precision([any_face(*pair) for pair in pairs])
    figures["any_face_by_size"] = {
        name: average_precision([any_face(*pair, sizes) for pair in pairs]) for name, sizes in SIZES.items()
    }
    figures["states"] = classified([face for face in faces if face.side_px >= MIN_STATE_PX])
    figures["state_right_by_size"] = {
        name: classified([face for face in faces if low <= face.side_px < high])["right"]
        for name, (low, high) in SIZES.items()
    }
    figures["calibration"] = calibration_errors(found, truths, faces)
    figures["any_face_by_source"] = _by_source(found, truths)
    return figures


def ap_by_state(pairs: Sequence[tuple[Found, Truth]]) -> dict[str, float]:
    """AP50 of each state."""
    scored = [by_state(*pair) for pair in pairs]
    return {name: average_precision([picture[n] for picture in scored]) for n, name in enumerate(STATES)}


def classified(faces: list[MatchedFace]) -> dict[str, Any]:
    """Fraction of right states, confusion[true][found], fraction of the wrongly worn that passes as worn."""
    table = np.zeros((3, 3), int)
    for face in faces:
        table[face.true, face.found] += 1
    return {
        "right": float(table.trace() / table.sum()) if table.sum() else float("nan"),
        "confusion": table.tolist(),
        "incorrect_as_mask": float(table[2, 0] / table[2].sum()) if table[2].sum() else float("nan"),
    }


def calibration_errors(found: list[Found], truths: list[Truth], faces: list[MatchedFace]) -> dict[str, float]:
    """Expected calibration error of the face score (detections of .1 and more) and of the state's probability."""
    probabilities = np.array([face.probability for face in faces], np.float32)
    hits = np.array([face.true == face.found for face in faces], dtype=bool)
    return {
        "face": calibration_error(*face_scores(found, truths, 0.1)),
        "state": calibration_error(probabilities, hits) if len(faces) else float("nan"),
    }


def interval(found: list[Found], truths: list[Truth], groups: list[int], seed: int = 1) -> tuple[float, float]:
    """95 % bootstrap interval of the three-state mAP50, whole groups drawn."""
    members: dict[int, list[int]] = defaultdict(list)
    for number, group in enumerate(groups):
        members[group].append(number)
    bags = list(members.values())
    states = [by_state(*pair) for pair in zip(found, truths, strict=True)]
    random = np.random.default_rng(seed)
    results = []
    for _ in range(BOOTSTRAPS):
        drawn = [number for bag in random.integers(len(bags), size=len(bags)) for number in bags[bag]]
        results.append(np.nanmean([average_precision([states[number][n] for number in drawn]) for n in range(3)]))
    low, high = np.percentile(results, [2.5, 97.5])
    return float(low), float(high)


def _by_source(found: list[Found], truths: list[Truth]) -> dict[str, float]:
    """any-face AP50 of each source of pictures."""
    result = {}
    for source in sorted({truth.source for truth in truths}):
        pairs = [pair for pair in zip(found, truths, strict=True) if pair[1].source == source]
        result[source] = average_precision([any_face(*pair) for pair in pairs])
    return result


def report(name: str, figures: dict[str, Any]) -> str:
    """The figures of one model as lines."""
    ap, low_high = figures["ap50"], figures.get("map50_interval")
    span = f" [{low_high[0]:.3f} to {low_high[1]:.3f}]" if low_high else ""
    lines = [
        f"{name}",
        f"  mAP50 {figures['map50']:.3f}{span}: " + ", ".join(f"{state} {ap[state]:.3f}" for state in STATES),
        f"  any face {figures['any_face']:.3f}: "
        + ", ".join(f"{size} {value:.3f}" for size, value in figures["any_face_by_size"].items()),
        f"  faces of {MIN_STATE_PX} px and more: state right {figures['states']['right']:.3f}, wrongly worn taken for "
        f"worn {figures['states']['incorrect_as_mask']:.3f}",
        f"  true by found ({', '.join(STATES)}): {figures['states']['confusion']}",
        f"  calibration error: face {figures['calibration']['face']:.3f}, state {figures['calibration']['state']:.3f}",
    ]
    for name, corrupted in figures.get("corruptions", {}).items():
        lines.append(f"  {name}: any face {corrupted['any_face']:.3f}, mAP50 {corrupted['map50']:.3f}")
    return "\n".join(lines)


def measure_row(row: Row, detect: Detect, pictures: list[Picture], score_threshold: float) -> dict[str, Any]:
    """All figures of one detector but its time."""
    found, truths = detect_all(detect, pictures)
    figures = {**measure(found, truths, score_threshold), "side": row.side}
    figures["map50_interval"] = interval(found, truths, [picture.group for picture in pictures])
    if row.corruptions:
        corrupted = {name: detect_all(detect, pictures, name) for name in CORRUPTIONS if name != "clean"}
        figures["corruptions"] = {name: measure(*pair, score_threshold) for name, pair in corrupted.items()}
    return figures


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m models.evaluation.evaluate", description="Measure mask detectors.")
    parser.add_argument("models", type=Path, nargs="*", help="ONNX files (ours, UltraFace, YuNet), AIZOO's caffemodel")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--annotations", type=Path, required=True, help="COCO file, with ignored faces as iscrowd")
    parser.add_argument("--side", type=int, default=640, help="longest side for models with a free input")
    parser.add_argument("--second-pass", type=int, default=0, help="a second pass, this many times smaller")
    parser.add_argument("--score-threshold", type=float, default=0.3, help="of the faces whose states are compared")
    parser.add_argument("--exact", action="store_true", help="INT8 as TensorRT computes it: slow, no overflow")
    parser.add_argument("--corruptions", action="store_true", help="also dark, backlit, blurred, compressed, close")
    parser.add_argument("--card", type=Path, help="measure the rows of this file and write the tables of the card")
    parser.add_argument("--baselines", type=Path, help="folder of the published detectors in the card")
    parser.add_argument("--out", type=Path, help="write all figures as JSON")
    options = parser.parse_args(argv)
    rows = [Row(str(path), path, options.side, options.exact, options.corruptions, options.second_pass)
            for path in options.models]  # fmt: skip
    if options.card:
        rows += read_rows(options.card, options.baselines)
    if not rows:
        parser.error("name a model to measure, or --card models/card.toml")
    cv2.setNumThreads(1)
    pictures = load_pictures(options.images, options.annotations)
    detectors = [read(row.path, row.side, row.exact, row.second_pass) for row in rows]
    results = {}
    for row, detect in zip(rows, detectors, strict=True):
        results[row.name] = measure_row(row, detect, pictures, options.score_threshold)
        print(report(row.name, results[row.name]), flush=True)
    timed = [pair for pair in zip(rows, detectors, strict=True) if pair[0].timed]
    milliseconds = cpu_times([detect for _, detect in timed], pictures, options.score_threshold)
    for (row, _), times in zip(timed, milliseconds, strict=True):
        figures = results[row.name]
        figures["cpu_ms"], figures["cpu_ms_mean"] = float(np.median(times)), float(times.mean())
        print(f"{row.name}: CPU {figures['cpu_ms']:.1f} ms, mean {figures['cpu_ms_mean']:.1f} ms")
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")
    if options.card:
        rewrite(options.card.parent / "README.md", headline(results, {row.name for row in rows if row.headline}))
        rewrite(options.card.parent / "experiments.md", details(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
