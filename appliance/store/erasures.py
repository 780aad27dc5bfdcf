"""Images that are still to be erased: their rows have gone, their bytes may not have."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.images import Place
from appliance.sqlite import Database


class Erasures:
    """The statements. A trigger enters whatever image a detection loses (schema.py)."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def add(self, place: Place) -> None:
        """An image that no detection ever had is to be erased."""
        self.db.execute(
            "insert into erasures (image_day, image_offset, image_size) values (?, ?, ?)",
            [place.day, place.offset, place.size_bytes],
        )

    def count(self) -> int:
        """How many wait."""
        return int(self.db.execute("select count(*) as images from erasures").fetchone()["images"])

    def oldest(self, limit: int) -> dict[int, Place]:
        """What is to be erased, by an id, the longest waiting first."""
        rows = self.db.execute(
            "select id, image_day, image_offset, image_size from erasures order by id limit ?", [limit]
        )
        return {row["id"]: Place(row["image_day"], row["image_offset"], row["image_size"]) for row in rows}

    def remove(self, ids: Sequence[int]) -> None:
        """They are erased, on the disk."""
        for erasure_id in ids:
            self.db.execute("delete from erasures where id = ?", [erasure_id])

    def postpone(self, ids: Sequence[int]) -> None:
        """They cannot be erased now: let the others go first."""
        for erasure_id in ids:
            self.db.execute(
                "insert into erasures (image_day, image_offset, image_size)"
                " select image_day, image_offset, image_size from erasures where id = ?",
                [erasure_id],
            )
        self.remove(ids)

    def forget_day(self, day: str) -> None:
        """The day's file is gone, and all in it."""
        self.db.execute("delete from erasures where image_day = ?", [day])
