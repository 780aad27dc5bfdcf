"""The rows of an export, in batches: whatever the number of rows, a batch of them is in memory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Protocol

from appliance.images import Place
from appliance.store import DetectionFilter, Store
from appliance.store.exports import After, ExportedStream, Row
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
    """Times of the record in a zone, as ISO 8601 with their offset. Rows come in the order of time, mostly of one hour."""

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


def detections(store: Store, where: DetectionFilter, times: LocalTimes) -> Iterator[Batch]:
    """The rows of columns.DETECTIONS, by stream, then by first seen."""
    for _, batch, _ in with_places(store, where, times):
        yield batch


def with_places(
    store: Store, where: DetectionFilter, times: LocalTimes
) -> Iterator[tuple[ExportedStream, Batch, list[Row]]]:
    """The same, each batch with its stream and with its rows as the store has them, for `place`."""
    local, zone = times.local, times.zone.name
    for stream in store.exports.streams(where):
        after: After | None = None
        stream_id, title = stream.id, stream.title
        while stored := store.exports.detections(stream.id, where, after, BATCH_ROWS):
            batch = [[row[0], stream_id, title, row[1], row[2], local(row[1]), zone, *row[3:-3]] for row in stored]
            yield stream, batch, stored
            after = (stored[-1][1], stored[-1][0])
            if len(stored) < BATCH_ROWS:
                break


def place(row: Row) -> Place | None:
    """Where the image of a row as the store has it lies; None: it has none."""
    size_bytes, day, offset, crc32 = row[-4:]
    return None if day is None else Place(day, offset, size_bytes, crc32=crc32)
