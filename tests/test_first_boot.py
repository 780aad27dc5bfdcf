"""A machine's name, Wi-Fi from a file on its card, its hotspot. No radio: what NetworkManager is told is looked at."""

from __future__ import annotations

import errno
import socket
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from appliance.errors import InputError, UserError
from appliance.first_boot import hotspot, naming, starting, wifi
from appliance.first_boot.hotspot import JOIN_S, ON_S, PATIENCE_S, PAUSE_S, Decision, Facts, NetworkManager
from appliance.first_boot.wifi import Wifi
from appliance.notes import Hotspot, Notes
from appliance.secrets import KEY_ALPHABET

IDS = ["0123456789abcdef0123456789abcdef", "1123456789abcdef0123456789abcdef"]
GOOD = b"ssid=Hall 5\npassword=three long words\ncountry=de\n"


def test_two_machines_have_two_names_each_always_its_own() -> None:
    names = [naming.name_for(each) for each in IDS]
    assert names == [naming.name_for(f"{each}\n") for each in IDS] and names[0] != names[1]
    many = {naming.name_for(f"{number:032x}") for number in range(2000)}
    assert len(many) > 1990
    assert all(
        name.startswith("mb9k-") and set(name[5:]) <= set(KEY_ALPHABET.lower()) and len(name) == 9 for name in many
    )


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(socket, "sethostname", lambda name: (tmp_path / "kernel").write_text(name))
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "machine-id").write_text(f"{IDS[0]}\n")
    (folder / "hosts").write_text("127.0.0.1\tlocalhost\n127.0.1.1\tmb9k\n::1\tlocalhost\n")
    return folder


@pytest.mark.parametrize("there", ["mb9k\n", "localhost\n", "", None])
def test_a_machine_that_nobody_has_named_names_itself(etc: Path, there: str | None) -> None:
    if there is not None:
        (etc / "hostname").write_text(there)
    name = naming.name_machine(etc)
    assert (etc / "hostname").read_text() == f"{name}\n" and (etc.parent / "kernel").read_text() == name
    assert (etc / "hosts").read_text() == f"127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.1.1\t{name}\n"
    assert naming.name_machine(etc) == name
    assert (etc / "hosts").read_text().count(name) == 1


def test_a_machine_that_somebody_has_named_stays_as_it_is(etc: Path) -> None:
    (etc / "hostname").write_text("entrance\n")
    before = (etc / "hosts").read_text()
    assert naming.name_machine(etc) == "entrance"
    assert (etc / "hosts").read_text() == before and not (etc.parent / "kernel").exists()


def test_a_machine_without_an_id_is_not_named_after_nothing(etc: Path) -> None:
    (etc / "machine-id").write_text("uninitialized\n")
    with pytest.raises(UserError, match="systemd-machine-id-setup"):
        naming.name_machine(etc)


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        b"\xef\xbb\xbfssid = Hall 5\r\n\r\n# mine\r\nPASSWORD=three long words\r\nCountry=DE\r\n",
        "ssid=Hall 5\npassword=three long words\ncountry=de".encode("utf-16"),
    ],
)
def test_the_wifi_file_is_understood_as_editors_write_it(content: bytes) -> None:
    assert wifi.parse(content) == Wifi("Hall 5", "three long words", "DE")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "ssid= is missing"),
        (b"password=three long words\n", "ssid= is missing"),
        (b"ssid=\npassword=three long words\n", "1 to 32 bytes"),
        (b"ssid=Hall\n", "password= is missing"),
        (b"ssid=Hall\nsecretpassword\n", "line 2"),
        (b"ssid=Hall\npsk=secretpassword\n", "line 2"),
        (b"ssid=Hall\nssid=Yard\npassword=\n", "line 2: ssid= is there twice"),
        (b"ssid=Hall\npassword=secret\n", "8 to 63"),
        (b"ssid=Hall\npassword=" + b"secret" * 11 + b"\n", "8 to 63"),
        ("ssid=Hall\npassword=secretö1234\n".encode(), "8 to 63"),
        (b"ssid=Hall\npassword=secretpassword\ncountry=Germany\n", "two letters"),
        (b"ssid=" + b"x" * 33 + b"\npassword=secretpassword\n", "1 to 32 bytes"),
        (b"ssid=a\x1bb\npassword=secretpassword\n", "1 to 32 bytes"),
        (b"ssid=caf\xe9\npassword=secretpassword\n", "UTF-8"),
        (b"\xff\xfes", "UTF-8"),
        (b"#" * 5000, "too long"),
    ],
)
def test_a_wrong_wifi_file_is_refused_in_words_without_the_password(content: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        wifi.parse(content)
    assert "secret" not in str(refused.value)


def test_what_is_in_the_file_cannot_say_more_than_it_is_asked() -> None:
    text = wifi.connection(Wifi("a]\\[ipv4", " b\\c#=;", ""))
    assert "ssid=97;93;92;91;105;112;118;52;\n" in text and "psk=\\sb\\\\c#=;\n" in text
    assert "wifi-security" not in wifi.connection(Wifi("open", "", ""))
    assert "psk" not in repr(Wifi("a", "secretpassword", "")) and "secret" not in repr(Wifi("a", "secretpassword", ""))


class StandInPrograms:
    """A stand-in for nmcli, iw and mount: keeps what they were told, and answers what a machine with a radio would."""

    def __init__(self, devices: str = "", connections: str = "") -> None:
        self.told: list[str] = []
        self.devices, self.connections, self.stations = devices, connections, ""
        self.fails: tuple[str, ...] = ()

    def __call__(self, words: Sequence[str]) -> str:
        line = " ".join(words)
        self.told.append(line)
        if any(part in line for part in self.fails):
            raise subprocess.CalledProcessError(1, list(words), stderr=f"Error: {words[0]} will not")
        if "device" in words:
            return self.devices
        return {"show": self.connections, "dump": self.stations}.get(words[-1], "")


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    (tmp_path / "notes").mkdir()
    return Notes(tmp_path / "notes")


@pytest.fixture
def card(tmp_path: Path) -> Path:
    (tmp_path / "card").mkdir()
    return tmp_path / "card"


@pytest.mark.parametrize("name", ["mb9k-wifi.txt", "MB9K-WIFI.TXT", "mb9k-wifi.txt.txt"])
def test_the_file_becomes_a_connection_that_root_alone_reads_and_leaves_the_card(
    etc: Path, card: Path, notes: Notes, name: str
) -> None:
    (card / name).write_bytes(GOOD)
    held = (card / name).open("rb")  # what lies where it lay
    programs = StandInPrograms()
    assert starting.start(card, etc, notes, programs) == []
    path = etc / "NetworkManager/system-connections/mb9k-wifi.nmconnection"
    assert path.stat().st_mode & 0o777 == 0o600 and "psk=three long words" in path.read_text()
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(card.iterdir()) == [] and held.read() == bytes(len(GOOD))
    held.close()
    assert programs.told == ["iw reg set DE"]
    assert "regdom=DE" in (etc / "modprobe.d/mb9k-wifi.conf").read_text()
    assert "Hall 5" in notes.wifi() and "three" not in notes.wifi()
    (etc / "modprobe.d/mb9k-wifi.conf").unlink()  # another system beneath the same settings
    assert starting.start(card, etc, notes, programs) == [] and notes.wifi() == ""
    assert programs.told == ["iw reg set DE"] * 2 and (etc / "modprobe.d/mb9k-wifi.conf").exists()


def test_a_wrong_file_stays_on_the_card_and_the_screen_says_what_is_wrong(etc: Path, card: Path, notes: Notes) -> None:
    (card / "mb9k-wifi.txt").write_bytes(b"sid=Hall\n")
    assert starting.start(card, etc, notes, StandInPrograms()) == []
    assert (card / "mb9k-wifi.txt").exists() and not (etc / "NetworkManager").exists()
    assert "line 1" in notes.wifi() and "restart the box" in notes.wifi()


def test_a_card_mounted_for_reading_is_made_writable_for_as_long_as_it_takes(
    etc: Path, card: Path, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (card / "mb9k-wifi.txt").write_bytes(GOOD)
    programs, real = StandInPrograms(), wifi.wipe

    def wipe(path: Path) -> None:
        if not any("remount,rw" in line for line in programs.told):
            raise OSError(errno.EROFS, "Read-only file system")
        real(path)

    monkeypatch.setattr(wifi, "wipe", wipe)
    assert starting.start(card, etc, notes, programs) == [] and not list(card.iterdir())
    assert programs.told[:2] == [f"mount -o remount,rw {card}", f"mount -o remount,ro {card}"]


def test_a_machine_without_such_a_card_has_its_name_all_the_same(etc: Path, notes: Notes, tmp_path: Path) -> None:
    assert starting.start(tmp_path / "none", etc, notes, StandInPrograms()) == []
    assert (etc / "hostname").read_text().startswith("mb9k-")


def test_one_part_that_fails_does_not_stop_the_others(etc: Path, card: Path, notes: Notes) -> None:
    (etc / "machine-id").unlink()
    (card / "mb9k-wifi.txt").write_bytes(GOOD)
    (problem,) = starting.start(card, etc, notes, StandInPrograms())
    assert "machine id" in problem and not list(card.iterdir())


def facts(**others: object) -> Facts:
    values: dict[str, object] = {"radio": "wlan0", "is_on": False, "has_network": False, "knows_wifi": False}
    return Facts(**{**values, "is_joining": False, "has_guests": False, **others})  # type: ignore[arg-type]


def test_the_hotspot_comes_on_two_minutes_after_the_network_was_lost_and_goes_when_it_is_back() -> None:
    decision = Decision()
    assert not decision.wants(facts(has_network=True), 0)
    assert not decision.wants(facts(), 10)
    assert not decision.wants(facts(), 10 + PATIENCE_S - 1)
    assert decision.wants(facts(), 10 + PATIENCE_S)
    assert decision.wants(facts(is_on=True), 20 + PATIENCE_S)
    assert not decision.wants(facts(is_on=True, has_network=True), 30 + PATIENCE_S)
    assert not decision.wants(facts(), 40 + PATIENCE_S), "another two minutes"


def test_a_machine_without_a_radio_has_none() -> None:
    decision = Decision(0)
    assert not any(decision.wants(facts(radio=""), now_s) for now_s in range(0, 10_000, 10))


def test_where_a_wifi_is_known_the_hotspot_makes_room_for_it_now_and_then_but_not_while_somebody_is_in_it() -> None:
    decision = Decision(-PATIENCE_S)
    assert decision.wants(facts(knows_wifi=True), 0)
    on = facts(knows_wifi=True, is_on=True)
    assert decision.wants(on, 10)
    assert decision.wants(facts(knows_wifi=True, is_on=True, has_guests=True), 10 + ON_S)
    assert not decision.wants(on, 20 + ON_S)
    assert not decision.wants(facts(knows_wifi=True), 20 + ON_S + PAUSE_S - 1)
    assert decision.wants(facts(knows_wifi=True), 20 + ON_S + PAUSE_S)
    alone = Decision(-PATIENCE_S)
    assert all(alone.wants(facts(is_on=True), now_s) for now_s in range(0, 10_000, 10)), "nothing else to try"


def test_a_wifi_that_is_being_joined_is_let_try_for_a_while() -> None:
    decision = Decision(-PATIENCE_S)
    joining = facts(knows_wifi=True, is_joining=True)
    assert not decision.wants(joining, 0) and not decision.wants(joining, JOIN_S - 1)
    assert decision.wants(joining, JOIN_S)
    assert decision.wants(facts(knows_wifi=True), JOIN_S + 1), "it could not be joined"
    assert not decision.wants(joining, JOIN_S + 2), "somebody gave another password"


DEVICES = "wlan0:wifi:{wifi}\neth0:ethernet:unavailable:\nlo:loopback:connected (externally):lo\n"


@pytest.mark.parametrize(
    ("devices", "connections", "expected"),
    [
        (DEVICES.format(wifi="disconnected:"), "", facts()),
        (DEVICES.format(wifi="unavailable:"), "", facts(radio="")),
        (DEVICES.format(wifi="connecting (getting IP configuration):a"), "", facts(is_joining=True)),
        (DEVICES.format(wifi="connecting (prepare):mb9k-hotspot"), "", facts()),
        (DEVICES.format(wifi="unmanaged:"), "802-11-wireless:mb9k-wifi\n", facts(radio="", knows_wifi=True)),
        (DEVICES.format(wifi="connected:mb9k-hotspot"), "802-11-wireless:mb9k-hotspot\n", facts(is_on=True)),
        (DEVICES.format(wifi="connected:a\\:b"), "802-11-wireless:a\\:b\n", facts(has_network=True, knows_wifi=True)),
        ("eth0:ethernet:connected:Wired connection 1\n", "", facts(radio="", has_network=True)),
        ("br0:bridge:connected:br0\nnot a table\n", "", facts(radio="")),
    ],
)
def test_what_networkmanager_says_is_understood(
    tmp_path: Path, devices: str, connections: str, expected: Facts
) -> None:
    assert NetworkManager(tmp_path, StandInPrograms(devices, connections)).facts() == expected


def test_the_hotspot_has_a_password_of_its_own_that_stays_and_the_screen_knows_it(tmp_path: Path, notes: Notes) -> None:
    programs = StandInPrograms(DEVICES.format(wifi="disconnected:"))
    manager, decision = NetworkManager(tmp_path, programs), Decision(-PATIENCE_S)
    hotspot.step(manager, decision, notes, "mb9k-4xk2", 0.0)
    path = tmp_path / "mb9k-hotspot.nmconnection"
    assert programs.told[-2:] == [f"nmcli connection load {path}", "nmcli connection up mb9k-hotspot"]
    there = notes.hotspot()
    assert there and there.ssid == "mb9k-4xk2" and len(there.password) == 14 and there.address == "10.42.0.1"
    assert path.stat().st_mode & 0o777 == 0o600 and f"psk={there.password}\n" in path.read_text()
    assert (notes.folder / "hotspot").stat().st_mode & 0o777 == 0o640
    assert manager.switch_on("mb9k-4xk2") == there
    assert NetworkManager(notes.folder, programs).switch_on("mb9k-4xk2").password != there.password

    programs.devices = DEVICES.format(wifi="connected:mb9k-hotspot") + "eth1:ethernet:connected:wire\n"
    hotspot.step(manager, decision, notes, "mb9k-4xk2", 10.0)
    assert programs.told[-1] == "nmcli connection down mb9k-hotspot" and notes.hotspot() is None


def test_a_hotspot_that_networkmanager_refuses_is_said_once_and_tried_again(
    tmp_path: Path, notes: Notes, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = StandInPrograms(DEVICES.format(wifi="disconnected:"))
    programs.fails = ("connection up",)
    stopping = threading.Event()
    waits = iter([False, False, False, True])
    monkeypatch.setattr(stopping, "wait", lambda _: next(waits))
    hotspot.keep_watch(NetworkManager(tmp_path, programs), notes, lambda: 0.0, stopping)
    assert programs.told.count("nmcli connection up mb9k-hotspot") == 4
    assert caplog.text.count("nmcli will not") == 1 and notes.hotspot() is None


def test_a_note_that_cannot_be_understood_is_none(notes: Notes) -> None:
    (notes.folder / "hotspot").write_text("{")
    assert notes.hotspot() is None
    assert Notes(notes.folder / "none").wifi() == ""
    notes.say_hotspot(Hotspot("a", "b", "c"))
    assert notes.hotspot() == Hotspot("a", "b", "c")
