"""The list of streams: what comes first, what a filter leaves, and that a page keeps its place."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from appliance.local.stream_list import PAGE_SIZE
from appliance.secrets import digest
from appliance.store import Store
from tests.site import Box, Browser

MORE = 118  # of ann, beside door and sci's lab: 120 in three pages
LIVE, DEACTIVATED, TROUBLED = 30, 5, 3


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """cam 000 to 029 are LIVE, 030 to 034 deactivated; of cam 117, LIVE too, nobody is judged."""
    made = Box(tmp_path_factory.mktemp("many"))
    at = made.clock.now.utc
    with made.store.writing():
        for number in range(MORE):
            stream_id = made.store.streams.add_with_key(1, f"cam {number:03}", digest(f"cam {number}"), at)
            if number < LIVE or number == MORE - 1:
                made.store.streams.set_live(stream_id, "192.0.2.7", at)
            if LIVE <= number < LIVE + DEACTIVATED:
                made.store.streams.set_active(stream_id, False)
        made.store.streams.set_problem(stream_id, "The model is missing.")
        made.store.services.heartbeat("watch", 1, at, None, made.clock.now)
    yield made
    made.close()


@pytest.fixture(scope="module")
def ann(box: Box) -> Browser:
    return box.browser("ann")


def titles(page: str) -> list[str]:
    """The streams of a page, in their order."""
    return re.findall(r'<h2><a href="/streams/\d+"><span class="quiet-text">[^<]*</span>([^<]*)</a>', page)


def link(page: str, rel: str) -> str:
    found = re.search(rf'rel="{rel}" href="([^"]*)"', page)
    return unescape(found[1]) if found else ""


def counts(page: str) -> dict[str, str]:
    """How many each filter leaves."""
    choices = page.partition('aria-label="Which streams">')[2].partition("</nav>")[0]
    return dict(re.findall(r">([^<>]+) <span class=\"count\">([^<]+)</span></a>", choices))


def test_problems_come_first_then_what_is_live_and_what_is_deactivated_last(ann: Browser) -> None:
    pages = [ann.get("/streams").text]
    while following := link(pages[-1], "next"):
        pages.append(ann.get(following).text)
    every = [titles(page) for page in pages]
    assert [len(each) for each in every] == [PAGE_SIZE, PAGE_SIZE, 20]
    assert every[0][: LIVE + 1] == ["cam 117", *(f"cam {number:03}" for number in range(LIVE))]
    assert every[2][-DEACTIVATED:] == [f"cam {number:03}" for number in range(LIVE, LIVE + DEACTIVATED)]
    assert len({title for each in every for title in each}) == 120
    assert "1 to 50 of 120" in pages[0] and "101 to 120 of 120" in pages[2]
    assert titles(ann.get(link(pages[2], "prev")).text) == every[1]
    assert titles(ann.get(link(pages[1], "prev")).text) == every[0] and link(pages[1], "prev") == "/streams"


def test_a_stream_that_is_refused_is_nowhere_called_offline(tmp_path: Path) -> None:
    made = Box(tmp_path)
    at = made.clock.now
    made.store.services.heartbeat("watch", 1, at.utc, None, at)
    made.store.streams.add_refusal("192.0.2.9", "publish", "It came with an older stream key.", 3, at.utc, 1)
    made.store.streams.set_active(2, False)
    ann = made.browser("ann")
    found = {name: count for name, count in counts(ann.get("/streams").text).items() if count != "0"}
    assert found == {"All": "2", "With a problem": "1", "Deactivated": "1"}
    assert not re.search("streams? (is|are) offline", ann.get("/").text)
    assert "No live picture: whoever sends is refused." in ann.get("/streams/1").text
    assert "No live picture: the stream is deactivated." in ann.get("/streams/2").text
    made.close()


def test_each_filter_says_how_many_it_leaves_and_leaves_these(ann: Browser) -> None:
    page = ann.get("/streams").text
    expected = {"All": 120, "With a problem": 1, "LIVE": LIVE + 1, "Offline": 84, "Deactivated": DEACTIVATED}
    assert counts(page) == {label: str(number) for label, number in expected.items()}
    assert titles(ann.get("/streams?show=problem").text) == ["cam 117"]
    assert len(titles(ann.get("/streams?show=live").text)) == LIVE + 1
    assert len(titles(ann.get("/streams?show=deactivated").text)) == DEACTIVATED
    assert titles(ann.get("/streams?show=nonsense").text) == titles(page)
    found = ann.get("/streams?search=CAM+00&show=live").text
    assert titles(found) == [f"cam 00{number}" for number in range(10)] and counts(found)["All"] == "10"
    assert (
        '<input type="hidden" name="show" value="live">' in found and "/streams?search=CAM+00&amp;show=problem" in found
    )


def test_an_empty_list_says_which_filter_excludes_everything(ann: Browser) -> None:
    page = ann.get("/streams?search=cam+00&show=deactivated").text
    assert "10 streams are called like cam 00, but the filter “Deactivated” excludes all of them." in page
    assert 'href="/streams?search=cam+00"' in page and 'href="/streams?show=deactivated"' in page
    assert "1 stream is called like cam 001, but" in ann.get("/streams?search=cam+001&show=problem").text
    assert "No stream is called like &lt;b&gt;." in ann.get("/streams?search=<b>").text
    eve = ann.get("/streams?show=unknown").text
    assert "There are 120 streams, but the filter “Not known” excludes all of them." in eve


def test_a_page_keeps_its_place_while_streams_before_it_come_and_go(box: Box, ann: Browser) -> None:
    second = link(ann.get("/streams").text, "next")
    before = titles(ann.get(second).text)
    box.store.streams.set_live(2, "192.0.2.7", box.clock.now.utc)  # sci:lab comes to the first page
    try:
        page = ann.get(second).text
        assert titles(page) == before and "52 to 101 of 120" in page
    finally:
        box.store.streams.set_offline(2)
    for nonsense in ("9", "zz"):
        assert "101 to 120 of 120" in ann.get(f"/streams?after={nonsense}").text


def test_how_many_today_leads_to_them(ann: Browser) -> None:
    page = ann.get("/streams?search=sci:lab").text
    (address,) = re.findall(r'<strong><a [^>]*href="(/detections[^"]*)">1</a></strong>', page)
    assert set(re.findall(r'id="detection-(\d+)"', ann.get(unescape(address)).text)) == {"2"}
    assert "<strong>0</strong>" in ann.get("/streams?search=cam+001").text, "nobody has no list"


def test_the_statements_are_as_many_for_all_as_for_one(ann: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    opened = Store.__init__

    def traced(self: Store, connection: sqlite3.Connection) -> None:
        opened(self, connection)
        connection.set_trace_callback(asked.append)

    monkeypatch.setattr(Store, "__init__", traced)
    numbers = []
    for path in ("/streams?search=cam+001", "/streams"):
        asked.clear()
        assert titles(ann.get(path).text)
        numbers.append(len(asked))
    assert numbers[0] == numbers[1] > 0
