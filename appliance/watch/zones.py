"""What the watcher does for zones: analyses follow them, and who crossed a line is written, and what does not move.

A box that keeps statistics only writes crossings by spans of twenty minutes, and of those only cells of LEAST and more;
smaller ones wait for the next span (store/privacy.py). It keeps no place.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping

from appliance.faces import StillPlace
from appliance.store import Store
from appliance.store.crossings import Cell
from appliance.store.privacy import SPAN_S, without_small
from appliance.vision.analysis import Analysis
from appliance.vision.counting import Crossing

MINUTE_S = 60
Counts = Counter[tuple[int, Cell]]
"""How many, by when the minute or span began (seconds since 1970) and the cell."""


class Zones:
    """`take` may be called from any thread, all else from one; `committed` once what was written is on the disk."""

    def __init__(self) -> None:
        self._waiting: Counts = Counter()
        self._written: Counts = Counter()
        self._small: dict[tuple[int, str], int] = {}  # what waits for the next span
        self._small_after: dict[tuple[int, str], int] = {}
        self._places: dict[int, tuple[StillPlace, ...]] = {}  # as they are stored
        self._places_after: dict[int, tuple[StillPlace, ...]] = {}
        self._statistics_only = False
        self._lock = threading.Lock()

    def begin(self, store: Store, analysis: Analysis) -> None:
        """Before it starts: what was drawn in its stream, and what was known to stand still. Raises sqlite3.Error."""
        places = store.still_places.of(analysis.stream_id)
        self._places[analysis.stream_id] = places
        analysis.counting.still.know(places)
        analysis.counting.zones = store.zones.of(analysis.stream_id)
        analysis.crossed = self.take

    def follow(self, store: Store, analyses: Mapping[int, Analysis]) -> None:
        """Count from now on where people chose. Raises sqlite3.Error."""
        self._statistics_only = store.privacy.statistics_only() is not None
        zones = store.zones.all()
        for stream_id, analysis in analyses.items():
            analysis.counting.zones = zones.get(stream_id, ())

    def take(self, stream_id: int, crossing: Crossing) -> None:
        """Somebody crossed a line."""
        minute_utc = int(crossing.utc // MINUTE_S) * MINUTE_S
        with self._lock:
            self._waiting[minute_utc, (stream_id, crossing.line, crossing.direction)] += 1

    def waits(self, analyses: Mapping[int, Analysis], now_utc: float) -> bool:
        """Whether there is anything to write."""
        return bool(self._due(now_utc, False)) or any(True for _ in self._changed(analyses))

    def write(self, store: Store, analyses: Mapping[int, Analysis], now_utc: float, everything: bool = False) -> None:
        """Within the caller's transaction, before the epoch of another clock begins. Raises sqlite3.Error.

        everything: the watcher ends.
        """
        due, small = self._due(now_utc, everything), dict(self._small)
        for start_utc, counts in sorted(_grouped(due, SPAN_S if self._statistics_only else MINUTE_S).items()):
            kept = _without_small(small, counts) if self._statistics_only else counts
            store.crossings.add(kept, start_utc)
        self._written, self._small_after = due, small
        self._places_after = dict(self._changed(analyses))
        for stream_id, places in self._places_after.items():
            store.still_places.put(stream_id, places)

    def committed(self) -> None:
        """It is on the disk."""
        with self._lock:
            for key, count in self._written.items():
                self._waiting[key] -= count
            self._waiting = +self._waiting
        self._small = self._small_after
        self._places.update(self._places_after)
        self._written, self._places_after = Counter(), {}

    def _due(self, now_utc: float, everything: bool) -> Counts:
        with self._lock:
            waiting = self._waiting.copy()
        if not self._statistics_only or everything:
            return waiting
        return Counter({key: count for key, count in waiting.items() if key[0] // SPAN_S != now_utc // SPAN_S})

    def _changed(self, analyses: Mapping[int, Analysis]) -> Iterator[tuple[int, tuple[StillPlace, ...]]]:
        if not self._statistics_only:
            for stream_id, analysis in analyses.items():
                if analysis.counting.still.told != self._places.get(stream_id, ()):
                    yield stream_id, analysis.counting.still.told


def _grouped(due: Counts, span_s: int) -> dict[int, Counter[Cell]]:
    found: dict[int, Counter[Cell]] = {}
    for (minute_utc, cell), count in due.items():
        found.setdefault(minute_utc // span_s * span_s, Counter())[cell] += count
    return found


def _without_small(small: dict[tuple[int, str], int], counts: Mapping[Cell, int]) -> dict[Cell, int]:
    kept = {
        (stream_id, line, direction): without_small(small, (stream_id, f"{direction.value} {line}"), count)
        for (stream_id, line, direction), count in counts.items()
    }
    return {cell: count for cell, count in kept.items() if count}
