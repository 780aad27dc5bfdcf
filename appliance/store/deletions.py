"""Streams that are being deleted step by step: their rows go a few at a time, so that nobody waits for the store.

For people such a stream is gone from the first step on: no other statement finds it, nor its detections (filters.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.sqlite import Database

_GONE = "\x7fdeleted under receipt"
"""How the name and the key of such a stream begin. No name holds what cannot be printed, so each is free again."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a deletion is. left, total: detections, or images. title: of the stream, as it was."""

    receipt_id: int
    title: str
    left: int
    total: int

    @property
    def done(self) -> int:
        """How many are gone."""
        return max(0, self.total - self.left)


class Deletions:
    """The statements. Writes belong inside store.writing()."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def begin(self, stream_id: int, receipt_id: int) -> None:
        """It is gone for people, for who sends to it, and for the watcher. Its name is free for another."""
        gone = f"{_GONE} {receipt_id}"
        self.db.execute(
            "update streams set receipt_id = ?, active = 0, name = ?, key_sha256 = ?, source_url = null,"
            " watch_url = null where id = ?",
            [receipt_id, gone, gone, stream_id],
        )
        self.db.execute("delete from old_keys where stream_id = ?", [stream_id])

    def oldest(self) -> int | None:
        """The stream (id) whose deletion began first, of those under way; None: none is."""
        row = self.db.execute(
            "select id from streams where receipt_id is not null order by receipt_id limit 1"
        ).fetchone()
        return None if row is None else int(row["id"])

    def take(self, stream_id: int, limit: int) -> int:
        """Delete the first of a stream's detections, at most `limit`; how many. Their images are to be erased then."""
        return self.db.execute(
            "delete from detections where id in (select id from detections where stream_id = ? limit ?)",
            [stream_id, limit],
        ).rowcount

    def under_way(self) -> bool:
        """Whether there is any."""
        return self.oldest() is not None

    def of_owner(self, person_id: int) -> bool:
        """Whether a stream of this person is still being deleted."""
        sql = "select 1 from streams where receipt_id is not null and owner_id = ? limit 1"
        return self.db.execute(sql, [person_id]).fetchone() is not None

    def images_left(self, receipt_id: int) -> int:
        """How many images the detections still have that are being deleted under this receipt."""
        row = self.db.execute(
            "select count(*) as images from detections where image_day is not null"
            " and stream_id in (select id from streams where receipt_id = ?)",
            [receipt_id],
        ).fetchone()
        return int(row["images"])

    def progress(self, by_name: str | None = None, receipt_id: int | None = None) -> list[Progress]:
        """How far those under way are, the oldest first; by_name: only those of this person; or of one receipt."""
        rows = self.db.execute(
            "select receipts.id as receipt_id, title, detections as total,"
            " (select count(*) from detections where stream_id = streams.id) as left"
            " from streams join receipts on receipts.id = streams.receipt_id"
            " where (:by_name is null or by_name = :by_name) and (:receipt_id is null or receipts.id = :receipt_id)"
            " order by receipts.id",
            {"by_name": by_name, "receipt_id": receipt_id},
        )
        return [Progress(**row) for row in rows]
