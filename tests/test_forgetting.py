"""What is past its time, and what was deleted, is gone from every byte of the disk: real SQLite, real day files.

A whole watcher does it; the test has the clock, and its ingest does not answer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.faces import Detection, State
from appliance.keeping import ImageMode, Keeping
from appliance.rules import streams
from appliance.store import Kind, Store
from appliance.times import utc_text
from appliance.vision.analysis import Sighting
from appliance.watch.service import Watcher
from tests.leftovers import files_with, left
from tests.site import Box

DAY_S, HOUR_S = 86400.0, 3600.0
DOOR, LAB = 1, 2


class Passing:
    """Somebody who passes, and all by which they would be found on a disk. model: nobody else's."""

    def __init__(self, at_utc: float, number: int) -> None:
        self.model = f"model-of-{number}-{os.urandom(8).hex()}"
        self.jpeg = b"\xff\xd8\xff" + os.urandom(3000) + b"\xff\xd9"
        state = list(State)[number % 4]
        self.detection = Detection(at_utc, at_utc, state, 0.9, 5, (1, 2, 3, 4), 640, 360, self.model)

    @property
    def row(self) -> list[bytes]:
        return [self.model.encode(), utc_text(self.detection.first_seen_utc).encode()]

    @property
    def image(self) -> list[bytes]:
        return [self.jpeg[at : at + 64] for at in range(0, 3000, 500)]


class Watched(Box):
    """A box with a watcher that is stepped."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.count = 0
        self.store.detections.remove(1)
        self.store.detections.remove(2)
        self.start()

    def start(self) -> None:
        self.watcher = Watcher(self.config)
        self.watcher.retention.is_synchronised = lambda: True
        self.step()

    def step(self, seconds: float = 0.0) -> None:
        self.clock.forward(seconds)
        self.watcher.step(self.clock.now)

    def run(self, seconds: float) -> None:
        """Time passes; the watcher looks every quarter of an hour, which is less often than it does."""
        for _ in range(round(seconds / 900)):
            self.step(900)

    def passes(self, stream_id: int) -> Passing:
        """Somebody passes a stream now, and is on the disk."""
        return self.pass_by(stream_id, 1)[0]

    def pass_by(self, stream_id: int, count: int) -> list[Passing]:
        """So many, one after the other, who are written together."""
        found = []
        for _ in range(count):
            self.count += 1
            self.clock.forward(0.317)  # so that this time is that of nothing else
            who = Passing(self.clock.now.utc, self.count)
            self.watcher.recorder.take(Sighting(who.model, stream_id, None, who.detection, who.jpeg, ended=True))
            found.append(who)
        self.step(1)
        return found

    def keep(self, stream_id: int, **chosen: object) -> None:
        self.store.streams.set_keeping(stream_id, Keeping(**chosen))  # type: ignore[arg-type]

    def sums(self) -> list[tuple[int, ...]]:
        """Persons by state of every stream, by the sums."""
        rows = self.store.db.execute(
            "select stream, sum(mask), sum(no_mask), sum(incorrect), sum(unknown) from summaries group by stream"
        )
        return [tuple(row) for row in rows]

    def images_of(self, stream_id: int) -> int:
        return self.store.detections.count_images(stream_id)

    def close(self) -> None:
        self.watcher._stop()
        super().close()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path / "state")
    yield made
    made.close()


def test_what_is_past_its_time_is_nowhere_on_the_disk_within_the_hour_and_its_sums_stay(box: Watched) -> None:
    box.keep(DOOR, images_days=1, detections_days=2)
    gone, other = box.pass_by(DOOR, 10), box.passes(LAB)
    box.run(12 * HOUR_S)
    later = box.passes(DOOR)
    counted = box.sums()
    assert all(files_with(box.config.state, trace) for trace in gone[0].row + gone[0].image)
    box.run(11 * HOUR_S)
    assert box.images_of(DOOR) == 11
    box.run(2 * HOUR_S)
    images = [trace for who in gone for trace in who.image]
    assert (box.images_of(DOOR), left(box.config.state, images)) == (1, [])
    assert files_with(box.config.state, gone[0].row[0]), "its detection stays a day longer"
    box.run(24 * HOUR_S)
    rows = [trace for who in gone for trace in who.row]
    assert left(box.config.state, rows + images + later.image) == []
    assert all(files_with(box.config.state, trace) for trace in later.row + other.row + other.image)
    assert box.sums() == counted
    assert box.store.problems() == []
    assert box.store.detections.get(1) is None
    box.step(29 * DAY_S - 50 * HOUR_S)
    box.run(26 * HOUR_S)
    assert left(box.config.state, other.image) == [], "the box keeps no image for longer than its settings say"
    assert files_with(box.config.state, other.row[0])


def test_the_audit_tells_once_a_day_how_much_of_each_stream_age_made_forgotten(box: Watched) -> None:
    box.keep(DOOR, images_days=1, detections_days=3)
    box.keep(LAB, detections_days=1)
    box.pass_by(DOOR, 10)
    box.passes(LAB)
    box.run(26 * HOUR_S)
    assert told_forgotten(box) == [], "the day is not over"
    box.run(24 * HOUR_S)
    first = [("door", {"detections": 0, "images": 10}), ("lab", {"detections": 1, "images": 0})]
    assert told_forgotten(box) == first
    box.run(48 * HOUR_S)
    assert told_forgotten(box) == [*first, ("door", {"detections": 10, "images": 0})]
    box.run(26 * HOUR_S)
    assert len(told_forgotten(box)) == 3, "nothing more was forgotten"


def told_forgotten(box: Watched) -> list[tuple[str, dict[str, int]]]:
    rows = box.store.db.execute("select subject, details from audit where action = 'forgotten' order by number")
    return [(row["subject"].partition(":")[2].rstrip(")"), json.loads(row["details"])) for row in rows]


def test_without_the_time_detections_go_by_how_long_the_box_ran(box: Watched) -> None:
    box.watcher.retention.is_synchronised = lambda: False
    box.keep(DOOR, detections_days=2)
    clock = box.store.ages.clock()
    assert clock is not None
    box.store.ages.note_clock(replace(clock, utc=None))
    who = box.passes(DOOR)
    box.clock.now = replace(box.clock.now, utc=box.clock.now.utc + 400 * DAY_S)  # the wall clock alone
    box.run(46 * HOUR_S)
    assert files_with(box.config.state, who.row[0])
    box.run(3 * HOUR_S)
    assert left(box.config.state, who.row + who.image) == []
    assert box.store.problems() == []


def test_what_was_there_before_ages_were_noted_is_as_old_as_its_day(tmp_path: Path) -> None:
    box = Box(tmp_path / "state")
    box.store.db.execute("delete from detections")
    box.store.db.execute("delete from sqlite_sequence where name = 'detections'")
    for days in (9, 40, 3, 1):  # the second was entered by hand, or by a wrong clock
        at_utc = box.clock.now.utc - days * DAY_S
        box.store.detections.add(DOOR, Passing(at_utc, days).detection)
    box.store.streams.set_keeping(DOOR, Keeping(detections_days=7))
    watcher = Watcher(box.config)
    watcher.retention.is_synchronised = lambda: True
    for _ in range(2):
        watcher.step(box.clock.now)
        box.clock.forward(61)
    ages = [round((box.clock.now.utc - each.detection.first_seen_utc) / DAY_S) for each in stored(box.store, DOOR)]
    assert ages == [1, 3]
    assert box.store.problems() == []
    watcher._stop()
    box.close()


def stored(store: Store, stream_id: int) -> list:  # type: ignore[type-arg]
    from appliance.store import DetectionFilter

    return store.detections.page(DetectionFilter(stream_id=stream_id))


def test_a_stream_that_is_deleted_leaves_nothing_and_gives_a_receipt(box: Watched) -> None:
    box.keep(DOOR, detections_days=1)
    forgotten = box.passes(DOOR)
    box.run(26 * HOUR_S)
    there, other = box.pass_by(DOOR, 102), box.passes(LAB)
    browser = box.browser("ann")
    answer = browser.post(f"/streams/{DOOR}/delete")
    page = browser.get(answer.headers["location"])
    assert "102 detections, 102 images (307 kB)" in page.text
    assert "The box still overwrites" in page.text
    assert box.browser("eve").get(answer.headers["location"]).status_code == 404
    box.step(61)
    box.step(61)
    traces = [trace for who in [forgotten, *there] for trace in who.row + who.image]
    assert left(box.config.state, traces) == []
    assert all(files_with(box.config.state, trace) for trace in other.row + other.image)
    assert [row for row in box.sums() if row[0] == DOOR] == [(DOOR, 0, 0, 0, 0)]
    assert box.store.problems() == []
    headers = {"Authorization": "Bearer token of ann"}
    path = answer.headers["location"].replace("/receipts", "/api/v1/receipts")
    receipt = browser.client.get(path, headers=headers).json()
    assert (receipt["kind"], receipt["title"], receipt["by"]) == (Kind.STREAM.value, "ann:door", "ann")
    assert (receipt["detections"], receipt["images"], len(receipt["sha256"])) == (102, 102, 64)
    assert receipt["finished"] is not None
    assert "nothing of it is left on the disk" in browser.get(answer.headers["location"]).text


def test_the_digest_of_a_receipt_is_that_of_what_an_export_has(box: Watched) -> None:
    import hashlib

    box.passes(DOOR)
    box.passes(DOOR)
    lines = b"".join(
        f"{row['id']},{row['first_seen_utc']},{row['last_seen_utc']},{row['state']},{row['image_crc32']}\n".encode()
        for row in box.store.db.execute("select * from detections order by id")
    )
    door = streams.find(box.store, DOOR, box.clock.now)
    receipt_id = streams.delete(box.store, box.images, box.watcher.previews, streams.OPERATOR, door, box.clock.now)
    receipt = box.store.receipts.get(receipt_id)
    assert receipt is not None
    assert receipt.deleted.sha256 == hashlib.sha256(lines).hexdigest()


def test_all_images_of_a_stream_are_deleted_at_once_and_its_detections_stay(box: Watched) -> None:
    there = box.pass_by(DOOR, 3)
    answer = box.browser("ann").post(f"/streams/{DOOR}/delete-images")
    assert answer.status_code == 303
    box.step(61)
    assert left(box.config.state, [trace for who in there for trace in who.image]) == []
    assert box.store.detections.get(3) is not None


def test_no_image_of_a_stream_is_written_from_the_moment_it_was_chosen(box: Watched) -> None:
    who = Passing(box.clock.now.utc, 1)
    box.step(1)
    box.watcher.recorder.take(Sighting("a", DOOR, None, who.detection, who.jpeg, ended=False))
    box.keep(DOOR, images=ImageMode.NO_IMAGES)  # while its image waits to be written
    box.step(1)
    assert (left(box.config.state, who.image), box.images_of(DOOR)) == ([], 0)
    box.keep(DOOR, images=ImageMode.EYES_PIXELATED)
    box.step(1)
    box.watcher.recorder.take(Sighting("a", DOOR, None, who.detection, who.jpeg, ended=True))
    box.step(1)
    assert box.images_of(DOOR) == 1
