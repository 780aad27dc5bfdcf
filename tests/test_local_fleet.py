"""The page Fleet of a box: joining a centre, how it goes, leaving."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from appliance import membership
from appliance.faces import State
from appliance.messages import Command, Outcome
from appliance.store import FleetStatus
from tests.centres import Centre
from tests.site import Box


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "state")
    yield made
    made.close()


@pytest.fixture
def centre(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Centre]:
    made = Centre(tmp_path / "centre", free_port)
    yield made
    made.close()


def member(box: Box, centre: Centre) -> None:
    with centre.endpoint():
        assert box.browser("ann").post("/fleet", page="/fleet", code=centre.invite()).status_code == 303


def syncing(box: Box, status: FleetStatus) -> None:
    box.store.services.heartbeat("sync", 1, box.clock.now.utc, None, box.clock.now)
    box.store.fleet.note_status(status)


def test_only_an_admin_sees_it(box: Box) -> None:
    assert 'href="/fleet"' in box.browser("ann").get("/").text
    scientist = box.browser("sci")
    assert 'href="/fleet"' not in scientist.get("/").text
    assert scientist.get("/fleet").status_code == 403
    for path in ("/fleet", "/fleet/leave"):
        assert scientist.post(path).status_code == 403


def test_a_box_joins_by_the_code_that_is_pasted(box: Box, centre: Centre) -> None:
    browser = box.browser("ann")
    assert "Join code" in browser.get("/fleet").text
    with centre.endpoint():
        lines = centre.invite("Front door").replace("-", "\r\n")
        assert browser.post("/fleet", page="/fleet", code=lines).status_code == 303
    page = browser.get("/fleet").text
    assert "head office" in page and "front-door" in page and "Not connected" in page
    assert "The service <code>sync</code> is not running" in page


def test_a_wrong_code_is_refused_in_words(box: Box, centre: Centre) -> None:
    for code, words in (("", "Paste the join code"), ("hello", "no join code"), (centre.invite(), "Nothing listens")):
        answer = box.browser("ann").post("/fleet", page="/fleet", code=code)
        assert answer.status_code == 400
        assert words in answer.text
    assert membership.load(box.config.state) is None


def test_it_says_how_it_goes(box: Box, centre: Centre) -> None:
    member(box, centre)
    box.store.summaries.forget_watermarks()
    at = box.clock.now.utc
    syncing(box, FleetStatus(True, at, at, None))
    page = box.browser("ann").get("/fleet").text
    assert "Connected" in page and "Not connected" not in page and "1 minute" in page and "2 rows" in page
    syncing(box, FleetStatus(False, at, at, "The name centre.lan does not resolve: check the network."))
    page = box.browser("ann").get("/fleet").text
    assert "Not connected" in page and "does not resolve" in page
    box.clock.forward(60)
    assert "is not running" in box.browser("ann").get("/fleet").text


def test_when_the_centre_has_everything_it_says_so(box: Box, centre: Centre) -> None:
    member(box, centre)
    box.store.summaries.note_watermarks(box.store.summaries.tops())
    assert "the centre has all of it" in box.browser("ann").get("/fleet").text
    box.add_detection(1, State.MASK)
    assert "the centre has all of it" not in box.browser("ann").get("/fleet").text


def test_leaving_is_asked_once_more_and_deletes_the_key(box: Box, centre: Centre) -> None:
    member(box, centre)
    browser = box.browser("ann")
    assert "Leave head office" in browser.get("/fleet/leave").text
    answer = browser.led("/fleet/leave", page="/fleet/leave")
    assert "This box has left head office" in answer.text and "Join code" in answer.text
    assert membership.load(box.config.state) is None
    assert "belongs to no centre" in browser.post("/fleet/leave", page="/fleet/leave").text


def test_a_damaged_membership_is_told_and_can_be_left(box: Box, centre: Centre) -> None:
    member(box, centre)
    (box.config.state / "fleet" / "centre.json").write_text("{")
    browser = box.browser("ann")
    assert "cannot be read" in browser.get("/fleet").text
    assert "This box has left its centre" in browser.led("/fleet/leave", page="/fleet/leave").text


def test_commands_are_on_record_with_who_gave_them(box: Box) -> None:
    utc = int(box.clock.now.utc)
    for number, (action, detail) in enumerate(
        (("restart", "watch"), ("send_again", ""), ("rotate_key", "2"), ("identify", ""))
    ):
        told = {"id": f"{number:016x}", "action": action, "detail": detail, "by": "<b>bea</b>"}
        command = msgspec.convert({**told, "given_utc": utc, "expires_utc": utc + 60}, Command)
        box.store.fleet.add_command(command)
    box.store.fleet.note_outcome(Outcome(id=f"{0:016x}", done=False, words="There is no such service.", at_utc=utc))
    page = box.browser("ann").get("/fleet").text
    assert "Restart the service watch" in page and "New key for stream 2" in page and "Send everything again" in page
    assert "There is no such service." in page and "not done" in page
    assert "&lt;b&gt;bea" in page and "<b>bea" not in page
