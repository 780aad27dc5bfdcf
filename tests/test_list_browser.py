"""Lists in a real Chromium: nobody opens another person than the one pointed at, or the one that has the focus."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.faces import State
from appliance.times import now
from tests.test_browser import Person, Served, at_a_browser, chromium, launched, person, served, until

__all__ = ["chromium", "launched", "person", "served"]
pytestmark = pytest.mark.browser

AT_WORK = "Shift"  # a key that does nothing


def focused(page: Any) -> Any:
    return page.evaluate("document.activeElement.getAttribute('href')")


def top(page: Any, selector: str) -> float:
    return float(page.evaluate("selector => document.querySelector(selector).getBoundingClientRect().top", selector))


@pytest.mark.parametrize("path", ["/detections", "/streams/1"])
def test_enter_opens_the_person_who_has_the_focus_however_many_come(served: Served, person: Person, path: str) -> None:
    served.see_somebody(State.NO_MASK)
    person.sign_in(served.address)
    page = person.page
    page.goto(served.address + path)
    page.focus(".tile >> nth=0")
    before, at = focused(page), top(page, ".tile")
    served.see_somebody()
    served.see_somebody()
    until(page, lambda: "2 newer" in page.inner_text("main") or page.locator(".tile").count() == 4)  # by itself
    assert page.locator(".tile").count() == 2 and top(page, ".tile") == at
    assert focused(page) == before and page.get_attribute(".tile", "href") == before
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{before}")
    assert person.complaints == []


def test_the_newer_ones_are_shown_in_the_page_and_the_focus_is_on_the_newest(served: Served, person: Person) -> None:
    person.sign_in(served.address)
    page = person.page
    page.goto(f"{served.address}/streams/1")
    newest = served.see_somebody(State.INCORRECT)
    page.focus("text=1 newer, show")
    page.keyboard.press("Enter")
    until(page, lambda: page.locator(".tile").count() == 2)
    assert focused(page) == f"/detections/{newest}?stream=1" and page.locator("[data-newer]").count() == 0
    served.see_somebody()
    page.wait_for_selector("text=1 newer, show")
    assert page.locator(".tile").count() == 2 and page.url == f"{served.address}/streams/1"
    assert person.complaints == []


def test_without_script_the_list_stays_as_well(served: Served, chromium: Any) -> None:
    page = at_a_browser(chromium, java_script_enabled=False)
    page.sign_in(served.address)
    page = page.page
    for path in ("/detections", "/streams/1"):
        page.goto(served.address + path)
        tiles = page.locator(".tile").count()
        served.see_somebody()
        renewal = page.get_attribute("meta[http-equiv=refresh]", "content")
        assert renewal.startswith("15; url=?")
        page.goto(served.address + path + renewal.removeprefix("15; url="))  # fifteen seconds later
        assert page.locator(".tile").count() == tiles
        page.click("text=1 newer, show")
        page.wait_for_selector(f".tile >> nth={tiles}")


def test_who_is_deleted_leaves_a_gap_where_they_were(served: Served, person: Person) -> None:
    second = served.see_somebody()
    served.see_somebody()
    person.sign_in(served.address)
    page = person.page
    page.goto(f"{served.address}/detections")
    hrefs = "[...document.querySelectorAll('.tile')].map(tile => tile.getAttribute('href'))"
    before = page.evaluate(hrefs)
    pictures = "[...document.querySelectorAll('.tile img')].every(image => image.naturalWidth > 0)"
    until(page, lambda: page.evaluate(pictures))  # they are loaded when they are seen, which may be later than the page
    served.store.detections.remove(second)
    page.wait_for_selector("text=no longer in this list")
    assert page.evaluate(hrefs) == before
    gap = page.locator(f".tile[href='/detections/{second}']")
    assert gap.locator("img").count() == 0 and "no longer" in gap.inner_text()
    page.reload()
    assert gap.count() == 0 and page.locator(".tile").count() == 2
    assert person.complaints == []


def test_the_latest_image_waits_while_it_is_pointed_at(served: Served, person: Person) -> None:
    person.sign_in(served.address)
    page = person.page
    today = page.locator("article:has(h2:text-is('Today')) .big strong")
    page.hover(".tile")
    newest = served.see_somebody()
    until(page, lambda: today.inner_text() == "2")
    assert page.get_attribute(".tile", "href") == "/detections/1"
    page.mouse.move(5, 5)
    page.wait_for_selector(f".tile[href='/detections/{newest}']")
    assert person.complaints == []


def test_a_row_stays_under_the_focus_until_it_leaves(served: Served, person: Person) -> None:
    served.store.streams.add_with_source(1, "yard", "rtsp://yard/", now().utc)
    person.sign_in(served.address)
    page = person.page
    page.goto(f"{served.address}/streams")
    page.focus(".stream-list a[href='/streams/2']")
    page.keyboard.press(AT_WORK)
    served.store.streams.add_with_source(1, "a gate", "rtsp://gate/", now().utc)
    served.see_somebody()
    until(page, lambda: page.inner_text(".stream-list li:has(a[href='/streams/1']) .today strong") == "2")
    assert focused(page) == "/streams/2" and page.locator(".stream-list li").count() == 2
    page.evaluate("document.activeElement.blur()")
    until(page, lambda: page.locator(".stream-list li").count() == 3)
    assert page.get_attribute(".stream-list li a", "href") == "/streams/3"
    assert person.complaints == []


def test_a_notice_that_comes_moves_nothing_away_and_the_page_goes_on(served: Served, person: Person) -> None:
    with served.watched():
        person.sign_in(served.address)
        page = person.page
        page.set_viewport_size({"width": 1280, "height": 500})
        page.goto(f"{served.address}/streams/1")
        page.focus(".tile")
        page.keyboard.press(AT_WORK)
        at = top(page, ".tile")
        served.store.streams.set_problem(1, "Nobody answers at this address.")
        page.wait_for_selector("text=Nobody answers at this address.", state="attached")
        assert abs(top(page, ".tile") - at) < 1 and focused(page) == "/detections/1?stream=1"
        served.see_somebody()
        page.wait_for_selector("text=1 newer, show", state="attached")
        served.store.streams.set_problem(1, None)
        page.wait_for_selector("text=Nobody answers at this address.", state="detached")
        assert focused(page) == "/detections/1?stream=1"
        assert person.complaints == []
