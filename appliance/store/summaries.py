"""The sums that a centre is told: how far it has them, and what it must be told next.

Triggers keep them with the detections, in the same transaction (summaries_schema.py). Here is all else: a new epoch at
every start, how long streams were watched, times that are put right with the clock, and the outbox, which is the same
rows: what has a higher number than the centre's watermark is still to be told.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from appliance.errors import InputError
from appliance.faces import Counts, State
from appliance.language import _
from appliance.messages import Row
from appliance.sqlite import Database
from appliance.store.summaries_schema import BY_HAND, MINUTE_START
from appliance.times import Now

STEP_S = 10.0
"""A wall clock that differs by more from where it should be was set; minutes do not notice less."""
FORGOTTEN_AT_ONCE = 10_000  # a transaction must not keep others waiting
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


_NEWEST = "(select max(number) from epochs)"
_NUMBER = "(select max(number) from stream_numbers where stream_id = streams.id)"
_START_UTC = "started_utc + 60 * minute"
_ROW = (
    f"select epochs.id as epoch, stream, minute, {_START_UTC} as start_utc, summaries.seq as seq, watched_s,"
    " mask, no_mask, incorrect, unknown, epochs.verified as verified"
)
_TOLD = f"{_START_UTC} between 0 and {LATEST_UTC}"

_STATES = [state.value for state in State]
_DIFFERENCES = f"""
      select stream, start_utc, {", ".join(f"sum({state}) as {state}" for state in _STATES)} from (
        select stream, {_START_UTC} as start_utc, {", ".join(_STATES)} from epochs join summaries on epoch = number
        union all
        select number, cast({MINUTE_START.format(row="detections")} as integer),
          {", ".join(f"-(state = '{state}')" for state in _STATES)}
        from detections
        join (select stream_id as of, max(number) as number from stream_numbers group by stream_id) on of = stream_id
        union all
        select stream, {_START_UTC}, {", ".join(f"-{state}" for state in _STATES)}
        from epochs join counted_without_row on epoch = number
      )
      where start_utc >= (select since_utc from summaries_kept where id = 1)
      group by stream, start_utc
      having {" or ".join(f"sum({state}) <> 0" for state in _STATES)}
"""
"""By how much the sums of a minute are above its detections, where they are not the same. Who was counted without a
detection, or whose detection was forgotten for its age, is counted beside."""
WRONG_MINUTES = f"select count(*) from ({_DIFFERENCES})"
"""In how many minutes the sums are not those of the detections: always 0. Nothing is known of what was forgotten."""


class Summaries:
    """The statements about sums. Those that write belong inside store.writing()."""

    def __init__(self, db: Database) -> None:
        self.db = db

    # What a box does by itself

    def begin_epoch(self, now: Now, believed: bool) -> str:
        """Begin a new epoch, in which all is counted from now on; its id. believed: whether the wall clock is.

        If it is not, two are begun: what was not recorded by that clock (what people enter, correct and delete) does
        not move when it is put right, so it has an epoch beside it.
        """
        self._put_right(now, believed)
        row = self.db.execute(
            "select coalesce(min(after_id), (select max(seq) from sqlite_sequence where name = 'detections'), 0) as id"
            " from epochs where boot_id = ? and not verified",
            [now.boot_id],
        ).fetchone()
        if not believed:
            self._add_epoch(now, True, 0)
        return self._add_epoch(now, believed, 0 if believed else row["id"])

    def _add_epoch(self, now: Now, verified: bool, after_id: int) -> str:
        epoch_id, started_utc = secrets.token_hex(8), _minute_utc(now.utc)
        self.db.execute(
            "insert into epochs (id, boot_id, uptime_s, started_utc, verified, after_id) values (?, ?, ?, ?, ?, ?)",
            [epoch_id, now.boot_id, now.uptime_s - (now.utc - started_utc), started_utc, int(verified), after_id],
        )
        return epoch_id

    def follow_clock(self, now: Now, believed: bool) -> str | None:
        """Begin a new epoch, its id, if the wall clock was set since the newest began: an epoch has one clock."""
        row = self.db.execute(
            f"select boot_id, started_utc - uptime_s as zero_utc from epochs where number = {_NEWEST}"
        ).fetchone()
        if row["boot_id"] == now.boot_id and abs(now.utc - now.uptime_s - row["zero_utc"]) <= STEP_S:
            return None
        return self.begin_epoch(now, believed)

    def is_to_be_corrected(self, now: Now) -> bool:
        """Whether anything was written in this start of the machine while its clock was not believed."""
        sql = "select 1 from epochs where boot_id = ? and not verified limit 1"
        return self.db.execute(sql, [now.boot_id]).fetchone() is not None

    def correct_clock(self, now: Now) -> int:
        """The wall clock is believed: put right what was written in this start of the machine while it was not.

        How many rows that were.
        """
        return self._put_right(now, True)

    def _put_right(self, now: Now, believed: bool) -> int:
        """Move what was written by a clock that was not believed, in this start of the machine, to the clock of now.

        By whole minutes, so that detections stay with their sums: nobody is off by more than half a minute, or a whole
        one where the clock was set several times. All by the same span, that of the oldest: what one of these epochs
        counted, another may have counted out.
        """
        unverified = self.db.execute(
            "select number, started_utc - uptime_s as zero_utc, after_id from epochs"
            " where boot_id = ? and not verified order by number",
            [now.boot_id],
        ).fetchall()
        if not unverified:
            return 0
        wrong_s = now.utc - now.uptime_s - unverified[0]["zero_utc"]
        span_s = 60 * round(wrong_s / 60) if abs(wrong_s) > STEP_S else 0
        if not span_s and not believed:
            return 0
        if span_s:
            self._move_detections(unverified[0]["after_id"], span_s)
        return sum(self._move_epoch(row["number"], span_s, believed) for row in unverified)

    def _move_detections(self, after_id: int, span_s: int) -> None:
        moved = "strftime('%Y-%m-%dT%H:%M:%fZ', {}, :span)"
        self.db.execute(
            f"update detections set first_seen_utc = {moved.format('first_seen_utc')},"
            f" last_seen_utc = {moved.format('last_seen_utc')}"
            f" where id > :after_id and substr(model, 1, {len(BY_HAND)}) <> '{BY_HAND}'",
            {"after_id": after_id, "span": f"{span_s:+d} seconds"},
        )

    def _move_epoch(self, number: int, span_s: int, verified: bool) -> int:
        """Every row of it is to be told again; how many there are."""
        rows = self.db.execute(
            "update summaries set seq = renumbered.seq from"
            " (select stream, minute, epochs.seq + row_number() over (order by summaries.seq) as seq"
            "  from epochs join summaries on epoch = number where number = :number) as renumbered"
            " where epoch = :number and summaries.stream = renumbered.stream and summaries.minute = renumbered.minute",
            {"number": number},
        ).rowcount
        self.db.execute(
            "update epochs set started_utc = started_utc + ?, verified = ?, seq = seq + ? where number = ?",
            [span_s, int(verified), rows, number],
        )
        return rows

    def add_watched(self, seconds_by_stream: Mapping[int, int], now: Now) -> None:
        """Streams (by id) were LIVE and judged for so many seconds of the minute of `now`, however many passed."""
        for row in self.db.execute(f"select id, {_NUMBER} as number from streams").fetchall():
            if watched_s := seconds_by_stream.get(row["id"], 0):
                self.db.execute(f"update epochs set seq = seq + 1 where number = {_NEWEST}")
                self.db.execute(
                    "insert into summaries (epoch, stream, minute, watched_s, seq)"
                    f" select number, ?, (? - started_utc) / 60, ?, seq from epochs where number = {_NEWEST}"
                    " on conflict (epoch, stream, minute) do update"
                    " set watched_s = watched_s + excluded.watched_s, seq = excluded.seq",
                    [row["number"], _minute_utc(now.utc), watched_s],
                )

    def recount(self) -> int:
        """Put the sums right by the detections, as a correction in the newest epoch; of how many minutes.

        Raises InputError while the clock is not believed: what it counted is still to be moved.
        """
        newest = self.db.execute(f"select * from epochs where number = {_NEWEST}").fetchone()
        if not newest["verified"]:
            raise InputError(
                _("The clock of the box is not known to be right yet; let it be set, then repair the sums.")
            )
        wrong = self.db.execute(_DIFFERENCES).fetchall()
        for row in wrong:
            self.db.execute("update epochs set seq = seq + 1 where number = ?", [newest["number"]])
            self.db.execute(
                f"insert into summaries (epoch, stream, minute, {', '.join(_STATES)}, seq)"
                " select number, :stream, (:start_utc - started_utc) / 60,"
                f" {', '.join(f'-:{state}' for state in _STATES)}, seq from epochs where number = :epoch"
                " on conflict (epoch, stream, minute) do update set seq = excluded.seq,"
                f" {', '.join(f'{state} = {state} + excluded.{state}' for state in _STATES)}",
                {**dict(row), "epoch": newest["number"]},
            )
        return len(wrong)

    def forget_old(self, before_utc: float) -> int:
        """Forget minutes before this; how many rows. At most FORGOTTEN_AT_ONCE: if so many, call it again.

        What is still to be told stays as long as its epoch began later: somebody entered or corrected it since.
        """
        before_utc = _minute_utc(before_utc)
        self.db.execute("update summaries_kept set since_utc = max(since_utc, ?) where id = 1", [before_utc])
        forgotten = self.db.execute(
            "delete from summaries where (epoch, stream, minute) in ("
            " select epoch, stream, minute from epochs cross join stream_numbers cross join summaries"
            " on epoch = epochs.number and stream = stream_numbers.number and minute < (:before - started_utc) / 60"
            " where summaries.seq <= acked or started_utc < :before limit :limit)",
            {"before": before_utc, "limit": FORGOTTEN_AT_ONCE},
        ).rowcount
        self.db.execute(
            "delete from counted_without_row where (epoch, stream, minute) in ("
            " select epoch, stream, minute from epochs cross join counted_without_row on epoch = number"
            " where minute < (? - started_utc) / 60)",
            [before_utc],
        )
        self.db.execute(
            f"delete from epochs where number < {_NEWEST}"
            " and not exists (select 1 from summaries where epoch = number)"
            " and not exists (select 1 from counted_without_row where epoch = number)"
        )
        return forgotten

    def leave_copy_behind(self, now_utc: float) -> None:
        """This store is a copy that was put back: of its epochs and streams the centre may know more than it does."""
        self.db.execute("update epochs set boot_id = ''")  # so that no clock is put right in them
        self._add_epoch(Now(now_utc, "", 0.0), True, 0)
        self.skip_numbers(NUMBERS_SKIPPED)

    def skip_numbers(self, count: int) -> None:
        """Give the next stream a number that much higher: the centre may know another by those in between."""
        table = "name = 'stream_numbers'"
        self.db.execute(
            "insert into sqlite_sequence (name, seq) select 'stream_numbers', 0"
            f" where not exists (select 1 from sqlite_sequence where {table})"
        )
        self.db.execute(f"update sqlite_sequence set seq = seq + ? where {table}", [count])

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
        # The end first: the watcher may commit between two statements, and what comes then has a seq after it.
        top = self.db.execute("select seq from epochs where id = ?", [epoch]).fetchone()
        upto = max(after, top["seq"]) if top else after
        rows = self.db.execute(
            f"{_ROW} from epochs join summaries on epoch = number"
            f" where epochs.id = ? and summaries.seq > ? and summaries.seq <= ? order by summaries.seq limit ?",
            [epoch, after, upto, limit],
        ).fetchall()
        if len(rows) == limit:
            upto = rows[-1]["seq"]
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

    def backlog(self, before_utc: float | None = None) -> Backlog:
        """How much the centre does not have yet, of minutes that began before this moment; None: of all."""
        began = "" if before_utc is None else f" and {_START_UTC} < :before"
        row = self.db.execute(
            f"select count(*) as rows, count(distinct {_START_UTC}) as minutes, count(distinct epoch) as epochs,"
            f" min({_START_UTC}) as oldest_utc"
            " from epochs cross join summaries on epoch = number and summaries.seq > acked"
            f" where acked < epochs.seq{began}",
            {"before": before_utc},
        ).fetchone()
        return Backlog(**row)

    def counted_since(self, since_utc: float) -> dict[int, Counts]:
        """Persons of the minutes that began since then, by stream (id); of recent times only, and quickly.

        Rows of a minute stand in the epoch of then and in later ones, so older epochs need not be asked. Where clocks
        were set meanwhile, one more before them is.
        """
        rows = self.db.execute(
            "select stream_id, sum(mask) as mask, sum(no_mask) as no_mask, sum(incorrect) as incorrect,"
            " sum(unknown) as unknown from epochs"
            " cross join (select max(number) as number, stream_id from stream_numbers group by stream_id) as named"
            " cross join summaries on epoch = epochs.number and stream = named.number"
            " and minute >= (:since - started_utc) / 60"
            " where epochs.number >="
            " (select coalesce(max(number), 1) - 1 from epochs where started_utc <= :since)"
            " group by stream_id",
            {"since": -(-int(since_utc) // 60) * 60},
        )
        return {row["stream_id"]: Counts(**{state.value: row[state.value] for state in State}) for row in rows}

    def streams(self) -> dict[int, str]:
        """The streams there are now: their names, without the owner, by number."""
        rows = self.db.execute(
            f"select {_NUMBER} as number, name from streams where receipt_id is null order by number"
        )
        return {row["number"]: row["name"] for row in rows}

    def stream_ids(self) -> dict[int, int]:
        """The streams there are now: their ids by number."""
        rows = self.db.execute(f"select {_NUMBER} as number, id from streams where receipt_id is null order by number")
        return {row["number"]: row["id"] for row in rows}


def _minute_utc(utc: float) -> int:
    return int(utc // 60) * 60


def _row(row: sqlite3.Row) -> Row:
    return Row(**{name: row[name] for name in Row.__struct_fields__})
