"""The steps of a range: what was counted in each, beside the week before, and how people read its time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TypeAlias

from appliance.faces import Counts, State
from appliance.language import (
    _,
    clock,
    month_of_year,
    short_date,
    short_day_and_month,
    short_day_of_year,
    short_weekday_and_day,
)
from appliance.local.trend_range import Kind, Range, Shown, clock_utc, day_of, is_shown_twice
from appliance.rates import Rate, compliance
from appliance.store import DetectionFilter, Store
from appliance.store.trends import Bucket
from appliance.time_zone import DAY_S, HOUR_S, TimeZone
from appliance.times import utc_text

WEEK_S = 7 * DAY_S
LATE_S = 180  # so long a minute may be on its way into the sums
COMPARED_UNTIL_S = 8 * DAY_S  # longer ranges would overlap with themselves a week before
SLACK_S = 2 * HOUR_S  # more than clocks change by
Lists: TypeAlias = Callable[[DetectionFilter], str]


@dataclass(frozen=True, slots=True)
class Figures:
    """One step. before: the same time of the week before, None: not compared, or unknown. is_to_come: not known yet.

    address: where its bar leads; empty: nobody was seen, or there is no list of them.
    """

    bucket: Bucket
    when: str
    before: Counts | None
    is_to_come: bool
    address: str

    @property
    def counts(self) -> Counts:
        """Of this step."""
        return self.bucket.counts

    @property
    def rate(self) -> Rate | None:
        """Its compliance; None: too few persons to say one."""
        return shown_rate(self.counts)

    @property
    def is_gap(self) -> bool:
        """Whether nobody looked; never so of what is to come."""
        return not self.is_to_come and self.bucket.watched_s == 0 and self.counts.total == 0


def figures(store: Store, asked: Range, now_utc: float, compared: bool = True) -> list[Figures]:
    """Every step of a range, in the order of time. compared: with the week before, where the range is short enough."""
    ids = stream_ids(asked)
    found = merged(store.trends.buckets(ids, asked.since_utc, asked.until_utc, asked.shown.step), asked)
    before: Callable[[Bucket], Counts | None] = lambda _bucket: None  # noqa: E731
    if compared and is_compared(asked):
        since_utc, until_utc = asked.since_utc - WEEK_S - SLACK_S, asked.until_utc - WEEK_S + SLACK_S
        first_utc = store.trends.first_utc(ids)
        known = [
            bucket
            for bucket in store.trends.buckets(ids, since_utc, until_utc, asked.shown.step)
            if first_utc is not None and bucket.end_utc > first_utc
        ]
        before = week_before(known, asked.zone)
    address_of = _addresses(lists_of(store), asked)
    return [
        Figures(
            bucket,
            when(bucket, asked.shown, asked.zone),
            before(bucket),
            bucket.start_utc > now_utc - LATE_S,
            address_of(bucket) if bucket.counts.total else "",
        )
        for bucket in found
    ]


def shown_rate(counts: Counts) -> Rate | None:
    """The compliance, where it is of enough persons to be shown."""
    rate = compliance(counts)
    return rate if rate and rate.is_enough else None


def stream_ids(asked: Range) -> list[int] | None:
    """Of which streams; None: of all."""
    return None if asked.stream_id is None else [asked.stream_id]


def is_compared(asked: Range) -> bool:
    """Whether the week before stands beside it."""
    return asked.until_utc - asked.since_utc <= COMPARED_UNTIL_S


def total(counts: Iterable[Counts]) -> Counts:
    """All of them."""
    each = list(counts)
    return Counts(**{state.value: sum(getattr(one, state.value) for one in each) for state in State})


def merged(days: list[Bucket], asked: Range) -> list[Bucket]:
    """Days put together to weeks from Monday, or to months, where the range asks for them."""
    if asked.shown not in (Shown.WEEK, Shown.MONTH):
        return days
    groups: dict[object, list[Bucket]] = {}
    for bucket in days:
        at = asked.zone.local(bucket.start_utc).date()
        group = at - timedelta(days=at.weekday()) if asked.shown is Shown.WEEK else at.replace(day=1)
        groups.setdefault(group, []).append(bucket)
    return [
        Bucket(
            each[0].start_utc, each[-1].end_utc, total(one.counts for one in each), sum(one.watched_s for one in each)
        )
        for each in groups.values()
    ]


def week_before(known: Collection[Bucket], zone: TimeZone) -> Callable[[Bucket], Counts | None]:
    """What was counted when the clocks showed the same, seven days before.

    Where they show an hour twice, the first is beside the first; a second one that the other week does not have is
    beside its only one. None: the clocks skipped it, or nothing is known.
    """
    by_clock: dict[tuple[datetime, int], Counts] = {}
    for bucket in known:
        clock = _clock(bucket, zone)
        by_clock[clock, int((clock, 0) in by_clock)] = bucket.counts
    seen: set[datetime] = set()

    def find(bucket: Bucket) -> Counts | None:
        clock = _clock(bucket, zone)
        nth = int(clock in seen)
        seen.add(clock)
        other = clock - timedelta(days=7)
        return by_clock.get((other, nth), by_clock.get((other, 0)))

    return find


def before_now(store: Store, asked: Range, now_utc: float) -> Counts | None:
    """The week before, up to the same time as it is now; None where it is not compared, or nothing was counted yet."""
    if not is_compared(asked):
        return None
    zone = asked.zone
    ends = [asked.since_utc, min(asked.until_utc, now_utc)]
    since_utc, until_utc = (clock_utc(at + zone.offset_s(at) - WEEK_S, zone) for at in ends)
    first_utc = store.trends.first_utc(stream_ids(asked))
    if first_utc is None or first_utc >= until_utc or since_utc >= until_utc:
        return None
    return store.trends.counts(DetectionFilter(asked.stream_id, None, since_utc, until_utc))


def _clock(bucket: Bucket, zone: TimeZone) -> datetime:
    return zone.local(bucket.start_utc).replace(tzinfo=None)


def when(bucket: Bucket, shown: Shown, zone: TimeZone) -> str:
    """The time of a step as the box's clocks show it; with what they are ahead of UTC where they show it twice."""
    start, end = zone.local(bucket.start_utc), zone.local(bucket.end_utc)
    if shown is Shown.DAY:
        return short_date(start)
    if shown is Shown.MONTH:
        return month_of_year(start)
    if shown is Shown.WEEK:
        last = day_of(zone.day(bucket.end_utc - 1))
        return _("{first} to {last}", first=short_day_and_month(start), last=short_day_of_year(last))
    twice = f" (UTC{start:%z})" if is_shown_twice(bucket.start_utc, zone) else ""
    day = short_weekday_and_day(start)
    return _("{day}, {start} to {end}", day=day, start=clock(start), end=clock(end)) + twice


def _addresses(list_of: Lists, asked: Range) -> Callable[[Bucket], str]:
    """Where bars lead: an hour to its persons, a day to its page, a week or a month to its own."""

    def address_of(bucket: Bucket) -> str:
        if asked.shown in (Shown.QUARTER, Shown.HOUR):
            return list_of(DetectionFilter(asked.stream_id, None, bucket.start_utc, bucket.end_utc))
        day = day_of(asked.zone.day(bucket.start_utc)).isoformat()
        other = {Shown.WEEK: Kind.WEEK, Shown.MONTH: Kind.MONTH}.get(asked.shown, Kind.DAY)
        return f"/trends{asked.query(range=other.value, day=day, since=None, until=None)}"

    return address_of


def lists_of(store: Store) -> Lists:
    """Where the persons of a filter are listed: nowhere on a box that keeps statistics only."""
    return detections_address if store.privacy.statistics_only() is None else lambda _only: ""


@lru_cache(256)
def _quoted(utc: float) -> str:
    """A time as part of an address. A report of hundreds of streams says the same ones thousands of times."""
    return utc_text(utc).replace(":", "%3A")


def detections_address(only: DetectionFilter) -> str:
    """The list of these detections."""
    parts = {
        "stream": only.stream_id,
        "state": only.state and only.state.value,
        "since": None if only.since_utc is None else _quoted(only.since_utc),
        "until": None if only.until_utc is None else _quoted(only.until_utc),
    }
    query = "&".join([f"{name}={value}" for name, value in parts.items() if value is not None])
    return f"/detections?{query}" if query else "/detections"
