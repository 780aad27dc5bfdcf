"""An admin names the Wi-Fi that the box joins: the page, the machine room, what a stand-in for nmcli is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.errors import InputError, UserError
from appliance.machine import joining
from appliance.machine.asking import ask
from appliance.machine.requests import Done, JoinWifi
from appliance.notes import Notes
from tests.machine_room import Room
from tests.site import Box, Browser

ASKED = JoinWifi("Hall 5", "three long words", "de")


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path / "room")
    made.stand_in("nmcli", "NetworkManager does not run", 8)  # this machine's settings must stay as they are
    yield made
    made.close()


def stand_ins(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{room.programs}:/usr/bin:/bin")
    monkeypatch.setattr(joining, "ANSWER_S", 0.0)


def test_root_keeps_the_wifi_and_joins_it_when_the_page_has_answered(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_ins(room, monkeypatch)
    room.stand_in("nmcli")
    etc, notes = tmp_path / "etc", Notes(tmp_path)
    done, afterwards = joining.begin(ASKED, etc, notes)
    path = etc / "NetworkManager/system-connections/mb9k-wifi.nmconnection"
    assert "Hall 5" in done.words and "three" not in done.words
    assert path.stat().st_mode & 0o777 == 0o600 and "psk=three long words\n" in path.read_text()
    assert room.noted() == ["nmcli general status", f"nmcli connection load {path}"]
    notes.say_wifi("an older note")
    afterwards()
    assert room.noted()[2:] == ["nmcli --wait 90 connection up mb9k-wifi"] and notes.wifi() == ""

    room.stand_in("nmcli", "Secrets were required, but not provided.", 4)
    afterwards()
    assert "Hall 5 could not be joined" in notes.wifi()


def test_root_checks_the_words_itself_and_changes_nothing_when_they_are_wrong(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_ins(room, monkeypatch)
    for wrong in (
        JoinWifi("", "three long words"),
        JoinWifi("x" * 33, "three long words"),
        JoinWifi("a\npsk=b", "three long words"),
        JoinWifi("a", "short"),
        JoinWifi("a", "long enough\n[ipv4]"),
        JoinWifi("a", "three long words", "../"),
    ):
        with pytest.raises(InputError):
            joining.begin(wrong, tmp_path / "etc")
    with pytest.raises(UserError, match="does not run"):
        joining.begin(ASKED, tmp_path / "etc")
    assert not (tmp_path / "etc").exists()


def test_no_log_and_no_message_holds_the_password(room: Room) -> None:
    with pytest.raises(UserError) as refused:
        ask(room.config, ASKED)
    assert "three" not in str(refused.value) + room.ended() + repr(ASKED)


def test_an_admin_asks_for_it_on_a_page_of_its_own(room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Box(tmp_path / "state", machine={"socket": str(room.socket_path)})
    ann, sci = Browser(box.app), Browser(box.app)
    ann.sign_in("ann")
    sci.sign_in("sci")
    assert 'href="/settings/wifi"' in ann.get("/settings").text
    assert sci.get("/settings/wifi").status_code == 403
    wrong = ann.post("/settings/wifi", page="/settings/wifi", ssid="Hall 5", password="short", country="de")
    assert "8 to 63 characters" in wrong.text and 'value="Hall 5"' in wrong.text and "short" not in wrong.text
    assert room.noted() == []
    refused = ann.post("/settings/wifi", page="/settings/wifi", ssid="Hall 5", password="three long words")
    assert "NetworkManager does not run" in refused.text and "three long" not in refused.text
    monkeypatch.setattr("appliance.local.wifi.ask", lambda *_asked: Done("Hall 5 is joined."))  # root would: above
    led = ann.led("/settings/wifi", page="/settings/wifi", ssid="Hall 5", password="three long words")
    assert '<p class="done" role="status">Hall 5 is joined.</p>' in led.text
    box.close()


def test_a_box_set_up_by_hand_says_what_to_type_instead(tmp_path: Path) -> None:
    box = Box(tmp_path / "state")
    ann = Browser(box.app)
    ann.sign_in("ann")
    text = ann.get("/settings/wifi").text
    assert "nmcli --ask device wifi connect" in text and '<button class="main">Join' not in text
    assert 'href="/settings/wifi"' not in ann.get("/settings").text
    box.close()
