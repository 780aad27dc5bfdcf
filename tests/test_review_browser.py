"""A review by keys, in a real Chromium; at a phone and without a script by its buttons."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.faces import State
from appliance.images import ImageFiles
from appliance.store import PictureKind, StoredPicture
from appliance.times import now
from tests.test_accessibility import RULES, stumbles
from tests.test_browser import PICTURE, Person, Served, at_a_browser, chromium, launched, person, served, until

__all__ = ["chromium", "launched", "person", "served"]
pytestmark = pytest.mark.browser


def four_more(served: Served) -> None:
    """Five in all; what the second one's camera showed is kept."""
    for _ in range(4):
        served.see_somebody()
    at, images = now().utc, ImageFiles(served.folder / "images")
    for kind, bbox in ((PictureKind.SCENE, (0.2, 0.2, 0.4, 0.5)), (PictureKind.FACE, None)):
        place = images.append(PICTURE(), at)
        picture = StoredPicture(
            place.day, place.offset, place.size_bytes, f"beside-{kind.value}", kind, at, bbox, crc32=place.crc32
        )
        assert served.store.pictures.add(2, picture)


def states(served: Served) -> list[str]:
    rows = served.store.db.execute("select state, reviewed_by from detections order by id")
    return [f"{row['state']}{' ok' if row['reviewed_by'] else ''}" for row in rows]


def test_keys_lead_from_one_to_the_next_and_correct(served: Served, person: Person) -> None:
    four_more(served)
    person.sign_in(served.address)
    page = person.page
    page.goto(f"{served.address}/detections/4?stream=1")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**/detections/5?stream=1")
    page.keyboard.press("n")
    page.wait_for_url("**/detections/4?stream=1&back=5")
    page.keyboard.press("r")
    page.wait_for_url("**/detections/3?stream=1&back=4")
    page.keyboard.press("Control+u")  # the browser's own
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/detections/2?stream=1")
    assert states(served) == ["mask", "mask", "mask", "mask ok", "no_mask ok"]
    until(page, lambda: page.evaluate("[...document.images].every(each => each.complete && each.naturalWidth > 0)"))
    assert page.locator(".scene rect").count() == 2 and page.locator(".faces img").count() == 1
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    assert stumbles(axe, page, RULES) == []
    # In the list letters are typed where one types; else they are of the one with the focus, or of those selected.
    page.goto(f"{served.address}/detections")
    page.fill("[name=search]", "")
    page.type("[name=search]", "iun")
    page.locator("[name=search]").blur()
    page.keyboard.press("i")
    for number in (5, 4, 3):
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.pathname") == f"/detections/{number}"
    page.keyboard.press("i")
    page.wait_for_url("**#detection-2")
    until(page, lambda: page.evaluate("document.activeElement.pathname") == "/detections/2")  # the next one is at hand
    page.keyboard.press("x")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    page.keyboard.press("u")
    page.wait_for_selector("text=2 detections were marked.")
    assert states(served) == ["unknown ok", "unknown ok", "incorrect ok", "mask ok", "no_mask ok"]
    assert stumbles(axe, page, RULES) == []
    assert person.complaints == []


def test_on_a_phone_and_without_a_script_buttons_do_it(served: Served, chromium: Any) -> None:
    four_more(served)
    person = at_a_browser(chromium, width=320, java_script_enabled=False)
    person.sign_in(served.address)
    page = person.page
    page.goto(f"{served.address}/detections")
    assert not page.is_visible("[name=search]"), "the filter is folded"
    page.click("summary")
    assert page.is_visible("[name=search]")
    for number in (4, 2):
        page.check(f"[name=id][value='{number}']")
    page.click(".with-selected >> text=Worn incorrectly")
    page.wait_for_selector("text=2 detections were marked.")
    page.click("text=Not reviewed")
    page.click(".tile >> nth=0")
    page.click("button:has-text('Right as it is')")
    page.wait_for_selector("text=Detection 5 is reviewed: Mask. This is the next one.")
    assert states(served) == ["mask", "incorrect ok", "mask", "incorrect ok", "mask ok"]
    assert State.MASK.value in states(served)[0] and "/detections/3?reviewed=no" in page.url
    page.click(".languages >> text=Français")
    page.wait_for_selector("text=Plus anciennes →")
    assert page.evaluate("document.documentElement.scrollWidth") == 320, "the way on fits beside or under the way back"
