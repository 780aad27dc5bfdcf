"""One report: what was counted in a day, week or month, beside the time before, and what is not known of it."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.faces import Counts
from appliance.language import N_, _, weekday
from appliance.rates import Difference, Rate, difference
from appliance.reports.figures import Errors, Part, Source, Sum, shown_rate, total
from appliance.reports.periods import WEEK_DAYS, Kind, Period, day_of
from appliance.time_zone import HOUR_S, TimeZone

LATE_S = 180
"""So long a minute may be on its way into the sums."""
BEFORE = {Kind.DAY: N_("the day before"), Kind.WEEK: N_("the week before"), Kind.MONTH: N_("the month before")}


@dataclass(frozen=True, slots=True)
class Compared:
    """Another time beside it. name: what it is called, such as the day before."""

    name: str
    counts: Counts
    rate: Rate | None
    change: Difference | None


@dataclass(frozen=True, slots=True)
class Unwatched:
    """A time in which nobody looked, in seconds since 1970."""

    since_utc: int
    until_utc: int


@dataclass(frozen=True, slots=True)
class Report:
    """All that is told of one period.

    steps: hours of a day, else days; without those that are still to come. hours: of the week, 7 x 24, None: of a
    day. until_utc: to where it is known, less than its end while it goes on. unwatched: of all its streams at once.
    """

    period: Period
    zone: TimeZone
    whose: str
    noun: str
    counts: Counts
    rate: Rate | None
    compared: tuple[Compared, ...]
    steps: tuple[Sum, ...]
    hours: tuple[tuple[Sum, ...], ...] | None
    parts: tuple[Part, ...]
    unwatched: tuple[Unwatched, ...]
    errors: Errors
    until_utc: float

    @property
    def since_utc(self) -> int:
        """When it begins."""
        return self.period.since_utc(self.zone)

    @property
    def length_s(self) -> float:
        """For how long, as far as it is known."""
        return max(0.0, self.until_utc - self.since_utc)

    @property
    def is_over(self) -> bool:
        """Whether the period has ended."""
        return self.until_utc >= self.period.until_utc(self.zone)

    @property
    def unwatched_s(self) -> int:
        """For how long nobody looked."""
        return sum(each.until_utc - each.since_utc for each in self.unwatched)

    def times_of(self, weekday: int, hour: int) -> int:
        """How often this hour of the week (weekday 0: Monday) has begun in the period, as far as it is known."""
        last_utc = max(self.since_utc, self.until_utc - 1)
        days = range(self.period.first_day, self.zone.day(last_utc) + 1)
        times, last = sum(1 for day in days if day_of(day).weekday() == weekday), self.zone.local(last_utc)
        return times - 1 if weekday == last.weekday() and hour > last.hour else times


def report(source: Source, period: Period, now_utc: float) -> Report:
    """Read what a report tells. Raises sqlite3.Error."""
    zone = source.zone()
    since_utc, end_utc = period.since_utc(zone), period.until_utc(zone)
    until_utc = min(end_utc, max(now_utc - LATE_S, since_utc))
    known = source.hours(since_utc, end_utc)
    hours = [each for each in known if each.start_utc < until_utc or each.counts.total]
    days = hours if period.kind is Kind.DAY else source.days(since_utc, end_utc)
    counts = total(each.counts for each in known)
    parts = sorted(source.parts(since_utc, end_utc), key=lambda part: (-part.counts.total, part.name.casefold()))
    return Report(
        period=period,
        zone=zone,
        whose=source.whose,
        noun=source.noun,
        counts=counts,
        rate=shown_rate(counts),
        compared=tuple(_compared(source, period, counts)),
        steps=tuple(each for each in days if each.start_utc < until_utc or each.counts.total),
        hours=None if period.kind is Kind.DAY else _hours(source, since_utc, end_utc),
        parts=tuple(parts),
        unwatched=tuple(_unwatched(hours, until_utc)),
        errors=source.errors(since_utc, end_utc),
        until_utc=until_utc,
    )


def _hours(source: Source, since_utc: int, until_utc: int) -> tuple[tuple[Sum, ...], ...]:
    return tuple(tuple(row) for row in source.by_weekday_hour(since_utc, until_utc))


def _compared(source: Source, period: Period, counts: Counts) -> list[Compared]:
    """The period before; of a day also the same day of the week before, which it is more like."""
    zone, first_utc = source.zone(), source.first_utc()
    others = [(_(BEFORE[period.kind]), period.before())]
    if period.kind is Kind.DAY:
        week_before = Period(Kind.DAY, period.first_day - WEEK_DAYS, period.end_day - WEEK_DAYS)
        others.append((_("{weekday} of the week before", weekday=weekday(day_of(week_before.first_day))), week_before))
    found = []
    for name, other in others:
        if first_utc is None or other.until_utc(zone) <= first_utc:
            continue
        before = total(each.counts for each in source.days(other.since_utc(zone), other.until_utc(zone)))
        rates = shown_rate(counts), shown_rate(before)
        change = difference(counts, before) if all(rates) else None
        found.append(Compared(name, before, rates[1], change))
    return found


def _unwatched(hours: list[Sum], until_utc: float) -> list[Unwatched]:
    """Hours in which nobody looked, those that follow each other as one."""
    found: list[Unwatched] = []
    for hour in hours:
        end_utc = min(hour.end_utc, int(until_utc))
        if not hour.is_gap or end_utc - hour.start_utc < min(HOUR_S, hour.end_utc - hour.start_utc):
            continue
        if found and found[-1].until_utc == hour.start_utc:
            found[-1] = Unwatched(found[-1].since_utc, end_utc)
        else:
            found.append(Unwatched(hour.start_utc, end_utc))
    return found
