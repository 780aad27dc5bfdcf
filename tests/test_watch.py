"""The watcher: real streams, real SQLite; squares of colour for faces."""

from __future__ import annotations

import contextlib
import logging
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.accounts.people import Role
from appliance.config import Config
from appliance.faces import Detection, Health, PictureFault, State, Work
from appliance.images import day_of
from appliance.loopback import authorization
from appliance.media.mediamtx import Client
from appliance.rules import streams
from appliance.secrets import digest
from appliance.sections import Images, Media, Sources, Vision
from appliance.store import DetectionFilter, Store, StoredDetection, Stream
from appliance.times import Now, now
from appliance.vision.analysis import Sighting
from appliance.vision.budget import processors
from appliance.vision.counting import Counting
from appliance.vision.looking import structure
from appliance.vision.looking.view import Faulty, View
from appliance.vision.reading.camera import Camera
from appliance.watch.service import Watcher, usable_detector
from tests.boxes import until
from tests.clock import Clock
from tests.colour_detector import ColourDetector, people
from tests.gpus import no_gpu
from tests.stand_in_ingest import StandIn, answering
from tests.videos import in_parts, make_video

KEY, NEW_KEY = "KEYKEYKEYKEYKEYKEY22", "KEYKEYKEYKEYKEYKEY33"


@pytest.fixture
def ingest() -> Iterator[StandIn]:
    """Answers until the end of the test."""
    with answering() as ingest:
        yield ingest


@pytest.fixture(scope="module")
def walking() -> bytes:
    """Five seconds: one with a mask from 0.4 s to 2 s, then one without from 2.5 s to 4.5 s."""
    first = lambda t: (200 - 60 * t, 50) if 0.4 <= t < 2 else None  # noqa: E731
    second = lambda t: (290 - 60 * (t - 2.5), 190) if 2.5 <= t < 4.5 else None  # noqa: E731
    return make_video(people({State.MASK: first, State.NO_MASK: second}), 125, container="flv")


@pytest.fixture(scope="module")
def standing() -> bytes:
    """Four seconds; somebody stands in the picture all the time."""
    return make_video(people({State.MASK: lambda _: (160, 120)}), 100, container="flv")


class Box:
    """A store with ann's stream `door` (pushed, KEY), and watchers that the test makes and steps."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.config = Config(
            state_dir=str(folder / "state"),
            media=Media(engine="embedded", api_port=port, read_port=port),
            vision=Vision(frames_per_second=10, lost_s=0.8),
            sources=Sources(folders=(str(folder),)),
        )
        self.store = Store.open(self.config.store_path)
        self.store.people.add("ann", "-", Role.ADMIN, time.time())
        self.door = self.store.streams.add_with_key(1, "door", digest(KEY), time.time())
        self.watchers: list[Watcher] = []

    def watcher(self, analysing: bool = True) -> Watcher:
        """A watcher as after its self-test."""
        watcher = Watcher(self.config)
        if analysing:
            watcher.judge_with(ColourDetector())
        self.watchers.append(watcher)
        return watcher

    def source(self, name: str, video: bytes) -> int:
        """A stream that is pulled from a file."""
        path = self.folder / name
        path.write_bytes(video)
        return self.store.streams.add_with_source(1, name, str(path), time.time())

    def stream(self, stream_id: int) -> Stream:
        stream = self.store.streams.get(stream_id, now())
        assert stream is not None
        return stream

    def detections(self) -> list[StoredDetection]:
        return self.store.detections.page(DetectionFilter(), limit=500)[::-1]

    def kill(self, watcher: Watcher) -> None:
        """As kill -9: whatever it has in memory is lost."""
        for analysis in watcher.analyses.values():
            analysis.stop()
            analysis.join(30)
        watcher.store.close()
        self.watchers.remove(watcher)


@pytest.fixture
def box(tmp_path: Path, ingest: StandIn) -> Iterator[Box]:
    """Its watchers end with the test."""
    box = Box(tmp_path, ingest.port)
    yield box
    for watcher in box.watchers:
        watcher._stop()
    box.store.close()


def step_until(watcher: Watcher, condition: Callable[[], bool], what: str, patience_s: float = 20) -> None:
    """Steps a few times a second until the condition holds."""

    def stepped() -> bool:
        watcher.step(now())
        time.sleep(0.1)
        return condition()

    until(stepped, patience_s, what)


def publish(ingest: StandIn, video: bytes, key: str = KEY, seconds: float = 4) -> threading.Event:
    """Somebody publishes to the ingest; set the event to make the bytes stop."""
    stopping = threading.Event()
    ingest.publish("conn", f"live/{key}")
    ingest.videos[f"live/{key}"] = lambda: in_parts(video, seconds, stopping)

    def flow() -> None:
        while not stopping.wait(0.1):
            ingest.flow()

    threading.Thread(target=flow, daemon=True).start()
    return stopping


def test_a_stream_that_is_published_is_live_and_its_people_are_stored(
    box: Box, ingest: StandIn, walking: bytes
) -> None:
    watcher = box.watcher()
    watcher.step(now())
    assert not box.stream(box.door).live
    publish(ingest, walking, seconds=5)
    step_until(watcher, lambda: box.stream(box.door).live, "LIVE", 3)
    assert box.stream(box.door).remote == "10.0.0.5"
    step_until(watcher, lambda: len(box.detections()) >= 2, "two people")
    assert [stored.detection.state for stored in box.detections()[:2]] == [State.MASK, State.NO_MASK]
    image = box.detections()[0].image
    assert image is not None
    jpeg = watcher.images.read(image)
    assert jpeg is not None
    assert jpeg.startswith(b"\xff\xd8")
    door = box.stream(box.door)
    assert (door.codec, door.width, door.height, door.problem) == ("h264", 320, 240, None)
    assert set(ingest.shown) == {authorization(watcher.secret)}, "we read by the box's secret"
    del ingest.items[f"live/{KEY}"]
    step_until(watcher, lambda: not box.stream(box.door).live, "offline", 3)
    assert watcher.analyses == {}


def test_whoever_is_connected_and_sends_nothing_is_told_of(box: Box, ingest: StandIn) -> None:
    watcher = box.watcher()
    ingest.publish("conn", f"live/{KEY}")
    ingest.items[f"live/{KEY}"]["available"] = False
    watcher.step(now())
    assert "waiting for data from there" in (box.stream(box.door).problem or "")
    assert not box.stream(box.door).live
    del ingest.items[f"live/{KEY}"], ingest.conns["conn"]
    watcher.step(now())
    assert box.stream(box.door).problem is None


def test_an_ingest_that_is_started_again_is_not_taken_for_a_camera(box: Box, ingest: StandIn) -> None:
    ingest.publish("conn", f"live/{KEY}")
    box.config = Config(
        state_dir=box.config.state_dir, media=Media(engine="embedded", api_port=ingest.port, read_port=1)
    )
    watcher = box.watcher()
    said = set()

    def gather() -> bool:
        ingest.flow()
        said.add(box.stream(box.door).problem)
        return any("being started again" in (sentence or "") for sentence in said)

    step_until(watcher, gather, "it is told")
    assert not any("camera" in (sentence or "") for sentence in said)


def test_a_person_who_stands_through_it_all_is_one_detection(box: Box, standing: bytes) -> None:
    box.source("file.flv", standing)
    watcher = box.watcher()
    begun_s = time.monotonic()
    step_until(watcher, lambda: time.monotonic() - begun_s > 5, "more than one round of the file")
    assert len(box.detections()) == 1
    detection = box.detections()[0].detection
    assert detection.last_seen_utc - detection.first_seen_utc > 3


def test_a_source_is_live_while_pictures_come_and_ends_when_deactivated(box: Box, standing: bytes) -> None:
    stream_id = box.source("file.flv", standing)
    watcher = box.watcher()
    step_until(watcher, lambda: box.stream(stream_id).live, "LIVE")
    with box.store.writing():
        box.store.streams.set_active(stream_id, False)
    step_until(watcher, lambda: not watcher.analyses, "it is pulled no more", 3)
    assert not box.stream(stream_id).live


def test_a_source_whose_pictures_stop_is_offline(box: Box, standing: bytes) -> None:
    stream_id = box.source("file.flv", standing[: len(standing) // 3])
    watcher = box.watcher()
    step_until(watcher, lambda: box.stream(stream_id).live, "LIVE")
    (box.folder / "file.flv").unlink()
    step_until(watcher, lambda: not box.stream(stream_id).live, "offline", 8)
    assert box.stream(stream_id).problem is not None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_source_never_leads_to_what_the_ingest_plays(box: Box, ingest: StandIn, host: str, standing: bytes) -> None:
    publish(ingest, standing)
    read = f"http://{host}:{ingest.port}/live/{KEY}.flv"
    stream_id = box.store.streams.add_with_source(1, "curious", read, time.time())
    watcher = box.watcher()
    step_until(watcher, lambda: box.stream(box.door).problem is None and box.stream(box.door).live, "the key is played")
    step_until(watcher, lambda: "leads back to this box" in (box.stream(stream_id).problem or ""), "the refusal")
    assert not box.stream(stream_id).live
    assert KEY not in (box.stream(stream_id).problem or "")


def test_a_camera_is_first_asked_for_the_transport_that_worked_until_it_is_another_camera(box: Box) -> None:
    stream_id = box.store.streams.add_with_source(1, "yard", "rtsp://127.0.0.1:1/1", time.time())
    watcher = box.watcher()
    watcher.step(now())
    assert watcher.analyses[stream_id].camera.transport == "tcp"
    watcher._stop()
    box.watchers.clear()
    with box.store.writing():
        box.store.streams.describe(stream_id, "h264", 320, 240, "udp")
    watcher = box.watcher()
    watcher.step(now())
    assert watcher.analyses[stream_id].camera.transport == "udp"
    with box.store.writing():
        box.store.streams.set_source(stream_id, "rtsp://127.0.0.1:1/2")
    watcher.step(now())
    assert watcher.analyses[stream_id].camera.transport == "tcp"


def test_a_view_and_what_is_wrong_with_it_stay_over_a_crash_until_somebody_says_that_it_is_the_new_view(
    box: Box,
) -> None:
    stream_id = box.store.streams.add_with_source(1, "yard", "rtsp://127.0.0.1:1/1", time.time())
    watcher = box.watcher()
    watcher.step(now())
    shown = np.random.default_rng(1).normal(100, 40, (90, 160)).astype(np.float32)
    learned = structure.packed(structure.structure_of(shown), 0.5, (640, 360))
    watcher.analyses[stream_id].view = View(learned, Faulty(PictureFault.MOVED, 1_795_521_600.0))
    watcher.step(replace(now(), uptime_s=now().uptime_s + 61))
    assert box.store.views.get(stream_id).learned == learned
    box.kill(watcher)
    watcher = box.watcher(analysing=False)
    watcher.step(now())
    watcher.judge_with(ColourDetector())
    watcher.step(now())
    view = watcher.analyses[stream_id].view
    assert view.learned == learned
    assert view.faulty == Faulty(PictureFault.MOVED, 1_795_521_600.0)
    streams.learn_view(box.store, box.stream(stream_id))
    watcher.step(now())
    view = watcher.analyses[stream_id].view
    assert (view.learned, view.faulty) == (None, None)
    watcher.step(replace(now(), uptime_s=now().uptime_s + 130))
    assert box.store.views.get(stream_id).learned is None
    assert box.store.streams.picture_fault(stream_id) is None


def test_a_source_without_pictures_is_not_live_and_says_why(box: Box) -> None:
    stream_id = box.store.streams.add_with_source(1, "gone", str(box.folder / "no such file"), time.time())
    watcher = box.watcher()
    step_until(watcher, lambda: "nothing at this address" in (box.stream(stream_id).problem or ""), "the reason")
    assert not box.stream(stream_id).live


def test_garbage_on_one_stream_touches_no_other(box: Box, standing: bytes) -> None:
    bad, good = box.source("bad.flv", b"garbage" * 5000), box.source("good.flv", standing)
    watcher = box.watcher()
    step_until(watcher, lambda: bool(box.detections()), "the good one is analysed")
    assert {stored.stream_id for stored in box.detections()} == {good}
    assert box.stream(bad).problem is not None
    assert box.stream(good).problem is None


def test_rotating_deactivating_and_deleting_kick_at_the_next_poll(box: Box, ingest: StandIn) -> None:
    watcher = box.watcher(analysing=False)
    changes: list[Callable[[], None]] = [
        lambda: box.store.streams.set_key(box.door, digest(NEW_KEY)),
        lambda: box.store.streams.set_active(box.door, False),
        lambda: box.store.streams.remove(box.door),
    ]
    for change in changes:
        ingest.publish("conn", f"live/{KEY}")
        ingest.flow()
        with box.store.writing():
            change()
        ingest.kicked.clear()
        watcher.step(now())
        assert ingest.kicked == ["conn"]


def test_a_model_that_cannot_be_used_judges_nothing_and_says_so_while_live_goes_on(
    box: Box, ingest: StandIn, standing: bytes
) -> None:
    watcher = box.watcher(analysing=False)
    watcher.model_problem = "Nothing is judged, because the model fails its self-test."
    publish(ingest, standing)
    step_until(watcher, lambda: box.stream(box.door).live, "LIVE", 3)
    assert box.stream(box.door).problem == watcher.model_problem
    assert watcher.analyses == {}
    (service,) = box.store.services.all(now())
    assert (service.name, service.alive, service.problem) == ("watch", True, watcher.model_problem)


def test_a_model_that_is_not_there_or_fails_its_self_test_is_never_used(monkeypatch: pytest.MonkeyPatch) -> None:
    detector, problem = usable_detector(Config(vision=Vision(model="no such model")))
    assert detector is None
    assert problem is not None
    assert "no such model" in problem
    # It runs, but it finds none of the faces of the golden pictures.
    monkeypatch.setattr("appliance.watch.service.load_detector", lambda _: ColourDetector())
    detector, problem = usable_detector(Config())
    assert detector is None
    assert problem is not None
    assert "self-test" in problem


def test_the_heartbeat_says_what_judges(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    no_gpu(monkeypatch)
    watcher = box.watcher(analysing=False)
    watcher.begin_judging(ColourDetector())
    assert watcher.backends is not None and watcher.model_problem is None

    def told() -> str:
        watcher._heartbeat_due_s = 0.0
        watcher.step(now())
        (service,) = box.store.services.all(now())
        assert service.judging is not None and service.problem is None
        return f"{service.judging.backend}: {service.judging.reason}"

    until(lambda: told() == "onnx: TensorRT is not installed. The CPU judges.", 30, "the CPU judges")
    watcher.backends.stop()


def test_an_ingest_that_is_gone_puts_all_who_publish_offline_and_is_reported(box: Box, ingest: StandIn) -> None:
    watcher = box.watcher(analysing=False)
    ingest.publish("conn", f"live/{KEY}")
    step_until(watcher, lambda: box.stream(box.door).live, "LIVE", 3)
    watcher.publishers.client = Client(1, "secret")  # nobody listens there
    step_until(watcher, lambda: not box.stream(box.door).live, "offline", 5)
    watcher.model_problem = None
    step_until(
        watcher, lambda: "ingest" in (box.store.services.all(now())[0].problem or ""), "the heartbeat says so", 5
    )


def test_a_watcher_begins_with_everything_offline_and_no_old_problem(box: Box) -> None:
    with box.store.writing():
        box.store.streams.set_live(box.door, "10.0.0.1", time.time())
        box.store.streams.set_problem(box.door, "of before")
    box.watcher().step(now())
    assert not box.stream(box.door).live
    assert box.stream(box.door).problem is None


def test_after_kill_9_the_same_person_is_not_counted_twice(box: Box, standing: bytes) -> None:
    box.source("file.flv", standing)
    first = box.watcher()
    step_until(first, lambda: bool(box.detections()), "the person")
    before = box.detections()[0]
    box.kill(first)
    second = box.watcher()
    step_until(
        second, lambda: box.detections()[0].detection.last_seen_utc > before.detection.last_seen_utc, "seen again"
    )
    begun_s = time.monotonic()
    step_until(second, lambda: time.monotonic() - begun_s > 2, "a while")
    assert [stored.id for stored in box.detections()] == [before.id]
    assert box.detections()[0].detection.first_seen_utc == before.detection.first_seen_utc


def test_a_locked_store_stops_nothing_and_loses_nobody(box: Box, walking: bytes) -> None:
    box.source("file.flv", walking)
    watcher = box.watcher()
    watcher.step(now())
    other = sqlite3.connect(box.config.store_path)
    other.execute("begin immediate")
    step_until(watcher, lambda: watcher.recorder.waiting() >= 2, "two people wait")
    assert watcher.store_problem is not None
    assert box.detections() == []
    other.rollback()
    other.close()
    step_until(watcher, lambda: len(box.detections()) >= 2, "both are stored", 3)
    assert watcher.store_problem is None


def test_a_stream_deleted_while_it_is_watched_is_dropped_quietly(
    box: Box, standing: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    stream_id = box.source("file.flv", standing)
    watcher = box.watcher()
    step_until(watcher, lambda: bool(box.detections()), "the person")
    with box.store.writing():
        box.store.streams.remove(stream_id)
    step_until(watcher, lambda: not watcher.analyses and not watcher.recorder.waiting(), "it is watched no more", 3)
    assert box.detections() == []
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def _age_images(watcher: Watcher, box: Box, ages_days: tuple[int, ...]) -> None:
    """Makes day files that old, each with the image of one detection."""
    for age in ages_days:
        place = watcher.images.append(b"\xff\xd8 picture", time.time() - age * 86400)
        with box.store.writing():
            box.store.db.execute(
                "insert into detections select null, ?, '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z', 'mask',"
                " 1, 3, 0, 0, 1, 1, 2, 2, 'test', null, ?, 0, 9, ?, null, 0, null, null, null",
                [box.door, place.day, f"token{age}"],
            )


def test_images_of_old_days_are_forgotten_and_their_people_are_not(box: Box) -> None:
    watcher = box.watcher()
    watcher.retention.is_synchronised = lambda: True
    _age_images(watcher, box, (0, 29, 31, 100))
    watcher.step(now())
    assert watcher.images.days() == [day_of(time.time() - 29 * 86400), day_of(time.time())]
    assert [stored.image is not None for stored in box.detections()] == [True, True, False, False]
    assert box.store.problems() == []


def test_when_the_disk_is_nearly_full_the_oldest_days_go_but_not_today(box: Box) -> None:
    box.config = Config(state_dir=box.config.state_dir, media=box.config.media, images=Images(min_free_mb=10**9))
    watcher = box.watcher()
    _age_images(watcher, box, (0, 1, 5))
    watcher.step(now())
    assert watcher.images.days() == [day_of(time.time())]
    assert len(box.detections()) == 3


def test_a_day_that_cannot_be_removed_ends_nothing(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = box.watcher()
    watcher.retention.is_synchronised = lambda: True
    _age_images(watcher, box, (1, 100))

    def refuse(_: str) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(watcher.images, "forget", refuse)
    watcher.step(now())
    assert len(watcher.images.days()) == 2


@pytest.mark.parametrize("synchronised", [True, False])
def test_a_clock_that_jumps_forward_takes_no_image(box: Box, synchronised: bool) -> None:
    watcher = box.watcher()
    watcher.retention.is_synchronised = lambda: synchronised
    _age_images(watcher, box, (0, 1, 2, 3))
    watcher.step(moment := now())
    for minute in range(1, 4):
        uptime_s = moment.uptime_s + 60 * minute
        watcher.step(replace(moment, utc=moment.utc + 400 * 86400 + 60 * minute, uptime_s=uptime_s))
    assert len(watcher.images.days()) == 4
    assert all(stored.image for stored in box.detections())


def test_an_erasure_that_was_cut_off_is_finished_at_the_next_start(box: Box) -> None:
    watcher = box.watcher()
    _age_images(watcher, box, (0,))
    (image,) = box.store.detections.all_images()
    box.kill(watcher)
    with box.store.writing():  # whoever deleted it was killed right after the commit
        box.store.detections.remove(1)
    assert watcher.images.read(image) is not None
    box.watcher().step(now())
    assert watcher.images.read(image) is None
    assert box.store.erasures.oldest(9) == {}


def test_a_preview_goes_when_its_stream_goes(box: Box, ingest: StandIn, standing: bytes) -> None:
    watcher = box.watcher()
    publish(ingest, standing)
    watcher.previews.request(box.door)
    step_until(watcher, lambda: watcher.previews.read(box.door) is not None, "the preview")
    ingest.items.clear()
    step_until(watcher, lambda: not watcher.analyses, "offline", 3)
    assert watcher.previews.read(box.door) is None


def test_stopping_stores_what_was_seen_and_says_offline(box: Box, standing: bytes) -> None:
    stream_id = box.source("file.flv", standing)
    watcher = box.watcher()
    step_until(watcher, lambda: bool(box.detections()), "the person")
    until(lambda: watcher.recorder.waiting() > 0, 5, "something new was seen")
    before = box.detections()[0].detection
    watcher._stop()
    box.watchers.clear()
    assert box.detections()[0].detection.last_seen_utc > before.last_seen_utc
    assert not box.stream(stream_id).live


def test_the_store_is_left_alone_while_nothing_happens(box: Box) -> None:
    watcher = box.watcher()
    versions = []
    for _ in range(35):
        watcher.step(now())
        versions.append(box.store.db.execute("pragma data_version").fetchone()[0])
        time.sleep(0.1)
    assert len(set(versions)) <= 4, "a heartbeat every two seconds and nothing else"


def test_no_key_reaches_the_log(
    box: Box,
    ingest: StandIn,
    standing: bytes,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    watcher = box.watcher()
    stopping = publish(ingest, standing, seconds=1)
    step_until(watcher, lambda: bool(box.detections()), "the person")
    stopping.set()
    ingest.videos.clear()  # the address answers 404 from now on
    step_until(watcher, lambda: box.stream(box.door).problem is not None, "the trouble")
    with box.store.writing():
        box.store.streams.set_key(box.door, digest(NEW_KEY))
    watcher.step(now())
    assert ingest.kicked
    out, err = capfd.readouterr()
    said = caplog.text + out + err + str(box.stream(box.door).problem)
    assert KEY not in said
    assert watcher.secret not in said


class Scripted(Clock):
    """A clock with a script: what happens at which second, while somebody waits. It stands in for `stopping`, too."""

    def __init__(self, *script: tuple[float, Callable[[], object]], end_s: float) -> None:
        super().__init__()
        self.script = sorted(((self.now_s + at_s, act) for at_s, act in script), key=lambda each: each[0])
        self.end_s = self.now_s + end_s

    def is_set(self) -> bool:
        return self.now_s >= self.end_s

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        end_s = self.now_s + seconds
        while self.script and self.script[0][0] <= end_s and not until():
            at_s, act = self.script.pop(0)
            self.now_s = max(self.now_s, at_s)
            act()
        self.now_s = self.now_s if until() else end_s
        return self.is_set()

    def now(self) -> Now:
        return replace(now(), uptime_s=self.now_s)


class ScriptedNews(threading.Event):
    """The recorder's news, waited for by a scripted clock."""

    def __init__(self, clock: Scripted) -> None:
        super().__init__()
        self.clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        self.clock.wait(timeout or 0.0, self.is_set)
        return self.is_set()


def seen(key: str, stream_id: int, state: State, seconds: float) -> Sighting:
    detection = Detection(1.8e9, 1.8e9 + seconds, state, 0.9, 3, (10, 20, 50, 60), 320, 240, "test")
    return Sighting(key, stream_id, None, detection, None, False)


def test_who_is_new_or_in_another_state_is_recorded_at_once_and_nobody_else(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten looks a second at two people; what the store shows is read at each tenth of a second."""
    watcher = box.watcher(analysing=False)
    changes: list[tuple[int, str]] = []

    def look(tenth: int, key: str, state: State) -> tuple[float, Callable[[], object]]:
        return tenth / 10 + 0.01, lambda: watcher.recorder.take(seen(key, box.door, state, tenth / 10))

    def read(tenth: int) -> None:
        told = " ".join(
            f"{one.detection.state.value} {one.detection.last_seen_utc - 1.8e9:.1f}" for one in box.detections()
        )
        if told and (not changes or changes[-1][1] != told):
            changes.append((tenth, told))

    ann = [look(tenth, "ann", State.UNKNOWN if tenth < 15 else State.MASK) for tenth in range(12, 60)]
    bea = [look(tenth, "bea", State.NO_MASK) for tenth in range(32, 60)]
    reading = [(tenth / 10 + 0.09, lambda tenth=tenth: read(tenth)) for tenth in range(60)]
    clock = Scripted(*ann, *bea, *reading, end_s=6)
    monkeypatch.setattr("appliance.watch.service.time", clock)
    monkeypatch.setattr("appliance.watch.service.now", clock.now)
    watcher.recorder.news = ScriptedNews(clock)
    watcher.loop(clock)  # type: ignore[arg-type]
    assert changes == [
        (12, "unknown 1.2"),
        (15, "mask 1.5"),
        (32, "mask 1.5 no_mask 3.2"),
        (40, "mask 3.9 no_mask 3.2"),
    ], "a new person and another state within a tenth, the rest at a poll, each two seconds later"


@pytest.mark.parametrize("takes_s", [0.0, 0.3])
def test_a_crowd_costs_four_transactions_a_second_and_a_poll_each_second_remains(
    takes_s: float, box: Box, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """takes_s: how long a transaction of news takes, on a slow card."""
    watcher = box.watcher(analysing=False)
    write_news = watcher.write_news
    versions: list[int] = []

    def arrive(number: int) -> tuple[float, Callable[[], object]]:
        return number / 50, lambda: watcher.recorder.take(seen(f"{number}", box.door, State.MASK, 0))

    def read() -> None:
        versions.append(box.store.db.execute("pragma data_version").fetchone()[0])

    clock = Scripted(*[arrive(number) for number in range(500)], *[(n / 20, read) for n in range(200)], end_s=10)
    monkeypatch.setattr("appliance.watch.service.time", clock)
    monkeypatch.setattr("appliance.watch.service.now", clock.now)
    monkeypatch.setattr(watcher, "write_news", lambda moment: (write_news(moment), clock.wait(takes_s)))
    watcher.recorder.news = ScriptedNews(clock)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        watcher.loop(clock)  # type: ignore[arg-type]
        heard = 0
        with contextlib.suppress(BlockingIOError):
            while manager.recv(100) == b"WATCHDOG=1":
                heard += 1
    assert heard == 9, "the watchdog hears of each poll, not of what is written in between"
    assert 15 <= len(set(versions)) <= 41
    assert box.store.detections.counts(DetectionFilter()).total >= 480


def test_news_wait_for_the_next_step_while_the_store_has_trouble(box: Box) -> None:
    watcher = box.watcher(analysing=False)
    watcher.step(now())
    watcher.recorder.take(seen("ann", box.door, State.MASK, 0))
    with contextlib.closing(sqlite3.connect(box.config.store_path)) as other:
        other.execute("begin immediate")
        watcher.write_news(now())
    assert "database is locked" in (watcher.store_problem or "")
    watcher.write_news(now())
    assert box.detections() == [], "a step tries again, and says so when it worked"
    watcher.step(now())
    assert not watcher.store_problem
    assert len(box.detections()) == 1


class Healthy:
    """Stands in for an analysis whose health the test says."""

    crash = problem = watch_problem = watch_url = reach = None
    decoded_by = ""
    url = "rtsp://127.0.0.1:1/1"

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self.health, self.work = Health(), Work()
        self.counting, self.view = Counting(), View()

    def is_alive(self) -> bool:
        return True

    def stop(self) -> None:
        """Nothing runs."""

    def join(self, patience_s: float) -> None:
        """Nothing runs."""


def test_health_is_stored_in_whole_percent_and_alone_every_ten_seconds_at_most(box: Box) -> None:
    stream_id = box.store.streams.add_with_source(1, "yard", Healthy.url, time.time())
    watcher = box.watcher()
    watcher.step(moment := now())
    analysis = watcher.analyses.pop(stream_id)
    analysis.stop()
    stand_in = Healthy(analysis.camera)
    stand_in.reach = watcher.reach  # type: ignore[assignment]
    watcher.analyses[stream_id] = stand_in  # type: ignore[assignment]

    def stored() -> tuple[object, ...]:
        columns = "too_small, looks, smallest_face_px, decoding_ms, idle_ms, delay_s, frames_judged, delays_s"
        (row,) = box.store.db.execute(f"select {columns} from stream_status where stream_id = ?", [stream_id])
        return tuple(row)

    told = []
    for tenth in range(1, 121):
        stand_in.health = Health(tenth / 1000, 1.0000001, 27.6, 118.2 + tenth, None, 0.4321)
        stand_in.work = Work(frames_judged=tenth, delays_s=tenth * 0.5)
        watcher.step(replace(moment, uptime_s=moment.uptime_s + tenth / 4))
        told.append(stored())
    assert len(set(told)) <= 4, "before, and each ten seconds"
    assert told[-1] == (0.12, 1.0, 28.0, 238.0, None, 0.4, 120, 60.0)


def test_a_sub_stream_that_fails_ends_nothing_and_is_told_apart(box: Box, standing: bytes) -> None:
    stream_id = box.source("file.flv", standing)
    with box.store.writing():
        box.store.streams.set_watch(stream_id, str(box.folder / "no such file"))
    watcher = box.watcher()
    step_until(watcher, lambda: "nothing at this address" in (box.stream(stream_id).watch_problem or ""), "the reason")
    step_until(watcher, lambda: bool(box.detections()), "the person")
    stream = box.stream(stream_id)
    assert (stream.live, stream.problem) == (True, None)
    watcher.step(now())
    with box.store.writing():
        box.store.streams.set_watch(stream_id, None)
    step_until(watcher, lambda: box.stream(stream_id).watch_problem is None, "there is no sub-stream any more", 3)


def test_an_analysis_that_died_is_started_again_and_gives_back_what_it_could_spend(
    box: Box, standing: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = [box.source(name, standing) for name in ("one.flv", "two.flv")]
    watcher = box.watcher()
    watcher.step(now())
    assert watcher.budget.ms_per_s == pytest.approx(processors() * 800), "vision.cpu_share of this machine"
    dead = watcher.analyses[streams[0]]
    monkeypatch.setattr(dead, "is_alive", lambda: False)
    watcher.step(now())
    assert watcher.analyses[streams[0]] is not dead
    shares_ms = [analysis.observer._purse.ms_per_s for analysis in watcher.analyses.values()]
    assert sum(shares_ms) == pytest.approx(watcher.budget.ms_per_s)


def test_another_picture_to_watch_starts_the_analysis_again(box: Box) -> None:
    stream_id = box.store.streams.add_with_source(1, "yard", "rtsp://127.0.0.1:1/1", time.time())
    watcher = box.watcher()
    watcher.step(now())
    first = watcher.analyses[stream_id]
    assert first.watch_url is None
    watcher.step(now())
    assert watcher.analyses[stream_id] is first
    with box.store.writing():
        box.store.streams.set_watch(stream_id, "rtsp://127.0.0.1:1/2")
    watcher.step(now())
    second = watcher.analyses[stream_id]
    assert (second.url, second.watch_url) == ("rtsp://127.0.0.1:1/1", "rtsp://127.0.0.1:1/2")
    assert second is not first
