"""Scores that mean something, fitted on `val` and folded into the weights: nothing at run time knows of it.

The face score learns the overlap of its bbox, which is not the chance that there is a face: a straight line through
its logit is fitted (Platt scaling). Training shows wrongly worn masks far more often than they are seen: an offset
takes part of that back, and one temperature is fitted to all states (Guo et al., On Calibration of Modern Neural
Networks, https://arxiv.org/abs/1706.04599).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.data.dataset import STATES
from models.evaluation.figures import Found, Truth, face_scores, match
from models.training.checkpoint import Weights
from models.training.network import STRIDES

Float64Array = NDArray[np.float64]
TEMPERATURES = np.exp(np.linspace(-1.5, 1.5, 151))
INCORRECT = STATES.index("incorrect")
SCORE_THRESHOLD = 0.1  # below it there are hundreds of bboxes to a face, and they would draw the line alone
_TINY = 1e-6


class Calibration(NamedTuple):
    """What is done to the logits. The face's: times slope, plus offset. The states': divided by temperature, then
    `incorrect` added to that state's."""

    slope: float
    offset: float
    temperature: float
    incorrect: float


def calibration(found: list[Found], truths: list[Truth], incorrect: float) -> Calibration:
    """The line and the temperature that suit what was found in labelled pictures. Exits with one line where that is
    nothing."""
    scores, right = face_scores(found, truths, SCORE_THRESHOLD)
    matched = [match(*pair, SCORE_THRESHOLD) for pair in zip(found, truths, strict=True)]
    true = np.array([row.true for picture in matched for row in picture.faces])
    if not len(true):
        raise SystemExit("the network finds none of the faces it is to be calibrated on; train it longer")
    clipped = scores.astype(np.float64).clip(_TINY, 1 - _TINY)
    slope, offset = fit_line(np.log(clipped / (1 - clipped)), right)
    probabilities = np.concatenate([picture.probabilities for picture in matched]).astype(np.float64)
    return Calibration(slope, offset, fit_temperature(probabilities, true, incorrect), incorrect)


def fit_line(logits: Float64Array, right: NDArray[np.bool_], rounds: int = 50) -> tuple[float, float]:
    """(slope, offset) of the logistic regression of `right` on `logits`, by Newton's method."""
    columns = np.stack([logits, np.ones_like(logits)], 1)
    line = np.array([1.0, 0.0])
    for _ in range(rounds):
        chance = 1 / (1 + np.exp(-np.clip(columns @ line, -30, 30)))
        gradient = columns.T @ (right - chance)
        hessian = (columns * (chance * (1 - chance))[:, None]).T @ columns + 1e-9 * np.eye(2)
        line = line + np.linalg.solve(hessian, gradient)
    return float(line[0]), float(line[1])


def fit_temperature(probabilities: Float64Array, states: NDArray[np.int64], incorrect: float) -> float:
    """The temperature under which the true states are likeliest, `incorrect` being added to the logit of that state.

    probabilities: n x 3, rows sum to 1.
    """
    logits = np.log(np.maximum(probabilities, _TINY))
    losses = []
    for temperature in TEMPERATURES:
        scaled = logits / temperature
        scaled[:, INCORRECT] += incorrect
        losses.append((np.log(np.exp(scaled).sum(1)) - scaled[np.arange(len(states)), states]).mean())
    return float(TEMPERATURES[int(np.argmin(losses))])


def calibrated(weights: Weights, by: Calibration) -> Weights:
    """The weights with the output convolutions changed."""
    changed = dict(weights)
    for number in range(len(STRIDES)):
        weight, bias = (weights[f"outputs.{number}.{part}"].clone() for part in ("weight", "bias"))
        weight[0], bias[0] = weight[0] * by.slope, bias[0] * by.slope + by.offset
        weight[1:4], bias[1:4] = weight[1:4] / by.temperature, bias[1:4] / by.temperature
        bias[1 + INCORRECT] += by.incorrect
        changed |= {f"outputs.{number}.weight": weight, f"outputs.{number}.bias": bias}
    return changed
