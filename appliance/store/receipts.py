"""Receipts: what was deleted, how much, when and by whom; and since when nothing of it is left on the disk.

The digest is the SHA-256 over one line for each detection that was deleted, in the order of their ids, in UTF-8, each
ended by a line feed: `id,first_seen_utc,last_seen_utc,state,image_crc32`, the times as the record and the export have
them, the last one empty where there was no image. Whoever has an export or a copy can show by it that these were the
ones; from the digest alone nobody learns anything of them. Of a person who could sign in it is over one such line,
`id,name,role,created_utc`.
"""

from __future__ import annotations

import enum
import hashlib
import sqlite3
from dataclasses import dataclass

from appliance.accounts.people import Person
from appliance.sqlite import Database
from appliance.times import utc_text


class Kind(str, enum.Enum):
    """What was deleted."""

    STREAM = "stream"
    DETECTION = "detection"
    IMAGES = "images"
    STATISTICS = "statistics"  # all that is finer than the sums of a box that keeps statistics only
    PERSON = "person"  # who may sign in, with sessions and tokens


@dataclass(frozen=True, slots=True)
class Deleted:
    """How much was deleted. sha256: see above, 64 hex digits."""

    detections: int
    images: int
    image_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """One deletion. title: what it was called. by_name: who did it; empty: at the command line of the box.

    finished_utc: since when its bytes are overwritten and gone from the write-ahead log; None: not yet.
    """

    id: int
    kind: Kind
    title: str
    by_name: str
    at_utc: str
    deleted: Deleted
    finished_utc: str | None


class Receipts:
    """The statements. Writes are single statements unless the caller is inside store.writing()."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def measure(self, chosen: str = "true", *parameters: int | str) -> Deleted:
        """What is about to be deleted, in the same transaction: all detections that are `chosen` (in SQL)."""
        digest, detections, images, image_bytes = hashlib.sha256(), 0, 0, 0
        rows = self.db.execute(
            "select id, first_seen_utc, last_seen_utc, state, image_size, image_crc32 from detections"
            f" where {chosen} order by id",
            parameters,
        )
        for row in rows:
            crc32 = "" if row["image_crc32"] is None else row["image_crc32"]
            line = f"{row['id']},{row['first_seen_utc']},{row['last_seen_utc']},{row['state']},{crc32}\n"
            digest.update(line.encode())
            detections += 1
            images += row["image_size"] is not None
            image_bytes += row["image_size"] or 0
        beside = self.db.execute(
            "select count(*) as images, coalesce(sum(image_size), 0) as bytes from pictures"
            f" where detection_id in (select id from detections where {chosen})",
            parameters,
        ).fetchone()
        images, image_bytes = images + beside["images"], image_bytes + beside["bytes"]
        return Deleted(detections, images, image_bytes, digest.hexdigest())

    def measure_person(self, person: Person) -> Deleted:
        """Of somebody who could sign in: no detection and no image, since streams go to somebody else before."""
        line = f"{person.id},{person.name},{person.role.value},{person.created_utc}\n"
        return Deleted(0, 0, 0, hashlib.sha256(line.encode()).hexdigest())

    def add(self, kind: Kind, title: str, by_name: str, deleted: Deleted, now_utc: float) -> int:
        """Enter one; its id."""
        cursor = self.db.execute(
            "insert into receipts (kind, title, by_name, at_utc, detections, images, image_bytes, sha256)"
            " values (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                kind.value, title, by_name, utc_text(now_utc),
                deleted.detections, deleted.images, deleted.image_bytes, deleted.sha256,
            ],
        )  # fmt: skip
        return int(cursor.lastrowid or 0)

    def get(self, receipt_id: int) -> Receipt | None:
        """The receipt with this id."""
        row = self.db.execute("select * from receipts where id = ?", [receipt_id]).fetchone()
        return _receipt(row) if row else None

    def newest(self, by_name: str | None = None, limit: int = 100) -> list[Receipt]:
        """The latest receipts, newest first; by_name: only those of this person."""
        only = "" if by_name is None else " where by_name = :by_name"
        rows = self.db.execute(
            f"select * from receipts{only} order by id desc limit :limit", {"by_name": by_name, "limit": limit}
        )
        return [_receipt(row) for row in rows]

    def unfinished(self) -> int:
        """The highest id of those of which something may still be on the disk; 0: of none."""
        row = self.db.execute("select max(id) as id from receipts where finished_utc is null").fetchone()
        return int(row["id"] or 0)

    def finish(self, upto_id: int, now_utc: float) -> None:
        """Nothing is left on the disk of what these, up to upto_id, are about."""
        self.db.execute(
            "update receipts set finished_utc = ? where id <= ? and finished_utc is null", [utc_text(now_utc), upto_id]
        )


def _receipt(row: sqlite3.Row) -> Receipt:
    deleted = Deleted(row["detections"], row["images"], row["image_bytes"], row["sha256"])
    return Receipt(
        row["id"], Kind(row["kind"]), row["title"], row["by_name"], row["at_utc"], deleted, row["finished_utc"]
    )
