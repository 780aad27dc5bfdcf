"""One stream's analysis: from a real video to sightings, with squares of colour for faces."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest

from appliance.config import Images, Vision
from appliance.faces import Bbox, Detection, Face, State
from appliance.previews import Previews
from appliance.vision.analysis import LOW_SCORE_THRESHOLD, Analysis, Sighting
from appliance.vision.annotate import COLOURS
from appliance.vision.camera import Frame
from appliance.vision.detector import Detector
from appliance.vision.pixels import Pixels, frame_of, pixels_of, scale_to
from appliance.vision.reach import Reach
from appliance.vision.snapshot import pixelate_eyes
from tests.boxes import until
from tests.clock import Clock
from tests.colour_detector import ColourDetector, people
from tests.videos import make_video

VISION = Vision(frames_per_second=10, lost_s=0.8)
Make = Callable[..., Analysis]


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

    def start(
        self,
        url: Path | str,
        detector: Detector | None = None,
        images: Images | None = None,
        resume: list[tuple[int, Detection]] | None = None,
    ) -> Analysis:
        analysis = Analysis(
            len(self.analyses) + 1,
            str(url),
            detector or ColourDetector(),
            VISION,
            images or Images(),
            self.previews,
            self.sightings.append,
            Reach((Path("/"),)),
        )
        analysis.resume(resume or [])
        self.analyses.append(analysis)
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
        analysis.join(5)


def test_a_person_who_walks_by_is_one_person_with_state_times_and_image(watched: Watched, clip: Path) -> None:
    analysis = watched.start(clip)
    until(lambda: any(sighting.ended for sighting in watched.sightings), 10, "the person has left")
    sightings = watched.of(analysis)
    assert len({sighting.key for sighting in sightings}) == 1
    last = sightings[-1].detection
    assert (last.state, last.model, last.frame_width, last.frame_height) == (State.MASK, "colours", 320, 240)
    assert last.votes >= 10
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
    until(lambda: bool(watched.sightings), 10, "the first sighting")
    assert watched.sightings[0].detection.votes == 3
    assert watched.sightings[0].jpeg


class _TwoFaces(ColourDetector):
    """Somebody stands right beside: a face of low confidence is not counted, but its eyes are in the picture."""

    def detect(self, image: Pixels, score_threshold: float | None = None) -> list[Face]:
        found = super().detect(image, score_threshold)
        return [
            *found,
            *(
                replace(face, score=0.3, bbox_px=(right, top, right + 12, bottom))
                for face in found
                for _, top, right, bottom in [face.bbox_px]
            ),
        ]


@pytest.mark.parametrize("pixelate", [True, False])
def test_eyes_are_hidden_before_anything_is_encoded(
    watched: Watched, pixelate: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden: list[int] = []

    def counting(image: Pixels, bboxes: list[Bbox]) -> Pixels:
        hidden.append(len(bboxes))
        return pixelate_eyes(image, bboxes)

    monkeypatch.setattr("appliance.vision.analysis.pixelate_eyes", counting)
    path = tmp_path / "clip.ts"
    path.write_bytes(make_video(people({State.MASK: walk}), 75))
    watched.previews.request(1)
    watched.start(path, detector=_TwoFaces(), images=Images(pixelate_eyes=pixelate))
    until(lambda: bool(watched.sightings) and watched.previews.read(1) is not None, 10, "an image and a preview")
    assert bool(hidden) is pixelate
    assert not pixelate or max(hidden) == 2, "those of low confidence are hidden, too"


def test_a_preview_is_drawn_only_while_somebody_watches(watched: Watched, clip: Path) -> None:
    watched.previews.request(2)
    watched.start(clip)
    watched.start(clip)
    until(lambda: watched.previews.read(2) is not None, 10, "the preview")
    until(lambda: bool(watched.of(watched.analyses[0])), 10, "the other stream's sightings")
    assert watched.previews.read(1) is None
    jpeg = watched.previews.read(2)
    assert jpeg is not None
    assert open_jpeg(jpeg).shape[1] <= 640


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
    until(lambda: fragile.problem is not None and "tries again" in fragile.problem, 10, "the error is told")
    assert sound.problem is None
    until(lambda: bool(watched.of(fragile)) and fragile.problem is None, 10, "it works again")
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
        until(lambda: not analysis.is_alive(), 10, "it counts as dead")
    finally:
        detector.free.set()


def known(bbox_px: Bbox, state: State = State.MASK) -> Detection:
    utc = time.time()
    return Detection(utc - 5, utc - 1, state, 0.9, 8, bbox_px, 320, 240, "colours")


def standing(t: float) -> tuple[float, float]:
    return (100 + 4 * np.sin(t), 120)


GREY: Pixels = np.full((240, 320, 3), 90, dtype=np.uint8)
UTC = 1_790_000_000.0


class _Counted(Frame):
    """A frame that counts how often it is converted."""

    conversions = 0

    def full(self) -> Pixels:
        _Counted.conversions += 1
        return super().full()


class _Scripted(ColourDetector):
    """Finds what the test says."""

    def __init__(self) -> None:
        self.faces: list[Face] = []
        self.thresholds: list[float | None] = []

    def detect(self, image: Pixels, score_threshold: float | None = None) -> list[Face]:  # noqa: ARG002
        self.thresholds.append(score_threshold)
        return self.faces


class Scripted:
    """An analysis that is fed frame by frame, with faces that the test says; no thread, no video."""

    def __init__(self, previews: Previews, images: Images | None = None) -> None:
        self.sightings: list[Sighting] = []
        self.detector = _Scripted()
        self.analysis = Analysis(
            1, "file", self.detector, VISION, images or Images(), previews, self.sightings.append, None
        )
        self.now_s = 0.0

    def see(self, *bboxes: Bbox, score: float = 0.9, width: int = 320, after_s: float = 0.2) -> list[Sighting]:
        """A frame; its sightings. bboxes: in the small picture; width: of the full one."""
        self.now_s += after_s
        self.detector.faces = [Face(bbox, score, (0.9, 0.05, 0.05), State.MASK) for bbox in bboxes]
        self.sightings.clear()
        source = frame_of(scale_to(GREY, width, width * 3 // 4))
        self.analysis.see(_Counted(GREY, width, width * 3 // 4, self.now_s, UTC + self.now_s, source))
        return self.sightings


@pytest.fixture
def previews(tmp_path: Path) -> Previews:
    """Nobody watches yet."""
    return Previews(tmp_path / "run")


def square(left: float, side: float = 48) -> Bbox:
    return (left, 100, left + side, 100 + side)


def test_a_frame_is_converted_and_pixelated_once_for_all_new_people_and_the_preview(
    previews: Previews, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixelated: list[int] = []

    def counting(image: Pixels, bboxes: list[Bbox]) -> Pixels:
        pixelated.append(len(bboxes))
        return pixelate_eyes(image, bboxes)

    monkeypatch.setattr("appliance.vision.analysis.pixelate_eyes", counting)
    monkeypatch.setattr(_Counted, "conversions", 0)
    scripted = Scripted(previews)
    four = [square(left) for left in (10, 90, 170, 250)]
    scripted.see(*four)
    scripted.see(*four)
    assert (_Counted.conversions, pixelated) == (0, []), "nobody is confirmed, and nobody watches"
    previews.request(1)
    sightings = scripted.see(*four)
    assert len([sighting for sighting in sightings if sighting.jpeg]) == 4
    assert previews.read(1)
    assert (_Counted.conversions, pixelated) == (1, [4])


def test_what_is_known_of_a_person_is_told_with_every_frame(previews: Previews) -> None:
    scripted = Scripted(previews)
    for _ in range(2):
        assert scripted.see(square(100), width=640) == []
    (sighting,) = scripted.see(square(100), width=640)
    seen = sighting.detection
    assert seen == Detection(
        UTC + 0.2, seen.last_seen_utc, State.MASK, seen.confidence, 3, (200, 200, 296, 296), 640, 480, "colours"
    )
    assert (seen.last_seen_utc - UTC, seen.confidence) == pytest.approx((0.6, 0.9))
    assert sighting == Sighting(sighting.key, 1, None, seen, sighting.jpeg, ended=False)
    assert sighting.jpeg
    assert open_jpeg(sighting.jpeg).shape == (154, 154, 3), "the face of 96 px and a margin of .3 on each side"
    (later,) = scripted.see(square(104), width=640)
    assert (later.key, later.jpeg, later.detection.votes) == (sighting.key, None, 4)
    assert later.detection.last_seen_utc == pytest.approx(UTC + 0.8)
    for _ in range(4):
        assert scripted.see() == []
    (end,) = scripted.see()
    assert end == replace(later, ended=True)


def test_only_a_clearly_better_image_replaces_the_first(previews: Previews) -> None:
    scripted = Scripted(previews)
    for _ in range(3):
        scripted.see(square(100, side=40))
    images = []
    # 1.3 times as good and not more; more; larger, but of a low score.
    for bottom, score in ((152, 0.9), (153, 0.9), (164, 0.6)):
        (sighting,) = scripted.see((100, 100, 140, bottom), score=score)
        images.append((sighting.jpeg is not None, sighting.detection.bbox_px[3]))
    assert images == [(False, 140), (True, 153), (False, 153)]


def test_images_are_not_made_where_none_are_to_be_kept(previews: Previews, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Counted, "conversions", 0)
    scripted = Scripted(previews, Images(keep=False))
    for _ in range(3):
        scripted.see(square(100))
    assert [sighting.jpeg for sighting in scripted.sightings] == [None]
    assert _Counted.conversions == 0


def test_faces_of_low_confidence_are_looked_for_and_pixelated_but_not_drawn(previews: Previews) -> None:
    scripted = Scripted(previews)
    previews.request(1)
    scripted.see(square(40), score=0.5, width=1280)
    drawn = open_jpeg(previews.read(1) or b"")
    assert drawn.shape == (480, 640, 3)
    # The lower edge of the bbox, twice as large as in the small picture, is drawn in the colour of MASK.
    assert drawn[294, 100:150].mean(axis=0) == pytest.approx(COLOURS[State.MASK], abs=40)
    scripted.see(square(40), score=0.3, width=1280, after_s=1)
    assert open_jpeg(previews.read(1) or b"")[294, 100:150].mean(axis=0) == pytest.approx((90, 90, 90), abs=5)
    assert scripted.detector.thresholds == [LOW_SCORE_THRESHOLD] * 2


def test_previews_are_two_and_a_half_a_second_at_most(previews: Previews, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[int, float]] = []
    scripted = Scripted(previews)
    monkeypatch.setattr(previews, "write", lambda stream_id, _: written.append((stream_id, scripted.now_s)))
    previews.request(1)
    for _ in range(8):
        scripted.see(after_s=0.25)
    assert written == [(1, 0.25), (1, 0.75), (1, 1.25), (1, 1.75)]


def test_a_preview_that_cannot_be_written_ends_nothing(
    previews: Previews, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    previews.request(1)
    monkeypatch.setattr(previews, "write", refuse)
    Scripted(previews).see(square(100))
    assert caplog.messages == ["no preview of stream 1: No space left on device"]


def test_after_errors_the_analysis_waits_longer_and_longer(
    previews: Previews, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    analysis, clock = Scripted(previews).analysis, Clock(stop_after=9)
    lasts_s = iter([0, 0, 0, 0, 0, 0, 0, 29.9, 30])

    def fail() -> None:
        clock.now_s += next(lasts_s)
        raise ZeroDivisionError

    monkeypatch.setattr("appliance.vision.analysis.time", clock)
    monkeypatch.setattr(analysis, "_stopping", clock)
    monkeypatch.setattr(analysis.camera, "next_frame", fail)
    analysis._run()
    assert clock.waits_s == [1, 2, 4, 8, 16, 30, 30, 30, 1], "it had worked for half a minute"
    assert analysis.problem == "Judging this stream failed; the box tries again, and its log says why."
    assert caplog.messages[1] == "analysing stream 1 failed; again in 2 s"


@pytest.mark.parametrize(("analyses", "reads"), [(True, True), (True, False), (False, True)])
def test_an_analysis_is_alive_while_both_of_its_threads_are(
    analyses: bool, reads: bool, previews: Previews, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysis = Scripted(previews).analysis
    monkeypatch.setattr(analysis._thread, "is_alive", lambda: analyses)
    monkeypatch.setattr(analysis.camera, "is_alive", lambda: reads)
    assert analysis.is_alive() is (analyses and reads)


def test_the_image_of_a_resumed_person_is_replaced_by_a_clearly_better_one_only(previews: Previews) -> None:
    scripted = Scripted(previews)
    before = replace(known(square(100)), last_seen_utc=UTC)
    scripted.analysis.resume([(77, before)])
    (sighting,) = scripted.see(square(101))
    assert sighting.jpeg is None, "as large as in the image there is"
    assert sighting.detection.bbox_px == before.bbox_px, "where the image was taken"
    (sighting,) = scripted.see(square(95, side=60))
    assert sighting.jpeg
    assert sighting.detection.bbox_px == square(95, side=60)


def test_after_a_restart_the_same_person_is_not_counted_twice(watched: Watched, tmp_path: Path) -> None:
    path = tmp_path / "clip.ts"
    path.write_bytes(make_video(people({State.MASK: standing}), 75))
    before = known((80, 100, 128, 148))
    watched.start(path, resume=[(77, before)])
    until(lambda: len(watched.sightings) > 5, 10, "the person is seen")
    assert {(sighting.key, sighting.detection_id) for sighting in watched.sightings} == {("stored-77", 77)}
    detection = watched.sightings[-1].detection
    assert detection.first_seen_utc == before.first_seen_utc
    assert detection.votes > 8
    assert detection.last_seen_utc > before.last_seen_utc


def test_after_a_restart_the_vote_goes_on(watched: Watched, tmp_path: Path) -> None:
    path = tmp_path / "clip.ts"
    path.write_bytes(make_video(people({State.NO_MASK: standing}), 75))
    watched.start(path, resume=[(77, replace(known((80, 100, 128, 148)), votes=100))])
    until(lambda: len(watched.sightings) > 5, 10, "the person is seen")
    assert watched.sightings[5].detection.state is State.MASK, "100 faces said so, and 5 say otherwise"


def test_who_is_not_there_any_more_after_a_restart_ends_as_last_seen(watched: Watched, clip: Path) -> None:
    before = known((260, 10, 300, 50))
    watched.start(clip, resume=[(77, before)])
    until(lambda: any(sighting.ended for sighting in watched.sightings), 10, "that person has left")
    (end,) = [sighting for sighting in watched.sightings if sighting.detection_id == 77]
    assert end.ended
    assert end.detection == before


def test_stopping_says_that_everybody_left(watched: Watched, clip: Path) -> None:
    analysis = watched.start(clip)
    until(lambda: bool(watched.sightings), 10, "the first sighting")
    analysis.stop()
    analysis.join(5)
    assert watched.sightings[-1].ended
    assert not analysis.is_alive()
