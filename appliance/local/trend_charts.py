"""The charts of a range, by name, and their numbers as rows: for the page, for a file, for the table beneath."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from appliance.faces import Counts
from appliance.language import (
    _,
    clock,
    days_words,
    n_,
    short_day_and_month,
    short_month_of_year,
    weekday_of,
)
from appliance.local.trend_range import Kind, Range, Shown, last_day, range_of
from appliance.local.trend_steps import LATE_S, WEEK_S, Figures, figures, shown_rate, stream_ids
from appliance.store import Store
from appliance.store.trends import Bucket
from appliance.time_zone import HOUR_S, QUARTER_S, TimeZone
from appliance.web.charts import Bar, stacked_bars
from appliance.web.rate_charts import Point, rate_band
from appliance.web.svg import STATE_LABELS, Tick
from appliance.web.week_charts import Cell, Row, heat_map, stream_rows
from appliance.web.words import rate_words

TICKS_AT_MOST = 8
HOUR_TICKS, DAY_TICKS = (1, 2, 3, 6, 12, 24, 48, 96, 168), (1, 2, 5, 7, 14, 31)
HEAT_WEEKS, MOST_HEAT_WEEKS = 4, 52
STREAMS_AT_MOST = 20
SHOWN_AT_START = 14 / 24  # of a range, or less, is over: a narrow screen begins to show it at its start


class Sums(Struct, frozen=True, kw_only=True):
    """Persons by state."""

    persons: int
    mask: int
    incorrect: int
    no_mask: int
    unknown: int


class Rated(Sums, frozen=True, kw_only=True):
    """With their compliance, 0 to 1, its 95 % interval, and of how many; None: too few to say one."""

    compliance: float | None
    compliance_low: float | None
    compliance_high: float | None
    n: int


class StepRow(Rated, frozen=True, kw_only=True):
    """One step. start, end: by the clocks of the zone, with what they are ahead of UTC.

    watched_s: for how long streams were LIVE and judged, added up over the streams.
    """

    start: str
    end: str
    zone: str
    week_before_persons: int | None
    watched_s: int


class WeekRow(Sums, frozen=True, kw_only=True):
    """One hour of the week, of all the weeks together."""

    weekday: str
    hour: int
    zone: str
    weeks: int
    watched_s: int


class StreamRow(Rated, frozen=True, kw_only=True):
    """What one stream counted."""

    stream_id: int
    stream: str


@dataclass(frozen=True, slots=True)
class Week:
    """The hours of the week, and of how many whole weeks; `words` says which."""

    hours: list[list[Bucket]]
    weeks: int
    words: str


# Persons and their rate, by step


def bars(steps: Sequence[Figures], asked: Range, now_utc: float) -> list[Bar]:
    """The bars of a range."""
    return [_bar(each, asked, now_utc) for each in steps]


def _bar(each: Figures, asked: Range, now_utc: float) -> Bar:
    bucket = each.bucket
    watched = None
    if not each.is_to_come:
        expected_s = max(1.0, min(bucket.end_utc, now_utc - LATE_S) - bucket.start_utc)
        share = min(1.0, bucket.watched_s / expected_s)
        # Of several streams it is not known how long each of them should have been watched.
        watched = share if asked.stream_id is not None or not bucket.watched_s else 1.0
    rate = shown_rate(each.counts)
    return Bar(
        bucket.start_utc,
        tuple((name, getattr(each.counts, name)) for name in STATE_LABELS),
        None if watched == 0 and each.counts.total else watched,
        when=each.when,
        href=each.address,
        more=_("compliance {rate}", rate=rate_words(rate)) if rate else "",
        before=each.before.total if each.before is not None else None,
    )


def persons_chart(steps: Sequence[Figures], asked: Range, now_utc: float) -> str:
    """Persons per state."""
    return stacked_bars(bars(steps, asked, now_utc), asked.shown.persons_words, ticks=ticks(steps, asked))


def begins_at_start(asked: Range, now_utc: float) -> bool:
    """Whether a narrow screen begins to show these charts at their start: at their end nothing was counted yet."""
    return now_utc - asked.since_utc < SHOWN_AT_START * (asked.until_utc - asked.since_utc)


def last_day_chart(store: Store, now_utc: float, stream_id: int | None = None) -> str:
    """Persons by hour, of the last 24 hours; empty: nothing was counted yet."""
    asked = last_day(now_utc, store.trends.zone(), stream_id)
    first_utc = store.trends.first_utc(stream_ids(asked))
    if first_utc is None or first_utc >= asked.until_utc:
        return ""
    steps = figures(store, asked, now_utc, compared=False)
    return stacked_bars(bars(steps, asked, now_utc), _("Persons by hour, the last 24 hours"), ticks=ticks(steps, asked))


def today_range(store: Store, now_utc: float, stream_id: int) -> Range:
    """The box's day."""
    zone = store.trends.zone()
    return range_of(Kind.LIVE, zone.day(now_utc // QUARTER_S * QUARTER_S), zone, stream_id)


def today_charts(store: Store, now_utc: float, stream_id: int) -> list[str]:
    """Persons of a stream by hour of the box's day, and their rate where an hour has enough; empty: nobody came yet."""
    asked = today_range(store, now_utc, stream_id)
    steps = figures(store, asked, now_utc, compared=False)
    if not any(each.counts.total for each in steps):
        return []
    rates = [rate_chart(steps, asked)] if any(each.rate for each in steps) else []
    return [persons_chart(steps, asked, now_utc), *rates]


def rate_chart(steps: Sequence[Figures], asked: Range) -> str:
    """The rate with its interval."""
    points = [Point(each.when, each.rate, each.is_gap, each.address) for each in steps]
    return rate_band(points, asked.shown.rate_words, ticks(steps, asked))


def ticks(steps: Sequence[Figures], asked: Range) -> list[Tick]:
    """Which bars have a label, by the box's clocks: as many as there is room for."""
    starts = [asked.zone.local(each.bucket.start_utc) for each in steps]
    if asked.shown is Shown.MONTH:
        every = -(-len(starts) // TICKS_AT_MOST)
        return [Tick(index, short_month_of_year(starts[index])) for index in range(0, len(starts), every)]
    if asked.shown.step.value == "day":
        every = next((days for days in DAY_TICKS if len(starts) / days <= TICKS_AT_MOST), len(starts))
        return [Tick(index, short_day_and_month(starts[index])) for index in range(0, len(starts), every)]
    for hours in HOUR_TICKS:
        found = [
            Tick(index, clock(at) if at.hour else short_day_and_month(at))
            for index, at in enumerate(starts)
            if at.minute == 0 and (at.toordinal() * 24 + at.hour) % hours == 0
        ]
        if len(found) <= TICKS_AT_MOST:
            break
    return found


def step_rows(steps: Sequence[Figures], zone: TimeZone) -> list[StepRow]:
    """The numbers of the steps."""
    return [
        StepRow(
            start=zone.local(each.bucket.start_utc).isoformat(),
            end=zone.local(each.bucket.end_utc).isoformat(),
            zone=zone.name,
            **_rated(each.counts),
            week_before_persons=each.before.total if each.before is not None else None,
            watched_s=each.bucket.watched_s,
        )
        for each in steps
    ]


# The hours of the week


def week(store: Store, asked: Range, now_utc: float) -> Week | None:
    """The hours of the whole weeks before today, or before the range ends; at least four weeks if there are.

    On a box younger than a week: of the last seven days with today. None: nothing was counted yet.
    """
    ids, zone = stream_ids(asked), asked.zone
    first_utc = store.trends.first_utc(ids)
    if first_utc is None or first_utc >= asked.until_utc:
        return None
    today = zone.day(now_utc // QUARTER_S * QUARTER_S)
    end_day = min(asked.last_day + 1, today)
    wanted = max(HEAT_WEEKS, min(MOST_HEAT_WEEKS, int((asked.until_utc - asked.since_utc) // WEEK_S)))
    weeks = min(wanted, (end_day - zone.day(first_utc)) // 7)
    if weeks < 1:
        weeks, end_day = 1, min(asked.last_day, today) + 1
    since_utc, until_utc = zone.day_start_utc(end_day - 7 * weeks), zone.day_start_utc(end_day)
    first, last = zone.local(since_utc), zone.local(until_utc - HOUR_S)
    words = n_("{days}, {n} week", "{days}, {n} weeks", weeks, days=days_words(first, last))
    return Week(store.trends.by_weekday_hour(ids, since_utc, until_utc), weeks, words)


def week_chart(of: Week) -> str:
    """Its heat map: persons an hour, on average over its weeks."""
    return heat_map(
        [[_cell(bucket, of.weeks) for bucket in row] for row in of.hours],
        _("Persons by hour of the week, {weeks}", weeks=of.words),
    )


def _cell(bucket: Bucket, weeks: int) -> Cell:
    if bucket.watched_s == 0 and bucket.counts.total == 0:
        return Cell(None)
    rate = shown_rate(bucket.counts)
    return Cell(bucket.counts.total / weeks, _("compliance {rate}", rate=rate_words(rate)) if rate else "")


def week_rows(of: Week, zone: TimeZone) -> list[WeekRow]:
    """The numbers of the hours of the week."""
    return [
        WeekRow(
            weekday=weekday_of(weekday),
            hour=hour,
            zone=zone.name,
            weeks=of.weeks,
            **_counted(bucket.counts),
            watched_s=bucket.watched_s,
        )
        for weekday, row in enumerate(of.hours)
        for hour, bucket in enumerate(row)
    ]


# Streams


@dataclass(frozen=True, slots=True)
class Counted:
    """What one stream counted."""

    stream_id: int
    title: str
    counts: Counts


def counted_streams(store: Store, asked: Range, titles: Mapping[int, str]) -> list[Counted]:
    """What each stream counted, those with the most persons first; without those that counted nobody."""
    counted = store.trends.by_stream(stream_ids(asked), asked.since_utc, asked.until_utc)
    found = [Counted(each, titles.get(each, str(each)), counts) for each, counts in counted.items() if counts.total]
    return sorted(found, key=lambda each: (-each.counts.total, each.title))


def streams_chart(streams: Sequence[Counted], asked: Range) -> str:
    """The first of them, side by side."""
    return stream_rows(
        [
            Row(each.title, each.counts, shown_rate(each.counts), f"/trends{asked.query(stream=each.stream_id)}")
            for each in streams[:STREAMS_AT_MOST]
        ],
        _("Persons by stream"),
    )


def rows_of_streams(streams: Sequence[Counted]) -> list[StreamRow]:
    """The numbers of all of them."""
    return [StreamRow(stream_id=each.stream_id, stream=each.title, **_rated(each.counts)) for each in streams]


def _counted(counts: Counts) -> dict[str, Any]:
    return {"persons": counts.total, **{name: getattr(counts, name) for name in STATE_LABELS}}


def _rated(counts: Counts) -> dict[str, Any]:
    rate = shown_rate(counts)
    return {
        **_counted(counts),
        "compliance": round(rate.value, 4) if rate else None,
        "compliance_low": round(rate.low, 4) if rate else None,
        "compliance_high": round(rate.high, 4) if rate else None,
        "n": counts.classified,
    }
