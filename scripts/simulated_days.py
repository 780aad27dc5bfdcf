"""Simulated days: how often the interval that is printed holds the true share.

True is the share of those who come by this door, of whom a day is a sample: an interval must hold that. (The share of
those who came on that day would be held more often: where nobody is mistaken, always.)

Whoever passes is counted as others were whose truth is known: those of the counting clips, or the faces of the test
photos. A day draws who passes and how each is counted; a box draws how its detector was measured, once a day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.faces import Counts, State
from appliance.rates import Errors, Measured, Rate, compliance, corrected

INCORRECT_SHARE = 0.3  # of those who do not wear it properly
Outcomes = Mapping[State, Mapping[tuple[State, ...], int]]

MASK, NO_MASK, INCORRECT, UNKNOWN = State.MASK, State.NO_MASK, State.INCORRECT, State.UNKNOWN
CLIPS: Outcomes = {
    MASK: {(MASK,): 36},
    NO_MASK: {(NO_MASK,): 21, (INCORRECT,): 2},
    INCORRECT: {(INCORRECT,): 15},
}
"""Persons of the counting clips (count_scenes.py, up to the group of six), by true state and what was counted."""
PHOTOS: Outcomes = {
    MASK: {(MASK,): 306, (NO_MASK,): 1, (INCORRECT,): 2},
    NO_MASK: {(NO_MASK,): 253, (INCORRECT,): 6},
    INCORRECT: {(MASK,): 9, (NO_MASK,): 7, (INCORRECT,): 42},
}
"""Faces of 32 px and more of the test photos, by true and found state: models/experiments.md."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """In what share of the days the true share lay in the interval of the plain rate, and of the corrected one."""

    plain: float
    corrected: float


def coverage(outcomes: Outcomes, persons: int, share: float, days: int, seed: int) -> Coverage:
    """Over so many days with so many persons each, who wear a mask properly with this probability."""
    chance = np.random.default_rng(seed)
    masks = chance.binomial(persons, share, days)
    incorrect = chance.binomial(persons - masks, INCORRECT_SHARE)
    passed = {MASK: masks, INCORRECT: incorrect, NO_MASK: persons - masks - incorrect}
    counted = {state: np.zeros(days, np.int64) for state in State}
    for true, number in passed.items():
        for state, told in _counted(outcomes[true], number, chance).items():
            counted[state] += told
    held = held_corrected = 0
    for day in range(days):
        counts = Counts(**{state.value: int(told[day]) for state, told in counted.items()})
        held += _holds(compliance(counts), share)
        held_corrected += _holds(corrected(counts, _measured(outcomes, chance)), share)
    return Coverage(held / days, held_corrected / days)


def _counted(
    outcomes: Mapping[tuple[State, ...], int], number: NDArray[np.int64], chance: np.random.Generator
) -> dict[State, NDArray[np.int64]]:
    """How many of each day's persons were counted as what."""
    times = np.array(list(outcomes.values()), np.float64)
    drawn = chance.multinomial(number, times / times.sum())
    found = {state: np.zeros(len(number), np.int64) for state in State}
    for column, states in enumerate(outcomes):
        for state in states:
            found[state] += drawn[:, column]
    return found


def _measured(outcomes: Outcomes, chance: np.random.Generator) -> Errors:
    """What labelling as many faces as these says of a detector that errs like this: others of the same kind."""
    right = dict.fromkeys(outcomes, 0)
    tried = dict(right)
    for true, of_state in outcomes.items():
        for states, times in of_state.items():
            classified = [state for state in states if state is not UNKNOWN][:1]
            tried[true] += times * len(classified)
            right[true] += times * sum((state is MASK) == (true is MASK) for state in classified)
    drawn = {true: int(chance.binomial(tried[true], right[true] / tried[true])) for true in outcomes}
    others = NO_MASK, INCORRECT
    # As the days mix them: a face that is worn wrongly is mistaken more often than one without a mask.
    weights = {NO_MASK: 1 - INCORRECT_SHARE, INCORRECT: INCORRECT_SHARE}
    size = min(tried[other] / weights[other] for other in others)
    specific = sum(weights[other] * drawn[other] / tried[other] for other in others)
    return Errors(Measured(drawn[MASK], tried[MASK]), Measured(round(size * specific), round(size)))


def _holds(rate: Rate | None, share: float) -> bool:
    return rate is None or rate.low <= share <= rate.high
