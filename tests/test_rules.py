"""The rules for streams, people and detections: the same, in the same words, whichever way somebody comes in."""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance import cli
from appliance.images import ImageFiles
from appliance.previews import Previews
from tests.site import Box

BAD_NAMES = ["", "  ", "two\nlines", "x" * 300, "a\u202eb", "a\x00b"]
BAD_SOURCES = [
    "", " ", "gopher://x y", "ftp://x", "rtsp://", "camera", "clip.mp4", "file:///etc/passwd", "x" * 600,
    "http://a\nb/", "rtsp://camera:99999999/", "rtsp://•••@camera/",
]  # fmt: skip
ONLY_AN_ADMINS = [
    "/etc/passwd", "/dev/video0", "rtsp://127.0.0.1:8554/live/x", "http://localhost:9997/v3", "http://[::1]/",
    "http://[::ffff:127.0.0.1]/", "http://127.1/", "http://2130706433/", "http://0x7f000001/", "http://0/",
    "http://169.254.169.254/latest",
]  # fmt: skip


class Entrances:
    """A box and its three ways in. Each answers with what it says when it refuses; None: it was done."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.box = Box(folder / "state")
        self.config_path = folder / "mb9k.toml"
        self.config_path.write_text(f'state_dir = "{folder / "state"}"\n')
        self.capsys = capsys
        self.monkeypatch = monkeypatch

    def cli(self, *words: str) -> str | None:
        self.monkeypatch.setattr(sys, "argv", ["mb9k", "--config", str(self.config_path), *words])
        self.capsys.readouterr()
        try:
            cli.main()
        except SystemExit as ended:
            assert ended.code == 1
            return self.capsys.readouterr().err.removeprefix("mb9k: ").rstrip("\n")
        return None

    def api(self, method: str, path: str, sent: Any = None, who: str = "ann") -> str | None:
        headers = {"Authorization": f"Bearer token of {who}"}
        answer = self.box.browser().client.request(method, f"/api/v1{path}", json=sent, headers=headers)
        return None if answer.is_success else str(answer.json()["error"])

    def page(self, path: str, who: str = "ann", **fields: str) -> str | None:
        answer = self.box.browser(who).post(path, **fields)
        if answer.is_success or answer.is_redirect:
            return None
        said = re.search(r'role="alert">([^<]*)<|<h1>[^<]*</h1>\s*<p>([^<]*)<', answer.text)
        assert said, answer.text
        return html.unescape(said[1] or said[2])

    def rows(self) -> str:
        """What may not change when something is refused: all but when a token was last used, and sessions."""
        lines = self.box.store.db.conn.iterdump()
        return "\n".join(line for line in lines if not re.match(r'INSERT INTO "(tokens|sessions)"', line))


@pytest.fixture
def entrances(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Entrances]:
    made = Entrances(tmp_path, capsys, monkeypatch)
    yield made
    made.box.close()


def all_refuse_alike(entrances: Entrances, *tries: Callable[[], str | None]) -> None:
    before = entrances.rows()
    said = [attempt() for attempt in tries]
    assert said[0] and said[0].endswith(".") and "\n" not in said[0]
    assert said == [said[0]] * len(tries)
    assert entrances.rows() == before


@pytest.mark.parametrize("name", [*BAD_NAMES, "door"])
def test_every_entrance_refuses_a_bad_name_of_a_stream_in_the_same_words(entrances: Entrances, name: str) -> None:
    typed = name.replace("\x00", "\x01")  # no command line can hold a NUL
    all_refuse_alike(
        entrances,
        lambda: entrances.page("/streams", name=name, kind="key"),
        lambda: entrances.page("/streams/2/edit", name=name, owner="1"),
        lambda: entrances.api("POST", "/streams", {"name": name}),
        lambda: entrances.api("PATCH", "/streams/2", {"name": name, "owner": "ann"}),
        lambda: entrances.cli("stream", "add", typed, "--owner", "ann"),
    )


@pytest.mark.parametrize("name", [*BAD_NAMES, "a:b", ":", "Ann"])
def test_every_entrance_refuses_a_bad_name_of_a_person_in_the_same_words(entrances: Entrances, name: str) -> None:
    passwords = {"password": "long enough", "again": "long enough"}
    all_refuse_alike(
        entrances,
        lambda: entrances.page("/people", name=name, role="admin", **passwords),
        lambda: entrances.cli("user", "add", name.replace("\x00", "\x01"), "--password", "long enough"),
    )


@pytest.mark.parametrize("password", ["", "short", "x" * 1025])
def test_every_entrance_refuses_a_bad_password_in_the_same_words(entrances: Entrances, password: str) -> None:
    all_refuse_alike(
        entrances,
        lambda: entrances.page("/people", name="kim", role="admin", password=password, again=password),
        lambda: entrances.page("/people/2/password", password=password, again=password),
        lambda: entrances.cli("user", "add", "kim", "--password", password),
        lambda: entrances.cli("user", "password", "sci", "--password", password),
    )


@pytest.mark.parametrize("source", BAD_SOURCES)
def test_every_entrance_refuses_a_bad_source_in_the_same_words(entrances: Entrances, source: str) -> None:
    entrances.box.store.streams.add_with_source(1, "pulled", "rtsp://camera/1", 0.0)
    all_refuse_alike(
        entrances,
        lambda: entrances.page("/streams", name="cam", kind="source", source=source),
        lambda: entrances.page("/streams/3/edit", name="pulled", source=source),
        lambda: entrances.api("POST", "/streams", {"name": "cam", "source_url": source}),
        lambda: entrances.api("PATCH", "/streams/3", {"source_url": source}),
        lambda: entrances.cli("stream", "add", "cam", "--owner", "ann", "--source", source),
    )


@pytest.mark.parametrize("source", ONLY_AN_ADMINS)
def test_only_an_admin_and_the_command_line_may_name_what_is_on_the_box(entrances: Entrances, source: str) -> None:
    all_refuse_alike(
        entrances,
        lambda: entrances.page("/streams", "sci", name="cam", kind="source", source=source),
        lambda: entrances.api("POST", "/streams", {"name": "cam", "source_url": source}, "sci"),
    )
    assert entrances.page("/streams", name="by page", kind="source", source=source) is None
    assert entrances.api("POST", "/streams", {"name": "by api", "source_url": source}) is None
    assert entrances.cli("stream", "add", "by cli", "--owner", "sci", "--source", source) is None


def test_only_an_admin_and_the_command_line_may_make_a_stream_anothers(entrances: Entrances) -> None:
    all_refuse_alike(
        entrances,
        lambda: entrances.page("/streams", "sci", name="cam", kind="key", owner="1"),
        lambda: entrances.page("/streams/2/edit", "sci", name="lab", owner="1"),
        lambda: entrances.api("POST", "/streams", {"name": "cam", "owner": "ann"}, "sci"),
        lambda: entrances.api("PATCH", "/streams/2", {"owner": "ann"}, "sci"),
        lambda: entrances.api("PATCH", "/streams/2", {"owner": "nobody"}, "sci"),
    )
    assert entrances.page("/streams", name="by page", kind="key", owner="2") is None
    assert entrances.api("POST", "/streams", {"name": "by api", "owner": "sci"}) is None
    assert entrances.cli("stream", "add", "by cli", "--owner", "sci") is None
    titles = {stream.title for stream in entrances.box.store.streams.all(entrances.box.clock.now)}
    assert {"sci:by page", "sci:by api", "sci:by cli"} < titles


@pytest.mark.parametrize("way", ["page", "api"])
def test_a_stream_is_closed_before_its_images_are_erased_and_its_preview_goes(
    entrances: Entrances, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, erase, open_at_erasure = entrances.box, ImageFiles.erase, []

    def watched(self: ImageFiles, place: Any) -> None:
        open_at_erasure.append(1 in {stream_id for stream_id, _ in box.store.streams.active_keys()})
        erase(self, place)

    monkeypatch.setattr(ImageFiles, "erase", watched)
    previews = Previews(box.config.run)
    previews.write(1, b"\xff\xd8 somebody")
    done = entrances.page("/streams/1/delete") if way == "page" else entrances.api("DELETE", "/streams/1")
    assert done is None
    assert open_at_erasure == [False], "nothing new may be stored while the images go"
    assert list(previews.folder.glob("1.*")) == []
    assert box.store.streams.ids() == {2}


@pytest.mark.parametrize(("kind", "kept"), [("streams", "lab"), ("detections", "1")])
def test_an_image_that_cannot_be_erased_keeps_its_row_and_is_told_alike(
    entrances: Entrances, kind: str, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(ImageFiles, "erase", failing)
    by_page, by_api = entrances.page(f"/{kind}/1/delete"), entrances.api("DELETE", f"/{kind}/1")
    assert by_page == by_api and by_page and "Input/output error" in by_page
    assert entrances.box.store.detections.get(1)
