"""Zones through the watcher: real videos, real SQLite; squares of colour for faces."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from appliance.accounts.people import Role
from appliance.faces import State, StillPlace
from appliance.rules import privacy
from appliance.rules import zones as rules
from appliance.rules.streams import OPERATOR
from appliance.store import Crossed, Store
from appliance.store.privacy import SPAN_S
from appliance.times import Now, now
from appliance.vision.counting import Counting, Crossing
from appliance.watch.zones import Zones
from appliance.zones import Direction, Zone, ZoneKind
from tests.colour_detector import Place, people
from tests.test_watch import Box, box, ingest, step_until
from tests.videos import make_video

__all__ = ["box", "ingest"]
AT = 1_795_521_600  # a full hour
LOWER = Zone(ZoneKind.COUNT, "lower", ((0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)))
EVERYWHERE = Zone(ZoneKind.NEVER, "everywhere", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))
DOOR = Zone(ZoneKind.LINE, "door", ((0.75, 0.5), (0.75, 1.0)))  # who walks to the left comes in
POSTER = StillPlace((0.4, 0.4, 0.6, 0.6), 3600.0)


def test_the_watcher_counts_where_zones_say_and_follows_them_without_a_restart(box: Box) -> None:
    """One with a mask passes above, where nobody counts; one without below, through the door."""
    ways: dict[State, Place] = {
        State.MASK: lambda t: (-30 + 110 * t, 50),
        State.NO_MASK: lambda t: (350 - 110 * t, 190),
    }
    stream_id = box.source("hall.flv", make_video(people(ways), 110, container="flv"))
    rules.put(box.store, stream_id, [LOWER, DOOR])
    watcher = box.watcher()

    def crossed() -> Crossed:
        return box.store.crossings.today([stream_id], time.time()).get(stream_id, {}).get("door", Crossed())

    step_until(watcher, lambda: crossed().inward > 1, "somebody comes in a second time")
    assert crossed().outward == 0
    assert {stored.detection.state for stored in box.detections()} == {State.NO_MASK}
    rules.put(box.store, stream_id, [EVERYWHERE, DOOR])
    began_s = time.monotonic()
    step_until(watcher, lambda: time.monotonic() - began_s > 2, "the watcher has seen it, and who was there has left")
    before = len(box.detections()), crossed()
    step_until(watcher, lambda: time.monotonic() - began_s > 8, "another round of the file")
    assert (len(box.detections()), crossed()) == before


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A stream, id 1, and an epoch whose clock is believed."""
    store = Store.open(tmp_path / "mb9k.db")
    with store.writing():
        store.people.add("ann", "hash", Role.ADMIN, AT)
        store.streams.add_with_key(1, "door", "digest 1", AT)
        store.summaries.begin_epoch(Now(AT + 30.5, "boot-1", 1000.0), True)
    return store


def analysed(*told: StillPlace) -> dict[int, Any]:
    """Stands in for the analysis of stream 1, of which only what it counts matters here."""
    counting = Counting()
    counting.still.know(told)
    return {1: SimpleNamespace(stream_id=1, counting=counting, crossed=None)}


def cross(zones: Zones, count: int, utc: float, direction: Direction = Direction.IN) -> None:
    for _ in range(count):
        zones.take(1, Crossing("door", direction, utc))


def test_a_crossing_is_stored_once_also_when_the_disk_refused_it_before(store: Store) -> None:
    zones, analyses = Zones(), analysed(POSTER)
    cross(zones, 2, AT + 60)
    with pytest.raises(sqlite3.OperationalError), store.writing():
        zones.write(store, analyses, AT + 61)
        raise sqlite3.OperationalError("disk I/O error")
    assert zones.waits(analyses, AT + 61) and store.still_places.of(1) == ()
    for _ in range(2):
        with store.writing():
            zones.write(store, analyses, AT + 61)
            cross(zones, 1, AT + 61)  # meanwhile
        zones.committed()
    assert store.crossings.sums([1], AT, AT + 900) == {1: {"door": Crossed(3, 0)}}
    assert store.still_places.of(1) == (POSTER,)
    assert zones.waits(analyses, AT + 61), "the last one"


def test_statistics_only_stores_spans_without_small_cells_and_no_place(store: Store) -> None:
    zones, analyses = Zones(), analysed(POSTER)
    with store.writing():
        zones.write(store, analyses, AT)
    zones.committed()
    with store.writing():
        store.privacy.keep_statistics_only("ann", AT)
        store.still_places.forget_all()
    zones.follow(store, analyses)
    cross(zones, 3, AT + 60)
    cross(zones, 9, AT + 70, Direction.OUT)
    assert not zones.waits(analyses, AT + 80), "nothing within a span"
    cross(zones, 3, AT + SPAN_S + 5)
    for later_s in (SPAN_S + 10, 2 * SPAN_S + 10):
        with store.writing():
            zones.write(store, analyses, AT + later_s)
        zones.committed()
    rows = store.db.execute("select start_utc, inward, outward from crossings order by 1")
    assert [(row["start_utc"] - AT, row["inward"], row["outward"]) for row in rows] == [(0, 0, 9), (900, 6, 0)]
    assert store.still_places.of(1) == ()


def test_turning_to_statistics_only_leaves_no_place_and_no_fine_sum_of_a_line(box: Box) -> None:
    with box.store.writing():
        box.store.summaries.begin_epoch(now(), True)
        box.store.crossings.add({(box.door, "door", Direction.IN): 4, (box.door, "door", Direction.OUT): 7}, AT)
        box.store.still_places.put(box.door, [POSTER])
    privacy.keep_statistics_only(box.config, box.store, OPERATOR, now())
    assert box.store.crossings.sums([box.door], 0, 2 * AT) == {box.door: {"door": Crossed(0, 7)}}
    assert box.store.still_places.of(box.door) == ()
