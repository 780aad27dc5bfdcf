"""How old the images of a day are, and what the box knows of time."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from appliance.sqlite import Database
from appliance.times import Now, utc_seconds, utc_text

FIRST_DAY = "2026-01-01"  # there was no mb9k before
_NEWEST_ID = "(select coalesce(max(seq), 0) from sqlite_sequence where name = 'detections')"
STEADY_S = 60.0
"""A clock that differs by less from where it should be has run steadily."""


@dataclass(frozen=True, slots=True)
class ImageDay:
    """When a day file was last written to: by the running time of the box, and by the wall clock if believed then."""

    day: str
    size_bytes: int
    running_s: float
    utc: float | None


class WallClock(enum.Enum):
    """What is thought of the wall clock, in this start of the machine."""

    BELIEVED = "believed"
    UNKNOWN = "unknown"  # nobody has said yet that it is right
    LEAPT = "leapt"  # it was believed, and then went forward too far at once


@dataclass(frozen=True, slots=True)
class BoxClock:
    """Time as the record knows it.

    running_s: how long the machine has run in all. boot_id, uptime_s: when that was noted. utc: what the wall clock
    was when it was last believed, and the running time since; None: it never was. notice: what people must know.
    """

    running_s: float
    boot_id: str
    uptime_s: float
    utc: float | None
    wall_clock: WallClock
    notice: str | None = None

    def at(self, now: Now) -> BoxClock:
        """The same clock, gone on to this moment. While the machine was off it stood still."""
        same_boot = now.boot_id == self.boot_id
        passed_s = max(0.0, now.uptime_s - (self.uptime_s if same_boot else 0.0))
        return replace(
            self,
            running_s=self.running_s + passed_s,
            boot_id=now.boot_id,
            uptime_s=now.uptime_s,
            utc=None if self.utc is None else self.utc + passed_s,
            wall_clock=self.wall_clock if same_boot else WallClock.UNKNOWN,
        )

    def believes(self, now: Now) -> bool:
        """Whether the wall clock was believed in this start of the machine, and has run steadily since."""
        expected = self.at(now)
        if expected.wall_clock is not WallClock.BELIEVED or expected.utc is None:
            return False
        return abs(now.utc - expected.utc) < STEADY_S


class Ages:
    """The statements about ages. Writes are single statements unless the caller is inside store.writing()."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def clock(self) -> BoxClock | None:
        """The clock as it was noted last; None: never."""
        row = self.db.execute(
            "select running_s, boot_id, uptime_s, utc, wall_clock, notice from box_clock where id = 1"
        ).fetchone()
        if row is None:
            return None
        utc = None if row["utc"] is None else utc_seconds(row["utc"])
        return BoxClock(**{**row, "utc": utc, "wall_clock": WallClock(row["wall_clock"])})

    def note_clock(self, clock: BoxClock) -> None:
        """Note what the box knows of time."""
        self.db.execute(
            "insert or replace into box_clock (id, running_s, boot_id, uptime_s, utc, wall_clock, notice)"
            " values (1, ?, ?, ?, ?, ?, ?)",
            [clock.running_s, clock.boot_id, clock.uptime_s, _text(clock.utc), clock.wall_clock.value, clock.notice],
        )

    def believe(self, now: Now) -> None:
        """A person says that the wall clock is right."""
        noted = self.clock() or BoxClock(0.0, now.boot_id, now.uptime_s, None, WallClock.UNKNOWN)
        self.note_clock(replace(noted.at(now), utc=now.utc, wall_clock=WallClock.BELIEVED, notice=None))

    def believes(self, now: Now) -> bool:
        """Whether the wall clock is believed, as far as was noted."""
        clock = self.clock()
        return clock is not None and clock.believes(now)

    def image_days(self) -> dict[str, ImageDay]:
        """What is known of day files, by their day."""
        rows = self.db.execute("select day, size_bytes, running_s, utc from image_days")
        known = (ImageDay(**{**row, "utc": None if row["utc"] is None else utc_seconds(row["utc"])}) for row in rows)
        return {each.day: each for each in known}

    def note_image_day(self, day: ImageDay) -> None:
        """Note when a day file was written to."""
        self.db.execute(
            "insert or replace into image_days (day, size_bytes, running_s, utc) values (?, ?, ?, ?)",
            [day.day, day.size_bytes, day.running_s, _text(day.utc)],
        )

    def mark_detections(self, clock: BoxClock) -> None:
        """Note that the detections there are were there at this moment, if any came since the last mark."""
        believed_utc = clock.utc if clock.wall_clock is WallClock.BELIEVED else None
        self.db.execute(
            "insert into detection_ages (upto_id, running_s, utc)"
            f" select newest, ?, ? from (select {_NEWEST_ID} as newest)"
            " where newest > (select coalesce(max(upto_id), 0) from detection_ages)",
            [clock.running_s, _text(believed_utc)],
        )

    def mark_first_detections(self, clock: BoxClock) -> None:
        """Note how old the detections are that were there before ages were noted: by the end of the days they are of.

        If its image lies in the file of a later day, that one counts; of a day that follows an earlier one in the order
        of arrival, the later: nobody is taken for older.
        """
        image_day = "substr(image_day, 1, 4) || '-' || substr(image_day, 5, 2) || '-' || substr(image_day, 7)"
        rows = self.db.execute(
            f"select max(substr(last_seen_utc, 1, 10), coalesce({image_day}, '')) as day, max(id) as upto_id"
            " from detections group by 1 order by upto_id"
        ).fetchall()
        newest_utc = 0.0
        for row in rows:
            end_utc = utc_seconds(row["day"]) + 86400.0
            is_known = row["day"] >= FIRST_DAY and clock.utc is not None and end_utc - 86400.0 <= clock.utc
            newest_utc = max(newest_utc, end_utc if is_known else clock.utc or 0.0)
            self.db.execute(
                "insert into detection_ages (upto_id, running_s, utc) values (?, ?, ?)",
                [row["upto_id"], clock.running_s, _text(newest_utc or None)],
            )

    def has_marks(self) -> bool:
        """Whether ages of detections were ever noted."""
        return self.db.execute("select 1 from detection_ages limit 1").fetchone() is not None

    def last_older_than(self, span_s: float, clock: BoxClock) -> int:
        """The highest id of the detections that were there so long ago; 0: none was.

        By the running time of the box, or by the wall clock, if that was believed both then and now.
        """
        now_utc = clock.utc if clock.wall_clock is WallClock.BELIEVED else None
        row = self.db.execute(
            "select max(upto_id) as id from detection_ages where running_s < ? or utc < ?",
            [clock.running_s - span_s, _text(None if now_utc is None else now_utc - span_s)],
        ).fetchone()
        return int(row["id"] or 0)

    def forget_image_day(self, day: str) -> None:
        """Its file is gone."""
        self.db.execute("delete from image_days where day = ?", [day])


def _text(utc: float | None) -> str | None:
    return None if utc is None else utc_text(utc)
