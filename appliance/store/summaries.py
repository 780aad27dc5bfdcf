"""The sums that a centre is told: how far it has them, and what it must be told next.

Triggers keep them with the detections, in the same transaction (summaries_schema.py). Here is all else: a new epoch at
every start, how long streams were watched, times that are put right once the clock is believed, and the outbox, which is
the same rows: what has a higher number than the centre's watermark is still to be told.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from sqlite_utils import Database

from appliance.messages import Row
from appliance.times import Now

STEP_S = 10.0
"""A wall clock that differs by more from where it should be has been set; minutes do not notice less."""
SLACK_S = 60.0  # a person is recorded a moment after being seen
MOVED_AT_ONCE, ROWS_AT_ONCE = 1000, 10_000  # a transaction must not keep others waiting
NUMBERS_SKIPPED = 1000  # more streams than anybody adds between a copy and its return
LATEST_UTC = 2**33
"""What a message can tell; detections can be entered by hand for any time from the year 1 to 9999."""


@dataclass(frozen=True, slots=True)
class EpochState:
    """How far an epoch is: seq, of its last change; acked: up to where the centre has it."""

    id: str
    seq: int
    acked: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """What the centre does not have yet. minutes: of all streams together; oldest_utc: when the first of them began."""

    rows: int
    minutes: int
    epochs: int
    oldest_utc: int | None


@dataclass(frozen=True, slots=True)
class _Start:
    """An epoch by its clock: zero_utc is what that clock would have said when the machine started."""

    number: int
    zero_utc: float
    verified: bool
    after_id: int

    def said(self, utc: float, now: Now) -> bool:
        """Whether this clock can have said so since the machine started."""
        return -SLACK_S <= utc - self.zero_utc <= now.uptime_s + SLACK_S


_NEWEST = "(select max(number) from epochs)"
_NUMBER = "(select max(number) from stream_numbers where stream_id = streams.id)"
_START_UTC = "started_utc + 60 * minute"
_ROW = (
    f"select epochs.id as epoch, stream, minute, {_START_UTC} as start_utc, summaries.seq as seq, watched_s,"
    " mask, no_mask, incorrect, unknown, summaries.verified as verified"
)
_TOLD = f"{_START_UTC} between 0 and {LATEST_UTC}"


class Summaries:
    """The statements about sums. Those that write belong inside store.writing()."""

    def __init__(self, db: Database) -> None:
        self.db = db

    # What a box does by itself

    def begin_epoch(self, now: Now, believed: bool) -> str:
        """Begin a new epoch, in which all is counted from now on; its id. believed: whether the wall clock is."""
        started_utc = int(now.utc // 60) * 60
        epoch_id = secrets.token_hex(8)
        self.db.execute(
            "insert into epochs (id, boot_id, uptime_s, started_utc, verified, after_id)"
            " values (?, ?, ?, ?, ?, coalesce((select seq from sqlite_sequence where name = 'detections'), 0))",
            [epoch_id, now.boot_id, now.uptime_s - (now.utc - started_utc), started_utc, int(believed)],
        )
        return epoch_id

    def follow_clock(self, now: Now, believed: bool) -> str | None:
        """Begin a new epoch if the wall clock was set since the newest began, so that an epoch has one clock."""
        row = self.db.execute(f"select boot_id, uptime_s, started_utc from epochs where number = {_NEWEST}").fetchone()
        if row["boot_id"] == now.boot_id:
            leap_s = now.utc - now.uptime_s - (row["started_utc"] - row["uptime_s"])
            if abs(leap_s) <= STEP_S:
                return None
        return self.begin_epoch(now, believed)

    def add_watched(self, seconds_by_stream: Mapping[int, int], now: Now) -> None:
        """Streams (by id) were LIVE and judged for so many seconds of the minute of `now`, however many passed."""
        for stream_id, watched_s in seconds_by_stream.items():
            self._add_watched(_NUMBER, stream_id, int(now.utc // 60) * 60, watched_s)

    def _add_watched(self, number: str, of: int, start_utc: int, watched_s: int) -> None:
        """number: SQL for the stream's number; of: the id of the stream that must be there for that."""
        seq = self._next_seq()
        self.db.execute(
            "insert into summaries (epoch, stream, minute, verified, watched_s, seq)"
            f" select epochs.number, {number}, (? - started_utc) / 60, verified, ?, ?"
            f" from epochs join streams on streams.id = ? where epochs.number = {_NEWEST}"
            " on conflict (epoch, stream, minute) do update"
            " set watched_s = watched_s + excluded.watched_s, seq = excluded.seq",
            [start_utc, watched_s, seq, of],
        )

    def _next_seq(self) -> int:
        self.db.execute(f"update epochs set seq = seq + 1 where number = {_NEWEST}")
        return int(self.db.execute(f"select seq from epochs where number = {_NEWEST}").fetchone()["seq"])

    def correct_clock(self, now: Now) -> bool:
        """Put right what was written in this start of the machine while its clock was not believed; it is now.

        Does a part at a time: whether there is more to do. Raises sqlite3.Error.
        """
        raise NotImplementedError

    def forget_old(self, before_utc: float) -> int:
        """Forget sums of minutes before this; how many rows. At most ROWS_AT_ONCE: call it again if so many."""
        raise NotImplementedError

    # What its centre is told

    def newest_epoch(self) -> str | None:
        """The epoch in which all is counted now."""
        row = self.db.execute(f"select id from epochs where number = {_NEWEST}").fetchone()
        return row and str(row["id"])

    def tops(self) -> dict[str, int]:
        """The highest seq of every epoch that still has rows, the newest epoch first."""
        rows = self.db.execute(
            "select id, seq from epochs where exists (select 1 from summaries where epoch = number)"
            " order by number desc"
        )
        return {row["id"]: row["seq"] for row in rows}

    def behind(self, limit: int) -> list[EpochState]:
        """Epochs of which the centre has not everything, the newest first."""
        rows = self.db.execute(
            "select id, seq, acked from epochs where acked < seq order by number desc limit ?", [limit]
        )
        return [EpochState(**row) for row in rows]

    def range_after(self, epoch: str, after: int, limit: int) -> tuple[list[Row], int]:
        """Rows of an epoch in the order of their seq, from after `after`; and up to which seq these are all.

        Fewer rows than `limit` are the rest: up to the epoch's last seq. For an epoch that is not there: none, `after`.
        """
        rows = self.db.execute(
            f"{_ROW} from epochs join summaries on epoch = number"
            f" where epochs.id = ? and summaries.seq > ? order by summaries.seq limit ?",
            [epoch, after, limit],
        ).fetchall()
        if len(rows) == limit:
            upto = rows[-1]["seq"]
        else:
            row = self.db.execute("select seq from epochs where id = ?", [epoch]).fetchone()
            upto = max(after, row["seq"]) if row else after
        return [_row(row) for row in rows if 0 <= row["start_utc"] <= LATEST_UTC], upto

    def newest_rows(self, since_utc: float, limit: int) -> dict[str, list[Row]]:
        """Rows of minutes that began since then and that the centre has not, the newest minutes first, by epoch."""
        rows = self.db.execute(
            f"{_ROW} from epochs cross join stream_numbers cross join summaries"
            " on epoch = epochs.number and stream = stream_numbers.number and minute >= (? - started_utc) / 60"
            f" where acked < epochs.seq and summaries.seq > acked and {_START_UTC} between ? and {LATEST_UTC}"
            " order by start_utc desc, summaries.seq desc limit ?",
            [int(since_utc), max(0, int(since_utc)), limit],
        )
        found: dict[str, list[Row]] = {}
        for row in rows:
            found.setdefault(row["epoch"], []).append(_row(row))
        return found

    def note_watermarks(self, upto: Mapping[str, int]) -> bool:
        """Up to where the centre has these epochs. Whether it has less of one than it had: it lost rows.

        An epoch that is not there is no matter, and no watermark is above what there is.
        """
        rewound = False
        for epoch, watermark in upto.items():
            row = self.db.execute("select seq, acked from epochs where id = ?", [epoch]).fetchone()
            if row and (acked := min(watermark, row["seq"])) != row["acked"]:
                rewound = rewound or acked < row["acked"]
                self.db.execute("update epochs set acked = ? where id = ?", [acked, epoch])
        return rewound

    def forget_watermarks(self) -> None:
        """Tell everything again: somebody asked for it, or this is another centre."""
        self.db.execute("update epochs set acked = 0 where acked > 0")

    def backlog(self) -> Backlog:
        """How much the centre does not have yet."""
        row = self.db.execute(
            f"select count(*) as rows, count(distinct {_START_UTC}) as minutes, count(distinct epoch) as epochs,"
            f" min({_START_UTC}) as oldest_utc"
            " from epochs cross join summaries on epoch = number and summaries.seq > acked where acked < epochs.seq"
        ).fetchone()
        return Backlog(**row)

    def numbers(self) -> dict[int, int]:
        """The numbers of the streams there are now, by stream id."""
        return {row["id"]: row["number"] for row in self.db.execute(f"select id, {_NUMBER} as number from streams")}

    def streams(self) -> dict[int, str]:
        """The streams there are now: their names, without the owner, by number."""
        rows = self.db.execute(f"select {_NUMBER} as number, name from streams order by number")
        return {row["number"]: row["name"] for row in rows}

    def stream_ids(self) -> dict[int, int]:
        """The streams there are now: their ids by number."""
        rows = self.db.execute(f"select {_NUMBER} as number, id from streams order by number")
        return {row["number"]: row["id"] for row in rows}


def _row(row: sqlite3.Row) -> Row:
    return Row(**{name: row[name] for name in Row.__struct_fields__})
