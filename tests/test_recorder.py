"""From sightings to the record: real SQLite, real day files, a disk that is really full."""

from __future__ import annotations

import resource
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.accounts.people import Role
from appliance.disk import Reserve
from appliance.faces import Bbox, Detection, State
from appliance.images import ImageFiles, Integrity, Place
from appliance.keeping import ImageMode
from appliance.rules.detections import erase_some
from appliance.store import DetectionFilter, PictureKind, Store, StoredDetection, StoredPicture
from appliance.vision.analysis import Sighting
from appliance.vision.beside import Beside
from appliance.watch import recorder as module
from appliance.watch.recorder import Recorder

JPEG = b"\xff\xd8" + b"one picture" * 20 + b"\xff\xd9"
BETTER = b"\xff\xd8" + b"a better picture" * 20 + b"\xff\xd9"
UTC = 1_790_000_000.0
BBOX: Bbox = (10, 20, 50, 60)


def sighting(
    key: str = "ann",
    seconds: float = 1.0,
    state: State = State.MASK,
    jpeg: bytes | None = None,
    ended: bool = False,
    stream_id: int = 1,
    detection_id: int | None = None,
) -> Sighting:
    """What is known of one person that many seconds after she came."""
    detection = Detection(UTC, UTC + seconds, state, 0.9, round(5 * seconds), BBOX, 320, 240, "test")
    return Sighting(key, stream_id, detection_id, detection, jpeg, ended)


class Memory:
    """A store, day files and a recorder; a clock that the test moves."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "mb9k.db"
        self.store = Store.open(self.path, busy_timeout_s=0.1)
        self.store.people.add("ann", "-", Role.ADMIN, UTC)
        self.store.streams.add_with_key(1, "door", "0" * 64, UTC)
        self.images = ImageFiles(folder / "images")
        self.recorder = Recorder(self.images, Reserve(self.images.folder.parent))
        self.uptime_s = 1000.0

    def write(self, after_s: float = 1.0, everything: bool = False) -> None:
        """One transaction, as the service does it."""
        self.uptime_s += after_s
        with self.store.writing():
            self.recorder.write(self.store, self.uptime_s, everything)
        self.recorder.committed(self.uptime_s)
        assert not erase_some(self.store, self.images)  # which the watcher does once a minute

    def detections(self) -> list[StoredDetection]:
        """What another process reads, oldest first."""
        return Store.open_readonly(self.path).detections.page(DetectionFilter(), limit=1000)[::-1]

    def picture(self, index: int = 0) -> bytes | None:
        """The image of a detection."""
        image = self.detections()[index].image
        return self.images.read(image) if image else None


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    memory = Memory(tmp_path)
    yield memory
    memory.store.close()


def test_a_person_is_stored_with_image_at_the_next_transaction(memory: Memory) -> None:
    memory.recorder.take(sighting(jpeg=JPEG))
    assert memory.detections() == []
    memory.write()
    (stored,) = memory.detections()
    assert stored.detection == sighting().detection
    assert memory.picture() == JPEG
    assert stored.image is not None
    assert len(stored.image.token) > 40
    assert memory.recorder.waiting() == 0


def test_a_living_person_is_updated_every_two_seconds_at_most(memory: Memory) -> None:
    written = set()
    for tick in range(1, 41):
        memory.recorder.take(sighting(seconds=tick / 4))
        memory.write(after_s=0.25)
        written.add(memory.detections()[0].detection.last_seen_utc)
    assert sorted(seen_utc - UTC for seen_utc in written) == [0.25, 2.25, 4.25, 6.25, 8.25]
    assert len(memory.detections()) == 1


def test_a_change_of_state_and_the_end_are_stored_at_once(memory: Memory) -> None:
    memory.recorder.take(sighting(seconds=1))
    memory.write()
    memory.recorder.take(sighting(seconds=1.2, state=State.NO_MASK))
    memory.write(after_s=0.2)
    assert memory.detections()[0].detection.state is State.NO_MASK
    memory.recorder.take(sighting(seconds=1.4, state=State.NO_MASK, ended=True))
    memory.write(after_s=0.2)
    assert memory.detections()[0].detection.last_seen_utc == UTC + 1.4


def test_who_came_and_left_between_two_transactions_is_stored(memory: Memory) -> None:
    memory.recorder.take(sighting(jpeg=JPEG))
    memory.recorder.take(sighting(seconds=2, ended=True))
    memory.write()
    assert memory.detections()[0].detection.last_seen_utc == UTC + 2
    assert memory.picture() == JPEG


def test_a_better_image_replaces_the_first_which_is_erased(memory: Memory) -> None:
    memory.recorder.take(sighting(jpeg=JPEG))
    memory.write()
    old = memory.detections()[0].image
    memory.recorder.take(sighting(seconds=9, jpeg=BETTER))
    memory.write(after_s=9)
    assert memory.picture() == BETTER
    assert old is not None
    assert memory.images.read(old) is None
    assert JPEG not in (memory.images.folder / f"{old.day}.jpegs").read_bytes()
    assert len(memory.detections()) == 1


def test_an_image_stays_while_no_better_one_comes(memory: Memory) -> None:
    memory.recorder.take(sighting(jpeg=JPEG))
    memory.write()
    memory.recorder.take(sighting(seconds=5))
    memory.write(after_s=4)
    assert memory.detections()[0].detection.last_seen_utc == UTC + 5
    assert memory.picture() == JPEG


def test_a_living_person_gets_a_new_image_every_five_seconds_at_most(memory: Memory) -> None:
    memory.recorder.take(sighting(jpeg=JPEG))
    memory.write()
    memory.recorder.take(sighting(seconds=4, jpeg=BETTER))
    memory.write(after_s=3)
    assert memory.picture() == JPEG
    memory.recorder.take(sighting(seconds=6))
    memory.write(after_s=2)
    assert memory.picture() == BETTER


def test_at_the_end_everything_is_stored_with_its_image(memory: Memory) -> None:
    memory.recorder.take(sighting(jpeg=JPEG))
    memory.write()
    memory.recorder.take(sighting(seconds=1.5, jpeg=BETTER))
    memory.write(after_s=0.5, everything=True)
    assert memory.detections()[0].detection.last_seen_utc == UTC + 1.5
    assert memory.picture() == BETTER


def test_an_image_that_is_on_the_disk_is_not_held_in_memory(memory: Memory) -> None:
    jpeg = bytes([*JPEG])
    before = sys.getrefcount(jpeg)
    memory.recorder.take(sighting(jpeg=jpeg))
    assert sys.getrefcount(jpeg) == before + 1
    memory.write()
    assert sys.getrefcount(jpeg) == before


def test_a_replaced_image_that_cannot_be_erased_is_logged_and_erased_later(
    memory: Memory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(memory.images, "erase", refuse)
        for jpeg in (JPEG, BETTER):
            memory.recorder.take(sighting(jpeg=jpeg))
            memory.write(after_s=9)
    assert memory.picture() == BETTER
    assert len(caplog.messages) == 1
    assert "cannot be erased yet, trying again: [Errno 30] Read-only file system" in caplog.messages[0]
    (day,) = memory.images.days()
    assert JPEG in (memory.images.folder / f"{day}.jpegs").read_bytes()
    memory.write()
    assert JPEG not in (memory.images.folder / f"{day}.jpegs").read_bytes()
    assert memory.picture() == BETTER


def test_a_replaced_image_is_noted_as_to_be_erased_in_the_same_transaction(memory: Memory) -> None:
    for jpeg in (JPEG, BETTER):
        memory.recorder.take(sighting(jpeg=jpeg))
        memory.uptime_s += 9
        with memory.store.writing():
            memory.recorder.write(memory.store, memory.uptime_s)
        memory.recorder.committed(memory.uptime_s)
    (place,) = memory.store.erasures.oldest(9).values()
    assert memory.images.read(place) == JPEG


def test_the_last_image_counts_however_soon_it_comes(memory: Memory) -> None:
    memory.recorder.take(sighting(jpeg=JPEG))
    memory.write()
    memory.recorder.take(sighting(seconds=1.4, jpeg=BETTER))
    memory.recorder.take(sighting(seconds=1.6, ended=True))
    memory.write(after_s=0.6)
    assert memory.picture() == BETTER


def test_the_image_of_a_resumed_person_is_erased_when_a_better_one_comes(memory: Memory) -> None:
    memory.recorder.take(sighting(jpeg=JPEG))
    memory.write()
    again = Recorder(memory.images, Reserve(memory.images.folder.parent))  # the watcher was killed and started again
    memory.recorder = again
    again.take(sighting(key="stored-1", seconds=9, jpeg=BETTER, detection_id=memory.detections()[0].id))
    memory.write()
    assert len(memory.detections()) == 1
    assert memory.picture() == BETTER
    day = memory.images.days()[0]
    assert JPEG not in (memory.images.folder / f"{day}.jpegs").read_bytes()


def test_a_locked_store_loses_nothing(memory: Memory) -> None:
    memory.recorder.take(sighting("ann", jpeg=JPEG))
    with sqlite3.connect(memory.path) as other:
        other.execute("begin immediate")
        for round_ in range(3):
            memory.recorder.take(sighting("bea", seconds=round_ + 1))
            with pytest.raises(sqlite3.OperationalError):
                memory.write()
        assert memory.recorder.waiting() == 2
    other.close()
    memory.write()
    assert [stored.detection.last_seen_utc - UTC for stored in memory.detections()] == [1, 3]
    assert memory.picture() == JPEG


def test_a_commit_that_fails_is_done_again_and_once_only(memory: Memory) -> None:
    memory.recorder.take(sighting(jpeg=JPEG))
    for _ in range(3):
        with pytest.raises(sqlite3.OperationalError), memory.store.writing():
            memory.recorder.write(memory.store, memory.uptime_s)
            memory.store.db.execute("insert into nothing")  # a statement that fails
    assert memory.detections() == []
    memory.recorder.take(sighting(seconds=2, jpeg=BETTER))
    memory.write()
    assert len(memory.detections()) == 1
    assert memory.picture() == JPEG
    day = memory.images.days()[0]
    assert (memory.images.folder / f"{day}.jpegs").stat().st_size == len(JPEG), "the image was appended once"


def test_a_full_disk_costs_the_image_not_the_person(
    memory: Memory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> Place:
        raise OSError(28, "No space left on device")

    memory.recorder.take(sighting(jpeg=JPEG))
    with monkeypatch.context() as patch:
        patch.setattr(memory.images, "append", full)
        memory.write()
        assert caplog.messages == [memory.recorder.problem]
        memory.recorder.take(sighting(seconds=2))
        memory.write(after_s=5)
    (stored,) = memory.detections()
    assert stored.image is None
    assert memory.recorder.problem is not None
    assert "No space left" in memory.recorder.problem
    assert caplog.messages == [memory.recorder.problem], "it is logged once"
    memory.recorder.take(sighting(seconds=4))
    memory.write(after_s=3)
    assert memory.picture() == JPEG, "there is room again"
    assert memory.recorder.problem is None


def test_an_image_that_does_not_reach_the_disk_costs_the_image_not_the_person(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(memory.images, "sync", fail)
    memory.recorder.take(sighting(jpeg=JPEG))
    memory.write()
    (stored,) = memory.detections()
    assert stored.image is None
    assert memory.recorder.problem == "Images cannot be written (Input/output error); detections are kept without."


def test_a_store_that_cannot_grow_keeps_everybody_in_memory(memory: Memory) -> None:
    """A real limit of this process: no file may grow beyond what the store has now."""
    memory.recorder.take(sighting("first"))
    memory.write()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    wal = Path(f"{memory.path}-wal")
    resource.setrlimit(resource.RLIMIT_FSIZE, (max(wal.stat().st_size, memory.path.stat().st_size), hard))
    try:
        for index in range(300):
            memory.recorder.take(sighting(f"person-{index}"))
        with pytest.raises(sqlite3.OperationalError):
            memory.write()
        with pytest.raises(sqlite3.OperationalError):
            memory.write()
        assert memory.recorder.waiting() == 300
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    memory.write()
    assert len(memory.detections()) == 301
    assert memory.store.problems() == []


def test_waiting_is_bounded_and_the_loss_is_told(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 10)
    monkeypatch.setattr(module, "MAX_WAITING_IMAGES", 4)
    for index in range(12):
        memory.recorder.take(sighting(f"person-{index}", jpeg=JPEG, ended=True))
    assert memory.recorder.waiting() == 10
    problem = memory.recorder.problem
    assert problem == module.FULL
    memory.write()
    assert len(memory.detections()) == 10
    assert len([stored for stored in memory.detections() if stored.image]) == 4
    assert memory.recorder.problem is None
    memory.recorder.take(sighting("somebody new"))
    memory.write()
    assert len(memory.detections()) == 11


def test_while_all_the_places_are_taken_the_loss_goes_on_being_told(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 10)
    for index in range(12):
        memory.recorder.take(sighting(f"person-{index}"))
    memory.write()
    assert memory.recorder.problem == module.FULL, "ten are stored, but still in view"


def test_a_stream_that_was_deleted_takes_its_people_along_quietly(memory: Memory) -> None:
    memory.recorder.take(sighting("before", jpeg=JPEG))
    memory.write()
    with memory.store.writing():
        memory.store.streams.remove(1)
    memory.recorder.take(sighting("before", seconds=5, ended=True))
    memory.recorder.take(sighting("after", jpeg=JPEG, ended=True))
    memory.write()
    assert memory.detections() == []
    assert memory.recorder.waiting() == 0


def test_a_detection_that_somebody_deleted_does_not_come_back(memory: Memory) -> None:
    memory.recorder.take(sighting())
    memory.write()
    with memory.store.writing():
        memory.store.detections.remove(memory.detections()[0].id)
    for seconds in (4.0, 7.0, 10.0):
        memory.recorder.take(sighting(seconds=seconds, jpeg=BETTER))
        memory.write(after_s=3)
    assert memory.detections() == []
    assert all(BETTER not in path.read_bytes() for path in memory.images.folder.iterdir())


def test_a_state_that_a_person_corrected_stays(memory: Memory) -> None:
    memory.recorder.take(sighting())
    memory.write()
    with memory.store.writing():
        memory.store.detections.correct_state(memory.detections()[0].id, State.INCORRECT, "ann")
    memory.recorder.take(sighting(seconds=5, ended=True))
    memory.write()
    assert memory.detections()[0].detection.state is State.INCORRECT
    assert memory.detections()[0].detection.last_seen_utc == UTC + 5


def test_a_new_person_and_another_state_are_news_until_written_and_nothing_else_is(memory: Memory) -> None:
    news = memory.recorder.news
    memory.recorder.take(sighting())
    assert news.is_set()
    memory.write()
    assert not news.is_set()
    memory.recorder.take(sighting(seconds=2, jpeg=BETTER))
    memory.recorder.take(sighting(seconds=3, ended=True))
    memory.recorder.take(sighting("resumed", detection_id=memory.detections()[0].id))
    assert not news.is_set()
    memory.recorder.take(sighting("resumed", state=State.NO_MASK, detection_id=1))
    assert news.is_set()


def test_what_arrives_during_the_commit_is_not_forgotten(memory: Memory) -> None:
    memory.recorder.take(sighting(seconds=1))
    with memory.store.writing():
        memory.recorder.write(memory.store, memory.uptime_s)
        memory.recorder.take(sighting(seconds=2, ended=True))
    memory.recorder.committed(memory.uptime_s)
    memory.write()
    assert memory.detections()[0].detection.last_seen_utc == UTC + 2
    assert memory.recorder.waiting() == 0


def test_a_clock_that_was_set_back_does_no_harm(memory: Memory) -> None:
    memory.recorder.take(replace(sighting(), detection=replace(sighting().detection, last_seen_utc=UTC - 3600)))
    memory.write()
    assert memory.detections()[0].detection.last_seen_utc == UTC


def test_the_images_of_a_transaction_are_synced_together(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(memory.images, "sync", synced.append)
    for index in range(100):
        memory.recorder.take(sighting(f"person-{index}", jpeg=JPEG, ended=True))
    memory.write()
    assert synced == memory.images.days()
    assert memory.recorder.waiting() == 0


SCENE = Beside(JPEG + b"scene", UTC + 1, (0.1, 0.2, 0.3, 0.4))
FACE = Beside(JPEG + b"face", UTC + 2)


def beside(memory: Memory, detection_id: int = 1) -> list[StoredPicture]:
    return memory.store.pictures.of(detection_id)


def test_what_is_to_be_kept_beside_an_image_is_and_the_last_scene_stays(memory: Memory) -> None:
    memory.recorder.take(replace(sighting(jpeg=JPEG), beside=(replace(SCENE, jpeg=JPEG + b"earlier"),)))
    memory.recorder.take(replace(sighting(seconds=1.5), beside=(SCENE, FACE)))
    memory.write()
    scene, face = beside(memory)
    assert (scene.kind, scene.bbox, scene.at_utc) == (PictureKind.SCENE, SCENE.bbox, UTC + 1)
    assert (face.kind, face.bbox, face.at_utc) == (PictureKind.FACE, None, UTC + 2)
    assert [memory.images.read(each) for each in (scene, face)] == [SCENE.jpeg, FACE.jpeg]
    assert all(JPEG + b"earlier" not in path.read_bytes() for path in memory.images.folder.iterdir())
    memory.recorder.take(replace(sighting(seconds=9, jpeg=BETTER), beside=(replace(SCENE, jpeg=JPEG + b"later"),)))
    memory.write(after_s=6)
    assert [memory.images.read(each) for each in beside(memory)] == [FACE.jpeg, JPEG + b"later"]
    assert memory.images.integrity(scene) is Integrity.ERASED
    assert memory.store.problems() == []


def test_nothing_is_kept_beside_an_image_that_is_not_or_of_somebody_deleted(memory: Memory) -> None:
    memory.recorder.take(replace(sighting("no image"), beside=(SCENE,)))
    memory.recorder.take(replace(sighting(jpeg=JPEG), beside=(SCENE,)))
    memory.write()
    with memory.store.writing():
        for stored in memory.detections():
            memory.store.detections.remove(stored.id)
    memory.recorder.take(replace(sighting(seconds=4), beside=(FACE,)))
    memory.write(after_s=3)
    assert memory.store.db.execute("select count(*) as n from pictures").fetchone()["n"] == 0
    assert all(FACE.jpeg not in path.read_bytes() for path in memory.images.folder.iterdir())
    assert all(SCENE.jpeg not in path.read_bytes() for path in memory.images.folder.iterdir())


def test_what_waits_beside_an_image_is_dropped_where_less_may_be_kept(memory: Memory) -> None:
    memory.recorder.follow({1: ImageMode.FULL})
    memory.recorder.take(sighting(jpeg=JPEG))
    memory.write()
    memory.recorder.take(replace(sighting(seconds=3), beside=(SCENE, FACE)))
    memory.recorder.follow({1: ImageMode.EYES_PIXELATED})
    memory.write(after_s=3)
    assert beside(memory) == []


def test_on_a_full_disk_nothing_is_kept_beside_an_image(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.recorder.take(sighting(jpeg=JPEG))
    memory.write()
    monkeypatch.setattr(memory.recorder.reserve, "is_needed", lambda: True)
    memory.recorder.take(replace(sighting(seconds=3), beside=(SCENE, FACE)))
    memory.write(after_s=3)
    assert beside(memory) == [] and memory.picture() == JPEG
