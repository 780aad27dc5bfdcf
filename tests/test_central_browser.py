"""The centre's page as a person meets it: a real `mb9k central serve`, a real Chromium."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.faces import Counts
from appliance.times import now
from tests.boxes import end
from tests.conftest import REPOSITORY
from tests.fleets import Fleet
from tests.site import PASSWORD
from tests.test_browser import PATIENCE_S, Person, at_a_browser, chromium, launched, until

__all__ = ["chromium", "launched"]
pytestmark = pytest.mark.browser


class Served:
    """A centre whose site runs in a process of its own; its boxes are rows that the test writes."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self.fleet = Fleet(folder, str(folder / "central.db"))
        self.config_path = folder / "central.toml"
        self.config_path.write_text(
            f'name = "head office"\nstate_dir = "{folder}"\n[web]\nhost = "127.0.0.1"\nport = {port}\n'
        )
        self.hear()
        at = int(now().utc) // 3600 * 3600
        for back in range(1, 24):
            if back not in (5, 6):
                self.fleet.add_hour(1, at - back * 3600, Counts(mask=20 + back, no_mask=4, incorrect=2, unknown=1))

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def hear(self, age_s: float = 0.0) -> None:
        """What ingest writes when a box tells everything up to so long ago."""
        at = int(now().utc - age_s)
        for box in ("lobby", "dock"):
            self.fleet.change_box(box, sums_utc=at, complete_utc=at, state_utc=at)

    def age(self, box: str, age_s: float) -> None:
        """Let its newest data be so old."""
        at = int(now().utc - age_s)
        self.fleet.change_box(box, sums_utc=at, complete_utc=at)

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "appliance.cli", "central", "--config", str(self.config_path), "serve"]
        process = subprocess.Popen(command, cwd=REPOSITORY)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            assert process.poll() is None, "the site ended"
            try:
                if httpx.get(f"{self.address}/health", timeout=5).is_success:
                    return process
            except httpx.HTTPError:
                time.sleep(0.1)
        raise AssertionError("the site does not answer")


@pytest.fixture
def served(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Served]:
    centre = Served(tmp_path, free_port())
    process = centre.start()
    yield centre
    end(process)
    centre.fleet.close()


@pytest.fixture
def person(chromium: Any) -> Person:
    return at_a_browser(chromium)


def sign_in(person: Person, address: str) -> None:
    person.page.goto(f"{address}/sign-in")
    person.page.fill("[name=name]", "ann")
    person.page.fill("[name=password]", PASSWORD)
    person.page.click("main button")
    person.page.wait_for_url(f"{address}/")


def test_a_person_watches_a_box_go_stale_and_come_back(served: Served, person: Person) -> None:
    sign_in(person, served.address)
    page = person.page
    tile = page.locator(".box-tile", has_text="lobby")
    assert "fresh" in tile.inner_text() and "2 of 2" in page.inner_text(".complete")
    served.age("lobby", 300)
    until(page, lambda: "5 min old" in tile.inner_text())
    served.age("lobby", 1200)
    until(page, lambda: "Nothing has come for 20 min" in tile.inner_text())
    assert "problem-mark" in tile.get_attribute("class")
    assert page.locator(".box-tile").first.inner_text().startswith("lobby"), "problems come first"
    until(page, lambda: "1 of 2" in page.inner_text(".complete"))
    served.hear()
    until(page, lambda: "fresh" in tile.inner_text())
    assert "problem" not in (tile.get_attribute("class") or "")
    assert person.complaints == []


def test_a_gap_is_hatched_and_times_are_local(served: Served, chromium: Any) -> None:
    person = at_a_browser(chromium, timezone_id="Asia/Tokyo", locale="en-GB")
    sign_in(person, served.address)
    page = person.page
    page.click(".box-tile >> text=lobby")
    page.wait_for_selector("svg.chart.bars")
    gaps = page.locator("svg.chart.bars rect[fill$='-gap)']")
    assert gaps.count() >= 2 and gaps.first.bounding_box()["width"] > 3
    assert "nobody looked" in page.locator("svg.chart.bars").inner_html()
    scale, line = (
        page.locator("svg.chart.bars .scale").last.bounding_box(),
        page.locator("svg.chart.bars .grid").last.bounding_box(),
    )
    assert scale["x"] + scale["width"] <= line["x"], "a bar covers no figure of the scale"
    assert "times: Asia/Tokyo" in page.inner_text(".key")
    begins = page.locator("svg.chart.bars .column").first.get_attribute("data-start")
    told = page.evaluate("utc => new Date(utc).toTimeString().slice(0, 5)", begins)
    for chart in ("svg.chart.bars", "svg.chart.rate-chart"):
        first = page.locator(f"{chart} .column").first
        for words in (first.get_attribute("aria-label"), first.locator(".tip text").first.text_content()):
            assert f", {told}" in words and "UTC" not in words, "a bar is of the hour that is written below it"
    page.click("text=From … until")
    shown = page.input_value("[name=until]")
    tokyo = time.strftime("%Y-%m-%dT%H", time.gmtime(now().utc + 9 * 3600 + 3599))
    assert shown.startswith(tokyo)
    page.click("text=Show")
    page.wait_for_selector("text=This range")
    assert person.complaints == []


def test_an_admin_adds_a_site_an_analyst_and_a_box(served: Served, person: Person) -> None:
    sign_in(person, served.address)
    page = person.page
    page.click("nav >> text=Sites")
    page.fill("[name=name]", "east")
    page.fill("[name=latitude]", "48.5")
    page.fill("[name=longitude]", "12.2")
    page.click("text=Add >> nth=-1")
    page.wait_for_selector("a:text-is('east')")
    page.click("nav >> text=People")
    page.fill("[name=name]", "max")
    page.check("section >> label:has-text('east') >> input")
    page.fill("section [name=password]", "four words of mine")
    page.fill("section [name=again]", "four words of mine")
    page.click("button.main")
    page.wait_for_selector("text=sees 1 of 3 sites")
    page.goto(f"{served.address}/add-box")
    page.fill("[name=title]", "Back door")
    page.select_option("[name=site]", label="east")
    page.click("button.main")
    code = page.inner_text("#join-code")
    page.click("button[data-copy] >> nth=0")
    until(page, lambda: page.inner_text("button[data-copy] >> nth=0") != "Copy")
    page.click("text=I have copied it")
    page.wait_for_url(f"{served.address}/")
    assert len(code) > 40 and person.complaints == []


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_the_screen_and_none_breaks_the_policy(
    served: Served,
    chromium: Any,
    width: int,
) -> None:
    person = at_a_browser(chromium, width=width)
    served.fleet.change_box("lobby", title="Waiting room of the outpatient departm", problem="x" * 200)
    sign_in(person, served.address)
    for path in (
        *("/", "/boxes", "/map", "/sites", "/sites/1", "/sites/1/remove", "/boxes/lobby", "/boxes/lobby/revoke"),
        *("/streams/1", "/streams/1?last=week", "/streams/1?last=year", "/streams/1?last=hour", "/compare"),
        *("/compare?by=box", "/letters", "/events", "/people", "/people/2/remove", "/add-box", "/account"),
    ):
        person.page.goto(served.address + path)
        assert person.page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert person.complaints == [], path


def test_the_site_gives_heartbeats(served: Served) -> None:
    deadline = time.monotonic() + PATIENCE_S
    kinds: list[str] = []
    while "serve" not in kinds and time.monotonic() < deadline:
        time.sleep(0.1)
        kinds = [process.kind for process in served.fleet.store.records.processes() if process.is_alive(now().utc)]
    assert kinds == ["serve"]
