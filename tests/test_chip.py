"""Decoding by GStreamer in a child process, with software elements as a stand-in for a Jetson's chip: none was here.

All but the elements is the same: packets in, pictures out, who takes over when, and what a failure costs (nothing).
"""

from __future__ import annotations

import itertools
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import av
import pytest

from appliance.vision.reading import chip as chip_module
from appliance.vision.reading import decoding as decoding_module
from appliance.vision.reading import gstreamer
from appliance.vision.reading.chip import FAILURES, FFMPEG, ChipDecoder
from appliance.vision.reading.decoding import Decoding
from appliance.vision.reading.gstreamer import (
    NVIDIA,
    Chip,
    Pipeline,
    PipelineError,
    annex_b_units,
    avcc_of,
    frame_of,
    has,
    parameters_of,
    size_of,
    tag,
)
from scripts.recorded import packets_of
from tests.test_decoding import KINDS, SECONDS, Watched, content_of, continuous, made, times
from tests.videos import FPS
from tests.watching import ALL

__all__ = ["made"]

OF_SOFTWARE = [
    Chip(f"{decoder}, a stand-in for a chip", f"{decoder} ! videoconvert ! video/x-raw,format=I420")
    for decoder in ("avdec_h264", "openh264dec")
]
H264 = [kind for kind in KINDS if kind.startswith("H.264")]
OPEN = "H.264 with an open GOP"  # its later key frames refer to nothing, but the stand-in does not begin with one
CLOSED = [kind for kind in H264 if kind != OPEN]
MOST_BEHIND = 8  # pictures; more than this the stand-in may not hold back
PATIENCE_S = 10.0


@pytest.fixture(scope="module")
def stand_in() -> Chip:
    """A decoder of GStreamer in software, in a chip's place."""
    found = next(filter(has, OF_SOFTWARE), None)
    if found is None:
        pytest.skip("GStreamer has no software decoder of H.264 here (gstreamer1.0-plugins-bad)")
    return found


class Steady(Pipeline):
    """A pipeline that is never far behind: these tests feed it as fast as they can, a camera does not."""

    def __init__(self, chip: Chip) -> None:
        super().__init__(chip)
        self._behind = 0

    def feed(self, pictures: bytes, dts_ms: int, pts_ms: int, is_key: bool) -> None:
        super().feed(pictures, dts_ms, pts_ms, is_key)
        self._behind += 1

    def frames(self) -> Iterator[tuple[int, av.VideoFrame]]:
        while True:
            for one in super().frames():
                self._behind -= 1
                yield one
            if self._behind <= MOST_BEHIND:
                return
            if not self.comes(PATIENCE_S):
                raise PipelineError("it does not answer")


class Opened:
    """Opens steady pipelines, and knows the last one, so that a test can end it."""

    def __init__(self) -> None:
        self.count = 0
        self.last: Steady | None = None

    def __call__(self, chip: Chip) -> Pipeline:
        self.count, self.last = self.count + 1, Steady(chip)
        return self.last


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    """All chips of Decoding are opened so."""
    opened = Opened()

    class Decoder(ChipDecoder):
        def __init__(self, software: av.VideoCodecContext, chip: Chip) -> None:
            super().__init__(software, chip, opened)

    monkeypatch.setattr(decoding_module, "ChipDecoder", Decoder)
    return opened


@pytest.fixture
def by_chip(stand_in: Chip, opened: Opened) -> Iterator[Decoding]:
    decoding = Decoding(ALL, stand_in)
    yield decoding
    decoding.close()


@pytest.mark.parametrize("kind", H264)
def test_what_comes_is_bit_by_bit_what_ffmpeg_gives(
    kind: str, made: Callable[..., Path], by_chip: Decoding, opened: Opened
) -> None:
    path = made(**KINDS[kind])
    got: list[tuple[float, str]] = []
    names: list[str] = []
    for packet in packets_of(path):
        got += map(content_of, by_chip.take(packet))
        names.append(by_chip.decoder_name)
    assert got == continuous(path)
    assert opened.count == 1
    took_over = names.index(opened_name(by_chip)) if opened_name(by_chip) in names else len(names)
    assert took_over < SECONDS * FPS / 2, "the chip took over"
    assert names[0] == FFMPEG


def opened_name(decoding: Decoding) -> str:
    assert decoding._chip is not None
    return decoding._chip.name


@pytest.mark.parametrize("moves_at", [1, 3])
@pytest.mark.parametrize("kind", CLOSED)
def test_idle_and_replay_lose_nothing(kind: str, moves_at: int, made: Callable[..., Path], by_chip: Decoding) -> None:
    path = made(**KINDS[kind])
    every, watched = continuous(path), Watched(by_chip)
    watched.watch(packets_of(path), moves_at)
    moved_s = watched.idle[-1]
    before_s = watched.idle[-2] if moves_at > 1 else moved_s - 0.001
    assert set(watched.frames) <= set(every), "bit by bit"
    assert times(watched.frames) == sorted(set(times(watched.frames))), "each once, in order"
    assert [frame for frame in every if frame[0] > before_s] == [
        frame for frame in watched.frames if frame[0] > before_s
    ]


@pytest.mark.parametrize("kind", CLOSED)
def test_a_chip_that_dies_again_and_again_costs_no_picture_and_then_ffmpeg_decodes(
    kind: str, made: Callable[..., Path], by_chip: Decoding, opened: Opened
) -> None:
    path, deaths = made(**KINDS[kind]), 0
    got: list[tuple[float, str]] = []
    for packet in packets_of(path):
        got += map(content_of, by_chip.take(packet))
        if by_chip.decoder_name != FFMPEG and packet.number % 20 == 13 and opened.last is not None:
            os.kill(opened.last._process.pid, signal.SIGKILL)
            opened.last._process.wait()
            deaths += 1
    assert got == continuous(path)
    assert deaths == FAILURES == opened.count
    assert by_chip.decoder_name == FFMPEG


def test_a_chip_that_does_not_begin_with_this_key_frame_costs_no_picture(
    made: Callable[..., Path], by_chip: Decoding, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.test_chip.PATIENCE_S", 0.2)
    path = made(**KINDS[OPEN])
    got: list[tuple[float, str]] = []
    for packet in packets_of(path):
        got += map(content_of, by_chip.take(packet))
        if packet.number == 30 and opened.last is not None:
            opened.last.close()
    assert got == continuous(path)
    assert by_chip.decoder_name == FFMPEG
    assert opened.count == FAILURES


@pytest.mark.parametrize(
    "elements",
    [
        "there_is_no_such_element",
        "openh264dec ! videoconvert ! video/x-raw,format=NV12",
        "openh264dec ! videobalance brightness=0.2 ! videoconvert ! video/x-raw,format=I420",
        "openh264dec ! videoconvert ! videoscale ! video/x-raw,format=I420,width=64,height=48",
        "fakesink fakesrc num-buffers=0",
    ],
)
def test_a_chip_that_cannot_or_shows_something_else_never_takes_over(
    elements: str, made: Callable[..., Path], opened: Opened
) -> None:
    path = made()
    decoding = Decoding(ALL, Chip("a stand-in that is wrong", elements))
    try:
        got = [content_of(frame) for packet in packets_of(path) for frame in decoding.take(packet)]
        assert got == continuous(path)
        assert decoding.decoder_name == FFMPEG
        assert 1 <= opened.count <= FAILURES
    finally:
        decoding.close()


def test_a_chip_that_hangs_is_given_up(
    stand_in: Chip, made: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chip_module, "MAX_OWED", 20)
    path, clock = made(), itertools.count()
    packets = list(packets_of(path))
    silent = Chip("a stand-in that hangs", "identity sleep-time=600000000 ! openh264dec ! videoconvert")
    decoder = ChipDecoder(packets[0].decoder, silent, now_s=lambda: float(next(clock)))
    got = [frame.pts for packet in packets if packet.size for frame in decoder.decode(packet.source)]
    assert got == [packet.source.pts for packet in packets if packet.size]
    assert decoder.failures == FAILURES
    decoder.close()


class Early(Pipeline):
    """A stand-in for a chip that shows each picture before FFmpeg does: there is nothing to compare it with."""

    def __init__(self) -> None:
        self._shown: list[int] = []

    def begin(self, parameters: bytes, dts_ms: int) -> None:
        """Whatever it is."""

    def feed(self, pictures: bytes, dts_ms: int, pts_ms: int, is_key: bool) -> None:  # noqa: ARG002
        self._shown.append(pts_ms)

    def frames(self) -> Iterator[tuple[int, av.VideoFrame]]:
        while self._shown:
            yield self._shown.pop(0), av.VideoFrame(64, 48, "yuv420p")

    def close(self) -> None:
        """There is nothing to end."""


def test_what_waits_to_be_compared_with_a_chip_does_not_grow(made: Callable[..., Path]) -> None:
    packets = [packet for packet in packets_of(made()) if packet.size]
    decoder = ChipDecoder(packets[0].decoder, NVIDIA, lambda _: Early())
    got = [frame.pts for packet in packets for frame in decoder.decode(packet.source)]
    assert got == [packet.source.pts for packet in packets]
    assert (decoder.name, decoder.failures) == (FFMPEG, 0)
    assert len(decoder._samples) <= 1


def test_a_process_with_more_open_files_than_select_knows_numbers_for_decodes_too(stand_in: Chip) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    with ExitStack() as files:
        files.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for _ in range(1024):
            files.enter_context(Path(os.devnull).open())
        pipeline = Pipeline(stand_in)
        files.callback(pipeline.close)
        assert pipeline._from > 1023
        pipeline.feed(b"", 0, 0, True)
        assert list(pipeline.frames()) == []


def test_a_new_connection_and_lost_packets_begin_again(
    made: Callable[..., Path], by_chip: Decoding, opened: Opened
) -> None:
    first, second = made(), made(**KINDS["H.264 in MP4"])
    packets = list(packets_of(first))
    key = [packet for packet in packets if packet.key][4]
    got = [content_of(frame) for packet in packets[:60] + packets[key.number :] for frame in by_chip.take(packet)]
    every = continuous(first)
    assert set(got) <= set(every)
    assert got[-(SECONDS * FPS - key.number) :] == every[key.number :]
    again = [content_of(frame) for packet in packets_of(second, begin_s=1100) for frame in by_chip.take(packet)]
    assert [content for _, content in again if _ >= 1100] == [content for _, content in continuous(second)]
    assert opened.count == 2


def test_other_codecs_are_left_to_ffmpeg(made: Callable[..., Path], by_chip: Decoding, opened: Opened) -> None:
    path = made(**KINDS["H.265"])
    got = [content_of(frame) for packet in packets_of(path) for frame in by_chip.take(packet)]
    assert (got, opened.count, by_chip.decoder_name) == (continuous(path), 0, FFMPEG)


def test_what_is_not_installed_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not has(Chip("absent", "there_is_no_such_element ! videoconvert"))
    assert not has(NVIDIA), "no Jetson was here; where one is, this line is to be deleted"
    monkeypatch.setattr(gstreamer, "LAUNCH", "there-is-no-such-program")
    assert not has(Chip("absent", "identity"))
    with pytest.raises(PipelineError, match="cannot be started"):
        Pipeline(Chip("absent", "identity"))


def test_units_come_after_their_lengths_however_they_were_separated() -> None:
    units = [b"\x67\x64\x00\x1e\xac", b"\x68\xee\x3c", b"\x65\x88\x80\x01"]
    annex_b = b"\0\0\0\1" + b"\0\0\1".join(units)
    sized = b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)
    assert annex_b_units(annex_b) == units
    assert avcc_of(memoryview(annex_b), b"") == sized
    record = parameters_of(b"", annex_b)
    assert record == b"\x01\x64\x00\x1e\xff\xe1\x00\x05" + units[0] + b"\x01\x00\x03" + units[1]
    assert avcc_of(memoryview(sized), record) == sized
    two = b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)
    assert avcc_of(memoryview(two), record[:4] + b"\xfd" + record[5:]) == sized
    assert parameters_of(record[:4] + b"\xfd" + record[5:], b"") == record
    assert parameters_of(annex_b, b"\0\0\1\x65") == record
    assert parameters_of(b"", b"\0\0\1\x65") is None


def test_a_tag_is_as_flv_wants_it() -> None:
    made_tag = tag(0x01020304, 1, 1, 80, b"abc")
    assert made_tag[:11] == bytes([9, 0, 0, 8, 2, 3, 4, 1, 0, 0, 0])
    assert made_tag[11:19] == bytes([0x17, 1, 0, 0, 80]) + b"abc"
    assert int.from_bytes(made_tag[19:], "big") == 19


@pytest.mark.parametrize("caps", [b"", b"video/x-raw, format=(string)NV12, width=(int)4, height=(int)4"])
def test_a_format_that_is_not_asked_for_is_refused(caps: bytes) -> None:
    with pytest.raises(PipelineError):
        size_of(caps)


@pytest.mark.parametrize(("width", "height"), [(64, 48), (62, 46), (853, 479), (2, 2)])
def test_rows_are_padded_to_four_bytes(width: int, height: int) -> None:
    across, down = (width + 1) // 2, (height + 1) // 2
    strides, rows = [-(-width // 4) * 4, *[-(-across // 4) * 4] * 2], [down * 2, down, down]
    content = b"".join(bytes([10 + plane]) * strides[plane] * rows[plane] for plane in range(3))
    frame = frame_of(bytearray(content), width, height)
    assert (frame.width, frame.height, frame.format.name) == (width, height, "yuv420p")
    assert [bytes(plane)[0] for plane in frame.planes] == [10, 11, 12]
    with pytest.raises(PipelineError):
        frame_of(bytearray(content[:-1]), width, height)
