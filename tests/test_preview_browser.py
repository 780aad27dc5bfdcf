"""The live picture as a person sees it when no newer one comes: a real `mb9k serve`, stopped, a real Chromium."""

from __future__ import annotations

import io
import itertools
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from appliance.faces import Face, State
from appliance.previews import Previews
from appliance.times import now
from appliance.vision.annotate import COLOURS
from tests.site import Box
from tests.test_browser import PICTURE, Person, Served, at_a_browser, chromium, launched, person, served, until
from tests.test_web import serving

__all__ = ["chromium", "launched", "person", "served"]
pytestmark = pytest.mark.browser

PILL = "main .head .pill"
PICTURE_SHOWN = "[data-preview] img"
AGE = "[data-age]"
OLD = re.compile(r"Picture (\d+) s old")
COUNT_ANNOUNCEMENTS = """() => {
  window.announced = [];
  const status = document.querySelector("[data-preview] [role=status]");
  new MutationObserver(() => announced.push(status.textContent)).observe(status, { childList: true, subtree: true });
}"""


def is_live(page: Any) -> bool:
    return str(page.inner_text(PILL)) == "LIVE" and page.is_visible(PICTURE_SHOWN) and not page.inner_text(AGE)


def has_moved(page: Any) -> bool:
    return (page.get_attribute(PICTURE_SHOWN, "src") or "").startswith("blob:")


def age_s(page: Any) -> int:
    """What the mark beside the stream's name says; 0: that the picture is live."""
    said = OLD.search(page.inner_text(PILL))
    return int(said[1]) if said else 0


def test_a_picture_of_a_site_that_hangs_says_its_age_and_is_not_called_live(served: Served, person: Person) -> None:
    previews = Previews(served.folder / "run")
    page = person.page

    def watched() -> None:
        """What the watcher does all the time."""
        served.store.services.heartbeat("watch", 1, now().utc, None, now())
        if previews.is_requested(1):
            previews.write(1, PICTURE())

    def lives() -> bool:
        watched()
        return is_live(page) and has_moved(page)

    served.store.streams.set_live(1, None, now().utc)
    watched()
    person.sign_in(served.address)
    page.goto(f"{served.address}/streams/1")
    until(page, lives)
    page.evaluate(COUNT_ANNOUNCEMENTS)
    assert served.process
    served.process.send_signal(signal.SIGSTOP)
    until(page, lambda: age_s(page) >= 5)
    assert page.is_visible(PICTURE_SHOWN) and re.fullmatch(r"\d+ s old", page.inner_text(AGE))
    assert page.evaluate("announced") == ["The picture is not live."], "once, not every second"
    served.process.send_signal(signal.SIGCONT)
    until(page, lives)
    assert page.evaluate("announced") == ["The picture is not live.", ""]
    assert [said for said in person.complaints if "ERR_" not in said] == []


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "state")
    made.store.streams.set_live(1, "192.0.2.4", made.clock.now.utc)
    made.store.services.heartbeat("watch", 1, made.clock.now.utc, None, made.clock.now)
    yield made
    made.close()


RED, BLUE = (200, 30, 30), (30, 30, 200)
BARS = """[...document.querySelectorAll('.face-label rect')]
  .map((bar) => ({ ...bar.getBoundingClientRect().toJSON(), fill: getComputedStyle(bar).fill }))"""
WATCH_EACH_PAINT = """() => {
  window.seen = [];
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const look = () => {
    const picture = document.querySelector("[data-preview] img");
    const labels = [...document.querySelectorAll("[data-labels] .face-label")].map((label) => label.textContent);
    if (picture.src.startsWith("blob:") && picture.complete && picture.naturalWidth && !picture.hidden) {
      canvas.drawImage(picture, 0, 0, 1, 1);
      const [red, , blue] = canvas.getImageData(0, 0, 1, 1).data;
      seen.push(`${red > blue ? "red" : "blue"}: ${labels.join(", ")}`);
    }
    requestAnimationFrame(look);
  };
  look();
}"""


def plain(colour: tuple[int, int, int]) -> bytes:
    with io.BytesIO() as jpeg:
        Image.new("RGB", (640, 360), colour).save(jpeg, "jpeg")
        return jpeg.getvalue()


def test_the_words_over_a_picture_are_of_that_picture(box: Box, free_port: Callable[[], int], chromium: Any) -> None:
    """Two pictures by turns: at no paint stand the words of the one over the other."""
    previews = Previews(box.config.run)
    someone = at_a_browser(chromium, 390)
    page = someone.page
    left = [Face((60, 100, 140, 200), 0.9, (1, 0, 0), State.MASK)]
    right = [
        Face((500, 2, 636, 150), 0.9, (0, 1, 0), State.NO_MASK),
        Face((460, 40, 490, 80), 0.9, (0, 0, 1), State.INCORRECT),
    ]
    turns = itertools.cycle([(plain(RED), left), (plain(BLUE), right)])

    def draws() -> None:
        previews.write(1, *next(turns))

    with serving(box.app, free_port()) as port:
        someone.sign_in(f"http://127.0.0.1:{port}")
        page.goto(f"http://127.0.0.1:{port}/streams/1")
        page.evaluate(WATCH_EACH_PAINT)

        def saw_both_twice() -> bool:
            draws()
            changes = [seen for seen, _ in itertools.groupby(page.evaluate("seen"))]
            return len(changes) >= 4

        until(page, saw_both_twice)
        assert set(page.evaluate("seen")) == {"red: Mask", "blue: No mask, Worn incorrectly"}

        frame = page.locator(".preview img").bounding_box()

        bars: list[Any] = []

        def shows_two() -> bool:
            draws()
            bars[:] = page.evaluate(BARS)  # in one go: the next picture comes meanwhile
            return len(bars) == 2

        until(page, shows_two)
        assert all(frame["x"] - 1 <= bar["x"] and frame["y"] - 1 <= bar["y"] for bar in bars), (
            "nothing beyond its edges"
        )
        assert all(bar["x"] + bar["width"] <= frame["x"] + frame["width"] + 1 for bar in bars)
        assert bars[0]["y"] + bars[0]["height"] <= bars[1]["y"] + 1, "no words lie over others"
        assert all(17 <= bar["height"] <= 22 for bar in bars), "as large as text on the page, however small the picture"
        assert bars[0]["fill"] == f"rgb({', '.join(map(str, COLOURS[State.NO_MASK]))})", "the colour of its frame"
    assert someone.complaints == []


def test_a_picture_that_no_other_follows_ages_while_the_page_renews_itself_around_it(
    box: Box, free_port: Callable[[], int], chromium: Any
) -> None:
    previews = Previews(box.config.run)
    someone = at_a_browser(chromium, 390)
    page = someone.page

    def lives() -> bool:
        if previews.is_requested(1):
            previews.write(1, PICTURE())
        return is_live(page) and has_moved(page)

    with serving(box.app, free_port()) as port:
        someone.sign_in(f"http://127.0.0.1:{port}")
        page.goto(f"http://127.0.0.1:{port}/streams/1")
        until(page, lives)
        box.store.streams.set_problem(1, "Too few pictures reach this box.")  # a part of the page that was not there
        until(page, lambda: lives() and page.is_visible("text=Too few pictures"))
        shown = page.get_attribute(PICTURE_SHOWN, "src")
        until(page, lambda: lives() and page.get_attribute(PICTURE_SHOWN, "src") != shown)
        page.evaluate(COUNT_ANNOUNCEMENTS)
        until(page, lambda: age_s(page) >= 3)  # the watcher lives, and draws no more
        box.store.streams.set_problem(1, "Still too few.")
        until(page, lambda: page.is_visible("text=Still too few"))
        assert age_s(page) >= 3 and page.is_visible(PICTURE_SHOWN)
        assert page.evaluate("announced") == ["The picture is not live."]
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        box.store.streams.set_offline(1)
        until(page, lambda: page.inner_text(PILL) == "Offline" and not page.is_visible(PICTURE_SHOWN))
        assert page.inner_text(AGE) == ""
    assert someone.complaints == []


def test_each_picture_of_the_wall_ages_by_itself_and_a_stream_that_goes_live_gets_one(
    box: Box, free_port: Callable[[], int], chromium: Any
) -> None:
    previews = Previews(box.config.run)
    someone = at_a_browser(chromium, 390)
    page = someone.page
    drawn = {1, 2}

    def tile(stream_id: int, part: str) -> Any:
        return page.locator(f".wall > li:has(h3 a[href='/streams/{stream_id}']) {part}")

    def draws() -> bool:
        for stream_id in drawn:
            if previews.is_glanced_at(stream_id):
                previews.write(stream_id, PICTURE())
        return True

    def lives(stream_id: int) -> bool:
        draws()
        return bool(tile(stream_id, ".pill.live").count() == 1 and tile(stream_id, "img[src^='blob:']").is_visible())

    with serving(box.app, free_port()) as port:
        someone.sign_in(f"http://127.0.0.1:{port}")
        until(page, lambda: lives(1))
        assert tile(2, "*").count() == 0, "it is offline"
        box.store.streams.set_live(2, "192.0.2.5", box.clock.now.utc)
        until(page, lambda: tile(2, "img").count() == 1)
        tile(2, "h3").scroll_into_view_if_needed()
        until(page, lambda: lives(1) and lives(2))
        assert re.fullmatch(r"[0-2] s old", tile(2, "[data-age]").inner_text())
        drawn.remove(2)
        until(page, lambda: draws() and tile(2, ".pill.old").count() == 1)
        assert re.fullmatch(r"Picture \d+ s old", tile(2, ".pill").first.inner_text())
        assert tile(2, "img").is_visible() and tile(2, "[data-old]").count() == 1
        until(page, lambda: lives(1))
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        box.store.streams.set_offline(2)
        until(page, lambda: draws() and tile(2, "*").count() == 0)
        tile(1, "h3 a").click()
        page.wait_for_url("**/streams/1")
    assert someone.complaints == []
