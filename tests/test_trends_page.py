"""Trends on the page: ranges cut by the box's clocks, the week before, and every number where it leads."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import InputError
from appliance.faces import Counts, State
from appliance.local.trend_charts import begins_at_start
from appliance.local.trend_range import Kind, Range, Shown, clock_utc, day_number, is_shown_twice, own_range, range_of
from appliance.local.trend_steps import week_before, when
from appliance.local.words import unbroken
from appliance.store import DetectionFilter
from appliance.store.trends import Bucket
from appliance.time_zone import TimeZone, named
from tests.site import Box
from tests.test_trend_charts import parsed


def zone(name: str) -> TimeZone:
    found = named(name)
    assert found
    return found


BERLIN = zone("Europe/Berlin")


def utc(text: str, name: str = "Europe/Berlin", fold: int = 0) -> float:
    """A time by the clocks of a zone, as Python's own zoneinfo has it."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(name), fold=fold).timestamp()


def test_a_day_a_week_and_a_month_are_cut_by_the_clocks_also_when_they_change() -> None:
    day = range_of(Kind.DAY, day_number("2026-10-25"), BERLIN)  # clocks go back
    assert (day.since_utc, day.until_utc) == (utc("2026-10-25"), utc("2026-10-26"))
    assert day.until_utc - day.since_utc == 25 * 3600 and day.title == "Sunday, 25 October 2026"
    week = range_of(Kind.WEEK, day_number("2026-03-29"), BERLIN)  # and forward, on the last day of the week
    assert (week.since_utc, week.until_utc) == (utc("2026-03-23"), utc("2026-03-30"))
    assert week.until_utc - week.since_utc == (7 * 24 - 1) * 3600
    month = range_of(Kind.MONTH, day_number("2026-12-07"), BERLIN)
    assert (month.since_utc, month.until_utc) == (utc("2026-12-01"), utc("2027-01-01"))
    assert "day=2027-01-01" in month.beside(True) and "day=2026-11-30" in month.beside(False)


def test_a_time_breaks_only_between_its_day_and_its_hours() -> None:
    assert unbroken("Mon 23 Nov, 12:00 to 13:00").split(" ") == ["Mon\u00a023\u00a0Nov,", "12:00\u00a0to\u00a013:00"]
    assert unbroken("sáb, 28 nov, 12:00 a 13:00").count(" ") == 1
    assert unbroken("23 to 29 Nov 2026") == "23 to 29 Nov 2026", "which is long"


@given(
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"]),
    st.integers(365, 25000),
    st.sampled_from([Kind.DAY, Kind.WEEK, Kind.MONTH]),
)
@settings(derandomize=True, max_examples=80, deadline=None)
def test_the_ranges_of_a_kind_follow_each_other_without_a_gap(name: str, day: int, kind: Kind) -> None:
    found = range_of(kind, day, zone(name))
    follows = parse_qs(urlsplit(found.beside(True)).query)["day"][0]
    assert range_of(kind, day_number(follows), zone(name)).since_utc == found.until_utc
    again = parse_qs(urlsplit(found.query()).query)
    assert range_of(Kind(again["range"][0]), day_number(again["day"][0]), zone(name)) == found


@given(st.integers(1_700_000_000, 1_900_000_000), st.integers(60, 40 * 86400))
@settings(derandomize=True, max_examples=80, deadline=None)
def test_a_range_of_ones_own_stays_what_it_is_when_its_address_is_opened(since: int, length_s: int) -> None:
    first, last = (f"{BERLIN.local(at):%Y-%m-%dT%H:%M}" for at in (since, since + length_s))
    try:
        found = own_range(first, last, 0, BERLIN)
    except InputError:
        assert is_shown_twice(since, BERLIN) or is_shown_twice(since + length_s, BERLIN)
        return
    fields = found.fields()
    again = own_range(fields["since"], fields["until"], 0, BERLIN)
    assert (again.since_utc, again.until_utc, again.shown) == (found.since_utc, found.until_utc, found.shown)


def test_a_time_on_the_page_is_one_of_the_clocks_of_the_box() -> None:
    found = own_range("2026-11-23T16:10", "2026-11-23T18:00", 0, BERLIN)
    assert (found.since_utc, found.until_utc) == (utc("2026-11-23T16:00"), utc("2026-11-23T18:00"))
    assert found.shown is Shown.QUARTER and own_range("2026-11-23", "2026-11-23", 0, BERLIN).shown is Shown.HOUR
    assert own_range("2020-01-01", "2026-01-01", 0, BERLIN).shown is Shown.MONTH
    half_past_two = day_number("2026-03-29") * 86_400 + 9000  # which the clocks skip
    assert clock_utc(half_past_two, BERLIN) == utc("2026-03-29T03:30")
    for wrong in (("2026-11-24", "2026-11-23"), ("yesterday", ""), ("9999-12-31", ""), ("2026-11-23T25:00", "")):
        with pytest.raises(InputError):
            own_range(*wrong, 1_795_000_000, BERLIN)


def hours(first: str, count: int, value: int = 1) -> list[Bucket]:
    """Hours from this time on, each with one person more than the last."""
    start = int(utc(first))
    return [
        Bucket(at, at + 3600, Counts(mask=value + n), 3600)
        for n, at in enumerate(range(start, start + count * 3600, 3600))
    ]


def test_the_week_before_is_when_the_clocks_showed_the_same() -> None:
    """25 October 2026 has 25 hours in Berlin: 02:00 comes twice, and all that follows is an hour later by UTC."""
    find = week_before(hours("2026-10-18", 24), BERLIN)
    beside = [found and found.mask for found in map(find, hours("2026-10-25", 25))]
    assert beside == [1, 2, 3, 3, *range(4, 25)]
    find = week_before(hours("2026-10-25", 25), BERLIN)
    assert [found and found.mask for found in map(find, hours("2026-11-01", 24))] == [1, 2, 3, *range(5, 26)]
    find = week_before(hours("2026-03-22", 24), BERLIN)
    assert [found and found.mask for found in map(find, hours("2026-03-29", 23))] == [1, 2, *range(4, 25)]
    find = week_before(hours("2026-03-29", 23), BERLIN)
    assert [found and found.mask for found in map(find, hours("2026-04-05", 4))] == [1, 2, None, 3]


def test_an_hour_that_the_clocks_show_twice_says_which_one_it_is() -> None:
    words = [when(bucket, Shown.HOUR, BERLIN) for bucket in hours("2026-10-25", 5)]
    assert words[1] == "Sun 25 Oct, 01:00 to 02:00" and words[4] == "Sun 25 Oct, 03:00 to 04:00"
    assert words[2:4] == ["Sun 25 Oct, 02:00 to 02:00 (UTC+0200)", "Sun 25 Oct, 02:00 to 03:00 (UTC+0100)"]


# The page


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """A box whose days are those of Berlin."""
    made = Box(tmp_path / "state")
    with made.store.writing():
        made.store.trends.follow_zone(BERLIN)
    yield made
    made.close()


def links(page: httpx.Response, within: str = "") -> list[str]:
    return [found.replace("&amp;", "&") for found in re.findall(rf'{within}[^>]*href="([^"]+)"', page.text)]


def test_every_number_leads_to_its_list_and_every_bar_to_its_hour(box: Box) -> None:
    ann = box.browser("ann")
    page = ann.get("/trends")
    assert page.is_success and "Times of Europe/Berlin" in page.text
    counts = links(page, "<dd><a")
    assert [parse_qs(urlsplit(each).query)["state"][0] for each in counts] == ["mask", "no_mask"]
    for address in counts:
        assert re.search(r"<strong>1</strong> person\b", ann.get(address).text)
    (bar, *_) = links(page, '<a class="column"')
    assert "<strong>2</strong> persons" in ann.get(bar).text
    week = ann.get("/trends?range=week")
    (day, *_) = links(week, '<a class="column"')
    assert day.startswith("/trends?range=day&day=") and 'aria-current="page">Day</a>' in ann.get(day).text
    for address in links(ann.get("/"), "<(?:dd|strong)><a"):
        assert ann.get(address).is_success


def test_a_stream_has_trends_of_its_own(box: Box) -> None:
    eve = box.browser("eve")
    page = eve.get("/trends?stream=2").text
    assert "Trends: sci:lab" in page and "1 person, " not in page
    assert ">1 no_mask" not in page and "1 no mask" in page and "1 mask" not in page
    assert "/trends/streams.svg" not in page, "one stream beside nothing"
    assert "There is no such stream" in eve.get("/trends?stream=99").text
    assert "/trends?stream=2" in box.browser("sci").get("/streams/2").text


@pytest.mark.parametrize(
    "query",
    [
        *("range=year", "range=day&day=2026-02-30", "range=day&day=0001-01-01", "range=own&since=x", "stream=no"),
        *("range=own&since=2026-11-24&until=2026-11-23", "range=own&since=9999-12-31", "range=week&day=%00"),
    ],
)
def test_what_cannot_be_read_is_said_and_no_file_pretends_to_be_it(box: Box, query: str) -> None:
    ann = box.browser("ann")
    page = ann.get(f"/trends?{query}")
    assert page.is_success and 'class="problem"' in page.text
    for chart in ("persons.svg", "persons.csv"):
        assert ann.get(f"/trends/{chart}?{query}").status_code == 400
    assert ann.get("/trends/nonsense.svg").status_code == 404


def test_each_chart_comes_as_a_file_and_its_numbers_as_csv(box: Box) -> None:
    ann = box.browser("ann")
    box.add_detection(1, State.UNKNOWN)
    for chart in ("persons", "rate", "week", "streams"):
        drawn = ann.get(f"/trends/{chart}.svg")
        assert drawn.headers["content-type"] == "image/svg+xml; charset=utf-8"
        assert re.fullmatch(
            rf'attachment; filename="mb9k-box-{chart}-[\d-]+\.svg"', drawn.headers["content-disposition"]
        )
        assert "Europe/Berlin" in " ".join(parsed(drawn.text).itertext())
        rows = list(csv.DictReader(io.StringIO(ann.get(f"/trends/{chart}.csv").text)))
        assert sum(int(row["persons"]) for row in rows) == 3, chart
        assert sum(int(row["unknown"]) for row in rows) == 1
    (row,) = [row for row in csv.DictReader(io.StringIO(ann.get("/trends/persons.csv").text)) if row["persons"] != "0"]
    assert row["n"] == "2" and row["zone"] == "Europe/Berlin"
    start = datetime.fromisoformat(row["start"])
    assert start.timestamp() <= box.clock.now.utc < datetime.fromisoformat(row["end"]).timestamp()
    assert start.utcoffset() == datetime.fromtimestamp(box.clock.now.utc, ZoneInfo("Europe/Berlin")).utcoffset()


def test_trends_of_a_box_that_counted_nobody_say_so(tmp_path: Path) -> None:
    box = Box(tmp_path / "state")
    for stored in box.store.detections.page(DetectionFilter(), limit=9):
        box.store.detections.remove(stored.id)
    page = box.browser("ann").get("/trends?range=month")
    assert page.is_success and "Nobody was counted yet" in page.text
    assert box.browser("ann").get("/trends/week.csv").is_success
    box.close()


def test_a_range_that_is_over_does_not_renew_itself(box: Box) -> None:
    ann = box.browser("ann")
    assert "data-refresh" in ann.get("/trends").text
    assert "data-refresh" not in ann.get("/trends?range=month&day=2020-01-01").text


def test_a_range_knows_its_own_kind() -> None:
    today = day_number("2026-11-27")
    past: Range = range_of(Kind.MONTH, day_number("2026-09-10"), BERLIN, stream_id=3)
    assert past.as_kind(Kind.WEEK, today) == "?range=week&day=2026-09-30&stream=3"
    assert past.as_kind(Kind.LIVE, today) == "?range=live&stream=3"
    assert range_of(Kind.WEEK, today, BERLIN).as_kind(Kind.DAY, today) == "?range=day&day=2026-11-27"


def test_a_narrow_screen_begins_at_the_start_of_a_range_of_which_the_end_is_to_come() -> None:
    day = range_of(Kind.DAY, day_number("2026-11-28"), BERLIN)
    assert begins_at_start(day, utc("2026-11-28T07:30")) and not begins_at_start(day, utc("2026-11-28T18:00"))
    assert not begins_at_start(day, utc("2026-11-29T07:30"))
