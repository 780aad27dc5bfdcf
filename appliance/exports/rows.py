"""The rows of an export, in batches: whatever the number of rows, a batch of them is in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from appliance.calibration import Estimate, corrected
from appliance.exports.batches import BATCH_ROWS, Batch, LocalTimes, counted, ratios
from appliance.faces import State
from appliance.images import Place
from appliance.store import DetectionFilter, Store
from appliance.store.corrections import Corrected, as_judged
from appliance.store.exports import After, ExportedStream, Row
from appliance.store.measuring import calibrated, errors_since, wrongly
from appliance.store.trends import Bucket, Step
from appliance.time_zone import QUARTER_S
from appliance.times import utc_text

EARLIEST_UTC, LATEST_UTC = -(2**36), 2**38  # before and after all that a detection can say
WINDOW_S = 30 * 86_400  # of sums that are read at once: some 3000 quarters of an hour


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


def sums(store: Store, where: DetectionFilter, step: Step, times: LocalTimes) -> Iterator[Batch]:
    """The rows of columns.SUMS, by stream, then by time; none where nobody looked and nobody was counted."""
    until_utc = LATEST_UTC if where.until_utc is None else where.until_utc
    for stream in store.exports.streams(where):
        since_utc: float = EARLIEST_UTC if where.since_utc is None else where.since_utc // QUARTER_S * QUARTER_S
        errors = errors_since(calibrated(store, stream.id))
        # From one quarter that has sums to the next: the years between those of an older system cost nothing.
        while (first_utc := store.exports.next_quarter_utc(stream.id, since_utc)) is not None and first_utc < until_utc:
            buckets = store.trends.buckets([stream.id], first_utc, min(first_utc + WINDOW_S, until_utc), step)
            corrections = store.corrections.by_quarter(stream.id, buckets[0].start_utc, buckets[-1].end_utc)
            yield [
                _sums_row(stream, each, times, _within(corrections, each), errors)
                for each in buckets
                if each.watched_s or each.counts.total
            ]
            since_utc = buckets[-1].end_utc


def _within(corrections: list[tuple[int, Corrected]], bucket: Bucket) -> Corrected:
    found: Counter[tuple[State, State]] = Counter()
    for start_utc, persons in corrections:
        if bucket.start_utc <= start_utc < bucket.end_utc:
            found.update(persons)
    return found


def _sums_row(
    stream: ExportedStream,
    bucket: Bucket,
    times: LocalTimes,
    corrections: Corrected,
    errors: tuple[Estimate, int] | None,
) -> list[Any]:
    start_utc, end_utc = utc_text(bucket.start_utc), utc_text(bucket.end_utc)
    known = errors[0] if errors and bucket.start_utc >= errors[1] else None
    better = corrected(as_judged(bucket.counts, corrections), known) if known else None
    return [
        *(stream.id, stream.title, start_utc, end_utc, times.local(start_utc), times.zone.name, bucket.watched_s),
        *(*counted(bucket.counts), *ratios(better), wrongly(corrections)),
    ]
