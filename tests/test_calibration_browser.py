"""Calibration as a person meets it: a real `mb9k serve`, Chromium, faces and four keys."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from appliance.faces import Detection, State
from appliance.images import ImageFiles
from appliance.store import StoredImage
from appliance.times import now, utc_text
from tests.test_accessibility import RULES, stumbles
from tests.test_browser import PICTURE, Served, at_a_browser, chromium, launched, served, until

__all__ = ["chromium", "launched", "served"]
pytestmark = pytest.mark.browser


def people_pass(box: Served, of: dict[State, int]) -> None:
    """So many, some minutes ago; all of them have the same picture."""
    at, images = now().utc - 600, ImageFiles(box.folder / "images")
    with box.store.writing():
        for state, persons in of.items():
            for number in range(persons):
                place = images.append(PICTURE(), at)
                image = StoredImage(place.day, place.offset, place.size_bytes, f"{state.value}-{number}")
                seen = Detection(at, at + 3, state, 0.9, 9, (210.0, 80.0, 330.0, 240.0), 1280, 720, "mb9k-test")
                box.store.detections.add(1, seen, image)


def test_faces_are_labelled_by_keys_and_the_rate_is_corrected(served: Served, chromium: Any) -> None:
    people_pass(served, {State.MASK: 15, State.NO_MASK: 7})
    person = at_a_browser(chromium, width=390)
    person.sign_in(served.address)
    page = person.page
    page.goto(f"{served.address}/streams/1")
    page.click("text=Calibrate this camera")
    page.click("text=Draw 50 faces")
    faces = page.locator("h2:has-text('of 22')")
    assert "Face 1 of 22" in faces.inner_text()
    until(page, lambda: page.evaluate("document.querySelector('img.face')?.naturalWidth > 0"))
    assert "No mask" not in page.inner_text("#asked") and "judged" not in page.inner_text("#label"), "nothing sways"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out of a phone"
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    assert stumbles(axe, page, RULES) == []
    for asked in range(1, 23):
        page.wait_for_selector(f"h2:has-text('Face {asked} of 22')")
        if asked == 3:
            page.keyboard.press("u")
            page.wait_for_selector("h2:has-text('Face 2 of 22')")
            page.keyboard.press("1")
            page.wait_for_selector("h2:has-text('Face 3 of 22')")
        shown = page.get_attribute("img.face", "src")
        really = "2" if "no_mask" in shown or asked % 11 == 0 else "1"
        if asked == 5:
            page.click("button:has-text('Cannot tell')")
        else:
            page.keyboard.press("Control+1")  # the browser's own
            page.keyboard.press(really)
    page.wait_for_selector("h2:has-text('How the box errs here')")
    assert "21 labelled faces" in page.inner_text("main")
    assert stumbles(axe, page, RULES) == []
    days = "since={}&until={}".format(
        *(utc_text(now().utc + days * 86_400)[:10] for days in (-1, 1))
    )  # over midnight, too
    page.goto(f"{served.address}/trends?stream=1&{days}")
    assert "Calibrated" in page.inner_text(".sums")
    page.goto(f"{served.address}/streams/1")
    assert "does not hold" not in page.inner_text("main") and "without the errors of this camera" in page.inner_text(
        "main"
    )
    cookies = {each["name"]: each["value"] for each in page.context.cookies()}
    told = httpx.get(f"{served.address}/api/v1/counts?stream=1", cookies=cookies).json()
    assert told["corrected_low"] <= told["corrected"] <= told["corrected_high"] and told["wrong"] is None
    calibration = httpx.get(f"{served.address}/api/v1/streams/1/calibration", cookies=cookies).json()["calibration"]
    assert calibration["holds"] and calibration["told"] == 21 and calibration["changes"] == []
    page.goto(f"{served.address}/streams/1/calibration")
    page.click("text=Forget all labels")
    page.click("text=Forget them")
    page.wait_for_selector("h2:has-text('Calibrate this camera')")
    assert person.complaints == []


def test_without_a_script_the_buttons_do_it(served: Served, chromium: Any) -> None:
    people_pass(served, {State.MASK: 25})
    person = at_a_browser(chromium, java_script_enabled=False)
    person.sign_in(served.address)
    person.page.goto(f"{served.address}/streams/1/calibration")
    person.page.click("text=Draw 50 faces")
    person.page.click("button:has-text('Worn incorrectly')")
    person.page.wait_for_selector("h2:has-text('Face 2 of 25')")
    person.page.click("text=Take the last one back")
    person.page.wait_for_selector("h2:has-text('Face 1 of 25')")
