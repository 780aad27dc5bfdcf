"""Rows on their way into a file: in batches, with times by the clocks of a zone. It knows no store."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

from appliance.faces import Counts
from appliance.rates import Rate, compliance
from appliance.times import utc_seconds

BATCH_ROWS = 1000
"""Some 200 kB of text: little enough for memory, enough that asking costs nothing beside writing."""

Batch = list[list[Any]]


class Zone(Protocol):
    """A time zone, as `time_zone.TimeZone` is."""

    @property
    def name(self) -> str: ...
    def local(self, utc: float) -> datetime: ...


class LocalTimes:
    """Times of the record in a zone, as ISO 8601 with their offset; one after another they are mostly of one hour."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self._hour, self._local, self._offset = "", "", ""

    def local(self, utc: str) -> str:
        """The local time of one as stored (2026-11-23T16:00:00.250Z); empty where the calendar ends."""
        if utc[:13] != self._hour:
            try:
                first, last = self._at(utc[:13] + ":00:00"), self._at(utc[:13] + ":59:59")
                if first[13:19] != ":00:00" or first[19:] != last[19:]:  # minutes differ, or the clocks change
                    exact = self._at(utc[:19])
                    return f"{exact[:19]}{utc[19:-1]}{exact[19:]}"
            except (OverflowError, ValueError):
                return ""
            self._hour, self._local, self._offset = utc[:13], first[:13], first[19:]
        return f"{self._local}{utc[13:-1]}{self._offset}"

    def _at(self, utc: str) -> str:
        return self.zone.local(utc_seconds(utc)).isoformat()


def counted(counts: Counts) -> list[Any]:
    """Persons by state, then their rate with its interval, as columns.COUNTED."""
    return [counts.mask, counts.no_mask, counts.incorrect, counts.unknown, *ratios(compliance(counts))]


def ratios(rate: Rate | None) -> list[float | None]:
    """A rate and the ends of its interval; None: there is none."""
    return [round(value, 4) for value in (rate.value, rate.low, rate.high)] if rate else [None] * 3
