"""The camera on real streams: every usual kind of video, and a server that stalls, breaks off and sends garbage."""

from __future__ import annotations

import itertools
import logging
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from appliance.media.flv import Tag, file_header
from appliance.vision.pixels import pixels_of
from appliance.vision.reading.camera import Camera
from appliance.vision.reading.condition import PULLED, Obstacle
from appliance.vision.reading.packets import BEHIND_S, MAX_WAITING_BYTES
from appliance.vision.reading.reach import Reach
from appliance.vision.reading.source import NO_CAMERA_FORMAT
from tests.boxes import until
from tests.rtmp_client import flv_tags
from tests.videos import grey, in_parts, make_video, serving
from tests.watching import Watcher, brightness, frames, watching

CONNECTING, GONE, NO_VIDEO = PULLED[Obstacle.CONNECTING], PULLED[Obstacle.ENDED], PULLED[Obstacle.SOUND_ONLY]
NOT_THERE, REFUSED = PULLED[Obstacle.NOT_THERE], PULLED[Obstacle.WRONG_LOGIN]
NOT_VIDEO, UNREADABLE = PULLED[Obstacle.NOT_VIDEO], PULLED[Obstacle.UNREADABLE]


@pytest.fixture
def stopping() -> Iterator[threading.Event]:
    """Set at the end of the test, so that the server lets go."""
    event = threading.Event()
    yield event
    event.set()


def test_a_slow_detector_never_makes_the_picture_old(tmp_path: Path) -> None:
    path = tmp_path / "video.ts"
    path.write_bytes(make_video(grey(64, 64), 200, key_frame_every=5))
    with watching(str(path)) as camera:
        watcher = Watcher(camera)
        until(lambda: bool(watcher.next_frames()), 30, "the first picture")
        for _ in range(2):
            time.sleep(BEHIND_S + 0.5)
            (first, *_) = watcher.next_frames()
            assert time.monotonic() - first.time_s < BEHIND_S + 0.3
        assert camera.dropped_s > 0.2


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
        assert (got[0].width, got[0].height) == (320, 180)
        assert pixels_of(got[-1].source).shape == (160, 96, 3)
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
        until(lambda: camera.problem not in (None, CONNECTING), 30, "the garbage is noticed")
        assert camera.problem in (NOT_VIDEO, NO_VIDEO, UNREADABLE.format(kind="OSError"), GONE, NO_CAMERA_FORMAT)
        frames(camera, bool)
        assert camera.problem is None


def test_sound_without_a_picture_is_told(stopping: threading.Event) -> None:
    sound = make_video(None, 100, sound=True)
    video = make_video(grey(64, 64), 50, sound=True)
    with serving(lambda number: in_parts(video if number else sound, 2, stopping)) as url, watching(url) as camera:
        until(lambda: camera.problem == NO_VIDEO, 30, "that there is no picture")
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
        until(lambda: camera.condition.obstacle(time.monotonic()) is Obstacle.STILL, 8, "the frozen picture")
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
        until(lambda: camera.problem == GONE, 30, "the end is told")
        frames(camera, lambda got: bool(got) and len(count) >= 3)


@pytest.mark.parametrize(("status", "problem"), [(401, REFUSED), (403, REFUSED), (404, NOT_THERE)])
def test_a_refusal_is_told_in_words_and_tried_again(status: int, problem: str, stopping: threading.Event) -> None:
    video = make_video(grey(64, 64), 50)
    with (
        serving(lambda _: in_parts(video, 2, stopping), lambda number: 200 if number else status) as url,
        watching(url) as camera,
    ):
        until(lambda: camera.problem == problem, 30, "why it is refused")
        frames(camera, bool)
        assert camera.problem is None


@pytest.mark.parametrize("status", [200, 401, 404])
def test_the_address_and_its_secrets_are_told_nowhere(
    status: int, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(lambda _: [b"garbage" * 100], lambda _: status) as url, watching(url) as camera:
        until(lambda: camera.problem not in (None, CONNECTING), 30, "a problem")
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
    camera = Camera(url, Reach())
    camera.start()
    until(lambda: camera.problem not in (None, CONNECTING), 30, "the refusal")
    camera.stop()
    out, err = capfd.readouterr()
    said = f"{camera.problem}{caplog.text}{out}{err}"
    assert "CRET" not in said and "localhost" not in said
    assert camera.problem and camera.problem[-1] in ".)"


@pytest.mark.parametrize(
    ("url", "obstacle"),
    [
        ("http://127.0.0.1:1/x", Obstacle.PORT_CLOSED),
        ("rtsp://127.0.0.1:1/x", Obstacle.PORT_CLOSED),
        ("rtsp://no-such-camera.invalid/x", Obstacle.NO_NAME),
        ("http://no-such-camera.invalid/x", Obstacle.NO_NAME),
        ("/no/such/file", Obstacle.NOT_THERE),
    ],
)
def test_each_way_of_being_out_of_reach_has_its_own_words(
    url: str, obstacle: Obstacle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with watching(url) as camera:
        until(
            lambda: camera.condition.obstacle(time.monotonic()) is obstacle, 20, f"{obstacle}, not {camera.problem!r}"
        )


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_machine_that_is_connected_and_says_nothing_is_called_silent(scheme: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        watching(f"{scheme}://127.0.0.1:{mute.getsockname()[1]}/x", stall_s=1.0) as camera,
    ):
        until(lambda: camera.problem != CONNECTING, 15, "that it is silent")
        assert camera.condition.obstacle(time.monotonic()) is Obstacle.SILENT


def test_a_machine_that_does_not_answer_is_said_not_to() -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for taken in (first, second):  # the queue of those who wait is full: the next one gets no answer at all
            taken.setblocking(False)
            taken.connect_ex(full.getsockname())
        with watching(f"rtsp://127.0.0.1:{full.getsockname()[1]}/x", stall_s=1.0) as camera:
            until(lambda: camera.problem != CONNECTING, 15, "that nobody answers")
            assert camera.condition.obstacle(time.monotonic()) is Obstacle.NO_ANSWER


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
        until(
            lambda: camera.condition.obstacle(time.monotonic()) is Obstacle.UNDECODABLE, 15, "that it cannot be decoded"
        )
        assert "it is H.264;" in str(camera.problem)
        assert camera.is_live


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "rtsp://127.0.0.1:1/x", "/no/such/file", "nonsense://x", "\0"])
def test_an_address_that_leads_nowhere_ends_nothing(url: str) -> None:
    with watching(url) as camera:
        until(lambda: camera.problem not in (None, CONNECTING), 30, "a problem")
        assert camera.is_alive()


def test_stopping_is_prompt(stopping: threading.Event) -> None:
    video = make_video(grey(64, 64), 50)
    with serving(lambda _: in_parts(video, 4, stopping)) as url, watching(url) as camera:
        frames(camera, bool)
        begun_s = time.monotonic()
        waiting = threading.Thread(target=camera.packets, args=(30, True))
        waiting.start()
        camera.stop()
        waiting.join(30)
        until(lambda: not camera.is_alive(), 30, "the thread has ended")
        assert time.monotonic() - begun_s < 3


def test_a_camera_holds_little_however_much_comes(tmp_path: Path) -> None:
    path = tmp_path / "video.ts"
    noise = np.random.default_rng(7)
    path.write_bytes(
        make_video(
            lambda _: noise.integers(0, 256, (360, 640, 3), np.uint8), 50, options={"qp": "4"}, key_frame_every=9
        )
    )
    with watching(str(path)) as camera:
        frames(camera, bool)
        before = _resident_bytes()
        time.sleep(4)  # nobody takes anything meanwhile
        assert camera.dropped_s > 1
        assert _resident_bytes() - before < MAX_WAITING_BYTES + 6_000_000


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
