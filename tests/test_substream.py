"""The smaller picture of a camera, watched for movement: real videos at their own speed."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from appliance.vision.frame import Frame
from appliance.vision.pixels import Pixels
from appliance.vision.reading.decoding import Decoding
from appliance.vision.reading.substream import MARGIN_S, SubStream
from tests.boxes import until
from tests.videos import FPS, make_video
from tests.watching import ALL, EVERYWHERE
from tests.watching import watching as watching_main

STILL_S, MOVING_S = 6, 2


def somebody_comes(index: int) -> Pixels:
    """A room with some noise; after a while somebody walks through it."""
    picture = np.random.default_rng(index % 5).integers(95, 105, (180, 320, 3), np.uint8)
    if index >= STILL_S * FPS:
        left = (index - STILL_S * FPS) * 5 % 280
        picture[60:160, left : left + 40] = (230, 200, 190)
    return picture


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clip.ts"
    path.write_bytes(make_video(somebody_comes, (STILL_S + MOVING_S) * FPS, options={"qp": "20"}, key_frame_every=10))
    return path


@contextmanager
def watching(url: str) -> Iterator[tuple[SubStream, threading.Event]]:
    """A sub-stream that is watched until the end of the block, and what it sets when it tells of something."""
    told = threading.Event()
    watched = SubStream(url, EVERYWHERE, told.set)
    watched.start()
    try:
        yield watched, told
    finally:
        watched.stop()
        watched.join(30)


def test_movement_is_told_and_when_it_began(clip: Path) -> None:
    with watching(str(clip)) as (watched, told):
        until(lambda: watched.is_watching, 30, "it watches")
        begun_s = time.monotonic()
        assert watched.problem is None
        assert not watched.moved_since(begun_s)
        told.clear()
        assert told.wait(STILL_S + 5)
        until(lambda: watched.moved_since(begun_s), 30, "what moved")
        assert time.monotonic() - 2 - MARGIN_S < watched.began_s < time.monotonic()
        assert watched.moved_since(watched.began_s)
        assert watched.decoding.idle, "key frames that come twice a second suffice"


def test_the_main_stream_is_decoded_when_the_smaller_one_moves_from_before_that_on(clip: Path) -> None:
    decoding, replayed, idle_ms = Decoding(ALL), list[Frame](), list[float]()
    with watching(str(clip)) as (watched, _), watching_main(str(clip)) as camera:

        def step() -> bool:
            since_s = time.monotonic()
            for packet in camera.packets(0.2, keys_only=decoding.idle):
                for frame in decoding.take(packet):
                    camera.decoded(frame)
                if decoding.elsewhere and packet.key:
                    camera.kept_undecoded()
            if not decoding.idle and watched.is_watching:
                decoding.rest(elsewhere=True)
            elif decoding.idle:
                idle_ms.append(decoding.decoding_ms)
                if watched.moved_since(since_s - 1):
                    replayed.extend(decoding.wake(watched.began_s))
            return bool(replayed)

        until(step, 30, "something moves, and the main stream is looked at")
        assert camera.problem is None
    assert len(idle_ms) > 5
    assert len(set(idle_ms)) == 1, "nothing is decoded meanwhile"
    times_s = [frame.time_s for frame in replayed]
    assert times_s[0] <= watched.began_s
    assert times_s[-1] > watched.began_s + MARGIN_S
    assert [later - earlier for earlier, later in itertools.pairwise(times_s)] == pytest.approx(
        [1 / FPS] * (len(times_s) - 1), abs=0.01
    )


@pytest.mark.parametrize("url", ["/no/such/video", "http://user:SECRET@127.0.0.1:1/SECRET"])
def test_without_a_picture_it_says_that_the_main_stream_is_watched(url: str) -> None:
    with watching(url) as (watched, _):
        until(lambda: "?" in str(watched.problem) or "check it" in str(watched.problem), 30, "why there is none")
        assert str(watched.problem).startswith("The sub-stream shows nothing, so the main stream is watched instead. ")
        assert "SECRET" not in str(watched.problem)
        assert not watched.is_watching


def test_a_crash_is_told_and_ends_nothing_else(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with watching(str(clip)) as (watched, told):
        until(lambda: watched.is_watching, 30, "it watches")
        told.clear()
        monkeypatch.setattr(watched._motion, "look", None)
        assert told.wait(10), "whoever relies on it looks by itself"
        assert "its log says why" in str(watched.problem)
        assert not watched.is_watching


def test_a_picture_that_stops_is_not_watched(clip: Path) -> None:
    with watching(str(clip)) as (watched, _):
        until(lambda: watched.is_watching, 30, "it watches")
        watched.camera.stop()
        until(lambda: not watched.is_watching, 30, "it does not")
