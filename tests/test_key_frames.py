"""Encoders that seldom send a key frame, as OBS does by default: real RTMP into either ingest, real decoding."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.media.flv import MAX_GROUP_BYTES
from appliance.media.mediamtx import read_url
from appliance.vision.reading.camera import Camera
from appliance.vision.reading.condition import Obstacle
from tests.boxes import publishing, until
from tests.conftest import port_giver
from tests.media_room import ENGINES, FFMPEG, MediaRoom, skip_without
from tests.watching import Watcher

pytestmark = pytest.mark.timeout(120)
KEY = "SELDOM22222222222222"
FPS, INTERVAL_S = 15, 14
JOINED_S = 8  # after the beginning; what has come by then is more than the embedded ingest keeps


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise, which takes many bytes, with a key frame every 14 s and nowhere else."""
    skip_without(*FFMPEG)
    path = tmp_path_factory.mktemp("clips") / "seldom.flv"
    noise = f"nullsrc=size=320x240:rate={FPS},geq=random(1)*255:128:128"
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", noise, "-t", str(INTERVAL_S)]
    encoding = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-qp", "12", "-bf", "0"]
    seldom = ["-g", str(FPS * INTERVAL_S), "-sc_threshold", "0", "-an"]
    subprocess.run([*command, *encoding, *seldom, "-f", "flv", str(path)], check=True)
    assert path.stat().st_size > MAX_GROUP_BYTES / (JOINED_S - 2) * INTERVAL_S
    return path


@contextmanager
def watching(room: MediaRoom, path: str) -> Iterator[Camera]:
    """The camera of the watcher, on a path of the ingest, until the end of the block."""
    url = read_url(room.config, room.client.engine(), path, room.secret)
    camera = Camera(url, reach=None)
    camera.start()
    try:
        yield camera
    finally:
        camera.stop()


@pytest.mark.parametrize("engine", ENGINES)
def test_the_first_picture_comes_within_one_interval_and_the_wait_is_called_one(
    engine: str, clip: Path, tmp_path: Path
) -> None:
    room = MediaRoom(tmp_path, engine, port_giver())
    room.add_stream(KEY)
    with room.running(), publishing(clip, room.url(KEY)):
        begun_s = time.monotonic()
        path = room.wait_for(KEY).name
        until(lambda: time.monotonic() - begun_s > JOINED_S, JOINED_S + 1, "the group is too large to be kept")
        obstacles = []
        with watching(room, path) as camera:
            watcher = Watcher(camera)

            def seen() -> bool:
                obstacles.append(camera.condition.obstacle(time.monotonic()))
                return bool(watcher.next_frames(0.05))

            until(seen, INTERVAL_S + 5, "a picture")
    assert set(obstacles) <= {Obstacle.CONNECTING, Obstacle.NO_KEY_FRAME, None}
    assert Obstacle.NO_KEY_FRAME in obstacles


def test_the_embedded_ingest_gives_whoever_joins_the_last_key_frame(clip: Path, tmp_path: Path) -> None:
    room = MediaRoom(tmp_path, "embedded", port_giver())
    room.add_stream(KEY)
    with room.running(), publishing(clip, room.url(KEY)), watching(room, room.wait_for(KEY).name) as camera:
        watcher = Watcher(camera)
        until(lambda: bool(watcher.next_frames(0.05)), INTERVAL_S / 2, "a picture, long before the next key frame")
