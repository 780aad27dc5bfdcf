"""What somebody who reads by ear, by keyboard or with little light would stumble over: axe-core, on every page."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.faces import Health, State
from appliance.images import Place
from appliance.language import LANGUAGES
from appliance.secrets import digest
from appliance.store import Deleted, Kind
from appliance.web.languages import COOKIE
from appliance.zones import Zone, ZoneKind
from tests.alerted import something_is_wrong
from tests.central_alerts import something_is_wrong as at_a_centre
from tests.fleets import Fleet
from tests.site import PASSWORD, Box
from tests.test_browser import at_a_browser, chromium, launched
from tests.test_central_site_roles import DECLARED as DECLARED_BY_A_CENTRE
from tests.test_roles import DECLARED
from tests.test_web import serving

__all__ = ["chromium", "launched"]
EVERY_LANGUAGE = os.environ.get("MB9K_EVERY_LANGUAGE") == "1"
"""Each page in all languages, for whoever asks for it; else in one, by turns: axe-core takes a second for a page."""
PATIENCE = len(LANGUAGES) if EVERY_LANGUAGE else 1
pytestmark = [pytest.mark.browser, pytest.mark.timeout(300 * PATIENCE)]  # dozens of pages

NAMES = {
    "<stream_id:int>": "1",
    "<detection_id:int>": "1",
    "<person_id:int>": "2",
    "<receipt_id:int>": "1",
    "<schedule_id:int>": "1",
    "<rule_id:int>": "1",
    "<recipient_id:int>": "1",
    "<site_id:int>": "1",
    "<box_id>": "lobby",
}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}


def languages_of(number: int) -> list[str]:
    """Those in which the page of this number is read."""
    every = list(LANGUAGES)
    return every if EVERY_LANGUAGE else [every[number % len(every)]]


def pages(declared: Iterable[str], client: httpx.Client) -> list[str]:
    """Those of the routes that answer with a page, now."""
    found = []
    for route in declared:
        method, path = route.split(" ", 1)
        if method != "GET" or path.startswith(("/api/", "/export/")):
            continue
        for name, value in NAMES.items():
            path = path.replace(name, value)
        if "<" not in path and client.get(path).headers.get("content-type", "").startswith("text/html"):
            found.append(path)
    return found


def stumbles(axe: Any, page: Any, options: dict[str, Any]) -> list[str]:
    where = f"{page.url} in {page.locator('html').get_attribute('lang')}"
    return [
        f"{where}: {violation['id']}: {violation['help']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for violation in axe.run(page, options=options).response["violations"]
        for node in violation["nodes"]
    ]


def read(address: str, paths: Iterable[str], chromium: Any) -> list[str]:
    """Everything that axe-core finds on these pages: all its rules in light, those of colours in the dark, too."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = at_a_browser(chromium, width=390).page
    page.goto(f"{address}/sign-in")
    page.fill("[name=name]", "ann")
    page.fill("[name=password]", PASSWORD)
    page.click("main button")
    page.wait_for_url(f"{address}/")
    found = []
    for number, path in enumerate(paths):
        for language in languages_of(number):
            page.context.add_cookies([{"name": COOKIE, "value": language, "url": address}])
            page.emulate_media(color_scheme="light")
            page.goto(address + path)
            assert page.locator("html").get_attribute("lang") == language
            found += stumbles(axe, page, RULES)
            page.emulate_media(color_scheme="dark")
            found += stumbles(axe, page, COLOURS)
            assert "\\\\" not in page.inner_text("body"), "a line of a template that was to go on"
    return found


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """A box on which much is to be seen: a stream that is LIVE, one with a problem, persons in each state."""
    made = Box(tmp_path / "state")
    at = made.clock.now
    with made.store.writing():
        for state in (*State, *[State.MASK] * 25):
            made.add_detection(1, state)
        something_is_wrong(made.store.alerts, at)
    made.store.streams.set_live(1, "192.0.2.4", at.utc)
    made.store.streams.describe(1, "h264", 640, 480)
    made.store.streams.set_health(1, Health(smallest_face_px=28))
    made.store.streams.set_problem(2, "Nobody answers at this address.")
    made.store.streams.add_refusal("192.0.2.9", "publish", "It came with an older stream key.", 3, at.utc, 2)
    made.store.services.heartbeat("watch", 1, at.utc, None, at)
    corners = ((0.1, 0.2), (0.4, 0.2), (0.4, 0.9))
    with made.store.writing():
        gone = made.store.streams.add_with_key(2, "old", digest("key 3"), at.utc)
        receipt = made.store.receipts.add(Kind.STREAM, "sci:old", "ann", Deleted(900, 400, 4_800_000, "0" * 64), at.utc)
        made.store.deletions.begin(gone, receipt)
        made.store.erasures.add(Place("20261120", 0, 9))
        zones = [Zone(kind, kind.value, corners[: 2 if kind is ZoneKind.LINE else 3]) for kind in ZoneKind]
        made.store.zones.put(1, zones)
    yield made
    made.close()


@pytest.mark.timeout(600 * PATIENCE)  # some fifty pages, each read twice
def test_nobody_stumbles_over_a_page_of_the_box(box: Box, free_port: Callable[[], int], chromium: Any) -> None:
    box.browser("ann").post("/streams/1/key", page="/streams/1/new-key")  # which a page shows for five minutes
    paths = pages(DECLARED, box.browser("ann").client)
    known = {"/", "/streams/1", "/streams/1/key", "/detections/1", "/trends", "/export", "/audit", "/alerts/rules/1"}
    assert known <= set(paths)
    paths += ["/alerts/rules/new?kind=rate", "/streams?show=deactivated", "/receipts/2"]
    with serving(box.app, free_port()) as port:
        assert read(f"http://127.0.0.1:{port}", paths, chromium) == []


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path / "state", str(tmp_path / "state" / "central.db"))
    with made.store.saving():
        at_a_centre(made)
    yield made
    made.close()


def test_nobody_stumbles_over_a_page_of_the_centre(fleet: Fleet, free_port: Callable[[], int], chromium: Any) -> None:
    paths = pages(DECLARED_BY_A_CENTRE, fleet.browser("ann").client)
    assert {"/", "/boxes/lobby", "/streams/1", "/compare", "/audit"} <= set(paths)
    with serving(fleet.app, free_port()) as port:
        assert read(f"http://127.0.0.1:{port}", paths, chromium) == []
