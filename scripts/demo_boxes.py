"""Three boxes without cameras, for `scripts/demo --fleet`: who passes them is made up by a stand-in for the watcher."""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.accounts.people import Role
from appliance.config import load
from appliance.faces import Detection, State
from appliance.rules import people, streams
from appliance.secrets import hash_known_password
from appliance.store import DetectionFilter, Store
from appliance.times import Now, now
from appliance.watch.sums import Sums

DAY_S = 86_400
IN_VIEW_S = 2.5  # how long a made-up person stays in view
WORKING_DAY = (3, 3, 2, 2, 3, 5, 7, 10, 10, 9, 8, 8, 9, 8, 8, 9, 9, 7, 6, 6, 5, 5, 4, 3)
SHIFTS = (3, 3, 3, 3, 3, 9, 10, 4, 4, 5, 4, 6, 7, 9, 10, 4, 4, 4, 5, 4, 5, 9, 8, 3)
STEADY = (5, 5, 5, 5, 5, 6, 7, 9, 10, 9, 9, 8, 7, 9, 10, 9, 8, 7, 6, 6, 6, 5, 5, 5)
"""How busy each hour of the day is, local time, in tenths."""


@dataclass(frozen=True, slots=True)
class Example:
    """A box, where it stands, and what passes it. busiest: persons an hour of each stream when it is busiest.

    mask, incorrect, unknown: shares of them; the rest wears none.
    """

    title: str
    site: str
    group: str
    latitude: float
    longitude: float
    streams: tuple[str, ...]
    busiest: int
    day: tuple[int, ...]
    mask: float
    incorrect: float
    unknown: float = 0.05

    @property
    def name(self) -> str:
        """What it calls itself."""
        return self.title.lower().replace(" ", "-")

    def persons_an_hour(self, utc: float) -> float:
        """How many pass one of its streams, at this time of the day."""
        return self.busiest * self.day[time.localtime(utc).tm_hour] / 10


CLEAN_ROOM = Example(
    "Clean room", "Chip works", "industry", 47.430, 9.380, ("airlock in", "airlock out"), 120, STEADY, 0.93, 0.015, 0.03
)
EXAMPLES = (
    Example(
        "Hospital entrance", "City hospital", "health", 47.562, 7.583, ("door", "desk"), 180, WORKING_DAY, 0.71, 0.09
    ),
    Example("Packing hall", "Food plant", "industry", 47.392, 8.045, ("line 1", "line 2"), 150, SHIFTS, 0.84, 0.06),
    CLEAN_ROOM,
)


class StandInWatcher:
    """Stands in for watcher, gate and notify of a box, with people that are made up. For one thread."""

    def __init__(self, example: Example, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.example = example
        self.config_path = folder / "mb9k.toml"
        self.config_path.write_text(
            f'box = "{example.name}"\nstate_dir = "{folder / "state"}"\n[web]\nhost = "127.0.0.1"\n'
        )
        self.config = load(self.config_path)
        self.store = Store.open(self.config.store_path)
        self.random = random.Random(example.title)  # noqa: S311 - who passes, not a secret
        self._sums = Sums()
        self._started_utc = time.time()
        self._stepped_s: float | None = None
        moment = now()
        people.add(self.store, "dev", hash_known_password("mb9k"), Role.ADMIN, moment.utc)
        self._stream_ids = [
            streams.add(self.store, streams.OPERATOR, "dev", name, None, moment)[0].id for name in example.streams
        ]
        for stream_id in self._stream_ids:
            self.store.streams.set_live(stream_id, None, moment.utc)

    def remember(self, days: float, moment: Now) -> None:
        """Have a record of so many days, up to now."""
        self.store.ages.believe(moment)
        end_utc = int(moment.utc // 60) * 60
        watched_s = dict.fromkeys(self._stream_ids, 60)
        with self.store.writing():
            self.store.summaries.begin_epoch(moment, True)
            for minute_utc in range(end_utc - int(days * DAY_S) // 60 * 60, end_utc, 60):
                self.store.summaries.add_watched(watched_s, replace(moment, utc=float(minute_utc)))
                self._let_pass(minute_utc, 60.0)

    def step(self, moment: Now) -> None:
        """What they write about once a second, with whoever passed since. Raises sqlite3.Error."""
        passed_s = 0.0 if self._stepped_s is None else moment.uptime_s - self._stepped_s
        self._stepped_s = moment.uptime_s
        self._sums.watch(self._stream_ids, moment)
        with self.store.writing():
            self._sums.write(self.store, moment)
            self._let_pass(moment.utc - passed_s, passed_s)
            for service in ("watch", "gate", "notify"):
                self.store.services.heartbeat(service, os.getpid(), self._started_utc, None, moment)
        self._sums.committed(moment)

    def persons(self) -> int:
        """How many it has counted."""
        return self.store.detections.counts(DetectionFilter()).total

    def close(self) -> None:
        """Give the store back."""
        self.store.close()

    def _let_pass(self, since_utc: float, length_s: float) -> None:
        """Who passed in so many seconds: as many as chance has it, each at any of these moments."""
        for stream_id in self._stream_ids:
            pause_s = 3600 / self.example.persons_an_hour(since_utc)
            after_s = self.random.expovariate(1 / pause_s)
            while after_s < length_s:
                self.store.detections.add(stream_id, self._somebody(since_utc + after_s))
                after_s += self.random.expovariate(1 / pause_s)

    def _somebody(self, utc: float) -> Detection:
        shares = (self.example.mask, self.example.incorrect, self.example.unknown)
        states = (State.MASK, State.INCORRECT, State.UNKNOWN, State.NO_MASK)
        (state,) = self.random.choices(states, (*shares, 1 - sum(shares)))
        return Detection(utc, utc + IN_VIEW_S, state, 0.9, 12, (600, 200, 680, 300), 1280, 720, "stand-in")
