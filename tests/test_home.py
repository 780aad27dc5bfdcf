"""Home: the wall of what is LIVE, and one card of counts, whose every number leads to the persons it counts."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.accounts.audit import Action
from appliance.faces import Detection, PictureFault, State
from appliance.keeping import ImageMode, Keeping
from appliance.local.wall import TILES_AT_MOST
from appliance.previews import Previews
from appliance.rules import privacy
from appliance.rules.streams import OPERATOR
from appliance.secrets import digest
from appliance.store import Store
from appliance.time_zone import named
from tests.alerted import something_is_wrong
from tests.site import Box

LIVE, PROBLEM = 3, 2  # streams that the fixture adds


class Asked(Box):
    """A box that knows what its site asks of the record."""

    def __init__(self, folder: Path) -> None:
        self.statements: list[str] = []
        super().__init__(folder)

    def _open(self) -> Store:
        store = super()._open()
        store.db.conn.set_trace_callback(self.statements.append)
        return store


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Asked]:
    """Streams 1 and 2 are offline; of those that are added, the last ones have a problem."""
    made = Asked(tmp_path / "state")
    made.store.db.execute("delete from detections")  # they are of the real today
    made.clock.now = replace(made.clock.now, utc=1_795_780_800.0)  # 2026-11-27, noon in UTC
    add_streams(made, LIVE + PROBLEM)
    for stream_id in (6, 7):
        made.store.streams.set_problem(stream_id, f"Waiting for a key frame of <{stream_id}>.")
    beat(made)
    yield made
    made.close()


def beat(box: Box) -> None:
    for service in ("watch", "gate", "ingest", "notify"):
        box.store.services.heartbeat(service, 1, box.clock.now.utc, None, box.clock.now)


def add_streams(box: Box, count: int) -> None:
    with box.store.writing():
        for _ in range(count):
            name = f"camera {len(box.store.streams.ids()):03d}"
            stream_id = box.store.streams.add_with_key(1, name, digest(name), box.clock.now.utc)
            box.store.streams.set_live(stream_id, None, box.clock.now.utc)


def tiles(page: str) -> list[str]:
    return re.findall(r'<li class="card wall-tile.*?</li>', page, re.DOTALL)


def streams_of(page: str) -> list[int]:
    """Which streams have a tile, in their order."""
    return [int(re.findall(r'<h3><a href="/streams/(\d+)"', tile)[0]) for tile in tiles(page)]


def counted(box: Box, path: str) -> int:
    """How many persons the page of detections counts."""
    found = re.search(r'class="summary"><strong>(\d+)', box.browser("ann").get(path).text)
    assert found, path
    return int(found[1])


def links(page: str) -> list[tuple[int, str]]:
    """The numbers that lead to a list, with where they lead."""
    found = re.findall(r'<a[^>]* href="(/detections\?[^"]*)"[^>]*>(?:<strong>)?(\d+)<', page)
    return [(int(number), html.unescape(address)) for address, number in found]


def test_the_wall_shows_what_is_live_problems_first_and_leaves_the_rest_to_the_list(box: Asked) -> None:
    box.store.streams.set_picture_fault(5, PictureFault.DARK, "2026-11-27T11:00:00Z")
    page = box.browser("ann").get("/").text
    assert streams_of(page) == [5, 6, 7, 3, 4], "1 and 2 are offline"
    assert "picture dark" in tiles(page)[0] and "Waiting for a key frame of &lt;6&gt;." in tiles(page)[1]
    assert "5 are LIVE" in page and "<strong>3 streams have a problem</strong>" in page
    assert "2 streams are offline." in page and page.index("wall-tile") < page.index('class="counts"')
    add_streams(box, TILES_AT_MOST)
    page = box.browser("ann").get("/").text
    assert len(tiles(page)) == TILES_AT_MOST and streams_of(page)[:3] == [5, 6, 7]
    assert "5 more are LIVE or have a problem." in page
    assert streams_of(box.browser("sci").get("/").text) == [], "another's streams are not theirs to see"


def test_home_the_list_of_streams_and_health_count_the_same_problems(box: Asked) -> None:
    box.store.streams.set_picture_fault(5, PictureFault.DARK, "2026-11-27T11:00:00Z")
    with box.store.writing():
        something_is_wrong(box.store.alerts, box.clock.now)  # stream 1 is offline, and there is a rule about it
    for name, said in (("ann", (4, 7, [1, 5, 6, 7])), ("sci", (0, 1, []))):
        signed_in, (wrong, streams, ids) = box.browser(name), said
        home, health = signed_in.get("/").text, signed_in.get("/box-health").text
        listed = signed_in.get("/streams?show=problem").text
        assert (f"<strong>{wrong} streams have a problem</strong>" in home) is bool(wrong)
        assert (f"{wrong} of {streams} streams have a problem" in health) is bool(wrong)
        assert "if an alert about it is open" in health, "what counts"
        marked = re.findall(r'<span class="mark notice-mark"><a class="target" href="/streams/(\d+)"', health)
        assert sorted(map(int, marked)) == ids
        assert sorted(map(int, re.findall(r'<h2><a href="/streams/(\d+)"', listed))) == ids


@pytest.mark.parametrize("page", ["/", "/streams/1", "/trends"])
def test_a_chart_says_what_its_hatched_hours_are(box: Asked, page: str) -> None:
    box.add_detection(1, State.MASK)
    shown = box.browser("ann").get(page).text
    assert "-gap)" in shown and re.search(r'<span class="swatch hatched"></span>nobody looked</span>', shown)


def test_home_asks_the_record_no_more_where_there_are_many_streams(box: Asked) -> None:
    def asked() -> int:
        box.browser("ann").get("/")  # what is shown of images goes on record once
        box.statements.clear()
        assert box.browser("ann").get("/").is_success
        return len(box.statements)

    add_streams(box, TILES_AT_MOST)
    few = asked()
    add_streams(box, 200)
    assert asked() == few


def test_every_picture_of_the_wall_is_one_entry_of_the_audit_and_ten_minutes_none(box: Asked) -> None:
    previews, ann = Previews(box.config.run), box.browser("ann")

    def glance(*stream_ids: int) -> None:
        for stream_id in stream_ids:
            previews.write(stream_id, b"\xff\xd8 now")
            assert ann.get(f"/streams/{stream_id}/glance.jpg").content == b"\xff\xd8 now"

    def entries() -> list[tuple[str, list[str]]]:
        rows = box.store.db.execute(
            "select subject, details from audit where action = ? order by number", [Action.PREVIEW_WATCHED.value]
        )
        return [(row["subject"], json.loads(row["details"] or "{}").get("streams", [])) for row in rows]

    assert 'data-preview="/streams/3/glance.jpg"' in ann.get("/").text
    assert previews.is_glanced_at(3) and not previews.is_requested(3), "it is not decoded in full for that"
    assert entries() == [], "nobody has seen anything"
    glance(3, 4, 5, 6, 7, 3)
    (only,) = entries()
    assert only[0] == "5 streams" and len(only[1]) == 5 and only[1][0] == "stream 3 (ann:camera 002)"
    box.clock.forward(500)
    beat(box)
    assert ann.get("/").is_success
    glance(4)
    assert ann.get("/streams/4/preview.jpg").content and len(entries()) == 1
    box.clock.forward(200)
    beat(box)
    glance(5, 6)  # from another page of that browser, which shows all of them
    assert [subject for subject, _ in entries()] == ["5 streams"] * 2


def test_a_stream_without_images_and_a_box_of_statistics_show_no_picture_on_the_wall(box: Asked) -> None:
    previews, ann = Previews(box.config.run), box.browser("ann")
    box.store.streams.set_keeping(3, Keeping(images=ImageMode.NO_IMAGES))
    previews.write(3, b"\xff\xd8 now")
    page = ann.get("/").text
    assert "/streams/3/glance.jpg" not in page and "no images are kept of this stream" in page
    assert "/streams/4/glance.jpg" in page
    assert ann.get("/streams/3/glance.jpg").status_code == 204 and not previews.is_glanced_at(3)
    assert box.browser("sci").get("/streams/4/glance.jpg").status_code == 404
    privacy.keep_statistics_only(box.config, box.store, OPERATOR, box.clock.now)
    previews.write(4, b"\xff\xd8 now")
    assert "glance.jpg" not in ann.get("/").text and ann.get("/streams/4/glance.jpg").status_code == 204


@pytest.mark.parametrize("range_", ["", "?range=days", "?range=own&since=2026-11-20&until=2026-11-25"])
def test_every_number_of_home_leads_to_just_those_persons(box: Asked, range_: str) -> None:
    noon = box.clock.now.utc
    berlin = named("Europe/Berlin")
    assert berlin
    with box.store.writing():
        box.store.trends.follow_zone(berlin)
        for days in range(9):
            for stream_id, state in ((3, State.MASK), (4, State.NO_MASK), (1, State.MASK)):
                at = noon - days * 86400 - 60 * stream_id
                seen = Detection(at, at + 3, state, 0.9, 7, (1, 2, 30, 40), 640, 360, "m")
                box.store.detections.add(stream_id, seen)
    page = box.browser("ann").get(f"/{range_}").text
    assert "by the clocks of Europe/Berlin" in page
    found = links(page)
    assert len(found) >= 5
    for number, address in found:
        assert counted(box, address) == number, address
    for address in re.findall(r'<a class="column" href="([^"]*)"', page):
        assert box.browser("ann").get(html.unescape(address)).is_success
    wanted = {"": ("3", "Friday, 27 November 2026"), "?range=days": ("21", "21 November to 27 November 2026")}
    persons, when = wanted.get(range_, ("18", "20 November to 25 November 2026"))
    assert f">{persons}</a></strong> persons" in page and when in page


def test_todays_bars_lead_to_their_hour_and_a_range_that_cannot_be_read_is_said(box: Asked) -> None:
    box.add_detection(3, State.MASK)
    ann = box.browser("ann")
    (*_, last) = re.findall(r'<a class="column" href="([^"]*)"', ann.get("/").text)
    assert "since=2026-11-27T12%3A00%3A00.000Z" in last and "until=2026-11-27T13%3A00%3A00.000Z" in last
    assert counted(box, html.unescape(last)) == 1
    backwards = ann.get("/?range=own&since=2026-11-25&until=2026-11-20").text
    assert "The range ends before it begins" in backwards and 'aria-current="page">Today<' in backwards
    assert "There is no such range" in ann.get("/?range=year").text
    assert 'aria-current="page">7 days<' in ann.get("/?range=days").text
