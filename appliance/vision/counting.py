"""Who of those in view counts, and who crossed a line: zones and things that stand still, applied to tracks.

Tracks are followed everywhere; this only says of which there is to be a record, and from when on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from appliance.faces import Bbox, StillPlace
from appliance.vision.still import StillPlaces, has_left
from appliance.vision.tracking.course import middle, size_of
from appliance.vision.tracking.track import Hit, Track
from appliance.vision.tracking.tracker import Update
from appliance.zones import Direction, Point, Zone, is_counted, lines

MARGIN = 0.4  # face sizes from a line: who stands there sways by less


@dataclass(frozen=True, slots=True)
class Crossing:
    """Somebody crossed a line. utc: seconds since 1970, of the frame that showed it."""

    line: str
    direction: Direction
    utc: float


@dataclass(slots=True)
class _Way:
    """What is known of a track.

    first_bbox: its first face, fractions of the picture. thing: what it is taken for. since_utc: it counts from then
    on; None: not yet. taken_s: of its newest face that was taken in.
    beside: where it last was clearly on one side of each line, and on which.
    """

    first_bbox: Bbox
    thing: StillPlace | None
    since_utc: float | None = None
    taken_s: float = -math.inf
    beside: dict[tuple[Point, ...], tuple[Point, int]] = field(default_factory=dict)


class Counting:
    """Of one stream. Not for several threads; `zones` may be set by another."""

    def __init__(self) -> None:
        self.zones: tuple[Zone, ...] = ()
        self.still = StillPlaces()
        self._ways: dict[str, _Way] = {}

    def since_utc(self, track: Track) -> float | None:
        """Since when a track counts; None: it does not yet."""
        way = self._ways.get(track.key)
        return way.since_utc if way else None

    def leaves_out(self, track: Track) -> bool:
        """Whether a track that was taken in does not count."""
        return track.key in self._ways and self._ways[track.key].since_utc is None

    def take(self, update: Update, size: tuple[int, int], now_s: float) -> list[Crossing]:
        """Take in what a look at a picture of that size (width, height) changed; the lines crossed since the last."""
        zones, crossings = self.zones, list[Crossing]()
        self.still.step(now_s)
        for track in update.seen:
            way = self._ways.get(track.key) or self._begin(track, size)
            for hit in track.recent:
                if hit.now_s > way.taken_s:
                    crossings += self._goes_on(way, track, hit, zones, size)
            bbox = in_fractions(track.bbox_px, size)
            self.still.seen(track.key, bbox, way.first_bbox, size, now_s, track.still, track.colours)
        for track in update.ended:
            self._ways.pop(track.key, None)
        return crossings

    def _begin(self, track: Track, size: tuple[int, int]) -> _Way:
        first_bbox = in_fractions(track.recent[0].face.bbox_px, size)
        way = self._ways[track.key] = _Way(first_bbox, None)
        if track.detection is not None:  # stored before a restart
            way.since_utc = track.first_seen_utc
        else:
            way.thing = self.still.thing_at(first_bbox, size)
        return way

    def _goes_on(
        self, way: _Way, track: Track, hit: Hit, zones: Sequence[Zone], size: tuple[int, int]
    ) -> list[Crossing]:
        """With its next face."""
        bbox_px, is_doubtful = hit.face.bbox_px, hit.odd or hit.jumped  # it may be another person's
        is_first, way.taken_s = way.taken_s == -math.inf, hit.now_s
        if way.thing is not None:
            if is_doubtful or not has_left(way.thing, in_fractions(bbox_px, size), size):
                return []
            way.thing = None
        if way.since_utc is None and is_counted(zones, place_of(bbox_px, size)):
            way.since_utc = track.first_seen_utc if is_first else hit.now_utc
        return [] if is_doubtful else _crossed(way, hit, zones, size)


def _crossed(way: _Way, hit: Hit, zones: Sequence[Zone], size: tuple[int, int]) -> list[Crossing]:
    """The lines that lie between where a track was clearly beside them, and where it is now."""
    crossings, before, way.beside = [], way.beside, {}
    for line in lines(zones):
        was = before.get(line.points)
        now = _beside(line, hit.face.bbox_px, size) or was
        if now is None:
            continue
        way.beside[line.points] = now
        direction = line.crossed(was[0], now[0]) if was and was[1] != now[1] else None
        if direction is not None:
            crossings.append(Crossing(line.name, direction, hit.now_utc))
    return crossings


def place_of(bbox_px: Bbox, size: tuple[int, int]) -> Point:
    """Where in a picture of that size (width, height) zones look for a face."""
    x, y = middle(bbox_px)
    return x / size[0], y / size[1]


def in_fractions(bbox_px: Bbox, size: tuple[int, int]) -> Bbox:
    """A bbox in fractions of a picture's width and height."""
    left, top, right, bottom = bbox_px
    return left / size[0], top / size[1], right / size[0], bottom / size[1]


def _beside(line: Zone, bbox_px: Bbox, size: tuple[int, int]) -> tuple[Point, int] | None:
    """Where a face is, in fractions, and on which side of a line that goes on beyond its ends: 1 right, -1 left.

    None: too near to it to say.
    """
    (ax, ay), (bx, by) = ((x * size[0], y * size[1]) for x, y in line.points)
    x, y = middle(bbox_px)
    off_px = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / math.hypot(bx - ax, by - ay)
    if abs(off_px) < MARGIN * size_of(bbox_px):
        return None
    return place_of(bbox_px, size), 1 if off_px > 0 else -1
