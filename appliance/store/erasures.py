"""Images that are still to be erased: their rows have gone, their bytes may not have."""

from __future__ import annotations

from sqlite_utils import Database

from appliance.images import Place


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

    def oldest(self, limit: int) -> dict[int, Place]:
        """What is to be erased, by an id that rises, the longest waiting first."""
        rows = self.db.execute(
            "select id, image_day, image_offset, image_size from erasures order by id limit ?", [limit]
        )
        return {row["id"]: Place(row["image_day"], row["image_offset"], row["image_size"]) for row in rows}

    def remove_up_to(self, last_id: int) -> None:
        """All that waited up to this one is erased, on the disk."""
        self.db.execute("delete from erasures where id <= ?", [last_id])

    def forget_day(self, day: str) -> None:
        """The day's file is gone, and all in it."""
        self.db.execute("delete from erasures where image_day = ?", [day])
