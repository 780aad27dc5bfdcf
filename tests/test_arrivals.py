"""A list of detections stays while a page renews itself; what arrived since is told above it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.faces import Detection, State
from appliance.store import DetectionFilter
from tests.site import Box, Browser


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "state")
    yield made
    made.close()


def listed(page: str) -> list[int]:
    return [int(number) for number in re.findall(r'class="tile" href="/detections/(\d+)', page)]


def renewed(browser: Browser, path: str, page: str) -> str:
    """The page as it renews itself, by a script or without one."""
    found = re.search(r'data-from="([^"]*)"', page)
    assert found
    assert f'content="15; url={found[1]}"' in page
    return browser.get(path.split("?")[0] + found[1].replace("&amp;", "&")).text


@pytest.mark.parametrize("path", ["/detections", "/detections?stream=1", "/streams/1"])
def test_a_list_that_renews_itself_stays_and_says_how_many_are_newer(box: Box, path: str) -> None:
    browser = box.browser("ann")
    page = browser.get(path).text
    before = listed(page)
    assert " newer, show" not in page
    box.add_detection(1, State.MASK)
    newest = box.add_detection(1, State.NO_MASK)
    later = renewed(browser, path, page)
    assert listed(later) == before
    link = re.search(r'<a href="([^"]*)" data-newer>2 newer, show</a>', later)
    assert link, later
    assert listed(browser.get(link[1].replace("&amp;", "&")).text) == [newest, newest - 1, *before]
    assert listed(renewed(browser, path, later)) == before
    assert listed(browser.get(path).text) == [newest, newest - 1, *before], "who opens it sees all"


def test_a_person_who_was_seen_earlier_but_told_later_pushes_nobody_aside(box: Box) -> None:
    browser = box.browser("ann")
    page = browser.get("/detections").text
    at = box.clock.now.utc - 60
    late = box.store.detections.add(1, Detection(at, at + 3, State.MASK, 0.9, 7, (1, 2, 30, 40), 640, 360, "m"))
    assert listed(browser.get("/detections").text) == [2, 1, late]
    later = renewed(browser, "/detections", page)
    assert listed(later) == [2, 1] and "1 newer, show" in later


def test_only_who_belongs_to_a_list_is_newer_in_it(box: Box) -> None:
    browser = box.browser("ann")
    pages = {
        path: browser.get(path).text for path in ("/detections?state=mask", "/detections?search=ann", "/streams/1")
    }
    box.add_detection(2, State.NO_MASK)
    for path, page in pages.items():
        assert " newer, show" not in renewed(browser, path, page), path
    box.add_detection(1, State.MASK)
    for path, page in pages.items():
        assert "1 newer, show" in renewed(browser, path, page), path


def test_the_counts_above_a_list_go_on(box: Box) -> None:
    browser = box.browser("ann")
    page = browser.get("/detections").text
    box.add_detection(1, State.MASK)
    assert "<strong>3</strong> persons" in renewed(browser, "/detections", page)


def test_an_empty_list_shows_the_first_person_by_itself(box: Box) -> None:
    box.store.db.execute("delete from detections")
    browser = box.browser("ann")
    for path in ("/detections", "/streams/1", "/detections?state=unknown"):
        assert "data-from" not in browser.get(path).text, path


def test_an_older_page_stays_and_speaks_of_nobody_newer(box: Box) -> None:
    for _ in range(30):
        box.add_detection(1, State.MASK)
    browser = box.browser("ann")
    page = browser.get("/detections?before=9").text
    assert listed(page) == [*range(8, 0, -1)]
    box.add_detection(1, State.MASK)
    later = renewed(browser, "/detections", page)
    assert listed(later) == [*range(8, 0, -1)] and "data-newer" not in later
    page = browser.get("/detections?after=2").text
    assert listed(renewed(browser, "/detections", page)) == listed(page)


def test_very_many_are_not_counted(box: Box) -> None:
    at = box.clock.now.utc
    seen = Detection(at, at + 3, State.MASK, 0.9, 7, (1, 2, 30, 40), 640, 360, "m")
    with box.store.writing():
        for _ in range(1001):
            box.store.detections.add(1, seen)
    assert box.store.detections.newer(DetectionFilter(), 3) == 1000
    assert box.store.detections.newer(DetectionFilter(), 2) is None
    page = box.browser("ann").get("/detections?up_to=2").text
    assert listed(page) == [2, 1] and ">Many newer, show</a>" in page


@pytest.mark.parametrize("up_to", ["soon", "-1", "0", "1e3", str(2**63), "99999999", "1&up_to=2"])
def test_an_odd_end_of_a_list_breaks_no_page(box: Box, up_to: str) -> None:
    browser = box.browser("ann")
    for path in ("/detections", "/streams/1"):
        assert browser.get(f"{path}?up_to={up_to}").status_code == 200
    assert listed(browser.get("/detections?up_to=99999999").text) == [2, 1]


def test_who_owns_no_stream_is_told_whose_persons_stand_there(box: Box) -> None:
    for service in ("gate", "ingest", "watch"):  # while one is silent, nobody knows which streams are LIVE
        box.store.services.heartbeat(service, 1, box.clock.now.utc, None, box.clock.now)
    eve = box.browser("eve")
    home, streams = eve.get("/").text, eve.get("/streams").text
    assert "There is no stream yet" not in home and "Three steps" not in home and "No stream yet" not in streams
    assert "counted by the 2 streams of other people" in home and "None of the streams is yours." in home
    assert "This box has 2 streams of other people" in streams
    found = eve.get("/streams?search=door").text
    assert "No stream is called like door." in found and "Not searched: 2 streams of other people." in found
    assert "None of your streams is LIVE." in box.browser("sci").get("/").text
    ann = box.browser("ann")
    assert "No stream is LIVE." in ann.get("/").text and "of other people" not in ann.get("/").text
    box.store.db.execute("delete from streams")
    for browser in (eve, ann):
        assert "Three steps" in browser.get("/").text and "There is no stream yet." in browser.get("/").text
        assert "No stream yet" in browser.get("/streams").text
