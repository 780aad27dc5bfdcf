"""The boxes that scripted clips are given to: ours, and whole-frame judging beside it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from appliance.faces import Bbox
from appliance.vision.bboxes import content_size, rescale_bbox
from appliance.vision.budget import Budget, Costs, measured_costs
from appliance.vision.detector import NetworkDetector
from appliance.vision.frame import Frame
from appliance.vision.observer import Observer
from appliance.vision.onnx import load_detector
from appliance.vision.pixels import pixels_of
from appliance.vision.tracking.track import Seen as SeenFace
from appliance.vision.tracking.track import Track
from appliance.vision.tracking.tracker import Tracker
from scripts.recorded import packets_of
from scripts.scene_people import Person, cut_person
from scripts.scene_rooms import Room
from scripts.scene_score import Counted, Judge, Judgement

LOW_SCORE_THRESHOLD = 0.25
LOST_S = 2.5
LOOKS_PER_S, WHOLE_LOOKS_PER_S = 10.0, 5.0
AMPLE_MS = 4000.0  # a second


@cache
def _detector(name: str) -> NetworkDetector:
    return load_detector(name)


class Seen:
    """Gathers the tracks of a clip, and where they were."""

    def __init__(self) -> None:
        self.ended: list[Track] = []
        self._looks: dict[str, list[tuple[float, Bbox]]] = defaultdict(list)

    def take(self, seen: list[Track], ended: list[Track], now_s: float) -> None:
        """What one look changed."""
        for track in seen:
            self._looks[track.key].append((now_s, track.bbox_px))
        self.ended += ended

    def counted(self) -> list[Counted]:
        """Everybody who was counted, in the order of the ends."""
        found = []
        for track in self.ended:
            looks = self._looks[track.key]
            times = np.array([at_s for at_s, _ in looks], np.float64)
            bboxes = np.array([bbox for _, bbox in looks], np.float64).reshape(-1, 4)
            found.append(Counted(track.key, track.state, times, bboxes))
        return found


class SteadyCosts(Costs):
    """Costs of no machine, which nothing changes, so that a clip is judged the same each time."""

    def __init__(self) -> None:
        super().__init__(0.3, 2.7e-5)

    def learn(self, inputs_px: Sequence[int], spent_ms: float) -> None:
        """Learn nothing."""


def observed(path: Path, steadily: bool = False) -> Judgement:
    """As a box does it, with computing time to spare: regions of what moves. steadily: the same each time."""
    seen, budget, now_s = Seen(), Budget(AMPLE_MS), 0.0
    detector = _detector("")
    costs = SteadyCosts() if steadily else measured_costs(detector)
    cpu_s: Callable[[], float] = (lambda: 0.0) if steadily else time.thread_time
    observer = Observer(detector, LOOKS_PER_S, LOST_S, budget.open_purse(), costs, cpu_s=cpu_s)
    begun_s = time.process_time()
    for packet in packets_of(path):
        now_s = max(now_s, packet.utc)
        for look in observer.take(packet):
            seen.take(look.update.seen, look.update.ended, look.frame.utc)
    seen.take([], observer.tracker.end_all(), now_s)
    return Judgement(seen.counted(), (time.process_time() - begun_s) / max(now_s, 0.1) * 1000)


def whole_frames(path: Path) -> Judgement:
    """Each whole frame scaled to the input of the network, WHOLE_LOOKS_PER_S, everything decoded."""
    detector, seen = _detector(""), Seen()
    tracker = Tracker(detector.score_threshold, LOST_S)
    reformatter, due_s, now_s = VideoReformatter(), 0.0, 0.0
    begun_s = time.process_time()
    for picture in _decoded(path):
        now_s = picture.time or 0.0
        if now_s < due_s - 1e-6:
            continue
        due_s = now_s + 1 / WHOLE_LOOKS_PER_S
        frame = Frame(picture, now_s, now_s)
        size, small = (frame.width, frame.height), content_size(frame.width, frame.height, *_input_size(detector))
        image = pixels_of(reformatter.reformat(picture, *small, "rgb24", interpolation=Interpolation.AREA))
        faces = [
            replace(face, bbox_px=rescale_bbox(face.bbox_px, small, size))
            for face in detector.detect(image, LOW_SCORE_THRESHOLD)
        ]
        looks = [SeenFace(face, frame.colours(face.bbox_px)) for face in faces]
        update = tracker.update(looks, now_s, now_s, None, size)
        seen.take(update.seen, update.ended, now_s)
    seen.take([], tracker.end_all(), now_s)
    return Judgement(seen.counted(), (time.process_time() - begun_s) / max(now_s, 0.1) * 1000)


def _input_size(detector: NetworkDetector) -> tuple[int, int]:
    return detector.model.input_width, detector.model.input_height


def _decoded(path: Path) -> Iterator[av.VideoFrame]:
    """All of it, by one thread."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        video.thread_type = "NONE"
        video.codec_context.thread_count = 1
        yield from container.decode(video)


def judges(steadily: bool = False) -> dict[str, Judge]:
    """All of them by name, ours first. steadily: see `observed`."""
    return {"regions": partial(observed, steadily=steadily), "whole frames": whole_frames}


def bare_decoding_ms(path: Path) -> float:
    """CPU milliseconds for each second of the clip to decode all of it."""
    begun_s, now_s = time.process_time(), 0.0
    for picture in _decoded(path):
        now_s = picture.time or 0.0
    return (time.process_time() - begun_s) / max(now_s, 0.1) * 1000


def known(people: Sequence[Person], face_px: float = 64.0) -> list[Person]:
    """Those whom the detector judges right when they stand still before it, in a picture of 320 px."""
    right = []
    for person in people:
        canvas = Room(320, 320).canvas(0, 0.0)
        sprite = cut_person(person, face_px).sprite(face_px)
        canvas.draw(sprite, round(160 - sprite.middle[0]), round(120 - sprite.middle[1]))
        image = pixels_of(av.VideoFrame.from_ndarray(canvas.whole, format="yuv420p"))
        if [face.state for face in _detector("").detect(image)] == [person.state]:
            right.append(person)
    return right
