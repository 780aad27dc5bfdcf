"""What does not move: a face that stays at one place for an hour is a thing, a poster or a mannequin.

Who sits still moves the head by more than `REACH` within minutes, but comes back to where it was; so may whoever waits
for an hour become a thing. That costs nothing: they were counted before, and of those who come later nobody is missed
but who is first seen exactly there, as large, and never anywhere else. Everybody who walks in is first seen elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.faces import Bbox, StillPlace
from appliance.vision.colours import Colours, colour_distance
from appliance.vision.tracking.course import middle, size_of

HOUR_S = 3600.0
GONE_S = 600.0  # missed for longer, nobody says that it was there all the time
FORGET_S = 7 * 86400.0  # of the time that was judged: a poster in a shop that is dark from Friday to Monday is the same
REACH, RATIO = 0.3, 1.25  # in face sizes: the bbox of a face that does not move is off by a twentieth
BEGIN_REACH, BEGIN_RATIO = 0.5, 1.4  # of a thing, first seen while something hides a part of it
LEFT_REACH, LEFT_RATIO = 1.0, 1.6  # whoever is so far from there, or of another size, is no thing
SAME_COLOURS = 0.3  # of the next one at the place; people at a counter stand there one after the other
MOST = 50  # places of a stream
TOLD_PAUSE_S = 600.0  # to keep what is on its way to be a thing: a restart costs so much of the hour
STEP_S = 10.0


@dataclass(slots=True)
class _Place:
    """One place, while the stream is watched. last_s: when a face was there. key: of the track that was there last."""

    bbox: Bbox
    still_s: float
    unseen_s: float
    last_s: float
    key: str = ""
    colours: Colours | None = None

    @property
    def is_thing(self) -> bool:
        return self.still_s >= HOUR_S

    def fits(self, bbox: Bbox, size: tuple[int, int], reach: float, ratio: float) -> bool:
        """Whether a face with that bbox (fractions) is here, in face sizes, and as large."""
        (x, y), own_px = middle(_in_px(self.bbox, size)), size_of(_in_px(self.bbox, size))
        (other_x, other_y), other_px = middle(_in_px(bbox, size)), size_of(_in_px(bbox, size))
        near = math.hypot(other_x - x, other_y - y) <= reach * own_px
        return near and 1 / ratio <= other_px / own_px <= ratio


class StillPlaces:
    """Those of one stream. One thread feeds it, any may read `told`. Times are of a clock that never goes back."""

    def __init__(self) -> None:
        self.told: tuple[StillPlace, ...] = ()
        self._places: list[_Place] = []
        self._known: tuple[StillPlace, ...] = ()
        self._stepped_s: float | None = None
        self._tell_due_s = 0.0

    def know(self, places: Sequence[StillPlace]) -> None:
        """These were known before a restart. Before anything is seen."""
        self.told = self._known = tuple(places)

    def thing_at(self, bbox: Bbox, size: tuple[int, int]) -> StillPlace | None:
        """The thing that whoever is first seen with this bbox (fractions of a picture of that size) most likely is."""
        for place in self._places:
            if place.is_thing and place.fits(bbox, size, BEGIN_REACH, BEGIN_RATIO):
                return StillPlace(place.bbox, place.still_s)
        return None

    def seen(
        self,
        key: str,
        bbox: Bbox,
        first_bbox: Bbox,
        size: tuple[int, int],
        now_s: float,
        is_still: bool,
        colours: Colours | None,
    ) -> None:
        """The track with this key has a face there now. first_bbox: where it had its first. Both are fractions."""
        place = next((each for each in self._places if each.fits(bbox, size, REACH, RATIO)), None)
        if place is None:
            if is_still and len(self._places) < MOST:
                self._places.append(_Place(bbox, 0.0, 0.0, now_s, key, colours))
            return
        missed_s = now_s - place.last_s
        goes_on = place.is_thing or missed_s <= GONE_S
        if goes_on and (place.key == key or self._is_next(place, first_bbox, size, colours)):
            place.still_s = min(HOUR_S, place.still_s + missed_s)
        elif place.is_thing or not is_still:
            return  # somebody who passes, or stops where a thing is
        else:
            place.still_s, place.colours = 0.0, colours
        place.key, place.last_s, place.unseen_s = key, now_s, 0.0

    def _is_next(self, place: _Place, first_bbox: Bbox, size: tuple[int, int], colours: Colours | None) -> bool:
        """Whether a track that came after another at this place is of the same that is there: the same to look at."""
        if not place.fits(first_bbox, size, BEGIN_REACH, BEGIN_RATIO):
            return False
        if place.is_thing or not place.key:  # what was known before a restart has no colours yet
            place.colours = colours
            return True
        both = place.colours is not None and colours is not None
        return both and colour_distance(place.colours, colours) <= SAME_COLOURS  # type: ignore[arg-type]

    def step(self, now_s: float) -> None:
        """After each look: forget what is gone, and tell what is to be kept over a restart."""
        if self._stepped_s is None:
            self._places = [_Place(each.bbox, each.still_s, each.unseen_s, now_s) for each in self._known]
            self._stepped_s, self._tell_due_s = now_s, now_s + TOLD_PAUSE_S
        passed_s = now_s - self._stepped_s
        if passed_s < STEP_S:
            return
        self._stepped_s = now_s
        for place in self._places:
            if now_s - place.last_s >= STEP_S:
                place.unseen_s += min(passed_s, 2 * STEP_S)  # no more where nothing came for long
        self._places = [each for each in self._places if not _is_gone(each, now_s)]
        self._tell(now_s)

    def _tell(self, now_s: float) -> None:
        places = tuple(StillPlace(each.bbox, each.still_s, each.unseen_s) for each in self._places)
        if now_s >= self._tell_due_s or _things(places) != _things(self.told):
            self._tell_due_s = now_s + TOLD_PAUSE_S
            self.told = places


def _things(places: Sequence[StillPlace]) -> set[Bbox]:
    return {place.bbox for place in places if place.still_s >= HOUR_S}


def _is_gone(place: _Place, now_s: float) -> bool:
    return place.unseen_s >= FORGET_S if place.is_thing else now_s - place.last_s > GONE_S


def has_left(place: StillPlace, bbox: Bbox, size: tuple[int, int]) -> bool:
    """Whether a track that was taken for the thing there has a face elsewhere, or of another size."""
    return not _Place(place.bbox, 0.0, 0.0, 0.0).fits(bbox, size, LEFT_REACH, LEFT_RATIO)


def _in_px(bbox: Bbox, size: tuple[int, int]) -> Bbox:
    left, top, right, bottom = bbox
    return left * size[0], top * size[1], right * size[0], bottom * size[1]
