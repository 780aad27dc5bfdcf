"""How a stream is received: the same on every page, for programs, at the command line and in alerts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.media.gate import AuthRequest, authorise
from appliance.media.refusals import Refusals
from appliance.reception import ReceptionState, receptions
from appliance.secrets import digest
from appliance.service import SERVICES
from appliance.times import utc_text
from tests.site import Box

KEY, NEW_KEY = "GATEGATEGATEGATEGA22", "GATEGATEGATEGATEGA33"
LAB = 2  # of sci
PAGES = ("/", "/streams", f"/streams/{LAB}", "/box-health")


class Room(Box):
    """A box whose services live, unless they are said to be dead."""

    def live(self, *dead: str) -> None:
        """Ten seconds later."""
        self.clock.forward(10)
        for service in SERVICES:
            if service.name not in dead:
                self.store.services.heartbeat(service.name, 1, self.clock.now.utc, None, self.clock.now)

    def send(self, key: str, remote: str = "10.0.0.9") -> bool:
        """Somebody sends with a key, and is asked about and recorded as by the gate; whether they may."""
        decision = authorise(AuthRequest("publish", f"live/{key}", "", "rtmp", remote), self.store, "the box's secret")
        if decision.refusal:
            refusals = Refusals()
            refusals.add(remote, "publish", decision.refusal, decision.stream_id)
            refusals.save(self.config.store_path, self.clock.now.utc)
        return decision.allowed

    def page(self, path: str, name: str = "sci") -> str:
        return " ".join(self.browser(name).get(path).text.split())

    def told(self) -> dict[str, str | None]:
        """What programs are told of the stream."""
        headers = {"Authorization": "Bearer token of sci"}
        answer: dict[str, str | None] = self.browser().get(f"/api/v1/streams/{LAB}", headers=headers).json()
        return {name: answer[name] for name in ("state", "state_since", "state_words")}

    def state(self, stream_id: int = LAB) -> ReceptionState:
        now = self.clock.now
        return receptions(self.store, self.store.streams.all(now), now)[stream_id].state


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path / "state")
    made.live()
    made.store.streams.set_key(LAB, digest(KEY))
    made.clock.forward(1)
    yield made
    made.close()


def test_a_watcher_that_died_is_the_fault_of_the_box_on_every_page(room: Room) -> None:
    room.store.streams.set_live(LAB, "10.0.0.9", room.clock.now.utc)
    room.store.streams.set_problem(LAB, "No picture comes from there; see whether the camera is on.")
    heard = utc_text(round(room.clock.now.utc - 1))
    room.live("watch")
    for path in PAGES:
        page = room.page(path)
        assert "The watcher of the box has not answered since <time" in page and heard in page, path
        shown = re.sub(r'(?s)<nav class="quick".*?</nav>', "", page)  # what a list can be filtered by
        assert "Offline" not in shown and "the stream is offline" not in shown, path
        assert "see whether the camera is on" not in page, f"{path}: that is not known any more"
    assert all(">Not known<" in room.page(path) for path in PAGES[1:])
    assert all("The camera may well be all right." in room.page(path) for path in PAGES[:3])
    told = room.told()
    assert (told["state"], told["state_since"]) == ("unknown", heard)
    assert "restart the box" in str(told["state_words"])
    room.live()
    assert room.state() is ReceptionState.LIVE and "has not answered" not in room.page("/streams")


def test_a_box_that_lets_nobody_in_says_so_but_not_of_cameras_that_it_asks_itself(room: Room) -> None:
    camera = room.store.streams.add_with_source(2, "cam", "rtsp://camera/1", room.clock.now.utc)
    for service in ("gate", "ingest"):
        room.live(service)
        assert (room.state(), room.state(camera)) == (ReceptionState.UNKNOWN, ReceptionState.OFFLINE)
        assert f"The {service} of the box has not answered since <time" in room.page(f"/streams/{LAB}")
        assert "The box gets no picture of this camera." in room.page(f"/streams/{camera}")
        room.live()
        assert room.state() is ReceptionState.OFFLINE


def test_a_box_that_was_started_without_its_watcher_says_that(room: Room) -> None:
    room.store.db.execute("update services set boot_id = 'of yesterday'")
    room.live("watch")
    assert "The watcher of the box has not run since the box was started." in room.page(f"/streams/{LAB}")
    assert room.told()["state_since"] is None


def test_where_nobody_sends_the_box_says_that_it_is_well_and_since_when(room: Room) -> None:
    page = room.page(f"/streams/{LAB}")
    assert "Nobody sends to this stream. The box is ready: see whether the camera, OBS or the phone is on" in page
    room.store.streams.set_live(LAB, "10.0.0.9", room.clock.now.utc)
    room.live()
    ended = room.clock.now.utc
    room.store.streams.set_offline(LAB, ended)
    for path in PAGES[1:]:
        page = room.page(path)
        assert "Nobody has sent to this stream since <time" in page and utc_text(ended) in page, path
        assert ">Offline<" in page, path
    assert room.told()["state_since"] == utc_text(ended)


def test_who_sends_with_an_older_key_stands_on_the_stream_until_it_is_live(room: Room) -> None:
    room.store.streams.set_key(LAB, digest(NEW_KEY))
    assert not room.send(KEY)
    for path in PAGES:
        page = room.page(path)
        assert "from 10.0.0.9: It came with an older stream key of this stream" in page, path
        assert utc_text(room.clock.now.utc) in page, path
        assert "older stream key" not in room.page(path, "eve"), f"{path}: it is no stream of hers"
    assert ">Refused<" in room.page("/streams") and ">Offline<" not in room.page(f"/streams/{LAB}")
    assert room.told()["state"] == "refused"
    assert "Refused lately" not in room.page("/streams", "ann"), "it is known which stream was meant"
    room.clock.forward(60)
    assert room.send(NEW_KEY)
    room.store.streams.set_live(LAB, "10.0.0.9", room.clock.now.utc)
    room.live()
    assert not any("older stream key" in room.page(path) for path in PAGES)
    room.store.streams.set_offline(LAB, room.clock.now.utc)
    assert room.state() is ReceptionState.OFFLINE, "that is not why it is offline"


def test_a_refusal_is_told_for_a_day_and_beside_what_else_is_wrong(room: Room) -> None:
    room.store.streams.set_active(LAB, False)
    assert not room.send(KEY, "<b>10.0.0.8</b>")
    page = room.page(f"/streams/{LAB}")
    assert "from &lt;b&gt;10.0.0.8&lt;/b&gt;: This stream is deactivated; activate it on its page." in page
    assert room.told()["state"] == "inactive"
    room.live("watch")
    room.store.streams.set_active(LAB, True)
    page = room.page("/streams")
    assert "The watcher of the box has not answered" in page and "This stream is deactivated" in page
    room.clock.forward(86_400)
    room.live()
    assert "10.0.0.8" not in room.page("/streams") and room.state() is ReceptionState.OFFLINE


def test_a_second_sender_is_told_while_the_first_one_is_live(room: Room) -> None:
    room.store.streams.set_live(LAB, "10.0.0.9", room.clock.now.utc)
    assert room.send(KEY, "10.0.0.8"), "the ingest itself refuses it"
    assert "from 10.0.0.8: Somebody else is already publishing" in room.page(f"/streams/{LAB}")
    assert room.told()["state"] == "live"


def test_a_key_that_no_stream_ever_had_is_told_to_admins_with_what_to_do(room: Room) -> None:
    assert not room.send(NEW_KEY)
    page = room.page("/streams", "ann")
    assert "No stream has this stream key; make a new one on the page of the stream that is meant" in page
    assert "It is not known which stream was meant." in page and "copy it again" not in page
    assert "No stream has this" not in room.page("/streams")


def test_a_full_disk_is_no_fault_of_a_camera(room: Room) -> None:
    room.clock.forward(60)
    now = room.clock.now
    found = receptions(room.store, room.store.streams.all(now), now, disk_is_full=True)[LAB]
    assert found.state is ReceptionState.UNKNOWN and found.since_utc is None
    assert found.words.startswith("It is not known which streams are LIVE. The disk of the box is full")
