"""Scripted scenes: their truth is what their pictures show, and their score tells what went wrong."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.faces import State
from appliance.vision.bboxes import iou
from appliance.vision.detector import Detector
from appliance.vision.onnx import load_detector
from appliance.vision.pixels import Pixels, pixels_of
from scripts.count_scenes import Cast, crossing, pillar
from scripts.scene_people import golden_people
from scripts.scene_score import Counted, score
from scripts.scene_sets import gathering, passers, quiet
from scripts.scenes import Scene, Visit, across, drawn, film, truth

SQUARE_PX = 320


@pytest.fixture(scope="module")
def detector() -> Detector:
    return load_detector()


@pytest.fixture
def cast() -> Cast:
    """Four people of the golden pictures, each in other clothes."""
    people = golden_people()
    return cycle([people[index] for index in (1, 12, 20, 29)])


def bbox_at(visit: Visit, now_s: float) -> NDArray[np.float64]:
    bbox: NDArray[np.float64] = visit.bboxes[int(np.abs(visit.at_s - now_s).argmin())]
    return bbox


def picture(scene: Scene, now_s: float) -> Pixels:
    canvas = drawn(scene, round(now_s * scene.fps))
    return pixels_of(av.VideoFrame.from_ndarray(canvas.whole, format="yuv420p"))


def seen_at(detector: Detector, scene: Scene, visit: Visit, now_s: float) -> list[State]:
    """The states of the faces that the detector finds where the truth says that there is one."""
    bbox = bbox_at(visit, now_s)
    middle = (bbox[:2] + bbox[2:]) / 2
    left = int(np.clip(middle[0] - SQUARE_PX / 2, 0, scene.width - SQUARE_PX))
    top = int(np.clip(middle[1] - SQUARE_PX / 2, 0, scene.height - SQUARE_PX))
    image = picture(scene, now_s)[top : top + SQUARE_PX, left : left + SQUARE_PX]
    wanted = (bbox - [left, top, left, top]).astype(np.float32)[None]
    faces = detector.detect(np.ascontiguousarray(image))
    return [face.state for face in faces if iou(wanted, np.array([face.bbox_px], np.float32))[0, 0] > 0.4]


def middle_s(visit: Visit) -> float:
    assert visit.whole_s is not None
    return sum(visit.whole_s) / 2


@pytest.mark.parametrize("restless", [False, True])
def test_the_detector_finds_everybody_where_the_truth_says(detector: Detector, cast: Cast, restless: bool) -> None:
    size = (1280, 720)
    sides = (40.0, 60.0, 90.0, 140.0)
    actors = [across(next(cast), size, 1 + 3.0 * number, side, 300) for number, side in enumerate(sides)]
    scene = Scene(*size, 14, tuple(actors), restless=restless)
    visits = truth(scene)
    assert len(visits) == len(sides)
    for visit in visits:
        assert seen_at(detector, scene, visit, middle_s(visit)) == [visit.state]


def test_whoever_is_behind_a_pillar_does_not_show(detector: Detector, cast: Cast) -> None:
    scene = pillar(cast, people=1)
    (visit,) = truth(scene)
    hidden_s = visit.at_s[visit.shown == 0]
    assert len(hidden_s) >= 3
    assert seen_at(detector, scene, visit, float(hidden_s[len(hidden_s) // 2])) == []
    assert seen_at(detector, scene, visit, float(hidden_s[0]) - 0.5) == [visit.state]


def test_of_two_at_one_place_the_nearer_one_shows(cast: Cast) -> None:
    scene = crossing(cast, angles=(180,))
    near, far = truth(scene)
    assert near.shown.min() < 1  # at the edges of the frame
    together = np.abs(far.at_s - 4).argmin()
    assert far.shown[together] == 0 and near.shown[np.abs(near.at_s - 4).argmin()] == 1


def test_a_clip_is_as_asked_for_and_is_made_once(tmp_path: Path, cast: Cast) -> None:
    scene = Scene(640, 360, 3, (across(next(cast), (640, 360), 0.2, 60, 150),), stops=((1.0, 2.0),), b_frames=2)
    path = film(scene, tmp_path)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        assert container.streams.video[0].codec_context.has_b_frames
    times = sorted(float(packet.pts * packet.time_base) for packet in packets if packet.pts is not None)
    assert len(times) == 60 and not [at_s for at_s in times if 1.0 <= at_s < 2.0]
    keys = [float(packet.pts * packet.time_base) for packet in packets if packet.is_keyframe and packet.pts is not None]
    assert keys == [0.0, 2.0]
    before = path.stat().st_mtime_ns
    assert film(scene, tmp_path).stat().st_mtime_ns == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_scene_is_the_same_each_time(cast: Cast) -> None:
    scene = Scene(640, 360, 3, (across(next(cast), (640, 360), 0.2, 60, 150),), restless=True)
    assert np.array_equal(drawn(scene, 30).whole, drawn(scene, 30).whole)
    assert not np.array_equal(drawn(scene, 30).whole, drawn(scene, 31).whole)


def test_nobody_is_in_a_quiet_scene() -> None:
    assert truth(quiet((640, 360), 2)) == []


def test_passers_leave_before_the_end_and_a_gathering_stays() -> None:
    walked = truth(passers((640, 360), 12, 3, (30, 50)))
    assert len(walked) >= 2 and all(visit.leaves_s < 12 for visit in walked)
    stayed = truth(gathering((640, 360), 8, 3, 50))
    assert len(stayed) == 3 and all(visit.leaves_s > 7.8 for visit in stayed)


def counted(visit: Visit, part: slice = slice(None), state: State | None = None) -> Counted:
    return Counted("key", state or visit.state, visit.at_s[part], visit.bboxes[part] + 3)


@pytest.fixture
def visits(cast: Cast) -> list[Visit]:
    size = (640, 360)
    return truth(Scene(*size, 12, tuple(across(next(cast), size, begin_s, 50, 150) for begin_s in (0.5, 5))))


def test_everybody_counted_once_is_right(visits: list[Visit]) -> None:
    result = score(visits, [counted(visit) for visit in visits])
    assert (result.expected, result.counted, result.right, result.error, result.problems) == (2, 2, 2, 0, [])


def test_a_person_counted_twice_is_told(visits: list[Visit]) -> None:
    half = len(visits[0].at_s) // 2
    parts = [counted(visits[0], slice(None, half)), counted(visits[0], slice(half, None)), counted(visits[1])]
    result = score(visits, parts)
    assert (result.counted, result.error) == (3, 0.5)
    assert "2 times" in result.problems[0]


def test_two_counted_as_one_are_told(visits: list[Visit]) -> None:
    first, second = visits
    both = Counted(
        "key", first.state, *(np.concatenate([getattr(v, name) for v in visits]) for name in ("at_s", "bboxes"))
    )
    result = score([first, second], [both])
    assert result.counted == 1 and any("missed" in problem for problem in result.problems)


def test_a_wrong_state_and_a_stranger_are_told(visits: list[Visit]) -> None:
    first = visits[0]
    nobody = Counted("key", State.MASK, np.array([1.0, 1.1]), np.array([[600, 300, 630, 330]] * 2, np.float64))
    wrong = next(state for state in (State.MASK, State.NO_MASK) if state is not first.state)
    result = score([first], [counted(first, state=wrong), nobody])
    assert (result.counted, result.right, len(result.strangers)) == (2, 0, 1)
    assert len(result.problems) == 2
