"""Persons who stand in the sums but have no detection: those whose rows were forgotten for their age, and all of a box
that keeps statistics only. Triggers enter the former (keeping_schema.py)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict

from appliance.faces import Counts
from appliance.sqlite import Database

_NEWEST = "(select max(number) from epochs)"
_STREAM = "(select max(number) from stream_numbers where stream_id = ?)"
_START_UTC = "started_utc + 60 * minute"
_ADD = (
    "insert into {table} (epoch, stream, minute, mask, no_mask, incorrect, unknown{seq})"
    " select number, :stream, (:start_utc - started_utc) / 60, :mask, :no_mask, :incorrect, :unknown{seq}"
    f" from epochs where number = {_NEWEST}"
    " on conflict (epoch, stream, minute) do update set mask = mask + excluded.mask,"
    " no_mask = no_mask + excluded.no_mask, incorrect = incorrect + excluded.incorrect,"
    " unknown = unknown + excluded.unknown{seq_too}"
)
_COUNT_OUT = f"""
    insert into summaries (epoch, stream, minute, mask, no_mask, incorrect, unknown, seq)
      select target.number, :stream, (start_utc - target.started_utc) / 60, -mask, -no_mask, -incorrect, -unknown,
        target.seq + row_number() over (order by start_utc)
      from epochs as target cross join (
        select {_START_UTC} as start_utc, sum(mask) as mask, sum(no_mask) as no_mask, sum(incorrect) as incorrect,
          sum(unknown) as unknown
        from epochs join counted_without_row on epoch = number
        where stream = :stream and verified = :verified group by start_utc
      )
      where target.number = {{target}}
      on conflict (epoch, stream, minute) do update set mask = mask + excluded.mask,
        no_mask = no_mask + excluded.no_mask, incorrect = incorrect + excluded.incorrect,
        unknown = unknown + excluded.unknown, seq = excluded.seq
"""


class WithoutRow:
    """The statements. All of them belong inside store.writing()."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def add(self, counts: Mapping[int, Counts], start_utc: int) -> None:
        """Count persons of whom there is no detection, by stream (id), in the minute that began at start_utc."""
        for stream_id, of_stream in counts.items():
            (number,) = self.db.execute(
                f"select {_STREAM} where exists (select 1 from streams where id = ?)", [stream_id, stream_id]
            ).fetchone() or (None,)
            if number is None:
                continue  # the stream was removed meanwhile
            values = {**asdict(of_stream), "stream": number, "start_utc": start_utc}
            self.db.execute(f"update epochs set seq = seq + 1 where number = {_NEWEST}")
            self.db.execute(_ADD.format(table="summaries", seq=", seq", seq_too=", seq = excluded.seq"), values)
            self.db.execute(_ADD.format(table="counted_without_row", seq="", seq_too=""), values)

    @contextmanager
    def kept_in_sums(self) -> Iterator[None]:
        """Detections that are deleted within are not counted out: they were counted, and the sums stay."""
        self.db.execute("insert into forgetting (id) values (1)")
        try:
            yield
        finally:
            self.db.execute("delete from forgetting")

    def count_out(self, stream_id: int) -> None:
        """Before a stream is removed: count out those whom no detection counts out any more."""
        (number,) = self.db.execute(f"select {_STREAM}", [stream_id]).fetchone()
        for verified in (1, 0):  # what may yet move stands in the newest epoch, all else in one that will not
            target = f"(select max(number) from epochs where verified or {int(not verified)})"
            values = {"stream": number, "verified": verified}
            rows = self.db.execute(_COUNT_OUT.format(target=target), values).rowcount
            self.db.execute(f"update epochs set seq = seq + ? where number = {target}", [rows])
        self.db.execute("delete from counted_without_row where stream = ?", [number])
