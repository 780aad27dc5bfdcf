"""Detections with their images, as one ZIP that is never on the disk."""

from __future__ import annotations

import bisect
from array import array
from collections.abc import Callable, Iterator

from appliance.exports.batches import Batch, LocalTimes
from appliance.exports.columns import DETECTIONS, IMAGE_FILE
from appliance.exports.formats import csv_parts
from appliance.exports.rows import place, with_places
from appliance.exports.zips import ZipWriter
from appliance.images import ImageFiles
from appliance.store import DetectionFilter, Store
from appliance.store.exports import ExportedStream
from appliance.times import utc_seconds

TABLE = DETECTIONS.plus(IMAGE_FILE)
May = Callable[[ExportedStream], bool]
"""Whether the images of a stream may be handed out."""
Said = Callable[[int], None]
"""Is told how many rows more were read."""


def zip_parts(
    store: Store, images: ImageFiles, where: DetectionFilter, times: LocalTimes, may: May, now_utc: float, said: Said
) -> Iterator[bytes]:
    """Images as images/ID.jpg, then detections.csv, which names those that are in. Raises OSError, sqlite3.Error.

    The table comes last because an image may be deleted while others are on their way.
    """
    made, included = ZipWriter(), array("Q")
    for stream, batch, stored in with_places(store, where, times):
        for row, as_stored in zip(batch, stored, strict=True):
            found = place(as_stored) if may(stream) else None
            if found and (jpeg := images.read(found)):
                yield made.stored(image_name(row[0]), utc_seconds(row[4]), jpeg)
                included.append(row[0])
        said(len(batch))
    ordered = array("Q", sorted(included))
    yield from made.deflated("detections.csv", now_utc, csv_parts(TABLE, _naming(store, where, times, ordered)))
    yield made.end()


def image_name(detection_id: int) -> str:
    """What the image of a detection is called within a ZIP."""
    return f"images/{detection_id}.jpg"


def _naming(store: Store, where: DetectionFilter, times: LocalTimes, included: array[int]) -> Iterator[Batch]:
    for _, batch, _ in with_places(store, where, times):
        for row in batch:
            at = bisect.bisect_left(included, row[0])
            is_in = at < len(included) and included[at] == row[0]
            row.append(image_name(row[0]) if is_in else None)
        yield batch
