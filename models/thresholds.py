"""What each threshold of the manifest would cost: `python -m models.thresholds MODEL --images DIR --annotations FILE`.

Meant for `val`: one table per threshold, to choose by and to give the reasons from.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from models.evaluate import load, run
from models.figures import IGNORE, Found, Truth, face_scores, judge
from models.readers import read

SCORES = tuple(float(score) for score in np.arange(0.2, 0.85, 0.05))
SIDES_PX = (0.0, 8.0, 10.0, 12.0, 14.0, 16.0, 20.0, 24.0, 32.0)
MARGINS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8)


def by_score(found: list[Found], truths: list[Truth]) -> list[tuple[float, float, float, float]]:
    """(least score, precision, recall, F1) of faces."""
    scores, right = face_scores(found, truths, 0.0)
    faces = sum(int((truth.states != IGNORE).sum()) for truth in truths)
    rows = []
    for least in SCORES:
        kept = right[scores >= least]
        precision, recall = int(kept.sum()) / max(1, len(kept)), int(kept.sum()) / max(1, faces)
        rows.append((least, precision, recall, 2 * precision * recall / max(1e-9, precision + recall)))
    return rows


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m models.thresholds", description="What each threshold would cost.")
    parser.add_argument("model", type=Path)
    parser.add_argument("--images", type=Path, required=True, help="pictures of `val`, never those of `test`")
    parser.add_argument("--annotations", type=Path, required=True)
    parser.add_argument("--side", type=int, default=416, help="longest side of the pictures, px")
    parser.add_argument("--min-score", type=float, default=0.5, help="least face score, for the other tables")
    given = parser.parse_args(argv)
    pictures = load(given.images, given.annotations)
    found, truths = run(read(given.model, given.side), pictures)
    print("min_score  precision  recall  F1")
    for row in by_score(found, truths):
        print(f"{row[0]:9.2f}  {row[1]:9.3f}  {row[2]:6.3f}  {row[3]:.3f}")
    sides_px, right, margins = [], [], []
    for picture, one, truth in zip(pictures, found, truths, strict=True):
        scale = given.side / max(picture.pixels.shape[:2])
        judged = judge(one, truth, given.min_score)
        sides_px += [row[3] * scale for row in judged.rows]
        right += [row[0] == row[1] for row in judged.rows]
        margins += [float(first - second) for second, first in np.sort(judged.shares, 1)[:, 1:]]
    _print_bins("min_face_px", np.array(sides_px), np.array(right), SIDES_PX)
    _print_bins("min_margin", np.array(margins), np.array(right), MARGINS)
    return 0


def _print_bins(name: str, values: np.ndarray[tuple[int], np.dtype[np.float64]],
                right: np.ndarray[tuple[int], np.dtype[np.bool_]], edges: tuple[float, ...]) -> None:  # fmt: skip
    """Of the faces between each edge and the next: how many, and the share whose state is right."""
    print(f"{name}  faces  state right")
    for low, high in zip(edges, (*edges[1:], np.inf), strict=True):
        inside = (values >= low) & (values < high)
        share = f"{right[inside].mean():.3f}" if inside.any() else "-"
        print(f"{low:{len(name)}g}  {inside.sum():5d}  {share}")


if __name__ == "__main__":
    sys.exit(main())
