"""Streams that are broken or mean harm: whatever comes, looks go on, it recovers, and nothing grows without end."""

from __future__ import annotations

import copy
import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import av
import pytest
from av.video.codeccontext import VideoCodecContext

from appliance.faces import Face, State
from appliance.vision.budget import Budget, Costs
from appliance.vision.observer import MAX_FACES, Look, Observer
from appliance.vision.pixels import Stack
from appliance.vision.reading.decoding import MAX_KEPT_BYTES
from appliance.vision.reading.packets import Packet, StreamClock
from appliance.vision.tracking.tracker import Seen, Tracker
from scripts.recorded import packets_of
from tests.colour_detector import ColourDetector, people
from tests.videos import FPS, make_video

TICK_S = 1 / 90_000
FRAME_TICKS = 90_000 // FPS
HOUR, YEAR = 3600 * 90_000, 365 * 24 * 3600 * 90_000
SECONDS = 24
KINDS: dict[str, dict[str, object]] = {
    "H.264": {},
    "H.264 with an open GOP": {
        "options": {"preset": "veryfast", "tune": "psnr", "x264-params": "bframes=3:b-adapt=0:open-gop=1:scenecut=0"}
    },
    "H.265": {"codec": "libx265", "options": {"x265-params": "bframes=2:open-gop=1:scenecut=0:log-level=none"}},
    "MPEG-4": {"codec": "mpeg4", "container": "matroska"},
    "MJPEG": {"codec": "mjpeg", "container": "matroska", "options": {"strict": "unofficial"}},
}
STAMPS: dict[str, Callable[[int], tuple[int | None, int | None]]] = {
    "back an hour": lambda index: (index * FRAME_TICKS - HOUR * (index > 300),) * 2,
    "forward a year": lambda index: (index * FRAME_TICKS + YEAR * (index > 300),) * 2,
    "one of another year": lambda index: (index * FRAME_TICKS + YEAR * (index == 300),) * 2,
    "now and then of another year": lambda index: (index * FRAME_TICKS + YEAR * (index % 2), index * FRAME_TICKS),
    "all equal": lambda _: (7, 7),
    "shown at once, decoded in order": lambda index: (7, index * FRAME_TICKS),
    "one for all of a second": lambda index: (index // FPS * 90_000,) * 2,
    "none": lambda _: (None, None),
    "negative": lambda index: (index * FRAME_TICKS - 10**9,) * 2,
    "decoded after they are shown": lambda index: (index * FRAME_TICKS, index * FRAME_TICKS + 90_000),
    "5 % too fast": lambda index: (index * FRAME_TICKS * 105 // 100,) * 2,
    "5 % too slow": lambda index: (index * FRAME_TICKS * 95 // 100,) * 2,
    "from end to beginning": lambda index: (-index * FRAME_TICKS,) * 2,
    "at the end of 33 bits": lambda index: ((index * FRAME_TICKS + 2**33 - 900_000) % 2**33,) * 2,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A video in which somebody walks by every eight seconds, once for each kind."""
    folder, known = tmp_path_factory.mktemp("videos"), dict[str, Path]()

    def make(kind: str) -> Path:
        if kind not in known:
            known[kind] = folder / str(len(known))
            walk = people(
                {State.MASK: lambda time_s: (time_s % 8 * 90 - 30, 60) if time_s % 8 < 2.4 else None}, 160, 120
            )
            known[kind].write_bytes(make_video(walk, SECONDS * FPS, **KINDS[kind]))  # type: ignore[arg-type]
        return known[kind]

    return make


def walker(time_s: float) -> tuple[float, float] | None:
    """From left to right in 2.4 s, every eight seconds."""
    return (time_s % 8 * 90 - 30, 60) if time_s % 8 < 2.4 else None


class Observed:
    """What comes of packets, and how much work that was."""

    def __init__(self, detector: ColourDetector | None = None) -> None:
        detector = detector or ColourDetector()
        self.observer = Observer(detector, 10.0, 2.5, Budget(1600).open_purse(), Costs(0.1, 1e-5))
        self.looks: list[Look] = []
        self.idle: list[bool] = []
        self.most_kept_bytes = self.most_tracks = 0

    def take(self, packets: Iterable[Packet]) -> Observed:
        decoding = self.observer.decoding
        for packet in packets:
            self.looks += self.observer.take(packet)
            self.idle.append(decoding.idle)
            self.most_kept_bytes = max(self.most_kept_bytes, sum(kept.held_bytes for kept in decoding._kept))
            self.most_tracks = max(self.most_tracks, len(self.observer.tracker.tracks))
        return self

    @property
    def times_s(self) -> list[float]:
        return [look.frame.time_s for look in self.looks]


def changed(packet: Packet, number: int, **what: object) -> Packet:
    """The packet at another place of a stream."""
    kept = {"time_s": packet.time_s, "key": packet.key} | what
    return Packet(
        packet.source, packet.decoder, number, kept["time_s"], packet.utc, packet.arrived_s, kept["key"]  # type: ignore[arg-type]
    )  # fmt: skip


def damaged(
    packets: list[Packet], of_bytes: float, of_packets: float, until_s: float, seed: int = 1
) -> Iterator[Packet]:
    """As a bad network leaves them: some bytes are others, some packets are missing, and nobody says which."""
    chance, number = random.Random(1), itertools.count()
    for packet in packets:
        if packet.time_s < until_s and packet.size:
            if chance.random() < of_packets:
                continue
            data = bytearray(bytes(packet.source))
            wrong = [at for at in range(len(data)) if chance.random() < of_bytes]
            for at in wrong:
                data[at] = chance.randrange(256)
            if wrong:
                packet.source.update(bytes(data))
        yield changed(packet, next(number))


@pytest.mark.parametrize("kind", STAMPS)
def test_time_goes_on_whatever_the_time_stamps_say(kind: str) -> None:
    clock = StreamClock(TICK_S)
    arrived_s = [1000 + index / FPS for index in range(40 * FPS)]
    shown_s = [clock.shown_s(*STAMPS[kind](index), now_s) for index, now_s in enumerate(arrived_s)]
    assert all(-1e-6 < now_s - time_s < 1.1 for now_s, time_s in zip(arrived_s, shown_s, strict=True))
    steps_s = [later - earlier for earlier, later in itertools.pairwise(shown_s)]
    assert min(steps_s) > 0, "each later than the one before"
    assert max(steps_s) < 0.6, "so that looks go on"


def test_a_stamp_that_comes_twice_in_a_late_burst_is_as_late_as_the_others() -> None:
    clock = StreamClock(TICK_S)
    clock.shown_s(0, 0, 500.0)
    assert clock.shown_s(90_000, 90_000, 503.0) == pytest.approx(501)
    assert clock.shown_s(90_000, 90_000, 503.0) == pytest.approx(501)
    assert clock.shown_s(2 * 90_000, 2 * 90_000, 503.0) == pytest.approx(502)


@pytest.mark.parametrize(("of_bytes", "of_packets"), [(0.001, 0.02), (0.05, 0.1)])
@pytest.mark.parametrize("kind", KINDS)
def test_damage_ends_with_the_next_good_key_frames(
    kind: str, of_bytes: float, of_packets: float, made: Callable[[str], Path]
) -> None:
    packets = list(packets_of(made(kind)))
    observed = Observed().take(damaged(packets, of_bytes, of_packets, until_s=1009))
    good_s = [time_s for time_s in observed.times_s if 1016.3 < time_s < 1018]
    assert len(good_s) >= 8, "who walks by is seen"
    assert any(track.state is State.MASK for look in observed.looks for track in look.update.ended)
    if kind != "MPEG-4":  # of which damaged headers stay with the decoder as long as the connection
        assert any(observed.idle[-3 * FPS :]), "and while nothing moves it costs as little as before"


def test_a_broken_key_frame_whose_time_stamp_leaps_does_not_hide_what_follows(made: Callable[[str], Path]) -> None:
    packets = list(packets_of(made("H.264")))
    lost, key = 80, 100
    packets[key].source.update(bytes(packets[key].size))
    packets[key].source.pts = packets[key].source.dts = YEAR
    observed = Observed().take(packets[:lost] + packets[key:])
    assert [time_s for time_s in observed.times_s if 1006 < time_s < 1008]


@pytest.mark.parametrize(
    "is_key",
    [lambda _, __: True, lambda _, __: False, lambda index, _: index % 5 == 0, lambda index, _: index % FPS == 7],
    ids=["all", "none", "some more", "others"],
)
def test_key_frames_that_are_none_cost_at_most_twice_the_decoding(
    is_key: Callable[[int, bool], bool], made: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Packet | None] = []
    observed = Observed()
    decode = observed.observer.decoding._decode

    def counting(decoder: VideoCodecContext | None, packet: Packet | None) -> list[av.VideoFrame]:
        decoded.append(packet)
        return decode(decoder, packet)

    monkeypatch.setattr(observed.observer.decoding, "_decode", counting)
    packets = list(packets_of(made("H.264")))
    observed.take(
        changed(packet, index, key=bool(packet.size) and is_key(index, packet.key))
        for index, packet in enumerate(packets)
    )
    assert len(decoded) <= 2 * len(packets)
    assert len(observed.times_s) > 150
    assert observed.most_kept_bytes < MAX_KEPT_BYTES


@pytest.mark.parametrize("time_goes", [True, False])
def test_after_the_last_key_frame_what_is_kept_does_not_grow(
    time_goes: bool, made: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.vision.reading.decoding.MAX_KEPT_BYTES", limit := 200_000)
    packets = list(packets_of(made("H.264")))[: 7 * FPS]
    observed = Observed().take(packets)
    assert observed.observer.decoding.idle
    others = packets[-FPS + 1 :]
    observed.take(
        changed(others[index % len(others)], len(packets) + index, time_s=1007 + index * time_goes / FPS, key=False)
        for index in range(600)
    )
    assert observed.most_kept_bytes <= limit + max(packet.held_bytes for packet in packets)


def test_pictures_of_one_moment_are_looked_at_once(made: Callable[[str], Path]) -> None:
    packets = list(packets_of(made("H.264")))[:50]
    observed = Observed().take(changed(packet, index, time_s=1000.3) for index, packet in enumerate(packets))
    assert len(observed.looks) == 1


class ManyFaces(ColourDetector):
    """Stands in for a detector in front of a stadium: it finds a face every few pixels."""

    def look(self, squares: Stack, score_threshold: float | None = None) -> list[list[Face]]:
        """See Detector."""
        assert score_threshold is not None
        bboxes = [(float(x), float(y), x + 4.5, y + 5.5) for x in range(0, 156, 5) for y in range(0, 156, 6)]
        return [[Face(bbox, 0.8, (0.9, 0.05, 0.05), State.MASK) for bbox in bboxes] for _ in squares]


def test_of_a_multitude_as_many_are_tracked_as_can_be_told_apart(made: Callable[[str], Path]) -> None:
    observed = Observed(ManyFaces()).take(list(packets_of(made("H.264")))[: 2 * FPS])
    assert any(len(look.faces) > MAX_FACES for look in observed.looks), "all are hidden where eyes are to be"
    assert all(len(look.update.seen) <= MAX_FACES for look in observed.looks)
    assert 0 < observed.most_tracks < 3 * MAX_FACES


def crowd(count: int, chance: random.Random) -> list[Seen]:
    """Faces anywhere."""
    places = [(chance.uniform(0, 1800), chance.uniform(0, 1000)) for _ in range(count)]
    return [Seen(Face((x, y, x + 30, y + 36), 0.8, (0.9, 0.05, 0.05), State.MASK)) for x, y in places]


def test_a_copy_of_a_tracker_is_another_one() -> None:
    chance, tracker = random.Random(1), Tracker(0.5, 2.5)
    faces = crowd(20, chance)
    for index in range(8):
        tracker.update(faces, index / 10, index / 10, None, (1920, 1080))
    before = copy.deepcopy(tracker)
    was = [(track.bbox_px, track.hits, track.weights.tolist(), len(track.recent)) for track in before.tracks]
    expected = before.expected(1.0)
    for index in range(8, 30):
        tracker.update(crowd(20, chance), index / 10, index / 10, None, (1920, 1080))
    assert was == [(track.bbox_px, track.hits, track.weights.tolist(), len(track.recent)) for track in before.tracks]
    assert before.expected(1.0) == expected
