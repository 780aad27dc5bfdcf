"""Who counts: zones and lines over the real tracker, faces as a detector would report them."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from appliance.faces import Bbox, Face, State
from appliance.vision.colours import Colours
from appliance.vision.counting import Counting, Crossing, place_of
from appliance.vision.still import HOUR_S, StillPlaces
from appliance.vision.tracking.tracker import Seen, Tracker
from appliance.zones import Direction, Zone, ZoneKind, checked, is_excluded
from tests.walks import UTC

SIZE = (1280, 960)
FACE_PX = 80.0
DOOR = Zone(ZoneKind.LINE, "door", ((0.5, 0.1), (0.5, 0.9)))  # whoever walks to the left comes in
LEFT_HALF = Zone(ZoneKind.COUNT, "hall", ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))
TELEVISION = Zone(ZoneKind.NEVER, "television", ((0.4, 0.3), (0.6, 0.3), (0.6, 0.7), (0.4, 0.7)))
Where = tuple[float, float] | None


class Room:
    """A camera's picture with people, a tracker and what counts of it. Places are the middles of faces, px."""

    def __init__(self, *zones: Zone, size: tuple[int, int] = SIZE, face_px: float = FACE_PX) -> None:
        self.tracker = Tracker(0.5, 2.5)
        self.counting = Counting()
        self.counting.zones = checked(zones)
        self.size, self.face_px = size, face_px
        self.now_s = 0.0
        self.counted: dict[str, float] = {}
        self.crossings: list[Crossing] = []

    def see(self, *places: Where, after_s: float = 0.1, colours: Colours | None = None) -> None:
        self.now_s += after_s
        half = self.face_px / 2
        bboxes = [(x - half, y - half, x + half, y + half) for x, y in filter(None, places)]
        zones = self.counting.zones

        def is_nobodys(bbox: Bbox) -> bool:
            return is_excluded(zones, place_of(bbox, self.size))

        faces = [Face(bbox, 0.9, (0.9, 0.05, 0.05), State.MASK) for bbox in bboxes if not is_nobodys(bbox)]
        seen = [Seen(face, colours) for face in faces]
        update = self.tracker.update(seen, self.now_s, UTC + self.now_s, None, self.size, is_nobodys)
        self.crossings += self.counting.take(update, self.size, self.now_s)
        for track in update.seen:
            since_utc = self.counting.since_utc(track)
            if since_utc is not None:
                self.counted.setdefault(track.key, since_utc - UTC)

    def walk(self, *corners: tuple[float, float], px_per_s: float = 320, sway: float = 0.0, seed: int = 1) -> None:
        """Somebody goes from corner to corner, and their face sways by so many face sizes."""
        rng = random.Random(seed)
        for (ax, ay), (bx, by) in pairwise(corners):
            steps = max(1, round(((bx - ax) ** 2 + (by - ay) ** 2) ** 0.5 / px_per_s * 10))
            for step in range(steps):
                x, y = ax + (bx - ax) * step / steps, ay + (by - ay) * step / steps
                off = (rng.uniform(-sway, sway) * self.face_px, rng.uniform(-sway, sway) * self.face_px)
                self.see((x + off[0], y + off[1]))
            for _ in range(5):  # nobody turns within a tenth of a second
                self.see((bx, by))

    def stay(self, *places: Where, seconds: float, every_s: float = 1.0, colours: Colours | None = None) -> None:
        for _ in range(round(seconds / every_s)):
            self.see(*places, after_s=every_s, colours=colours)

    @property
    def directions(self) -> list[Direction]:
        return [crossing.direction for crossing in self.crossings]


# Lines


def test_who_walks_through_a_line_is_counted_once_by_direction() -> None:
    room = Room(DOOR)
    room.walk((1000, 480), (280, 480))
    room.stay(None, seconds=5)
    room.walk((280, 480), (1000, 480), sway=0.06)
    assert room.directions == [Direction.IN, Direction.OUT]
    assert [crossing.line for crossing in room.crossings] == ["door", "door"]
    assert room.crossings[0].utc - UTC == pytest.approx(1.2, abs=0.3)


def test_who_stands_on_a_line_and_sways_does_not_cross_it() -> None:
    room = Room(DOOR)
    room.walk((1000, 480), (640, 480))
    for at in range(200):
        room.see((640 + (25 if at % 4 < 2 else -25), 480))
    room.walk((640, 480), (1000, 480))
    assert room.directions == []


def test_who_comes_up_to_a_line_and_turns_or_passes_beside_it_does_not_cross_it() -> None:
    room = Room(DOOR)
    room.walk((1000, 480), (700, 480), (1000, 480))
    room.walk((1000, 480), (1000, 920), (280, 920), (280, 480))
    assert room.directions == []


def test_who_was_first_seen_near_a_line_crosses_it_all_the_same() -> None:
    """Nobody is sure yet that it is a person, when the line is crossed."""
    room = Room(DOOR)
    for x in (690, 600, 540, 480, 420):
        room.see((x, 480))
    assert room.directions == [Direction.IN]


@given(
    st.lists(st.tuples(st.sampled_from([-1, 1]), st.floats(0.15, 0.85)), min_size=1, max_size=6),
    st.integers(0, 1000),
    st.sampled_from([(1280, 960), (640, 480), (1920, 1080)]),
)
@settings(derandomize=True, max_examples=20, deadline=None, phases=[Phase.generate])
def test_however_often_somebody_changes_sides_they_cross_as_often(
    stops: list[tuple[int, float]], seed: int, size: tuple[int, int]
) -> None:
    """In any resolution: points are fractions, so 1080p after 480p changes nothing."""
    room = Room(DOOR, size=size, face_px=size[0] / 16)
    corners = [(size[0] * (0.5 + 0.2 * side), size[1] * height) for side, height in stops]
    room.walk(corners[0], *corners, corners[-1], px_per_s=size[0] / 4, sway=0.05, seed=seed)
    room.stay(corners[-1], seconds=1, every_s=0.1)
    changes = [
        Direction.OUT if after > before else Direction.IN
        for (before, _), (after, _) in pairwise(stops)
        if before != after
    ]
    assert room.directions == changes
    assert len(room.counted) == 1


# Zones


def test_somebody_counts_once_seen_in_a_counting_zone_and_from_then_on() -> None:
    room = Room(LEFT_HALF)
    room.walk((1200, 200), (700, 200), (1200, 200))
    room.stay(None, seconds=5)
    assert room.counted == {}
    began_s = room.now_s
    room.walk((1200, 480), (280, 480), (1200, 480))
    assert list(room.counted.values()) == [pytest.approx(began_s + 1.8, abs=0.2)], "when half of the way was gone"


def test_a_face_where_people_never_count_is_nobody_and_who_passes_there_stays_one_person() -> None:
    room = Room(TELEVISION)
    room.stay((600, 480), seconds=60, every_s=0.1)
    assert room.counted == {} and room.tracker.tracks == []
    room.walk((1200, 480), (100, 480), px_per_s=100)  # 2.6 s of it before the television
    assert len(room.counted) == 1


def test_zones_that_change_hold_at_once() -> None:
    room = Room(LEFT_HALF)
    room.stay((900, 480), seconds=5)
    assert room.counted == {}
    room.counting.zones = ()
    room.see((900, 480))
    assert len(room.counted) == 1
    room.counting.zones = (Zone(ZoneKind.NEVER, "poster", ((0.6, 0.4), (0.8, 0.4), (0.8, 0.6), (0.6, 0.6))),)
    room.stay((900, 480), seconds=20)
    room.counting.zones = ()
    assert room.tracker.tracks == []


# What stands still


def restarted(room: Room) -> Room:
    """Another that knows what the first has told; nobody is in view any more."""
    again = Room(*room.counting.zones, size=room.size, face_px=room.face_px)
    again.counting.still.know(room.counting.still.told)
    return again


POSTER = (900.0, 300.0)


def after_an_hour() -> Room:
    """A poster that was there for an hour, and counted once."""
    room = Room()
    room.stay(POSTER, seconds=10)
    room.stay(POSTER, seconds=HOUR_S + 30, every_s=5)
    assert len(room.counted) == 1
    return room


@pytest.mark.parametrize("away_s", [60, 14 * 3600])
def test_what_stood_still_for_an_hour_is_nobody_new_when_it_is_seen_again(away_s: float) -> None:
    """Somebody stood before it, or the light was off over night."""
    room = after_an_hour()
    room.stay(None, seconds=away_s, every_s=5)
    room.stay((POSTER[0] + 6, POSTER[1] - 5), seconds=60)
    assert len(room.counted) == 1


def test_it_is_known_after_a_restart() -> None:
    room = restarted(after_an_hour())
    room.stay(POSTER, seconds=60)
    assert room.counted == {}
    room = restarted(restarted(room))
    room.stay(POSTER, seconds=60)
    assert room.counted == {}


def test_before_the_hour_is_over_it_is_counted_again_and_a_restart_costs_ten_minutes_at_most() -> None:
    room = Room()
    room.stay(POSTER, seconds=50 * 60)
    room = restarted(room)
    room.stay(POSTER, seconds=25 * 60)
    assert len(room.counted) == 1
    room = restarted(room)
    room.stay(POSTER, seconds=60)
    assert room.counted == {}


def test_who_passes_before_it_or_stops_there_is_counted() -> None:
    room = after_an_hour()
    room.stay(None, seconds=60)
    room.walk((200, 300), POSTER)
    room.stay(POSTER, seconds=30)
    assert len(room.counted) == 2, "who walked there"
    room.walk(POSTER, (200, 300))
    room.stay(None, seconds=10)
    room.stay(POSTER, seconds=30)
    assert len(room.counted) == 2, "and the poster itself afterwards"


def test_who_is_first_seen_exactly_there_counts_once_they_walk_off() -> None:
    room = after_an_hour()
    room.stay(None, seconds=60)
    room.stay(POSTER, seconds=5, every_s=0.1)
    assert len(room.counted) == 1
    began_s = room.now_s
    room.walk(POSTER, (500, 300))
    assert list(room.counted.values())[1:] == [pytest.approx(began_s + 0.3, abs=0.3)]


def test_people_who_wait_at_one_counter_are_all_counted() -> None:
    """Each comes from the side, stands at the mark for two minutes and leaves; ten minutes are never without one."""
    room = Room()
    for _ in range(35):
        room.walk((100, 300), POSTER)
        room.stay(POSTER, seconds=120, every_s=2)
        room.walk(POSTER, (1240, 300))
        room.stay(None, seconds=5)
    assert len(room.counted) == 35
    room.stay(None, seconds=700)
    assert not any(place.still_s >= HOUR_S for place in room.counting.still.told)


def worn(main: int) -> Colours:
    """Clothes mostly of one colour of 32."""
    return np.where(np.arange(32) == main, 0.8, 0.2 / 31).astype(np.float32)


def test_one_after_another_who_looks_up_at_the_same_place_is_counted_and_a_screen_that_shows_one_face_is_not() -> None:
    kiosk, screen = Room(), Room()
    for number in range(75):
        for room, colour in ((kiosk, number % 7), (screen, 3)):
            room.stay(POSTER, seconds=10, colours=worn(colour))
            room.stay(None, seconds=40)
    assert len(kiosk.counted) == 75
    before = len(screen.counted)
    screen.stay(POSTER, seconds=20, colours=worn(3))
    assert len(screen.counted) == before == pytest.approx(72, abs=2), "for an hour nobody knows"


def test_after_a_week_without_it_the_place_is_as_any_other() -> None:
    still = StillPlaces()
    bbox = (0.5, 0.5, 0.6, 0.6)
    for second in range(0, round(HOUR_S) + 10, 5):
        still.step(float(second))
        still.seen("poster", bbox, bbox, SIZE, float(second), True, None)
    assert still.thing_at(bbox, SIZE)
    began_s = HOUR_S + 20
    for at in range(0, 8 * 86400, 10):
        still.step(began_s + at)
        if at == 6 * 86400:
            assert still.thing_at(bbox, SIZE)
    assert still.thing_at(bbox, SIZE) is None and still.told == ()
