"""How a box counts that keeps statistics only: in memory, until a span of twenty minutes is over.

What is written then is how many persons left the picture of a stream in the span, by state, where that is LEAST and
more; fewer wait for the next one (store/privacy.py says why). Nothing else of them is ever written. What waits when the
watcher ends is lost, which is fewer than LEAST of each stream and state: in its place, the disk would know them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from appliance.faces import Counts, State
from appliance.store.privacy import SPAN_S, without_small

Cell = tuple[int, str]
"""A stream (id) and a state."""


@dataclass(frozen=True, slots=True)
class Due:
    """The persons of the span that began at start_utc, by stream (id)."""

    start_utc: int
    counts: Mapping[int, Counts]


class Tally:
    """Counts; not for several threads. Times are in seconds since 1970."""

    def __init__(self) -> None:
        self._present: Counter[Cell] = Counter()
        self._waiting: dict[Cell, int] = {}
        self._span_utc: int | None = None
        self._due: Due | None = None

    def add(self, stream_id: int, state: State) -> None:
        """Somebody has left the picture of a stream."""
        self._present[stream_id, state.value] += 1

    def due(self, now_utc: float, everything: bool = False) -> Due | None:
        """What is to be written of the span that is over; None: it is not over, or there is nothing.

        Once it is on the disk call `committed`; until then the same is due. everything: the watcher ends.
        """
        span_utc = int(now_utc // SPAN_S) * SPAN_S
        if self._span_utc is None:
            self._span_utc = span_utc
        if self._due is None and (everything or span_utc != self._span_utc):
            kept: dict[Cell, int] = {}
            for cell, count in self._present.items():
                if written := without_small(self._waiting, cell, count):
                    kept[cell] = written
            self._due = Due(self._span_utc, _by_stream(kept)) if kept else None
            self._present, self._span_utc = Counter(), span_utc
        return self._due

    def committed(self) -> None:
        """What was due is on the disk."""
        self._due = None


def _by_stream(cells: Mapping[Cell, int]) -> dict[int, Counts]:
    states: dict[int, dict[str, int]] = {}
    for (stream_id, state), count in cells.items():
        states.setdefault(stream_id, {})[state] = count
    return {stream_id: Counts(**of_stream) for stream_id, of_stream in states.items()}
