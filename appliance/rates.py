"""Rates and how far to trust them: pure functions."""

from __future__ import annotations

import math
from dataclasses import dataclass

from appliance.faces import Counts

Z_95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate with its 95 % interval: 0 <= low <= value <= high <= 1, of n persons."""

    value: float
    low: float
    high: float
    n: int


def compliance(counts: Counts) -> Rate | None:
    """mask / (mask + no_mask + incorrect) with its Wilson 95 % interval; None while nobody was judged.

    Wilson, E. B. (1927), Journal of the American Statistical Association 22 (158), 209-212.
    """
    n = counts.classified
    if n == 0:
        return None
    value = counts.mask / n
    z2 = Z_95 * Z_95
    middle = (value + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * math.sqrt(value * (1 - value) / n + z2 / (4 * n * n))
    # Rounding may push a bound past the value itself when the value is 0 or 1.
    return Rate(value, max(0.0, min(middle - half, value)), min(1.0, max(middle + half, value)), n)
