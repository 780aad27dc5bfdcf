"""Rates and how far to trust them: pure functions."""

from __future__ import annotations

import math
from dataclasses import dataclass

from appliance.faces import Counts

Z_95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with its 95 % interval: 0 <= low <= share <= high <= 1, of n persons."""

    share: float
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
    share = counts.mask / n
    z2 = Z_95 * Z_95
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    # Rounding may push a bound past the share itself when the share is 0 or 1.
    return Rate(share, max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share)), n)
