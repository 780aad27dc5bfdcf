"""A bundle fetched from an address: over real TLS, begun again where it broke off, never more than there is room."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from appliance.config import Config
from appliance.errors import InputError
from appliance.local.update_desk import Desk
from appliance.update import fetching
from appliance.update.fetching import Fetch, checked_address, name_in
from appliance.update.uploads import Uploads
from appliance.update.versions import UpdateError
from tests.boxes import until
from tests.bundle_shelf import Shelf, serving_shelf

CONTENT = os.urandom(400_000)


@pytest.fixture
def shelf(tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    with serving_shelf(tmp_path, free_port(), CONTENT, monkeypatch) as there:
        yield there


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(config_in(tmp_path), "page")


def config_in(folder: Path, **update: object) -> Config:
    config = {"state_dir": str(folder / "state"), "update": update, "images": {"min_free_mb": 0}}
    return msgspec.convert(config, Config)


def fetch(uploads: Uploads, address: str, waited: list[float] | None = None) -> Fetch:
    """waited: takes the pauses, which are not made."""

    def wait(pause_s: float) -> bool:
        if pause_s and waited is not None:
            waited.append(pause_s)
        return False

    return Fetch(uploads, address, wait)


def refused(uploads: Uploads, address: str, sha256: str = "") -> str:
    with pytest.raises(UpdateError) as error:
        fetch(uploads, address).run(sha256)
    assert list(uploads.folder.iterdir()) == []
    return str(error.value)


def test_what_is_there_is_fetched_also_where_it_was_moved_to(shelf: Shelf, uploads: Uploads) -> None:
    for path in ("/mb9k.mb9k", "/moved"):
        part = fetch(uploads, shelf.address + path).run(hashlib.sha256(CONTENT).hexdigest())
        assert part.read_bytes() == CONTENT and part.parent == uploads.folder
        part.unlink()
    assert "its sha-256 is another" in refused(uploads, f"{shelf.address}/mb9k.mb9k", "0" * 64)


def test_it_goes_on_where_it_broke_off(shelf: Shelf, uploads: Uploads) -> None:
    shelf.breaks_at = 150_000
    asked = fetch(uploads, f"{shelf.address}/mb9k.mb9k")
    assert asked.run().read_bytes() == CONTENT
    assert shelf.ranges == [None, "bytes=150000-", "bytes=300000-"]
    assert asked.progress.received_bytes == asked.progress.total_bytes == len(CONTENT)


def test_where_the_other_side_cannot_go_on_it_begins_again(shelf: Shelf, uploads: Uploads) -> None:
    shelf.breaks_at = 150_000
    shelf.etag = ""
    waited: list[float] = []
    with pytest.raises(UpdateError, match="the connection ended early"):
        fetch(uploads, f"{shelf.address}/mb9k.mb9k", waited).run()
    assert set(shelf.ranges) == {None} and len(waited) >= 4
    assert list(uploads.folder.iterdir()) == []


def test_of_a_file_that_is_another_by_now_nothing_old_is_kept(
    shelf: Shelf, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.breaks_at = 150_000
    begun = Fetch._begin

    def changed(self: Fetch, answer: object, file: object) -> None:
        begun(self, answer, file)  # type: ignore[arg-type]
        shelf.etag, shelf.breaks_at = '"two"', 150_000 if len(shelf.ranges) < 2 else None

    monkeypatch.setattr(Fetch, "_begin", changed)
    assert fetch(uploads, f"{shelf.address}/mb9k.mb9k").run().read_bytes() == CONTENT
    assert shelf.ranges[:2] == [None, "bytes=150000-"]


def test_what_is_not_there_or_not_trusted_is_said(
    shelf: Shelf, uploads: Uploads, monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]
) -> None:
    assert "localhost has nothing there (404)" in refused(uploads, f"{shelf.address}/nothing")
    assert "localhost answers 503" in refused(uploads, f"{shelf.address}/broken")
    assert "must begin with https://" in refused(uploads, f"{shelf.address}/to-plain")
    assert "Connection refused" in refused(uploads, f"https://localhost:{free_port()}/mb9k.mb9k")
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "The certificate of localhost is not trusted here" in refused(uploads, f"{shelf.address}/mb9k.mb9k")


@pytest.mark.parametrize("length_told", [True, False])
def test_no_more_is_taken_than_the_box_takes(
    shelf: Shelf, tmp_path: Path, length_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "LOOK_BYTES", 60_000)
    monkeypatch.setattr("appliance.update.uploads.MB", 100_000)
    shelf.length_told = length_told
    uploads = Uploads(config_in(tmp_path, upload_mb=1), "page")
    assert "larger than the 1 MB that this box takes" in refused(uploads, f"{shelf.address}/mb9k.mb9k")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://updates.example.org/a", "must begin with https://"),
        ("ftp://updates.example.org/a", "must begin with https://"),
        ("file:///etc/passwd", "is no address"),
        ("https://user:word@updates.example.org/a", "Leave the user and the password out"),
        ("https:///a", "is no address"),
        ("https://updates.example.org:99999/a", "is no address"),
        ("https://updates.example.org/a\r\nHost: x", "is no address"),
        (f"https://updates.example.org/{'a' * 600}", "is no address"),
        ("", "is no address"),
    ],
)
def test_other_addresses_are_refused(address: str, said: str) -> None:
    with pytest.raises(UpdateError, match=said):
        checked_address(address)


def test_a_machine_in_this_network_may_be_named() -> None:
    assert checked_address(" https://192.168.1.7:8443/mb9k-0.2.0.mb9k ") == "https://192.168.1.7:8443/mb9k-0.2.0.mb9k"
    assert name_in("https://[fd00::7]/updates/mb9k-0.2.0.mb9k?x=1") == "mb9k-0.2.0.mb9k"


def test_the_site_fetches_in_the_background_and_ends_when_asked_to(shelf: Shelf, tmp_path: Path) -> None:
    desk = Desk(config_in(tmp_path))
    shelf.pause_s = 0.3
    with pytest.raises(InputError, match="must begin with https"):
        desk.begin_fetch("http://localhost/a", "ann")
    desk.begin_fetch(f"{shelf.address}/mb9k.mb9k", "ann")
    until(lambda: desk.fetch is not None and desk.fetch.progress.received_bytes > 0, 30, "some of it")
    with pytest.raises(InputError, match="Another bundle is on its way"):
        desk.begin_fetch(f"{shelf.address}/mb9k.mb9k", "ben")
    arrival = desk.admit(f"/updates/upload/{desk.ticket(time.time())}", 1000)
    assert arrival is not None and "Another bundle" in arrival.problem
    desk.end_fetch()
    until(lambda: desk.fetch is None, 30, "the end")
    assert desk.problem == "" and list(desk.uploads.folder.iterdir()) == []
    shelf.pause_s = 0.0
    desk.begin_fetch(f"{shelf.address}/mb9k.mb9k", "ann")
    until(lambda: desk.fetch is None, 30, "the end")
    assert "no bundle of mb9k" in desk.problem or "update.authority" in desk.problem or "cannot" in desk.problem
    assert list(desk.uploads.folder.iterdir()) == []
