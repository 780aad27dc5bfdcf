"""Which time a page or a program asks for, and in what steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from urllib.parse import urlencode

from appliance.central import days
from appliance.central.store import Span
from appliance.central.store.sums import STEP_S, Step
from appliance.errors import InputError
from appliance.language import N_, _, full_date
from appliance.time_zone import TimeZone
from appliance.times import utc_text
from appliance.web.forms import moment_utc, query_value

QUICK = {
    "hour": (N_("Last hour"), 3600),
    "today": (N_("Today"), 0),
    "day": (N_("24 hours"), 86400),
    "week": (N_("7 days"), 7 * 86400),
    "month": (N_("30 days"), 30 * 86400),
    "year": (N_("A year"), 365 * 86400),
}
"""By its name in the address: what people read, and seconds back from now (0: to the centre's midnight)."""
FINEST: tuple[tuple[int, Step], ...] = ((6 * 3600, "minute"), (14 * 86400, "hour"))
"""The step of a range at most so long."""
COARSEST: Step = "day"
MAX_STEPS = 2000
TOO_MANY: dict[Step, str] = {
    "minute": N_("That is more than {most} minutes; ask for a shorter range, or for larger steps."),
    "hour": N_("That is more than {most} hours; ask for a shorter range, or for larger steps."),
    "day": N_("That is more than {most} days; ask for a shorter range, or for larger steps."),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A range as the address asks for it. last: by a quick choice; problem: what could not be read, for the person."""

    span: Span
    last: str | None
    problem: str | None = None

    @property
    def title(self) -> str:
        """What to call it."""
        return _(QUICK[self.last][0]) if self.last else _("This range")

    def query(self, **more: object) -> str:
        """The part of an address that asks for this again."""
        parts: dict[str, object] = {"last": self.last}
        if self.last is None:
            parts = {"since": utc_text(self.span.since_utc), "until": utc_text(self.span.until_utc)}
        return f"?{urlencode({**parts, **more})}"


def span_of(since_utc: float, until_utc: float, zone: TimeZone, step: Step | None = None) -> Span:
    """The range in whole steps, widened to their edges. step: None: as fine as can be read. Raises InputError."""
    if until_utc <= since_utc:
        raise InputError(_("The range ends before it begins; swap its ends."))
    length_s = until_utc - since_utc
    fine: list[Step] = [finer for longest_s, finer in FINEST if length_s <= longest_s]
    chosen = step or [*fine, COARSEST][0]
    step_s = STEP_S[chosen]
    if length_s // step_s > MAX_STEPS:
        raise InputError(_(TOO_MANY[chosen], most=MAX_STEPS))
    if chosen == "day":
        cuts = days.cuts(zone, int(since_utc), math.ceil(until_utc))
        return Span(cuts[0], cuts[-1], chosen, zone)
    since, until = int(since_utc // step_s) * step_s, int(-(-until_utc // step_s)) * step_s
    return Span(since, until, chosen, zone)


def quick(last: str, now_utc: float, zone: TimeZone) -> Span:
    """The range of a quick choice. Raises KeyError."""
    back_s = QUICK[last][1]
    since_utc = now_utc - back_s if back_s else days.start_of(zone, int(now_utc))
    return span_of(since_utc, now_utc + 1, zone)


def today(now_utc: float, zone: TimeZone) -> Span:
    """The day so far, by hours."""
    return span_of(days.start_of(zone, int(now_utc)), now_utc + 1, zone, "hour")


def today_words(now_utc: float, zone: TimeZone) -> str:
    """Whose day is called today."""
    return _(
        "Today is {when}, by the clocks of {zone}.", when=full_date(zone.local(int(now_utc)).date()), zone=zone.name
    )


def asked(now_utc: float, zone: TimeZone, default: str = "day") -> Asked:
    """The range in the address. What cannot be read is left out, and said."""
    since, until = query_value("since"), query_value("until")
    last = query_value("last")
    if not since and not until:
        known = last if last in QUICK else default
        problem = None if last in (known, "") else _("There is no such choice of time.")
        return Asked(quick(known, now_utc, zone), known, problem)
    try:
        until_utc = moment_utc(until, _("Until"), zone_needed=False) if until else now_utc + 1
        since_utc = moment_utc(since, _("From"), zone_needed=False) if since else until_utc - 86400
        return Asked(span_of(since_utc, until_utc, zone), None)
    except InputError as error:
        return Asked(quick(default, now_utc, zone), default, str(error))
