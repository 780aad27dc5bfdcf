"""What the watcher adds to the sums of a minute: real SQLite, the clocks are the test's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.accounts.people import Role
from appliance.config import Config
from appliance.disk import Reserve
from appliance.images import ImageFiles
from appliance.sections import Media
from appliance.store import BoxClock, Store, WallClock
from appliance.times import Now
from appliance.watch.retention import Retention
from appliance.watch.service import Watcher
from appliance.watch.status import Status
from appliance.watch.sums import KEPT_S, Sums
from tests.boxes import START_S, until
from tests.boxes import Box as RunningBox
from tests.test_summaries import AT, DAY_S, seen, sums, told

BEGIN = Now(utc=float(AT), boot_id="boot-1", uptime_s=1000.0)


class Box:
    """A store, a clock, and what the watcher does to the sums each second."""

    def __init__(self, store: Store) -> None:
        self.store, self.now, self.sums = store, BEGIN, Sums()
        store.people.add("ann", "hash", Role.ADMIN, AT)
        for number in range(3):
            store.streams.add_with_key(1, f"stream {number}", f"digest {number}", AT)
        self.believe()
        self.write()
        self.sums.watch([], self.now)

    def believe(self, believed: bool = True) -> None:
        """What retention would note."""
        wall_clock = WallClock.BELIEVED if believed else WallClock.UNKNOWN
        self.store.ages.note_clock(BoxClock(0.0, self.now.boot_id, self.now.uptime_s, self.now.utc, wall_clock))

    def write(self, everything: bool = False) -> None:
        with self.store.writing():
            self.sums.write(self.store, self.now, everything)
        self.sums.committed(self.now)

    def run(self, seconds: int, *judged: int, step_s: float = 1.0) -> None:
        """The watcher looks every step and writes every other."""
        for second in range(seconds):
            self.now = replace(self.now, utc=self.now.utc + step_s, uptime_s=self.now.uptime_s + step_s)
            self.sums.watch(judged, self.now)
            if second % 2:
                self.write()

    def watched(self) -> dict[tuple[int, int], int]:
        """Seconds, by stream and minute since AT."""
        return {(stream, (start - AT) // 60): values[4] for (stream, start), values in sums(self.store).items()}


@pytest.fixture
def box(store: Store) -> Box:
    return Box(store)


def test_every_minute_says_how_long_each_stream_was_judged_in_it(box: Box) -> None:
    box.run(90, 1, 2)
    box.run(40, 1)
    assert box.watched() == {(1, 0): 59, (1, 1): 60, (2, 0): 59, (2, 1): 31}
    box.write(everything=True)
    assert box.watched()[1, 2] == 11, "the last one at the end"
    assert sum(row.watched_s for row in told(box.store) if row.stream == 1) == 130


def test_parts_of_a_second_are_not_lost(box: Box) -> None:
    box.run(800, 1, step_s=1.25)
    box.write(everything=True)
    assert sum(box.watched().values()) == 1000


def test_after_a_restart_seconds_are_counted_on_and_none_twice(box: Box) -> None:
    box.run(30, 1)
    box.write(everything=True)
    box.sums = Sums()
    box.write()
    box.run(31, 1)
    assert box.watched() == {(1, 0): 58}, "of the second of a start nobody knows"
    assert len(box.store.summaries.tops()) == 2


def test_what_could_not_be_written_is_written_later_once(box: Box) -> None:
    box.run(61, 1)
    for _ in range(2):
        with pytest.raises(KeyError), box.store.writing():
            box.sums.write(box.store, box.now)
            raise KeyError
    box.run(2, 1)
    assert box.watched() == {(1, 0): 59}


def test_nobody_knows_what_was_judged_while_the_watcher_hung(box: Box) -> None:
    box.run(3, 1)
    box.run(1, 1, step_s=40.0)
    box.run(60, 1)
    assert box.watched() == {(1, 0): 19}


def test_a_minute_by_a_wrong_clock_moves_with_it(box: Box) -> None:
    """A board starts in the past, network time comes, and later it is believed."""
    box.now = Now(AT - 100 * DAY_S + 0.0, "boot-2", 30.0)
    box.believe(False)
    box.sums = Sums()
    box.write()
    box.sums.watch([], box.now)
    box.run(90, 1)
    box.store.detections.add(1, seen(box.now.utc))
    box.now = replace(box.now, utc=AT + 90.0)
    box.run(2, 1)
    assert box.watched() == {(1, 0): 59, (1, 1): 31}
    assert sums(box.store)[1, AT + 60] == (1, 0, 0, 0, 31)
    assert {row.verified for row in told(box.store)} == {0}
    box.believe()
    box.sums.tidy(box.store, box.now)
    box.run(60, 1)
    assert box.watched() == {(1, 0): 59, (1, 1): 60}
    assert {row.verified for row in told(box.store)} == {1}
    assert box.store.problems() == []


def test_sums_are_forgotten_after_a_hundred_days_if_the_clock_is_believed(box: Box) -> None:
    box.run(64, 1)
    box.now = replace(box.now, utc=box.now.utc + KEPT_S, uptime_s=box.now.uptime_s + KEPT_S)
    box.sums = Sums()
    box.believe(False)
    box.sums.tidy(box.store, box.now)
    assert len(told(box.store)) == 1, "a clock that nobody believes deletes nothing"
    box.believe()
    box.sums.tidy(box.store, box.now)
    assert told(box.store) == []


def test_by_the_rules_of_images_a_clock_is_believed_once_it_is_synchronised(tmp_path: Path, store: Store) -> None:
    """The whole of it: what retention notes is what the sums go by."""
    box = Box(store)
    box.now = Now(AT - 300 * DAY_S + 0.0, "boot-2", 30.0)
    box.sums = Sums()
    box.write()
    images, synchronised = ImageFiles(tmp_path / "images"), [False]
    retention = Retention(images, Config().images, Reserve(tmp_path), lambda: synchronised[0])
    box.run(10, 1)
    box.store.detections.add(1, seen(box.now.utc))
    retention.step(store, box.now)
    box.sums.tidy(store, box.now)
    assert {row.verified for row in told(store)} == {0}
    synchronised[0], box.now = True, replace(box.now, utc=AT + 40.0)
    box.write()
    retention.step(store, box.now)
    box.sums.tidy(store, box.now)
    assert sums(store) == {(1, AT): (1, 0, 0, 0, 9)}
    assert {row.verified for row in told(store)} == {1}
    assert store.problems() == []


@pytest.mark.parametrize(
    ("status", "is_judged"),
    [(Status(True), True), (Status(False), False), (Status(True, problem="Nothing is judged."), False)],
)
def test_a_stream_counts_as_watched_where_it_is_live_and_judged(status: Status, is_judged: bool) -> None:
    assert status.is_judged is is_judged


def test_a_watcher_begins_an_epoch_before_it_records_anybody(tmp_path: Path, free_port: Callable[[], int]) -> None:
    config = Config(state_dir=str(tmp_path), media=Media(engine="embedded", api_port=free_port()))
    epochs = []
    for _ in range(2):
        watcher = Watcher(config)
        try:
            watcher.step(BEGIN)
            epochs.append(watcher.store.summaries.newest_epoch())
            watcher.step(replace(BEGIN, utc=BEGIN.utc + 1, uptime_s=BEGIN.uptime_s + 1))
            assert watcher.store.summaries.newest_epoch() == epochs[-1]
        finally:
            watcher._stop()
    assert len(set(epochs)) == 2


def test_the_watcher_and_the_site_each_begin_an_epoch(tmp_path: Path, free_port: Callable[[], int]) -> None:
    box = RunningBox(tmp_path, "embedded", free_port)
    starts = "select count(distinct uptime_s) from epochs where boot_id <> ''"
    with box.running():
        until(lambda: box.store.db.execute(starts).fetchone()[0] == 2, START_S, "two starts")
    box.store.close()


def test_days_are_cut_in_the_machines_zone_within_a_minute_of_a_change(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    box.sums.tidy(box.store, box.now)
    assert box.store.trends.zone().name == "Asia/Kolkata"
    monkeypatch.setenv("TZ", "Europe/Berlin")
    for seconds, name in ((30, "Asia/Kolkata"), (31, "Europe/Berlin")):
        box.now = replace(box.now, utc=box.now.utc + seconds, uptime_s=box.now.uptime_s + seconds)
        box.sums.tidy(box.store, box.now)
        assert box.store.trends.zone().name == name
