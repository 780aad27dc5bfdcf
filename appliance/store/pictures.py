"""What is kept beside the image of a detection: the scene it was cut from, and the face at other moments."""

from __future__ import annotations

import enum
import sqlite3
from dataclasses import dataclass
from typing import Any

from appliance.faces import Bbox
from appliance.images import Place
from appliance.sqlite import Database
from appliance.times import utc_seconds, utc_text


class PictureKind(str, enum.Enum):
    """What a picture shows: all that the camera saw then, or the face alone."""

    SCENE = "scene"
    FACE = "face"


@dataclass(frozen=True, slots=True)
class StoredPicture(Place):
    """Where it lies, the unguessable part of its address, and of which moment it is (seconds since 1970).

    bbox: of a scene, where the face is in it, (left, top, right, bottom) from 0 to 1 of its sides.
    """

    token: str
    kind: PictureKind
    at_utc: float
    bbox: Bbox | None = None


_COLUMNS = (
    "detection_id, kind, at_utc, bbox_left, bbox_top, bbox_right, bbox_bottom,"
    " image_day, image_offset, image_size, image_token, image_crc32"
)


class Pictures:
    """The statements. A trigger notes each that is removed as still to be erased (review_schema.py)."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def add(self, detection_id: int, picture: StoredPicture) -> bool:
        """Store where one lies; False if the detection is gone, or its image is. Of scenes the last one stays."""
        if picture.kind is PictureKind.SCENE:
            self.db.execute("delete from pictures where detection_id = ? and kind = 'scene'", [detection_id])
        cursor = self.db.execute(
            f"insert into pictures ({_COLUMNS}) select id, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? from detections"
            " where id = ? and image_day is not null",
            [
                picture.kind.value,
                utc_text(picture.at_utc),
                *(picture.bbox or [None] * 4),
                picture.day,
                picture.offset,
                picture.size_bytes,
                picture.token,
                picture.crc32,
                detection_id,
            ],
        )
        return cursor.rowcount == 1

    def of(self, detection_id: int) -> list[StoredPicture]:
        """All of a detection, in the order in which they were taken."""
        rows = self.db.execute(f"select {_COLUMNS} from pictures where detection_id = ? order by id", [detection_id])
        return [_picture(row) for row in rows]

    def with_token(self, token: str) -> tuple[int, StoredPicture] | None:
        """The one with this address, behind the id of its detection."""
        row = self.db.execute(f"select {_COLUMNS} from pictures where image_token = ?", [token]).fetchone()
        return (row["detection_id"], _picture(row)) if row else None


def _picture(row: sqlite3.Row) -> StoredPicture:
    bbox: Any = tuple(row[f"bbox_{side}"] for side in ("left", "top", "right", "bottom"))
    return StoredPicture(
        row["image_day"],
        row["image_offset"],
        row["image_size"],
        row["image_token"],
        PictureKind(row["kind"]),
        utc_seconds(row["at_utc"]),
        None if bbox[0] is None else bbox,
        crc32=row["image_crc32"],
    )
