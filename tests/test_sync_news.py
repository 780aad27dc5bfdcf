"""What a box says of itself and of its machine, and what it keeps to itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from appliance import messages
from appliance.config import Config
from appliance.disk import DISK_FULL
from appliance.faces import State
from appliance.messages import MAX_BYTES, MAX_EPOCHS
from appliance.secrets import new_stream_key
from appliance.store import BoxClock, Store, WallClock
from appliance.sync import machine, news
from tests.disks import fill, small_disk
from tests.test_sync_outbox import BEGIN, box_store, later, record, someone


@pytest.fixture
def store() -> Store:
    return box_store()


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_hello_names_every_start_that_has_rows_in_as_many_parts_as_it_needs(store: Store) -> None:
    for number in range(MAX_EPOCHS + 20):
        newest = store.summaries.begin_epoch(later(BEGIN, 60 * number), believed=True)
        record(store, 0)
    parts = news.hellos(store, Config(), newest, BEGIN)
    assert [(part.part, part.parts, len(part.tops)) for part in parts] == [(1, 2, MAX_EPOCHS), (2, 2, 20)]
    assert {**parts[0].tops, **parts[1].tops} == store.summaries.tops()
    assert [part.streams for part in parts] == [{"1": "door"}, {}]
    assert all(len(messages.encode(part)) < MAX_BYTES for part in parts)


def test_hello_says_what_the_box_thinks_of_its_clock(store: Store) -> None:
    (hello,) = news.hellos(store, Config(), "e" * 16, BEGIN)
    assert (hello.clock, hello.tops) == ("unknown", {})
    store.ages.note_clock(BoxClock(0.0, BEGIN.boot_id, BEGIN.uptime_s, BEGIN.utc, WallClock.BELIEVED))
    assert news.hellos(store, Config(), "e" * 16, BEGIN)[0].clock == "believed"


def test_names_are_told_without_owners_or_not_at_all(store: Store) -> None:
    assert news.stream_names(store, Config()) == {"1": "door"}
    silent = msgspec.convert({"fleet": {"stream_names": False}}, Config)
    assert news.stream_names(store, silent) == {}


def test_the_state_has_the_numbers_of_streams_that_are_live(store: Store, tmp_path: Path) -> None:
    config = msgspec.convert({"state_dir": str(tmp_path)}, Config)
    other = store.streams.add_with_key(1, "yard", "x", BEGIN.utc)
    store.streams.remove(1)
    store.streams.set_live(other, "203.0.113.7", BEGIN.utc)
    for name in ("watch", "gate", "notify"):
        store.services.heartbeat(name, 1, BEGIN.utc, None, BEGIN)
    record_on(store, other)
    state = news.state(store, config, "e" * 16, BEGIN, "running")
    assert (state.status, state.live, state.problem) == ("running", [2], "")
    assert state.disk_free_mb
    assert b"203.0.113.7" not in messages.encode(state)


def test_a_box_is_complete_up_to_the_minute_that_is_not_over(store: Store, tmp_path: Path) -> None:
    """Else one that counts somebody every few seconds would never be."""
    config = msgspec.convert({"state_dir": str(tmp_path)}, Config)
    record_on(store, 1)
    backlogs = [
        news.state(store, config, "e" * 16, replace(BEGIN, utc=BEGIN.utc // 60 * 60 + after_s), "running").backlog
        for after_s in (0, 59, 60)
    ]
    assert backlogs == [0, 0, 1]


def record_on(store: Store, stream_id: int) -> None:
    with store.writing():
        store.detections.add(stream_id, someone(BEGIN.utc, State.MASK))


def test_what_is_wrong_with_the_box_is_told_but_not_what_must_stay_here(store: Store, tmp_path: Path) -> None:
    config = msgspec.convert({"state_dir": str(tmp_path)}, Config)
    assert "The gate is not running" in news.problem(store, config, BEGIN)
    key = new_stream_key()
    said = (
        f"No picture from rtsp://ann:secret@camera.example/1?key={key}, 192.168.1.7:554 or fe80::1ff:fe23:4567:890a;"
        f" ann@example.org knows. See /home/ann/videos/door.mp4 or {key}; run `mb9k check`."
    )
    store.services.heartbeat("watch", 1, BEGIN.utc, said, BEGIN)
    store.services.heartbeat("gate", 1, BEGIN.utc, None, BEGIN)
    store.services.heartbeat("sync", 1, BEGIN.utc, "The centre is not reached.", BEGIN)
    store.services.heartbeat("notify", 1, BEGIN.utc, "Alerts do not reach Ann.", BEGIN)
    assert news.problem(store, config, BEGIN) == "No picture from … … or …; … knows. See … or …; run `mb9k check`."


def test_on_a_full_disk_it_is_told_and_not_that_nothing_runs(store: Store, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as folder:
        config = msgspec.convert({"state_dir": str(folder)}, Config)
        fill(folder)
        assert news.problem(store, config, BEGIN) == DISK_FULL


@pytest.mark.parametrize("words", ["", "It is 12 % full, as of 3 h ago.", "x" * 500])
def test_words_are_as_short_as_a_message_allows(words: str) -> None:
    shortened = news.shortened(words)
    assert len(shortened) <= 200
    assert shortened == words or shortened.endswith("…")


def test_a_machine_is_known_by_its_board_and_not_by_its_card(tmp_path: Path) -> None:
    put(tmp_path, "etc/machine-id", "of the card")
    by_card = machine.digest(tmp_path)
    put(tmp_path, "sys/class/net/docker0/address", "02:42:00:00:00:01")
    assert machine.digest(tmp_path) == by_card, "made up at each start"
    put(tmp_path, "sys/class/net/eth0/address", "dc:a6:32:00:00:01")
    (tmp_path / "sys/class/net/eth0/device").mkdir()
    by_network = machine.digest(tmp_path)
    put(tmp_path, "proc/device-tree/serial-number", "10000000abcdef01\0")
    by_board = machine.digest(tmp_path)
    assert len({by_card, by_network, by_board}) == 3
    assert all(len(each) == 16 for each in (by_card, by_network, by_board))
    put(tmp_path, "etc/machine-id", "of another card")
    assert machine.digest(tmp_path) == by_board


def test_the_hardware_in_words(tmp_path: Path) -> None:
    assert machine.hardware(tmp_path)
    put(tmp_path, "sys/class/dmi/id/sys_vendor", "ACME\n")
    put(tmp_path, "sys/class/dmi/id/product_name", "Mini 3\n")
    assert machine.hardware(tmp_path) == "ACME Mini 3"
    put(tmp_path, "proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    assert machine.hardware(tmp_path) == "Raspberry Pi 5 Model B Rev 1.0"


def test_the_warmest_part_that_can_be_believed(tmp_path: Path) -> None:
    assert machine.temperature_c(tmp_path) is None
    for zone, text in enumerate(("41200", "56849", "-273000", "999000", "", "nonsense")):
        put(tmp_path, f"sys/class/thermal/thermal_zone{zone}/temp", text)
    (tmp_path / "sys/class/thermal/cooling_device0").mkdir()
    assert machine.temperature_c(tmp_path) == 56.8


def test_a_disk_that_is_not_there_has_no_room_to_tell(tmp_path: Path) -> None:
    assert machine.disk_free_mb(tmp_path)
    assert machine.disk_free_mb(tmp_path / "nothing") is None


def test_a_light_that_nobody_lets_us_switch_stays_as_it_is(tmp_path: Path) -> None:
    light = machine.Light(tmp_path)
    assert not light.blink()
    light.stop()
