"""What each threshold of the manifest would cost.

    python -m models.evaluation.thresholds MODEL --images DIR --annotations FILE

Meant for `val`: one table per threshold, to choose by and to give the reasons from.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from models.data.dataset import IGNORE
from models.evaluation.evaluate import detect_all, load_pictures
from models.evaluation.figures import Found, Truth, face_scores, match
from models.evaluation.readers import read

SCORES = tuple(float(score) for score in np.arange(0.2, 0.85, 0.05))
SIDES_PX = (0.0, 8.0, 10.0, 12.0, 14.0, 16.0, 20.0, 24.0, 32.0)
MARGINS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8)


def by_score(found: list[Found], truths: list[Truth]) -> list[tuple[float, float, float, float]]:
    """(score threshold, precision, recall, F1) of faces."""
    scores, right = face_scores(found, truths, 0.0)
    faces = sum(int((truth.states != IGNORE).sum()) for truth in truths)
    rows = []
    for threshold in SCORES:
        above = right[scores >= threshold]
        precision, recall = int(above.sum()) / max(1, len(above)), int(above.sum()) / max(1, faces)
        rows.append((threshold, precision, recall, 2 * precision * recall / max(1e-9, precision + recall)))
    return rows


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m models.evaluation.thresholds", description="What each threshold would cost."
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--images", type=Path, required=True, help="pictures of `val`, never those of `test`")
    parser.add_argument("--annotations", type=Path, required=True)
    parser.add_argument("--side", type=int, default=640, help="longest side of the pictures, px")
    parser.add_argument("--score-threshold", type=float, default=0.5, help="of the faces in the other tables")
    options = parser.parse_args(argv)
    pictures = load_pictures(options.images, options.annotations)
    found, truths = detect_all(read(options.model, options.side), pictures)
    print("score_threshold  precision  recall  F1")
    for row in by_score(found, truths):
        print(f"{row[0]:15.2f}  {row[1]:9.3f}  {row[2]:6.3f}  {row[3]:.3f}")
    sides_px, right, margins = [], [], []
    for picture, faces, truth in zip(pictures, found, truths, strict=True):
        scale = options.side / max(picture.pixels.shape[:2])
        matched = match(faces, truth, options.score_threshold)
        sides_px += [face.side_px * scale for face in matched.faces]
        right += [face.true == face.found for face in matched.faces]
        margins += [float(first - second) for second, first in np.sort(matched.probabilities, 1)[:, 1:]]
    _print_bins("smallest_face_px", np.array(sides_px), np.array(right), SIDES_PX)
    _print_bins("min_margin", np.array(margins), np.array(right), MARGINS)
    return 0


def _print_bins(name: str, values: np.ndarray[tuple[int], np.dtype[np.float64]],
                right: np.ndarray[tuple[int], np.dtype[np.bool_]], edges: tuple[float, ...]) -> None:  # fmt: skip
    """Of the faces between each edge and the next: how many, and the fraction whose state is right."""
    print(f"{name}  faces  state right")
    for low, high in zip(edges, (*edges[1:], np.inf), strict=True):
        inside = (values >= low) & (values < high)
        fraction = f"{right[inside].mean():.3f}" if inside.any() else "-"
        print(f"{low:{len(name)}g}  {inside.sum():5d}  {fraction}")


if __name__ == "__main__":
    sys.exit(main())
