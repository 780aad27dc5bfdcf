"""The page on which zones are drawn, as a form of numbers; the same for programs; and posters that are marked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from appliance.errors import InputError
from appliance.faces import Detection, State
from appliance.local.zone_drawing import drawing_of
from appliance.local.zones import _points, _row, _zones
from appliance.rules import things
from appliance.store import DetectionFilter
from appliance.zones import MOST_ZONES, Direction, Zone, ZoneKind, is_excluded
from tests.site import JPEG, Box, Browser

COUNT, NEVER, LINE = ZoneKind.COUNT, ZoneKind.NEVER, ZoneKind.LINE
PAGE = "/streams/1/zones"
SQUARE = "10,10 60,10 60,60.5 10,60.5"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "state")
    yield made
    made.close()


def sent(browser: Browser, *rows: tuple[str, str, str], page: str = PAGE, **also: str) -> str:
    """The form, filled in with these zones; the page that it leads to."""
    columns = {name: [row[at] for row in rows] for at, name in enumerate(("kind", "name", "points"))}
    shown = browser.get(page).text
    seen = re.search(r'name="seen" value="(\w+)"', shown)
    assert seen
    data = {"csrf": browser.csrf(), "seen": seen[1], **columns, **also}
    answer = browser.client.post(page, data=data, follow_redirects=True)
    return answer.text


def problem_of(page: str) -> str:
    found = re.search(r'<p class="problem"[^>]*>(.*?)</p>', page)
    return found[1] if found else ""


def test_a_form_of_numbers_makes_changes_and_takes_away_zones(box: Box) -> None:
    ann = box.browser("ann")
    page = sent(ann, ("count", " Lobby ", SQUARE), ("line", "Door", "50,90 50.125,10"), ("never", "", ""))
    assert "Saved." in page and 'value="10,10 60,10 60,60.5 10,60.5"' in page
    square = ((0.1, 0.1), (0.6, 0.1), (0.6, 0.605), (0.1, 0.605))
    assert box.store.zones.of(1) == (Zone(COUNT, "Lobby", square), Zone(LINE, "Door", ((0.5, 0.9), (0.50125, 0.1))))
    page = sent(ann, ("count", "", ""), ("line", "Door", "50,90; 50.125, 10"), ("never", "Poster", "0,0 9,0 9,9"))
    assert [zone.name for zone in box.store.zones.of(1)] == ["Door", "Poster"]
    assert not box.store.zones.of(2)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("count", "Lobby", "10,10 60")], "Lobby: write its points as pairs of percent, such as 10,20 60,20 60,80."),
        ([("count", "Lobby", "10,10 ٦٠,10 60,60")], "Lobby: write its points"),
        ([("count", "Lobby", "10,10 1e1,10 60,60")], "Lobby: write its points"),
        ([("count", "Lobby", "")], "Lobby: write its points"),
        ([("count", "", SQUARE)], "Give each zone a name."),
        ([("count", "Lobby", SQUARE), ("never", "", "1")], "Zone 2: write its points"),
        ([("elsewhere", "Lobby", SQUARE)], "Lobby: choose what it is for, then send again."),
        ([("count", "Lobby", "10,10 160,10 60,60")], "A point of Lobby lies outside of the picture"),
        ([("count", "Lobby", "10,10 60,60 60,10 10,60")], "The border of Lobby crosses itself"),
        ([("count", "Lobby", SQUARE), ("line", "lobby", "0,0 9,9")], "Two zones are called"),
        ([("line", "Door", SQUARE)], "A line has 2 points, Door has 4"),
        ([("count", f"Z {at}", SQUARE) for at in range(MOST_ZONES + 1)], f"at most {MOST_ZONES} zones and lines"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_what_was_typed_stays(
    box: Box, rows: list[tuple[str, str, str]], said: str
) -> None:
    page = sent(box.browser("ann"), *rows)
    assert said in problem_of(page) and "\n" not in problem_of(page)
    assert box.store.zones.of(1) == ()
    for _, name, points in rows[:3]:
        assert f'value="{name}"' in page and f'value="{points}"' in page


def test_two_who_change_zones_at_once_do_not_undo_each_other_unseen(box: Box) -> None:
    ann = box.browser("ann")
    first = re.search(r'name="seen" value="(\w+)"', ann.get(PAGE).text)
    assert first
    sent(ann, ("count", "Hers", SQUARE))
    page = sent(ann, ("count", "Mine", SQUARE), seen=first[1])
    assert "Somebody else changed these zones meanwhile" in problem_of(page) and 'value="Mine"' in page
    assert [zone.name for zone in box.store.zones.of(1)] == ["Hers"]
    second = re.search(r'name="seen" value="(\w+)"', page)
    assert second and sent(ann, ("count", "Mine", SQUARE), seen=second[1]).count("Saved.") == 1
    assert [zone.name for zone in box.store.zones.of(1)] == ["Mine"]


def test_whoever_owns_a_stream_draws_its_zones_and_the_record_says_who_did(box: Box) -> None:
    sent(box.browser("sci"), ("never", "Poster", SQUARE), page="/streams/2/zones")
    assert [zone.name for zone in box.store.zones.of(2)] == ["Poster"]
    entry = box.store.db.execute("select * from audit order by number desc limit 1").fetchone()
    assert "zones_changed" in tuple(entry) and "stream 2 (sci:lab)" in tuple(entry)
    assert box.browser("eve").get("/streams/2/zones").status_code == 404


def test_a_stream_shows_its_zones_over_the_picture_and_who_crossed_its_lines_today(box: Box) -> None:
    box.store.streams.set_live(1, None, box.clock.now.utc)
    box.store.streams.describe(1, "h264", 1000, 500)
    ann = box.browser("ann")
    sent(ann, ("never", "<Poster>", "10,10 20,10 20,30"), ("line", "Door", "50,90 50,10"))
    with box.store.writing():
        box.store.summaries.begin_epoch(box.clock.now, True)
        crossed = {(1, "Door", Direction.IN): 12, (1, "Door", Direction.OUT): 8}
        box.store.crossings.add(crossed, int(box.store.trends.midnight_utc(box.clock.now.utc)))
    page = ann.get("/streams/1").text
    assert 'viewBox="0 0 1000 500.0" role="img" aria-label="Zones: Never here: &lt;Poster&gt;; Line: Door"' in page
    assert 'points="100.0,50.0 200.0,50.0 200.0,150.0" fill="url(#never-zone)"' in page
    assert "<strong>12</strong> in, <strong>8</strong> out today" in page
    told = ann.get("/api/v1/streams/1/zones").json()["zones"]
    assert [zone["today"] for zone in told] == [None, {"in": 12, "out": 8}]


def test_a_line_says_with_an_arrow_which_way_is_in() -> None:
    for points in (((0.5, 0.9), (0.5, 0.1)), ((0.2, 0.3), (0.9, 0.4))):
        line = Zone(LINE, "Door", points)
        numbers = [float(number) for number in re.findall(r"[\d.]+", drawing_of([line], 1920, 1080).zones[0].arrow)]
        (x0, y0), (x1, y1) = numbers[:2], numbers[2:4]
        behind = (2 * x0 - x1) / 1000, (2 * y0 - y1) / 562.5
        assert line.crossed(behind, (x1 / 1000, y1 / 562.5)) is Direction.IN


def test_a_program_reads_and_replaces_zones(box: Box) -> None:
    client = box.browser().client
    client.headers["Authorization"] = "Bearer token of ann"
    zones = [{"kind": "count", "name": "Lobby", "points": [[0.1, 0.1], [0.6, 0.1], [0.6, 0.6]]}]
    answer = client.put("/api/v1/streams/1/zones", json={"zones": zones})
    assert answer.status_code == 200 and answer.json()["zones"] == [{**zones[0], "today": None}]
    assert client.put("/api/v1/streams/1/zones", json={"zones": []}).json() == {"zones": []}
    refused = client.put("/api/v1/streams/1/zones", json={"zones": [{**zones[0], "kind": "line"}]})
    assert refused.status_code == 400 and "A line has 2 points" in refused.json()["error"]


fraction = st.integers(0, 100_000).map(lambda number: number / 100_000)


@hypothesis.settings(derandomize=True, database=None, deadline=None)
@hypothesis.given(points=st.lists(st.tuples(fraction, fraction), min_size=3, max_size=40))
def test_numbers_come_back_from_the_form_as_they_went_in(points: list[tuple[float, float]]) -> None:
    zone = Zone(COUNT, "Lobby", tuple(points))
    assert _zones([_row(zone)]) == [zone]


@hypothesis.settings(derandomize=True, database=None, deadline=None)
@hypothesis.given(text=st.text(alphabet="0123456789.,; -e\n٣x"))
def test_any_text_is_points_or_a_sentence(text: str) -> None:
    try:
        points = _points(text, "Lobby")
    except InputError as error:
        assert str(error).startswith("Lobby: write") and "\n" not in str(error)
    else:
        assert points


# Posters


def poster(box: Box) -> int:
    seen = Detection(box.clock.now.utc, box.clock.now.utc + 3, State.MASK, 0.9, 7, (100, 50, 140, 100), 640, 360, "m")
    return box.store.detections.add(1, seen)


def test_a_poster_asks_first_then_leaves_record_and_sums_and_is_never_counted_again(box: Box) -> None:
    ann, found = box.browser("ann"), poster(box)
    before = box.store.trends.counts(DetectionFilter()).mask
    assert f"/detections/{found}/not-a-person" in ann.get(f"/detections/{found}").text
    asked = ann.get(f"/detections/{found}/not-a-person").text
    assert "It is no person" in asked and "is drawn around its place" in asked
    assert box.store.detections.get(found) and not box.store.zones.of(1)
    receipt = ann.post(f"/detections/{found}/not-a-person").headers["location"]
    assert f"etection {found} of ann:door" in ann.get(receipt).text
    assert box.store.detections.get(found) is None
    assert box.store.trends.counts(DetectionFilter()).mask == before - 1
    (zone,) = box.store.zones.of(1)
    assert zone.kind is NEVER and zone.name == "No person 1"
    assert is_excluded([zone], (120 / 640, 75 / 360)) and not is_excluded([zone], (160 / 640, 75 / 360))
    actions = [row["action"] for row in box.store.db.execute("select action from audit order by number desc limit 2")]
    assert actions == ["detection_deleted", "zones_changed"]


def test_a_second_detection_of_the_same_poster_needs_no_second_zone(box: Box) -> None:
    ann, first, second = box.browser("ann"), poster(box), poster(box)
    ann.post(f"/detections/{first}/not-a-person")
    assert "already" in ann.get(f"/detections/{second}/not-a-person").text
    ann.post(f"/detections/{second}/not-a-person")
    assert len(box.store.zones.of(1)) == 1 and box.store.detections.get(second) is None


def test_its_image_is_overwritten_and_nothing_happens_where_no_zone_fits(box: Box) -> None:
    ann = box.browser("ann")
    with box.store.writing():
        many = [Zone(COUNT, f"Z {at}", ((0.5, 0.5), (0.6, 0.5), (0.6, 0.6))) for at in range(MOST_ZONES)]
        box.store.zones.put(1, many)
    refused = ann.post("/detections/1/not-a-person")
    assert refused.status_code == 400 and f"at most {MOST_ZONES}" in refused.text
    assert box.store.detections.get(1) and JPEG in next(box.images.folder.glob("*.jpegs")).read_bytes()
    with box.store.writing():
        box.store.zones.put(1, many[1:])
    ann.post("/detections/1/not-a-person")
    assert JPEG not in next(box.images.folder.glob("*.jpegs")).read_bytes()


def test_what_somebody_entered_by_hand_has_no_place_and_is_not_marked(box: Box) -> None:
    ann = box.browser("ann")
    entered = box.store.detections.add(1, Detection(1e9, 1e9, State.MASK, 1.0, 0, (0, 0, 0, 0), 0, 0, "by hand ann"))
    assert "not-a-person" not in ann.get(f"/detections/{entered}").text
    assert things.NO_PLACE in ann.post(f"/detections/{entered}/not-a-person").text
    assert box.store.detections.get(entered)


side = st.floats(0, 1, allow_nan=False)


@hypothesis.settings(derandomize=True, database=None, deadline=None)
@hypothesis.given(
    left=side, top=side, wide=st.floats(0, 1), high=st.floats(0, 1), frame=st.sampled_from([(1920, 1080), (80, 60)])
)
def test_a_face_anywhere_gets_a_zone_that_holds_its_middle(
    left: float, top: float, wide: float, high: float, frame: tuple[int, int]
) -> None:
    width, height = frame
    right, bottom = min(1.0, left + wide), min(1.0, top + high)
    bbox_px = left * width, top * height, right * width, bottom * height
    seen = Detection(0, 1, State.MASK, 0.9, 7, bbox_px, width, height, "m")
    zones = things.with_place_of(seen, ())
    middle = (left + right) / 2, (top + bottom) / 2
    inside = 0 < middle[0] < 1 and 0 < middle[1] < 1
    assert len(zones) == 1 and (is_excluded(zones, middle) or not inside)
