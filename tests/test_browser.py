"""The site as a person meets it: a real `mb9k serve`, a real Chromium."""

from __future__ import annotations

import io
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from appliance.accounts.people import Role
from appliance.config import load
from appliance.faces import Detection, Health, State
from appliance.images import ImageFiles
from appliance.previews import Previews
from appliance.store import DetectionFilter, Store, StoredImage
from appliance.times import now
from tests.conftest import REPOSITORY
from tests.http_servers import Player, serving_http
from tests.site import PASSWORD, PASSWORD_HASH

pytestmark = pytest.mark.browser

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP evil.example 127.0.0.1",
]
PICTURE = (REPOSITORY / "models" / "golden" / "hopper-worn.jpg").read_bytes
PATIENCE_S = 60


@dataclass
class Served:
    """A box whose site runs in a process of its own."""

    folder: Path
    port: int
    store: Store
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the site and wait until it answers."""
        command = [sys.executable, "-m", "appliance.cli", "--config", str(self.folder / "mb9k.toml"), "serve"]
        self.process = subprocess.Popen(command, cwd=REPOSITORY)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            assert self.process.poll() is None, "the site ended"
            try:
                if httpx.get(f"{self.address}/health", timeout=5).is_success:
                    return
            except httpx.HTTPError:
                time.sleep(0.1)
        raise AssertionError("the site does not answer")

    def stop(self) -> int:
        """Ask it to end; its exit status."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=PATIENCE_S)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """A watcher is heard until the end of the block: what it says of streams is told as true."""
        over = threading.Event()

        def beat() -> None:
            store = Store.open(self.folder / "mb9k.db")
            while not over.wait(0.5):
                store.services.heartbeat("watch", 1, now().utc, None, now())
            store.close()

        self.store.services.heartbeat("watch", 1, now().utc, None, now())
        beating = threading.Thread(target=beat)
        beating.start()
        try:
            yield
        finally:
            over.set()
            beating.join()

    def see_somebody(self, state: State = State.MASK) -> int:
        """What the watcher does when a person passed."""
        at = now().utc
        images = ImageFiles(load(self.folder / "mb9k.toml").images_dir)
        place = images.append(PICTURE(), at)
        token = f"token-{self.store.trends.counts(DetectionFilter()).total}"
        image = StoredImage(place.day, place.offset, place.size_bytes, token)
        seen = Detection(at, at + 4, state, 0.93, 12, (210.0, 80.0, 330.0, 240.0), 1280, 720, "mb9k-test")
        return self.store.detections.add(1, seen, image)


@pytest.fixture
def served(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Served]:
    port = free_port()
    (tmp_path / "mb9k.toml").write_text(
        f'box = "lobby"\nstate_dir = "{tmp_path}"\n[web]\nhost = "0.0.0.0"\nport = {port}\n'
    )
    store = Store.open(tmp_path / "mb9k.db")
    at = now().utc
    store.people.add("ann", PASSWORD_HASH, Role.ADMIN, at)
    store.streams.add_with_source(1, "front door, seen from the long corridor", "/dev/video0", at)
    box = Served(tmp_path, port, store)
    box.see_somebody()
    box.start()
    yield box
    if box.process and box.process.poll() is None:
        box.process.kill()
        box.process.wait()
    store.close()


@dataclass
class Person:
    """Somebody at a browser. complaints: what the browser's console and scripts complained about."""

    page: Any
    complaints: list[str] = field(default_factory=list)

    def sign_in(self, address: str) -> None:
        self.page.goto(f"{address}/sign-in")
        self.page.fill("[name=name]", "ann")
        self.page.fill("[name=password]", PASSWORD)
        self.page.click("main button")
        self.page.wait_for_url(f"{address}/")


@pytest.fixture(scope="module")
def launched() -> Iterator[Any]:
    """A Chromium for a file: it takes a second to start."""
    binary = shutil.which("chromium") or shutil.which("chromium-browser")
    if binary is None:
        pytest.skip("Chromium is not installed (apt install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def chromium(launched: Any) -> Iterator[Any]:
    """It has nobody's cookies, and no page open, before a test and after it."""
    yield launched
    for context in launched.contexts:
        context.close()


@pytest.fixture
def person(chromium: Any) -> Person:
    return at_a_browser(chromium)


def at_a_browser(chromium: Any, width: int = 1280, **options: Any) -> Person:
    context = chromium.new_context(viewport={"width": width, "height": 800}, **options)
    context.set_default_timeout(PATIENCE_S * 1000)
    made = Person(context.new_page())
    made.page.on("console", lambda said: made.complaints.append(said.text) if said.type == "error" else None)
    made.page.on("pageerror", lambda error: made.complaints.append(str(error)))
    return made


def until(page: Any, holds: Callable[[], bool]) -> None:
    """Wait until it holds. Playwright's own wait_for_function needs eval, which our policy forbids."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, page.inner_text("main")
        page.wait_for_timeout(100)


def test_a_person_signs_in_watches_the_counts_rise_and_opens_a_detection(served: Served, person: Person) -> None:
    person.sign_in(served.address)
    page = person.page
    today = page.locator("article:has(h2:text-is('Today')) .big strong")
    assert today.inner_text() == "1"
    served.see_somebody(State.NO_MASK)
    until(page, lambda: today.inner_text() == "2")
    page.click("nav >> text=Detections")
    page.wait_for_selector(".tile >> nth=1")
    newest = served.see_somebody(State.INCORRECT)
    page.click("text=1 newer, show")  # it shows up by itself
    page.click(f".tile[href='/detections/{newest}']")
    until(page, lambda: page.evaluate("document.querySelector('img.face')?.naturalWidth > 0"))
    assert "Worn incorrectly" in page.inner_text("main")
    assert person.complaints == []


def test_a_page_that_led_its_own_name_to_this_machine_reads_nothing(served: Served, person: Person) -> None:
    person.sign_in(served.address)
    page = person.page
    answer = page.goto(f"http://evil.example:{served.port}/health")
    assert answer.status == 421 and "web.names" in page.inner_text("body")
    for path in ("/", "/streams", "/api/openapi.json", "/api/v1/streams", "/claim"):
        assert page.evaluate("path => fetch(path).then(answer => answer.status)", path) == 421


class ForeignPage(Player):
    """A page of another origin, with a form that is sent by a click."""

    target = ""
    token = ""

    def do_GET(self) -> None:
        """The page."""
        page = (
            f'<form method="post" action="{self.target}"><input name="csrf" value="{self.token}"><button>Win</button>'
        )
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(page.encode())


@pytest.mark.parametrize("name", ["127.0.0.1", "evil.example"])
def test_a_page_of_another_origin_changes_nothing_even_with_the_right_token(
    served: Served, person: Person, name: str
) -> None:
    person.sign_in(served.address)
    page = person.page
    token = page.get_attribute("[name=csrf]", "value")
    target = f"{served.address}/streams/1/deactivate"
    handler = type("Foreign", (ForeignPage,), {"target": target, "token": token})
    with serving_http(handler) as port:
        page.goto(f"http://{name}:{port}/")
        with page.expect_response(target) as answer:
            page.click("button")
        page.goto(f"http://{name}:{port}/")
        page.evaluate(
            "async ([url, csrf]) => fetch(url, {method: 'POST', mode: 'no-cors', credentials: 'include',"
            " body: new URLSearchParams({csrf})}).catch(() => null)",
            [target, token],
        )
    assert answer.value.status in (401, 403)  # 401: the browser kept the session to itself
    stream = served.store.streams.get(1, now())
    assert stream is not None and stream.active


def test_a_person_makes_a_stream_and_sees_its_key_once(served: Served, person: Person) -> None:
    person.sign_in(served.address)
    page = person.page
    page.goto(f"{served.address}/streams/new")
    assert not page.is_visible("[name=source]")
    page.check("[value=source]")
    assert page.is_visible("[name=source]")
    page.check("[value=key]")
    page.fill("[name=name]", "yard")
    page.click("main button.main")
    key = page.inner_text("#stream-key")
    assert re.fullmatch("[A-Z0-9]{20}", key) and re.search(r"rtmp://[0-9.]+/live", page.inner_text("main"))
    page.click("button[data-copy] >> nth=0")
    until(page, lambda: page.inner_text("button[data-copy] >> nth=0") != "Copy")
    page.click("text=I have copied it")
    page.wait_for_selector("text=No live picture")
    assert key not in page.content()
    assert person.complaints == []


def test_a_token_is_made_outlives_a_password_and_is_revoked_by_an_admin(served: Served, person: Person) -> None:
    person.sign_in(served.address)
    page = person.page
    page.goto(f"{served.address}/account")
    page.fill("[name=name]", "weekly report")
    page.select_option("[name=days]", "30")
    page.click("text=Make a token")
    bearer = {"Authorization": f"Bearer {page.inner_text('#token')}"}
    page.fill("[name=current]", PASSWORD)
    page.fill("[name=password]", "four words of mine")
    page.fill("[name=again]", "four words of mine")
    page.check("[name=keep_tokens]")
    page.click("text=Change password")
    assert page.inner_text("p.done") == "Your password is changed. Your other sessions have ended."
    assert httpx.get(f"{served.address}/api/v1/streams", headers=bearer).is_success
    page.goto(f"{served.address}/people")
    assert "weekly report of ann" in page.inner_text("#tokens") and "expires" in page.inner_text("#tokens")
    page.click("#tokens button")
    page.wait_for_selector("#tokens >> text=Nobody has made one")
    assert httpx.get(f"{served.address}/api/v1/streams", headers=bearer).status_code == 401
    assert person.complaints == []


def test_the_live_picture_moves(served: Served, person: Person) -> None:
    previews = Previews(served.folder / "run")
    served.store.streams.set_live(1, "192.0.2.4", now().utc)
    served.store.services.heartbeat("watch", 1, now().utc, None, now())
    person.sign_in(served.address)
    person.page.goto(f"{served.address}/streams/1")
    deadline = time.monotonic() + PATIENCE_S
    shown = ""

    def living() -> bool:
        served.store.services.heartbeat("watch", 1, now().utc, None, now())
        if previews.is_requested(1):
            previews.write(1, PICTURE())
        return True

    while time.monotonic() < deadline and not shown.startswith("blob:"):
        living()
        shown = person.page.get_attribute("[data-preview] img", "src") or ""
        person.page.wait_for_timeout(200)
    assert shown.startswith("blob:") and person.page.is_visible("[data-preview] img")
    served.store.streams.describe(1, "h264", 640, 480)  # while the page is open: it renews itself around the picture
    served.store.streams.set_health(1, Health(smallest_face_px=28))
    until(person.page, lambda: living() and person.page.is_visible(".smallest-face"))
    before = person.page.get_attribute("[data-preview] img", "src")
    until(person.page, lambda: living() and person.page.get_attribute("[data-preview] img", "src") != before)
    assert person.complaints == []


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("size", [(1920, 1080), (640, 480), (480, 640), (2560, 1080)], ids=str)
def test_the_smallest_face_has_its_size_in_the_picture_however_large_that_is_shown(
    served: Served, chromium: Any, width: int, size: tuple[int, int]
) -> None:
    """The picture is all of one colour: where it lies is seen in a screenshot, not taken from its style."""
    person = at_a_browser(chromium, width)
    with io.BytesIO() as jpeg:
        Image.new("RGB", (size[0] // 3, size[1] // 3), (0, 160, 0)).save(jpeg, "jpeg")
        picture = jpeg.getvalue()
    served.store.streams.set_live(1, None, now().utc)
    served.store.streams.describe(1, "h264", *size)
    served.store.streams.set_health(1, Health(smallest_face_px=120))
    previews = Previews(served.folder / "run")
    person.sign_in(served.address)
    previews.write(1, picture)
    served.store.services.heartbeat("watch", 1, now().utc, None, now())
    person.page.goto(f"{served.address}/streams/1")
    square = person.page.locator(".smallest-face rect").last.bounding_box()

    def is_shown() -> bool:
        served.store.services.heartbeat("watch", 1, now().utc, None, now())  # without, the stream is LIVE no more
        previews.write(1, picture)  # an old one is dimmed
        image = "document.querySelector('.preview img')"
        return bool(person.page.evaluate(f"!{image}.hidden && {image}.naturalWidth > 0"))

    until(person.page, is_shown)
    shot = Image.open(io.BytesIO(person.page.locator(".preview").screenshot())).convert("RGB")
    frame = person.page.locator(".preview").bounding_box()
    green = np.asarray(shot).astype(int)
    seen = np.argwhere((green[..., 1] > 120) & (green[..., 0] < 90) & (green[..., 2] < 90))
    (top, left), (bottom, right) = seen.min(axis=0), seen.max(axis=0) + 1
    stroke_px = 1.5  # its middle has the size of the face
    assert square["width"] - stroke_px == pytest.approx(120 * (right - left) / size[0], abs=0.7)
    assert square["width"] == pytest.approx(square["height"], abs=0.1)
    assert (right - left) / (bottom - top) == pytest.approx(size[0] / size[1], rel=0.02)
    assert left <= square["x"] - frame["x"] and square["y"] - frame["y"] + square["height"] <= bottom


def test_what_a_person_types_is_not_swept_away(served: Served, person: Person) -> None:
    person.sign_in(served.address)
    page = person.page
    page.goto(f"{served.address}/detections")
    page.fill("[name=search]", "half a wo")
    served.see_somebody()
    page.wait_for_timeout(6000)  # longer than a page waits before it looks again
    assert page.input_value("[name=search]") == "half a wo"
    assert page.locator(".tile").count() == 1
    page.locator("[name=search]").blur()
    page.wait_for_selector("text=1 newer, show")


def test_a_time_is_local_on_the_page_and_utc_in_the_address(served: Served, chromium: Any) -> None:
    person = at_a_browser(chromium, timezone_id="Asia/Tokyo", locale="en-GB")
    person.sign_in(served.address)
    page = person.page
    page.goto(f"{served.address}/detections")
    page.fill("[name=since]", "2026-01-02T09:30")
    page.click("text=Show")
    page.wait_for_url(re.compile("since="))
    assert "since=2026-01-02T00%3A30%3A00.000Z" in page.url and "state=" not in page.url
    assert page.input_value("[name=since]") == "2026-01-02T09:30"
    assert "UTC" not in page.inner_text("main")
    assert person.complaints == []


@pytest.mark.parametrize("width", [375, 1280])
def test_no_page_scrolls_sideways_or_complains(served: Served, chromium: Any, width: int) -> None:
    person = at_a_browser(chromium, width)
    page = person.page
    page.goto(f"{served.address}/sign-in")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    person.sign_in(served.address)
    for path in (
        *("/", "/streams", "/streams/new", "/streams/1", "/streams/1/edit", "/streams/1/delete", "/detections"),
        *(
            "/detections/1",
            "/detections/1/delete",
            "/detections/1/not-a-person",
            "/streams/1/zones",
            "/people",
            "/people/1/remove",
            "/account",
            "/export",
            "/trends",
            "/trends?range=month&stream=1",
        ),
    ):
        page.goto(served.address + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert person.complaints == [], path


def test_what_a_person_opened_stays_open_while_the_page_renews_itself(served: Served, person: Person) -> None:
    served.store.streams.set_problem(1, "Nobody answers at this address.")
    person.sign_in(served.address)
    page = person.page
    with served.watched():
        until(page, lambda: page.is_visible("text=1 stream has a problem"))
        page.click("summary:has-text('until')")
        served.store.streams.set_problem(1, "Its user must be in the group `video`.")
        until(page, lambda: page.locator(".wall code").count() == 1)
        assert page.is_visible("[name=since]")
    assert person.complaints == []


def test_by_its_address_in_the_network_over_plain_http_the_forms_work(served: Served, person: Person) -> None:
    """Browsers send no Sec-Fetch-Site there, and `Origin: null` under a referrer policy that is too strict."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it only asks by which address one would go out
            own = probe.getsockname()[0]
        except OSError:
            own = "127.0.0.1"
    if own.startswith("127."):
        own = "[::ffff:127.0.0.1]"
    address = f"http://{own}:{served.port}"
    person.sign_in(address)
    person.page.click("text=Sign out")
    person.page.wait_for_url(f"{address}/sign-in")
    assert person.complaints == []


def test_without_script_everything_but_comfort_works(served: Served, chromium: Any) -> None:
    person = at_a_browser(chromium, java_script_enabled=False)
    person.sign_in(served.address)
    page = person.page
    page.goto(f"{served.address}/streams/new")
    page.fill("[name=name]", "yard")
    page.click("main button.main")
    assert re.fullmatch("[A-Z0-9]{20}", page.inner_text("#stream-key"))
    page.goto(f"{served.address}/detections/1")
    assert "UTC" in page.inner_text("main")


def test_the_site_gives_heartbeats_while_it_answers_and_ends_on_sigterm(served: Served) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not served.store.services.is_alive("serve", now()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert served.store.services.is_alive("serve", now())
    assert httpx.get(f"{served.address}/%ff/%00").status_code == 404
    served.stop()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", served.port)) != 0


def test_a_chart_tells_its_numbers_to_a_pointer_and_to_keys_and_comes_as_a_png(served: Served, person: Person) -> None:
    for state in (State.NO_MASK, State.UNKNOWN):
        served.see_somebody(state)
    person.sign_in(served.address)
    page = person.page
    page.goto(f"{served.address}/trends")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    bar = page.locator(".chart.bars .column").last
    words = bar.locator(".tip")
    assert not words.is_visible()
    bar.hover()
    assert words.is_visible() and "3 persons" in words.text_content()
    page.mouse.move(5, 5)
    page.focus("#chart-persons ~ * a >> nth=-1")
    page.keyboard.press("Tab")  # the link over the chart
    page.keyboard.press("Tab")  # what scrolls
    page.keyboard.press("Tab")
    assert words.is_visible() and "1 mask, 1 no mask, 1 unknown" in words.text_content()
    with page.expect_download() as download:
        page.click(".chart-card:has(.bars) >> text=PNG")
    assert download.value.suggested_filename.startswith("mb9k-lobby-persons-")
    with Image.open(download.value.path()) as png:
        colours = {colour for _, colour in png.convert("RGB").getcolors(1 << 24) or ()}
        assert png.size[0] == 2 * 752 and {(31, 138, 116), (197, 72, 44)} <= colours, "mask and no mask are in it"
    bar.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/detections[?]since="))
    until(page, lambda: page.locator(".tile").count() == 3)
    assert person.complaints == []
