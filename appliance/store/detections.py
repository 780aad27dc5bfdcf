"""The record: one detection per person who passed a camera."""

from __future__ import annotations

import heapq
import itertools
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from appliance.faces import Counts, Detection, State
from appliance.images import Place
from appliance.sqlite import Database
from appliance.store.filters import OF_DETECTIONS, OF_STREAMS, STREAMS, TITLE, DetectionFilter, conditions
from appliance.store.summaries_schema import BY_HAND
from appliance.times import utc_seconds, utc_text


@dataclass(frozen=True, slots=True)
class StoredImage(Place):
    """Where the image of a detection lies, and the unguessable part of its address."""

    token: str


@dataclass(frozen=True, slots=True)
class StoredDetection:
    """A detection as stored, with its stream's title (owner:name).

    judged_state: what the box had judged, where a person said what the state is; None: nobody did, or it is not known.
    reviewed_by, reviewed_utc: who looked at it and marked it, and when (2026-11-23T16:00:00Z); None: nobody yet.
    """

    id: int
    stream_id: int
    stream: str
    owner_id: int
    detection: Detection
    edited_by: str | None
    image: StoredImage | None
    judged_state: State | None = None
    reviewed_by: str | None = None
    reviewed_utc: str | None = None


_COLUMNS = f"""
    select detections.id, stream_id, {TITLE} as stream, owner_id, first_seen_utc, last_seen_utc, state, confidence,
      votes, bbox_left, bbox_top, bbox_right, bbox_bottom, frame_width, frame_height, model, too_small,
      edited_by, judged_state, reviewed_by, reviewed_utc, image_day, image_offset, image_size, image_token, image_crc32
"""
_SELECT = f"{_COLUMNS} {STREAMS} join detections on stream_id = streams.id"
_STATES = ", ".join(f"'{state.value}'" for state in State)
_WITHOUT_IMAGE = (
    "update detections set image_day = null, image_offset = null, image_size = null, image_token = null,"
    " image_crc32 = null"
)


MOST_NEWER = 1000
"""How many rows are read to count what is newer than a page that stands open."""


def _with(where: DetectionFilter, up_to_id: int | None) -> dict[str, Any]:
    return where.parameters() | ({} if up_to_id is None else {"up_to_id": up_to_id})


def _stored(row: sqlite3.Row) -> StoredDetection:
    detection = Detection(
        first_seen_utc=utc_seconds(row["first_seen_utc"]),
        last_seen_utc=utc_seconds(row["last_seen_utc"]),
        state=State(row["state"]),
        confidence=row["confidence"],
        votes=row["votes"],
        bbox_px=(row["bbox_left"], row["bbox_top"], row["bbox_right"], row["bbox_bottom"]),
        frame_width=row["frame_width"],
        frame_height=row["frame_height"],
        model=row["model"],
        too_small=bool(row["too_small"]),
    )
    image = None if row["image_day"] is None else _image(row)
    judged = None if row["judged_state"] is None else State(row["judged_state"])
    return StoredDetection(
        row["id"],
        row["stream_id"],
        row["stream"],
        row["owner_id"],
        detection,
        row["edited_by"],
        image,
        judged,
        row["reviewed_by"],
        row["reviewed_utc"],
    )


def _image(row: sqlite3.Row) -> StoredImage:
    return StoredImage(
        row["image_day"], row["image_offset"], row["image_size"], row["image_token"], crc32=row["image_crc32"]
    )


class Gone(NamedTuple):
    """How many were forgotten; the id of the last one, if there may be more."""

    number: int
    last_id: int | None = None


class Detections:
    """The statements about detections. Writes are single statements unless the caller is inside store.writing()."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def add(self, stream_id: int, detection: Detection, image: StoredImage | None = None) -> int:
        """Store a new detection; its id."""
        cursor = self.db.execute(
            "insert into detections (stream_id, first_seen_utc, last_seen_utc, state, confidence, votes,"
            " bbox_left, bbox_top, bbox_right, bbox_bottom, frame_width, frame_height, model, too_small,"
            " image_day, image_offset, image_size, image_token, image_crc32)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [stream_id, *_detection_values(detection), *_image_values(image)],
        )
        return int(cursor.lastrowid or 0)

    def update(self, detection_id: int, detection: Detection) -> bool:
        """Store what a detection has become; False if it was deleted meanwhile.

        When it was first seen stays (an index that is not touched costs nothing), and so does a state that a person
        corrected; then the new one is what the box judged. The time may be later than what the caller knows: the clock
        was put right.
        """
        cursor = self.db.execute(
            "update detections set last_seen_utc = max(first_seen_utc, ?),"
            " state = iif(edited_by is null, ?, state), confidence = iif(edited_by is null, ?, confidence),"
            " votes = ?, bbox_left = ?, bbox_top = ?, bbox_right = ?, bbox_bottom = ?,"
            " frame_width = ?, frame_height = ?, model = ?,"
            " too_small = iif(edited_by is null, ?, too_small),"
            " judged_state = iif(judged_state is null, null, ?) where id = ?",
            [*_detection_values(detection)[1:], detection.state.value, detection_id],
        )
        return cursor.rowcount == 1

    def set_image(self, detection_id: int, image: StoredImage | None) -> bool:
        """Store where the image of a detection lies; False if the detection was deleted meanwhile."""
        cursor = self.db.execute(
            "update detections set image_day = ?, image_offset = ?, image_size = ?, image_token = ?, image_crc32 = ?"
            " where id = ?",
            [*_image_values(image), detection_id],
        )
        return cursor.rowcount == 1

    def correct_state(self, detection_id: int, state: State, by: str, now_utc: float | None = None) -> bool:
        """A person says what the state really is; False if there is no such detection.

        now_utc: when; by that it is reviewed, too.

        What the box had judged stays on record, unless nobody knows it any more, or a person entered the detection.
        """
        reviewed = [None, None] if now_utc is None else [by, utc_text(now_utc)]
        cursor = self.db.execute(
            "update detections set"
            " judged_state = iif(edited_by is null and substr(model, 1, ?) <> ?, state, judged_state),"
            " state = ?, too_small = 0, edited_by = ?,"
            " reviewed_by = coalesce(?, reviewed_by), reviewed_utc = coalesce(?, reviewed_utc) where id = ?",
            [len(BY_HAND), BY_HAND, state.value, by, *reviewed, detection_id],
        )
        return cursor.rowcount == 1

    def review(self, detection_id: int, by: str | None, now_utc: float) -> bool:
        """A person looked at it, and leaves it as it is; by None: nobody has. False if that was known already."""
        at = None if by is None else utc_text(now_utc)
        cursor = self.db.execute(
            "update detections set reviewed_by = ?, reviewed_utc = ? where id = ? and (reviewed_utc is null) = ?",
            [by, at, detection_id, int(by is not None)],
        )
        return cursor.rowcount == 1

    def remove(self, detection_id: int) -> bool:
        """Remove a detection; its image is noted as still to be erased. False if there is none."""
        return self.db.execute("delete from detections where id = ?", [detection_id]).rowcount == 1

    def get(self, detection_id: int) -> StoredDetection | None:
        """The detection with this id."""
        row = self.db.execute(f"{_SELECT} where detections.id = ?", [detection_id]).fetchone()
        return _stored(row) if row else None

    def with_image(self, token: str) -> StoredDetection | None:
        """The detection whose image has this address."""
        row = self.db.execute(f"{_SELECT} where image_token = ?", [token]).fetchone()
        return _stored(row) if row else None

    def page(
        self, where: DetectionFilter, before_id: int | None = None, limit: int = 50, up_to_id: int | None = None
    ) -> list[StoredDetection]:
        """Detections newest first (by first seen), from the one that follows before_id on.

        If before_id was deleted meanwhile, the detection that arrived next says where the page begins.
        up_to_id: none that arrived after this one.
        """
        parameters = _with(where, up_to_id)
        before_utc = self._first_seen("id >= ? order by id", before_id)
        # Never both, here and below: an index is entered by one bound on each side.
        if before_utc is not None and before_utc < parameters.get("until", "~"):
            parameters |= {"before_utc": before_utc, "before_id": before_id}
            parameters.pop("until", None)
        return self._merged(parameters, limit)

    def page_after(
        self, where: DetectionFilter, after_id: int, limit: int = 50, up_to_id: int | None = None
    ) -> list[StoredDetection]:
        """The detections that follow after_id most closely, newest first: the page before this one.

        up_to_id: none that arrived after this one.
        """
        parameters = _with(where, up_to_id)
        after_utc = self._first_seen("id <= ? order by id desc", after_id)
        if after_utc is not None and after_utc >= parameters.get("since", ""):
            parameters |= {"after_utc": after_utc, "after_id": after_id}
            parameters.pop("since", None)
        return self._merged(parameters, limit, newest=False)[::-1]

    def newest_id(self) -> int:
        """The detection that arrived last; 0: there is none."""
        return int(self.db.execute("select coalesce(max(id), 0) as id from detections").fetchone()["id"])

    def newer(self, where: DetectionFilter, than_id: int) -> int | None:
        """How many arrived after than_id; None: so many that nobody should wait until they are counted."""
        if self.newest_id() - than_id > MOST_NEWER:
            return None
        parameters = where.parameters()
        sql = (
            "select count(*) as newer from detections not indexed where id > :than_id"  # the few rows of these ids
            f" and stream_id in (select streams.id {STREAMS} where {conditions(OF_STREAMS, parameters)})"
            f" and {conditions(OF_DETECTIONS, parameters)}"
        )
        return int(self.db.execute(sql, {**parameters, "than_id": than_id}).fetchone()["newer"])

    def _first_seen(self, at: str, detection_id: int | None) -> str | None:
        row = self.db.execute(f"select first_seen_utc from detections where {at} limit 1", [detection_id]).fetchone()
        return row and str(row["first_seen_utc"])

    def _merged(self, parameters: dict[str, Any], limit: int, newest: bool = True) -> list[StoredDetection]:
        """At most `limit` chosen detections, by when they were first seen, the newest (or the oldest) first.

        Each stream's come in this order from its index and are merged, so only those are read that are returned; and
        only of the streams whose first one says that they can be among these.
        """
        chosen, direction = conditions(OF_DETECTIONS, parameters), "desc" if newest else "asc"
        firsts = self.db.execute(
            f"select streams.id, (select first_seen_utc from detections where stream_id = streams.id and {chosen}"
            f" order by first_seen_utc {direction} limit 1) as first"
            f" {STREAMS} where {conditions(OF_STREAMS, parameters)} order by first {direction}",
            parameters,
        )
        streams = [(stream_id, first) for stream_id, first in firsts if first is not None]
        if len(streams) >= limit:
            last = streams[limit - 1][1]
            streams = [*streams[:limit], *itertools.takewhile(lambda stream: stream[1] == last, streams[limit:])]
            if newest:
                parameters["since"] = last
                chosen = conditions(OF_DETECTIONS, parameters)
        at_once = newest and len(streams) >= limit  # a statement that is still open is made anew for the next stream
        sql = (
            f"select first_seen_utc, id from detections where stream_id = :stream_id and {chosen}"
            f" order by first_seen_utc {direction}, id {direction} limit :limit"
        )
        of_each = (self.db.execute(sql, {**parameters, "stream_id": each, "limit": limit}) for each, _first in streams)
        rows = [each.fetchall() for each in of_each] if at_once else of_each
        ids = [row["id"] for row in itertools.islice(heapq.merge(*rows, key=tuple, reverse=newest), limit)]
        sql = f"{_SELECT} where detections.id in (select value from json_each(?))"
        found = {row["id"]: row for row in self.db.execute(sql, [json.dumps(ids)])}
        return [_stored(found[each]) for each in ids if each in found]

    def counts(self, where: DetectionFilter) -> Counts:
        """How many persons, by state, counted row by row; the index alone answers, without any sorting.

        For spans that are shorter than a quarter of an hour: see trends.py for all others.
        """
        if where.reviewed is False:
            return self.counts(replace(where, reviewed=None)).without(self.counts(replace(where, reviewed=True)))
        parameters = where.parameters()
        chosen = conditions(OF_DETECTIONS, parameters)
        of_each_state = ", ".join(
            f"coalesce(sum((select count(*) from detections where stream_id = streams.id and state = '{state.value}'"
            f" and {chosen})), 0) as {state.value}"
            for state in ([where.state] if where.state else State)
        )
        row = self.db.execute(
            f"select {of_each_state} {STREAMS} where {conditions(OF_STREAMS, parameters)}", parameters
        ).fetchone()
        return Counts(**row)

    def latest_with_image(self) -> StoredDetection | None:
        """The newest detection of the last day that has images."""
        newest = "from detections where stream_id = streams.id and image_day is not null order by image_day desc"
        row = self.db.execute(
            f"select (select image_day {newest} limit 1) as day, (select id {newest}, id desc limit 1) as id {STREAMS}"
            " order by day desc, 2 desc limit 1"
        ).fetchone()
        return self.get(row["id"]) if row and row["id"] else None

    def count_images(self, stream_id: int) -> int:
        """How many images there are of a stream's detections, with those beside them."""
        of_stream = "from detections where stream_id = :stream_id and image_day is not null"
        beside = f"from pictures where detection_id in (select id {of_stream})"
        counted = [
            self.db.execute(f"select count(*) as images {chosen}", {"stream_id": stream_id}).fetchone()["images"]
            for chosen in (of_stream, beside)
        ]
        return sum(counted)

    def all_images(self) -> list[StoredImage]:
        """Where every image lies, also those beside it, for `mb9k check`."""
        columns = "image_day, image_offset, image_size, image_token, image_crc32"
        rows = self.db.execute(
            f"select {columns} from detections where image_day is not null"
            f" union all select {columns} from pictures order by image_day, image_offset"
        )
        return [_image(row) for row in rows]

    def not_in_use(self, day: str, places: Sequence[Place]) -> list[Place]:
        """Those of some places in a day's file of which no byte belongs to the image of a detection.

        The others are of a file that somebody removed, or of a copy that was put back: what they meant is gone, and the
        file that has the name now holds others there.
        """
        among = "image_day = :day and image_offset < :end and image_offset + image_size > :start"
        images = self.db.execute(
            "select image_offset, image_size from detections"
            f" where stream_id in (select id from streams) and {among}"
            f" union all select image_offset, image_size from pictures where {among}",
            {"day": day, "end": max(each.end for each in places), "start": min(each.offset for each in places)},
        ).fetchall()
        return [place for place in places if not any(place.overlaps(offset, size) for offset, size in images)]

    def forget_images(self, day: str) -> int:
        """The day file goes: its detections have no image any more, nor what is beside it. How many had."""
        self.db.execute("delete from pictures where image_day = ?", [day])
        return self.db.execute(
            f"{_WITHOUT_IMAGE} where stream_id in (select id from streams) and image_day = ?",
            [day],
        ).rowcount

    def forget(self, stream_id: int, after_id: int, upto_id: int, limit: int) -> Gone:
        """Delete at most `limit` of a stream's detections with ids above after_id, up to upto_id, in their order.

        Their images are noted as still to be erased. Whether they are
        counted out is for the caller to say, see WithoutRow.
        """
        ids = self._ids("stream_id = ?", [stream_id], after_id, upto_id, limit)
        self.db.conn.executemany("delete from detections where id = ?", [(each,) for each in ids])
        return Gone(len(ids), ids[-1] if len(ids) == limit else None)

    def forget_images_of(self, stream_id: int, after_id: int, upto_id: int, limit: int) -> Gone:
        """The same for the images alone: these detections have none any more."""
        ids = self._ids("stream_id = ? and image_day is not null", [stream_id], after_id, upto_id, limit)
        self.db.conn.executemany(f"{_WITHOUT_IMAGE} where id = ?", [(each,) for each in ids])
        return Gone(len(ids), ids[-1] if len(ids) == limit else None)

    def _ids(self, chosen: str, parameters: list[Any], after_id: int, upto_id: int, limit: int) -> list[int]:
        rows = self.db.execute(
            # `+`: the ids that are new to this question are few, all of the stream are not.
            f"select id from detections where id > ? and id <= ? and +{chosen} order by id limit ?",
            [after_id, upto_id, *parameters, limit],
        )
        return [row["id"] for row in rows]

    def open_since(self, stream_id: int, since_utc: float) -> list[StoredDetection]:
        """Detections of a stream last seen since then: people who may still be in view after a restart."""
        rows = self.db.execute(
            f"{_SELECT} where stream_id = ? and last_seen_utc >= ? order by detections.id",
            [stream_id, utc_text(since_utc)],
        )
        return [_stored(row) for row in rows]


def _detection_values(detection: Detection) -> list[Any]:
    return [
        utc_text(detection.first_seen_utc),
        # The wall clock may have been set back meanwhile; a detection never ends before it begins.
        utc_text(max(detection.first_seen_utc, detection.last_seen_utc)),
        detection.state.value,
        detection.confidence,
        detection.votes,
        *detection.bbox_px,
        detection.frame_width,
        detection.frame_height,
        detection.model,
        # A row that the table refuses would keep all others waiting, too.
        int(detection.too_small and detection.state is State.UNKNOWN),
    ]


def _image_values(image: StoredImage | None) -> list[Any]:
    if image is None:
        return [None] * 5
    return [image.day, image.offset, image.size_bytes, image.token, image.crc32]
