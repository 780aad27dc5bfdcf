"""The site as an app: what a browser needs to install it, and what it shows while the box cannot be reached."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from urllib.parse import urljoin

import pytest
from PIL import Image

from appliance.web.static import KIT_STATIC
from tests.fleets import Fleet
from tests.site import Box
from tests.test_browser import Person, Served, chromium, launched, person, served, until

KEPT = """
caches.keys()
  .then((names) => Promise.all(names.map((name) => caches.open(name).then((shelf) => shelf.keys()))))
  .then((shelves) => shelves.flat().map((request) => new URL(request.url).pathname))
"""
OFFLINE = "caches.match('/offline').then((answer) => answer.text())"
WORKER = "navigator.serviceWorker.ready.then((registration) => registration.active.scriptURL)"
__all__ = ["chromium", "launched", "person", "served"]


@pytest.mark.parametrize("prefix", ["", "/box3"])
def test_the_manifest_names_pages_and_pictures_that_are_there(tmp_path: Path, prefix: str) -> None:
    box = Box(tmp_path, web={"base_url": f"http://box.test{prefix}"})
    stranger = box.browser()
    link = re.findall(r'<link rel="manifest" href="([^"]+)">', stranger.get(f"{prefix}/sign-in").text)
    answer = stranger.get(link[0])
    manifest = answer.json()
    assert link == [f"{prefix}/manifest.webmanifest"]
    assert answer.headers["content-type"] == "application/manifest+json"
    assert urljoin(link[0], manifest["start_url"]) == urljoin(link[0], manifest["scope"]) == f"{prefix}/"
    for icon in manifest["icons"]:
        picture = stranger.get(icon["src"])
        assert picture.headers["content-type"] == "image/png"
        width, height = Image.open(io.BytesIO(picture.content)).size
        assert icon["sizes"] == f"{width}x{height}"
    assert {icon["purpose"] for icon in manifest["icons"]} == {"any", "maskable"}
    box.close()


def test_the_worker_keeps_the_page_without_anybody_and_the_files_that_it_names(tmp_path: Path) -> None:
    box = Box(tmp_path, web={"base_url": "http://box.test/box3"})
    ann = box.browser("ann")
    kept = json.loads(re.findall(r"^const KEPT = (.*);$", ann.get("/box3/worker.js").text, re.M)[0])
    page = ann.get(kept[0]).text
    needed = re.findall(r'<(?:script|link rel="stylesheet"|img)[^>]* (?:src|href)="([^"]+)"', page)
    box.close()
    assert kept[0] == "/box3/offline" and set(needed) <= set(kept[1:])
    assert "Sign out" not in page and "ann" not in re.findall(r"\w+", page)


def test_a_centre_is_an_app_too(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, str(tmp_path / "central.db"))
    assert fleet.browser().get("/manifest.webmanifest").json()["name"].startswith("mb9k ")
    assert "The centre cannot be reached" in fleet.browser().get("/offline").text
    fleet.close()


def test_pictures_of_the_app_are_small() -> None:
    assert [path.name for path in KIT_STATIC.glob("*.png") if path.stat().st_size > 10_000] == []


@pytest.mark.browser
def test_while_the_box_cannot_be_reached_the_page_says_so_and_goes_on_by_itself(served: Served, person: Person) -> None:
    page = person.page
    person.sign_in(served.address)
    until(
        page,
        lambda: page.evaluate("navigator.serviceWorker.ready.then(() => Boolean(navigator.serviceWorker.controller))"),
    )
    page.goto(f"{served.address}/streams")
    kept = page.evaluate(KEPT)
    assert kept[0] == "/offline" and all(path.startswith("/static/") for path in kept[1:])
    worker = page.evaluate(WORKER)
    page.click(".languages button:has-text('Deutsch')")
    until(page, lambda: '<html lang="de"' in page.evaluate(OFFLINE))
    assert page.evaluate(WORKER) == worker, "a language is no reason for another worker: browsers hang after many"
    served.stop()
    page.goto(f"{served.address}/streams")
    assert page.inner_text("h1") == "Die Box ist nicht erreichbar"
    assert page.evaluate("getComputedStyle(document.querySelector('.card')).borderRadius") == "10px"  # it has its style
    served.start()
    until(page, lambda: page.inner_text("h1") == "Streams" and page.get_attribute("html", "lang") == "de")
