"""Scores that mean something.

    python -m models.calibrate --model FP32.onnx --images DIR --annotations FILE --out FILE

The face score learns the overlap of its box, which is not the chance that there is a face: on `val` a straight line
through its logit is fitted (Platt scaling). Training shows wrongly worn masks far more often than they are seen: an
offset takes part of that back, and one temperature is fitted to all states (Guo et al., On Calibration of Modern Neural
Networks, https://arxiv.org/abs/1706.04599). All of it goes into the weights of the last convolutions, and nothing at
run time knows of it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from models.evaluate import load, run
from models.figures import STATES, face_scores, judge
from models.readers import read

Numbers = NDArray[np.float64]
TEMPERATURES = np.exp(np.linspace(-1.5, 1.5, 151))
INCORRECT = STATES.index("incorrect")
MIN_SCORE = 0.1  # below it there are hundreds of boxes to a face, and they would draw the line alone
_LEAST = 1e-6


def fit_line(logits: Numbers, right: NDArray[np.bool_], rounds: int = 50) -> tuple[float, float]:
    """(slope, offset) of the logistic regression of `right` on `logits`, by Newton's method."""
    columns = np.stack([logits, np.ones_like(logits)], 1)
    line = np.array([1.0, 0.0])
    for _ in range(rounds):
        chance = 1 / (1 + np.exp(-np.clip(columns @ line, -30, 30)))
        slope = columns.T @ (right - chance)
        bend = (columns * (chance * (1 - chance))[:, None]).T @ columns + 1e-9 * np.eye(2)
        line = line + np.linalg.solve(bend, slope)
    return float(line[0]), float(line[1])


def fit_temperature(shares: Numbers, states: NDArray[np.int64], offset: float) -> float:
    """The temperature under which the true states are likeliest, `offset` being added to the logit of `incorrect`.

    shares: n x 3, rows sum to 1.
    """
    logits = np.log(np.maximum(shares, _LEAST))
    losses = []
    for temperature in TEMPERATURES:
        scaled = logits / temperature
        scaled[:, INCORRECT] += offset
        losses.append((np.log(np.exp(scaled).sum(1)) - scaled[np.arange(len(states)), states]).mean())
    return float(TEMPERATURES[int(np.argmin(losses))])


def fold(model: onnx.ModelProto, face: tuple[float, float], states: tuple[float, float]) -> None:
    """Change the last convolutions. face: (slope, offset) of its logit; states: (temperature their logits are divided
    by, offset of `incorrect` after that)."""
    (slope, offset), (temperature, incorrect) = face, states
    wanted = {output.name for output in model.graph.output}
    arrays = {entry.name: entry for entry in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "Conv" or not wanted & set(node.output):
            continue
        weight, bias = (numpy_helper.to_array(arrays[name]).copy() for name in node.input[1:3])
        weight[0], bias[0] = weight[0] * slope, bias[0] * slope + offset
        weight[1:4], bias[1:4] = weight[1:4] / temperature, bias[1:4] / temperature
        bias[1 + INCORRECT] += incorrect
        for name, values in zip(node.input[1:3], (weight, bias), strict=True):
            arrays[name].CopyFrom(numpy_helper.from_array(values.astype(np.float32), name))


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m models.calibrate", description="Make scores mean chances.")
    parser.add_argument("--model", type=Path, required=True, help="the FP32 ONNX file, raw outputs")
    parser.add_argument("--images", type=Path, required=True, help="pictures of `val`, never those of `test`")
    parser.add_argument("--annotations", type=Path, required=True)
    parser.add_argument("--side", type=int, default=416, help="longest side of the pictures, px")
    parser.add_argument(
        "--incorrect-offset", type=float, default=0.0, help="added to the logit of incorrect; larger passes fewer"
    )
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(argv)
    pictures = load(given.images, given.annotations)
    found, truths = run(read(given.model, given.side), pictures)
    scores, right = face_scores(found, truths, MIN_SCORE)
    sure = scores.astype(np.float64).clip(_LEAST, 1 - _LEAST)
    face = fit_line(np.log(sure / (1 - sure)), right)
    matched = [judge(one, truth, MIN_SCORE) for one, truth in zip(found, truths, strict=True)]
    shares = np.concatenate([one.shares for one in matched]).astype(np.float64)
    true = np.array([row[0] for one in matched for row in one.rows])
    if not len(true):
        raise SystemExit(f"{given.model}: finds none of the faces in {given.images}; train it longer")
    states = fit_temperature(shares, true, given.incorrect_offset), given.incorrect_offset
    model = onnx.load(str(given.model))
    fold(model, face, states)
    onnx.save(model, str(given.out))
    print(
        f"face logit * {face[0]:.3f} {face[1]:+.3f}; state logits / {states[0]:.3f}, incorrect {states[1]:+.2f}; "
        f"in {given.out}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
