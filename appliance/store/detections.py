"""The record: one detection per person who passed a camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlite_utils import Database

from appliance.faces import Bbox, Counts, Detection, State
from appliance.images import Place
from appliance.times import utc_seconds, utc_text


@dataclass(frozen=True, slots=True)
class StoredImage(Place):
    """Where the image of a detection lies, and the unguessable part of its address."""

    token: str


@dataclass(frozen=True, slots=True)
class StoredDetection:
    """A detection as kept, with its stream's title (owner:name)."""

    id: int
    stream_id: int
    stream: str
    owner_id: int
    detection: Detection
    edited_by: str | None
    image: StoredImage | None


@dataclass(frozen=True, slots=True)
class DetectionFilter:
    """Which detections: every field that is not None (or empty) must hold.

    since_utc <= first seen < until_utc, in seconds since 1970; search: part of owner:name, in any case.
    """

    stream_id: int | None = None
    state: State | None = None
    since_utc: float | None = None
    until_utc: float | None = None
    search: str = ""

    def parameters(self) -> dict[str, Any]:
        """The values of the placeholders in _WHERE."""
        return {
            "stream_id": self.stream_id,
            "state": self.state.value if self.state else None,
            "since": None if self.since_utc is None else utc_text(self.since_utc),
            "until": None if self.until_utc is None else utc_text(self.until_utc),
            "search": self.search,
        }


_WHERE = """
    where (:stream_id is null or detections.stream_id = :stream_id)
      and (:state is null or state = :state)
      and (:since is null or first_seen_utc >= :since)
      and (:until is null or first_seen_utc < :until)
      and (:search = '' or instr(lower(people.name || ':' || streams.name), lower(:search)))
"""
_CONDITIONS = {
    "stream_id": "stream_id = :stream_id",
    "state": "state = :state",
    "since": "first_seen_utc >= :since",
    "until": "first_seen_utc < :until",
}
_FROM = """
    from detections join streams on streams.id = detections.stream_id join people on people.id = owner_id
"""
_SELECT = f"""
    select detections.id, detections.stream_id, people.name || ':' || streams.name, owner_id,
      first_seen_utc, last_seen_utc, state, confidence, votes,
      box_left, box_top, box_right, box_bottom, frame_width, frame_height, model,
      edited_by, image_day, image_offset, image_size, image_token
    {_FROM}
"""


def _stored(row: Sequence[Any]) -> StoredDetection:
    detection = Detection(
        first_seen_utc=utc_seconds(row[4]),
        last_seen_utc=utc_seconds(row[5]),
        state=State(row[6]),
        confidence=row[7],
        votes=row[8],
        bbox_px=(row[9], row[10], row[11], row[12]),
        frame_width=row[13],
        frame_height=row[14],
        model=row[15],
    )
    image = None if row[17] is None else StoredImage(row[17], row[18], row[19], row[20])
    return StoredDetection(row[0], row[1], row[2], row[3], detection, row[16], image)


class Detections:
    """The statements about detections. Writes are single statements unless the caller is inside store.writing()."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def add(self, stream_id: int, detection: Detection, image: StoredImage | None = None) -> int:
        """Store a new detection; its id."""
        cursor = self.db.execute(
            "insert into detections (stream_id, first_seen_utc, last_seen_utc, state, confidence, votes,"
            " box_left, box_top, box_right, box_bottom, frame_width, frame_height, model,"
            " image_day, image_offset, image_size, image_token)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [stream_id, *_detection_values(detection), *_image_values(image)],
        )
        return int(cursor.lastrowid or 0)

    def update(self, detection_id: int, detection: Detection) -> bool:
        """Store what a detection has become; False if it was deleted meanwhile.

        A state that a person corrected stays as the person put it.
        """
        cursor = self.db.execute(
            "update detections set first_seen_utc = ?, last_seen_utc = ?,"
            " state = iif(edited_by is null, ?, state), confidence = iif(edited_by is null, ?, confidence),"
            " votes = ?, box_left = ?, box_top = ?, box_right = ?, box_bottom = ?,"
            " frame_width = ?, frame_height = ?, model = ? where id = ?",
            [*_detection_values(detection), detection_id],
        )
        return cursor.rowcount == 1

    def set_image(self, detection_id: int, image: StoredImage | None) -> bool:
        """Store where the image of a detection lies; False if the detection was deleted meanwhile."""
        cursor = self.db.execute(
            "update detections set image_day = ?, image_offset = ?, image_size = ?, image_token = ? where id = ?",
            [*_image_values(image), detection_id],
        )
        return cursor.rowcount == 1

    def correct_state(self, detection_id: int, state: State, by: str) -> bool:
        """A person says what the state really is; False if there is no such detection."""
        cursor = self.db.execute(
            "update detections set state = ?, edited_by = ? where id = ?", [state.value, by, detection_id]
        )
        return cursor.rowcount == 1

    def remove(self, detection_id: int) -> bool:
        """Remove a detection; the caller erases its image first. False if there is none."""
        return self.db.execute("delete from detections where id = ?", [detection_id]).rowcount == 1

    def get(self, detection_id: int) -> StoredDetection | None:
        """The detection with this id."""
        row = self.db.execute(f"{_SELECT} where detections.id = ?", [detection_id]).fetchone()
        return _stored(row) if row else None

    def with_image(self, token: str) -> StoredDetection | None:
        """The detection whose image has this address."""
        row = self.db.execute(f"{_SELECT} where image_token = ?", [token]).fetchone()
        return _stored(row) if row else None

    def page(self, wanted: DetectionFilter, before_id: int | None = None, limit: int = 50) -> list[StoredDetection]:
        """Detections with ids below before_id, newest first."""
        rows = self.db.execute(
            f"{_SELECT} {_WHERE} and (:before is null or detections.id < :before)"
            " order by detections.id desc limit :limit",
            {**wanted.parameters(), "before": before_id, "limit": limit},
        )
        return [_stored(row) for row in rows]

    def page_after(self, wanted: DetectionFilter, after_id: int, limit: int = 50) -> list[StoredDetection]:
        """The detections that follow after_id most closely, newest first: the page before this one."""
        rows = self.db.execute(
            f"{_SELECT} {_WHERE} and detections.id > :after order by detections.id limit :limit",
            {**wanted.parameters(), "after": after_id, "limit": limit},
        )
        return [_stored(row) for row in rows][::-1]

    def counts(self, wanted: DetectionFilter) -> Counts:
        """How many persons, by state."""
        parameters = wanted.parameters()
        if wanted.search:
            sql = f"select state, count(*) {_FROM} {_WHERE} group by state"
        else:
            # Only the conditions that are asked for, so that an index answers alone: pages ask this every 5 s.
            # The `+` keeps SQLite from reading every row ever, in the order of the states.
            asked = " and ".join(sql for name, sql in _CONDITIONS.items() if parameters[name] is not None)
            where = f"where {asked} group by +state" if asked else "group by state"
            sql = f"select state, count(*) from detections {where}"
        rows = self.db.execute(sql, parameters)
        return Counts(**{str(row[0]): int(row[1]) for row in rows})

    def counts_by_hour(self, since_utc: float) -> dict[float, Counts]:
        """How many persons of each hour (UTC) were first seen since then; hours without any are left out.

        The keys are the hours' beginnings in seconds since 1970.
        """
        rows = self.db.execute(
            "select substr(first_seen_utc, 1, 13), state, count(*) from detections where first_seen_utc >= ?"
            " group by 1, 2",
            [utc_text(since_utc)],
        )
        hours: dict[float, dict[str, int]] = {}
        for hour, state, count in rows:
            hours.setdefault(utc_seconds(f"{hour}:00"), {})[str(state)] = int(count)
        return {hour: Counts(**by_state) for hour, by_state in hours.items()}

    def latest_with_image(self, wanted: DetectionFilter) -> StoredDetection | None:
        """The newest detection that has an image."""
        row = self.db.execute(
            f"{_SELECT} {_WHERE} and image_token is not null order by detections.id desc limit 1",
            wanted.parameters(),
        ).fetchone()
        return _stored(row) if row else None

    def images_of_stream(self, stream_id: int) -> list[StoredImage]:
        """Where the images of a stream's detections lie."""
        rows = self.db.execute(
            "select image_day, image_offset, image_size, image_token from detections"
            " where stream_id = ? and image_day is not null",
            [stream_id],
        )
        return [StoredImage(*row) for row in rows]

    def all_images(self) -> list[StoredImage]:
        """Where every image lies, for `mb9k check`."""
        rows = self.db.execute(
            "select image_day, image_offset, image_size, image_token from detections where image_day is not null"
            " order by image_day, image_offset"
        )
        return [StoredImage(*row) for row in rows]

    def forget_images(self, day: str) -> int:
        """The day file is gone: its detections have no image any more. How many had."""
        return self.db.execute(
            "update detections set image_day = null, image_offset = null, image_size = null, image_token = null"
            " where image_day = ?",
            [day],
        ).rowcount

    def open_since(self, stream_id: int, since_utc: float) -> list[StoredDetection]:
        """Detections of a stream last seen since then: people who may still be in view after a restart."""
        rows = self.db.execute(
            f"{_SELECT} where detections.stream_id = ? and last_seen_utc >= ? order by detections.id",
            [stream_id, utc_text(since_utc)],
        )
        return [_stored(row) for row in rows]


def _detection_values(detection: Detection) -> list[Any]:
    box: Bbox = detection.bbox_px
    return [
        utc_text(detection.first_seen_utc),
        # The wall clock may have been set back meanwhile; a detection never ends before it begins.
        utc_text(max(detection.first_seen_utc, detection.last_seen_utc)),
        detection.state.value,
        detection.confidence,
        detection.votes,
        *box,
        detection.frame_width,
        detection.frame_height,
        detection.model,
    ]


def _image_values(image: StoredImage | None) -> list[Any]:
    return [None] * 4 if image is None else [image.day, image.offset, image.size_bytes, image.token]
