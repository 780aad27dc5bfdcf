"""A stranger's hour: RTMP as other people's programs send it, into either ingest, and read back as the watcher does."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import av
import pytest

from tests.boxes import until
from tests.conftest import port_giver
from tests.media_room import ENGINES, FFMPEG, MediaRoom, make_clip, shown_times, skip_without
from tests.rtmp_client import WRAP_MS, RtmpClient, flv_tags

pytestmark = pytest.mark.timeout(120)
WATCHED_S = 4.0
EARLIER_MS = 5000  # so long before its edge a time stamp starts: within what is watched, with either ingest

LATE_NS = 3_000_000_000  # so late a picture may come in GStreamer

GSTREAMER = (
    "gst-launch-1.0",
    "gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
    " gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly",
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The clips that are sent as they are, by name."""
    folder = tmp_path_factory.mktemp("clips")
    # Half of the pictures are missing, in bursts, as from a phone whose camera slows down in the dark.
    uneven = ("-vf", "select='gt(mod(n\\,10)\\,4)'", "-vsync", "vfr")
    return {
        "plain": make_clip(folder / "plain.flv", "-bf", "0"),
        "b-frames": make_clip(folder / "b.flv", "-bf", "3", "-b_strategy", "0"),
        "uneven": make_clip(folder / "uneven.flv", *uneven),
        "no sound": make_clip(folder / "silent.flv", "-an"),
    }


@lru_cache
def has_element(name: str) -> bool:
    """Whether GStreamer has this part; they come in several packages."""
    return subprocess.run(["gst-inspect-1.0", "--exists", name], check=False).returncode == 0


Start = Callable[[MediaRoom, str, dict[str, Path]], Callable[[], None]]
"""Starts a publisher with this key; the answer ends it."""


@dataclass(frozen=True)
class Form:
    """One way of sending. fps: how many pictures a second come out again, about; sound: whether a tone does."""

    key: str
    start: Start
    fps: float = 25.0
    sound: bool = True


def program(*command: str) -> Callable[[], None]:
    """Start a program; the answer ends it."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def end() -> None:
        process.kill()
        process.wait()

    return end


def ffmpeg(clip: str, *options: str, app: str = "live/", query: str = "") -> Start:
    """FFmpeg, which sends a clip as it is."""

    def start(room: MediaRoom, key: str, clips: dict[str, Path]) -> Callable[[], None]:
        source = ["-re", "-stream_loop", "-1", "-i", str(clips[clip]), "-c", "copy", *options]
        return program("ffmpeg", "-nostdin", "-loglevel", "quiet", *source, "-f", "flv", room.url(key, app) + query)

    return start


def gstreamer(sink: str, suffix: str = "", encoder: str = "tune=zerolatency") -> Start:
    """GStreamer with one of its two RTMP clients."""

    def start(room: MediaRoom, key: str, clips: dict[str, Path]) -> Callable[[], None]:
        skip_without(*GSTREAMER)
        for element in (sink, "x264enc", "voaacenc"):
            if not has_element(element):
                pytest.skip(f"GStreamer has no {element}; apt-get install {GSTREAMER[1]}")
        picture = "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=25/1"
        encoding = f"x264enc speed-preset=ultrafast key-int-max=25 {encoder} ! h264parse ! queue ! mux."
        tone = "audiotestsrc is-live=true ! voaacenc ! aacparse ! queue ! mux."
        # On a machine that is busy its muxer would not wait for a late picture, but write it with a later time, out of
        # order also in a file; a latency makes it wait.
        mux = f"flvmux name=mux streamable=true latency={LATE_NS}"
        pipeline = f"{picture} ! {encoding} {tone} {mux} ! {sink} sync=false"
        # librtmp takes its options after a blank, so the address must stay one word.
        return program("gst-launch-1.0", "-q", *pipeline.split(), f"location={room.url(key)}{suffix}")

    return start


def own(clip: str, app: str, begin_ms: int = 0, key_suffix: str = "") -> Start:
    """Our own client, for what the others cannot be made to send."""

    def start(room: MediaRoom, key: str, clips: dict[str, Path]) -> Callable[[], None]:
        client = RtmpClient(room.config.rtmp.port)
        client.publish(app, key + key_suffix)
        client.send_live(flv_tags(clips[clip]), begin_ms)
        return lambda: client.__exit__(None, None, None)

    return start


FORMS = {
    "FFmpeg, B-frames and AAC": Form("FFMPEGBFRAMES2222222", ffmpeg("b-frames")),
    "FFmpeg, variable frame rate": Form("FFMPEGUNEVEN22222222", ffmpeg("uneven"), fps=12.5),
    "FFmpeg, no sound": Form("FFMPEGSILENT22222222", ffmpeg("no sound"), sound=False),
    "FFmpeg, a slash too many": Form("FFMPEGSLASH222222222", ffmpeg("plain", app="live//")),
    "FFmpeg, a slash after the key": Form("FFMPEGSLASHEND222222", ffmpeg("plain", query="/")),
    "FFmpeg, after six hours": Form("FFMPEGSIXHOURS222222", ffmpeg("plain", "-output_ts_offset", "21600")),
    "GStreamer's rtmp2sink": Form("GSTRTMP2SINK22222222", gstreamer("rtmp2sink")),
    "GStreamer's rtmp2sink, B-frames": Form(
        "GSTRTMP2BFRAMES22222", gstreamer("rtmp2sink", encoder="bframes=2 b-adapt=false rc-lookahead=2")
    ),
    "librtmp": Form("LIBRTMP2222222222222", gstreamer("rtmpsink", suffix=" live=1")),
    "OBS, server and key": Form("OWNSERVERANDKEY22222", own("b-frames", "live")),
    "OBS, server with a slash": Form("OWNSLASH222222222222", own("plain", "live/")),
    "OBS, key with a query": Form("OWNQUERY222222222222", own("plain", "live", key_suffix="?bwtest=true")),
    "time stamps that wrap": Form("OWNWRAP2222222222222", own("plain", "live", begin_ms=WRAP_MS - EARLIER_MS)),
    "time stamps past 24 bits": Form("OWNEXTENDED222222222", own("plain", "live", begin_ms=(1 << 24) - EARLIER_MS)),
    "time stamps past 31 bits": Form("OWNSIGNED22222222222", own("b-frames", "live", begin_ms=(1 << 31) - EARLIER_MS)),
}


@pytest.fixture(scope="module", params=ENGINES)
def room(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[MediaRoom]:
    """Either ingest, running; one for the whole module, each form with a stream of its own."""
    one = MediaRoom(tmp_path_factory.mktemp(request.param), request.param, port_giver())
    for form in FORMS.values():
        one.add_stream(form.key)
    with one.running():
        yield one


@contextmanager
def sending(room: MediaRoom, form: Form, clips: dict[str, Path]) -> Iterator[None]:
    """The form's publisher, until the end of the block."""
    end = form.start(room, form.key, clips)
    try:
        yield
    finally:
        end()


@dataclass(frozen=True)
class Seen:
    """What the watcher got to see. times_s: of the pictures, in the order in which they came."""

    times_s: list[float]
    sound: bool


def watch(room: MediaRoom, form: Form, clips: dict[str, Path]) -> Seen:
    """Send in this form, and read it back."""
    with sending(room, form, clips):
        path = room.wait_for(form.key)
        with room.open(path.name) as container:
            seen = Seen(shown_times(container, WATCHED_S), bool(container.streams.audio))
    until(lambda: room.path_of(form.key) is None, 10, "the path is gone")
    return seen


@pytest.fixture(scope="module")
def seen(room: MediaRoom, clips: dict[str, Path]) -> Iterator[dict[str, Future[Seen]]]:
    """What was seen of each form. All are sent at once, which takes the time of one."""
    with ThreadPoolExecutor(len(FORMS)) as pool:
        yield {name: pool.submit(watch, room, form, clips) for name, form in FORMS.items()}


@pytest.mark.parametrize("name", FORMS)
def test_what_others_send_can_be_seen(seen: dict[str, Future[Seen]], name: str) -> None:
    form, found = FORMS[name], seen[name].result(60)
    times_s = found.times_s
    length_s = times_s[-1] - times_s[0]
    assert times_s == sorted(times_s), "pictures come in the order in which they are shown"
    assert length_s >= WATCHED_S, "the stream broke off"
    assert length_s < WATCHED_S + 1, "the time jumps"
    assert 0.6 * form.fps < len(times_s) / length_s < 1.4 * form.fps
    assert found.sound == form.sound


def test_whoever_is_cut_off_may_come_back_at_once(room: MediaRoom, clips: dict[str, Path]) -> None:
    form = FORMS["OBS, server and key"]
    for _ in range(3):
        with sending(room, form, clips):
            room.wait_for(form.key)
        # Again at once: the next publisher may meet what is left of the last one, and must win within seconds.


def test_whoever_freezes_and_comes_back_is_let_in_within_seconds(room: MediaRoom, clips: dict[str, Path]) -> None:
    skip_without(*FFMPEG)
    form = FORMS["FFmpeg, no sound"]
    source = ["-re", "-stream_loop", "-1", "-i", str(clips["no sound"]), "-c", "copy"]
    frozen = subprocess.Popen(
        ["ffmpeg", "-nostdin", "-loglevel", "quiet", *source, "-f", "flv", room.url(form.key)],
        stdout=subprocess.DEVNULL,
    )
    try:
        room.wait_for(form.key)
        frozen.send_signal(signal.SIGSTOP)
        # What a phone does that lost its network and found it again, while its old connection still seems open.
        until(lambda: room.path_of(form.key) is None, 10, "the frozen publisher's path ends")
        with sending(room, form, clips):
            room.wait_for(form.key)
    finally:
        frozen.kill()
        frozen.wait()


def test_hevc_in_enhanced_rtmp_can_be_seen(room: MediaRoom, tmp_path: Path) -> None:
    key = "HEVC2222222222222222"
    if "libx265" not in av.codecs_available:
        pytest.skip("this PyAV cannot encode HEVC")
    clip = tmp_path / "hevc.flv"
    write_hevc(clip)
    room.add_stream(key)
    with RtmpClient(room.config.rtmp.port) as client:
        client.publish("live", key)
        client.send_live(flv_tags(clip))
        path = room.wait_for(key)
        with room.open(path.name) as container:
            assert container.streams.video[0].codec_context.name == "hevc"
            assert len(shown_times(container, 1.0)) > 5


def write_hevc(path: Path) -> None:
    """Two seconds of HEVC in FLV, which means enhanced RTMP's tags."""
    options = {"preset": "ultrafast", "x265-params": "log-level=none:keyint=10"}
    with av.open(str(path), "w", format="flv") as container:
        stream = container.add_stream("libx265", rate=10, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(20):
            frame = av.VideoFrame(160, 120, "yuv420p")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_no_key_stands_in_any_log(room: MediaRoom) -> None:
    said = room.log()
    assert not [form.key for form in FORMS.values() if form.key in said]
    assert room.secret not in said
