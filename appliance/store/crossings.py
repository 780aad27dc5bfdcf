"""Who crossed the lines of streams: sums by quarters of an hour, which stay.

What was counted by a clock that is not believed yet moves with it when that is put right (zones_schema.py).
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise

from appliance.sqlite import Database
from appliance.store.privacy import HALF_HOUR_S, without_small
from appliance.store.trends import Step, Trends
from appliance.store.zones_schema import ADD_CROSSINGS
from appliance.time_zone import HOUR_S, QUARTER_S
from appliance.zones import Direction

Cell = tuple[int, str, Direction]
"""A stream (id), one of its lines by name, and a direction."""


@dataclass(frozen=True, slots=True)
class Crossed:
    """How many persons crossed a line. inward: from its left to its right, seen from its first point to its second."""

    inward: int = 0
    outward: int = 0


@dataclass(frozen=True, slots=True)
class CrossedBucket:
    """What crossed a line in start_utc <= when < end_utc, seconds since 1970."""

    start_utc: int
    end_utc: int
    crossed: Crossed


class Crossings:
    """The statements. Streams are given by id, lines by name; times are in seconds since 1970."""

    def __init__(self, db: Database, trends: Trends) -> None:
        self.db = db
        self._trends = trends

    def add(self, counts: Mapping[Cell, int], start_utc: int) -> None:
        """Persons crossed lines at or after this time, in its minute or span. Belongs inside store.writing().

        It is the time of the newest epoch's clock: there must be one (store.summaries). Of a stream that was removed
        meanwhile, nothing is added.
        """
        select = (
            "select ?1, ?2, case when verified then (?3 / :quarter) * :quarter else (?3 / 60) * 60 end,"
            " case when verified then 0 else number end, ?4, ?5 from epochs"
            " where number = (select max(number) from epochs) and exists (select 1 from streams where id = ?1)"
        ).replace(":quarter", str(QUARTER_S))
        for (stream_id, line, direction), count in counts.items():
            inward, outward = (count, 0) if direction is Direction.IN else (0, count)
            self.db.execute(ADD_CROSSINGS.format(select=select), [stream_id, line, start_utc, inward, outward])

    def sums(self, stream_ids: Collection[int], since_utc: float, until_utc: float) -> dict[int, dict[str, Crossed]]:
        """Of each stream and line the persons of the quarters of an hour that began in [since_utc, until_utc).

        Also of lines that were taken away, where anybody crossed them then; a line that nobody crossed is missing.
        """
        found: dict[int, dict[str, Crossed]] = {}
        for row in self.db.execute(
            "select stream_id, line, sum(inward) as inward, sum(outward) as outward from crossings"
            " where stream_id in (select value from json_each(:ids)) and start_utc >= :since and start_utc < :until"
            " group by stream_id, line order by stream_id, line",
            {"ids": json.dumps(sorted(set(stream_ids))), "since": since_utc, "until": until_utc},
        ):
            found.setdefault(row["stream_id"], {})[row["line"]] = Crossed(row["inward"], row["outward"])
        return found

    def today(self, stream_ids: Collection[int], now_utc: float) -> dict[int, dict[str, Crossed]]:
        """`sums` of the day of the box's zone in which this moment is."""
        return self.sums(stream_ids, self._trends.midnight_utc(now_utc), now_utc + QUARTER_S)

    def buckets(self, stream_id: int, line: str, since_utc: float, until_utc: float, step: Step) -> list[CrossedBucket]:
        """Every whole step that touches [since_utc, until_utc), in the order of time, also those without anybody.

        Hours and days are those of the box's clocks, as in `Trends.buckets`.
        """
        zone = self._trends.zone()
        cuts = (
            zone.day_cuts(since_utc, until_utc)
            if step is Step.DAY
            else zone.cuts(since_utc, until_utc, HOUR_S if step is Step.HOUR else QUARTER_S)
        )
        inward, outward = [0] * len(cuts), [0] * len(cuts)
        for row in self.db.execute(
            "select start_utc, sum(inward) as inward, sum(outward) as outward from crossings"
            " where stream_id = ? and line = ? and start_utc >= ? and start_utc < ? group by start_utc",
            [stream_id, line, cuts[0], cuts[-1]],
        ):
            at = bisect_right(cuts, row["start_utc"]) - 1
            inward[at] += row["inward"]
            outward[at] += row["outward"]
        return [
            CrossedBucket(start, end, Crossed(inward[at], outward[at]))
            for at, (start, end) in enumerate(pairwise(cuts))
        ]

    def coarsen(self) -> None:
        """As coarse as statistics only asks for (store/privacy.py): half hours, without small cells."""
        rows = self.db.execute(
            f"select stream_id, line, start_utc / {HALF_HOUR_S} * {HALF_HOUR_S} as start_utc, sum(inward) as inward,"
            " sum(outward) as outward from crossings group by 1, 2, 3 order by 1, 2, 3"
        ).fetchall()
        self.db.execute("delete from crossings")
        waiting: dict[tuple[int, str], int] = {}
        for row in rows:
            key = row["stream_id"], row["line"]
            kept = [without_small(waiting, (key[0], f"{name} {key[1]}"), row[name]) for name in ("inward", "outward")]
            if any(kept):
                self.db.execute(
                    "insert into crossings (stream_id, line, start_utc, epoch, inward, outward)"
                    " values (?, ?, ?, 0, ?, ?)",
                    [*key, row["start_utc"], *kept],
                )
