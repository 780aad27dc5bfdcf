"""Zones and crossings in the record: the sums of lines by quarters and days, over a change of the clocks."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.accounts.people import Role
from appliance.store import Crossed, Step, Store
from appliance.time_zone import TimeZone, time_zone
from appliance.times import Now
from appliance.zones import Direction, Zone, ZoneKind, checked

AT = int(datetime(2026, 10, 24, 22, tzinfo=timezone.utc).timestamp())  # midnight in Berlin; that day has 25 hours
NOW = Now(utc=AT + 30.5, boot_id="boot-1", uptime_s=1000.0)
BERLIN = time_zone({"TZ": "Europe/Berlin"})
DOOR = Zone(ZoneKind.LINE, "door", ((0.5, 0.2), (0.5, 0.8)))
HALL = Zone(ZoneKind.COUNT, "hall", ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0)))


def a_box(believed: bool = True, zone: TimeZone = BERLIN) -> Store:
    """A stream, id 1, and an epoch."""
    store = Store.in_memory()
    with store.writing():
        store.people.add("ann", "hash", Role.ADMIN, AT)
        store.streams.add_with_key(1, "door", "digest 1", AT)
        store.summaries.begin_epoch(NOW, believed)
        store.trends.follow_zone(zone)
    return store


def test_zones_are_kept_in_their_order_and_go_with_their_stream() -> None:
    store = a_box()
    zones = checked([HALL, DOOR])
    with store.writing():
        store.zones.put(1, zones)
    assert store.zones.of(1) == zones and store.zones.all() == {1: zones} and store.zones.of(2) == ()
    with store.writing():
        store.zones.put(1, zones[::-1])
    assert store.zones.of(1) == zones[::-1]
    with store.writing():
        store.streams.remove(1)
    assert store.zones.all() == {}


def test_a_line_that_is_renamed_keeps_its_numbers_and_one_that_is_taken_away_leaves_them() -> None:
    store = a_box()
    with store.writing():
        store.zones.put(1, [DOOR])
        store.crossings.add({(1, "door", Direction.IN): 2}, AT)
        store.zones.put(1, [Zone(ZoneKind.LINE, "gate", DOOR.points)])
    assert store.crossings.today([1], NOW.utc) == {1: {"gate": Crossed(2, 0)}}
    with store.writing():
        store.zones.put(1, [])
    assert store.crossings.today([1], NOW.utc) == {1: {"gate": Crossed(2, 0)}}
    with store.writing():
        store.streams.remove(1)
        store.crossings.add({(1, "gate", Direction.IN): 1}, AT)
    assert store.crossings.sums([1], 0, AT * 2) == {}


events = st.lists(st.tuples(st.integers(0, 30 * 3600), st.sampled_from(Direction)), max_size=40)


@given(events)
@settings(derandomize=True, max_examples=25, deadline=None)
def test_buckets_of_any_step_are_what_was_counted_in_them(crossed: list[tuple[int, Direction]]) -> None:
    store = a_box()
    with store.writing():
        for after_s, direction in crossed:
            store.crossings.add({(1, "door", direction): 1}, AT + after_s)
    for step in Step:
        buckets = store.crossings.buckets(1, "door", AT, AT + 30 * 3600, step)
        for bucket in buckets:
            within = [d for s, d in crossed if bucket.start_utc <= AT + s < bucket.end_utc]
            assert bucket.crossed == Crossed(within.count(Direction.IN), within.count(Direction.OUT))
        assert all(before.end_utc == after.start_utc for before, after in pairwise(buckets))
    (first, _) = store.crossings.buckets(1, "door", AT, AT + 30 * 3600, Step.DAY)
    assert first.end_utc - first.start_utc == 25 * 3600
    today = store.crossings.today([1], AT + 12 * 3600).get(1, {}).get("door", Crossed())
    assert today.inward == sum(d is Direction.IN and s < 12.25 * 3600 for s, d in crossed)


@given(events, st.integers(-(10**9) // 60, 10**6))
@settings(derandomize=True, max_examples=25, deadline=None)
def test_what_a_wrong_clock_counted_moves_to_where_it_was(crossed: list[tuple[int, Direction]], wrong_min: int) -> None:
    """The truth is what a box counts whose clock was right; a second epoch counts what comes after the correction."""
    right, wrong = a_box(), a_box(believed=False)
    off_s = 60 * wrong_min
    moved = replace(NOW, utc=NOW.utc + off_s)
    with wrong.writing():
        wrong.db.execute("update epochs set started_utc = started_utc + ?", [off_s])
    for after_s, direction in crossed:
        with right.writing():
            right.crossings.add({(1, "door", direction): 1}, AT + after_s)
        with wrong.writing():
            wrong.crossings.add({(1, "door", direction): 1}, AT + off_s + after_s)
    with wrong.writing():
        wrong.crossings.add({(1, "door", Direction.OUT): 3}, int(moved.utc))
        wrong.summaries.correct_clock(NOW)
        wrong.crossings.add({(1, "door", Direction.IN): 5}, AT)
    with right.writing():
        right.crossings.add({(1, "door", Direction.IN): 5, (1, "door", Direction.OUT): 3}, AT)
    question = "select * from crossings order by line, start_utc"
    assert [tuple(row) for row in wrong.db.execute(question)] == [tuple(row) for row in right.db.execute(question)]


def test_half_hours_with_few_people_wait_for_the_next_where_statistics_only_are_kept() -> None:
    store = a_box()
    with store.writing():
        store.crossings.add({(1, "door", Direction.IN): 3, (1, "door", Direction.OUT): 9}, AT)
        store.crossings.add({(1, "door", Direction.IN): 3}, AT + 1800)
        store.crossings.add({(1, "door", Direction.IN): 4}, AT + 3600)
        store.crossings.coarsen()
    rows = [
        (row["start_utc"] - AT, row["inward"], row["outward"]) for row in store.db.execute("select * from crossings")
    ]
    assert rows == [(0, 0, 9), (1800, 6, 0)]
