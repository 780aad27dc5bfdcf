"""The observer of one stream: real videos with squares of colour for faces, as fast as they can be read."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from appliance.faces import Face, State
from appliance.vision.budget import Budget, Costs
from appliance.vision.frame import Frame
from appliance.vision.observer import Look, Observer
from appliance.vision.pixels import Pixels
from appliance.vision.reading.packets import Packet
from appliance.vision.tracking.track import Track
from appliance.zones import Zone, ZoneKind
from scripts.recorded import packets_of
from tests.colour_detector import ColourDetector, Place, people
from tests.videos import FPS, Picture, make_video

BEGIN_S = 1000.0
LOST_S = 2.5
AMPLE_MS = 10_000.0
Make = Callable[..., Path]


class Watched:
    """An observer that is given a video, and what it made of it. Times are seconds of the video."""

    def __init__(
        self,
        accept: Callable[[Frame], bool] = lambda _: True,
        budget_ms: float = AMPLE_MS,
        cpu_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.looks: list[Look] = []
        self.idle_s: list[float] = []  # packets that came while it was idle
        self.ended: dict[str, float] = {}
        self.tracks: dict[str, Track] = {}
        purse, costs = Budget(budget_ms).open_purse(), Costs(0.1, 1e-5)
        self.observer = Observer(ColourDetector(), 10, LOST_S, purse, costs, accept, cpu_s)

    def watch(self, path: Path, at: dict[float, Callable[[], object]] | None = None) -> Watched:
        """The whole video. at: what to do before the first packet that is shown then or later."""
        waiting = sorted((at or {}).items())
        for packet in packets_of(path, BEGIN_S):
            while waiting and packet.time_s - BEGIN_S >= waiting[0][0]:
                waiting.pop(0)[1]()
            self.take(self.observer.take(packet))
            self._note(packet)
        return self

    def _note(self, packet: Packet) -> None:
        if self.observer.decoding.idle:
            self.idle_s.append(packet.time_s - BEGIN_S)

    def take(self, looks: Iterator[Look]) -> None:
        for look in looks:
            self.looks.append(look)
            self.tracks |= {track.key: track for track in look.update.seen}
            self.ended |= {track.key: look.frame.time_s - BEGIN_S for track in look.update.ended}

    def was_idle(self, from_s: float, to_s: float) -> bool:
        """Whether it was idle at any time between."""
        return any(from_s <= time_s <= to_s for time_s in self.idle_s)

    def looks_s(self, finding: bool = False) -> list[float]:
        """When it looked, or when it looked and found somebody."""
        return [look.frame.time_s - BEGIN_S for look in self.looks if look.faces or not finding]

    @property
    def states(self) -> list[State]:
        """Of everybody who was counted, in the order in which they came."""
        return [track.state for track in sorted(self.tracks.values(), key=lambda track: track.first_seen_utc)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Makes clips of pictures, a key frame each second where nothing else is said."""
    folder, count = tmp_path_factory.mktemp("clips"), itertools.count()

    def make(picture: Picture, seconds: float, key_frame_every: int = FPS) -> Path:
        path = folder / f"{next(count)}.ts"
        path.write_bytes(make_video(picture, round(seconds * FPS), key_frame_every=key_frame_every))
        return path

    return make


def way(*points: tuple[float, float, float]) -> Place:
    """Straight on through points (time, x, y); nobody before the first and after the last."""
    times, xs, ys = zip(*points, strict=True)

    def place(t: float) -> tuple[float, float] | None:
        if not times[0] <= t <= times[-1]:
            return None
        return float(np.interp(t, times, xs)), float(np.interp(t, times, ys))

    return place


def test_who_walks_in_between_two_key_frames_is_seen_from_the_first_frames_on(made: Make) -> None:
    clip = made(people({State.MASK: way((7.2, -24, 120), (9.6, 344, 120))}), 14)
    watched = Watched().watch(clip)
    assert watched.was_idle(6, 7)
    assert watched.was_idle(12, 14)
    (track,) = watched.tracks.values()
    assert track.state is State.MASK
    assert watched.looks_s(finding=True)[0] < 7.2 + 0.3
    assert track.first_seen_utc < 7.2 + 0.4
    times_s = watched.looks_s()
    assert times_s == sorted(times_s)
    seen = [time_s for time_s in times_s if 7.3 < time_s < 8]
    assert len(seen) >= 6, "ten looks a second, although nothing was decoded then"


@pytest.mark.parametrize("begin_s", [7.02, 7.3, 7.6, 7.9])
def test_who_crosses_the_picture_in_a_second_gets_three_looks_and_more(begin_s: float, made: Make) -> None:
    clip = made(people({State.NO_MASK: way((begin_s, -20, 60), (begin_s + 1.02, 340, 60))}), 11)
    watched = Watched().watch(clip)
    assert watched.was_idle(6, 7)
    assert len(watched.looks_s(finding=True)) >= 6
    assert watched.states == [State.NO_MASK]


def test_who_stands_is_in_view_while_idle_and_ends_when_they_leave(made: Make) -> None:
    clip = made(people({State.MASK: way((0, 100, 120), (9.3, 100, 120), (10.4, 344, 120))}), 16)
    watched = Watched().watch(clip)
    assert watched.was_idle(7, 9)
    (key,) = watched.tracks
    assert watched.ended[key] < 10.4 + 1.5
    assert 10.0 < max(watched.looks_s(finding=True)) < 10.5, "the last look at them is the one before they were gone"


def test_a_face_where_people_never_count_is_found_and_nobodys(made: Make) -> None:
    """Who passes there is one person, before and after."""
    poster, walker = way((0, 160, 120), (12, 160, 120)), way((5, -24, 180), (8, 344, 180))
    watched = Watched()
    around = ((0.4, 0.35), (0.6, 0.35), (0.6, 1.0), (0.4, 1.0))
    watched.observer.counting.zones = (Zone(ZoneKind.NEVER, "poster", around),)
    watched.watch(made(people({State.NO_MASK: poster, State.MASK: walker}), 12))
    assert watched.states == [State.MASK]
    assert any(face.bbox_px == (136, 96, 184, 144) for look in watched.looks for face in look.excluded)


STOPS = way((4, -24, 120), (6, 160, 120), (15, 160, 120), (17, 344, 120))
WALKS = way((19.3, 344, 60), (21.5, -24, 60))
MEETS = way((7.4, -24, 200), (10, 344, 200))


def test_being_idle_and_waking_counts_nobody_twice_and_leaves_nobody_out(made: Make) -> None:
    clip = made(people({State.MASK: STOPS, State.NO_MASK: WALKS, State.INCORRECT: MEETS}), 26)
    idle, awake = Watched(), Watched()
    idle.watch(clip)
    awake.watch(clip, {0: lambda: awake.take(awake.observer.wake(math.inf))})
    assert idle.was_idle(12, 15)
    assert not awake.idle_s
    assert idle.states == awake.states == [State.MASK, State.INCORRECT, State.NO_MASK]
    assert len(idle.ended) == len(awake.ended) == 3
    for with_idle, without in zip(idle.tracks.values(), awake.tracks.values(), strict=True):
        assert with_idle.first_seen_utc == pytest.approx(without.first_seen_utc, abs=0.25)
        # Whoever has a state and goes on as expected is looked at in key frames alone, until they are gone, or else
        # about three times a second.
        assert without.last_s - 1.4 < with_idle.last_s < without.last_s + 0.4
    assert len(idle.looks) < len(awake.looks)


def textured(seed: int) -> Pixels:
    """A scene with edges everywhere, in grey."""
    coarse = np.random.default_rng(seed).integers(60, 160, (60, 80), np.uint8)
    return np.repeat(np.repeat(coarse, 4, axis=0), 4, axis=1)[..., None].repeat(3, axis=2)


@pytest.mark.parametrize("cut_s", [4.0, 9.4])
def test_a_cut_ends_everybody(cut_s: float, made: Make) -> None:
    """Somebody stands at the same place before and after it. While everything is decoded, and while idle."""
    scenes = [textured(1), textured(2)]
    face = people({State.MASK: lambda _: (160, 120)})(0)
    for scene in scenes:
        scene[96:144, 136:184] = face[96:144, 136:184]
    watched = Watched().watch(made(lambda index: scenes[index >= cut_s * FPS], 14))
    assert cut_s < 5 or watched.was_idle(8, 9)
    assert watched.states == [State.MASK, State.MASK]
    assert list(watched.ended.values()) == [pytest.approx(cut_s, abs=0.15)]


def test_frames_that_are_not_accepted_are_not_looked_at(made: Make) -> None:
    clip = made(people({State.MASK: lambda _: (160, 120)}), 4)
    asked: list[tuple[int, int]] = []

    def refuse(frame: Frame) -> bool:
        asked.append((frame.width, frame.height))
        return False

    watched = Watched(accept=refuse).watch(clip)
    assert set(asked) == {(320, 240)}
    assert watched.looks == []


@pytest.mark.parametrize("restart_s", [3.5, 9.5])
def test_after_an_error_it_begins_again_with_a_key_frame_and_knows_who_is_in_view(restart_s: float, made: Make) -> None:
    clip = made(people({State.MASK: lambda t: (100 + 4 * math.sin(t), 120)}), 16)
    watched = Watched()
    watched.watch(clip, {restart_s: watched.observer.restart})
    after_s = [time_s for time_s in watched.looks_s() if time_s > restart_s]
    assert after_s[0] == pytest.approx(math.ceil(restart_s), abs=0.01), "the next key frame"
    assert len(watched.tracks) == 1
    assert watched.ended == {}
    assert watched.was_idle(14, 16)


def test_waking_decodes_what_was_kept_and_all_until_then(made: Make) -> None:
    clip = made(people({}), 16)
    watched = Watched()
    watched.watch(clip, {8.5: lambda: watched.take(watched.observer.wake(BEGIN_S + 11, BEGIN_S + 8.5))})
    assert watched.was_idle(7, 8.4)
    assert not watched.was_idle(8.6, 10.9)
    assert watched.was_idle(12.5, 16)
    looks = [time_s for time_s in watched.looks_s() if 8.05 < time_s < 10.95]
    assert len(looks) >= 27


class TwoColours(ColourDetector):
    """Finds the blue faces too small to judge."""

    def detect(self, image: Pixels, score_threshold: float | None = None) -> list[Face]:
        found = super().detect(image, score_threshold)
        return [
            Face(face.bbox_px, face.score, face.class_probabilities, State.UNKNOWN, too_small=True)
            if face.state is State.INCORRECT
            else face
            for face in found
        ]


def test_health_tells_who_was_too_small_and_what_decoding_costs(made: Make) -> None:
    walks = [way((3 + 4 * number, -24, 120), (5 + 4 * number, 344, 120)) for number in range(6)]

    def passing(numbers: list[int]) -> Place:
        return lambda t: next((place for number in numbers if (place := walks[number](t))), None)

    places = {State.INCORRECT: passing([0, 3, 5]), State.MASK: passing([1, 2, 4])}
    watched = Watched()
    watched.observer.detector = TwoColours()
    health = watched.watch(made(people(places), 28)).observer.health
    assert health.too_small == 0.5
    assert health.smallest_face_px == ColourDetector.smallest_face_px
    assert health.looks == 1.0
    assert health.decoding_ms
    assert health.idle_ms is None, "key frames come often enough"


def test_health_tells_what_a_key_frame_a_second_would_save(made: Make) -> None:
    watched = Watched().watch(made(people({}), 24, key_frame_every=5 * FPS))
    assert watched.idle_s == []
    health = watched.observer.health
    assert health.decoding_ms
    assert health.idle_ms is not None
    assert 0 <= health.idle_ms < health.decoding_ms


def test_with_too_little_computing_time_it_looks_less_often_and_says_so(made: Make) -> None:
    clip = made(people({State.MASK: lambda t: (160 + 100 * math.sin(2 * t), 120)}), 20)
    ticks = itertools.count()
    poor = Watched(budget_ms=60, cpu_s=lambda: next(ticks) * 0.02).watch(clip).observer.health
    ticks = itertools.count()
    rich = Watched(cpu_s=lambda: next(ticks) * 0.02).watch(clip).observer.health
    assert rich.looks == 1.0
    assert poor.looks is not None
    assert poor.looks < 0.9
