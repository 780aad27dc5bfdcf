"""Updates from the page: what is sent and shown, and what root makes of it. Real bundles, a real machine room."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from appliance.config import Config
from appliance.errors import InputError, UserError
from appliance.language import speaking
from appliance.local.update_desk import Desk
from appliance.local.updates import steps
from appliance.machine.asking import ask
from appliance.machine.requests import Update
from appliance.update.journal import Outcome, Progress, Step
from tests.boxes import until
from tests.update_pages import UpdateBox, press, send, upload_address
from tests.update_room import Bundles

BEGIN = "systemctl start --no-block mb9k-update@waiting.service"
BACK = "systemctl start --no-block mb9k-update@back.service"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    return Bundles(tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="module")
def good(bundles: Bundles) -> bytes:
    return bundles.make("0.2.0").read_bytes()


@pytest.fixture
def box(tmp_path: Path, bundles: Bundles) -> Iterator[UpdateBox]:
    made = UpdateBox(tmp_path, bundles)
    yield made
    made.close()


@pytest.fixture
def ann(box: UpdateBox, free_port: Callable[[], int]) -> Iterator[httpx.Client]:
    with box.served(free_port()) as client:
        yield client


def test_from_a_file_to_the_version_that_runs(box: UpdateBox, ann: httpx.Client, good: bytes) -> None:
    assert 'href="/updates"' in ann.get("/settings").text
    assert send(ann, good).headers["location"].endswith("/updates")
    page = ann.get("/updates").text
    assert "From 0.1.0 to 0.2.0, signed by the tests&#039; signer." in page and "New: What is new in 0.2.0." in page
    assert "Later, too, 0.1.0 can run again" in page and "MB on the disk, which has them" in page
    assert "The record keeps its form" in page and "mb9k-0.2.0.mb9k" in page and "by ann" in page
    assert [(box.uploads / name).stat().st_mode & 0o777 for name in box.files] == [0o600, 0o600]
    assert box.uploads.stat().st_mode & 0o777 == 0o700

    page = press(ann, "/updates/start").text
    assert "0.2.0 is about to be tried" in page and 'data-refresh="2"' in page
    assert box.room.noted() == [BEGIN]
    assert box.releases.waiting.read_bytes() == good
    begun_utc = time.time()
    for step in (Step.BUILDING, Step.CHECKING):
        box.journal.write(Progress(step, "0.1.0", "0.2.0", begun_utc, is_new=True))
        page = ann.get("/updates").text
        assert "Updating to 0.2.0" in page and 'aria-current="step"' in page and "/updates/upload" not in page
    box.journal.write(Progress(Step.UNDOING, "0.1.0", "0.2.0", begun_utc, is_new=True, trouble="watch does not live"))
    assert "It is undone: watch does not live" in ann.get("/updates").text
    box.journal.end(Outcome(begun_utc, "0.1.0", "0.2.0", "0.1.0", "watch does not live", "all is kept"))
    page = ann.get("/updates").text
    assert "0.2.0 was undone: watch does not live. 0.1.0 runs; all is kept." in page and "Update now" in page

    (box.releases.folder / "0.2.0").mkdir()
    box.releases.point("current", "0.2.0")
    box.journal.end(Outcome(begun_utc + 1, "0.1.0", "0.2.0", "0.2.0"))
    page = ann.get("/updates").text
    assert "0.2.0 runs since" in page and "Go back to 0.1.0" in page and "Update now" not in page
    assert box.files == ["asked.json"], "what was installed goes"
    box.site.clock.forward(600)
    page = press(ann, "/updates/back").text
    assert "0.1.0 is about to be tried" in page and box.room.noted() == [BEGIN, BACK]


def test_everybody_reads_a_plan_and_an_end_in_their_own_language(
    box: UpdateBox, ann: httpx.Client, good: bytes
) -> None:
    ann.headers["Accept-Language"] = "de"
    send(ann, good)
    page = ann.get("/updates").text
    assert "Von 0.1.0 auf 0.2.0, " in page and "the tests&#039; signer" in page
    assert "Neu: What is new in 0.2.0." in page and "Auch später kann 0.1.0 wieder laufen" in page
    assert "The record" not in page and "Later" not in page
    assert "From 0.1.0 to 0.2.0" in (box.uploads / "upload.json").read_text(), "noted for everybody"
    trouble = "0.2.0 was not well within 5 minutes: watch does not live; gate does not live"
    box.journal.write(Progress(Step.UNDOING, "0.1.0", "0.2.0", time.time(), is_new=True, trouble=trouble))
    assert "von 5 Minuten" in (page := ann.get("/updates").text) and "watch läuft nicht; gate läuft nicht" in page, page
    box.journal.end(Outcome(time.time(), "0.1.0", "0.2.0", "0.1.0", trouble, "all that was counted is kept"))
    page = ann.get("/updates").text
    assert page.count("alles Gezählte ist erhalten") == 2 and "does not live" not in page
    ann.headers["Accept-Language"] = "fr"
    page = ann.get("/updates").text
    assert "watch ne fonctionne pas" in page and "tout ce qui a été compté est gardé" in page
    assert refused_in("de", box) == "Ein Upload heißt nicht so."


def refused_in(language: str, box: UpdateBox) -> str:
    """What root's refusal is told as, by a page that speaks this language."""
    with speaking(language):
        return refused(box.room.config, "../secret")


def test_a_program_does_the_same(box: UpdateBox, ann: httpx.Client, good: bytes) -> None:
    with httpx.Client(base_url=ann.base_url, headers={"Authorization": "Bearer token of ann"}, timeout=60) as program:
        place = program.post("/api/v1/updates/upload").json()
        raw = {"Content-Type": "application/octet-stream"}
        refused = program.post(place["address"], content=good[:5000], headers=raw)
        assert refused.status_code == 400 and "not all of it came" in refused.json()["error"]
        assert program.get("/api/v1/updates").json()["bundle"] is None
        assert program.post(place["address"], content=good, headers=raw).status_code == 303
        there = program.get("/api/v1/updates").json()
        assert (there["release"], there["can"], there["bundle"]["after"]) == ("0.1.0", True, "0.2.0")
        assert there["bundle"]["size_bytes"] == len(good) and len(there["bundle"]["changes"]) > 3
        assert program.post("/api/v1/updates/back").status_code == 400
        assert "Updating from 0.1.0 to 0.2.0" in program.post("/api/v1/updates/start").json()["words"]
        there = program.get("/api/v1/updates").json()
        assert there["progress"]["step"] == "asked" and there["bundle"] is None
        box.journal.write(Progress(Step.CHECKING, "0.1.0", "0.2.0", time.time(), is_new=True))
        assert program.get("/api/v1/updates").json()["progress"]["step"] == "checking"
        fetch = {"address": "https://updates.example.org/a"}
        assert program.post("/api/v1/updates/fetch", json=fetch).status_code == 400, "an update is under way"
        box.journal.end(Outcome(time.time(), "0.1.0", "0.2.0", "0.1.0", "it was not well"))
        there = program.get("/api/v1/updates").json()
        assert there["outcomes"][0]["trouble"] == "it was not well" and there["bundle"]["after"] == "0.2.0"
        assert program.delete("/api/v1/updates/upload").status_code == 204
        assert program.post("/api/v1/updates/fetch", json={"address": "http://a/b"}).status_code == 400
    assert box.room.noted() == [BEGIN]


def test_a_bundle_that_is_not_taken_is_gone_and_says_why(
    box: UpdateBox, ann: httpx.Client, good: bytes, bundles: Bundles, tmp_path: Path
) -> None:
    changed = bytearray(good)
    changed[len(changed) // 2] ^= 1
    other = tmp_path / "other"
    other.mkdir()
    for content, said in (
        (bytes(changed), "is not the one that was signed"),
        (b"colour = 1\n" * 1000, "is no bundle of mb9k"),
        (good[: len(good) // 2], "not all of it came"),
        (Bundles(other).make("0.2.0").read_bytes(), "who signed it is not known to this box"),
        (bundles.make("0.0.9").read_bytes(), "older than 0.1.0"),
        (b"", "Choose the file"),
    ):
        answer = send(ann, content)
        assert answer.status_code == 400 and said in answer.text, said
        assert str(box.uploads) not in answer.text and box.files == [], said


def test_another_bundle_takes_the_place_of_the_one_there_is(
    box: UpdateBox, ann: httpx.Client, good: bytes, bundles: Bundles
) -> None:
    address = upload_address(ann.get("/updates").text)
    for content in (good, bundles.make("0.3.0").read_bytes()):  # two tabs
        ann.post(address, data={"csrf": "csrf-ann"}, files={"bundle": ("a", content)})
    assert len(box.files) == 2 and "to 0.3.0" in ann.get("/updates").text
    assert "Send it" in press(ann, "/updates/forget").text and box.files == []
    assert "There is no bundle to install any more" in press(ann, "/updates/start").text


def test_who_is_no_admin_sends_nothing(box: UpdateBox, ann: httpx.Client, good: bytes) -> None:
    address = upload_address(ann.get("/updates").text)
    files = {"bundle": ("a", good)}
    box.site.browser("sci")
    with httpx.Client(base_url=ann.base_url) as nobody:
        assert nobody.post(address, files=files).status_code == 401
        nobody.cookies.set("mb9k_session", "session-of-sci", domain="127.0.0.1")
        assert nobody.post(address, data={"csrf": "csrf-sci"}, files=files).status_code == 403
        assert nobody.get("/updates").status_code == 403
        assert nobody.post("/updates/start", data={"csrf": "csrf-sci"}).status_code == 403
    assert send(ann, good, csrf="guessed").status_code == 403
    until(lambda: box.files == [], 30, "the parts to go")
    assert box.room.noted() == []


@pytest.mark.parametrize("change", ["ticket", "expired"])
def test_without_a_ticket_of_the_page_nothing_large_is_taken(
    box: UpdateBox, ann: httpx.Client, good: bytes, change: str
) -> None:
    address = upload_address(ann.get("/updates").text)
    if change == "expired":
        address = f"/updates/upload/{Desk(box.site.config).ticket(time.time() - 13 * 3600)}"
    else:
        address = address[:-1] + ("0" if address[-1] != "0" else "1")
    with suppress(httpx.TransportError):  # it may hang up before all was sent
        assert ann.post(address, data={"csrf": "csrf-ann"}, files={"bundle": ("a", good)}).status_code == 413
    assert box.files == []
    answer = ann.post(address, data={"csrf": "csrf-ann"}, files={"bundle": ("a", b"little")})
    assert answer.status_code == 400 and "too old" in answer.text


def test_a_bundle_that_is_too_large_is_refused_in_words(
    tmp_path: Path, bundles: Bundles, free_port: Callable[[], int]
) -> None:
    box = UpdateBox(tmp_path, bundles, upload_mb=1)
    with box.served(free_port()) as ann:
        answer = send(ann, b"x" * 1_100_000)
        assert answer.status_code == 400 and "larger than the 1 MB that this box takes" in answer.text
        assert "up to 1 MB" in answer.text and box.files == []
    box.close()


def test_after_a_power_cut_nothing_is_left_of_an_upload(box: UpdateBox, good: bytes, tmp_path: Path) -> None:
    desk, upload = Desk(box.site.config), tmp_path / "good"
    upload.write_bytes(good)
    (box.uploads / "page-1.part").parent.mkdir(mode=0o700, exist_ok=True)
    (box.uploads / "page-1.part").write_bytes(good[:1000])
    (box.uploads / "0123456789abcdef.bundle").write_bytes(good[:1000])  # it was named, not noted yet
    (box.uploads / ".upload.json-1a2b").write_text("{")
    (box.uploads / "centre-1.part").write_bytes(b"sync fetches this just now")
    part = desk.uploads.new_part(len(good))
    upload.rename(part)
    kept = desk.uploads.keep(part, "a", "ann", time.time())
    assert Desk(box.site.config).uploads.current() == kept
    assert box.files == sorted([kept.file, "centre-1.part", "upload.json"])


def test_a_box_set_up_by_hand_says_what_to_type(tmp_path: Path, bundles: Bundles, free_port: Callable[[], int]) -> None:
    box = UpdateBox(tmp_path, bundles, has_room=False)
    with box.served(free_port()) as ann:
        page = ann.get("/updates").text
        assert "<code>sudo mb9k update FILE</code>" in page and "/updates/upload" not in page and ">0.1.0<" in page
        assert press(ann, "/updates/back").status_code == 400  # there is none
    box.close()


def test_a_box_without_releases_is_updated_in_another_way(box: UpdateBox, ann: httpx.Client) -> None:
    (box.releases.folder / "current").unlink()
    page = ann.get("/updates").text
    assert "0.1.0 runs." in page and "update it in that way, with pip" in page and "/updates/upload" not in page


def test_what_did_not_begin_is_said(box: UpdateBox, ann: httpx.Client, good: bytes) -> None:
    send(ann, good)
    press(ann, "/updates/start")
    box.site.clock.forward(130)
    page = ann.get("/updates").text
    assert "What ann asked for (0.2.0) did not begin" in page and "Update now" in page


def test_a_newer_release_that_was_installed_by_hand_makes_a_new_plan(
    box: UpdateBox, ann: httpx.Client, bundles: Bundles
) -> None:
    send(ann, bundles.make("0.4.0").read_bytes())
    (box.releases.folder / "0.2.0").mkdir()
    box.releases.point("current", "0.2.0")
    assert "From 0.2.0 to 0.4.0" in ann.get("/updates").text
    box.releases.point("current", "0.1.0")
    (box.releases.folder / "0.5.0").mkdir()
    box.releases.point("current", "0.5.0")
    assert "Update now" not in ann.get("/updates").text, "it is older now"
    assert box.files == []


def test_the_steps_of_an_update_are_in_words() -> None:
    progress = Progress(Step.COPYING, "0.1.0", "0.2.0", 0.0, is_new=True)
    assert [state for _, state in steps(progress)] == ["done", "done", "now", "later", "later", "later"]
    assert steps(progress)[0][0] == "Make 0.2.0, and try it on a copy of the record"
    assert steps(replace(progress, is_new=False))[0][0] == "Try 0.2.0 on a copy of the record"


def refused(config: Config, file: str) -> str:
    with pytest.raises(UserError) as error:
        ask(config, Update(file))
    return str(error.value)


def test_root_takes_nothing_but_files_of_the_folder_and_looks_at_them_itself(
    box: UpdateBox, good: bytes, tmp_path: Path
) -> None:
    config, name = box.room.config, "0123456789abcdef.bundle"
    box.uploads.mkdir(mode=0o700)
    (tmp_path / "secret").write_bytes(good)
    for bad in ("../secret", str(tmp_path / "secret"), "asked.json", "0123456789abcdef.bundle/", ".bundle", name[:-1]):
        assert "no such name" in refused(config, bad), bad
    (box.uploads / name).symlink_to(tmp_path / "secret")
    assert "cannot be taken over" in refused(config, name)
    (box.uploads / name).unlink()
    os.mkfifo(box.uploads / name)
    assert "is no file" in refused(config, name)
    (box.uploads / name).unlink()
    (box.uploads / name).mkdir()
    assert "cannot be taken over" in refused(config, name)
    (box.uploads / name).rmdir()
    changed = bytearray(good)
    changed[len(changed) // 2] ^= 1
    (box.uploads / name).write_bytes(changed)
    assert "is not the one that was signed" in refused(config, name)
    box.uploads.rename(tmp_path / "elsewhere")
    box.uploads.symlink_to(tmp_path / "elsewhere")
    assert "cannot be taken over" in refused(config, name)
    assert [path.name for path in box.releases.folder.glob(".*")] == []
    assert box.room.noted() == []


def test_root_begins_nothing_while_an_update_is_under_way(box: UpdateBox) -> None:
    box.journal.write(Progress(Step.BUILDING, "0.1.0", "0.2.0", 0.0, is_new=True))
    assert "An update is under way" in refused(box.room.config, "0123456789abcdef.bundle")
    box.journal.end(Outcome(0.0, "0.1.0", "0.2.0", "0.1.0", "x"))
    assert "No release older than 0.1.0 is kept" in refused(box.room.config, "")


def test_a_box_whose_page_may_not_update_it_says_so(tmp_path: Path, bundles: Bundles) -> None:
    box = UpdateBox(tmp_path, bundles)
    config = replace(box.room.config, machine=replace(box.room.config.machine, socket=""))
    with pytest.raises(UserError, match="set up by hand"):
        ask(config, Update(""))
    assert issubclass(InputError, UserError)
    box.close()
