"""What a sample of labelled faces says of how a detector errs at one camera: pure functions.

The faces are drawn by strata: by what the detector judged and how sure it was, and by chance within each. Of each
stratum the share of every true state is estimated without bias by the labels, whatever the strata's sizes, and each
counts by how many persons it stands for (Neyman, J. (1934), Journal of the Royal Statistical Society 97 (4), 558-625).
So sensitivity and specificity have no bias although they are drawn by the answer of the test and not by the truth:
Begg, C. B., Greenes, R. A. (1983), Biometrics 39 (1), 207-215.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from appliance.faces import CLASSES, Counts, State
from appliance.rates import Z_95, Rate, wilson

FACES = 50
"""Labelled in some five minutes."""
MIN_TOLD = 20
"""Below that the intervals are so wide that nothing follows from them."""
SURE = 0.8
"""The share of votes from which on a person is in the stratum of the sure ones, as in the tracker."""
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of the votes below which a person could be counted as unknown; the first is what the box does."""
LEFT_OUT = 0.02
"""Persons of an answer of which nobody was labelled: of so few an estimate may know nothing."""
UNKNOWN_COST = 0.25
"""What it costs to know nothing of a person, where to be wrong costs 1."""


@dataclass(frozen=True, slots=True)
class Told:
    """A labelled face: what it is really (never UNKNOWN), and its share of the votes."""

    label: State
    confidence: float


@dataclass(frozen=True, slots=True)
class Stratum:
    """Persons of whom the detector judged the same, as surely; how many there were, and those who were labelled."""

    judged: State
    sure: bool
    persons: int
    told: tuple[Told, ...] = ()

    def of(self, *states: State) -> int:
        """How many of those labelled are really of one of these states."""
        return sum(each.label in states for each in self.told)


@dataclass(frozen=True, slots=True)
class Share:
    """A share that was estimated by labels, with its 95 % interval; n: of how many labelled faces. 0 to 1."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """How the detector errs about one state at a camera.

    sensitivity: of those who are really of it, whom the detector says that of. specificity: of all others, whom it
    does not say that of.
    """

    sensitivity: Share
    specificity: Share
    moments: Moments = field(repr=False)


@dataclass(frozen=True, slots=True)
class Moments:
    """Expected sensitivity and specificity, their variances and their covariance, given the labels."""

    sensitivity: float
    specificity: float
    var_sensitivity: float
    var_specificity: float
    covariance: float


@dataclass(frozen=True, slots=True)
class Threshold:
    """What would be, were a person unknown who has a lower share of the votes than this.

    wrong: of those who would still be judged, how many wrongly; unknown: of all, how many would not be. 0 to 1.
    """

    confidence: float
    wrong: float
    unknown: float
    labels: int

    @property
    def cost(self) -> float:
        """The mean cost of a person, see UNKNOWN_COST."""
        return UNKNOWN_COST * self.unknown + (1 - self.unknown) * self.wrong


def allocated(persons: Sequence[int], faces: int = FACES) -> list[int]:
    """How many faces are drawn of each stratum of so many persons.

    Half of them in proportion to the persons, half in equal parts: the first for the rate, whose error is mostly that
    of large strata, the second so that rare states and doubtful persons are there at all.
    """
    every, strata = sum(persons), sum(count > 0 for count in persons)
    faces = min(faces, every)
    wanted = [faces * (count / every + 1 / strata) / 2 if count else 0.0 for count in persons]
    drawn = [min(int(want), count) for want, count in zip(wanted, persons, strict=True)]
    while sum(drawn) < faces:
        open_ = [index for index, count in enumerate(persons) if drawn[index] < count]
        drawn[max(open_, key=lambda index: (wanted[index] - drawn[index], -index))] += 1
    return drawn


def estimate(strata: Sequence[Stratum], state: State = State.MASK) -> Estimate | None:
    """How the detector errs about one state; None: too few were labelled, or nobody of it, or nobody else.

    Values are those of the labels as they are; a stratum without labels is as the others of the same answer.
    """
    usable = _usable(strata)
    if usable is None:
        return None
    really = sum(stratum.of(state) for stratum in usable)
    others = sum(len(stratum.told) for stratum in usable) - really
    said = [stratum for stratum in usable if stratum.judged is state]
    if not said or len(said) == len(usable) or not really or not others:
        return None
    plain = _rates(usable, state, prior=0.0)
    moments = _rates(usable, state, prior=0.5)
    return Estimate(
        _share(plain.sensitivity, moments.sensitivity, moments.var_sensitivity, really),
        _share(plain.specificity, moments.specificity, moments.var_specificity, others),
        moments,
    )


def corrected(judged: Counts, errors: Estimate) -> Rate | None:
    """The compliance that explains what the detector judged, given how it errs about MASK at this camera.

    judged: by the detector, before anybody corrected something. None: nobody was judged, or it tells nothing.

    Value: Rogan and Gladen (1978), as rates.corrected. Interval: by the delta method on the same expression, of shares
    that half a face of either kind (of each stratum: Jeffreys' prior) or z^2/2 persons are added to, as Lang and
    Reiczigel (2014) do; without their shift, which presumes that sensitivity and specificity were measured on faces
    drawn by their truth, and with the covariance that both have where they were not.
    """
    n, known = judged.classified, errors.moments
    plain = errors.sensitivity.value + errors.specificity.value - 1
    told = known.sensitivity + known.specificity - 1
    if n == 0 or plain <= 0 or told <= 0:
        return None
    value = min(1.0, max(0.0, (judged.mask / n + errors.specificity.value - 1) / plain))
    z2 = Z_95 * Z_95
    seen = (judged.mask + z2 / 2) / (n + z2)
    middle = (seen + known.specificity - 1) / told
    variance = (
        seen * (1 - seen) / (n + z2)
        + middle**2 * known.var_sensitivity
        + (1 - middle) ** 2 * known.var_specificity
        - 2 * middle * (1 - middle) * known.covariance
    )
    half = Z_95 * math.sqrt(max(0.0, variance)) / told
    return Rate(value, max(0.0, min(middle - half, value)), min(1.0, max(middle + half, value)), n)


def combined(rates: Sequence[Rate]) -> Rate | None:
    """The compliance of the persons of several cameras together, each camera's corrected; None: of nobody.

    Interval: MOVER, which keeps each camera's own limits. Zou, G. Y., Donner, A. (2008), Statistics in Medicine
    27 (10), 1693-1702.
    """
    n = sum(rate.n for rate in rates)
    if not n:
        return None
    value = sum(rate.n * rate.value for rate in rates) / n
    below = math.sqrt(sum((rate.n / n * (rate.value - rate.low)) ** 2 for rate in rates))
    above = math.sqrt(sum((rate.n / n * (rate.high - rate.value)) ** 2 for rate in rates))
    return Rate(value, max(0.0, value - below), min(1.0, value + above), n)


def wrong_share(strata: Sequence[Stratum]) -> Share | None:
    """Of the persons the detector judged, how many wrongly; None: too few were labelled."""
    usable = _usable(strata)
    if usable is None:
        return None
    every = sum(stratum.persons for stratum in usable)
    value = expected = variance = 0.0
    for stratum in usable:
        weight, n = stratum.persons / every, len(stratum.told)
        wrong = n - stratum.of(stratum.judged)
        share = (wrong + 0.5) / (n + 1)
        value += weight * wrong / n
        expected += weight * share
        variance += weight**2 * share * (1 - share) / n
    return _share(value, expected, variance, sum(len(stratum.told) for stratum in usable))


def thresholds(strata: Sequence[Stratum]) -> list[Threshold]:
    """What each of THRESHOLDS would do, estimated by the labels; empty: too few were labelled."""
    usable = _usable(strata)
    if usable is None:
        return []
    faces = [
        (stratum.persons / len(stratum.told), told.confidence, told.label is not stratum.judged)
        for stratum in usable
        for told in stratum.told
    ]
    every, found = sum(weight for weight, _, _ in faces), []
    for confidence in THRESHOLDS:
        kept = [(weight, wrong) for weight, share, wrong in faces if share >= confidence]
        judged = sum(weight for weight, _ in kept)
        if judged:
            wrong = sum(weight for weight, is_wrong in kept if is_wrong) / judged
            found.append(Threshold(confidence, wrong, 1 - judged / every, len(kept)))
    return found


def proposed(strata: Sequence[Stratum]) -> Threshold | None:
    """The threshold of the least cost; the present one unless another is better by more than the labels' own doubt.

    To count the doubtful as unknown where that costs less than their errors: Chow, C. K. (1970), IEEE Transactions on
    Information Theory 16 (1), 41-46. One standard error as what counts as better: Breiman, L. et al. (1984),
    Classification and Regression Trees, 3.4.3.
    """
    found = thresholds(strata)
    if not found:
        return None
    best, present = min(found, key=lambda each: (each.cost, each.confidence)), found[0]
    doubt = _cost_deviation(_usable(strata) or [], present.confidence, best.confidence)
    return best if present.cost - best.cost > doubt else present


def _usable(strata: Sequence[Stratum]) -> list[Stratum] | None:
    """The strata, each with labels: one without is joined with the other of the same answer. None: too few labels."""
    if sum(len(stratum.told) for stratum in strata) < MIN_TOLD:
        return None
    usable = []
    for state in CLASSES:
        same = [stratum for stratum in strata if stratum.judged is state and stratum.persons]
        told = [stratum for stratum in same if stratum.told]
        if len(told) == len(same):
            usable += told
        elif told:
            persons = sum(stratum.persons for stratum in same)
            usable.append(Stratum(state, told[0].sure, persons, tuple(one for each in told for one in each.told)))
    persons = sum(stratum.persons for stratum in strata)
    return usable if sum(stratum.persons for stratum in usable) >= (1 - LEFT_OUT) * persons else None


def _rates(strata: Sequence[Stratum], state: State, prior: float) -> Moments:
    """Sensitivity and specificity about a state, and by the delta method how exactly they are known.

    prior: faces that are added to each stratum, of the state and of others.
    """
    every = sum(stratum.persons for stratum in strata)
    cells: Mapping[bool, list[tuple[float, float, float]]] = {True: [], False: []}
    for stratum in strata:
        n = len(stratum.told) + 2 * prior
        share = (stratum.of(state) + prior) / n
        variance = share * (1 - share) / len(stratum.told)
        cells[stratum.judged is state].append((stratum.persons / every, share, variance))
    right = sum(weight * share for weight, share, _ in cells[True])
    wrong = sum(weight * (1 - share) for weight, share, _ in cells[True])
    missed = sum(weight * share for weight, share, _ in cells[False])
    left = sum(weight * (1 - share) for weight, share, _ in cells[False])
    sens = right / (right + missed) if right + missed else 0.0
    spec = left / (left + wrong) if left + wrong else 0.0
    var_sens = var_spec = covariance = 0.0
    if right + missed and left + wrong:
        for said, of_said in cells.items():
            for weight, _, variance in of_said:
                by_sens = weight * ((1 - sens) if said else -sens) / (right + missed)
                by_spec = weight * (spec if said else spec - 1) / (left + wrong)
                var_sens += by_sens**2 * variance
                var_spec += by_spec**2 * variance
                covariance += by_sens * by_spec * variance
    return Moments(sens, spec, var_sens, var_spec, covariance)


def _share(value: float, expected: float, variance: float, n: int) -> Share:
    """With Wilson's interval of the effective sample size, less one: of so many faces drawn without strata the variance
    would be the same. Korn, E. L., Graubard, B. I. (1998), Survey Methodology 24 (2), 193-201.
    """
    effective = max(1.0, min(n, expected * (1 - expected) / variance) - 1)
    rate = wilson(value * effective, effective)
    return Share(value, rate.low, rate.high, n) if rate else Share(value, 0.0, 1.0, n)


def _cost_deviation(strata: Sequence[Stratum], present: float, other: float) -> float:
    """The standard error of the difference that another threshold makes to the mean cost of a person."""
    every, variance = sum(stratum.persons for stratum in strata), 0.0
    for stratum in strata:
        gains = [_gain(told, stratum.judged, present, other) for told in stratum.told]
        n, mean = len(gains), sum(gains) / len(gains)
        spread = sum((gain - mean) ** 2 for gain in gains) / max(1, n - 1)
        variance += (stratum.persons / every) ** 2 * spread / n
    return math.sqrt(variance)


def _gain(told: Told, judged: State, present: float, other: float) -> float:
    def cost(threshold: float) -> float:
        return UNKNOWN_COST if told.confidence < threshold else float(told.label is not judged)

    return cost(present) - cost(other)
