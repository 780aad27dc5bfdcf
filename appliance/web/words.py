"""Figures and lengths of time as every site of ours says them. Pure functions."""

from __future__ import annotations

from appliance.rates import Rate

TOO_FEW = "not enough people yet"


def duration(seconds: float) -> str:
    """How long something has lasted: `under a minute`, `5 min`, `3 h 20 min`, `4 days`."""
    minutes = int(max(0.0, seconds) // 60)
    if minutes < 1:
        return "under a minute"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days = hours // 24
    return f"{days} day{'s' if days > 1 else ''}"


def percent(ratio: float) -> str:
    """A ratio as a person reads it: 82 %."""
    return f"{100 * ratio:.0f} %"


def rate_words(rate: Rate | None) -> str:
    """A compliance rate with its interval and n, or that there is not enough to say one."""
    if rate is None or not rate.is_enough:
        return TOO_FEW
    return f"{percent(rate.value)} ({100 * rate.low:.0f} to {100 * rate.high:.0f} %, n = {rate.n})"


def number(count: int) -> str:
    """12 345, with narrow no-break spaces."""
    return f"{count:,}".replace(",", "\u202f")
