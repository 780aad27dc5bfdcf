"""Tracks: which faces of successive frames are one person, and how that person wears the mask.

Matching in two passes, faces of high confidence first and then those of low confidence, so that a face that is
blurred for a moment keeps its track (ByteTrack: Zhang et al. 2022, arXiv 2110.06864). Each track is predicted by a
Kalman filter, and faces are given to tracks so that place, size, state and the colours below the face fit best in all.
Faces are never compared as pictures: whoever comes back after `lost_s` is counted again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from appliance.faces import Bbox, Detection, Face
from appliance.vision.bboxes import area_of, common
from appliance.vision.colours import colour_distance
from appliance.vision.looking.region import Region
from appliance.vision.looking.regions import Expected
from appliance.vision.looking.seams import is_whole
from appliance.vision.tracking.assignment import assigned
from appliance.vision.tracking.course import middle, size_of
from appliance.vision.tracking.evidence import MISSED, evidence_of, is_on_body
from appliance.vision.tracking.hidden import with_own_colours
from appliance.vision.tracking.matching import LIMIT, LONG_S, LOW_LIMIT, MAX_REACH, OTHER_COLOURS, costs_of
from appliance.vision.tracking.takeover import FEWEST_FACES, alike, odd_from, taken_over
from appliance.vision.tracking.track import Hit, Seen, Track, begun, resumed

__all__ = ["Seen", "Track", "Tracker", "Update"]

MAX_GAP_S = 1.5  # a longer pause between two frames (a lost connection) ages tracks by this much only ...
FORGET_GAP_S = 15.0  # ... unless it is longer than this: then nobody is the same
FLICKER_S = 1.2  # a face that was not seen often enough to be a person is waited for as long as this
LOW_S = 1.0  # who was missed for longer is not brought back by a face of low confidence
EXIT_S = 0.5  # who left the frame is gone: who comes in there next is somebody else
STILL_LOST_S = 12.0  # a poster that somebody stands before is still there afterwards
UNSEEN_LIMIT_S = 5.0  # nobody stays unseen for longer than this beyond the time to be lost
SAME_FACE_IOU, SAME_FACE = 0.3, 0.6  # two faces that overlap so much, or of which one so much is the other: are one
GLIMPSE_S = 0.5  # a part of a face, at a seam, says for so long that the person is still there
PART, AROUND = 0.6, 0.6  # so much of it lies where the face is expected, or within so many face sizes around that
EDGE_PX = 2.0


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
        self._clock_s = 0.0  # stands still while no frame comes
        self._size: tuple[float, float] = math.inf, math.inf

    def expected(self, now_s: float) -> list[Expected]:
        """Where each track is to be looked for in a frame of `now_s`; not those who have left the frame."""
        at_s = self._clock_s + min(self._passed_s(now_s), MAX_GAP_S)
        expected = []
        for track in self.tracks:
            bbox_px, spread_px = _predicted(track, at_s)
            if not self._outside(bbox_px):
                expected.append(Expected(track.key, bbox_px, spread_px, track.settled, track.still))
        return expected

    @property
    def within(self) -> list[Track]:
        """Those who have not left the frame, also if they were not seen lately."""
        return [track for track in self.tracks if not self._outside(_predicted(track, self._clock_s)[0])]

    @property
    def has_doubts(self) -> bool:
        """Whether somebody is in view of whom more looks would tell more."""
        return any(track.in_doubt for track in self.within)

    def presumed(self, now_s: float) -> list[Face]:
        """Persons in view without a face in the newest frame, where they are expected, in the voted state.

        Those who were not looked at, and those who were missed for no more than a moment.
        """
        tracks = {track.key: track for track in self.tracks if not track.in_frame and track.missed_s <= LOW_S}
        return [
            Face(expected.bbox_px, tracks[expected.key].score, (0.0, 0.0, 0.0), tracks[expected.key].state)
            for expected in self.expected(now_s)
            if expected.key in tracks
        ]

    def update(
        self,
        seen: Sequence[Seen],
        now_s: float,
        now_utc: float,
        regions: Sequence[Region] | None = None,
        size: tuple[int, int] | None = None,
        is_hidden: Callable[[Bbox], bool] | None = None,
    ) -> Update:
        """Take in the faces of one frame.

        now_s, of a clock that never goes back, and now_utc: when the camera showed it. regions: where the detector
        looked; None: everywhere. size: width and height of the frame in px; None: as before, or without bounds.
        is_hidden: whether a face with this bbox would not be among those seen; None: none is hidden.
        """
        self._size = size or self._size
        passed_s = self._passed_s(now_s)
        self._last_s = now_s
        ended = self.end_all() if passed_s > FORGET_GAP_S else []
        self._clock_s += min(passed_s, MAX_GAP_S)
        for track in self.tracks:
            track.in_frame = False

        seen, glimpsed = self._without_parts(seen, regions)
        here = [(_predicted(track, self._clock_s)[0], track.colours) for track in self.tracks if track.missed_s < LOW_S]
        seen = with_own_colours(seen, here)
        high = [one for one in seen if one.face.score >= self.score_threshold]
        low = [one for one in seen if one.face.score < self.score_threshold]
        unmatched, new = self._match(self.tracks, high, now_utc, LIMIT)
        # A face of low confidence may keep a person in view, but not bring back one who was already missed for long.
        waiting = [track for track in unmatched if self._clock_s - track.last_s <= LOW_S]
        self._match(waiting, [one for one in low if not self._is_double(one.face)], now_utc, LOW_LIMIT)
        self._reunite(now_utc)
        for one in new:
            if not self._is_double(one.face):
                self.tracks.append(begun(self._hit(one, now_utc), self._size[0]))
        self._split()
        for track in self.tracks:
            is_kept = track.in_frame or track.key in glimpsed or not self._was_looked_at(track, regions)
            if not is_kept and not (is_hidden and is_hidden(_predicted(track, self._clock_s)[0])):
                within = not self._outside(_predicted(track, self._clock_s)[0])
                track.miss(self._clock_s, within, MISSED)

        gone = [track for track in self.tracks if self._is_gone(track)]
        self.tracks = [track for track in self.tracks if track not in gone]
        ended += [track for track in gone if track.confirmed]
        return Update([track for track in self.tracks if track.confirmed and track.in_frame], ended)

    def _reunite(self, now_utc: float) -> None:
        """Let whoever was hidden go on where a face that seemed to be new turns out to be theirs.

        Of somebody who comes out from behind something a part of the face is seen first, which looks like nobody known.
        """
        lost = [one for one in self.tracks if one.confirmed and self._clock_s - one.last_s > LONG_S]
        fresh = [one for one in self.tracks if not one.confirmed and one.in_frame]
        if not lost or not fresh:
            return
        newest = [Seen(one.recent[-1].face, one.recent[-1].colours) for one in fresh]
        for row, column in assigned(costs_of(lost, newest, self._clock_s, self._size), LIMIT):
            self._take(lost[row], newest[column], now_utc)
            self.tracks.remove(fresh[column])

    def end_all(self) -> list[Track]:
        """Forget every track; the confirmed ones, which end with this."""
        ended = [track for track in self.tracks if track.confirmed]
        self.tracks = []
        return ended

    def resume(self, detection_id: int, detection: Detection) -> None:
        """Put back a person stored before a restart, as if missed since. The vote goes on."""
        missed_s = min(1.0, self.lost_s)
        track = resumed(detection_id, detection, self._clock_s - missed_s)
        track.missed_s = missed_s
        self.tracks.append(track)

    def _passed_s(self, now_s: float) -> float:
        return 0.0 if self._last_s is None else max(0.0, now_s - self._last_s)

    def _match(
        self, tracks: Sequence[Track], seen: Sequence[Seen], now_utc: float, limit: float
    ) -> tuple[list[Track], list[Seen]]:
        """Give faces to tracks so that all in all they fit best; what is left of both."""
        if not tracks or not seen:
            return list(tracks), list(seen)
        pairs = assigned(costs_of(tracks, seen, self._clock_s, self._size), limit)
        # Of two bboxes on one face the second brings nobody back.
        steady = [seen[column].face.bbox_px for row, column in pairs if not tracks[row].missed_s]
        pairs = [
            (row, column)
            for row, column in pairs
            if not tracks[row].missed_s or not _is_same_face(seen[column].face.bbox_px, steady)
        ]
        for row, column in pairs:
            self._take(tracks[row], seen[column], now_utc)
        rows, columns = {row for row, _ in pairs}, {column for _, column in pairs}
        return (
            [track for row, track in enumerate(tracks) if row not in rows],
            [one for column, one in enumerate(seen) if column not in columns],
        )

    def _hit(self, one: Seen, now_utc: float) -> Hit:
        cut, evidence = self._is_cut(one.face.bbox_px), self._evidence(one.face)
        return Hit(one.face, one.colours, self._clock_s, now_utc, cut, evidence=evidence)

    def _evidence(self, face: Face, jumped: bool = False, track: Track | None = None) -> float:
        others = [other.bbox_px for other in self.tracks if other is not track and not other.missed_s]
        return evidence_of(face, jumped, is_on_body(face, others))

    def _take(self, track: Track, one: Seen, now_utc: float) -> None:
        ours, theirs = track.colours, one.colours
        odd = ours is not None and theirs is not None and colour_distance(ours, theirs) > OTHER_COLOURS
        cut = self._is_cut(one.face.bbox_px) or track.shows_part(one.face.bbox_px)
        jumped = not cut and track.ahead(self._clock_s).is_far(middle(one.face.bbox_px), size_of(one.face.bbox_px))
        evidence = self._evidence(one.face, jumped, track)
        track.hit(Hit(one.face, theirs, self._clock_s, now_utc, cut, jumped, odd, evidence))

    def _split(self) -> None:
        """End what became another person's; that person's track begins with the first of those faces, or goes on."""
        here = [track for track in self.tracks if track.in_frame]
        changed = [(track, taken_over(list(track.recent))) for track in here]
        # Two who seem to have changed places: it takes the slower of both a few more faces until that is certain.
        patient = sum(track.doubtful for track in here) > 1
        given = [
            track.yielded(index)
            for track, index in changed
            if index is not None and (index < FEWEST_FACES or not patient)
        ]
        while given:
            hits = given.pop()
            owner = next((track for track in self.tracks if self._is_owner(track, hits)), None)
            if owner is None:
                self.tracks.append(begun(hits.pop(0)))
                owner = self.tracks[-1]
            elif owner.in_frame:  # with faces of somebody else: they changed places
                index = odd_from(list(owner.recent))
                given += [] if index is None else [owner.yielded(index)]
            for hit in hits:
                owner.hit(replace(hit, jumped=False, odd=False))

    def _is_owner(self, track: Track, hits: Sequence[Hit]) -> bool:
        """Whether these faces, which another track yielded, are those of a track that has lost its own."""
        own = list(track.recent)
        if track.in_frame:
            own = own[: odd_from(own)]
        if (len(own) == len(track.recent) and track.in_frame) or not own or own[-1].now_s >= hits[0].now_s:
            return False
        (x, y), course = middle(hits[0].face.bbox_px), track.ahead(hits[0].now_s)
        near = math.hypot(x - course.x, y - course.y) <= MAX_REACH * course.size_px
        return near and alike(own, hits)

    def _was_looked_at(self, track: Track, regions: Sequence[Region] | None) -> bool:
        if regions is None:
            return True
        bbox_px, _ = _predicted(track, self._clock_s)
        left, top, right, bottom = bbox_px
        # Who is outside is seen to be missing wherever the detector looks.
        return self._outside(bbox_px) or any(region.holds((left + right) / 2, (top + bottom) / 2) for region in regions)

    def _is_gone(self, track: Track) -> bool:
        limit_s = self._patience_s(track)
        return track.missed_s > limit_s or self._clock_s - track.last_s > limit_s + UNSEEN_LIMIT_S

    def _patience_s(self, track: Track) -> float:
        """For how long the track is waited for when it should be in view and is not."""
        if not track.confirmed:
            return FLICKER_S
        if track.still:
            return max(self.lost_s, STILL_LOST_S)
        if not track.in_frame and self._has_left(track):
            return min(self.lost_s, EXIT_S)
        return self.lost_s

    def _has_left(self, track: Track) -> bool:
        return track.has_left(self._clock_s, self._size)

    def _outside(self, bbox_px: Bbox) -> bool:
        """Whether nothing of it is in the frame."""
        left, top, right, bottom = bbox_px
        return right <= 0 or bottom <= 0 or left >= self._size[0] or top >= self._size[1]

    def _is_cut(self, bbox_px: Bbox) -> bool:
        """Whether the edge of the frame cuts the face."""
        left, top, right, bottom = bbox_px
        return min(left, top, self._size[0] - right, self._size[1] - bottom) <= EDGE_PX

    def _is_double(self, face: Face) -> bool:
        """Whether the face lies over one that a track already has in this frame."""
        return _is_same_face(face.bbox_px, [track.bbox_px for track in self.tracks if track.in_frame])

    def _without_parts(self, seen: Sequence[Seen], regions: Sequence[Region] | None) -> tuple[list[Seen], set[str]]:
        """The faces without those that are a part of a face that is expected, and the keys of whom they belong to.

        At a seam the detector sees half a face, and draws its bbox elsewhere and smaller than the face is.
        """
        if regions is None:
            return list(seen), set()
        expected = [
            (track.key, _grown(*_predicted(track, self._clock_s)))
            for track in self.tracks
            if self._clock_s - track.last_s <= GLIMPSE_S
        ]
        whole, glimpsed = [], set()
        for one in seen:
            bbox_px = one.face.bbox_px
            if is_whole(bbox_px, regions, self._size):
                whole.append(one)
                continue
            owners = {key for key, around in expected if area_of(common(bbox_px, around)) > PART * area_of(bbox_px)}
            glimpsed |= owners
            if not owners:
                whole.append(one)
        return whole, glimpsed


def _predicted(track: Track, now_s: float) -> tuple[Bbox, float]:
    """The bbox at that time, and how far it may well be from there, px."""
    if track.still:
        return track.bbox_px, 0.5 * size_of(track.bbox_px)
    course = track.ahead(now_s)
    left, top, right, bottom = track.bbox_px
    scale = course.size_px / size_of(track.bbox_px)
    half_width, half_height = (right - left) / 2 * scale, (bottom - top) / 2 * scale
    bbox_px = (course.x - half_width, course.y - half_height, course.x + half_width, course.y + half_height)
    return bbox_px, 2 * course.spread_px


def _grown(bbox_px: Bbox, spread_px: float) -> Bbox:
    """With what lies around it."""
    left, top, right, bottom = bbox_px
    margin = AROUND * size_of(bbox_px) + spread_px
    return left - margin, top - margin, right + margin, bottom + margin


def _is_same_face(bbox_px: Bbox, others: Sequence[Bbox]) -> bool:
    """Whether any of the others is on the same face."""
    area = area_of(bbox_px)
    for other in others:
        both, other_area = area_of(common(bbox_px, other)), area_of(other)
        if both > SAME_FACE_IOU * (area + other_area - both) or both > SAME_FACE * min(area, other_area):
            return True
    return False
