"""The time zone of the box, beside Python's own."""

from __future__ import annotations

import itertools
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.time_zone import QUARTER_S, UTC, TimeZone, named, time_zone

NAMES = ("Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe", "Asia/Beirut", "UTC")
LATER = st.integers(1_400_000_000, 3_900_000_000)  # 2014 to 2093


def zone(name: str) -> TimeZone:
    found = named(name)
    assert found
    return found


@settings(max_examples=150, deadline=None, derandomize=True)
@given(LATER, st.sampled_from(NAMES))
def test_its_clocks_show_what_pythons_show(utc: int, name: str) -> None:
    ours, theirs = zone(name), ZoneInfo(name)
    local = datetime.fromtimestamp(utc, theirs)
    assert ours.local(utc).isoformat() == local.isoformat()
    midnight = datetime.fromtimestamp(ours.midnight_utc(utc), theirs)
    before = datetime.fromtimestamp(ours.midnight_utc(utc) - 1, theirs)
    assert midnight.date() == local.date() > before.date()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(LATER, st.integers(1, 200_000), st.sampled_from([QUARTER_S, 3600]), st.sampled_from(NAMES))
def test_cuts_are_whole_steps_of_its_clocks_around_the_span(since: int, length: int, step_s: int, name: str) -> None:
    cuts = zone(name).cuts(since, since + length, step_s)
    assert cuts[0] <= since < cuts[1] and cuts[-2] < since + length <= cuts[-1]
    for before, after in itertools.pairwise(cuts):
        shown = datetime.fromtimestamp(after, ZoneInfo(name))
        changed = zone(name).offset_s(before) != zone(name).offset_s(after)
        assert after - before == step_s or (changed and 0 < after - before <= step_s)
        assert (shown.minute * 60) % step_s == 0 or changed


def test_days_over_a_change_of_the_clocks_are_23_and_25_hours() -> None:
    berlin = zone("Europe/Berlin")
    for day, hours in (("2026-03-29", 23), ("2026-03-30", 24), ("2026-10-25", 25)):
        noon = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
        begin, end = berlin.day_cuts(noon, noon + 1)
        assert (end - begin) / 3600 == hours


def test_a_day_without_a_midnight_begins_when_its_clocks_begin_it() -> None:
    noon = datetime(2024, 3, 31, 12, tzinfo=ZoneInfo("Asia/Beirut")).timestamp()
    assert zone("Asia/Beirut").local(zone("Asia/Beirut").midnight_utc(noon)).isoformat() == "2024-03-31T01:00:00+03:00"


def test_a_day_that_a_zone_left_out_is_none() -> None:
    apia = zone("Pacific/Apia")
    eve = datetime(2011, 12, 29, 12, tzinfo=ZoneInfo("Pacific/Apia")).timestamp()
    assert [str(apia.local(cut).date()) for cut in apia.day_cuts(eve, eve + 86_400)] == [
        "2011-12-29",
        "2011-12-31",
        "2012-01-01",
    ]


@pytest.mark.parametrize(
    ("tz", "link", "text", "name"),
    [
        (None, "/usr/share/zoneinfo/Asia/Kolkata", None, "Asia/Kolkata"),
        (None, "../usr/share/zoneinfo/America/Argentina/Salta", None, "America/Argentina/Salta"),
        ("Europe/Paris", "/usr/share/zoneinfo/Asia/Kolkata", None, "Europe/Paris"),
        (":Europe/Paris", None, None, "Europe/Paris"),
        ("no zone at all", "/usr/share/zoneinfo/Asia/Kolkata", None, "Asia/Kolkata"),
        ("../../etc/passwd", None, None, "UTC"),
        (None, None, "Europe/Rome\n", "Europe/Rome"),
        (None, "/somewhere/else", "", "UTC"),
        (None, None, None, "UTC"),
    ],
)
def test_it_is_the_machines_or_utc(
    tmp_path: Path, tz: str | None, link: str | None, text: str | None, name: str
) -> None:
    if link:
        (tmp_path / "localtime").symlink_to(link)
    if text is not None:
        (tmp_path / "timezone").write_text(text)
    assert time_zone({} if tz is None else {"TZ": tz}, tmp_path) == zone(name)
    assert zone("UTC") == UTC
