"""Measures detectors: `python -m models.evaluate --images DIR --annotations FILE MODEL [MODEL ...]`.

Prints a table and writes JSON (`--out`). Every model runs in the same process, on one thread, on the same pictures; for
the time they take turns at each picture, because a machine is not as quick now as it was a minute ago.
With `--card models/card.toml` it measures what the model card tells, and writes the card's tables anew.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.card import Row, read_rows, rewrite, tables
from models.dataset import Pixels
from models.figures import (
    IGNORE,
    STATES,
    Found,
    Truth,
    any_face,
    average_precision,
    by_state,
    calibration_error,
    face_scores,
    judge,
)
from models.hardships import HARDSHIPS
from models.readers import Detect, read

SIZES = {"under 16 px": (0.0, 16.0), "16 to 32 px": (16.0, 32.0), "32 to 96 px": (32.0, 96.0),
         "96 px and more": (96.0, np.inf)}  # fmt: skip
MIN_STATE_PX = 32
LEAST_SCORE = 0.001  # average precision looks at the whole curve
BOOTSTRAPS = 200


@dataclass(slots=True)
class Picture:
    """A labelled picture; `group` ties near-duplicates together."""

    pixels: Pixels
    truth: Truth
    group: int


def load(images: Path, annotations: Path) -> list[Picture]:
    """Pictures of a COCO file; `iscrowd` regions and `ignore_regions` count neither way."""
    coco = json.loads(annotations.read_text())
    faces: dict[int, list[tuple[list[float], int]]] = defaultdict(list)
    for entry in coco["annotations"]:
        faces[entry["image_id"]].append((entry["bbox"], IGNORE if entry.get("iscrowd") else entry["category_id"] - 1))
    for entry in coco.get("ignore_regions", []):
        faces[entry["image_id"]].append((entry["bbox"], IGNORE))
    pictures = []
    for number, image in enumerate(coco["images"]):
        bgr = cv2.imread(str(images / image["file_name"]), cv2.IMREAD_COLOR)
        if bgr is None:
            raise SystemExit(f"{images / image['file_name']}: not a readable picture")
        boxes = np.array([box for box, _ in faces[image["id"]]], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        states = np.array([state for _, state in faces[image["id"]]], np.int64)
        truth = Truth(boxes, states, image.get("source", ""))
        pictures.append(Picture(np.ascontiguousarray(bgr[:, :, ::-1]), truth, image.get("group", number)))
    return pictures


def run(detect: Detect, pictures: list[Picture], hardship: str = "clean") -> tuple[list[Found], list[Truth]]:
    """What was found in each picture, however unsure, and its truth after the hardship."""
    found, truths = [], []
    for picture in pictures:
        pixels, boxes, states = HARDSHIPS[hardship](picture.pixels, picture.truth.boxes, picture.truth.states)
        truths.append(Truth(boxes, states, picture.truth.source))
        found.append(detect(pixels, LEAST_SCORE))
    if hardship == "close":  # pictures without a face large enough say nothing
        told = [number for number, truth in enumerate(truths) if len(truth.states)]
        found, truths = [found[number] for number in told], [truths[number] for number in told]
    return found, truths


def cpu_times(detectors: list[Detect], pictures: list[Picture], min_score: float) -> NDArray[np.float64]:
    """CPU time from picture to faces of at least min_score, ms: detectors x pictures. They take turns."""
    times = np.empty((len(detectors), len(pictures)))
    for number, picture in enumerate(pictures):
        for row, detect in enumerate(detectors):
            began = time.process_time()
            detect(picture.pixels, min_score)
            times[row, number] = time.process_time() - began
    return 1000 * times


def measure(found: list[Found], truths: list[Truth], min_score: float) -> dict[str, Any]:
    """All figures of one model on one set of pictures."""
    states = [by_state(one, truth) for one, truth in zip(found, truths, strict=True)]
    ap = {name: average_precision([picture[n] for picture in states]) for n, name in enumerate(STATES)}
    rows = [row for one, truth in zip(found, truths, strict=True) for row in judge(one, truth, min_score).rows]
    figures: dict[str, Any] = {"ap50": ap, "map50": float(np.nanmean(list(ap.values())))}
    figures["any_face"] = average_precision([any_face(*pair) for pair in zip(found, truths, strict=True)])
    figures["any_face_by_size"] = {
        name: average_precision([any_face(*pair, sizes) for pair in zip(found, truths, strict=True)])
        for name, sizes in SIZES.items()
    }
    figures["states"] = judgements([row for row in rows if row[3] >= MIN_STATE_PX])
    figures["state_right_by_size"] = {
        name: judgements([row for row in rows if low <= row[3] < high])["right"] for name, (low, high) in SIZES.items()
    }
    figures["calibration"] = calibration(found, truths, rows)
    figures["any_face_by_source"] = _by_source(found, truths)
    return figures


def judgements(rows: list[tuple[int, int, float, float]]) -> dict[str, Any]:
    """Share of right states, table [true][judged], share of the wrongly worn that passes as worn."""
    table = np.zeros((3, 3), int)
    for true, judged, _, _ in rows:
        table[true, judged] += 1
    return {
        "right": float(table.trace() / table.sum()) if table.sum() else float("nan"),
        "confusion": table.tolist(),
        "incorrect_as_mask": float(table[2, 0] / table[2].sum()) if table[2].sum() else float("nan"),
    }


def calibration(found: list[Found], truths: list[Truth], rows: list[tuple[int, int, float, float]]) -> dict[str, float]:
    """Expected calibration error of the face score (detections of .1 and more) and of the state's share."""
    scores, right = face_scores(found, truths, 0.1)
    shares = np.array([share for _, _, share, _ in rows], np.float32)
    hits = np.array([true == judged for true, judged, _, _ in rows], dtype=bool)
    return {
        "face": calibration_error(scores, right),
        "state": calibration_error(shares, hits) if len(rows) else float("nan"),
    }


def interval(found: list[Found], truths: list[Truth], groups: list[int], seed: int = 1) -> tuple[float, float]:
    """95 % bootstrap interval of the three-state mAP50, whole groups drawn."""
    members: dict[int, list[int]] = defaultdict(list)
    for number, group in enumerate(groups):
        members[group].append(number)
    bags = list(members.values())
    states = [by_state(one, truth) for one, truth in zip(found, truths, strict=True)]
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
        f"  true by judged ({', '.join(STATES)}): {figures['states']['confusion']}",
        f"  calibration error: face {figures['calibration']['face']:.3f}, state {figures['calibration']['state']:.3f}",
    ]
    for hardship, one in figures.get("hard", {}).items():
        lines.append(f"  {hardship}: any face {one['any_face']:.3f}, mAP50 {one['map50']:.3f}")
    return "\n".join(lines)


def measure_row(row: Row, detect: Detect, pictures: list[Picture], min_score: float) -> dict[str, Any]:
    """All figures of one detector but its time."""
    found, truths = run(detect, pictures)
    figures = {**measure(found, truths, min_score), "side": row.side}
    figures["map50_interval"] = interval(found, truths, [picture.group for picture in pictures])
    if row.hard:
        others = {name: run(detect, pictures, name) for name in HARDSHIPS if name != "clean"}
        figures["hard"] = {name: measure(*pair, min_score) for name, pair in others.items()}
    return figures


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m models.evaluate", description="Measure mask detectors.")
    parser.add_argument("models", type=Path, nargs="*", help="ONNX files (ours, UltraFace, YuNet), AIZOO's caffemodel")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--annotations", type=Path, required=True, help="COCO file, with ignored faces as iscrowd")
    parser.add_argument("--side", type=int, default=416, help="longest side for models with a free input")
    parser.add_argument("--second-look", type=int, default=0, help="look once more, this many times smaller")
    parser.add_argument("--min-score", type=float, default=0.3, help="least face score for judging states")
    parser.add_argument("--exact", action="store_true", help="INT8 as TensorRT computes it: slow, no overflow")
    parser.add_argument("--hard", action="store_true", help="also dark, backlit, blurred, compressed, close")
    parser.add_argument("--card", type=Path, help="measure the rows of this file; write the tables of README.md beside")
    parser.add_argument("--baselines", type=Path, help="folder of the published detectors in the card")
    parser.add_argument("--out", type=Path, help="write all figures as JSON")
    given = parser.parse_args(argv)
    rows = [Row(str(path), path, given.side, given.exact, given.hard, given.second_pass) for path in given.models]
    if given.card:
        rows += read_rows(given.card, given.baselines)
    if not rows:
        parser.error("name a model to measure, or --card models/card.toml")
    cv2.setNumThreads(1)
    pictures = load(given.images, given.annotations)
    detectors = [read(row.path, row.side, row.exact, row.second_pass) for row in rows]
    results = {}
    for row, detect in zip(rows, detectors, strict=True):
        results[row.name] = measure_row(row, detect, pictures, given.min_score)
        print(report(row.name, results[row.name]), flush=True)
    for row, times in zip(rows, cpu_times(detectors, pictures, given.min_score), strict=True):
        figures = results[row.name]
        figures["cpu_ms"], figures["cpu_ms_mean"] = float(np.median(times)), float(times.mean())
        print(f"{row.name}: CPU {figures['cpu_ms']:.1f} ms, mean {figures['cpu_ms_mean']:.1f} ms")
    if given.out:
        given.out.write_text(json.dumps(results, indent=1) + "\n")
    if given.card:
        rewrite(given.card.parent / "README.md", tables(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
