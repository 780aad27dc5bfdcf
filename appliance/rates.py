"""Rates and how far to trust them: pure functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from appliance.faces import Counts

Z_95 = 1.959963984540054
POISSON_ENDS = (0.0, 0.0512933, 0.3553615, 0.8176914)
"""The lower 95 % bounds of a Poisson mean of which 0, 1, 2, 3 were seen."""
MIN_PERSONS = 20
"""Below that, a rate says nearly nothing: of 20 persons who all wear a mask the interval begins at 84 %; where half of
them do, it is 40 points wide."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate with its 95 % interval: 0 <= low <= value <= high <= 1, of n persons."""

    value: float
    low: float
    high: float
    n: int

    @property
    def is_enough(self) -> bool:
        """Whether it is of enough persons to be shown to people."""
        return self.n >= MIN_PERSONS


@dataclass(frozen=True, slots=True)
class Measured:
    """A share as it was measured: `right` of `tried`."""

    right: int
    tried: int

    @property
    def share(self) -> float:
        """right / tried."""
        return self.right / self.tried


@dataclass(frozen=True, slots=True)
class Errors:
    """How a detector errs, of persons whom it judged and whose true state is known.

    sensitivity: of those who wear a mask properly, how many it says that of. specificity: of all others, how many it
    does not say that of.
    """

    sensitivity: Measured
    specificity: Measured


def compliance(counts: Counts) -> Rate | None:
    """mask / (mask + no_mask + incorrect) with its Wilson 95 % interval; None while nobody was judged."""
    return wilson(counts.mask, counts.classified)


@lru_cache(4096)
def wilson(of_them: float, n: float) -> Rate | None:
    """The share of_them / n with its Wilson 95 % interval; None: n is 0. n may be an effective size.

    Wilson, E. B. (1927), Journal of the American Statistical Association 22 (158), 209-212. Where three or fewer are
    of the one kind, the end beyond them is that of a Poisson mean, if it is further out: Wilson's own holds a share of
    99 % in 84 % of all samples. Brown, L. D., Cai, T. T., DasGupta, A. (2001), Statistical Science 16 (2), 101-133,
    4.1.1, who take two or three.
    """
    if n == 0:
        return None
    value = of_them / n
    z2 = Z_95 * Z_95
    middle = (value + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * math.sqrt(value * (1 - value) / n + z2 / (4 * n * n))
    low, high = min(middle - half, _poisson_end(of_them) / n), max(middle + half, 1 - _poisson_end(n - of_them) / n)
    # Rounding may push a bound past the value itself when the value is 0 or 1.
    return Rate(value, max(0.0, min(low, value)), min(1.0, max(high, value)), round(n))


def _poisson_end(few: float) -> float:
    """Of numbers between (of effective sizes) what lies between; of more than three: no end further out."""
    if few > len(POISSON_ENDS) - 1:
        return few
    below = min(int(few), len(POISSON_ENDS) - 2)
    begin, end = POISSON_ENDS[below : below + 2]
    return begin + (few - below) * (end - begin)


def corrected(counts: Counts, errors: Errors) -> Rate | None:
    """The compliance that explains these counts, given how the detector errs; its interval includes how little is
    known of that. None while nobody was judged, or where the detector tells masks no better than chance.

    Value: Rogan, W. J., Gladen, B. (1978), American Journal of Epidemiology 107 (1), 71-76. Interval: Lang, Z.,
    Reiczigel, J. (2014), Preventive Veterinary Medicine 113 (1), 13-22: Wald's, of shares that z^2 (of the persons) or
    2 (of those tried) are added to, half of them right, and moved by dp.
    """
    n, sensitivity, specificity = counts.classified, errors.sensitivity, errors.specificity
    if n == 0 or not sensitivity.tried or not specificity.tried:
        return None
    told = sensitivity.share + specificity.share - 1
    z2 = Z_95 * Z_95
    n_sens, n_spec = sensitivity.tried + 2, specificity.tried + 2
    sens, spec = (sensitivity.right + 1) / n_sens, (specificity.right + 1) / n_spec
    if told <= 0 or sens + spec <= 1:
        return None
    value = min(1.0, max(0.0, (counts.mask / n + specificity.share - 1) / told))
    seen = (counts.mask + z2 / 2) / (n + z2)
    middle = (seen + spec - 1) / (sens + spec - 1)
    of_sens, of_spec = sens * (1 - sens) / n_sens, spec * (1 - spec) / n_spec
    variance = seen * (1 - seen) / (n + z2) + middle**2 * of_sens + (1 - middle) ** 2 * of_spec
    half = Z_95 * math.sqrt(variance) / (sens + spec - 1)
    middle += 2 * z2 * (middle * of_sens - (1 - middle) * of_spec)
    return Rate(value, max(0.0, min(middle - half, value)), min(1.0, max(middle + half, value)), n)


@dataclass(frozen=True, slots=True)
class Difference:
    """By how much one rate is above another, with its 95 % interval: -1 <= low <= value <= high <= 1."""

    value: float
    low: float
    high: float

    @property
    def may_be_chance(self) -> bool:
        """Whether no difference at all is as likely as this one's interval has it."""
        return self.low <= 0 <= self.high


def difference(counts: Counts, before: Counts) -> Difference | None:
    """The compliance of these less that of those before; None while nobody was judged in one of them.

    Newcombe, R. G. (1998), Statistics in Medicine 17 (8), 873-890: his method 10, of Wilson's intervals.
    """
    now, then = compliance(counts), compliance(before)
    if now is None or then is None:
        return None
    value = now.value - then.value
    low = value - math.hypot(now.value - now.low, then.high - then.value)
    high = value + math.hypot(now.high - now.value, then.value - then.low)
    return Difference(value, max(-1.0, low), min(1.0, high))
