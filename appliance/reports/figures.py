"""What a report is made of, and what a box or a centre must be able to tell for one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from appliance.faces import Counts, State
from appliance.rates import Rate, compliance
from appliance.time_zone import TimeZone


@dataclass(frozen=True, slots=True)
class Sum:
    """What was counted in start_utc <= first seen < end_utc, seconds since 1970.

    watched_s: for how long streams were LIVE and judged, added up over the streams; 0: nobody looked.
    """

    start_utc: int
    end_utc: int
    counts: Counts
    watched_s: int

    @property
    def is_gap(self) -> bool:
        """Whether nobody looked."""
        return self.watched_s == 0 and self.counts.total == 0

    @property
    def rate(self) -> Rate | None:
        """Its compliance; None: of too few persons to say one."""
        return shown_rate(self.counts)


@dataclass(frozen=True, slots=True)
class Part:
    """A stream (of a centre: a box), with what it counted.

    watched_s: for how long it was LIVE and judged; None: that cannot be said, as of several streams together.
    href: where it leads; empty: nowhere. subject: what a report of it alone is asked for by.
    """

    name: str
    counts: Counts
    watched_s: int | None
    href: str = ""
    subject: str = ""

    @property
    def rate(self) -> Rate | None:
        """Its compliance; None: of too few persons to say one."""
        return shown_rate(self.counts)


@dataclass(frozen=True, slots=True)
class Errors:
    """What is known of wrong judgements.

    by_hand: how many persons were given another state by hand; None: that is not known here. wrong: as a share of those
    who were judged, at least. corrected: the compliance, corrected for how the cameras err; None: that is not known.
    """

    by_hand: int | None = None
    wrong: Rate | None = None
    corrected: Rate | None = None


class Source(Protocol):
    """The sums of what one report is about. Times are seconds since 1970. Raises sqlite3.Error."""

    @property
    def whose(self) -> str:
        """The streams, or that it is all of them: for people."""

    @property
    def noun(self) -> str:
        """What a part is: stream, box."""

    def zone(self) -> TimeZone:
        """In which days are cut."""

    def hours(self, since_utc: float, until_utc: float) -> list[Sum]:
        """Every hour of the clocks that touches it, also those without anybody."""

    def days(self, since_utc: float, until_utc: float) -> list[Sum]:
        """Every day, also those without anybody."""

    def by_weekday_hour(self, since_utc: float, until_utc: float) -> list[list[Sum]]:
        """7 x 24; [0][9]: all Mondays from 9 to 10 together."""

    def parts(self, since_utc: float, until_utc: float) -> list[Part]:
        """Each stream or box, also those that counted nobody."""

    def first_utc(self) -> int | None:
        """Since when anything is known; None: nothing is."""

    def errors(self, since_utc: float, until_utc: float) -> Errors:
        """What is known of wrong judgements in it."""


def shown_rate(counts: Counts) -> Rate | None:
    """The compliance, where it is of enough persons to be shown."""
    rate = compliance(counts)
    return rate if rate and rate.is_enough else None


def total(counts: Iterable[Counts]) -> Counts:
    """All of them."""
    each = list(counts)
    return Counts(**{state.value: sum(getattr(one, state.value) for one in each) for state in State})
