"""One stream's analysis: camera -> observer -> sightings. It knows no store."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from appliance.faces import Bbox, Detection, Face, Health, Work
from appliance.keeping import ImageMode
from appliance.language import N_
from appliance.previews import Previews
from appliance.sections import Vision
from appliance.vision import beside
from appliance.vision.annotate import draw_bboxes
from appliance.vision.bboxes import rescale_bbox
from appliance.vision.beside import Beside
from appliance.vision.budget import Budget, Costs
from appliance.vision.counting import Counting, Crossing
from appliance.vision.detector import Detector
from appliance.vision.jpeg import encode_jpeg
from appliance.vision.looking.view import View
from appliance.vision.observer import Look, Observer
from appliance.vision.reading.camera import Camera
from appliance.vision.reading.gstreamer import NVIDIA, has
from appliance.vision.reading.reach import Reach
from appliance.vision.reading.source import Transport
from appliance.vision.reading.substream import SubStream
from appliance.vision.snapshot import pixelate_eyes, snapshot
from appliance.vision.tracking.course import middle
from appliance.vision.tracking.tracker import Track

log = logging.getLogger(__name__)

BETTER = 1.3  # a new image must be this much better than the one there is
JPEG_QUALITY = 85
PREVIEW_SIDE_PX = 640
PREVIEW_PAUSE_S = 0.4
GLANCE_SIDE_PX = 320
GLANCE_PAUSE_S = 0.9
EARLY_S = 0.05  # looks come when they come: a picture that is nearly due is drawn
MOVED_S = 1.0  # a movement that the sub-stream shows is looked at for at least so long
WATCHED_S = 2.0  # while somebody watches, everything is decoded for so long at a time
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
HUNG_S = 60.0  # no frame takes so long, whatever the machine
TOLD_A_LOOK = 30  # persons; of more, those who were told of longest ago
FAINT_S = 30.0  # a face of low confidence is hidden for so long where nobody looks again
EXCLUDED_S = 600.0  # and one of high confidence where people never count


@dataclass(frozen=True, slots=True)
class Sighting:
    """What is known of one person up to now.

    key: the same for all sightings of one person. detection_id: where it is stored already, after a restart.
    jpeg: a better image than the one before, if there is one. ended: the person has left.
    beside: what else is to be kept of this moment, also where the image is no better.
    """

    key: str
    stream_id: int
    detection_id: int | None
    detection: Detection
    jpeg: bytes | None
    ended: bool
    beside: tuple[Beside, ...] = ()


class Analysis:
    """Analyses one stream until stopped. Trouble with it is logged, and it begins again; others never notice."""

    def __init__(
        self,
        stream_id: int,
        url: str,
        detector: Detector,
        vision: Vision,
        image_mode: ImageMode,
        previews: Previews,
        sink: Callable[[Sighting], None],
        reach: Reach | None,
        budget: Budget,
        costs: Costs,
        transport: Transport = "tcp",
        watch_url: str | None = None,
    ) -> None:
        self.stream_id = stream_id
        self.url, self.reach, self.watch_url = url, reach, watch_url
        self.detector = detector
        self.image_mode = image_mode  # these may be set while it runs
        self.draws = True  # live pictures, while somebody watches
        self.keeps_beside = True  # the scene of an image, and the face at other moments
        self.previews = previews
        self.sink = sink
        self.crossed: Callable[[int, Crossing], None] | None = None  # is told of who crosses a line
        self.crash: str | None = None
        self.camera = Camera(url, reach=reach, transport=transport)
        self._purse = budget.open_purse()
        self.observer = Observer(
            detector,
            vision.frames_per_second,
            vision.lost_s,
            self._purse,
            costs,
            accept=self.camera.decoded,
            cpu_s=costs.spent_s,
            chip=NVIDIA if vision.decoder == "auto" and has(NVIDIA) else None,
        )
        self._sub_stream = SubStream(watch_url, reach, self.camera.nudge) if watch_url else None
        self._preview_trouble = ""
        self._preview_due_s = 0.0
        self._nobodys: list[tuple[float, Bbox]] = []  # faces that no track expects, and until when they are hidden
        self._alive_s = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"analysis-{stream_id}", daemon=True)

    @property
    def problem(self) -> str | None:
        """Why the stream is not being analysed; None: it is."""
        return self.crash or self.camera.problem

    @property
    def watch_problem(self) -> str | None:
        """Why its sub-stream is not watched, which ends nothing; None: it is, or there is none."""
        return self._sub_stream.problem if self._sub_stream else None

    @property
    def health(self) -> Health:
        """How well the stream can be judged."""
        return self.observer.health

    @property
    def work(self) -> Work:
        """What was done with it since this analysis began."""
        return replace(self.observer.tally.work, dropped_s=self.camera.dropped_s)

    @property
    def counting(self) -> Counting:
        """Who of those in view counts. Its zones may be set while the analysis runs."""
        return self.observer.counting

    @property
    def view(self) -> View:
        """What its camera looks at, and what is wrong with the picture. Another may be set at any time."""
        return self.observer.view

    @view.setter
    def view(self, view: View) -> None:
        self.observer.view = view

    @property
    def decoded_by(self) -> str:
        """What decodes the stream: FFmpeg, or the name of a chip."""
        return self.observer.decoding.decoder_name

    def start(self) -> None:
        """Begin."""
        self.camera.start()
        if self._sub_stream is not None:
            self._sub_stream.start()
        self._thread.start()

    def stop(self) -> None:
        """End it; whoever was in view has left. What it may spend goes to the others, also if it hangs."""
        self._stopping.set()
        self.camera.stop()
        if self._sub_stream is not None:
            self._sub_stream.stop()
        self._purse.close()

    def join(self, patience_s: float) -> None:
        """Wait until the last sightings are out."""
        self._thread.join(patience_s)

    def is_alive(self) -> bool:
        """Whether all of its threads run, and the analysis does not hang."""
        moves = time.monotonic() - self._alive_s < HUNG_S
        watched = self._sub_stream is None or self._sub_stream.is_alive()
        return self._thread.is_alive() and self.camera.is_alive() and watched and moves

    def resume(self, known: Sequence[tuple[int, Detection]]) -> None:
        """Persons (detection id, detection) who were in view a moment ago and may still be. Before `start`."""
        for detection_id, detection in known:
            self.observer.tracker.resume(detection_id, detection)

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            begun_s = self._alive_s = time.monotonic()
            try:
                self._analyse()
            except Exception:
                # Whatever it is, it is this stream's alone.
                pause_s = pause_s if time.monotonic() - begun_s < LONGEST_PAUSE_S else FIRST_PAUSE_S
                log.exception("analysing stream %d failed; again in %.0f s", self.stream_id, pause_s)
                self.crash = N_("Judging this stream failed; the box tries again, and its log says why.")
                self._stopping.wait(pause_s)
                pause_s = min(LONGEST_PAUSE_S, pause_s * 2)
                self.observer.restart()
        self.observer.decoding.close()
        for track in self.observer.tracker.end_all():
            self._tell(track, ended=True)

    def _analyse(self) -> None:
        while not self._stopping.is_set():
            self._alive_s = time.monotonic()
            for packet in self.camera.packets(keys_only=self.observer.decoding.idle):
                for look in self.observer.take(packet):
                    self.report(look)
                if packet.key and self.observer.decoding.elsewhere:
                    self.camera.kept_undecoded()
            self._wake_if_wanted()

    def _wake_if_wanted(self) -> None:
        """Everything is decoded while somebody watches the stream, or when its sub-stream tells of movement."""
        now_s = time.monotonic()
        if self.previews.is_requested(self.stream_id):
            self._wake(now_s + WATCHED_S, now_s)
        if self._sub_stream is not None:
            self.observer.elsewhere = self._sub_stream.is_watching
            if self.observer.decoding.elsewhere and not self.observer.elsewhere:
                self._wake(now_s)
            elif self._sub_stream.moved_since(now_s - MOVED_S):
                self._wake(now_s + MOVED_S, self._sub_stream.began_s)

    def _wake(self, until_s: float, since_s: float | None = None) -> None:
        for look in self.observer.wake(until_s, since_s):
            self.report(look)

    def report(self, look: Look) -> None:
        """Tell what a look showed."""
        self._remember_nobodys(look)
        if look.regions:
            shown_s = look.frame.time_s
            self.observer.tally.judged(time.monotonic() - shown_s, shown_s)
        size = (look.frame.width, look.frame.height)
        for crossing in self.counting.take(look.update, size, look.frame.time_s):
            if self.crossed is not None:
                self.crossed(self.stream_id, crossing)
        for track in look.update.ended:
            self._tell(track, ended=True)
        counted = [track for track in look.update.seen if self.counting.since_utc(track) is not None]
        for track in sorted(counted, key=_told_utc)[:TOLD_A_LOOK]:
            self._report(track, look)
        self._preview(look)
        self.crash = None

    def _remember_nobodys(self, look: Look) -> None:
        """Faces of low confidence, and those where people never count, are nobody's, so nobody expects them.

        But they are there until one looks again.
        """
        now_s = look.frame.time_s
        kept = [
            (until_s, bbox_px)
            for until_s, bbox_px in self._nobodys
            if now_s < until_s and not any(region.holds(*middle(bbox_px)) for region in look.regions)
        ]
        faint = [(now_s + FAINT_S, face.bbox_px) for face in look.faces if not self._is_sure(face)]
        self._nobodys = kept + faint + [(now_s + EXCLUDED_S, face.bbox_px) for face in look.excluded]

    def _is_sure(self, face: Face) -> bool:
        return face.score >= self.detector.score_threshold

    def _report(self, track: Track, look: Look) -> None:
        """Bring the record of a person in view up to date; a new image only where it is clearly better."""
        jpeg, frame = None, look.frame
        bbox_px = track.detection.bbox_px if track.detection else track.bbox_px
        if track.quality > track.image_quality * BETTER:
            track.image_quality, bbox_px = track.quality, track.bbox_px
            if self.image_mode is not ImageMode.NO_IMAGES:
                jpeg = encode_jpeg(snapshot(frame, bbox_px, self._hidden(look)), JPEG_QUALITY)
        others = self._beside(track, look, jpeg is not None)
        track.detection = Detection(
            first_seen_utc=self.counting.since_utc(track) or track.first_seen_utc,
            last_seen_utc=frame.utc,
            state=track.state,
            confidence=track.confidence,
            votes=track.votes,
            bbox_px=bbox_px,
            frame_width=frame.width,
            frame_height=frame.height,
            model=self.detector.model_id,
            too_small=track.too_small,
        )
        self._tell(track, jpeg, others=others)

    def _beside(self, track: Track, look: Look, has_image: bool) -> tuple[Beside, ...]:
        """What else to keep of this look: the scene of a new image, or the face a while after the last one."""
        frame, moments = look.frame, track.moments
        if self.image_mode is ImageMode.NO_IMAGES or not self.keeps_beside:
            return ()
        if has_image:
            moments.note_image(frame.utc)
            if moments.wants_scene(frame.utc):
                return (beside.scene(frame, track.bbox_px, self._hidden(look)),)
        elif track.quality > 0 and track.in_frame and moments.wants_face(frame.utc):
            return (beside.face(frame, track.bbox_px, self._hidden(look)),)
        return ()

    def _tell(
        self, track: Track, jpeg: bytes | None = None, ended: bool = False, others: tuple[Beside, ...] = ()
    ) -> None:
        if track.detection is not None:
            if track.detection.last_seen_utc < track.detection.first_seen_utc:
                # The faces by which it came to count turned out to be another person's.
                track.detection = replace(track.detection, last_seen_utc=track.detection.first_seen_utc)
            self.sink(Sighting(track.key, self.stream_id, track.detection_id, track.detection, jpeg, ended, others))

    def _hidden(self, look: Look) -> list[Bbox]:
        """The faces whose eyes nobody may see: those of this look, and those where nobody looked this time."""
        if self.image_mode is ImageMode.FULL:
            return []
        return [face.bbox_px for face in self._in_view(look)] + [bbox_px for _, bbox_px in self._nobodys]

    def _in_view(self, look: Look) -> list[Face]:
        return [*filter(self._is_sure, look.faces), *look.presumed]

    def _preview(self, look: Look) -> None:
        if not self.draws:
            return
        frame = look.frame
        if frame.time_s < self._preview_due_s - EARLY_S:
            return
        is_watched = self.previews.is_requested(self.stream_id)
        if not is_watched and not self.previews.is_glanced_at(self.stream_id):
            return
        self._preview_due_s = frame.time_s + (PREVIEW_PAUSE_S if is_watched else GLANCE_PAUSE_S)
        small = frame.shrunk(PREVIEW_SIDE_PX if is_watched else GLANCE_SIDE_PX)
        sizes = (frame.width, frame.height), (small.shape[1], small.shape[0])
        hidden = pixelate_eyes(small, [rescale_bbox(bbox_px, *sizes) for bbox_px in self._hidden(look)])
        somebodys = [face for face in self._in_view(look) if face not in look.excluded]
        shown = [replace(face, bbox_px=rescale_bbox(face.bbox_px, *sizes)) for face in somebodys]
        try:
            drawn = draw_bboxes(hidden, shown, with_words=False)
            self.previews.write(self.stream_id, encode_jpeg(drawn, JPEG_QUALITY), shown)
        except OSError as error:
            self._tell_of_previews(error.strerror or str(error))
        else:
            self._tell_of_previews("")

    def _tell_of_previews(self, trouble: str) -> None:
        """A line when they cannot be written, and one when they can be again: there is one each second."""
        if trouble and not self._preview_trouble:
            log.warning("no preview of stream %d, trying again: %s", self.stream_id, trouble)
        elif self._preview_trouble and not trouble:
            log.info("there are previews of stream %d again", self.stream_id)
        self._preview_trouble = trouble


def _told_utc(track: Track) -> float:
    """What was told last of a person is of this time; whoever is new or in another state comes first."""
    told = track.detection
    return told.last_seen_utc if told is not None and told.state is track.state else float("-inf")
