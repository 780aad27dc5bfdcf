"""Many rows, to be handed on: in batches, each a short read of its own, so that nobody's writing waits for a reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from appliance.sqlite import Database
from appliance.store.filters import OF_DETECTIONS, OF_STREAMS, STREAMS, TITLE, DetectionFilter, conditions

Row = tuple[Any, ...]
After = tuple[str, int]
"""First seen (UTC text) and id of the row that was read last."""

_COLUMNS = """
    id, first_seen_utc, last_seen_utc, state, iif(too_small, 'too_small', null), round(confidence, 4), votes,
    round(bbox_left, 1), round(bbox_top, 1), round(bbox_right, 1), round(bbox_bottom, 1), frame_width, frame_height,
    model, edited_by, judged_state, image_size, image_day, image_offset, image_crc32
"""


@dataclass(frozen=True, slots=True)
class ExportedStream:
    """A stream whose rows are wanted. title: owner:name."""

    id: int
    owner_id: int
    title: str


class Exports:
    """The statements that read many rows."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def streams(self, where: DetectionFilter) -> list[ExportedStream]:
        """The streams of which the filter may let something through, by title."""
        parameters = where.parameters()
        rows = self.db.execute(
            f"select streams.id as id, owner_id, {TITLE} as title {STREAMS}"
            f" where {conditions(OF_STREAMS, parameters)} order by title, streams.id",
            parameters,
        )
        return [ExportedStream(**row) for row in rows]

    def detections(
        self, stream_id: int, where: DetectionFilter, after: tuple[str, int] | None, limit: int
    ) -> list[Row]:
        """Detections of a stream by first seen, then id: those that follow `after` (first seen, id).

        In a row: id, first and last seen (UTC text), state, why unknown, confidence, votes, bbox (left, top, right,
        bottom), frame width and height, model, edited by, judged before; of the image size, day, offset and CRC-32.
        """
        parameters = {**where.parameters(), "stream_id": stream_id, "limit": limit}
        if after:
            parameters |= {"after_utc": after[0], "after_id": after[1]}
            parameters.pop("since", None)  # one bound on each side: else the index is entered by the farther one
        cursor = self.db.conn.cursor()
        cursor.row_factory = None  # plain tuples: a row by names costs as much again
        return cursor.execute(
            f"select {_COLUMNS} from detections where stream_id = :stream_id"
            f" and {conditions(OF_DETECTIONS, parameters)} order by first_seen_utc, id limit :limit",
            parameters,
        ).fetchall()

    def next_quarter_utc(self, stream_id: int, since_utc: float) -> int | None:
        """When the first quarter of an hour since then begins of which a stream has sums; None: there is none."""
        sql = "select min(start_utc) as start_utc from quarters where stream_id = ? and start_utc >= ?"
        start_utc = self.db.execute(sql, [stream_id, int(since_utc)]).fetchone()["start_utc"]
        return None if start_utc is None else int(start_utc)
