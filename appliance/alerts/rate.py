"""Whether a rate is too low, in words: the same on a box and at a centre. A pure function."""

from __future__ import annotations

from appliance.alerts.kinds import MINUTE_S, Rate, Subject
from appliance.alerts.rounds import Finding
from appliance.faces import Counts
from appliance.language import N_, _
from appliance.rates import compliance
from appliance.web.words import number, percent

TOO_FEW = N_("The rate of {title} cannot be told any more: {people} people judged in {span}.")
UNDER = N_("The rate of {title} is {rate} ({low} to {high}, n = {n}) over {span}, which is under {limit}.")
NOT_UNDER = N_("The rate of {title} is {rate} ({low} to {high}, n = {n}) over {span}, which is not under {limit}.")


def rate_finding(subject: Subject, title: str, counts: Counts, parameters: Rate, span_s: float) -> Finding:
    """How it is with the rate of these persons, of the last span_s seconds. title: whose it is: `all boxes`."""
    rate, span = compliance(counts), _("{minutes} min", minutes=f"{span_s / MINUTE_S:.0f}")
    limit = f"{parameters.percent} %"
    figures: dict[str, float] = {"n": counts.classified, "unknown": counts.unknown, "span_s": int(span_s)}
    if rate is None or rate.n < parameters.persons:
        words = _(TOO_FEW, title=title, people=number(counts.classified), span=span)
        return Finding(subject, False, title, words, figures)
    holds = rate.value < parameters.percent / 100
    told = {
        "rate": percent(rate.value),
        "low": f"{100 * rate.low:.0f}",
        "high": percent(rate.high),
        "n": number(rate.n),
    }
    words = _(UNDER if holds else NOT_UNDER, title=title, span=span, limit=limit, **told)
    figures |= {"rate": round(rate.value, 4), "low": round(rate.low, 4), "high": round(rate.high, 4)}
    return Finding(subject, holds, title, words, figures)
