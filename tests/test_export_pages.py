"""Exports from the page and the API: who gets what, how it is sent, and that nothing of it stays."""

from __future__ import annotations

import io
import os
import sqlite3
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import httpx
import pytest

from appliance.exports.drafts import Draft, sweep
from appliance.exports.formats import Format
from appliance.faces import State
from appliance.local.pages import DOWNLOADS_AT_ONCE
from appliance.rules import recovery
from appliance.store import Store, StoredImage
from tests.boxes import until
from tests.site import JPEG, Box
from tests.test_web import says, serving

FILES = "/export/detections?format="


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "state")
    place = made.images.append(JPEG, made.clock.now.utc)
    made.add_detection(2, State.INCORRECT, StoredImage(place.day, place.offset, place.size_bytes, "of the lab"))
    yield made
    made.close()


def images(answer: httpx.Response) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(answer.content)) as read:
        return sorted(name for name in read.namelist() if name.startswith("images/"))


def left_behind(box: Box) -> list[str]:
    return [path.name for path in box.config.state.iterdir() if "partial" in path.name]


def test_the_page_leads_to_a_file_of_what_is_filtered(box: Box) -> None:
    ann = box.browser("ann")
    page = ann.get("/export?state=incorrect&stream=2")
    assert "<strong>1</strong> row:" not in page.text and "<strong>1</strong> row." in page.text
    answer = ann.get("/export/detections?stream=2&state=incorrect&format=csv")
    assert "/export/detections?stream=2&amp;state=incorrect&amp;format=csv" in page.text
    assert answer.headers["content-type"] == Format.CSV.mime_type
    assert answer.headers["content-disposition"].startswith('attachment; filename="mb9k-box-detections-')
    assert len(answer.text.splitlines()) == 2 and ",sci:lab," in answer.text


def test_what_cannot_be_read_of_an_address_hands_out_nothing(box: Box) -> None:
    ann = box.browser("ann")
    for query in ("state=wrong", "since=yesterday", "format=xml", "format=zip&stream=x"):
        answer = ann.get(f"/export/detections?{query}")
        assert answer.status_code == 400 and "content-disposition" not in answer.headers, query
    assert ann.get("/export/sums?step=year").status_code == 400
    assert "step must be one of quarter, hour, day." in ann.get("/export/sums?step=year").text


@pytest.mark.parametrize(("who", "files"), [("ann", ["1", "3"]), ("sci", ["3"]), ("eve", [])])
def test_images_are_of_streams_that_one_may_edit(box: Box, who: str, files: list[str]) -> None:
    browser = box.browser(who)
    expected = [f"images/{each}.jpg" for each in files]
    assert images(browser.get(f"{FILES}zip")) == expected
    token = {"Authorization": f"Bearer token of {who}"}
    assert images(browser.get("/api/v1/export/detections?format=zip", headers=token)) == expected
    assert ("ZIP with images" in browser.get("/export").text) == bool(files)
    assert len(browser.get(f"{FILES}jsonl").text.splitlines()) == 3  # rows are for everybody


def test_a_sqlite_file_is_whole_and_nothing_of_it_stays(box: Box, tmp_path: Path) -> None:
    answer = box.browser("eve").get(f"{FILES}sqlite")
    assert int(answer.headers["content-length"]) == len(answer.content)
    (tmp_path / "made.sqlite").write_bytes(answer.content)
    with closing(sqlite3.connect(tmp_path / "made.sqlite")) as connection:
        assert connection.execute("select count(*) from detections").fetchone() == (3,)
    assert left_behind(box) == []


def test_an_admin_saves_a_backup_that_can_be_put_back(box: Box, tmp_path: Path) -> None:
    assert box.browser("sci").post("/export/record").status_code == 403
    answer = box.browser("ann").post("/export/record")
    assert answer.headers["content-disposition"].endswith('.db"') and left_behind(box) == []
    copy = tmp_path / "copy.db"
    copy.write_bytes(answer.content)
    box.store.detections.remove(1)
    box.close()
    recovery.restore(box.config, copy, box.clock.now.utc)
    with closing(Store.open(box.config.store_path)) as store:
        assert store.detections.get(1) is not None and store.problems() == []
    box.store = Store.open(box.config.store_path)


def test_only_so_many_are_sent_at_once_and_each_gives_its_place_back(box: Box) -> None:
    asked = []
    for _ in range(DOWNLOADS_AT_ONCE):
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/api/v1/export/detections", "QUERY_STRING": ""}
        environ |= {"HTTP_AUTHORIZATION": "Bearer token of eve", "HTTP_HOST": "box.test", "SERVER_NAME": "box.test"}
        environ |= {"SERVER_PORT": "80", "wsgi.url_scheme": "http", "REMOTE_ADDR": "192.0.2.1"}
        answer: Any = box.app({**environ, "wsgi.input": io.BytesIO()}, lambda *_: None)
        assert next(iter(answer)).startswith(b"detection_id,")
        asked.append(answer)
    refused = box.browser("ann").get(f"{FILES}csv")
    assert refused.status_code == 503 and "Wait until one of them is saved." in refused.text
    for answer in asked:
        answer.close()  # as the server does when somebody hangs up
    for form in ("csv", "jsonl", "sqlite", "zip"):
        for _ in range(DOWNLOADS_AT_ONCE + 1):
            assert box.browser("ann").get(FILES + form).status_code == 200


def test_what_goes_wrong_before_the_first_part_is_said(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.exports.drafts.free_bytes", lambda _: 0)
    answer = box.browser("ann").get(f"{FILES}sqlite")
    assert answer.status_code == 503 and "There is no room on the disk" in answer.text
    assert box.browser("ann").get(f"{FILES}csv").status_code == 200


def test_what_another_process_left_goes_and_what_this_one_writes_stays(tmp_path: Path) -> None:
    (tmp_path / "sending-1-abcd.partial").write_bytes(b"half")
    (tmp_path / "sending-1-abcd.partial-journal").write_bytes(b"half")

    def write(path: Path) -> None:
        path.write_bytes(b"whole")
        sweep(tmp_path)
        assert [each.name for each in tmp_path.iterdir()] == [path.name]

    draft = Draft(tmp_path, write)
    assert list(tmp_path.iterdir()) == [] and b"".join(draft.parts()) == b"whole"

    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        Draft(tmp_path, fail)
    assert list(tmp_path.iterdir()) == []


def unnamed_files() -> set[str]:
    """What this process has open and no folder names: that is how temporary files are."""
    links = [each.readlink() for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
    return {str(link) for link in links if "(deleted)" in str(link)}


def test_a_reader_that_stalls_fills_no_disk_and_one_that_hangs_up_gives_its_place_back(
    box: Box, free_port: Callable[[], int]
) -> None:
    """What waitress keeps for a client it would put into a file of its own beyond a megabyte."""
    at = box.clock.now.utc
    for number in range(24):
        place = box.images.append(b"\xff\xd8" + os.urandom(1_000_000), at)
        box.add_detection(1, State.MASK, StoredImage(place.day, place.offset, place.size_bytes, f"large {number}"))
    asked = b"GET /api/v1/export/detections?format=zip HTTP/1.1\r\nHost: box.test\r\nAuthorization: Bearer token of ann"
    before = unnamed_files()
    with serving(box.app, free_port()) as port:
        for _ in range(DOWNLOADS_AT_ONCE + 1):
            with says(port, asked + b"\r\n\r\n") as stalled:
                assert stalled.recv(100).startswith(b"HTTP/1.1 200")
                time.sleep(0.3)
                assert unnamed_files() == before
        until(lambda: box.browser("ann").get(f"{FILES}csv").status_code == 200, 30, "places are free again")


def test_every_export_is_an_entry_of_the_audit_and_a_refused_one_is_none(box: Box) -> None:
    box.browser("sci").get(f"{FILES}zip&stream=2")
    box.browser().get("/api/v1/export/sums", headers={"Authorization": "Bearer token of eve"})
    box.browser("ann").post("/export/record")
    box.browser("eve").get(f"{FILES}xml")
    entries = box.store.db.execute(
        "select actor_kind, actor, action, subject, details from audit where action in ('exported', 'downloaded')"
        " order by number"
    )
    assert [tuple(entry) for entry in entries] == [
        ("person", "sci", "exported", "detections", '{"format":"zip","stream_id":2}'),
        ("token", "eve (test)", "exported", "sums", '{"format":"csv"}'),
        ("person", "ann", "downloaded", "copy of the record", ANY),
    ]
