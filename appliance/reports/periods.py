"""The days, weeks and months that reports are about, as days of a calendar: pure functions."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import date, timedelta

from appliance.errors import InputError
from appliance.language import _, days_words, full_date, month_of_year
from appliance.time_zone import DAY_S, TimeZone

EPOCH = date(1970, 1, 1)
WEEK_DAYS = 7
FIRST_YEAR, LAST_YEAR = 1970, 2100


class Kind(str, enum.Enum):
    """How long a report's time is."""

    DAY = "day"
    WEEK = "week"  # from Monday
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Period:
    """first_day <= day < end_day, days since 1970-01-01 in whatever zone the report is cut."""

    kind: Kind
    first_day: int
    end_day: int

    @property
    def title(self) -> str:
        """What to call it: Monday, 23 November 2026."""
        first, last = day_of(self.first_day), day_of(self.end_day - 1)
        if self.kind is Kind.DAY:
            return full_date(first)
        if self.kind is Kind.MONTH:
            return month_of_year(first)
        return days_words(first, last)

    @property
    def days(self) -> int:
        """How many."""
        return self.end_day - self.first_day

    def before(self) -> Period:
        """The one before."""
        return period_of(self.kind, self.first_day - 1)

    def after(self) -> Period:
        """The one after."""
        return period_of(self.kind, self.end_day)

    def since_utc(self, zone: TimeZone) -> int:
        """When it begins."""
        return zone.day_start_utc(self.first_day)

    def until_utc(self, zone: TimeZone) -> int:
        """When it ends."""
        return zone.day_start_utc(self.end_day)

    def due_utc(self, minute_of_day: int, zone: TimeZone) -> float:
        """When its report is due: on the day after it, when the clocks of the zone show this minute for the first time.

        Where they skip it, when they would have shown it.
        """
        return zone.clock_utc(self.end_day * DAY_S + minute_of_day * 60)


def day_of(day: int) -> date:
    """Days since 1970-01-01 as a date."""
    return EPOCH + timedelta(days=day)


def period_of(kind: Kind, day: int) -> Period:
    """The day, week (from Monday) or month in which this day is."""
    if kind is Kind.WEEK:
        first = day - day_of(day).weekday()
        return Period(kind, first, first + WEEK_DAYS)
    if kind is Kind.MONTH:
        at = day_of(day)
        end = (date(at.year + at.month // 12, at.month % 12 + 1, 1) - EPOCH).days
        return Period(kind, day - at.day + 1, end)
    return Period(kind, day, day + 1)


def last_due(kind: Kind, minute_of_day: int, now_utc: float, zone: TimeZone) -> Period:
    """The latest period whose report is due by now."""
    period = period_of(kind, zone.day(now_utc)).before()
    while period.due_utc(minute_of_day, zone) > now_utc:
        period = period.before()
    return period


def day_number(text: str) -> int:
    """A day such as 2026-11-23 as days since 1970-01-01. Raises InputError."""
    try:
        at = date.fromisoformat(text)
    except ValueError as error:
        raise InputError(_("A day looks like 2026-11-23.")) from error
    if not FIRST_YEAR < at.year < LAST_YEAR:
        raise InputError(_("Days are known from {first} to {last}.", first=FIRST_YEAR + 1, last=LAST_YEAR - 1))
    return (at - EPOCH).days
