"""A track: one person while in view, and the vote on how that person wears the mask."""

from __future__ import annotations

import copy
import math
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise

import numpy as np
from numpy.typing import NDArray

from appliance.faces import CLASSES, Bbox, Detection, Face, State
from appliance.vision.colours import Colours
from appliance.vision.tracking.course import Course, middle, size_of
from appliance.vision.tracking.moments import Moments

Float64Array = NDArray[np.float64]

CONFIRM_HITS = 3
ENOUGH = 2.0  # evidence, see `evidence.py`, that a track is a person and not a flicker
CONFIRM_S = 2.5  # so many faces within so long are a person and not a flicker, also where a look comes once a second
MIN_VOTES = 3
MIN_MAJORITY = 0.5
SETTLED_VOTES, SETTLED_MAJORITY = 5, 0.8
UNDECIDED_HITS = 15  # whose state is still in doubt after so many faces: it will remain so
STILL_S = 3.0  # who has not moved by half a face for so long is still: a poster, or somebody who waits
STILL_REACH = 0.5  # in face sizes
STILL_RATIO = 1.3
COLOURS_GAIN = 0.15  # how much of the newest face there is in the colours of a track
DOUBT_FACES = 2
COMES_IN = 4.0  # face sizes a second
HIDDEN_S = 0.5  # who was missed for longer within the frame did not leave it
ASPECT, ASPECT_GAIN = 0.75, 0.1  # of most faces
PARTLY = 0.72  # so much narrower or lower than usual is a face of which something hides a part
RECENT = 12  # faces kept to tell whether somebody else has taken over


@dataclass(frozen=True)
class Seen:
    """A face of a frame, bbox in px of the frame, and the colours below it; None: they are not in the frame."""

    face: Face
    colours: Colours | None = None


@dataclass(frozen=True)
class Hit:
    """One face of a track. now_s: of the tracker's clock. colours: None also where another person hides them."""

    face: Face
    colours: Colours | None
    now_s: float
    now_utc: float
    cut: bool = False  # by the edge of the frame, or by what stands before it
    jumped: bool = False  # its place or size is not where the course of the track led
    odd: bool = False  # its colours are not those of the track
    evidence: float = 1.0  # how much it speaks for a person


@dataclass(eq=False)
class Track:
    """One person while in view: what the tracker knows and what is recorded. Bboxes are pixels of the frame.

    key: this person's, and nobody else's. detection_id: where the person is stored already, after a restart.
    detection: the record up to now. image_quality: `quality` of the face in the image there is.
    votes: how many faces were classified; weights: their summed class probabilities, in the order of CLASSES.
    moments: of which ones something is kept beside the image.
    """

    bbox_px: Bbox
    score: float
    first_seen_utc: float
    course: Course
    last_s: float
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    detection_id: int | None = None
    detection: Detection | None = None
    image_quality: float = 0.0
    moments: Moments = field(default_factory=Moments)
    confirmed: bool = False  # whether it has been seen often enough to be a person and not a flicker
    evidence: float = 0.0  # that it is one, of its faces less the looks without one
    hits: int = 0
    small_hits: int = 0
    votes: int = 0
    weights: Float64Array = field(default_factory=lambda: np.zeros(len(CLASSES)))
    aspect: float = ASPECT  # width to height, of faces that nothing cuts
    colours: Colours | None = None
    missed_s: float = 0.0  # from its last face to the last look that should have shown another
    hidden_s: float = 0.0  # the same while it should have been within the frame
    in_frame: bool = False  # whether it has a face in the newest frame
    recent: deque[Hit] = field(default_factory=lambda: deque(maxlen=RECENT))
    anchor: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)  # x, y, size and since when it is there
    _ahead: tuple[float, Course] | None = None  # what `ahead` found last

    @property
    def quality(self) -> float:
        """How good an image of the face would be: score x area in pixels; 0 while it may be somebody else's."""
        if self.doubtful:
            return 0.0
        left, top, right, bottom = self.bbox_px
        return self.score * (right - left) * (bottom - top)

    @property
    def doubtful(self) -> bool:
        """Whether its newest faces may be somebody else's."""
        return any(hit.odd or hit.jumped for hit in islice(reversed(self.recent), DOUBT_FACES))

    @property
    def confidence(self) -> float:
        """The leading state's share of the vote, 0 to 1."""
        total = float(self.weights.sum())
        return float(self.weights.max()) / total if total > 0 else 0.0

    @property
    def state(self) -> State:
        """The voted state; UNKNOWN where too few faces were classified or no state has the majority."""
        if self.votes < MIN_VOTES or self.confidence <= MIN_MAJORITY:
            return State.UNKNOWN
        return CLASSES[int(self.weights.argmax())]

    @property
    def too_small(self) -> bool:
        """Whether the state is unknown because most of its faces had too few pixels to judge."""
        return self.state is State.UNKNOWN and self.small_hits * 2 > self.hits

    @property
    def settled(self) -> bool:
        """Whether more looks would hardly change what is known of it."""
        agreed = self.votes >= SETTLED_VOTES and self.confidence > SETTLED_MAJORITY
        return self.confirmed and agreed and not self.doubtful and not self.missed_s

    @property
    def in_doubt(self) -> bool:
        """Whether more looks would tell more of somebody who is in view."""
        undecided = self.confirmed and self.hits >= UNDECIDED_HITS and not self.doubtful
        return self.missed_s == 0 and not (self.settled or self.still or undecided)

    @property
    def still(self) -> bool:
        """Whether it has stayed where it is for a while."""
        return self.last_s - self.anchor[3] >= STILL_S

    def __deepcopy__(self, _: object) -> Track:
        """Shares what nobody changes: to copy each face of the past costs more than to look at new ones."""
        copied = copy.copy(self)
        copied.course, copied._ahead = copy.deepcopy(self.course), None
        copied.weights, copied.recent = self.weights.copy(), self.recent.copy()
        return copied

    def ahead(self, now_s: float) -> Course:
        """Where its course leads until then."""
        if self._ahead is None or self._ahead[0] != now_s:
            self._ahead = now_s, self.course.after(max(0.0, now_s - self.last_s))
        return self._ahead[1]

    def miss(self, clock_s: float, within: bool, evidence: float) -> None:
        """A look should have shown a face and did not. within: the frame, where it should have been by then."""
        self.missed_s = clock_s - self.last_s
        if within:
            self.hidden_s = self.missed_s
        self.evidence = max(0.0, self.evidence - evidence)

    def has_left(self, now_s: float, size: tuple[float, float]) -> bool:
        """Whether it was on the way out of a frame of that width and height, and must be there by now.

        Not who was missed while still within: they are behind something, and may stay there.
        """
        return self.hidden_s <= HIDDEN_S and self.ahead(now_s).has_left(size)

    def shows_part(self, bbox_px: Bbox) -> bool:
        """Whether something hides a part of its face there, to judge by the shape of what is seen."""
        return not PARTLY < aspect_of(bbox_px) / self.aspect < 1 / PARTLY

    def hit(self, hit: Hit) -> None:
        """Take in a face of a frame."""
        face = hit.face
        x, y = middle(face.bbox_px)
        size_px = size_of(face.bbox_px)
        if self.hits:
            self.course, self._ahead = self.ahead(hit.now_s), None
            self.course.seen(x, y, size_px, hit.cut)
        self.bbox_px, self.score, self.last_s = face.bbox_px, face.score, hit.now_s
        self.missed_s, self.hidden_s, self.in_frame = 0.0, 0.0, True
        if not hit.cut:
            self.aspect += ASPECT_GAIN * (aspect_of(face.bbox_px) - self.aspect)
        self._stand(x, y, size_px, hit.now_s)
        if hit.colours is not None and not hit.odd:
            ours = self.colours
            self.colours = hit.colours if ours is None else ours + COLOURS_GAIN * (hit.colours - ours)
        self.recent.append(hit)
        self._count(hit, +1)
        self.evidence += hit.evidence
        if not self.confirmed and len(self.recent) >= CONFIRM_HITS and self.evidence >= ENOUGH:
            self.confirmed = hit.now_s - self.recent[-CONFIRM_HITS].now_s <= CONFIRM_S

    def yielded(self, index: int) -> list[Hit]:
        """Give back its newest faces, from `index` of `recent` on: they were another person's, and so were the votes.

        The track has not been seen since then.
        """
        hits = list(self.recent)
        kept, given = hits[:index], hits[index:]
        for hit in given:
            self._count(hit, -1)
        # How it moved then is found by going through what is left; before that, it had been known longer.
        self.course, self._ahead, self.in_frame = _course_of(kept), None, False
        self.bbox_px, self.score, self.last_s = kept[-1].face.bbox_px, kept[-1].face.score, kept[-1].now_s
        self.missed_s = given[-1].now_s - self.last_s
        self.hidden_s = 0.0
        self.recent = deque(kept, maxlen=RECENT)
        if self.detection is not None:
            self.detection = replace(
                self.detection,
                last_seen_utc=kept[-1].now_utc,
                state=self.state,
                confidence=self.confidence,
                votes=self.votes,
            )
        return given

    def _count(self, hit: Hit, sign: int) -> None:
        """Add the face to the vote (sign 1) or take it out (-1)."""
        self.hits += sign
        self.small_hits += sign * hit.face.too_small
        if hit.face.state is not State.UNKNOWN:
            self.votes += sign
            self.weights += sign * hit.face.score * size_of(hit.face.bbox_px) * np.array(hit.face.class_probabilities)

    def _stand(self, x: float, y: float, size_px: float, now_s: float) -> None:
        at_x, at_y, at_px, _ = self.anchor
        ratio = size_px / max(at_px, 1.0)
        moved = max(abs(x - at_x), abs(y - at_y)) > STILL_REACH * size_px
        if self.hits == 0 or moved or not 1 / STILL_RATIO < ratio < STILL_RATIO:
            self.anchor = (x, y, size_px, now_s)


def aspect_of(bbox_px: Bbox) -> float:
    """Width to height."""
    left, top, right, bottom = bbox_px
    return max(right - left, 1.0) / max(bottom - top, 1.0)


def _course_of(hits: Sequence[Hit]) -> Course:
    course = Course(*middle(hits[0].face.bbox_px), size_of(hits[0].face.bbox_px))
    for before, hit in pairwise(hits):
        course = course.after(max(0.0, hit.now_s - before.now_s))
        course.seen(*middle(hit.face.bbox_px), size_of(hit.face.bbox_px), hit.cut)
    return course


def begun(hit: Hit, width_px: float = math.inf) -> Track:
    """A track that begins with this face. Who is first seen at a side of the frame, so wide, is coming in."""
    face = hit.face
    (x, y), size_px = middle(face.bbox_px), size_of(face.bbox_px)
    inward = 1 if x < size_px else -1 if x > width_px - size_px else 0
    course = Course(x, y, size_px, vx=inward * COMES_IN * size_px)
    track = Track(face.bbox_px, face.score, hit.now_utc, course, hit.now_s)
    track.hit(hit)
    return track


def resumed(detection_id: int, detection: Detection, now_s: float) -> Track:
    """A person stored before a restart, last seen at `now_s`. The vote goes on."""
    bbox_px = detection.bbox_px
    x, y = middle(bbox_px)
    track = Track(
        bbox_px,
        score=1.0,  # of the face in the image there is; it is not stored
        first_seen_utc=detection.first_seen_utc,
        course=Course(x, y, size_of(bbox_px)),
        last_s=now_s,
        key=f"stored-{detection_id}",
        detection_id=detection_id,
        detection=detection,
        confirmed=True,
        hits=max(detection.votes, CONFIRM_HITS),
        votes=detection.votes,
        anchor=(x, y, size_of(bbox_px), now_s),
    )
    track.image_quality = track.quality
    if detection.state is not State.UNKNOWN:
        track.weights += (1 - detection.confidence) / 2
        track.weights[CLASSES.index(detection.state)] = detection.confidence
        track.weights *= detection.votes * size_of(bbox_px)
    return track
