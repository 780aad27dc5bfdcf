"""Tracks: which faces of successive frames are one person, and how that person wears the mask.

Matching in two passes, faces of high confidence first and then those of low confidence, so that a face that is
blurred for a moment keeps its track (ByteTrack: Zhang et al. 2022, arXiv 2110.06864). At five frames a second faces
jump by more than their own size, so overlap alone fails: the gate is the distance from the predicted place, in face
sizes, and the size ratio. Faces are never compared as pictures: whoever comes back after `lost_s` is counted again.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from appliance.faces import CLASSES, Bbox, Detection, Face, State
from appliance.vision.bboxes import iou

Float64Array = NDArray[np.float64]

CONFIRM_HITS = 3
MAX_GAP_S = 1.0  # a longer pause between two frames (a lost connection) ages tracks by this much only ...
FORGET_GAP_S = 15.0  # ... unless it is longer than this: then nobody is the same
REACH = 1.3  # how far, in face sizes, from the predicted place a face may be
REACH_PER_S = 2.0  # and how much further for each second since it was last seen
MAX_SIZE_RATIO = 1.9
STAYED = 1.2  # how much further the last place seems than the predicted one
SAME_FACE_IOU = 0.45  # a face that overlaps a track's face of the same frame this much is no new person
MIN_VOTES = 3
MIN_MAJORITY = 0.5
VELOCITY_GAIN = 0.5
MIN_STEP_S = 0.15  # pictures that arrive in a burst seem to move much faster than anybody walks


@dataclass(eq=False)
class Track:
    """One person while in view: what the tracker knows and what is recorded. Bboxes are pixels of the frame.

    key: this person's, and nobody else's. detection_id: where the person is stored already, after a restart.
    detection: the record up to now. image_quality: `quality` of the face in the image there is.
    votes: how many faces were classified; weights: their summed class probabilities, in the order of CLASSES.
    """

    bbox_px: Bbox
    score: float
    first_seen_utc: float
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    detection_id: int | None = None
    detection: Detection | None = None
    image_quality: float = 0.0
    hits: int = 0
    votes: int = 0
    weights: Float64Array = field(default_factory=lambda: np.zeros(len(CLASSES)))
    velocity: Float64Array = field(default_factory=lambda: np.zeros(2))
    unseen_s: float = 0.0
    in_frame: bool = False  # whether it has a face in the newest frame

    @property
    def quality(self) -> float:
        """How good an image of the face would be: score x area in pixels."""
        left, top, right, bottom = self.bbox_px
        return self.score * (right - left) * (bottom - top)

    @property
    def confirmed(self) -> bool:
        """Whether it has been seen often enough to be a person and not a flicker."""
        return self.hits >= CONFIRM_HITS

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


@dataclass(frozen=True)
class Update:
    """What one frame changed: `seen` are confirmed tracks with a face in it, `ended` confirmed ones now lost."""

    seen: list[Track]
    ended: list[Track]


class Tracker:
    """The tracks of one stream. Not for several threads.

    score_threshold: faces of this score or more (high confidence) may begin a track; the others only continue one.
    lost_s: out of view for longer is gone.
    """

    def __init__(self, score_threshold: float, lost_s: float) -> None:
        self.score_threshold = score_threshold
        self.lost_s = lost_s
        self.tracks: list[Track] = []
        self._last_s: float | None = None

    def update(self, faces: Sequence[Face], now_s: float, now_utc: float) -> Update:
        """Take in the faces of one frame. now_s, of a clock that never goes back, and now_utc: when it arrived."""
        passed_s = 0.0 if self._last_s is None else max(0.0, now_s - self._last_s)
        self._last_s = now_s
        ended = self.end_all() if passed_s > FORGET_GAP_S else []
        step_s = min(passed_s, MAX_GAP_S)
        for track in self.tracks:
            track.unseen_s += step_s
            track.in_frame = False

        high = [face for face in faces if face.score >= self.score_threshold]
        low = [face for face in faces if face.score < self.score_threshold]
        unmatched, new = self._match(self.tracks, high)
        # A face of low confidence may keep a person in view, but not bring back one who was already missed for long.
        self._match([track for track in unmatched if track.unseen_s <= MAX_GAP_S], low)
        for face in new:
            if not self._is_double(face):
                track = Track(face.bbox_px, face.score, first_seen_utc=now_utc)
                self._hit(track, face)
                self.tracks.append(track)

        gone = [track for track in self.tracks if track.unseen_s > (self.lost_s if track.confirmed else MAX_GAP_S)]
        self.tracks = [track for track in self.tracks if track not in gone]
        ended += [track for track in gone if track.confirmed]
        return Update([track for track in self.tracks if track.confirmed and track.in_frame], ended)

    def end_all(self) -> list[Track]:
        """Forget every track; the confirmed ones, which end with this."""
        ended = [track for track in self.tracks if track.confirmed]
        self.tracks = []
        return ended

    def resume(self, detection_id: int, detection: Detection) -> None:
        """Put back a person stored before a restart, as if missed since. The vote goes on."""
        track = Track(
            detection.bbox_px,
            score=1.0,  # of the face in the image there is; it is not stored
            first_seen_utc=detection.first_seen_utc,
            key=f"stored-{detection_id}",
            detection_id=detection_id,
            detection=detection,
            hits=max(detection.votes, CONFIRM_HITS),
            votes=detection.votes,
            unseen_s=min(MAX_GAP_S, self.lost_s),
        )
        track.image_quality = track.quality
        if detection.state is not State.UNKNOWN:
            track.weights += (1 - detection.confidence) / 2
            track.weights[CLASSES.index(detection.state)] = detection.confidence
            track.weights *= detection.votes * _sizes(np.array([detection.bbox_px]))[0]
        self.tracks.append(track)

    def _match(self, tracks: Sequence[Track], faces: Sequence[Face]) -> tuple[list[Track], list[Face]]:
        """Give each face to the nearest track within reach, nearest pair first; what is left of both."""
        if not tracks or not faces:
            return list(tracks), list(faces)
        cost = self._costs(tracks, faces)
        left_tracks, left_faces = set(range(len(tracks))), set(range(len(faces)))
        for flat in np.argsort(cost, axis=None):
            row, column = divmod(int(flat), len(faces))
            if cost[row, column] >= 1:
                break
            if row in left_tracks and column in left_faces:
                self._hit(tracks[row], faces[column])
                left_tracks.remove(row)
                left_faces.remove(column)
        return [tracks[row] for row in sorted(left_tracks)], [faces[column] for column in sorted(left_faces)]

    def _costs(self, tracks: Sequence[Track], faces: Sequence[Face]) -> Float64Array:
        """Distance of every face from every track's predicted place as a share of its reach; >= 1 is out of reach."""
        old = np.array([track.bbox_px for track in tracks], dtype=np.float64)
        new = np.array([face.bbox_px for face in faces], dtype=np.float64)
        unseen = np.array([track.unseen_s for track in tracks])
        predicted = _centres(old) + np.array([track.velocity for track in tracks]) * unseen[:, None]
        size_old, size_new = _sizes(old), _sizes(new)
        distance = np.linalg.norm(predicted[:, None] - _centres(new)[None], axis=2)
        # A network that holds pictures back makes the prediction run ahead: for a while the last place counts, too.
        stayed = np.linalg.norm(_centres(old)[:, None] - _centres(new)[None], axis=2)
        distance = np.where((unseen <= MAX_GAP_S)[:, None], np.minimum(distance, STAYED * stayed), distance)
        reach = (REACH + REACH_PER_S * np.minimum(unseen, MAX_GAP_S))[:, None]
        ratio = size_new[None] / size_old[:, None]
        ratio = np.maximum(ratio, 1 / ratio)
        # Sizes in doubt cost a little, so that of two faces equally near the one of the same size wins.
        cost: Float64Array = distance / (reach * np.sqrt(size_old[:, None] * size_new[None])) + 0.1 * np.log(ratio)
        cost[ratio > MAX_SIZE_RATIO] = 1.0
        return cost

    def _hit(self, track: Track, face: Face) -> None:
        if track.unseen_s > 0:
            moved = _centres(np.array([face.bbox_px])) - _centres(np.array([track.bbox_px]))
            track.velocity += VELOCITY_GAIN * (moved[0] / max(track.unseen_s, MIN_STEP_S) - track.velocity)
        track.bbox_px, track.score, track.unseen_s, track.in_frame = face.bbox_px, face.score, 0.0, True
        track.hits += 1
        if face.state is not State.UNKNOWN:
            track.votes += 1
            track.weights += np.array(face.class_probabilities) * face.score * _sizes(np.array([face.bbox_px]))[0]

    def _is_double(self, face: Face) -> bool:
        """Whether the face lies over one that a track already has in this frame."""
        here = [track.bbox_px for track in self.tracks if track.in_frame]
        if not here:
            return False
        overlap = iou(np.array([face.bbox_px], dtype=np.float32), np.array(here, dtype=np.float32))
        return bool(overlap.max() > SAME_FACE_IOU)


def _centres(bboxes: Float64Array) -> Float64Array:
    centres: Float64Array = (bboxes[:, :2] + bboxes[:, 2:]) / 2
    return centres


def _sizes(bboxes: Float64Array) -> Float64Array:
    """The geometric mean of width and height, at least one pixel."""
    sides = np.maximum(bboxes[:, 2:] - bboxes[:, :2], 1.0)
    sizes: Float64Array = np.sqrt(sides[:, 0] * sides[:, 1])
    return sizes
