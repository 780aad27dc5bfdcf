"""What the watcher adds to the sums of a minute, and what it puts right in them."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace

from appliance.store import Store
from appliance.time_zone import TimeZone, time_zone
from appliance.times import Now

log = logging.getLogger(__name__)

KEPT_S = 100 * 86400.0
"""Sums are kept for so long, whatever becomes of images and detections: a centre may lose its own."""
FORGET_PAUSE_S = 3600.0
ZONE_PAUSE_S = 60.0
LONGEST_STEP_S = 5.0  # the watcher looks every second; what was judged while it hung for longer, nobody knows


class Sums:
    """Within the watcher's transactions: `write`, and once that is on the disk, `committed`."""

    def __init__(self) -> None:
        self._has_begun = False
        self._watched_s: dict[int, dict[int, float]] = {}  # by stream, of each span (its start) not yet written
        self._writing: list[int] = []
        self._looked_s: float | None = None
        self._forget_due_s = 0.0
        self._zone_due_s = 0.0
        self._span_s = 60

    def follow(self, span_s: int) -> None:
        """Write how long streams were watched by spans of so many seconds from now on: of minutes, or coarser."""
        if span_s != self._span_s:
            self._span_s, before = span_s, self._watched_s
            self._watched_s = {}
            for start_utc, of_streams in before.items():
                of_span = self._watched_s.setdefault(start_utc // span_s * span_s, {})
                for stream_id, watched_s in of_streams.items():
                    of_span[stream_id] = of_span.get(stream_id, 0.0) + watched_s

    def _span_utc(self, moment: Now) -> int:
        return int(moment.utc // self._span_s) * self._span_s

    def watch(self, judged: Collection[int], moment: Now) -> None:
        """These streams (by id) are LIVE and judged, and have been since the last call."""
        passed_s = 0.0 if self._looked_s is None else moment.uptime_s - self._looked_s
        self._looked_s = moment.uptime_s
        if 0 < passed_s <= LONGEST_STEP_S:
            of_minute = self._watched_s.setdefault(self._span_utc(moment), {})
            for stream_id in judged:
                of_minute[stream_id] = of_minute.get(stream_id, 0.0) + passed_s

    def write(self, store: Store, moment: Now, everything: bool = False) -> None:
        """Before anything is counted: add the minutes that are over, and see to it that there is an epoch for the rest.

        A new one begins at the start, and whenever the wall clock was set.
        """
        believed = store.ages.believes(moment)
        if self._has_begun:
            self._write_watched(store, moment, everything)  # first: these minutes are of the clock that was
            store.summaries.follow_clock(moment, believed)
        else:
            store.summaries.begin_epoch(moment, believed)

    def _write_watched(self, store: Store, moment: Now, everything: bool = False) -> None:
        self._writing = [minute for minute in self._watched_s if everything or minute != self._span_utc(moment)]
        for minute in self._writing:
            whole_s = {stream_id: int(watched_s) for stream_id, watched_s in self._watched_s[minute].items()}
            store.summaries.add_watched(whole_s, replace(moment, utc=float(minute)))

    def committed(self, moment: Now) -> None:
        """It is on the disk. What is left of a second counts in this minute."""
        self._has_begun = True
        for minute in self._writing:
            for stream_id, watched_s in self._watched_s.pop(minute).items():
                of_minute = self._watched_s.setdefault(self._span_utc(moment), {})
                of_minute[stream_id] = of_minute.get(stream_id, 0.0) + watched_s % 1
        self._writing = []

    def tidy(self, store: Store, moment: Now) -> None:
        """See to it that days are cut in the machine's zone, which people may change.

        Where the clock is believed: put right what it was not believed for, and forget what is too old.
        """
        if moment.uptime_s >= self._zone_due_s:
            follow_zone(store, time_zone())
            self._zone_due_s = moment.uptime_s + ZONE_PAUSE_S
        if not store.ages.believes(moment):
            return
        if store.summaries.is_to_be_corrected(moment):
            with store.writing():
                self._write_watched(store, moment)
                store.summaries.correct_clock(moment)
            self.committed(moment)
        if moment.uptime_s >= self._forget_due_s:
            with store.writing():
                forgotten = store.summaries.forget_old(moment.utc - KEPT_S)
            self._forget_due_s = moment.uptime_s + (0.0 if forgotten else FORGET_PAUSE_S)


def follow_zone(store: Store, zone: TimeZone) -> None:
    """Cut days in this zone from now on. It looks first: a zone rarely changes, and to write is dear."""
    if store.trends.zone() != zone:
        with store.writing():
            store.trends.follow_zone(zone)
        log.info("days are cut in the time zone %s now", zone.name)
