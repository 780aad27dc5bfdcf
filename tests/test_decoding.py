"""From packets to frames, on real videos: what idle leaves out, and that motion brings it back bit by bit."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from appliance.vision.frame import Frame
from appliance.vision.pixels import Pixels
from appliance.vision.reading.decoding import Decoding
from appliance.vision.reading.packets import Packet
from scripts.recorded import packets_of
from tests.videos import FPS, make_video
from tests.watching import ALL

SECONDS = 8
KINDS: dict[str, dict[str, object]] = {
    "H.264": {},
    "H.264 in MP4": {"container": "mp4"},
    "H.264 with B-frames": {
        "options": {"preset": "veryfast", "tune": "psnr", "x264-params": "bframes=2:b-adapt=0:scenecut=0"}
    },
    "H.264 with an open GOP": {
        "options": {"preset": "veryfast", "tune": "psnr", "x264-params": "bframes=3:b-adapt=0:open-gop=1:scenecut=0"}
    },
    "H.265": {"codec": "libx265", "options": {"x265-params": "bframes=2:open-gop=1:scenecut=0:log-level=none"}},
    "MPEG-4": {"codec": "mpeg4", "container": "matroska"},
}
MJPEG: dict[str, object] = {"codec": "mjpeg", "container": "matroska", "options": {"strict": "unofficial"}}


def bouncing(index: int) -> Pixels:
    """A square on noise, so that a frame which was predicted from the wrong one is not the same."""
    picture = np.random.default_rng(index % 5).integers(90, 110, (96, 128, 3), np.uint8)
    left = index * 3 % 100
    picture[30:60, left : left + 24] = (200, 60, 40)
    return picture


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a video of bouncing(), once."""
    folder, known = tmp_path_factory.mktemp("videos"), dict[str, Path]()

    def make(seconds: int = SECONDS, **how: object) -> Path:
        name = f"{seconds}{sorted(how.items())}"
        if name not in known:
            known[name] = folder / str(len(known))
            known[name].write_bytes(make_video(bouncing, seconds * FPS, **how))  # type: ignore[arg-type]
        return known[name]

    return make


def content_of(frame: Frame) -> tuple[float, str]:
    """When it was shown, and all of its bytes."""
    return round(frame.time_s, 4), sha256(frame.source.to_ndarray().tobytes()).hexdigest()


def continuous(path: Path, looks_per_s: float = ALL) -> list[tuple[float, str]]:
    decoding = Decoding(looks_per_s)
    return [content_of(frame) for packet in packets_of(path) for frame in decoding.take(packet)]


def times(frames: list[tuple[float, str]]) -> list[float]:
    return [time_s for time_s, _ in frames]


class Watched:
    """What comes of packets when nothing moves until so many idle frames were seen."""

    def __init__(self, decoding: Decoding | None = None) -> None:
        self.decoding = decoding or Decoding(ALL)
        self.idle: list[float] = []
        self.frames: list[tuple[float, str]] = []

    def watch(self, packets: Iterable[Packet], moves_at_idle_frame: int | None = None) -> None:
        for packet in packets:
            for frame in self.decoding.take(packet):
                if not self.decoding.idle:
                    self.frames.append(content_of(frame))
                    continue
                self.idle.append(round(frame.time_s, 4))
                if len(self.idle) == moves_at_idle_frame:
                    self.frames += map(content_of, self.decoding.wake())
            if moves_at_idle_frame is None or len(self.idle) < moves_at_idle_frame:
                self.decoding.rest()


@pytest.mark.parametrize("kind", KINDS)
def test_frames_come_each_once_in_their_order_with_the_stamps_of_their_packets(
    kind: str, made: Callable[..., Path]
) -> None:
    frames = continuous(made(**KINDS[kind]))
    assert len(frames) == SECONDS * FPS
    distances_s = [later - earlier for earlier, later in itertools.pairwise(times(frames))]
    assert distances_s == pytest.approx([1 / FPS] * len(distances_s), abs=0.002)


@pytest.mark.parametrize("moves_at", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_replayed_is_what_would_have_come_all_the_time(
    kind: str, moves_at: int, made: Callable[..., Path]
) -> None:
    path = made(**KINDS[kind])
    every = continuous(path)
    watched = Watched()
    watched.watch(packets_of(path), moves_at)
    assert len(watched.idle) == moves_at
    assert set(watched.frames) <= set(every), "bit by bit"
    assert times(watched.frames) == sorted(set(times(watched.frames))), "each once, in order"
    moved_s = watched.idle[-1]
    before_s = watched.idle[-2] if moves_at > 1 else moved_s - 0.001
    wanted = [frame for frame in every if frame[0] > before_s]
    assert wanted == [frame for frame in watched.frames if frame[0] > before_s], "all since the key frame before"
    assert any(time_s == moved_s for time_s in times(watched.frames)), "the frame that shows it comes again"


def test_in_idle_key_frames_alone_are_decoded(made: Callable[..., Path]) -> None:
    watched = Watched()
    packets = list(packets_of(made()))
    watched.watch(packets)
    assert watched.idle == [round(packet.time_s, 4) for packet in packets if packet.key][3:]
    assert watched.decoding.idle
    assert watched.decoding.key_interval_s == pytest.approx(1)


def test_it_goes_idle_again_and_wakes_again(made: Callable[..., Path]) -> None:
    path = made(seconds=16)
    every, watched = continuous(path), Watched()
    for packet in packets_of(path):
        for frame in watched.decoding.take(packet):
            if watched.decoding.idle and round(frame.time_s) in (1005, 1010):
                watched.frames += map(content_of, watched.decoding.wake())
            elif not watched.decoding.idle:
                watched.frames.append(content_of(frame))
        watched.decoding.rest()
    assert set(watched.frames) <= set(every)
    assert times(watched.frames) == sorted(set(times(watched.frames)))
    for begin_s, end_s in ((1004.1, 1005.9), (1009.1, 1010.9)):
        assert sum(begin_s < time_s < end_s for time_s in times(watched.frames)) >= 44


def test_where_key_frames_are_rare_all_is_decoded(made: Callable[..., Path]) -> None:
    watched = Watched()
    watched.watch(packets_of(made(key_frame_every=2 * FPS)))
    assert not watched.decoding.can_rest
    assert watched.decoding.can_rest_elsewhere
    assert (watched.idle, len(watched.frames)) == ([], SECONDS * FPS)
    assert watched.decoding.saving_ms is not None


def test_key_frames_that_become_rare_end_idle(made: Callable[..., Path]) -> None:
    often = list(packets_of(made()))
    rare = list(packets_of(made(key_frame_every=100 * FPS), begin_s=1008))
    decoder, number = often[0].decoder, len(often) - 1
    after = [
        Packet(each.source, decoder, number + each.number, each.time_s, each.utc, each.arrived_s, each.key)
        for each in rare
    ]
    watched = Watched()
    watched.watch(often[:-1] + after)
    assert not watched.decoding.idle
    assert len([time_s for time_s in times(watched.frames) if time_s > 1008.05]) == SECONDS * FPS - 2


def test_of_pictures_that_are_all_key_frames_idle_decodes_few(made: Callable[..., Path]) -> None:
    path = made(**MJPEG)
    every, watched = continuous(path), Watched()
    watched.watch(packets_of(path), moves_at_idle_frame=6)
    gaps_s = [later - earlier for earlier, later in itertools.pairwise(watched.idle)]
    assert all(0.34 < gap_s < 0.5 for gap_s in gaps_s)
    assert [frame for frame in every if frame[0] > watched.idle[-2]] == [
        frame for frame in watched.frames if frame[0] > watched.idle[-2]
    ]


def test_what_is_kept_has_a_limit(made: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.vision.reading.decoding.MAX_KEPT_BYTES", 1000)
    path, watched = made(), Watched()
    watched.watch(packets_of(path))
    assert not watched.decoding.can_rest
    assert len(watched.idle) <= 1
    assert sorted(times(watched.frames) + watched.idle) == times(continuous(path))


@pytest.mark.parametrize("kind", ["H.264 with B-frames", "H.264 with an open GOP", "H.265", "MJPEG"])
def test_frames_that_nobody_refers_to_are_dropped_as_far_as_looks_allow(kind: str, made: Callable[..., Path]) -> None:
    path = made(**(KINDS | {"MJPEG": MJPEG})[kind])
    every, some = continuous(path), continuous(path, looks_per_s=8)
    assert set(some) <= set(every), "the others are the same bit by bit"
    assert len(some) < 0.75 * len(every)
    gaps_s = [later - earlier for earlier, later in itertools.pairwise(times(some))]
    assert max(gaps_s) < 1 / 8 + 0.01
    assert len(continuous(path, looks_per_s=FPS)) == len(every)


def test_what_is_lost_is_passed_over_up_to_the_next_key_frame(made: Callable[..., Path]) -> None:
    path = made(**KINDS["H.264 with an open GOP"])
    packets, every = list(packets_of(path)), continuous(path)
    key = [packet for packet in packets if packet.key][3]
    decoding = Decoding(ALL)
    kept = packets[:40] + packets[key.number :]
    got = [content_of(frame) for packet in kept for frame in decoding.take(packet)]
    assert set(got) <= set(every), "nothing was predicted from what is not there"
    assert [frame for frame in every if frame[0] >= round(key.time_s, 4)] == [
        frame for frame in got if frame[0] >= round(key.time_s, 4)
    ]


def test_a_new_connection_is_another_decoder(made: Callable[..., Path]) -> None:
    first = list(packets_of(made()))
    second = list(packets_of(made(codec="libx265"), begin_s=1100))
    for idle in (False, True):
        watched = Watched()
        for packet in first[:150]:
            watched.watch([packet]) if idle else list(watched.decoding.take(packet))
        assert watched.decoding.idle == idle
        got = [frame for packet in second for frame in watched.decoding.take(packet)]
        assert len([frame for frame in got if frame.time_s >= 1100]) == SECONDS * FPS
        assert not watched.decoding.can_rest or watched.decoding.key_interval_s == pytest.approx(1)


def test_broken_packets_end_nothing(made: Callable[..., Path]) -> None:
    packets = list(packets_of(made()))
    for packet in packets[30:60:3]:
        packet.source.update(bytes(packet.size))
    watched = Watched()
    watched.watch(packets, moves_at_idle_frame=3)
    assert [time_s for time_s in times(watched.frames) if time_s > 1007]


def test_watched_elsewhere_nothing_is_decoded_until_it_moves(made: Callable[..., Path]) -> None:
    path = made(seconds=14, key_frame_every=3 * FPS)
    packets, decoding = list(packets_of(path)), Decoding(ALL)
    got: list[tuple[float, str]] = []
    spent_ms: list[float] = []
    for packet in packets:
        got += map(content_of, decoding.take(packet))
        if packet.time_s < 1012:
            decoding.rest(elsewhere=True)
        if decoding.idle:
            spent_ms.append(decoding.decoding_ms)
        if decoding.idle and packet.time_s >= 1012.5:
            got += map(content_of, decoding.wake(since_s=1010.0))
    assert len(set(spent_ms)) == 1
    assert len(spent_ms) > 2 * FPS
    every = continuous(path)
    assert set(got) <= set(every)
    assert [frame for frame in every if frame[0] >= 1009] == [frame for frame in got if frame[0] >= 1009]


def test_watched_elsewhere_one_key_frame_in_ten_seconds_shows_whether_the_view_is_right(
    made: Callable[..., Path],
) -> None:
    decoding = Decoding(ALL)
    glances: list[float] = []
    for packet in packets_of(made(seconds=40, key_frame_every=3 * FPS)):
        found = [frame.time_s for frame in decoding.take(packet)]
        glances += found if decoding.elsewhere else []
        decoding.rest(elsewhere=True)
    pauses_s = np.diff(glances)
    assert len(glances) >= 2
    assert ((pauses_s >= 10) & (pauses_s <= 13.1)).all()


def test_watching_may_move_from_elsewhere_to_its_own_key_frames(made: Callable[..., Path]) -> None:
    decoding, idle_s = Decoding(ALL), []
    for packet in packets_of(made()):
        for frame in decoding.take(packet):
            if decoding.idle:
                idle_s.append(frame.time_s)
        decoding.rest(elsewhere=packet.time_s < 1005.5)
    assert decoding.idle
    assert idle_s == pytest.approx([1006, 1007], abs=0.1)


def test_frames_left_untaken_come_with_the_next_packet(made: Callable[..., Path]) -> None:
    decoding, packets = Decoding(ALL), list(packets_of(made()))
    lazily: list[Iterator[Frame]] = [decoding.take(packet) for packet in packets]
    assert [content_of(frame) for frame in lazily[-1]] == continuous(made())
