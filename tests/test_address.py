"""Addresses of cameras as people paste them: understood or refused, and never shown with a secret in them."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from appliance import cli
from appliance.address import parse, shown
from appliance.errors import InputError
from appliance.language import speaking
from appliance.rules.sources import clean_source
from tests.site import Box

PASTED = [
    ("rtsp://admin:2024#Spring@camera/1", ("admin", "2024#Spring"), "camera"),
    ("rtsp://admin:12/34@192.168.1.5/1", ("admin", "12/34"), "192.168.1.5"),
    ("rtsp://admin:12/34@192.168.1.5:554", ("admin", "12/34"), "192.168.1.5"),
    ("rtsp://ad.min:12/34@192.168.1.5", ("ad.min", "12/34"), "192.168.1.5"),
    ("rtsp://admin:pa/ss@camera/1", ("admin", "pa/ss"), "camera"),
    ("rtsp://admin:pa?ss@camera/1", ("admin", "pa?ss"), "camera"),
    ("rtsp://admin:p@ss@camera:554/1", ("admin", "p@ss"), "camera"),
    ("rtsp://admin:p@ss#1@camera", ("admin", "p@ss#1"), "camera"),
    ("rtsp://admin:100%@camera", ("admin", "100%"), "camera"),
    ("rtsp://admin:a%40b@camera", ("admin", "a@b"), "camera"),
    ("rtsp://admin:a:b@camera", ("admin", "a:b"), "camera"),
    ("rtsp://admin:Tür 1@[fd00::7]:554/1", ("admin", "Tür 1"), "fd00::7"),
    ("http://admin:@camera/", ("admin", ""), "camera"),
    ("http://admin@camera/", ("admin", ""), "camera"),
    ("http://camera/a@b", None, "camera"),
    ("http://10.0.0.1:80/a@b?m=c@d", None, "10.0.0.1"),
]
AMBIGUOUS = [
    "rtsp://admin:12/34@camera/1",
    "rtsp://ad.min:12/34@camera/1",
    "rtsp://admin:p@ss.w/ord@camera",
    "http://camera.lan:80/a@b",
    "http://10.0.0.1:80/a@10.0.0.2",
    "rtsp://admin:p@ss/word@camera",
    "rtsp://camera:554/a@b",
    "rtsp://admin:1#2@3@camera",
]
SECRET = "hunter2"
WITH_SECRETS = [
    f"rtsp://admin:{SECRET}@camera/1",
    f"rtsp://admin:20#{SECRET}@camera/1",
    f"rtsp://admin:12/{SECRET}@camera/1",
    f"rtsp://admin:12/{SECRET}@192.168.1.5/1",
    f"rtsp://admin:a@b/{SECRET}@camera/1",
    f"http://camera/video?user=ann&pw={SECRET}",
    f"http://camera/video?u={SECRET}&channel=1",
    f"http://camera/video?sid={SECRET}#x={SECRET}",
    f"rtsp://camera/user=admin&password={SECRET}&channel=1&stream=0.sdp?",
    f"rtsp://camera/user=admin_password={SECRET}_channel=1_stream=0.sdp",
    f"rtsp://camera/0/admin:{SECRET}/main",
    f"gopher://admin:{SECRET}@x y",
]


@pytest.mark.parametrize(("pasted", "credentials", "host"), PASTED)
def test_a_password_is_understood_as_it_is_pasted(pasted: str, credentials: tuple[str, str] | None, host: str) -> None:
    parsed = parse(pasted)
    assert (parsed.credentials, parsed.host) == (credentials, host)
    assert parse(str(parsed)) == parsed, "what is stored is understood alike"


@pytest.mark.parametrize("pasted", AMBIGUOUS)
def test_what_can_be_read_in_two_ways_is_refused_with_the_way_out(pasted: str) -> None:
    with pytest.raises(InputError, match="fields of their own") as refused:
        parse(pasted)
    assert "%2F" in str(refused.value)
    with speaking("de"), pytest.raises(InputError, match="auf zwei Arten"):
        parse(pasted)


@pytest.mark.parametrize("address", WITH_SECRETS)
def test_no_secret_is_shown(address: str) -> None:
    assert SECRET not in shown(address)
    assert "camera" in shown(address) or "192.168.1.5" in shown(address) or "gopher" in shown(address)


def test_what_is_no_secret_is_shown() -> None:
    assert shown("rtsp://u:p@camera:554/cam/realmonitor?channel=1&subtype=0") == (
        "rtsp://•••@camera:554/cam/realmonitor?channel=1&subtype=0"
    )
    assert shown("/dev/video0") == "/dev/video0"


def test_user_and_password_of_fields_of_their_own_are_stored_percent_encoded() -> None:
    stored = clean_source("rtsp://camera/1", False, "ad@min", "a/b#c:d %41")
    assert stored == "rtsp://ad%40min:a%2Fb%23c%3Ad%20%2541@camera/1"
    assert parse(stored).credentials == ("ad@min", "a/b#c:d %41")
    assert clean_source(stored, False) == stored
    with pytest.raises(InputError, match="needs its user"):
        clean_source("rtsp://camera/1", False, "", "alone")


def test_no_error_page_shows_the_password_again(box: Box) -> None:
    browser = box.browser("sci")
    for source in [*WITH_SECRETS, f"rtsp://localhost/?pw={SECRET}", f"srt://admin:{SECRET}@camera"]:
        answer = browser.post("/streams", name="", kind="source", source=source, source_password=SECRET)
        assert answer.status_code == 400 and SECRET not in answer.text, source
    token = {"Authorization": "Bearer token of sci"}
    for source in [*WITH_SECRETS, f"srt://admin:{SECRET}@camera"]:
        answer = browser.client.post("/api/v1/streams", json={"name": "", "source_url": source}, headers=token)
        assert answer.status_code == 400 and SECRET not in answer.text, source


def test_credentials_typed_apart_are_taken_and_shown_by_no_entrance(box: Box) -> None:
    browser = box.browser("sci")
    fields = {"source": "rtsp://camera/1", "source_user": "admin", "source_password": f" {SECRET}#/"}
    page = browser.post("/streams", name="cam", kind="source", **fields).headers["location"]
    assert _source(box, 3) == f"rtsp://admin:%20{SECRET}%23%2F@camera/1"
    shown_form = "rtsp://•••@camera/1"
    browser.post(f"{page}/edit", name="cam", source=shown_form, source_user="", source_password="other#")
    assert _source(box, 3) == "rtsp://admin:other%23@camera/1"
    browser.post(f"{page}/edit", name="cam", source=shown_form, source_user="root", source_password="")
    assert _source(box, 3) == "rtsp://root@camera/1", "a password belongs to its user"
    token = {"Authorization": "Bearer token of sci"}
    change = {"source_url": "rtsp://camera/2", "source_user": "u", "source_password": SECRET}
    answer = browser.client.patch("/api/v1/streams/3", json=change, headers=token)
    assert answer.is_success and SECRET not in answer.text
    assert _source(box, 3) == f"rtsp://u:{SECRET}@camera/2"
    for path in (page, f"{page}/edit", "/streams", "/"):
        assert SECRET not in browser.get(path).text
    refused = browser.client.patch("/api/v1/streams/2", json={"source_password": SECRET}, headers=token)
    assert refused.status_code == 400 and "with a key" in refused.text


def test_a_password_is_not_taken_over_to_another_host(box: Box) -> None:
    box.store.streams.add_with_source(2, "cam", f"rtsp://admin:{SECRET}@camera/1", 0.0)
    browser = box.browser("sci")
    answer = browser.post("/streams/3/edit", name="cam", source="rtsp://•••@evil.example/1")
    assert answer.status_code == 400 and "again" in answer.text
    browser.post("/streams/3/edit", name="cam", source="rtsp://evil.example/1", source_user="admin")
    assert _source(box, 3) == "rtsp://admin@evil.example/1"


def test_the_command_line_takes_no_password_as_an_argument(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    box = Box(tmp_path / "state")
    config = tmp_path / "mb9k.toml"
    config.write_text(f'state_dir = "{tmp_path / "state"}"\n')

    def add(name: str, *words: str, lines: str = "") -> str:
        command = ["mb9k", "--config", str(config), "stream", "add", name, "--owner", "sci", *words]
        monkeypatch.setattr(sys, "argv", command)
        monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
        try:
            cli.main()
        except SystemExit as ended:
            assert ended.code == 1
        return "".join(capsys.readouterr())

    for source in WITH_SECRETS:
        said = add("cam", "--source", source)
        assert said.startswith("mb9k: ") and said.count("\n") == 1 and SECRET not in said
    assert box.store.streams.ids() == {1, 2}
    assert add("one", "--source", "-", lines=f"rtsp://admin:{SECRET}#@camera/1\n") == ""
    assert add("two", "--source", "rtsp://camera/2", "--source-user", "admin", lines=f"{SECRET}/\n") == ""
    assert _source(box, 3) == f"rtsp://admin:{SECRET}%23@camera/1"
    assert _source(box, 4) == f"rtsp://admin:{SECRET}%2F@camera/2"
    assert "needs a --source" in add("three", "--source-user", "admin")
    box.close()


def _source(box: Box, stream_id: int) -> str | None:
    stream = box.store.streams.get(stream_id, box.clock.now)
    assert stream
    return stream.source_url


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path / "state")
