"""Places where a face does not move (appliance/faces.py), so that they are known after a restart."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.faces import StillPlace
from appliance.sqlite import Database


class StillPlaces:
    """The statements. Streams are given by id. Those that write belong inside store.writing()."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def of(self, stream_id: int) -> tuple[StillPlace, ...]:
        """Those of a stream."""
        rows = self.db.execute("select * from still_places where stream_id = ? order by number", [stream_id])
        sides = ("bbox_left", "bbox_top", "bbox_right", "bbox_bottom")
        return tuple(
            StillPlace((row[sides[0]], row[sides[1]], row[sides[2]], row[sides[3]]), row["still_s"], row["unseen_s"])
            for row in rows
        )

    def put(self, stream_id: int, places: Sequence[StillPlace]) -> None:
        """A stream has these, and no others. Nothing is kept of one that was removed meanwhile."""
        self.db.execute("delete from still_places where stream_id = ?", [stream_id])
        self.db.conn.executemany(
            "insert into still_places"
            " (stream_id, number, bbox_left, bbox_top, bbox_right, bbox_bottom, still_s, unseen_s)"
            " select ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 where exists (select 1 from streams where id = ?1)",
            [[stream_id, number, *place.bbox, place.still_s, place.unseen_s] for number, place in enumerate(places)],
        )

    def forget_all(self) -> None:
        """Those of all streams."""
        self.db.execute("delete from still_places")
