"""A centre's days: by the clocks of its zone, whatever is counted when, and whatever zone it is given later."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.central import days
from appliance.central.config import CentralConfig
from appliance.central.database import Database
from appliance.central.housekeeping import roll_up_all
from appliance.central.intake import Intake
from appliance.central.opening import open_database
from appliance.faces import Counts
from appliance.time_zone import TimeZone, named
from appliance.times import utc_seconds, utc_text
from tests.fleet import NOW, SimulatedBox, join, sent, take
from tests.fleets import NOON, Fleet

NAMES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "Asia/Beirut", "America/New_York")
SPRING = int(utc_seconds("2026-03-27T00:00:00Z"))  # two days before the clocks change in Europe
COLUMNS = "watched_s, mask, no_mask, incorrect, unknown, unverified"
Row = tuple[int, ...]


def zone(name: str) -> TimeZone:
    found = named(name)
    assert found
    return found


@pytest.fixture
def database(made_database: str) -> Iterator[Database]:
    opened = open_database(made_database)
    yield opened
    opened.close()


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(1_400_000_000, 3_900_000_000), st.sampled_from(NAMES))
def test_a_day_has_the_hours_that_end_in_it(utc: int, name: str) -> None:
    since, until = days.start_of(zone(name), utc), days.end_of(zone(name), utc)
    assert since <= utc < until and 22 * 3600 <= until - since <= 26 * 3600
    assert since % 3600 == until % 3600 == 0
    dates = {datetime.fromtimestamp(hour + 3599, ZoneInfo(name)).date() for hour in range(since, until, 3600)}
    assert len(dates) == 1
    assert datetime.fromtimestamp(since - 1, ZoneInfo(name)).date() == dates.pop() - timedelta(days=1)
    cuts = days.cuts(zone(name), utc, utc + 500_000)
    assert cuts[0] == since and cuts[1] == until and cuts[-2] < utc + 500_000 <= cuts[-1]


HOURS = st.dictionaries(st.tuples(st.integers(1, 2), st.integers(0, 150)), st.integers(0, 9), max_size=40)


def fill(database: Database, hours: dict[tuple[int, int], int], begun: TimeZone) -> None:
    """Hours of two streams of one box, and their days as this zone has them."""
    with database.writing():
        for table in ("hours", "days", "streams", "boxes"):
            database.execute(f"delete from {table}")
        database.execute("insert into boxes (id, joined_utc) values ('north', 0)")
        for number in (1, 2):
            database.execute("insert into streams (id, box_id, number) values (?, 'north', ?)", [number, number])
        counted = [
            (stream_id, SPRING + 3600 * number, 3600, persons, 1, 0, 2, 0)
            for (stream_id, number), persons in hours.items()
        ]
        database.put(f"hours (stream_id, start_utc, {COLUMNS})", counted)
        database.execute("update time_zone set name = ?, seam_utc = 0", [begun.name])
        for since, until in itertools.pairwise(days.cuts(begun, SPRING, SPRING + 151 * 3600)):
            database.execute(days.INSERT.format(only=""), {"start": since, "since": since, "until": until})


def rows(database: Database, table: str) -> list[Row]:
    found = database.execute(f"select stream_id, start_utc, {COLUMNS} from {table} order by 1, 2")
    return [tuple(row) for row in found]


def by_day(parts: list[Row], zone: TimeZone) -> list[Row]:
    """Hours, or parts of days, as days; each belongs where it begins."""
    found: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0] * 6)
    for stream_id, start_utc, *sums in parts:
        key = (stream_id, days.start_of(zone, start_utc))
        found[key] = [before + more for before, more in zip(found[key], sums, strict=True)]
    return [(*key, *sums) for key, sums in sorted(found.items())]


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hours=HOURS, names=st.lists(st.sampled_from(NAMES), min_size=2, max_size=4), forgotten=st.integers(-50, 60))
def test_another_zone_cuts_the_same_hours_and_loses_nobody(
    database: Database, hours: dict[tuple[int, int], int], names: list[str], forgotten: int
) -> None:
    fill(database, hours, zone(names[0]))
    oldest_utc = SPRING + 3600 * forgotten
    database.execute("delete from hours where start_utc < ?", [oldest_utc])
    total = [sum(values) for values in zip(*(row[2:] for row in rows(database, "days")), strict=True)]
    for name in names[1:]:
        days.follow_zone(database, zone(name))
        assert days.zone_in_force(database) == zone(name)
        have = rows(database, "days")
        assert [sum(values) for values in zip(*(row[2:] for row in have), strict=True)] == total
        # Those of which all hours are there are as the zone has them; beside those that were forgotten is one seam.
        whole_utc = oldest_utc + 2 * 86_400 if forgotten > 0 else SPRING - 86_400
        have, want = by_day(have, zone(name)), by_day(rows(database, "hours"), zone(name))
        assert [row for row in have if row[1] >= whole_utc] == [row for row in want if row[1] >= whole_utc]
        assert not days.follow_zone(database, zone(name))


def test_what_boxes_tell_is_rolled_up_by_the_days_of_the_zone(database: Database) -> None:
    berlin = zone("Europe/Berlin")
    days.follow_zone(database, berlin)
    join(database, "north")
    box, intake = SimulatedBox("north"), Intake(10**6, keep_days=100)
    midnight_utc = days.start_of(berlin, NOW)
    box.begin("00000000000000a1", midnight_utc - 3600)
    for minute, persons in ((59, 1), (60, 2), (119, 4)):
        box.count("00000000000000a1", 1, minute, watched_s=60, mask=persons)
    take(intake, database, sent("north", box.range("00000000000000a1", 0)))
    roll_up_all(database)
    found = {row[1]: row[3] for row in rows(database, "days")}
    assert found == {days.start_of(berlin, midnight_utc - 1): 1, midnight_utc: 6}
    assert midnight_utc % 86_400 in (22 * 3600, 23 * 3600)
    box.count("00000000000000a1", 1, 59, mask=10)  # a correction finds the day before
    take(intake, database, sent("north", box.range("00000000000000a1", 3)))
    roll_up_all(database)
    assert {row[1]: row[3] for row in rows(database, "days")} == {**found, days.start_of(berlin, midnight_utc - 1): 11}


def test_pages_and_programs_are_told_the_days_of_the_zone(tmp_path: Path, made_database: str) -> None:
    fleet = Fleet(tmp_path / "state", made_database)
    berlin = zone("Europe/Berlin")
    for hour_utc in (NOON - 13 * 3600 - 3600, NOON - 13 * 3600):  # 23:00 and midnight in Berlin
        fleet.add_hour(1, hour_utc, Counts(mask=30))
    days.follow_zone(fleet.db, berlin)
    ann = fleet.browser("ann")
    told = ann.get("/api/v1/counts?step=day&since=2026-10-20T00:00:00Z&until=2026-11-24T12:00:00Z").json()
    steps = {step["start"]: step["total"] for step in told["steps"]}
    assert told["time_zone"] == "Europe/Berlin"
    assert steps["2026-11-22T23:00:00.000Z"] == 30 and steps["2026-11-23T23:00:00.000Z"] == 30
    assert steps.keys() >= {"2026-10-24T22:00:00.000Z", "2026-10-25T23:00:00.000Z"}  # a day of 25 hours
    page = ann.get("/boxes/lobby?last=month").text
    assert "Persons by day (Europe/Berlin)" in page and "24 Nov: 30 persons" in page and "days of Europe/Berlin" in page
    assert f"until={utc_text(days.end_of(berlin, NOON)).replace(':', '%3A')}" in page
    assert "since midnight (Europe/Berlin)" in ann.get("/boxes/lobby?last=today").text
    assert "since midnight (Europe/Berlin)" in ann.get("/compare?last=today").text
    for each in ("/", "/boxes", "/sites"):
        assert "Today is Tuesday, 24 November 2026, by the clocks of Europe/Berlin." in ann.get(each).text
    assert ann.get("/api/v1/boxes/lobby").json()["total"] == 30
    fleet.close()


def test_a_zone_that_there_is_not_stops_the_centre_with_a_sentence() -> None:
    with pytest.raises(msgspec.ValidationError, match="no time zone that this machine knows"):
        msgspec.convert({"time_zone": "Mars/Olympus"}, CentralConfig)
    assert msgspec.convert({"time_zone": "Asia/Tokyo"}, CentralConfig).zone == zone("Asia/Tokyo")
