"""RTSP cameras as they are: over UDP alone, silent, frozen. Real RTSP and pictures, and the watcher's word on them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.accounts.people import Role
from appliance.config import Config
from appliance.sections import Sources
from appliance.store import Store, Stream
from appliance.times import now
from appliance.vision.reading.camera import Camera
from appliance.vision.reading.condition import PULLED, Obstacle
from appliance.vision.reading.reach import Reach
from appliance.watch.service import Watcher
from tests.boxes import until
from tests.colour_detector import ColourDetector
from tests.media_room import make_clip
from tests.rtsp_camera import rtsp_camera

EVERY_PORT = tuple(range(1, 65_536))  # the camera of a test is on this machine
REACH = Reach(own_ports=frozenset(EVERY_PORT))

pytestmark = [pytest.mark.mediamtx, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few seconds, a key frame each second."""
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.flv", "-an")


class Box:
    """A store with one stream, which is pulled, and its watcher."""

    def __init__(self, folder: Path, url: str) -> None:
        self.config = Config(state_dir=str(folder), sources=Sources(own_ports=EVERY_PORT))
        self.store = Store.open(self.config.store_path)
        self.store.people.add("ann", "-", Role.ADMIN, time.time())
        self.stream_id = self.store.streams.add_with_source(1, "yard", url, time.time())

    def watcher(self) -> Watcher:
        """A new one, as after its self-test."""
        watcher = Watcher(self.config)
        watcher.judge_with(ColourDetector())
        return watcher

    @property
    def stream(self) -> Stream:
        stream = self.store.streams.get(self.stream_id, now())
        assert stream is not None
        return stream

    def step_until(self, watcher: Watcher, condition: Callable[[], bool], patience_s: float, what: str) -> float:
        """Steps a few times a second until the condition holds; how long that took."""

        def stepped() -> bool:
            watcher.step(now())
            time.sleep(0.1)
            return condition()

        return until(stepped, patience_s, what)


def test_a_camera_that_takes_udp_alone_is_seen(clip: Path, tmp_path: Path, free_port: Callable[[], int]) -> None:
    with rtsp_camera(tmp_path, clip, "udp", free_port) as camera:
        box = Box(tmp_path / "state", camera.url)
        watcher = box.watcher()
        box.step_until(watcher, lambda: box.stream.live and box.stream.transport == "udp", 30, "it is seen over UDP")
        watcher._stop()
        box.store.close()


def test_a_camera_that_freezes_is_live_no_more_within_seconds_and_it_is_told(
    clip: Path, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with rtsp_camera(tmp_path, clip, "tcp", free_port) as camera:
        box = Box(tmp_path / "state", camera.url)
        watcher = box.watcher()
        box.step_until(watcher, lambda: box.stream.live and box.stream.problem is None, 30, "LIVE")
        assert box.stream.transport == "tcp"
        camera.freeze()
        box.step_until(watcher, lambda: not box.stream.live, 9, "LIVE ends")
        assert "The camera has sent nothing for" in str(box.stream.problem)
        frozen_s = time.monotonic()
        told: set[str | None] = set()

        def gather() -> bool:
            told.add(box.stream.problem)
            assert not box.stream.live, "what FFmpeg still held is no life"
            return time.monotonic() - frozen_s > 8

        box.step_until(watcher, gather, 20, "it stays so")
        assert all("The camera has sent nothing for" in str(sentence) for sentence in told)
        watcher._stop()
        box.store.close()


def test_a_camera_that_is_connected_and_sends_nothing_is_called_silent(
    clip: Path, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with rtsp_camera(tmp_path, clip, "tcp", free_port) as on:
        probe = Camera(on.url, reach=REACH)
        probe.start()
        until(lambda: bool(probe.packets(0.1)), 20, "the camera plays")
        probe.stop()
        on.freeze()
        camera = Camera(on.url, reach=REACH)
        camera.start()
        said = set()

        def told() -> bool:
            said.add(camera.condition.obstacle(time.monotonic()))
            return Obstacle.SILENT in said

        until(told, 20, "that it is silent")
        camera.stop()
    assert said <= {Obstacle.CONNECTING, Obstacle.SILENT}
    assert "cannot be decoded" not in PULLED[Obstacle.SILENT]
