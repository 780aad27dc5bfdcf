"""The camera: its sizes, its rate, its pauses and its words, on files and on a clock of the test's own."""

from __future__ import annotations

import itertools
import logging
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

import av
import av.error
import numpy as np
import pytest

from appliance.vision.camera import MAX_PACE_S, Camera, Frame, _Pace
from appliance.vision.condition import PULLED, Obstacle
from appliance.vision.pixels import frame_of
from appliance.vision.reach import NoAnswer, Reach, SourceRefused
from tests.clock import Clock
from tests.videos import grey, make_video
from tests.watching import RATE, brightness, frames, size_for, watching

NOT_THERE, REFUSED, TOO_LARGE = PULLED[Obstacle.NOT_THERE], PULLED[Obstacle.WRONG_LOGIN], PULLED[Obstacle.TOO_LARGE]
GONE, NOT_VIDEO, UNREADABLE = PULLED[Obstacle.ENDED], PULLED[Obstacle.NOT_VIDEO], PULLED[Obstacle.UNREADABLE]
NOT_FOUND = av.error.HTTPNotFoundError(1, "rtsp://KEY")


def clocked(monkeypatch: pytest.MonkeyPatch, rate: float = RATE, stop_after: int = 1_000_000) -> tuple[Camera, Clock]:
    """A camera without a thread, and the clock it goes by; it is stopped after so many pauses."""
    clock = Clock(stop_after)
    monkeypatch.setattr("appliance.vision.camera.time", clock)
    camera = Camera("rtsp://camera", size_for, rate, Reach(), stall_s=3.0)
    camera._stopping = clock  # type: ignore[assignment]
    return camera, clock


def video_frame(side: int = 64) -> av.VideoFrame:
    return frame_of(grey(side, side)(0))


def failing(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def test_a_picture_comes_at_the_detectors_size_and_in_full(tmp_path: Path) -> None:
    path = tmp_path / "video.ts"
    path.write_bytes(make_video(grey(320, 180), 50))
    with watching(str(path)) as camera:
        (frame, *_) = frames(camera, bool)
        assert frame.small.shape == (90, 160, 3)
        assert frame.small.dtype == np.uint8
        assert (frame.width, frame.height) == (320, 180)
        assert frame.full().shape == (180, 320, 3)
        assert (camera.condition.codec, camera.width, camera.height) == ("h264", 320, 180)
        assert camera.problem is None
        assert abs(frame.arrived_utc - time.time()) < 5
        assert abs(frame.arrived_s - time.monotonic()) < 5


def test_scaling_averages_areas_and_keeps_colours(tmp_path: Path) -> None:
    stripes = np.zeros((360, 640, 3), dtype=np.uint8)
    stripes[:, ::2] = 255  # finer than the small picture can show: it must become an even grey
    stripes[:180] = (200, 60, 20)
    path = tmp_path / "video.ts"
    path.write_bytes(make_video(lambda _: stripes, 30, options={"qp": "10"}))
    with watching(str(path)) as camera:
        (frame, *_) = frames(camera, bool)
    assert np.abs(frame.small[5:40].astype(int) - (200, 60, 20)).max() < 12
    lower = frame.small[50:85, :, 0].astype(int)
    assert lower.std() < 12
    assert abs(lower.mean() - 127) < 15


def test_a_file_plays_at_its_own_speed_and_in_a_loop_without_a_word(tmp_path: Path) -> None:
    path = tmp_path / "video.ts"
    path.write_bytes(make_video(grey(64, 64), 25))
    begun_s = time.monotonic()
    problems = []

    def two_rounds(got: list[Frame]) -> bool:
        if got:
            problems.append(camera.problem)
        return sum(brightness(one) > brightness(two) + 20 for one, two in itertools.pairwise(got)) == 2

    with watching(str(path)) as camera:
        frames(camera, two_rounds)
    assert 1.6 < time.monotonic() - begun_s < 6
    assert set(problems) == {None}


def test_the_rate_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "video.ts"
    path.write_bytes(make_video(grey(64, 64), 100))
    with watching(str(path), rate=5) as camera:
        got = frames(camera, lambda got: len(got) == 9)
    assert got[-1].arrived_s - got[0].arrived_s == pytest.approx(1.6, abs=0.25)


def test_the_rate_counts_from_when_a_picture_was_due(monkeypatch: pytest.MonkeyPatch) -> None:
    camera, clock = clocked(monkeypatch, rate=5)
    taken_s = []
    for work_s in (0.23, 0.1, 0.5, 0.1, 0.1):  # with 0.2 s from one to the next
        camera._put(video_frame())
        assert camera.next_frame()
        taken_s.append(clock.now_s - 1000)
        clock.now_s += work_s
    # The second is .03 s late, which the third makes good; the fourth is too late for that.
    assert taken_s == pytest.approx([0, 0.23, 0.4, 0.9, 1.1])


def test_the_analysis_is_not_held_up_for_longer_than_its_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    camera, clock = clocked(monkeypatch, rate=0.4)
    camera._put(video_frame())
    assert camera.next_frame()
    camera._put(video_frame())
    assert camera.next_frame() is None, "there is one, but it is not due"
    assert camera.next_frame() is None
    assert camera.next_frame() is not None
    assert clock.waits_s == pytest.approx([0, 1, 1, 0.5])
    assert camera.next_frame(patience_s=0.01) is None


def test_the_newest_picture_wins_and_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    camera, clock = clocked(monkeypatch)
    for side in (64, 96):
        clock.now_s += 1
        camera._put(video_frame(side))
    frame = camera.next_frame()
    assert frame is not None
    assert (frame.width, frame.height, frame.small.shape) == (96, 96, (160, 160, 3))
    assert (frame.arrived_s, frame.arrived_utc) == (1002, 1002)
    assert (camera.width, camera.height, camera.condition.last_frame_s, camera.problem) == (96, 96, 1002, None)
    assert camera.next_frame(patience_s=0.01) is None


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
            camera._put(video_frame())

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
        camera._put(video_frame())
        camera.condition.data(clock.now_s)
        clock.now_s += 11.5
        raise error

    monkeypatch.setattr(camera, "_read", read)
    camera._run()
    assert camera.problem == "The camera has sent nothing for 10 s; connecting again."


def test_a_picture_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.vision.camera.MAX_PIXELS", 64 * 64)
    camera, _ = clocked(monkeypatch, stop_after=1)
    camera._put(video_frame(64))
    monkeypatch.setattr(camera, "_read", lambda: camera._put(video_frame(66)))
    camera._run()
    assert camera.problem == TOO_LARGE
    assert camera.width == 64


def test_a_file_lasts_as_long_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("appliance.vision.camera.time", clock)
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
    assert Camera(url, size_for, RATE, reach=None if pushed else Reach()).has_transports == has


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
