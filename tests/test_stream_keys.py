"""The page of a stream key: what to type where, as codes for phones, too, and who learns of the key."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import cv2
import numpy as np
import pytest

from appliance.interfaces import main_address
from appliance.local.qr import qr_svg
from appliance.local.stream_keys import ffmpeg_line, grove_link
from tests.site import Box, Browser

WHOLE = "rtmp://192.0.2.7:1935/live/ABCDEFGHJKLMNPQRSTUV"
RUN = re.compile(r"M(\d+) (\d+)h(\d+)v1h-\d+z")


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "state")
    yield made
    made.close()


def read(svg: str) -> str:
    """What a phone reads in a code of ours: by another's program, from pixels."""
    side = int(re.findall(r'viewBox="0 0 (\d+)', svg)[0])
    assert f'<rect width="{side}" height="{side}" fill="#fff"/>' in svg and 'fill="#000"' in svg
    modules = np.full((side, side), 255, np.uint8)
    for x, y, length in RUN.findall(svg):
        modules[int(y), int(x) : int(x) + int(length)] = 0
    text, _, _ = cv2.QRCodeDetector().detectAndDecode(np.kron(modules, np.ones((6, 6), np.uint8)))
    return str(text)


def key_page(browser: Browser) -> str:
    return browser.get(browser.post("/streams/2/key", page="/streams/2/new-key").headers["location"]).text


def test_codes_say_what_the_page_says(box: Box) -> None:
    page = key_page(box.browser("sci"))
    codes = re.findall(r'<svg class="qr".*?</svg>', page)
    whole = re.findall(r"data-copied>(rtmp://[^<]+/live/[A-Z0-9]{20})<", page)[0]
    grove = grove_link(whole, "sci:lab")
    assert [read(code) for code in codes] == [grove, whole]
    assert f'href="{grove.replace("&", "&amp;")}"' in page


def test_larix_is_told_the_connection_and_how_to_encode() -> None:
    link = grove_link(WHOLE, "ann:front door & yard")
    assert link.startswith("larix://set/v1?conn[][url]=rtmp%3A%2F%2F192.0.2.7%3A1935%2Flive%2FABCDEFGHJKLMNPQRSTUV&")
    assert parse_qs(urlsplit(link).query) == {
        "conn[][url]": [WHOLE],
        "conn[][name]": ["ann:front door & yard"],
        "conn[][mode]": ["v"],
        "conn[][overwrite]": ["on"],
        "enc[vid][bitrate]": ["2500"],
        "enc[vid][keyframe]": ["2"],
        "enc[vid][format]": ["avc"],
    }
    assert read(qr_svg(grove_link(WHOLE, "é" * 40 + ":" + "ü" * 40), "the longest name")) != ""


def test_the_line_for_ffmpeg_sends_a_key_frame_every_two_seconds() -> None:
    words = shlex.split(ffmpeg_line(WHOLE))
    options = dict(itertools.pairwise(words))
    assert float(options["-g"]) / float(options["-r"]) == 2.0
    assert words[0] == "ffmpeg" and words[-3:] == ["-f", "flv", WHOLE] and "-re" in words


def test_nobody_else_learns_of_the_key(box: Box, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        browser = box.browser("sci")
        key = re.findall(r'id="stream-key"[^>]*>([A-Z0-9]{20})<', key_page(browser))[0]
    answer = browser.get("/streams/2/key")
    assert key in answer.text and answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert key not in caplog.text and key not in str(answer.request.url)
    assert not any(key in str(row) for row in box.store.db.query("select * from audit"))
    links = re.findall(r'(?:href|src|action)="([^"]*)"', answer.text)
    assert [link for link in links if key in link and not link.startswith("larix://")] == []


@pytest.mark.parametrize(
    ("opened", "config", "server"),
    [
        ("box.test", {}, "rtmp://box.test/live"),
        ("192.0.2.30:8080", {}, "rtmp://192.0.2.30/live"),
        ("[2001:db8::7]:8080", {}, "rtmp://[2001:db8::7]/live"),
        ("localhost:8080", {"rtmp": {"public_host": "cam.example"}}, "rtmp://cam.example/live"),
        ("localhost:8080", {"rtmp": {"host": "127.0.0.1", "port": 2000}}, "rtmp://localhost:2000/live"),
        ("127.0.0.1:8080", {}, None),
    ],
    ids=str,
)
def test_the_server_is_what_whoever_opened_the_page_can_reach(
    tmp_path: Path, opened: str, config: dict[str, Any], server: str | None
) -> None:
    box = Box(tmp_path / "state", **config)
    browser = box.browser("sci")
    page = key_page(browser)
    answer = browser.get("/streams/2/key", headers={"Host": opened})
    box.close()
    if server is None:  # the machine's own, which the tests cannot know before
        found = main_address() or "127.0.0.1"
        server = f"rtmp://[{found}]/live" if ":" in found else f"rtmp://{found}/live"
    assert "stream-key" in page and f"data-copied>{server}</code>" in answer.text
    only_here = "only this machine knows" in answer.text
    assert only_here == (server.startswith(("rtmp://localhost", "rtmp://127.")))
