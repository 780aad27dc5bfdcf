"""The camera: its sizes, its rate, its pauses and its words, on files and on a clock of the test's own."""

from __future__ import annotations

import itertools
import logging
import re
import socket
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import av.error
import pytest

from appliance.vision.frame import Frame
from appliance.vision.pixels import frame_of
from appliance.vision.reading.camera import MAX_PACE_S, Camera, _Pace
from appliance.vision.reading.condition import PULLED, Obstacle
from appliance.vision.reading.reach import NoAnswer, Reach, SourceRefused
from tests.boxes import until
from tests.clock import Clock
from tests.videos import grey, make_video
from tests.watching import Watcher, brightness, frames, watching

NOT_THERE, REFUSED, TOO_LARGE = PULLED[Obstacle.NOT_THERE], PULLED[Obstacle.WRONG_LOGIN], PULLED[Obstacle.TOO_LARGE]
GONE, NOT_VIDEO, UNREADABLE = PULLED[Obstacle.ENDED], PULLED[Obstacle.NOT_VIDEO], PULLED[Obstacle.UNREADABLE]
NOT_FOUND = av.error.HTTPNotFoundError(1, "rtsp://KEY")


def clocked(monkeypatch: pytest.MonkeyPatch, stop_after: int = 1_000_000) -> tuple[Camera, Clock]:
    """A camera without a thread, and the clock it goes by; it is stopped after so many pauses."""
    clock = Clock(stop_after)
    monkeypatch.setattr("appliance.vision.reading.camera.time", clock)
    camera = Camera("rtsp://camera", Reach(), stall_s=3.0)
    camera._stopping = clock  # type: ignore[assignment]
    return camera, clock


def picture(side: int = 64) -> Frame:
    return Frame(frame_of(grey(side, side)(0)), 1000.0, 1000.0)


def failing(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def test_a_picture_comes_as_the_camera_sends_it(tmp_path: Path) -> None:
    path = tmp_path / "video.ts"
    path.write_bytes(make_video(grey(320, 180), 50))
    with watching(str(path)) as camera:
        (frame, *_) = frames(camera, bool)
        assert (frame.width, frame.height) == (320, 180)
        assert frame.source.format.name == "yuv420p"
        assert (camera.condition.codec, camera.width, camera.height) == ("h264", 320, 180)
        assert camera.problem is None
        assert abs(frame.utc - time.time()) < 5
        assert abs(frame.time_s - time.monotonic()) < 5


def test_a_file_plays_at_its_own_speed_and_in_a_loop_without_a_word(tmp_path: Path) -> None:
    path = tmp_path / "video.ts"
    path.write_bytes(make_video(grey(64, 64), 75))  # a process may be kept waiting for a second
    begun_s = time.monotonic()
    problems = []

    def two_rounds(got: list[Frame]) -> bool:
        if got:
            problems.append(camera.problem)
        return sum(brightness(one) > brightness(two) + 20 for one, two in itertools.pairwise(got)) == 2

    with watching(str(path)) as camera:
        frames(camera, two_rounds)
    assert 5.2 < time.monotonic() - begun_s < 30
    assert set(problems) == {None}


def test_pictures_keep_the_distances_that_the_camera_gave_them(tmp_path: Path) -> None:
    path = tmp_path / "video.ts"
    path.write_bytes(make_video(grey(64, 64), 100))
    with watching(str(path)) as camera:
        got = frames(camera, lambda got: len(got) == 60)
    distances_s = [later.time_s - earlier.time_s for earlier, later in itertools.pairwise(got)]
    assert sum(distances_s) == pytest.approx(59 / 25, abs=0.1)
    assert statistics.median(distances_s) == pytest.approx(1 / 25, abs=0.001)
    assert [frame.utc - frame.time_s for frame in got] == pytest.approx([got[0].utc - got[0].time_s] * 60, abs=0.5)


def test_whoever_waits_for_key_frames_is_woken_by_them_alone(tmp_path: Path) -> None:
    path = tmp_path / "video.ts"
    path.write_bytes(make_video(grey(64, 64), 200))
    with watching(str(path)) as camera:
        until(lambda: bool(camera.packets(0.05)), 30, "it plays")
        camera.packets(2, keys_only=True)  # the rest of what came before
        batches = [camera.packets(5, keys_only=True) for _ in range(3)]
    assert all(any(packet.key for packet in batch) for batch in batches), "the first of the next 24 woke nobody"


def test_a_nudge_ends_waiting(tmp_path: Path) -> None:
    camera = Camera(str(tmp_path / "nowhere"), Reach())
    camera.nudge()
    begun_s = time.monotonic()
    assert camera.packets(30) == []
    assert time.monotonic() - begun_s < 10


def test_a_decoded_picture_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    camera, clock = clocked(monkeypatch)
    clock.now_s = 1002
    assert camera.decoded(picture(96))
    assert (camera.width, camera.height, camera.condition.last_frame_s, camera.problem) == (96, 96, 1002, None)


def test_pauses_between_attempts_double_up_to_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    camera, clock = clocked(monkeypatch, stop_after=7)
    monkeypatch.setattr(camera, "_read", failing(NOT_FOUND))
    camera._run()
    assert clock.waits_s == [0.5, 1, 2, 4, 8, 10, 10]
    assert camera.problem == NOT_THERE


def test_pauses_are_short_again_after_a_while_of_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    camera, clock = clocked(monkeypatch, stop_after=6)
    plays_s = iter([0, 0, 0, 1.5, 1.0, 0])  # how long pictures come

    def play() -> None:
        seconds = next(plays_s)
        clock.now_s += seconds
        if seconds:
            camera.decoded(picture())

    monkeypatch.setattr(camera, "_read", play)
    camera._run()
    assert clock.waits_s == [0.5, 1, 2, 0.5, 1, 2], "one second of pictures is not enough"
    assert camera.problem == GONE


@pytest.mark.parametrize(
    ("error", "phase", "obstacle"),
    [
        (av.error.HTTPUnauthorizedError(1, "rtsp://KEY"), "connecting", Obstacle.WRONG_LOGIN),
        (av.error.HTTPForbiddenError(1, "rtsp://KEY"), "data", Obstacle.WRONG_LOGIN),
        (NOT_FOUND, "connecting", Obstacle.NOT_THERE),
        (av.error.FileNotFoundError(2, "rtsp://KEY"), "connecting", Obstacle.NOT_THERE),
        (av.error.ConnectionRefusedError(111, "rtsp://KEY"), "connecting", Obstacle.PORT_CLOSED),
        (ConnectionRefusedError(111, "KEY"), "connecting", Obstacle.PORT_CLOSED),
        (av.error.OSError(113, "rtsp://KEY"), "connecting", Obstacle.NO_ROUTE),
        (av.error.OSError(101, "rtsp://KEY"), "connecting", Obstacle.NO_ROUTE),
        (av.error.PermissionError(13, "/dev/KEY"), "connecting", Obstacle.NO_PERMISSION),
        (socket.gaierror(-2, "KEY"), "connecting", Obstacle.NO_NAME),
        (NoAnswer(), "connecting", Obstacle.NO_ANSWER),
        (SourceRefused("Not this one."), "connecting", Obstacle.FORBIDDEN),
        (SourceRefused("Not this one."), "data", Obstacle.FORBIDDEN),
        (av.error.TimeoutError(110, "rtsp://KEY"), "connecting", Obstacle.SILENT),
        (TimeoutError(), "connecting", Obstacle.SILENT),
        (TimeoutError(), "open", Obstacle.SILENT),
        (av.error.ExitError(1, "http://KEY"), "connecting", Obstacle.SILENT),
        (av.error.InvalidDataError(1, "http://KEY"), "connecting", Obstacle.NOT_VIDEO),
        (ValueError("rtsp://KEY"), "connecting", Obstacle.NOT_VIDEO),
        (av.error.OSError(93, "rtsp://KEY"), "connecting", Obstacle.NO_TRANSPORT),
        (OSError(5, "rtsp://KEY"), "connecting", Obstacle.UNREADABLE),
        (OSError(5, "rtsp://KEY"), "data", Obstacle.ENDED),
        (av.error.InvalidDataError(1, "http://KEY"), "data", Obstacle.ENDED),
    ],
)
def test_every_error_is_told_in_words_for_people_and_logged_once(
    error: Exception, phase: str, obstacle: Obstacle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    camera, clock = clocked(monkeypatch, stop_after=3)
    camera._url = "rtsp://127.0.0.1/KEY"

    def read() -> None:
        clock.now_s += 0.5
        if phase in ("open", "data"):
            camera.condition.opened("h264")
        if phase == "data":
            camera.condition.data(clock.now_s)
        raise error

    monkeypatch.setattr(camera, "_read", read)
    camera._run()
    assert camera.condition.obstacle(clock.now_s) is obstacle
    kind = str(error) if isinstance(error, SourceRefused) else type(error).__name__
    said = PULLED[obstacle].format(kind=kind, seconds="N s")
    assert [re.sub(r"\d+ s\b", "N s", message) for message in caplog.messages] == [said]
    assert "KEY" not in caplog.text


@pytest.mark.parametrize("error", [av.error.ExitError(1, "rtsp://KEY"), TimeoutError()])
def test_silence_after_data_is_counted_from_the_last_data(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    camera, clock = clocked(monkeypatch, stop_after=1)

    def read() -> None:
        camera.decoded(picture())
        camera.condition.data(clock.now_s)
        clock.now_s += 11.5
        raise error

    monkeypatch.setattr(camera, "_read", read)
    camera._run()
    assert camera.problem == "The camera has sent nothing for 10 s; connecting again."


def test_a_picture_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.vision.reading.camera.MAX_PIXELS", 64 * 64)
    path = tmp_path / "video.ts"
    path.write_bytes(make_video(grey(66, 64), 50))
    with watching(str(path)) as camera:
        watcher = Watcher(camera)
        assert camera.decoded(picture(64))
        until(lambda: bool(watcher.next_frames(0.05)) or camera.problem == TOO_LARGE, 30, "that it is too large")
        assert camera.problem == TOO_LARGE
        assert camera.width == 64


def test_a_file_lasts_as_long_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("appliance.vision.reading.camera.time", clock)
    pace = _Pace()
    assert pace.wait_s(7.0) == 0, "the first picture is due at once"
    clock.now_s += 0.25
    assert pace.wait_s(7.5) == 0.25
    clock.now_s += 0.75
    assert pace.wait_s(7.75) == 0, "late"
    assert pace.wait_s(10.0) == MAX_PACE_S, "as long a wait as there may be"
    assert pace.wait_s(20.0) == 0, "the time stamps leap"
    assert pace.wait_s(20.5) == 0.5
    clock.now_s += 10
    assert pace.wait_s(21.0) == 0, "the machine slept"
    assert pace.wait_s(21.5) == 0.5


@pytest.mark.parametrize(
    ("error", "transports", "waits_s"),
    [
        (av.error.OSError(93, "it says so"), ["tcp", "udp", "tcp", "udp"], [0.5, 1]),
        (av.error.ExitError(1, "it says nothing"), ["tcp", "udp", "tcp", "udp"], [0.5, 1, 2, 4]),
        (av.error.InvalidDataError(1, "it says nonsense"), ["tcp", "udp", "tcp", "udp"], [0.5, 1, 2, 4]),
        (NOT_FOUND, ["tcp"] * 4, [0.5, 1, 2, 4]),
        (av.error.ConnectionRefusedError(111, ""), ["tcp"] * 4, [0.5, 1, 2, 4]),
    ],
)
def test_the_other_transport_is_tried_where_it_may_help(
    error: Exception, transports: list[str], waits_s: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    camera, clock = clocked(monkeypatch, stop_after=len(waits_s))
    camera._url = "rtsp://127.0.0.1/1"
    tried: list[str] = []

    def refuse() -> None:
        tried.append(camera.transport)
        raise error

    monkeypatch.setattr(camera, "_open", refuse)
    camera._run()
    assert (tried, clock.waits_s) == (transports, waits_s)


@pytest.mark.parametrize(
    ("url", "pushed", "has"),
    [
        ("rtsp://camera/1", False, True),
        ("rtsp://127.0.0.1/live/KEY", True, False),
        ("rtsps://camera/1", False, False),
        ("http://camera/1", False, False),
        ("/dev/video0", False, False),
    ],
)
def test_only_rtsp_cameras_have_a_transport(url: str, pushed: bool, has: bool) -> None:
    assert Camera(url, reach=None if pushed else Reach()).has_transports == has


def test_data_that_came_once_settles_the_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    camera, clock = clocked(monkeypatch, stop_after=1)
    camera.transport = "udp"

    def read() -> None:
        camera.condition.opened("h264")
        camera.condition.data(clock.now_s)
        raise TimeoutError

    monkeypatch.setattr(camera, "_read", read)
    camera._run()
    assert camera.transport == "udp"
