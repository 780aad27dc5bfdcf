"""The camera, on real bytes: files, and an HTTP server that stalls, breaks off and sends garbage."""

from __future__ import annotations

import itertools
import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import av.error
import numpy as np
import pytest

from appliance.media.flv import Tag, file_header
from appliance.vision.bboxes import content_size
from appliance.vision.camera import (
    MAX_PACE_S,
    Camera,
    Frame,
    _Pace,
)
from appliance.vision.condition import PULLED, State
from appliance.vision.pixels import frame_of
from appliance.vision.reach import NoAnswer, Reach, Refusal
from appliance.vision.source import NO_CAMERA_FORMAT
from tests.boxes import until
from tests.clock import Clock
from tests.rtmp_client import flv_tags
from tests.videos import grey, in_parts, make_video, serving

EVERYWHERE = Reach((Path("/"),), frozenset(range(1, 65_536)))  # here cameras are on this machine, files anywhere
RATE = 100.0  # every picture, unless a test is about the rate
CONNECTING, GONE, NO_VIDEO = PULLED[State.CONNECTING], PULLED[State.ENDED], PULLED[State.SOUND_ONLY]
NOT_THERE, REFUSED, TOO_LARGE = PULLED[State.NOT_THERE], PULLED[State.REFUSED], PULLED[State.TOO_LARGE]
NOT_VIDEO, UNREADABLE = PULLED[State.NOT_VIDEO], PULLED[State.UNREADABLE]
NOT_FOUND = av.error.HTTPNotFoundError(1, "rtsp://KEY")


def size_for(width: int, height: int) -> tuple[int, int]:
    return content_size(width, height, 160, 160)


@contextmanager
def watching(url: str, rate: float = RATE, stall_s: float = 5.0) -> Iterator[Camera]:
    """A camera that runs until the end of the block."""
    camera = Camera(url, size_for, rate, stall_s, EVERYWHERE)
    camera.start()
    try:
        yield camera
    finally:
        camera.stop()


def frames(camera: Camera, enough: Callable[[list[Frame]], bool], patience_s: float = 15) -> list[Frame]:
    """Frames until the condition holds of those so far."""
    got: list[Frame] = []

    def arrived() -> bool:
        frame = camera.next_frame(0.05)
        if frame is not None:
            got.append(frame)
        return enough(got)

    until(arrived, patience_s, f"the frames, with the problem {camera.problem!r}")
    return got


def clocked(monkeypatch: pytest.MonkeyPatch, rate: float = RATE, stop_after: int = 1_000_000) -> tuple[Camera, Clock]:
    """A camera without a thread, and the clock it goes by; it is stopped after so many pauses."""
    clock = Clock(stop_after)
    monkeypatch.setattr("appliance.vision.camera.time", clock)
    camera = Camera("rtsp://camera", size_for, rate, stall_s=3.0)
    camera._stopping = clock  # type: ignore[assignment]
    return camera, clock


def video_frame(side: int = 64) -> av.VideoFrame:
    return frame_of(grey(side, side)(0))


def failing(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def brightness(frame: Frame) -> float:
    return float(frame.small.mean())


@pytest.fixture
def stopping() -> Iterator[threading.Event]:
    """Set at the end of the test, so that the server lets go."""
    event = threading.Event()
    yield event
    event.set()


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
    ("error", "phase", "state"),
    [
        (av.error.HTTPUnauthorizedError(1, "rtsp://KEY"), "connecting", State.REFUSED),
        (av.error.HTTPForbiddenError(1, "rtsp://KEY"), "data", State.REFUSED),
        (NOT_FOUND, "connecting", State.NOT_THERE),
        (av.error.FileNotFoundError(2, "rtsp://KEY"), "connecting", State.NOT_THERE),
        (av.error.ConnectionRefusedError(111, "rtsp://KEY"), "connecting", State.PORT_CLOSED),
        (ConnectionRefusedError(111, "KEY"), "connecting", State.PORT_CLOSED),
        (av.error.OSError(113, "rtsp://KEY"), "connecting", State.NO_ROUTE),
        (av.error.OSError(101, "rtsp://KEY"), "connecting", State.NO_ROUTE),
        (av.error.PermissionError(13, "/dev/KEY"), "connecting", State.NOT_ALLOWED),
        (socket.gaierror(-2, "KEY"), "connecting", State.NO_NAME),
        (NoAnswer(), "connecting", State.NO_ANSWER),
        (Refusal("Not this one."), "connecting", State.NOT_TO_BE_READ),
        (Refusal("Not this one."), "data", State.NOT_TO_BE_READ),
        (av.error.TimeoutError(110, "rtsp://KEY"), "connecting", State.SILENT),
        (TimeoutError(), "connecting", State.SILENT),
        (TimeoutError(), "open", State.SILENT),
        (av.error.ExitError(1, "http://KEY"), "connecting", State.SILENT),
        (av.error.InvalidDataError(1, "http://KEY"), "connecting", State.NOT_VIDEO),
        (ValueError("rtsp://KEY"), "connecting", State.NOT_VIDEO),
        (av.error.OSError(93, "rtsp://KEY"), "connecting", State.NO_TRANSPORT),
        (OSError(5, "rtsp://KEY"), "connecting", State.UNREADABLE),
        (OSError(5, "rtsp://KEY"), "data", State.ENDED),
        (av.error.InvalidDataError(1, "http://KEY"), "data", State.ENDED),
    ],
)
def test_every_error_is_told_in_words_for_people_and_logged_once(
    error: Exception, phase: str, state: State, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
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
    assert camera.condition.state(clock.now_s) is state
    kind = str(error) if isinstance(error, Refusal) else type(error).__name__
    said = PULLED[state].format(kind=kind, seconds="N s")
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


def test_a_slow_detector_never_makes_the_picture_old(tmp_path: Path) -> None:
    path = tmp_path / "video.ts"
    path.write_bytes(make_video(grey(64, 64), 100))
    with watching(str(path)) as camera:
        frames(camera, bool)
        for _ in range(2):
            time.sleep(0.5)
            frame = camera.next_frame()
            assert frame is not None
            assert time.monotonic() - frame.arrived_s < 0.3


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("H.264 with B-frames", {"options": {"preset": "veryfast", "tune": "psnr", "bf": "3", "b_strategy": "0"}}),
        ("H.265", {"codec": "libx265"}),
        ("H.264 with sound", {"sound": True}),
        ("FLV with sound", {"sound": True, "container": "flv"}),
        ("MPEG-4", {"codec": "mpeg4", "options": {}}),
    ],
)
def test_every_usual_kind_of_video_is_seen_in_its_order(name: str, made: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "video"
    path.write_bytes(make_video(grey(128, 96), 50, **made))  # type: ignore[arg-type]
    with watching(str(path)) as camera:
        got = frames(camera, lambda got: len(got) == 20)
    levels = [brightness(frame) for frame in got]
    assert sum(later < earlier - 1 for earlier, later in itertools.pairwise(levels)) <= 1, levels
    assert camera.problem is None


def test_b_frames_of_a_live_stream_come_in_their_order(stopping: threading.Event) -> None:
    options: dict[str, object] = {"preset": "veryfast", "tune": "psnr", "bf": "3", "b_strategy": "0"}
    video = make_video(grey(128, 96), 100, options=options, container="flv")
    with serving(lambda _: in_parts(video, 1, stopping)) as url, watching(url) as camera:
        levels = [brightness(frame) for frame in frames(camera, lambda got: len(got) >= 20)]
    # A large step down is the stream beginning again.
    assert not [earlier for earlier, later in itertools.pairwise(levels) if 1 < earlier - later < 60], levels


def test_another_size_in_mid_stream_is_taken(stopping: threading.Event) -> None:
    video = make_video(grey(320, 180), 50) + make_video(grey(96, 160), 50)
    with serving(lambda _: in_parts(video, 2, stopping)) as url, watching(url) as camera:
        got = frames(camera, lambda got: any(frame.height == 160 for frame in got))
        assert got[0].small.shape == (90, 160, 3)
        assert got[-1].small.shape == (160, 96, 3)
        assert got[-1].full().shape == (160, 96, 3)
        assert (camera.width, camera.height) == (96, 160)


def test_garbage_in_mid_stream_is_passed_over(stopping: threading.Event) -> None:
    video = make_video(grey(320, 180), 50)
    broken = bytearray(video)
    noise = np.random.default_rng(7).integers(0, 256, len(video) // 4, dtype=np.uint8).tobytes()
    broken[len(video) // 4 : len(video) // 4 + len(noise)] = noise
    parts = bytes(broken) + make_video(grey(320, 180), 50)
    with serving(lambda _: in_parts(parts, 1.5, stopping)) as url, watching(url) as camera:
        frames(camera, lambda got: any(brightness(frame) > 100 for frame in got))
        assert camera.problem is None


def test_nothing_but_garbage_is_told_and_tried_again(stopping: threading.Event) -> None:
    noise = np.random.default_rng(7).integers(0, 256, 300_000, dtype=np.uint8).tobytes()
    video = make_video(grey(64, 64), 50)
    with (
        serving(lambda number: [noise] if number < 2 else in_parts(video, 2, stopping)) as url,
        watching(url) as camera,
    ):
        until(lambda: camera.problem not in (None, CONNECTING), 10, "the garbage is noticed")
        assert camera.problem in (NOT_VIDEO, NO_VIDEO, UNREADABLE.format(kind="OSError"), GONE, NO_CAMERA_FORMAT)
        frames(camera, bool)
        assert camera.problem is None


def test_sound_without_a_picture_is_told(stopping: threading.Event) -> None:
    sound = make_video(None, 100, sound=True)
    video = make_video(grey(64, 64), 50, sound=True)
    with serving(lambda number: in_parts(video if number else sound, 2, stopping)) as url, watching(url) as camera:
        until(lambda: camera.problem == NO_VIDEO, 10, "that there is no picture")
        frames(camera, bool)
        assert camera.problem is None


def test_a_picture_that_freezes_while_the_sound_goes_on_is_told(stopping: threading.Event) -> None:
    def answer(_: int) -> Iterator[bytes]:
        yield from in_parts(make_video(grey(64, 64), 50, sound=True), 0.5, stopping)
        # The same container goes on, with packets of sound alone.
        whole = make_video(grey(64, 64), 500, sound=True, key_frame_every=1000)
        packets = [whole[at : at + 188] for at in range(0, len(whole), 188)]
        sound = b"".join(packet for packet in packets if int.from_bytes(packet[1:3], "big") & 0x1FFF == 0x101)
        yield from in_parts(sound, 12, stopping, parts=200)

    with serving(answer) as url, watching(url) as camera:
        frames(camera, bool)
        until(lambda: camera.condition.state(time.monotonic()) is State.STILL, 8, "the frozen picture")
        assert "though sound goes on" in str(camera.problem)


def test_a_stall_is_told_and_connected_again(stopping: threading.Event) -> None:
    video = make_video(grey(64, 64), 50)

    def answer(number: int) -> Iterator[bytes]:
        yield from in_parts(video, 0.5, stopping)
        if number == 0:
            stopping.wait(30)  # the line stays open, nothing comes

    with serving(answer) as url, watching(url) as camera:
        frames(camera, bool)
        assert camera.is_live
        until(lambda: camera.problem == "The camera has sent nothing for 4 s; connecting again.", 8, "it is told")
        until(lambda: not camera.is_live, 2, "it is LIVE no more")
        frames(camera, lambda got: len(got) > 1)


def test_a_stream_that_ends_is_connected_again_and_again(stopping: threading.Event) -> None:
    video = make_video(grey(64, 64), 50)
    count = []

    def answer(number: int) -> Iterator[bytes]:
        count.append(number)
        return in_parts(video, 0.3, stopping)

    with serving(answer) as url, watching(url) as camera:
        until(lambda: camera.problem == GONE, 10, "the end is told")
        frames(camera, lambda got: bool(got) and len(count) >= 3)


@pytest.mark.parametrize(("status", "problem"), [(401, REFUSED), (403, REFUSED), (404, NOT_THERE)])
def test_a_refusal_is_told_in_words_and_tried_again(status: int, problem: str, stopping: threading.Event) -> None:
    video = make_video(grey(64, 64), 50)
    with (
        serving(lambda _: in_parts(video, 2, stopping), lambda number: 200 if number else status) as url,
        watching(url) as camera,
    ):
        until(lambda: camera.problem == problem, 10, "why it is refused")
        frames(camera, bool)
        assert camera.problem is None


@pytest.mark.parametrize("status", [200, 401, 404])
def test_the_address_and_its_secrets_are_told_nowhere(
    status: int, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(lambda _: [b"garbage" * 100], lambda _: status) as url, watching(url) as camera:
        until(lambda: camera.problem not in (None, CONNECTING), 10, "a problem")
        assert camera.problem is not None
        assert "SECRETTOKEN" not in camera.problem
        assert "127.0.0.1" not in camera.problem
    out, err = capfd.readouterr()
    assert "SECRETTOKEN" not in caplog.text + out + err


@pytest.mark.parametrize(
    "url",
    [
        "http://u:SECRET@localhost:1/?pw=SECRET",
        "rtsp://u:SE#CRET@localhost/",
        "rtsp://u:SE/CRET@x/",
        "/SECRET",
        "/dev/SECRET",
    ],
)
def test_a_refusal_is_told_in_words_without_the_address(
    url: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    camera = Camera(url, size_for, RATE)
    camera.start()
    until(lambda: camera.problem not in (None, CONNECTING), 10, "the refusal")
    camera.stop()
    out, err = capfd.readouterr()
    said = f"{camera.problem}{caplog.text}{out}{err}"
    assert "CRET" not in said and "localhost" not in said
    assert camera.problem and camera.problem[-1] in ".)"


@pytest.mark.parametrize(
    ("url", "state"),
    [
        ("http://127.0.0.1:1/x", State.PORT_CLOSED),
        ("rtsp://127.0.0.1:1/x", State.PORT_CLOSED),
        ("rtsp://no-such-camera.invalid/x", State.NO_NAME),
        ("http://no-such-camera.invalid/x", State.NO_NAME),
        ("/no/such/file", State.NOT_THERE),
    ],
)
def test_each_way_of_being_out_of_reach_has_its_own_words(
    url: str, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with watching(url) as camera:
        until(lambda: camera.condition.state(time.monotonic()) is state, 20, f"{state}, not {camera.problem!r}")


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_machine_that_is_connected_and_says_nothing_is_called_silent(scheme: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        watching(f"{scheme}://127.0.0.1:{mute.getsockname()[1]}/x", stall_s=1.0) as camera,
    ):
        until(lambda: camera.problem != CONNECTING, 15, "that it is silent")
        assert camera.condition.state(time.monotonic()) is State.SILENT


def test_a_machine_that_does_not_answer_is_said_not_to() -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for taken in (first, second):  # the queue of those who wait is full: the next one gets no answer at all
            taken.setblocking(False)
            taken.connect_ex(full.getsockname())
        with watching(f"rtsp://127.0.0.1:{full.getsockname()[1]}/x", stall_s=1.0) as camera:
            until(lambda: camera.problem != CONNECTING, 15, "that nobody answers")
            assert camera.condition.state(time.monotonic()) is State.NO_ANSWER


def garbled(payload: bytes) -> bytes:
    """A picture of H.264 in FLV whose slices say that they are key frames or not, and nothing else that is true."""
    at, made = 5, payload[:5]
    while at < len(payload):
        end = at + 4 + int.from_bytes(payload[at : at + 4], "big")
        is_slice = payload[at + 4] & 31 in (1, 5)
        made += payload[at : at + 5] + (b"\xa5" * (end - at - 5) if is_slice else payload[at + 5 : end])
        at = end
    return made


def test_a_key_frame_that_cannot_be_decoded_is_told_with_the_codec(tmp_path: Path, stopping: threading.Event) -> None:
    path = tmp_path / "video.flv"
    path.write_bytes(make_video(grey(64, 64), 500, container="flv"))
    broken = file_header(False, True)
    for kind, time_ms, payload in flv_tags(path):
        is_picture = kind == 9 and payload[1] == 1
        broken += Tag(kind, time_ms, garbled(payload) if is_picture else payload, False, False).bytes_at(time_ms)
    with serving(lambda _: in_parts(broken, 15, stopping, parts=300)) as url, watching(url) as camera:
        until(lambda: camera.condition.state(time.monotonic()) is State.UNDECODABLE, 15, "that it cannot be decoded")
        assert "it is h264;" in str(camera.problem)
        assert camera.is_live


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "rtsp://127.0.0.1:1/x", "/no/such/file", "nonsense://x", "\0"])
def test_an_address_that_leads_nowhere_ends_nothing(url: str) -> None:
    with watching(url) as camera:
        until(lambda: camera.problem not in (None, CONNECTING), 10, "a problem")
        assert camera.is_alive()


def test_stopping_is_prompt(stopping: threading.Event) -> None:
    video = make_video(grey(64, 64), 50)
    with serving(lambda _: in_parts(video, 4, stopping)) as url, watching(url) as camera:
        frames(camera, bool)
        begun_s = time.monotonic()
        waiting = threading.Thread(target=camera.next_frame, args=(30,))
        waiting.start()
        camera.stop()
        waiting.join(5)
        until(lambda: not camera.is_alive(), 5, "the thread has ended")
        assert time.monotonic() - begun_s < 3


def test_a_camera_holds_one_picture_however_many_come(tmp_path: Path) -> None:
    path = tmp_path / "video.ts"
    path.write_bytes(make_video(grey(640, 360), 100))
    with watching(str(path)) as camera:
        frames(camera, bool)
        before = _resident_bytes()
        time.sleep(1.2)  # nobody takes a picture meanwhile: 30 of 345 kB come in
        assert _resident_bytes() - before < 6_000_000


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
