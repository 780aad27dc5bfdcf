"""One stream's analysis: from a real video to sightings, with squares of colour for faces."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from appliance.faces import Bbox, Detection, Face, State
from appliance.keeping import ImageMode
from appliance.previews import Preview, Previews
from appliance.sections import Vision
from appliance.vision.analysis import Analysis, Sighting
from appliance.vision.annotate import COLOURS
from appliance.vision.budget import Budget, Costs
from appliance.vision.detector import Detector
from appliance.vision.pixels import Pixels, pixels_of
from tests.boxes import until
from tests.clock import Clock
from tests.colour_detector import ColourDetector, people
from tests.videos import FPS, make_video
from tests.watching import EVERYWHERE

VISION = Vision(frames_per_second=10, lost_s=0.8)
COSTS = Costs(0.1, 1e-5)


def open_jpeg(jpeg: bytes) -> Pixels:
    with av.open(BytesIO(jpeg), "r") as container:
        return pixels_of(next(container.decode(video=0)))


def walk(t: float) -> tuple[float, float] | None:
    """In at 0.5 s, out at 2.5 s."""
    return (60 + 80 * (t - 0.5), 120) if 0.5 <= t < 2.5 else None


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds; one person with a mask walks by."""
    path = tmp_path_factory.mktemp("clip") / "clip.ts"
    path.write_bytes(make_video(people({State.MASK: walk}), 100))
    return path


class Watched:
    """Makes analyses and remembers what they saw."""

    def __init__(self, previews: Previews) -> None:
        self.previews = previews
        self.sightings: list[Sighting] = []
        self.analyses: list[Analysis] = []
        self.budget = Budget(1000)

    def make(
        self,
        url: Path | str,
        detector: Detector | None = None,
        images: ImageMode | None = None,
        resume: list[tuple[int, Detection]] | None = None,
        watch_url: str | None = None,
    ) -> Analysis:
        analysis = Analysis(
            len(self.analyses) + 1,
            str(url),
            detector or ColourDetector(),
            VISION,
            images or ImageMode.EYES_PIXELATED,
            self.previews,
            self.sightings.append,
            EVERYWHERE,
            self.budget,
            COSTS,
            watch_url=watch_url,
        )
        analysis.resume(resume or [])
        self.analyses.append(analysis)
        return analysis

    def start(self, url: Path | str, **options: Any) -> Analysis:
        analysis = self.make(url, **options)
        analysis.start()
        return analysis

    def of(self, analysis: Analysis) -> list[Sighting]:
        return [sighting for sighting in self.sightings if sighting.stream_id == analysis.stream_id]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """Its analyses end with the test."""
    watched = Watched(Previews(tmp_path / "run"))
    yield watched
    for analysis in watched.analyses:
        analysis.stop()
        if analysis._thread.ident:
            analysis.join(30)


def test_a_person_who_walks_by_is_one_person_with_state_times_and_image(watched: Watched, clip: Path) -> None:
    analysis = watched.start(clip)
    until(lambda: any(sighting.ended for sighting in watched.sightings), 30, "the person has left")
    sightings = watched.of(analysis)
    assert len({sighting.key for sighting in sightings}) == 1
    last = sightings[-1].detection
    assert (last.state, last.model, last.frame_width, last.frame_height) == (State.MASK, "colours", 320, 240)
    assert last.votes >= 7
    assert last.confidence > 0.8
    assert 1.2 < last.last_seen_utc - last.first_seen_utc < 2.6
    assert abs(last.last_seen_utc - time.time()) < 5
    left, top, right, bottom = last.bbox_px
    assert right - left == pytest.approx(48, abs=6)
    assert bottom - top == pytest.approx(48, abs=6)
    jpegs = [sighting.jpeg for sighting in sightings if sighting.jpeg]
    assert 1 <= len(jpegs) <= 4, "only clearly better images are taken"
    picture = open_jpeg(jpegs[-1])
    assert max(picture.shape) <= 320
    assert analysis.problem is None


def test_the_third_face_is_enough_to_tell(watched: Watched, clip: Path) -> None:
    watched.start(clip)
    until(lambda: bool(watched.sightings), 30, "the first sighting")
    assert watched.sightings[0].detection.votes == 3
    assert watched.sightings[0].jpeg


def test_a_preview_is_drawn_only_while_somebody_watches(watched: Watched, clip: Path) -> None:
    watched.previews.request(2)
    watched.start(clip)
    watched.start(clip)
    until(lambda: watched.previews.read(2) is not None, 30, "the preview")
    until(lambda: bool(watched.of(watched.analyses[0])), 30, "the other stream's sightings")
    assert watched.previews.read(1) is None
    preview = watched.previews.read(2)
    assert preview is not None
    assert open_jpeg(preview.jpeg).shape[1] <= 640


def test_what_is_said_of_a_live_picture_is_of_what_that_picture_shows(watched: Watched, clip: Path) -> None:
    """The square of the clip is where the words will stand: nothing is said of another moment than is seen."""
    watched.previews.request(1)
    watched.start(clip)
    seen: list[Preview] = []

    def shows_somebody() -> bool:
        preview = watched.previews.read(1)
        seen.extend([preview] if preview and preview.faces else [])
        return bool(seen)

    until(shows_somebody, 30, "a live picture with somebody in it")
    (said,) = seen[0].faces
    image = open_jpeg(seen[0].jpeg).astype(int)
    frame = (abs(image - COLOURS[said.state]).sum(axis=2) < 90)[said.top : said.bottom, said.left : said.right]
    assert frame[:2].mean() > 0.8 and frame[-2:].mean() > 0.8, "the upper and the lower side of its bbox"
    assert frame[:, :2].mean() > 0.8 and frame[:, -2:].mean() > 0.8, "the left and the right one"


class _Fragile(ColourDetector):
    """Fails now and then, in a way nobody thought of."""

    def __init__(self) -> None:
        self.calls = 0

    def detect(self, image: Pixels, score_threshold: float | None = None) -> list[Face]:
        self.calls += 1
        if self.calls == 3:
            raise ZeroDivisionError("nobody thought of this")
        return super().detect(image, score_threshold)


def test_an_unexpected_error_is_told_and_tried_again_and_touches_no_other_stream(watched: Watched, clip: Path) -> None:
    fragile, sound = watched.start(clip, detector=_Fragile()), watched.start(clip)
    until(lambda: fragile.problem is not None and "tries again" in fragile.problem, 30, "the error is told")
    assert sound.problem is None
    until(lambda: bool(watched.of(fragile)) and fragile.problem is None, 30, "it works again")
    assert watched.of(sound)
    assert fragile.is_alive()


class _Hanging(ColourDetector):
    def __init__(self) -> None:
        self.free = threading.Event()

    def detect(self, image: Pixels, score_threshold: float | None = None) -> list[Face]:
        self.free.wait(30)
        return super().detect(image, score_threshold)


def test_a_detector_that_hangs_is_noticed(watched: Watched, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.vision.analysis.HUNG_S", 0.6)
    detector = _Hanging()
    analysis = watched.start(clip, detector=detector)
    try:
        until(lambda: not analysis.is_alive(), 30, "it counts as dead")
    finally:
        detector.free.set()


def known(bbox_px: Bbox, state: State = State.MASK) -> Detection:
    utc = time.time()
    return Detection(utc - 5, utc - 1, state, 0.9, 8, bbox_px, 320, 240, "colours")


def standing(t: float) -> tuple[float, float]:
    return (100 + 4 * np.sin(t), 120)


def test_after_errors_the_analysis_waits_longer_and_longer(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    analysis, clock = watched.make("file"), Clock(stop_after=9)
    lasts_s = iter([0, 0, 0, 0, 0, 0, 0, 29.9, 30])

    def fail(**_: object) -> None:
        clock.now_s += next(lasts_s)
        raise ZeroDivisionError

    monkeypatch.setattr("appliance.vision.analysis.time", clock)
    monkeypatch.setattr(analysis, "_stopping", clock)
    monkeypatch.setattr(analysis.camera, "packets", fail)
    analysis._run()
    assert clock.waits_s == [1, 2, 4, 8, 16, 30, 30, 30, 1], "it had worked for half a minute"
    assert analysis.problem == "Judging this stream failed; the box tries again, and its log says why."
    assert caplog.messages[1] == "analysing stream 1 failed; again in 2 s"


def test_an_analysis_is_alive_while_all_of_its_threads_are(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    analysis = watched.make("file", watch_url="small")
    sub_stream = analysis._sub_stream
    assert sub_stream
    threads = [analysis._thread, analysis.camera._thread, sub_stream._thread, sub_stream.camera._thread]
    for thread in threads:
        monkeypatch.setattr(thread, "is_alive", lambda: True)
    assert analysis.is_alive()
    for thread in threads:
        with monkeypatch.context() as dead:
            dead.setattr(thread, "is_alive", lambda: False)
            assert not analysis.is_alive()


def test_what_a_stream_may_spend_goes_to_the_others_when_it_ends_also_if_it_hangs(watched: Watched) -> None:
    first, second = watched.make("file"), watched.make("file")
    shares_ms = [analysis._purse.ms_per_s for analysis in (first, second)]
    assert shares_ms == [watched.budget.ms_per_s / 2] * 2
    first.stop()
    assert second._purse.ms_per_s == watched.budget.ms_per_s


def test_everything_is_decoded_while_somebody_watches(watched: Watched, tmp_path: Path) -> None:
    path = tmp_path / "clip.ts"
    path.write_bytes(make_video(people({}), 20 * FPS))
    observer = watched.start(path).observer
    until(lambda: observer.decoding.idle, 12, "nothing moves: key frames suffice")
    watched.previews.glance(1)
    until(lambda: watched.previews.read(1) is not None, 6, "a picture of the wall")
    assert observer.decoding.idle, "of which key frames suffice"
    glanced = watched.previews.read(1)
    assert glanced is None or max(open_jpeg(glanced.jpeg).shape) <= 320
    watched.previews.request(1)
    until(lambda: not observer.decoding.idle, 3, "the live picture moves")
    until(lambda: watched.previews.read(1) is not None, 3, "the live picture")
    watched.previews.forget(1)
    until(lambda: observer.decoding.idle, 6, "nobody watches any more")


def test_after_a_restart_the_same_person_is_not_counted_twice(watched: Watched, tmp_path: Path) -> None:
    path = tmp_path / "clip.ts"
    path.write_bytes(make_video(people({State.MASK: standing}), 75))
    before = known((80, 100, 128, 148))
    watched.start(path, resume=[(77, before)])
    until(lambda: len(watched.sightings) > 5, 30, "the person is seen")
    assert {(sighting.key, sighting.detection_id) for sighting in watched.sightings} == {("stored-77", 77)}
    detection = watched.sightings[-1].detection
    assert detection.first_seen_utc == before.first_seen_utc
    assert detection.votes > 8
    assert detection.last_seen_utc > before.last_seen_utc


def test_after_a_restart_the_vote_goes_on(watched: Watched, tmp_path: Path) -> None:
    path = tmp_path / "clip.ts"
    path.write_bytes(make_video(people({State.NO_MASK: standing}), 75))
    watched.start(path, resume=[(77, replace(known((80, 100, 128, 148)), votes=100))])
    until(lambda: len(watched.sightings) > 5, 30, "the person is seen")
    assert watched.sightings[5].detection.state is State.MASK, "100 faces said so, and 5 say otherwise"


def test_who_is_not_there_any_more_after_a_restart_ends_as_last_seen(watched: Watched, clip: Path) -> None:
    before = known((260, 10, 300, 50))
    watched.start(clip, resume=[(77, before)])
    until(lambda: any(sighting.ended for sighting in watched.sightings), 30, "that person has left")
    (end,) = [sighting for sighting in watched.sightings if sighting.detection_id == 77]
    assert end.ended
    assert end.detection == before


def test_stopping_says_that_everybody_left(watched: Watched, clip: Path) -> None:
    analysis = watched.start(clip)
    until(lambda: bool(watched.sightings), 30, "the first sighting")
    analysis.stop()
    analysis.join(30)
    assert watched.sightings[-1].ended
    assert not analysis.is_alive()
