"""Pages under a finger, on a phone and on paper."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.faces import State
from appliance.web.static import KIT_STATIC
from tests.alerted import something_is_wrong
from tests.site import Box
from tests.test_browser import at_a_browser, chromium, launched, until
from tests.test_web import serving

__all__ = ["chromium", "launched"]
MAIN_PAGES = (
    "/", "/streams", "/streams/1", "/streams/new", "/trends", "/detections", "/detections/1", "/box-health",
    "/alerts", "/people", "/fleet", "/settings", "/account", "/account/api", "/reports", "/report",
)  # fmt: skip
SMALL = """() => {
  const words = (node) => node.nodeType === 3 ? node.data.trim()
    : node.nodeType === 1 && !node.matches("a, button") && getComputedStyle(node).display === "inline"
    && node.textContent.trim();
  const inSentence = (one) => {
    for (let at = one; getComputedStyle(at).display === "inline" && at.parentElement; at = at.parentElement)
      if ([...at.parentElement.childNodes].some((each) => each !== at && words(each))) return true;
    return false;
  };
  return [...document.querySelectorAll("a[href], button, summary")]
    .filter((one) => !one.closest("svg") && !one.matches(".skip, .skip-chart"))
    .map((one) => [one, one.getBoundingClientRect()])
    .filter(([one, box]) => box.width && box.height && Math.min(box.width, box.height) < 23.9 && !inSentence(one))
    .map(([one, box]) => `${one.outerHTML.slice(0, 120)}: ${box.width} x ${box.height}`);
}"""


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "state")
    with made.store.writing():
        for state in (*State, *[State.MASK] * 25):
            made.add_detection(1, state)
        something_is_wrong(made.store.alerts, made.clock.now)
    yield made
    made.close()


@pytest.fixture
def phone(box: Box, free_port: Callable[[], int], chromium: Any) -> Iterator[tuple[Any, str]]:
    """A phone on which ann has signed in, and the address of her box."""
    with serving(box.app, free_port()) as port:
        address = f"http://127.0.0.1:{port}"
        page = at_a_browser(chromium, width=390).page
        box.browser("ann")
        page.context.add_cookies([{"name": "mb9k_session", "value": "session-of-ann", "url": address}])
        yield page, address


@pytest.mark.browser
def test_every_link_that_stands_alone_can_be_hit_by_a_finger(phone: tuple[Any, str]) -> None:
    page, address = phone
    found = {}
    for path in MAIN_PAGES:
        page.goto(address + path)
        found[path] = page.evaluate(SMALL)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    assert {path: small for path, small in found.items() if small} == {}


def test_every_link_within_a_page_leads_somewhere(box: Box) -> None:
    ann = box.browser("ann")
    for path in MAIN_PAGES:
        page = ann.get(path).text
        assert set(re.findall(r'href="#([^"]+)"', page)) <= set(re.findall(r'\bid="([^"]+)"', page)), path


@pytest.mark.browser
def test_a_chart_scrolls_by_the_keyboard_beside_its_scale_which_covers_nothing_of_it(phone: tuple[Any, str]) -> None:
    page, address = phone
    page.goto(f"{address}/trends?range=day&day=2026-01-02")  # over: it begins at its end
    scroller = page.locator(".scale-beside + .scroll").first
    scale = page.locator(".scale-beside").first

    def scale_is_beside() -> bool:
        """Every figure is left of all that scrolls, on the line that it had in the chart."""
        figures = [each.bounding_box() for each in scale.locator("text").all()]
        lines = [each.bounding_box() for each in scroller.locator("line.grid").all()]
        beside = all(0 <= each["x"] <= scroller.bounding_box()["x"] - each["width"] for each in figures)
        heights = zip(figures, lines, strict=True)
        return beside and all(abs(each["y"] + each["height"] / 2 - line["y"]) < 5 for each, line in heights)

    before = scroller.evaluate("part => part.scrollLeft")
    assert scale_is_beside() and scroller.evaluate("part => part.scrollWidth > part.clientWidth")
    assert page.locator(".scroll .scale").first.is_hidden()
    scroller.focus()
    page.keyboard.press("ArrowLeft")
    until(page, lambda: scroller.evaluate("part => part.scrollLeft") < before and scale_is_beside())
    page.set_viewport_size({"width": 800, "height": 800})
    assert scale.is_hidden() and page.locator(".scroll .scale").first.is_visible()


@pytest.mark.browser
def test_paper_has_the_picture_and_the_state_and_nothing_to_press(phone: tuple[Any, str]) -> None:
    page, address = phone
    page.emulate_media(media="print", color_scheme="dark")
    page.goto(f"{address}/detections/1")
    assert page.is_visible("img.face") and page.is_visible(".state")
    mark = "getComputedStyle(document.querySelector('.state'), '::before')"
    assert page.evaluate(f"{mark}.width") != "auto" and page.evaluate(f"{mark}.printColorAdjust") == "exact"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert [
        one for one in page.locator("nav, button, form, select, input, kbd, .crumb").all() if one.is_visible()
    ] == []
    page.goto(f"{address}/detections")
    assert page.locator(".tile:visible").count() == page.locator(".tile").count() > 1
    assert [one for one in page.locator("nav, button, select, input, kbd").all() if one.is_visible()] == []


def luminance(colour: str) -> float:
    """Of #rrggbb, as WCAG 2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_mark_live_can_be_read_in_light_in_the_dark_and_on_paper() -> None:
    sheets = "".join((KIT_STATIC / name).read_text() for name in ("app.css", "print.css"))
    grounds = re.findall(r"--live: (#[0-9a-f]{6})", sheets)
    assert len(grounds) == 3
    assert [ground for ground in grounds if 1.05 / (luminance(ground) + 0.05) < 4.9] == []
