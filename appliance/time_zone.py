"""The time zone of the box, and how hours and days are cut in it."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

QUARTER_S = 900
HOUR_S = 3600
DAY_S = 86_400
ALWAYS_UTC = -(2**40)
"""Before any time there is: from then on the first offset of a zone is its offset."""
FIRST_YEAR, LAST_YEAR = 1970, 2100  # of the changes that are looked for; before and after, nothing changes
_FURTHEST_S = 15 * HOUR_S  # no clock is further from UTC
_PLACES = "zoneinfo/"


@dataclass(frozen=True, slots=True)
class TimeZone:
    """A time zone, by what its clocks are ahead of UTC.

    name: `Europe/Berlin`. changes: (from when, seconds since 1970; seconds ahead of UTC), in the order of time; the
    first is ALWAYS_UTC. Hours and days are made of quarters of an hour since 1970, which belong where they begin.
    """

    name: str
    changes: tuple[tuple[int, int], ...]

    def offset_s(self, utc: float) -> int:
        """How far its clocks are ahead of UTC then."""
        return self.changes[self._index(utc)][1]

    def local(self, utc: float) -> datetime:
        """That moment as its clocks show it, with the offset."""
        return datetime.fromtimestamp(utc, timezone(timedelta(seconds=self.offset_s(utc))))

    def day(self, utc: float) -> int:
        """The day in which a quarter of an hour began: days since 1970-01-01 by its clocks."""
        return int((utc + self.offset_s(utc)) // DAY_S)

    def day_start_utc(self, day: int) -> int:
        """When the first quarter of an hour of this day begins; most days begin at midnight, where there is one."""
        index = self._index(day * DAY_S - _FURTHEST_S)
        while True:
            from_utc, offset_s = self.changes[index]
            start_utc = _next_quarter(max(from_utc, day * DAY_S - offset_s))
            if index + 1 == len(self.changes) or start_utc < self.changes[index + 1][0]:
                return start_utc
            index += 1

    def midnight_utc(self, utc: float) -> int:
        """When the day began in which this moment is."""
        return self.day_start_utc(self.day(utc // QUARTER_S * QUARTER_S))

    def clock_utc(self, clock_s: float) -> float:
        """When its clocks show this: seconds of its clocks since 1970-01-01.

        A time that they show twice is the first one; one that they skip is as if they had not yet changed.
        """
        before_s = self.offset_s(clock_s - DAY_S)
        for offset_s in (before_s, self.offset_s(clock_s + DAY_S)):
            if self.offset_s(clock_s - offset_s) == offset_s:
                return clock_s - offset_s
        return clock_s - before_s

    def parts(self, since_utc: int, until_utc: int) -> Iterator[tuple[int, int, int]]:
        """The spans of [since_utc, until_utc) in which the clocks do not change: (since, until, seconds ahead)."""
        for index in range(self._index(since_utc), len(self.changes)):
            from_utc, offset_s = self.changes[index]
            to_utc = self.changes[index + 1][0] if index + 1 < len(self.changes) else until_utc
            since, until = max(since_utc, _next_quarter(from_utc)), min(until_utc, _next_quarter(to_utc))
            if since >= until_utc:
                return
            if since < until:
                yield since, until, offset_s

    def cuts(self, since_utc: float, until_utc: float, step_s: int) -> list[int]:
        """When the hours, quarters (step_s) that touch [since_utc, until_utc) begin, and when the last one ends.

        Each hour that passes is one, also the one that the clocks show twice. For days, see day_cuts.
        """
        first = self._step_start(since_utc, step_s)
        cuts: list[int] = []
        for since, until, offset_s in self.parts(first, _next_quarter(until_utc) + DAY_S):
            starts = range(since + -(since + offset_s) % step_s, until, step_s)
            cuts += [since, *starts] if not starts or starts[0] > since else starts
        last = next(index for index, cut in enumerate(cuts) if cut >= until_utc)
        return cuts[: max(last, 1) + 1]

    def day_cuts(self, since_utc: float, until_utc: float) -> list[int]:
        """When the days that touch [since_utc, until_utc) begin, and when the last one ends."""
        day = self.day(since_utc // QUARTER_S * QUARTER_S)
        cuts = [self.day_start_utc(day)]
        while len(cuts) < 2 or cuts[-1] < until_utc:
            day += 1
            start_utc = self.day_start_utc(day)
            if start_utc > cuts[-1]:  # Samoa had no 30 December 2011
                cuts.append(start_utc)
        return cuts

    def _step_start(self, utc: float, step_s: int) -> int:
        quarter_utc = int(utc // QUARTER_S * QUARTER_S)
        from_utc, offset_s = self.changes[self._index(quarter_utc)]
        return max(_next_quarter(from_utc), quarter_utc - (quarter_utc + offset_s) % step_s)

    def _index(self, utc: float) -> int:
        return max(0, bisect_right(self.changes, (int(utc // 1), 2**40)) - 1)


UTC = TimeZone("UTC", ((ALWAYS_UTC, 0),))


def time_zone(environ: Mapping[str, str] = os.environ, etc: Path = Path("/etc")) -> TimeZone:
    """This machine's: as TZ says, or /etc/localtime, or /etc/timezone; UTC where none of them is known.

    https://www.freedesktop.org/software/systemd/man/latest/localtime.html
    """
    names = [environ.get("TZ", "").removeprefix(":"), _name_of_link(etc / "localtime"), _first_line(etc / "timezone")]
    for name in (name.rpartition(_PLACES)[2] for name in names):
        if name and (zone := named(name)):
            return zone
    return UTC


@lru_cache(maxsize=64)
def named(name: str) -> TimeZone | None:
    """The zone of this name (`Europe/Berlin`) as this machine knows it; None if it does not."""
    try:
        return TimeZone(name, tuple(_changes(ZoneInfo(name))))
    except (ValueError, OSError, LookupError):  # no such name (LookupError), a path, not a zone
        return None


def _changes(info: ZoneInfo) -> Iterator[tuple[int, int]]:
    """All its changes, from week to week, and then to the second: none comes twice a week."""

    def offset_s(utc: int) -> int:
        offset = datetime.fromtimestamp(utc, timezone.utc).astimezone(info).utcoffset() or timedelta()
        return int(offset.total_seconds())

    week_s = 7 * DAY_S
    last_utc = int(datetime(LAST_YEAR, 1, 1, tzinfo=timezone.utc).timestamp())
    known_s = offset_s(0)
    yield ALWAYS_UTC, known_s
    for week_utc in range(week_s, last_utc, week_s):
        new_s = offset_s(week_utc)
        if new_s != known_s:
            before, after = week_utc - week_s, week_utc
            while after - before > 1:
                middle = (before + after) // 2
                before, after = (middle, after) if offset_s(middle) == known_s else (before, middle)
            yield after, new_s
            known_s = new_s


def _next_quarter(utc: float) -> int:
    return int(-(-utc // QUARTER_S) * QUARTER_S)


def _name_of_link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:  # no link
        return ""


def _first_line(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, ValueError):
        return ""
