"""One stream's analysis: camera -> detector -> tracker -> sightings. It knows no store."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from appliance.config import Images, Vision
from appliance.faces import CLASSES, Detection, Face, State
from appliance.previews import Previews
from appliance.vision.annotate import draw_bboxes
from appliance.vision.bboxes import content_size, rescale_bbox
from appliance.vision.camera import Camera, Frame
from appliance.vision.detector import Detector
from appliance.vision.jpeg import encode_jpeg
from appliance.vision.pixels import Pixels, shrink
from appliance.vision.snapshot import cut, pixelate_eyes
from appliance.vision.tracker import Track, Tracker

log = logging.getLogger(__name__)

WEAK_SCORE = 0.25  # faces this sure may keep a track alive, and are pixelated
BETTER = 1.3  # a new image must be this much better than the one there is
JPEG_QUALITY = 85
PREVIEW_SIDE_PX = 640
PREVIEW_PAUSE_S = 0.4
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
HUNG_S = 60.0  # no frame takes so long, whatever the machine


@dataclass(frozen=True, slots=True)
class Sighting:
    """What is known of one person up to now.

    key: the same for all sightings of one person. detection_id: where it is stored already, after a restart.
    jpeg: a better image than the one before, if there is one. ended: the person has left.
    """

    key: str
    stream_id: int
    detection_id: int | None
    detection: Detection
    jpeg: bytes | None
    ended: bool


@dataclass(slots=True)
class _Record:
    """What a track does not know of itself. best: score x size of the face in the image there is."""

    key: str
    detection_id: int | None
    first_seen_utc: float
    detection: Detection | None = None
    best: float = 0.0


class Analysis:
    """Judges one stream until stopped. Trouble with it is logged, and it begins again; others never notice."""

    def __init__(
        self,
        stream_id: int,
        url: str,
        detector: Detector,
        vision: Vision,
        images: Images,
        previews: Previews,
        sink: Callable[[Sighting], None],
    ) -> None:
        self.stream_id = stream_id
        self.url = url
        self.detector = detector
        self.images = images
        self.previews = previews
        self.sink = sink
        self.crash: str | None = None
        size_for = partial(content_size, input_width=detector.input_width, input_height=detector.input_height)
        self.camera = Camera(url, size_for, vision.frames_per_second)
        self.tracker = Tracker(detector.score_threshold, vision.lost_s)
        self._records: dict[int, _Record] = {}
        self._preview_due_s = 0.0
        self._moved_s = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"analysis-{stream_id}", daemon=True)

    @property
    def problem(self) -> str | None:
        """Why the stream is not being judged; None: it is."""
        return self.crash or self.camera.problem

    def start(self) -> None:
        """Begin."""
        self.camera.start()
        self._thread.start()

    def stop(self) -> None:
        """End it; whoever was in view has left."""
        self._stopping.set()
        self.camera.stop()

    def join(self, patience_s: float) -> None:
        """Wait until it has said its last word."""
        self._thread.join(patience_s)

    def is_alive(self) -> bool:
        """Whether both of its threads run, and the judging does not hang."""
        moves = time.monotonic() - self._moved_s < HUNG_S
        return self._thread.is_alive() and self.camera.is_alive() and moves

    def resume(self, known: Sequence[tuple[int, Detection]]) -> None:
        """Persons (detection id, detection) who were in view a moment ago and may still be. Before `start`."""
        for detection_id, detection in known:
            left, top, right, bottom = detection.bbox_px
            size = (right - left) or 1.0
            track = Track(0, detection.bbox_px, detection.confidence, time.monotonic(), time.monotonic())
            track.votes, track.hits = detection.votes, detection.votes
            for index, state in enumerate(CLASSES):
                share = detection.confidence if state is detection.state else (1 - detection.confidence) / 2
                track.weights[index] = share * size * detection.votes if detection.state is not State.UNKNOWN else 0.0
            self.tracker.resume(track)
            record = _Record(f"stored-{detection_id}", detection_id, detection.first_seen_utc, detection)
            record.best = (right - left) * (bottom - top)  # of the image there is; how sure the face was is forgotten
            self._records[track.number] = record

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            begun_s = self._moved_s = time.monotonic()
            try:
                self._judge()
                self.crash = None
            except Exception:
                # Whatever it is, it is this stream's alone.
                pause_s = pause_s if time.monotonic() - begun_s < LONGEST_PAUSE_S else FIRST_PAUSE_S
                log.exception("judging stream %d failed; again in %.0f s", self.stream_id, pause_s)
                self.crash = "Judging this stream failed; the box tries again, and its log says why."
                self._stopping.wait(pause_s)
                pause_s = min(LONGEST_PAUSE_S, pause_s * 2)
        for track in self.tracker.end_all():
            self._end(track)

    def _judge(self) -> None:
        while not self._stopping.is_set():
            self._moved_s = time.monotonic()
            frame = self.camera.next_frame()
            if frame is not None:
                self.see(frame)
                self.crash = None

    def see(self, frame: Frame) -> None:
        """Take in one frame."""
        height, width = frame.small.shape[:2]
        full_size = (frame.width, frame.height)
        faces = [
            replace(face, bbox_px=rescale_bbox(face.bbox_px, (width, height), full_size))
            for face in self.detector.detect(frame.small, min_score=WEAK_SCORE)
        ]
        update = self.tracker.update(faces, frame.arrived_s)
        for track in update.ended:
            self._end(track)
        for track in update.seen:
            self._report(track, frame, faces)
        self._preview(frame, faces)

    def _report(self, track: Track, frame: Frame, faces: Sequence[Face]) -> None:
        record = self._records.get(track.number)
        if record is None:
            began_utc = frame.arrived_utc - (frame.arrived_s - track.first_seen_s)
            record = self._records[track.number] = _Record(uuid.uuid4().hex, None, began_utc)
        left, top, right, bottom = track.bbox_px
        quality = track.score * (right - left) * (bottom - top)
        jpeg = None
        bbox_px = record.detection.bbox_px if record.detection else track.bbox_px
        if quality > record.best * BETTER:
            record.best, bbox_px = quality, track.bbox_px
            jpeg = self._image(track, frame, faces) if self.images.keep else None
        record.detection = Detection(
            first_seen_utc=record.first_seen_utc,
            last_seen_utc=frame.arrived_utc,
            state=track.state,
            confidence=track.confidence,
            votes=track.votes,
            bbox_px=bbox_px,
            frame_width=frame.width,
            frame_height=frame.height,
            model=self.detector.model_id,
        )
        self.sink(Sighting(record.key, self.stream_id, record.detection_id, record.detection, jpeg, ended=False))

    def _end(self, track: Track) -> None:
        record = self._records.pop(track.number, None)
        if record is not None and record.detection is not None:
            self.sink(Sighting(record.key, self.stream_id, record.detection_id, record.detection, None, ended=True))

    def _image(self, track: Track, frame: Frame, faces: Sequence[Face]) -> bytes:
        return encode_jpeg(cut(self._shown(frame, faces), track.bbox_px), JPEG_QUALITY)

    def _shown(self, frame: Frame, faces: Sequence[Face]) -> Pixels:
        """The full picture as people may see it."""
        full = frame.full()
        return pixelate_eyes(full, [face.bbox_px for face in faces]) if self.images.pixelate_eyes else full

    def _preview(self, frame: Frame, faces: Sequence[Face]) -> None:
        if frame.arrived_s < self._preview_due_s or not self.previews.wanted(self.stream_id):
            return
        self._preview_due_s = frame.arrived_s + PREVIEW_PAUSE_S
        picture = shrink(self._shown(frame, faces), PREVIEW_SIDE_PX)
        size = (picture.shape[1], picture.shape[0])
        drawn = draw_bboxes(
            picture,
            [
                replace(face, bbox_px=rescale_bbox(face.bbox_px, (frame.width, frame.height), size))
                for face in faces
                if face.score >= self.detector.score_threshold
            ],
        )
        try:
            self.previews.write(self.stream_id, encode_jpeg(drawn, JPEG_QUALITY))
        except OSError as error:
            log.warning("no preview of stream %d: %s", self.stream_id, error.strerror)
