"""A box that keeps statistics only: whether it does, and how what was kept before becomes as coarse as that.

Nobody's passing is kept then, only sums of SPAN_S, and of those only cells (a stream, a state, a span) of LEAST
persons and more. Smaller ones wait for the next span and stand in that, so that they are not lost: a door where one
person in an hour wears the mask wrongly would else have none. LEAST is a usual smallest number for a cell of a table of
counts (three is laxer, ten stricter): whoever knows that somebody passed then does not learn how the mask was worn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from appliance.faces import State
from appliance.sqlite import Database
from appliance.times import utc_text

SPAN_S = 1200
LEAST = 5
HALF_HOUR_S = 1800
"""What was kept before by quarters of an hour becomes halves: the least that is no finer than SPAN_S."""
_STATES = tuple(state.value for state in State)


@dataclass(frozen=True, slots=True)
class StatisticsOnly:
    """Since when a box keeps statistics only, and who chose it; by_name empty: at the command line."""

    since_utc: str
    by_name: str


class Privacy:
    """The statements. Those that write belong inside store.writing()."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def statistics_only(self) -> StatisticsOnly | None:
        """Since when; None: detections are kept."""
        row = self.db.execute("select since_utc, by_name from privacy").fetchone()
        return StatisticsOnly(**row) if row else None

    def has_files_to_remove(self) -> bool:
        """Whether images and copies of the record of before may still be there."""
        return self.db.execute("select 1 from privacy where not files_removed").fetchone() is not None

    def note_files_removed(self) -> None:
        """They are gone."""
        self.db.execute("update privacy set files_removed = 1")

    def keep_detections(self) -> None:
        """Detections are kept from now on."""
        self.db.execute("delete from privacy")

    def keep_statistics_only(self, by_name: str, now_utc: float) -> None:
        """Only sums are kept from now on; what there is of detections, images and finer sums goes, and is not undone.

        Persons stay counted in the sums of half hours, but for fewer than LEAST of a stream and state. What a centre
        had not been told by minutes is not told any more. The images are noted as still to be erased.
        """
        self.db.execute("insert into privacy (id, since_utc, by_name) values (1, ?, ?)", [utc_text(now_utc), by_name])
        self.db.execute("insert into forgetting (id) values (1)")
        self.db.execute("delete from detections")
        self.db.execute("delete from forgetting")
        self.db.execute("delete from detection_ages")
        for finer in ("corrections", "calibrations"):  # with their labels
            self.db.execute(f"delete from {finer}")
        self.db.execute("update summaries_kept set since_utc = max(since_utc, ?)", [int(now_utc)])
        self.db.execute("delete from summaries")
        self.db.execute("delete from counted_without_row")
        self._forget_alerts()
        self._coarsen_quarters()

    def _forget_alerts(self) -> None:
        """What alerts say of when somebody passed is finer than what is kept."""
        kinds = "('rate', 'nobody')"
        self.db.execute(f"delete from alert_states where rule_id in (select id from alert_rules where kind in {kinds})")
        self.db.execute(f"delete from alert_log where kind in {kinds}")

    def _coarsen_quarters(self) -> None:
        rows = self.db.execute(
            f"select stream_id, start_utc / {HALF_HOUR_S} * {HALF_HOUR_S} as start_utc, sum(watched_s) as watched_s,"
            f" {', '.join(f'sum({state}) as {state}' for state in _STATES)}"
            " from quarters group by 1, 2 order by 1, 2"
        ).fetchall()
        self.db.execute("delete from days")
        self.db.execute("delete from hours")
        self.db.execute("delete from quarters")  # what is entered now is added to days and hours by their triggers
        waiting: dict[tuple[int, str], int] = {}
        entered = []
        for row in rows:
            of_states = [without_small(waiting, (row["stream_id"], state), row[state]) for state in _STATES]
            entered.append([row["stream_id"], row["start_utc"], row["watched_s"], *of_states])
        self.db.conn.executemany(
            f"insert into quarters (stream_id, start_utc, watched_s, {', '.join(_STATES)})"
            " values (?, ?, ?, ?, ?, ?, ?)",
            _with_any(entered),
        )


def without_small(waiting: dict[tuple[int, str], int], cell: tuple[int, str], count: int) -> int:
    """What is kept of a cell's next span: nothing, or LEAST and more. What waits of it is in `waiting`."""
    total = waiting.pop(cell, 0) + count
    if 0 < total < LEAST:
        waiting[cell] = total
        return 0
    return total


def _with_any(rows: Iterable[list[int]]) -> list[list[int]]:
    return [row for row in rows if any(row[2:])]
