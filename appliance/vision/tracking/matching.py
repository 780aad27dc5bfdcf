"""What it costs to take a face for that of a track: place, direction, size, state and the colours below the face."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from appliance.faces import CLASSES, Face, State
from appliance.vision.colours import colour_distance
from appliance.vision.tracking.course import Course, middle, size_of
from appliance.vision.tracking.track import MIN_VOTES, STILL_RATIO, STILL_REACH, Float64Array, Seen, Track

LIMIT = 20.0  # a pair that costs so much is none
LOW_LIMIT = 8.0  # the same of a face of low confidence
FLICKER = 6.0  # for a track that is nobody yet and was missed: half a face of somebody known would suit it too well
SAME_PLACE = 0.3  # in face sizes: nearer than about this is no evidence against a pair
SAME_SIZE = 0.15  # the same of the logarithm of the size
REACH = 1.0  # how far, in face sizes, from the predicted place a face may be
REACH_PER_S = 7.0  # and how much further for each second since it was last seen: more than a walk
FIRST_REACH_PER_S = 16.0  # the same where one face says nothing of the speed yet: with REACH a run, looked at each .1 s
MAX_REACH = 6.0
SUDDEN = 8.0  # squares of standard deviations beyond which distance says less and less
LONG_S = 0.7  # who was out of view for longer must look the same when back
RETURN_S = 2.5  # and who was still before is taken up again only at the same place
MAX_RATIO, MAX_RATIO_LONG = 1.9, 1.6
COLOUR_WEIGHT, STILL_WEIGHT, SAME_COLOURS, OTHER_COLOURS = 14.0, 5.0, 0.2, 0.4
NO_COLOURS = 0.24  # as far from those of the track are the colours of a face that shows none
STATE_WEIGHT = 4.0
SURE = 0.8  # of a state
STOP_S = 0.5  # who was out of view for longer may have stopped on the way, ...
STOP_REACH, STOP_SPREAD = 1.5, 0.15  # ... and is so far beside it at most, in face sizes; and a second
STOP_COST = 2.0
START_COST = 3.0  # who stood still walked off
OPPOSED_SPEED = 2.0  # face sizes a second: who walks does not come back from behind ...
OPPOSED_COSINE = -0.3  # ... where this is the cosine of the angle between both ways, or less


def sure_state(face: Face) -> int:
    """The index of the face's state in CLASSES where it is certain, else -1."""
    if face.state is State.UNKNOWN or max(face.class_probabilities) < SURE:
        return -1
    return CLASSES.index(face.state)


def costs_of(tracks: Sequence[Track], seen: Sequence[Seen], now_s: float, size: tuple[float, float]) -> Float64Array:
    """Of each track (rows) and face (columns); LIMIT or more: the face cannot be this person's.

    The square of the distance from the predicted place in standard deviations (Mahalanobis), the same of the size, and
    what speaks against the pair otherwise. Wherever the prediction is vague, a pair costs more, so that of two tracks
    the one that knows better has the face. size: width and height of the frame in px.
    """
    costs = np.full((len(tracks), len(seen)), np.inf)
    shown = [_Shown(one) for one in seen]
    for row, track in enumerate(tracks):
        expected = _Expectation(track, now_s, size)
        flicker = FLICKER if track.missed_s and not track.confirmed else 0.0
        for column, one in enumerate(shown):
            costs[row, column] = expected.cost(one) + flicker
    return costs


class _Shown:
    """What matters of a face."""

    def __init__(self, seen: Seen) -> None:
        self.x, self.y = middle(seen.face.bbox_px)
        self.size_px = size_of(seen.face.bbox_px)
        self.colours = seen.colours
        self.state = sure_state(seen.face)


class _Expectation:
    """What a face of a track should be like at a time."""

    def __init__(self, track: Track, now_s: float, size: tuple[float, float]) -> None:
        self.track = track
        unseen_s = max(0.0, now_s - track.last_s)
        self.long = unseen_s > LONG_S
        returns = unseen_s > RETURN_S and track.still  # a poster comes back where it hung
        at = track.course
        self.course = Course(at.x, at.y, at.size_px) if returns else track.ahead(now_s)
        self.last_x, self.last_y, self.unseen_s = at.x, at.y, unseen_s
        # Who is on the way out does not turn on their heels; whoever is seen there has just come in.
        self.leaving = track.has_left(now_s, size)
        reach_per_s = REACH_PER_S if track.hits > 1 else FIRST_REACH_PER_S
        reach = min(REACH + (0 if self.leaving else reach_per_s * unseen_s), MAX_REACH)
        self.reach_px = (STILL_REACH if returns else reach) * self.course.size_px
        self.max_ratio = STILL_RATIO if returns else MAX_RATIO_LONG if self.long else MAX_RATIO
        # How far off, in face sizes, and what that costs. Who stood still most likely does so, but may have walked off.
        spread = math.hypot(self.course.spread_px / self.course.size_px, SAME_PLACE)
        walks = [] if returns else [(spread, START_COST)]
        self.spreads = [(SAME_PLACE, 0.0), *walks] if track.still else [(spread, 0.0)]
        self.size_spread = math.hypot(self.course.log_size_spread, SAME_SIZE)
        sure = track.votes >= MIN_VOTES and track.confidence >= SURE
        self.state = int(track.weights.argmax()) if sure else -1

    def cost(self, one: _Shown) -> float:
        ratio = one.size_px / self.course.size_px
        place = self._place(one, ratio)
        if place >= LIMIT:
            return math.inf
        if not 1 / self.max_ratio <= ratio <= self.max_ratio or (self.long and self._opposed(one)):
            return math.inf
        ours, theirs = self.track.colours, one.colours
        colours = SAME_COLOURS if ours is None else NO_COLOURS if theirs is None else colour_distance(ours, theirs)
        # Below a face that stays where it was are at times the clothes of who passes before it.
        stays = self.track.still and self._is_at_place(one)
        if self.long and colours > OTHER_COLOURS and not stays:
            return math.inf
        unlike = (colours - SAME_COLOURS) / (OTHER_COLOURS - SAME_COLOURS)
        states_differ = self.state >= 0 and one.state >= 0 and self.state != one.state
        return (
            place
            + (math.log(ratio) / self.size_spread) ** 2
            + (STILL_WEIGHT if stays else COLOUR_WEIGHT) * min(max(unlike, 0.0), 1.0)
            + STATE_WEIGHT * states_differ
        )

    def _place(self, one: _Shown, ratio: float) -> float:
        """What the place costs: of somebody who went on, or of one who stopped on the way, whichever fits better."""
        size_px = self.course.size_px
        distance_px, costs = math.hypot(one.x - self.course.x, one.y - self.course.y), [LIMIT]
        if distance_px <= self.reach_px:
            for spread, more in self.spreads:
                squares = (distance_px / (size_px * math.sqrt(ratio)) / spread) ** 2
                if not self.leaving:  # who starts to run, stops or turns is off by more than chance allows
                    squares = SUDDEN * math.log1p(squares / SUDDEN)
                costs.append(squares + more + 2 * math.log(spread / SAME_PLACE))
        way = math.hypot(self.course.x - self.last_x, self.course.y - self.last_y) / size_px
        if self.unseen_s > STOP_S and way > 1 and not self.leaving:
            beside = self._beside_px(one) / size_px
            spread = SAME_PLACE + STOP_SPREAD * self.unseen_s
            if beside <= STOP_REACH:
                # Anywhere on the way is as likely, so the longer it is, the less each place.
                costs.append((beside / spread) ** 2 + STOP_COST + 2 * math.log(1 + way))
        return min(costs)

    def _beside_px(self, one: _Shown) -> float:
        """How far the face is from the way between the last and the predicted place."""
        way_x, way_y = self.course.x - self.last_x, self.course.y - self.last_y
        off_x, off_y = one.x - self.last_x, one.y - self.last_y
        share = min(max((off_x * way_x + off_y * way_y) / (way_x**2 + way_y**2), 0.0), 1.0)
        return math.hypot(off_x - share * way_x, off_y - share * way_y)

    def _is_at_place(self, one: _Shown) -> bool:
        """Whether the face is where the track stood, and as large."""
        off_px = math.hypot(one.x - self.last_x, one.y - self.last_y)
        ratio = one.size_px / self.course.size_px
        return off_px <= STILL_REACH * self.course.size_px and 1 / STILL_RATIO <= ratio <= STILL_RATIO

    def _opposed(self, one: _Shown) -> bool:
        """Whether the track walked the other way than the face is from its last place."""
        course = self.track.course
        if course.speed < OPPOSED_SPEED:
            return False
        x, y = middle(self.track.bbox_px)
        way_x, way_y = one.x - x, one.y - y
        length = math.hypot(way_x, way_y)
        along = way_x * course.vx + way_y * course.vy
        return length > course.size_px and along < OPPOSED_COSINE * length * math.hypot(course.vx, course.vy)
