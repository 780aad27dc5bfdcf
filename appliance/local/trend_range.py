"""Which time a page of trends is about: a day, a week, a month of the box's zone, or from one moment to another."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from appliance.errors import InputError
from appliance.language import N_, _, clock, days_words, full_date, long_date, month_of_year
from appliance.reports import periods
from appliance.reports.periods import EPOCH, FIRST_YEAR, LAST_YEAR
from appliance.reports.periods import day_number as day_number
from appliance.reports.periods import day_of as day_of
from appliance.store.trends import Step
from appliance.time_zone import DAY_S, HOUR_S, QUARTER_S, TimeZone

QUARTERS_UNTIL_S, HOURS_UNTIL_S, DAYS_UNTIL_S, WEEKS_UNTIL_S = 6 * HOUR_S, 3 * DAY_S, 100 * DAY_S, 730 * DAY_S


class Kind(str, enum.Enum):
    """What a range is called in the address and on the page."""

    LIVE = "live"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    OWN = "own"


LABELS = {
    Kind.LIVE: N_("Today"),
    Kind.DAY: N_("Day"),
    Kind.WEEK: N_("Week"),
    Kind.MONTH: N_("Month"),
    Kind.OWN: N_("From … until"),
}


class Shown(str, enum.Enum):
    """How long a bar of a chart is. Weeks and months are days put together."""

    QUARTER = "quarter"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    @property
    def step(self) -> Step:
        """What it is read from."""
        return Step(self.value) if self in (Shown.QUARTER, Shown.HOUR) else Step.DAY

    @property
    def persons_words(self) -> str:
        """Persons by hour."""
        return _(PERSONS_BY[self])

    @property
    def rate_words(self) -> str:
        """Compliance by hour."""
        return _(COMPLIANCE_BY[self])


PERSONS_BY = {
    Shown.QUARTER: N_("Persons by quarter of an hour"),
    Shown.HOUR: N_("Persons by hour"),
    Shown.DAY: N_("Persons by day"),
    Shown.WEEK: N_("Persons by week"),
    Shown.MONTH: N_("Persons by month"),
}
COMPLIANCE_BY = {
    Shown.QUARTER: N_("Compliance by quarter of an hour"),
    Shown.HOUR: N_("Compliance by hour"),
    Shown.DAY: N_("Compliance by day"),
    Shown.WEEK: N_("Compliance by week"),
    Shown.MONTH: N_("Compliance by month"),
}


@dataclass(frozen=True, slots=True)
class Range:
    """since_utc <= first seen < until_utc, seconds since 1970, cut in a zone.

    first_day, end_day: the days of the zone that it touches, since 1970-01-01; the last one is left out.
    stream_id: only this stream. problem: what of the address could not be read, for the person.
    """

    kind: Kind
    since_utc: float
    until_utc: float
    zone: TimeZone
    shown: Shown
    stream_id: int | None = None
    problem: str | None = None

    @property
    def first_day(self) -> int:
        """The day in which it begins."""
        return self.zone.day(self.since_utc // QUARTER_S * QUARTER_S)

    @property
    def last_day(self) -> int:
        """The day in which it ends."""
        return self.zone.day((self.until_utc - 1) // QUARTER_S * QUARTER_S)

    @property
    def title(self) -> str:
        """What to call it: Monday, 23 November 2026."""
        first, last = day_of(self.first_day), day_of(self.last_day)
        if self.kind in (Kind.LIVE, Kind.DAY):
            return full_date(first)
        if self.kind is Kind.MONTH:
            return month_of_year(first)
        if self.kind is Kind.WEEK:
            return days_words(first, last)
        since, until = (self.zone.local(at) for at in (self.since_utc, self.until_utc))
        ends = {"since": f"{long_date(since)}, {clock(since)}", "until": f"{long_date(until)}, {clock(until)}"}
        return _("{since} until {until}", **ends)

    def fields(self) -> dict[str, str]:
        """What asks for this range, without the stream, by its name in the address."""
        if self.kind is Kind.LIVE:
            return {"range": self.kind.value}
        if self.kind is not Kind.OWN:
            return {"range": self.kind.value, "day": day_of(self.first_day).isoformat()}
        ends = {"since": self.zone.local(self.since_utc), "until": self.zone.local(self.until_utc)}
        twice = any(is_shown_twice(at.timestamp(), self.zone) for at in ends.values())
        return {
            "range": self.kind.value,
            **{name: f"{at:%Y-%m-%dT%H:%M}{at:%z}" if twice else f"{at:%Y-%m-%dT%H:%M}" for name, at in ends.items()},
        }

    def query(self, **more: object) -> str:
        """The part of an address that asks for this again. more: what differs; None leaves out."""
        parts = {**self.fields(), "stream": self.stream_id, **more}
        return f"?{urlencode({name: value for name, value in parts.items() if value is not None})}"

    def beside(self, forward: bool) -> str:
        """The part of an address that asks for the range of this kind after or before."""
        kind = Kind.DAY if self.kind is Kind.LIVE else self.kind
        day = day_of(self.last_day + 1 if forward else self.first_day - 1)
        return self.query(range=kind.value, day=day.isoformat())

    def as_kind(self, kind: Kind, today: int) -> str:
        """The part of an address that asks for the day, week or month in which this range ends, today at most."""
        day = None if kind is Kind.LIVE else day_of(min(self.last_day, today)).isoformat()
        return self.query(range=kind.value, day=day, since=None, until=None)


def range_of(kind: Kind, day: int, zone: TimeZone, stream_id: int | None = None, problem: str | None = None) -> Range:
    """The day, week (from Monday) or month in which this day is."""
    length = {Kind.WEEK: periods.Kind.WEEK, Kind.MONTH: periods.Kind.MONTH}.get(kind, periods.Kind.DAY)
    period = periods.period_of(length, day)
    shown = Shown.HOUR if kind in (Kind.LIVE, Kind.DAY) else Shown.DAY
    return Range(kind, period.since_utc(zone), period.until_utc(zone), zone, shown, stream_id, problem)


def own_range(
    since: str, until: str, now_utc: float, zone: TimeZone, stream_id: int | None = None, by_quarters: bool = True
) -> Range:
    """From one moment to another, as people write them by the box's clocks, widened to whole bars.

    An `until` without a clock is a whole day; without any: now. by_quarters: whether quarters of an hour are known.

    Raises InputError.
    """
    next_utc = float(-(-now_utc // QUARTER_S) * QUARTER_S)
    until_utc = moment_utc(until, zone, _("Until"), is_end=True) if until else next_utc
    since_utc = moment_utc(since, zone, _("From")) if since else float(zone.midnight_utc(until_utc - 1))
    if until_utc <= since_utc:
        raise InputError(_("The range ends before it begins; swap its ends."))
    length_s = until_utc - since_utc
    steps = (
        (QUARTERS_UNTIL_S, Shown.QUARTER if by_quarters else Shown.HOUR),
        (HOURS_UNTIL_S, Shown.HOUR),
        (DAYS_UNTIL_S, Shown.DAY),
        (WEEKS_UNTIL_S, Shown.WEEK),
    )
    shown = next((step for longest_s, step in steps if length_s <= longest_s), Shown.MONTH)
    cuts = (
        zone.day_cuts(since_utc, until_utc)
        if shown.step is Step.DAY
        else zone.cuts(since_utc, until_utc, HOUR_S if shown is Shown.HOUR else QUARTER_S)
    )
    return Range(Kind.OWN, cuts[0], cuts[-1], zone, shown, stream_id)


def last_day(now_utc: float, zone: TimeZone, stream_id: int | None = None) -> Range:
    """The 24 hours of the clocks up to the one that it is now."""
    since_utc, *_between, until_utc = zone.cuts(now_utc - DAY_S + HOUR_S, now_utc + 1, HOUR_S)
    return Range(Kind.OWN, since_utc, until_utc, zone, Shown.HOUR, stream_id)


def moment_utc(text: str, zone: TimeZone, name: str, is_end: bool = False) -> float:
    """A day or a moment by the clocks of a zone, in seconds since 1970. Raises InputError.

    A time that the clocks show twice is the first one; one that they skip is as if they had not yet changed.
    A time with its zone is taken as it is. is_end: a day alone means its end.
    """
    try:
        at = datetime.fromisoformat(text)
        if not FIRST_YEAR < at.year < LAST_YEAR:
            raise ValueError(text)
        if at.tzinfo is not None:
            return at.timestamp()
        day = (at.date() - EPOCH).days
        if len(text) <= len("2026-11-23"):
            return zone.day_start_utc(day + 1 if is_end else day)
        clock_s = day * DAY_S + at.hour * HOUR_S + at.minute * 60 + at.second
        return clock_utc(clock_s, zone)
    except (ValueError, OverflowError) as error:
        raise InputError(
            _("{name} must be a day or a time such as 2026-11-23 or 2026-11-23T16:00.", name=name)
        ) from error


def clock_utc(clock_s: float, zone: TimeZone) -> float:
    """When the clocks of a zone show this: seconds of its clocks since 1970-01-01."""
    return zone.clock_utc(clock_s)


def is_shown_twice(utc: float, zone: TimeZone) -> bool:
    """Whether the clocks of the zone show this time twice."""
    clock_s = utc + zone.offset_s(utc)
    for offset_s in {zone.offset_s(utc - DAY_S / 2), zone.offset_s(utc + DAY_S / 2)}:
        other = clock_s - offset_s
        if other != utc and zone.offset_s(other) == offset_s:
            return True
    return False
