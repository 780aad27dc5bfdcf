"""A stream whose sub-stream is watched: two real videos at their own speed, squares of colour for faces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.faces import State
from appliance.keeping import ImageMode
from appliance.previews import Previews
from appliance.sections import Vision
from appliance.vision.analysis import Analysis, Sighting
from appliance.vision.budget import Budget, Costs
from tests.boxes import until
from tests.colour_detector import ColourDetector, people
from tests.videos import FPS, make_video
from tests.watching import EVERYWHERE

QUIET_S, SECONDS = 9.0, 15.0
INSTEAD = "the main stream is watched instead"


def walk(t: float) -> tuple[float, float] | None:
    """In when it was quiet for a while, and out again."""
    return (100 * (t - QUIET_S) - 20, 120) if QUIET_S <= t < QUIET_S + 3.5 else None


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """The stream, with a key frame each two seconds, and the smaller picture of the same, with one each second."""
    small = people({State.MASK: walk})
    frames = round(SECONDS * FPS)
    main = make_video(people({State.MASK: walk}), frames, key_frame_every=2 * FPS)
    return main, make_video(lambda index: small(index)[::2, ::2].copy(), frames)


class Watched:
    """An analysis of the two videos as files, and what it saw."""

    def __init__(self, folder: Path, main: bytes, small: bytes) -> None:
        self.main, self.small = folder / "main.ts", folder / "small.ts"
        self.main.write_bytes(main)
        self.small.write_bytes(small)
        self.sightings: list[Sighting] = []
        self.analysis = Analysis(
            1,
            str(self.main),
            ColourDetector(),
            Vision(lost_s=0.8),
            ImageMode.EYES_PIXELATED,
            Previews(folder / "run"),
            self.sightings.append,
            EVERYWHERE,
            Budget(1000),
            Costs(0.1, 1e-5),
            watch_url=str(self.small),
        )

    @property
    def rests(self) -> bool:
        """Whether nothing of the main stream is decoded."""
        return self.analysis.observer.decoding.elsewhere

    @property
    def decoding_ms(self) -> float:
        return self.analysis.observer.decoding.decoding_ms


@pytest.fixture
def watched(tmp_path: Path, videos: tuple[bytes, bytes]) -> Iterator[Watched]:
    """Ends with the test."""
    watched = Watched(tmp_path, *videos)
    watched.analysis.start()
    yield watched
    watched.analysis.stop()
    watched.analysis.join(30)


def test_nothing_is_decoded_until_something_moves_in_the_smaller_picture(watched: Watched) -> None:
    analysis = watched.analysis
    until(lambda: watched.rests, QUIET_S, "the main stream rests")
    spent_ms = []

    def moves() -> bool:
        spent_ms.append(watched.decoding_ms)
        return not watched.rests

    until(moves, QUIET_S, "it is awake again")
    assert len(spent_ms) > 20
    assert len(set(spent_ms[:-1])) == 1, "nothing of it was decoded"
    assert not watched.sightings, "nobody was there yet"
    until(lambda: any(sighting.ended for sighting in watched.sightings), 30, "the person has come and gone")
    assert {(sighting.key, sighting.detection.state) for sighting in watched.sightings} == {
        (watched.sightings[0].key, State.MASK)
    }
    seen = watched.sightings[-1].detection
    assert seen.last_seen_utc - seen.first_seen_utc > 2.5, "seen from the first frames on"
    assert analysis.problem is None
    assert analysis.watch_problem is None
    assert analysis.camera.is_live


def test_without_the_smaller_picture_the_main_stream_is_judged_as_ever_and_it_says_so(watched: Watched) -> None:
    analysis = watched.analysis
    until(lambda: watched.rests, QUIET_S, "the main stream rests")
    small = watched.small.read_bytes()
    watched.small.unlink()
    until(lambda: INSTEAD in (analysis.watch_problem or ""), SECONDS + 10, "it is told")
    until(lambda: not watched.rests, 30, "the main stream is awake")
    assert analysis.problem is None, "everybody is judged"
    watched.sightings.clear()
    until(lambda: any(sighting.ended for sighting in watched.sightings), SECONDS + 5, "the next person")
    assert analysis.is_alive()
    watched.small.write_bytes(small)
    until(lambda: analysis.watch_problem is None, 30, "the smaller picture is back")


def test_stopping_ends_all_threads(watched: Watched) -> None:
    analysis = watched.analysis
    sub_stream = analysis._sub_stream
    assert sub_stream
    until(lambda: analysis.camera.is_live and sub_stream.camera.is_live, 30, "both are read")
    threads = [analysis._thread, analysis.camera._thread, sub_stream._thread, sub_stream.camera._thread]
    assert all(thread.is_alive() for thread in threads)
    analysis.stop()
    until(lambda: not any(thread.is_alive() for thread in threads), 30, "all have ended")
