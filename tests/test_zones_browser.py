"""Zones as a person draws them: a real site, a real Chromium, a mouse, a finger, keys, and no script at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from appliance.previews import Previews
from appliance.zones import Zone, ZoneKind
from tests.site import Box
from tests.test_browser import PICTURE, Person, at_a_browser, chromium, launched, person, until
from tests.test_web import serving

__all__ = ["chromium", "launched", "person"]
pytestmark = pytest.mark.browser

SVG = "svg.zones"
TRIANGLE = Zone(ZoneKind.COUNT, "Lobby", ((0.2, 0.2), (0.6, 0.2), (0.6, 0.8)))
Points = Sequence[tuple[float, ...]]


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "state")
    yield made
    made.close()


@pytest.fixture
def address(box: Box, free_port: Callable[[], int]) -> Iterator[str]:
    """Where its site answers."""
    with serving(box.app, free_port()) as port:
        yield f"http://127.0.0.1:{port}"


def draw(box: Box, *zones: Zone) -> None:
    with box.store.writing():
        box.store.zones.put(1, zones)


def drawn(box: Box) -> list[tuple[str, str, list[tuple[float, ...]]]]:
    """What is stored: kind, name, points in tenths of a percent."""
    return [
        (zone.kind.value, zone.name, [tuple(round(1000 * part) for part in point) for point in zone.points])
        for zone in box.store.zones.of(1)
    ]


def is_near(points: Points, expected: Points, tenths: int = 4) -> bool:
    same = len(points) == len(expected)
    return same and all(math.dist(one, other) <= tenths for one, other in zip(points, expected, strict=True))


class Editor:
    """The page of the zones, at which somebody points by fractions of the picture."""

    def __init__(self, someone: Person, address: str) -> None:
        self.page = someone.page
        someone.sign_in(address)
        self.page.goto(f"{address}/streams/1/zones")
        self.page.wait_for_selector("[data-draw]")

    def at(self, x: float, y: float) -> tuple[float, float]:
        frame = self.page.locator(SVG).bounding_box()
        return frame["x"] + x * frame["width"], frame["y"] + y * frame["height"]

    def click(self, x: float, y: float) -> None:
        self.page.mouse.click(*self.at(x, y))

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.page.mouse.move(*self.at(*start))
        self.page.mouse.down()
        self.page.mouse.move(*self.at(*end), steps=4)
        self.page.mouse.up()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def hears(self, words: str) -> None:
        """What a screen reader is told."""
        until(self.page, lambda: words in self.page.inner_text("[data-said]"))

    def focused(self) -> str:
        return str(self.page.evaluate("document.activeElement.getAttribute('aria-label') || ''"))

    def save(self) -> None:
        self.page.click("form .main")
        self.page.wait_for_selector("text=Saved.")


def test_with_a_mouse_a_zone_is_drawn_moved_mended_and_undone(box: Box, address: str, person: Person) -> None:
    editor = Editor(person, address)
    page = editor.page
    page.click("[data-draw=count]")
    for corner in ((0.2, 0.2), (0.6, 0.2), (0.6, 0.8), (0.2, 0.8), (0.2, 0.2)):
        editor.click(*corner)  # the first one again ends it
    editor.hears("Zone 1 is drawn")
    editor.drag((0.6, 0.8), (0.7, 0.9))
    editor.drag((0.4, 0.2), (0.4, 0.1))  # from the middle of a side: a point more
    editor.drag((0.3, 0.5), (0.35, 0.5))  # all of it
    page.click("[data-do=undo]")
    page.click("[data-draw=line]")
    editor.click(0.9, 0.8)
    editor.click(0.9, 0.3)
    page.click("[data-do=swap]")
    page.fill("[data-zone-row] >> nth=1 >> [name=name]", "Door")
    editor.save()
    (kind, name, points), line = drawn(box)
    assert (kind, name) == ("count", "Zone 1")
    assert is_near(points, [(200, 200), (400, 100), (600, 200), (700, 900), (200, 800)])
    assert line[:2] == ("line", "Door") and is_near(line[2], [(900, 300), (900, 800)])
    page.click(".point >> nth=0", force=True) if page.locator(".point").count() else editor.click(0.3, 0.4)
    page.click("[data-do=remove]")
    editor.save()
    assert [name for _, name, _ in drawn(box)] == ["Door"]
    assert person.complaints == []


def test_with_keys_alone_a_zone_is_made_moved_and_taken_away_and_all_is_said(
    box: Box, address: str, person: Person
) -> None:
    editor = Editor(person, address)
    page = editor.page
    page.focus("[data-draw=never]")
    editor.press("Enter")  # whoever uses a key gets one in the middle
    assert editor.focused() == "Point 1 of 4 of Never 1: 30 % across, 30 % down"
    editor.press("Shift+ArrowLeft", "Shift+ArrowUp", "ArrowUp", "ArrowUp")
    editor.hears("25 % across, 24 % down")
    editor.press("Enter")
    assert editor.focused().startswith("Point 2 of 5 of Never 1")
    editor.press("ArrowDown", "ArrowDown", "Escape")  # it was there before
    editor.press("Tab", "Tab", "Delete")  # the third corner
    editor.hears("4 points are left")
    editor.press("Escape")
    assert editor.focused() == "Never here: Never 1, 4 points"
    editor.press("Shift+ArrowRight")
    page.focus("[data-draw=line]")
    editor.press("Enter", "Escape", "Delete")
    editor.hears("Line 1 is removed")
    editor.press("Control+z", "Control+y")
    editor.save()
    ((kind, name, points),) = drawn(box)
    assert (kind, name) == ("never", "Never 1")
    assert is_near(points, [(300, 240), (475, 270), (650, 300), (350, 700)], tenths=1)
    assert person.complaints == []


def test_with_a_finger_the_first_touch_chooses_and_the_next_one_drags(box: Box, address: str, chromium: Any) -> None:
    draw(box, TRIANGLE)
    someone = at_a_browser(chromium, 390, has_touch=True)
    editor = Editor(someone, address)
    page = editor.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator(".zone-tools button:visible").evaluate_all(
        "all => all.every((each) => each.getBoundingClientRect().height >= 24)"
    )
    touch = page.context.new_cdp_session(page)

    def swipe(start: tuple[float, float], end: tuple[float, float]) -> None:
        page.locator(SVG).scroll_into_view_if_needed()
        (x0, y0), (x1, y1) = editor.at(*start), editor.at(*end)
        for kind, part in (("touchStart", 0.0), ("touchMove", 0.5), ("touchMove", 1.0), ("touchEnd", None)):
            at = [] if part is None else [{"x": x0 + part * (x1 - x0), "y": y0 + part * (y1 - y0)}]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

    swipe((0.5, 0.4), (0.5, 0.4))
    page.wait_for_selector(".point")
    swipe((0.2, 0.2), (0.1, 0.3))
    editor.save()
    ((_, _, points),) = drawn(box)
    assert is_near(points, [(100, 300), (600, 200), (600, 800)], tenths=8)
    assert someone.complaints == []


def test_the_numbers_and_the_drawing_follow_each_other_and_nothing_is_lost_unasked(
    box: Box, address: str, person: Person
) -> None:
    draw(box, TRIANGLE)
    editor = Editor(person, address)
    page = editor.page
    page.fill("[name=points]", "10,10 50,10 50,90")
    assert page.get_attribute(f"{SVG} .shape", "points") == "100.0,56.3 500.0,56.3 500.0,506.3"
    page.fill("[name=points]", "10,10 50,")
    assert not page.evaluate("document.querySelector('[name=points]').checkValidity()")
    page.fill("[name=points]", "10,10 50,10 10,90 50,90")  # it crosses itself: the box says so
    page.click("form .main")
    page.wait_for_selector("text=The border of Lobby crosses itself")
    asked: list[str] = []

    def agree(dialog: Any) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", agree)
    page.select_option("[name=kind]", "line")
    assert page.input_value("[name=points]") == "10,10 50,10"
    page.click("form >> text=Cancel")
    page.wait_for_url(f"{address}/streams/1")
    assert asked == ["beforeunload"] and len(drawn(box)[0][2]) == 3
    assert [said for said in person.complaints if "400" not in said] == []


def test_the_live_picture_lies_beneath_and_its_last_one_stays(box: Box, address: str, person: Person) -> None:
    previews = Previews(box.config.run)
    box.store.streams.set_live(1, "192.0.2.4", box.clock.now.utc)
    box.store.services.heartbeat("watch", 1, box.clock.now.utc, None, box.clock.now)
    page = Editor(person, address).page
    image = page.locator(".preview img")

    def is_live() -> bool:
        if previews.is_requested(1):
            previews.write(1, PICTURE())
        return image.is_visible() and (image.get_attribute("src") or "").startswith("blob:")

    until(page, is_live)
    assert not page.locator(".raster").is_visible()
    size = "(({naturalWidth, naturalHeight}) => naturalHeight / naturalWidth)(document.querySelector('.preview img'))"
    assert page.get_attribute(SVG, "viewBox") == f"0 0 1000 {1000 * page.evaluate(size):.1f}"
    box.store.streams.set_offline(1)
    until(page, lambda: page.is_visible("text=The picture is not live"))
    assert image.is_visible()
    assert person.complaints == []


def test_without_script_the_form_does_the_same(box: Box, address: str, chromium: Any) -> None:
    draw(box, TRIANGLE)
    someone = at_a_browser(chromium, java_script_enabled=False)
    someone.sign_in(address)
    page = someone.page
    page.goto(f"{address}/streams/1/zones")
    assert page.locator(f"{SVG} .zone").count() == 1 and page.locator(".raster").is_visible()
    assert not page.locator("[data-draw]").first.is_visible()
    page.fill("[name=name] >> nth=0", "")
    page.fill("[name=points] >> nth=0", "")
    page.select_option("[name=kind] >> nth=1", "line")
    page.fill("[name=name] >> nth=1", "Door")
    page.fill("[name=points] >> nth=1", "50,90 50,10")
    page.click("form .main")
    page.wait_for_selector("text=Saved.")
    assert drawn(box) == [("line", "Door", [(500, 900), (500, 100)])]
