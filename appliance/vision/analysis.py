"""One stream's analysis: camera -> detector -> tracker -> sightings. It knows no store."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

from av.video.reformatter import Interpolation

from appliance.config import Images, Vision
from appliance.faces import Detection, Face, Health
from appliance.previews import Previews
from appliance.vision.annotate import draw_bboxes
from appliance.vision.bboxes import content_size, rescale_bbox
from appliance.vision.camera import Camera
from appliance.vision.decoding import Decoding
from appliance.vision.detector import Detector
from appliance.vision.frame import Frame
from appliance.vision.jpeg import encode_jpeg
from appliance.vision.pixels import Pixels, pixels_of, shrink
from appliance.vision.reach import Reach
from appliance.vision.snapshot import cut, pixelate_eyes
from appliance.vision.source import Transport
from appliance.vision.tracker import Track, Tracker

log = logging.getLogger(__name__)

LOW_SCORE_THRESHOLD = 0.25  # faces of this score or more may keep a track alive, and are pixelated
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


class Analysis:
    """Analyses one stream until stopped. Trouble with it is logged, and it begins again; others never notice."""

    def __init__(
        self,
        stream_id: int,
        url: str,
        detector: Detector,
        vision: Vision,
        images: Images,
        previews: Previews,
        sink: Callable[[Sighting], None],
        reach: Reach | None,
        transport: Transport = "tcp",
        watch_url: str | None = None,
    ) -> None:
        self.stream_id = stream_id
        self.url, self.reach, self.watch_url = url, reach, watch_url
        self.detector = detector
        self.images = images
        self.previews = previews
        self.sink = sink
        self.crash: str | None = None
        self.camera = Camera(url, reach=reach, transport=transport)
        self.decoding = Decoding(vision.frames_per_second)
        self._look_pause_s, self._look_due_s = 1.0 / vision.frames_per_second, 0.0
        self.tracker = Tracker(detector.score_threshold, vision.lost_s)
        self._preview_due_s = 0.0
        self._moved_s = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"analysis-{stream_id}", daemon=True)

    @property
    def problem(self) -> str | None:
        """Why the stream is not being analysed; None: it is."""
        return self.crash or self.camera.problem

    @property
    def health(self) -> Health:
        """How well the stream can be judged."""
        return Health()

    def start(self) -> None:
        """Begin."""
        self.camera.start()
        self._thread.start()

    def stop(self) -> None:
        """End it; whoever was in view has left."""
        self._stopping.set()
        self.camera.stop()

    def join(self, patience_s: float) -> None:
        """Wait until the last sightings are out."""
        self._thread.join(patience_s)

    def is_alive(self) -> bool:
        """Whether both of its threads run, and the analysis does not hang."""
        moves = time.monotonic() - self._moved_s < HUNG_S
        return self._thread.is_alive() and self.camera.is_alive() and moves

    def resume(self, known: Sequence[tuple[int, Detection]]) -> None:
        """Persons (detection id, detection) who were in view a moment ago and may still be. Before `start`."""
        for detection_id, detection in known:
            self.tracker.resume(detection_id, detection)

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            begun_s = self._moved_s = time.monotonic()
            try:
                self._analyse()
            except Exception:
                # Whatever it is, it is this stream's alone.
                pause_s = pause_s if time.monotonic() - begun_s < LONGEST_PAUSE_S else FIRST_PAUSE_S
                log.exception("analysing stream %d failed; again in %.0f s", self.stream_id, pause_s)
                self.crash = "Judging this stream failed; the box tries again, and its log says why."
                self._stopping.wait(pause_s)
                pause_s = min(LONGEST_PAUSE_S, pause_s * 2)
        for track in self.tracker.end_all():
            self._tell(track, ended=True)

    def _analyse(self) -> None:
        while not self._stopping.is_set():
            self._moved_s = time.monotonic()
            for packet in self.camera.packets():
                for frame in self.decoding.take(packet):
                    if self.camera.decoded(frame) and frame.time_s >= self._look_due_s:
                        self._look_due_s = frame.time_s + self._look_pause_s
                        self.see(frame)
                        self.crash = None

    def see(self, frame: Frame) -> None:
        """Take in one frame."""
        full_size = (frame.width, frame.height)
        width, height = content_size(*full_size, self.detector.input_width, self.detector.input_height)
        small = pixels_of(frame.source.reformat(width, height, "rgb24", interpolation=Interpolation.AREA))
        faces = [
            replace(face, bbox_px=rescale_bbox(face.bbox_px, (width, height), full_size))
            for face in self.detector.detect(small, score_threshold=LOW_SCORE_THRESHOLD)
        ]
        picture = cache(partial(self._picture, frame, faces))  # converting and pixelating cost more than all the rest
        update = self.tracker.update(faces, frame.time_s, frame.utc)
        for track in update.ended:
            self._tell(track, ended=True)
        for track in update.seen:
            self._report(track, frame, picture)
        self._preview(frame, faces, picture)

    def _report(self, track: Track, frame: Frame, picture: Callable[[], Pixels]) -> None:
        """Bring the record of a person in view up to date; a new image only where it is clearly better."""
        jpeg = None
        bbox_px = track.detection.bbox_px if track.detection else track.bbox_px
        if track.quality > track.image_quality * BETTER:
            track.image_quality, bbox_px = track.quality, track.bbox_px
            jpeg = encode_jpeg(cut(picture(), bbox_px), JPEG_QUALITY) if self.images.keep else None
        track.detection = Detection(
            first_seen_utc=track.first_seen_utc,
            last_seen_utc=frame.utc,
            state=track.state,
            confidence=track.confidence,
            votes=track.votes,
            bbox_px=bbox_px,
            frame_width=frame.width,
            frame_height=frame.height,
            model=self.detector.model_id,
        )
        self._tell(track, jpeg)

    def _tell(self, track: Track, jpeg: bytes | None = None, ended: bool = False) -> None:
        if track.detection is not None:
            self.sink(Sighting(track.key, self.stream_id, track.detection_id, track.detection, jpeg, ended))

    def _picture(self, frame: Frame, faces: Sequence[Face]) -> Pixels:
        """The full picture as people may see it."""
        full = pixels_of(frame.source)
        return pixelate_eyes(full, [face.bbox_px for face in faces]) if self.images.pixelate_eyes else full

    def _preview(self, frame: Frame, faces: Sequence[Face], picture: Callable[[], Pixels]) -> None:
        if frame.time_s < self._preview_due_s or not self.previews.is_requested(self.stream_id):
            return
        self._preview_due_s = frame.time_s + PREVIEW_PAUSE_S
        small = shrink(picture(), PREVIEW_SIDE_PX)
        size = (small.shape[1], small.shape[0])
        drawn = draw_bboxes(
            small,
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
