"""Figures and lengths of time as every site of ours says them. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

from appliance.language import N_, _, n_, with_unit
from appliance.language import decimal as decimal  # views find all of them under `words`
from appliance.language import number as number
from appliance.language import percent as percent
from appliance.language import size_words as size_words
from appliance.rates import Rate

MINUS = "\N{MINUS SIGN}"
TOO_FEW = N_("not enough people yet")


def listed(parts: Iterable[str]) -> str:
    """Parts behind one another, with semicolons between them as the language sets those; empty of none."""
    told = list(parts)
    return reduce(lambda left, right: _("{left}; {right}", left=left, right=right), told) if told else ""


def duration(seconds: float) -> str:
    """How long something has lasted: `under a minute`, `5 min`, `3 h 20 min`, `4 days`."""
    minutes = int(max(0.0, seconds) // 60)
    if minutes < 1:
        return _("under a minute")
    if minutes < 60:
        return _("{minutes} min", minutes=minutes)
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return _("{hours} h {minutes} min", hours=hours, minutes=minutes) if minutes else _("{hours} h", hours=hours)
    return n_("{n} day", "{n} days", hours // 24)


def rate_words(rate: Rate | None) -> str:
    """A compliance rate with its interval and n, or that there is not enough to say one."""
    if rate is None or not rate.is_enough:
        return _(TOO_FEW)
    return figures_words(rate)


def figures_words(rate: Rate) -> str:
    """A rate with its interval and n, of however few."""
    return f"{percent(rate.value)} ({interval_words(rate)})"


def interval_words(rate: Rate) -> str:
    """How sure a rate is, behind the rate itself: `80 to 99 %, n = 25`."""
    return _("{low} to {high}, n = {n}", low=f"{100 * rate.low:.0f}", high=percent(rate.high), n=number(rate.n))


def persons_change(now: int, before: int) -> str:
    """By how much more or fewer: +7 %, ±0 %; empty where there was nobody before."""
    if not before:
        return ""
    change = round(100 * (now / before - 1))
    return with_unit(f"{sign(change)}{abs(change)}", "%")


def sign(change: int) -> str:
    """What stands before the amount of a change."""
    return "+" if change > 0 else MINUS if change < 0 else "±"
