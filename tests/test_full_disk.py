"""A disk that is really full, to its last byte: a small one of the test's own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import msgspec
import pytest

from appliance.disk import LOG_BYTES, RESERVE_BYTES, Reserve, free_bytes
from appliance.errors import UserError
from appliance.faces import Detection, State
from appliance.keeping import Keeping
from appliance.secrets import claim_code
from appliance.sections import Images
from appliance.sqlite_room import SPARE_BYTES
from appliance.store import DetectionFilter, Heartbeat, StoredImage
from appliance.store.backup import Backups
from appliance.store.schedule import FIRST_S, RETRY_S, BackupSchedule
from appliance.vision.analysis import Sighting
from appliance.watch.recorder import Recorder
from appliance.watch.service import Watcher
from tests.conftest import REPOSITORY
from tests.disks import fill, small_disk
from tests.site import JPEG, PASSWORD, Box

NUMBERS = count()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as folder:
        yield folder


@pytest.fixture
def box(disk: Path) -> Iterator[Box]:
    box = Box(disk / "state")
    yield box
    box.close()


def full(box: Box, reserve: bool = True) -> Path:
    """Fill the box's disk, once it has its reserve; the file to remove to give the room back."""
    if reserve:
        Reserve(box.config.state).make()
    filler = fill(box.config.state.parent)
    assert free_bytes(box.config.state) == 0
    return filler


def test_on_a_full_disk_people_sign_in_and_delete_which_makes_room(box: Box) -> None:
    large = JPEG[:2] + bytes(2_000_000)
    place = box.images.append(large, box.clock.now.utc)
    third = box.add_detection(1, State.MASK, StoredImage(place.day, place.offset, place.size_bytes, "large"))
    full(box)
    browser = box.browser()
    assert browser.sign_in("ann").headers["location"].endswith("/")
    fill(box.config.state.parent)  # whatever filled it goes on
    assert browser.post(f"/detections/{third}/delete").status_code == 303
    assert box.store.detections.get(third) is None
    assert box.images.read(place) is None
    assert free_bytes(box.config.state) > 1_900_000
    assert browser.post("/sign-out").status_code == 303


def test_on_a_full_disk_a_box_is_claimed(disk: Path) -> None:
    box = Box(disk / "state", claimed=False)
    code = claim_code(box.config.claim_code_path)
    full(box)
    fields = {"name": "kim", "code": code, "password": PASSWORD, "again": PASSWORD}
    assert box.browser().post("/claim", page="/claim", **fields).headers["location"].endswith("/")
    box.close()


def test_what_does_not_fit_is_refused_with_the_reason_and_changes_nothing(box: Box) -> None:
    browser = box.browser("ann")
    assert box.store.empty_log()
    full(box, reserve=False)
    image = box.store.detections.all_images()[0]
    said = "The disk of the box is full, so nothing was changed. An admin can make room:"
    answer = browser.post("/detections/1/delete")
    assert (answer.status_code, said in answer.text) == (503, True)
    answer = box.browser().client.delete("/api/v1/streams/1", headers={"Authorization": "Bearer token of ann"})
    assert answer.status_code == 503
    assert answer.json()["error"].startswith(said)
    assert box.images.read(image) == JPEG
    assert said in box.browser().sign_in("ann").text


def test_the_page_and_the_api_say_that_the_disk_is_full_and_not_that_nothing_runs(box: Box) -> None:
    browser = box.browser("ann")
    full(box, reserve=False)
    page = browser.get("/").text
    assert "The disk of the box is full, so no images are kept" in page
    assert "it cannot be told whether this runs: <code>gate</code>, <code>watch</code>, <code>notify</code>." in page
    assert "is not running" not in page
    assert browser.get("/health").text == "ok, but the disk is full\n"


def test_a_service_that_cannot_say_that_it_lives_is_told_so_by_the_api(box: Box) -> None:
    heartbeat = Heartbeat(box.config.store_path, "watch")
    heartbeat.write()
    filler = full(box, reserve=False)
    box.clock.forward(60)
    headers = {"Authorization": "Bearer token of ann"}
    (service,) = box.browser().client.get("/api/v1/status", headers=headers).json()["services"]
    assert not service["alive"]
    assert service["problem"] == "While the disk of the box is full, it cannot be told whether this runs: watch."
    filler.unlink()
    (service,) = box.browser().client.get("/api/v1/status", headers=headers).json()["services"]
    assert service["problem"] is None


def kept(box: Box) -> list[str]:
    """What lies in the state folder, but what any opening of the store makes."""
    made = (".lock", "-wal", "-shm")
    return sorted(path.name for path in box.config.state.iterdir() if not path.name.endswith(made))


COMMANDS = [
    ("stream", "add", "yard", "--owner", "ann"),
    ("user", "list"),
    ("clock", "confirm"),
    ("check",),
    ("backup",),
    ("restore",),
    ("restore", "--new"),
]


@pytest.mark.parametrize("words", COMMANDS)
@pytest.mark.parametrize("reserve", [True, False])
def test_a_command_works_by_the_reserve_or_says_in_one_line_that_the_disk_is_full(
    box: Box, tmp_path: Path, reserve: bool, words: tuple[str, ...]
) -> None:
    config = tmp_path / "mb9k.toml"
    config.write_text(f'state_dir = "{box.config.state_dir}"\n')
    Backups(box.config.backups_dir).make(box.config.store_path, box.clock.now.utc, keep=7)
    box.close()  # nothing else runs: SQLite must make its files again
    full(box, reserve)
    before = kept(box)
    command = [sys.executable, "-m", "appliance.cli", "--config", str(config), *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    if reserve:
        assert (done.returncode, done.stderr) == (0, "the disk is full; 5.0 MB of the reserve are left\n")
    else:
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert "the disk is full; make room on it" in done.stderr
        assert kept(box) == before


def test_the_copy_that_is_made_by_itself_leaves_room_for_the_reserve(box: Box) -> None:
    schedule = BackupSchedule(msgspec.structs.replace(box.config, images=Images(min_free_mb=0)), box.clock.now)
    Reserve(box.config.state).make()
    filler = box.config.state.parent / "filler"
    filler.write_bytes(bytes(free_bytes(box.config.state) - RESERVE_BYTES - LOG_BYTES))
    box.clock.forward(FIRST_S)
    with pytest.raises(UserError, match="there is no room for a copy"):
        schedule.step(box.clock.now)
    assert list(box.config.backups_dir.iterdir()) == []
    assert Reserve(box.config.state).path.stat().st_size == RESERVE_BYTES
    filler.unlink()
    box.clock.forward(RETRY_S)
    schedule.step(box.clock.now)
    assert len(list(box.config.backups_dir.iterdir())) == 1


def test_the_reserve_is_made_again_when_there_is_room_and_not_before(box: Box) -> None:
    filler = full(box)
    Reserve(box.config.state).give_up_if_full()
    assert free_bytes(box.config.state) >= RESERVE_BYTES / 2 - 4096
    assert Reserve(box.config.state).is_needed()
    Reserve(box.config.state).make()
    assert Reserve(box.config.state).path.stat().st_size == RESERVE_BYTES / 2
    filler.unlink()
    Reserve(box.config.state).make()
    assert Reserve(box.config.state).path.stat().st_blocks * 512 >= RESERVE_BYTES, "really taken"
    assert not Reserve(box.config.state).is_needed()
    Reserve(box.config.state).give_up_if_full()
    assert Reserve(box.config.state).path.exists()


def test_images_leave_room_for_rows(box: Box) -> None:
    Reserve(box.config.state).make()
    filler = box.config.state.parent / "filler"
    filler.write_bytes(bytes(free_bytes(box.config.state) - LOG_BYTES + 100_000))
    recorder = Recorder(box.images, Reserve(box.config.state))
    detection = Detection(1.0, 2.0, State.MASK, 0.9, 5, (0, 0, 1, 1), 2, 2, "m")
    recorder.take(Sighting("somebody", 1, None, detection, JPEG, ended=False))

    def write(uptime_s: float) -> bool:
        with box.store.writing():
            recorder.write(box.store, uptime_s)
        recorder.committed(uptime_s)
        found = box.store.detections.get(3)
        assert found
        return found.image is not None

    assert not write(1.0)
    assert recorder.problem == "Images cannot be written (the disk is full); detections are kept without."
    filler.unlink()
    recorder.take(Sighting("somebody", 1, None, replace(detection, last_seen_utc=9.0), JPEG, ended=False))
    assert write(9.0)


def many_pass(watcher: Watcher, box: Box, persons: int) -> None:
    """So many are seen, and left."""
    detection = Detection(box.clock.now.utc, box.clock.now.utc, State.MASK, 0.9, 5, (0, 0, 1, 1), 2, 2, "m")
    for number in islice(NUMBERS, persons):
        watcher.recorder.take(Sighting(f"person {number}", 1, None, detection, None, ended=True))


def test_whatever_fills_the_disk_again_and_again_people_sign_in_and_detections_are_kept(box: Box) -> None:
    watcher = Watcher(msgspec.structs.replace(box.config, images=Images(min_free_mb=0)))
    watcher.step(box.clock.now)
    path = box.config.store_path
    assert path.stat().st_blocks * 512 >= path.stat().st_size > SPARE_BYTES, "the room is really taken"
    assert box.store.empty_log()
    box.clock.forward(60)
    watcher.step(box.clock.now)  # as after something was deleted
    before = box.store.detections.counts(DetectionFilter()).total
    for number in range(1, 13):
        fill(box.config.state.parent)
        many_pass(watcher, box, 3)
        box.clock.forward(10)
        watcher.step(box.clock.now)
        assert (watcher.store_problem, watcher.recorder.waiting()) == (None, 0)
        assert box.store.detections.counts(DetectionFilter()).total == before + 3 * number
        assert box.browser().sign_in("ann").status_code == 303
    assert Reserve(box.config.state).path.stat().st_size == RESERVE_BYTES, "nothing of it was needed"
    assert box.store.problems() == []
    watcher._stop()


def test_of_the_reserve_the_watcher_takes_half_and_the_rest_is_for_people(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.sqlite_room.SPARE_BYTES", 0)  # all of that has been used
    box.clock.forward(1)
    watcher = Watcher(msgspec.structs.replace(box.config, images=Images(min_free_mb=0)))
    watcher.step(box.clock.now)
    many_pass(watcher, box, 2000)
    for seconds in (10, 1):
        full(box, reserve=False)
        box.clock.forward(seconds)
        watcher.step(box.clock.now)
        assert watcher.store_problem is not None
    assert Reserve(box.config.state).path.stat().st_size == RESERVE_BYTES / 2
    assert box.browser().sign_in("ann").status_code == 303
    box.clock.forward(10)
    watcher.step(box.clock.now)
    assert watcher.store_problem is None
    watcher._stop()


def test_on_a_full_disk_days_go_and_then_all_that_waited_is_recorded(box: Box) -> None:
    config = msgspec.structs.replace(box.config, images=Images(min_free_mb=6))
    day = box.images.append(JPEG[:2] + bytes(6_000_000), box.clock.now.utc - 86400).day
    watcher = Watcher(config)
    watcher.step(box.clock.now)
    filler = full(box)
    many_pass(watcher, box, 2000)
    box.clock.forward(10)
    watcher.step(box.clock.now)
    assert "database or disk is full" in str(watcher.store_problem)
    assert (watcher.recorder.waiting(), day in box.images.days()) == (2000, True)
    box.clock.forward(60)
    watcher.step(box.clock.now)
    assert day not in box.images.days()
    assert (watcher.store_problem, watcher.recorder.waiting()) == (None, 0)
    assert len(box.store.detections.page(DetectionFilter(), limit=3000)) == 2002
    filler.unlink()
    box.clock.forward(60)
    watcher.step(box.clock.now)
    assert Reserve(box.config.state).path.exists()
    watcher._stop()


def test_on_a_full_disk_what_is_past_its_time_goes_and_makes_room(box: Box) -> None:
    place = box.images.append(JPEG[:2] + bytes(3_000_000), box.clock.now.utc)
    old = box.add_detection(1, State.MASK, StoredImage(place.day, place.offset, place.size_bytes, "large"))
    watcher = Watcher(msgspec.structs.replace(box.config, images=Images(min_free_mb=0)))
    watcher.retention.is_synchronised = lambda: True
    watcher.step(box.clock.now)
    box.store.streams.set_keeping(1, Keeping(detections_days=1))
    full(box)
    for _ in range(26):
        box.clock.forward(3600)
        watcher.step(box.clock.now)
    for _ in range(3):
        box.clock.forward(61)
        watcher.step(box.clock.now)
    assert box.store.detections.get(old) is None
    assert free_bytes(box.config.state) > 2_900_000
    assert box.store.problems() == []
    assert box.browser().sign_in("ann").status_code == 303
    watcher._stop()
