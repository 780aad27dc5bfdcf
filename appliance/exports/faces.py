"""Faces to learn from, in the layout that `python -m models.training.train --data DIR` takes, as one ZIP.

What a person corrected has its state; what the model was unsure of waits for a person to say (category `to_label`,
which a training counts neither way). Whatever is around the face in its image counts neither way, too: others may be in
it, and nobody marked them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from appliance.cutout import MAX_SIDE_PX, around, shrunk_size
from appliance.exports.batches import LocalTimes
from appliance.exports.columns import DETECTIONS
from appliance.exports.jpeg_size import jpeg_size
from appliance.exports.pictures import May, Said
from appliance.exports.rows import place, with_places
from appliance.exports.zips import ZipWriter
from appliance.faces import CLASSES, State
from appliance.images import ImageFiles
from appliance.store import DetectionFilter, Store
from appliance.times import utc_seconds

UNSURE_BELOW = 0.8
"""A detection for whose state fewer of the votes speak is one that a person should look at."""
VAL_EACH = 7  # every so manieth hour is for choosing by (`val`), not for learning (`train`)
SPLITS = ("train", "val")
STATES = tuple(state.value for state in CLASSES)
TO_LABEL = len(STATES) + 1
CATEGORIES = [{"id": number, "name": name} for number, name in enumerate((*STATES, "to_label"), 1)]
HOURS = 10_000_000  # more than there are from 1970 to the year 3000
_COMPACT = struct.Struct("<QBBQHH4f")


@dataclass(frozen=True, slots=True)
class Learned:
    """A face that is in the ZIP. bbox_px: left, top, width, height in its image of width x height px.

    split: index into SPLITS. group: ties near-duplicates, the faces of a stream and an hour.
    """

    detection_id: int
    split: int
    category: int
    group: int
    width: int
    height: int
    bbox_px: tuple[float, float, float, float]

    @property
    def name(self) -> str:
        """Of its image, within its split."""
        return f"{self.detection_id}.jpg"

    def packed(self) -> bytes:
        """In few bytes: all of them are kept until the labels are written."""
        head = (self.detection_id, self.split, self.category, self.group, self.width, self.height)
        return _COMPACT.pack(*head, *self.bbox_px)


def _unpacked(kept: bytes | bytearray, split: int) -> Iterator[Learned]:
    for detection_id, of, category, group, width, height, *bbox_px in _COMPACT.iter_unpack(kept):
        if of == split:
            left, top, across, down = bbox_px
            yield Learned(detection_id, of, category, group, width, height, (left, top, across, down))


def zip_parts(
    store: Store, images: ImageFiles, where: DetectionFilter, times: LocalTimes, may: May, now_utc: float, said: Said
) -> Iterator[bytes]:
    """images/{train,val}/ID.jpg, then annotations_harmonised/{train,val}.json. Raises OSError, sqlite3.Error."""
    made, kept = ZipWriter(), bytearray()
    for stream, batch, stored in with_places(store, where, times):
        for values, as_stored in zip(batch, stored, strict=True) if may(stream) else ():
            row, found = dict(zip(DETECTIONS.names, values, strict=True)), place(as_stored)
            jpeg = images.read(found) if found and category_of(row) else None
            learned = learned_from(row, jpeg) if jpeg else None
            if jpeg and learned:
                yield made.stored(f"images/{SPLITS[learned.split]}/{learned.name}", utc_seconds(values[4]), jpeg)
                kept += learned.packed()
        said(len(batch))
    for number, split in enumerate(SPLITS):
        yield from made.deflated(f"annotations_harmonised/{split}.json", now_utc, _coco(kept, number))
    yield made.end()


def category_of(row: dict[str, Any]) -> int | None:
    """As what a face is learned; None: it is not worth looking at, or nobody could say."""
    if row["edited_by"] is not None:
        return STATES.index(row["state"]) + 1 if row["state"] in STATES else None
    unsure = row["state"] == State.UNKNOWN.value or row["confidence_ratio"] < UNSURE_BELOW
    return TO_LABEL if unsure and row["unknown_reason"] is None else None


def learned_from(row: dict[str, Any], jpeg: bytes) -> Learned | None:
    """Where the face is in its image; None if that is no longer known: the row was written after its image."""
    category, size = category_of(row), jpeg_size(jpeg)
    left, top, right, bottom = (row[f"bbox_{side}_px"] for side in ("left", "top", "right", "bottom"))
    if category is None or size is None or right <= left or bottom <= top or not row["frame_width_px"]:
        return None
    x0, y0, x1, y1 = around((left, top, right, bottom), row["frame_width_px"], row["frame_height_px"])
    if shrunk_size(x1 - x0, y1 - y0, MAX_SIDE_PX) != size:
        return None
    hour = int(utc_seconds(row["first_seen_utc"]) // 3600)
    left, top, right, bottom = max(left, x0), max(top, y0), min(right, x1), min(bottom, y1)
    across, down = size[0] / (x1 - x0), size[1] / (y1 - y0)
    bbox_px = ((left - x0) * across, (top - y0) * down, (right - left) * across, (bottom - top) * down)
    split = int(hour % VAL_EACH == 0)
    return Learned(row["detection_id"], split, category, row["stream_id"] * HOURS + hour, *size, bbox_px)


def _coco(kept: bytes | bytearray, split: int) -> Iterator[bytes]:
    """The labels of a split as COCO, part by part."""
    yield b'{"categories": ' + msgspec.json.encode(CATEGORIES) + b', "images": '
    yield from _listed(_image(each) for each in _unpacked(kept, split))
    yield b', "annotations": '
    yield from _listed(_annotation(each) for each in _unpacked(kept, split))
    yield b', "ignore_regions": '
    yield from _listed(region for each in _unpacked(kept, split) for region in _around_face(each))
    yield b"}\n"


def _listed(items: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    before, encoder = b"[", msgspec.json.Encoder()
    for item in items:
        yield before + encoder.encode(item)
        before = b",\n"
    yield b"]" if before != b"[" else b"[]"


def _image(each: Learned) -> dict[str, Any]:
    size = {"width": each.width, "height": each.height}
    return {"id": each.detection_id, "file_name": each.name, **size, "group": each.group, "source": "box"}


def _annotation(each: Learned) -> dict[str, Any]:
    bbox = [round(value, 2) for value in each.bbox_px]
    return {
        "id": each.detection_id,
        "image_id": each.detection_id,
        "category_id": each.category,
        "bbox": bbox,
        "area": round(bbox[2] * bbox[3], 1),
        "iscrowd": int(each.category == TO_LABEL),
    }


def _around_face(each: Learned) -> Iterator[dict[str, Any]]:
    """All of the image but the face, as four regions (left, top, width, height)."""
    left, top, width, height = each.bbox_px
    right, bottom = left + width, top + height
    for region in (
        (0.0, 0.0, each.width, top),
        (0.0, bottom, each.width, each.height - bottom),
        (0.0, top, left, height),
        (right, top, each.width - right, height),
    ):
        if region[2] >= 1 and region[3] >= 1:
            yield {"image_id": each.detection_id, "bbox": [round(value, 2) for value in region]}
