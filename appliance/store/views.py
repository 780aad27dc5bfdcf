"""Views: what each camera looks at, as the box learned it. What the bytes are, vision/looking/view.py knows."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.sqlite import Database
from appliance.times import utc_text


@dataclass(frozen=True, slots=True)
class StoredView:
    """What is stored of one. asked: how often somebody said that it is another now. learned: None: nothing yet."""

    asked: int = 0
    learned: bytes | None = None
    learned_utc: str | None = None


class Views:
    """The statements. Writes are single statements unless the caller is inside store.writing()."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def get(self, stream_id: int) -> StoredView:
        """That of a stream."""
        row = self.db.execute(
            "select asked, learned, learned_utc from views where stream_id = ?", [stream_id]
        ).fetchone()
        return StoredView(**row) if row else StoredView()

    def asked(self) -> dict[int, int]:
        """How often somebody said that the view is another now, by the stream (id); 0 where it is not in."""
        return {row["stream_id"]: row["asked"] for row in self.db.execute("select stream_id, asked from views")}

    def learn_again(self, stream_id: int) -> None:
        """Its view is another now: what was learned goes, and what was wrong by that is wrong no more."""
        self.db.execute(
            "insert into views (stream_id, asked) values (?, 1)"
            " on conflict (stream_id) do update set asked = asked + 1, learned = null, learned_utc = null",
            [stream_id],
        )
        self.db.execute(
            "update stream_status set picture_fault = null, picture_fault_since_utc = null where stream_id = ?",
            [stream_id],
        )

    def keep(self, stream_id: int, asked: int, learned: bytes, now_utc: float) -> None:
        """Keep what was learned, unless somebody has said since that it is another, or statistics only are kept."""
        self.db.execute(
            "insert into views (stream_id, asked, learned, learned_utc)"
            " select :stream_id, :asked, :learned, :now_utc where not exists (select 1 from privacy)"
            "   and exists (select 1 from streams where id = :stream_id)"
            " on conflict (stream_id) do update set learned = excluded.learned,"
            "   learned_utc = coalesce(learned_utc, excluded.learned_utc) where asked = :asked",
            {"stream_id": stream_id, "asked": asked, "learned": learned, "now_utc": utc_text(now_utc)},
        )

    def forget_all(self) -> None:
        """Nothing of any is kept."""
        self.db.execute("update views set learned = null, learned_utc = null")
