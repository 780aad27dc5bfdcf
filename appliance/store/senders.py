"""Who meant to send to which stream: by the key that it had before, and by who was refused."""

from __future__ import annotations

from appliance.sqlite import Database
from appliance.store.streams import Refusal
from appliance.times import utc_text


class Senders:
    """The statements about those who are not let in."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def meant(self, key_sha256: str) -> int | None:
        """The stream (id) that this is the digest of an older key of; None: of none."""
        row = self.db.execute("select stream_id from old_keys where key_sha256 = ?", [key_sha256]).fetchone()
        return None if row is None else int(row["stream_id"])

    def refused(self, since_utc: float) -> dict[int, Refusal]:
        """The last who was refused at each stream (id) since then, where somebody was."""
        rows = self.db.execute(
            "select max(at_utc) as at_utc, remote, action, reason, times, stream_id from refusals"
            " where stream_id is not null and at_utc >= ? group by stream_id",  # SQLite: the row of the maximum
            [utc_text(since_utc)],
        )
        return {row["stream_id"]: Refusal(**row) for row in rows}

    def lost(self, limit: int) -> list[Refusal]:
        """The latest refusals of which it is not known what stream was meant, newest first."""
        rows = self.db.execute(
            "select at_utc, remote, action, reason, times, stream_id from refusals where stream_id is null"
            " order by at_utc desc limit ?",
            [limit],
        )
        return [Refusal(**row) for row in rows]
