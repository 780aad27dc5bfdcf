"""Zones: what lies in one, who crosses a line, and which are refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from appliance.errors import InputError
from appliance.zones import Direction, Point, Zone, ZoneKind, checked, decoded, encoded, is_counted, is_excluded

fractions = st.floats(0, 1, allow_nan=False).map(lambda value: round(value, 5))
points = st.tuples(fractions, fractions)
LEFT_HALF = Zone(ZoneKind.COUNT, "left", ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))
POSTER = Zone(ZoneKind.NEVER, "poster", ((0.1, 0.1), (0.2, 0.1), (0.2, 0.2), (0.1, 0.2)))
DOOR = Zone(ZoneKind.LINE, "door", ((0.5, 0.2), (0.5, 0.8)))


def star(middle: Point, radii: list[float]) -> Zone:
    """A polygon around `middle`, with a corner at each of these distances, at equal angles."""
    corners = tuple(
        (middle[0] + radius * math.cos(angle), middle[1] + radius * math.sin(angle))
        for radius, angle in zip(radii, (2 * math.pi * at / len(radii) for at in range(len(radii))), strict=True)
    )
    return Zone(ZoneKind.COUNT, "star", corners)


@given(st.lists(st.floats(0.05, 0.4), min_size=3, max_size=40), points)
@settings(derandomize=True, max_examples=300, deadline=None)
def test_what_lies_in_a_star_is_nearer_to_its_middle_than_the_border_that_way(radii: list[float], point: Point) -> None:
    zone = checked([star((0.5, 0.5), radii)])[0]
    x, y = point[0] - 0.5, point[1] - 0.5
    step = 2 * math.pi / len(radii)
    at = int(math.atan2(y, x) % (2 * math.pi) // step) % len(radii)
    (ax, ay), (bx, by) = [(c[0] - 0.5, c[1] - 0.5) for c in (zone.points[at], zone.points[(at + 1) % len(radii)])]
    beyond = (bx - ax) * (y - ay) - (by - ay) * (x - ax)  # which side of the border that is met that way
    assume(abs(beyond) > 1e-4 and abs(math.atan2(y, x) % step - step / 2) < step / 2 - 1e-3)
    assert zone.holds(point) == (beyond > 0)


@given(points, points, points, points)
@settings(derandomize=True, max_examples=300, deadline=None)
def test_who_goes_back_the_same_way_crosses_the_other_way(a: Point, b: Point, start: Point, end: Point) -> None:
    assume(math.dist(a, b) > 0.02)
    line = Zone(ZoneKind.LINE, "door", (a, b))
    opposite = {Direction.IN: Direction.OUT, Direction.OUT: Direction.IN, None: None}
    assert line.crossed(end, start) == opposite[line.crossed(start, end)]
    assert Zone(ZoneKind.LINE, "door", (b, a)).crossed(start, end) == opposite[line.crossed(start, end)]


def test_in_is_from_the_left_to_the_right_seen_from_the_first_point() -> None:
    # From the top down: the left of whoever goes that way is the right of the picture.
    assert DOOR.crossed((0.6, 0.5), (0.4, 0.5)) is Direction.IN
    assert DOOR.crossed((0.4, 0.5), (0.6, 0.5)) is Direction.OUT


def test_who_passes_beside_a_line_or_comes_up_to_it_does_not_cross_it() -> None:
    assert DOOR.crossed((0.4, 0.9), (0.6, 0.9)) is None
    assert DOOR.crossed((0.1, 0.5), (0.4, 0.5)) is None


def test_people_count_inside_counting_zones_and_never_inside_the_others() -> None:
    assert is_counted([], (0.9, 0.9)) and is_counted([POSTER, DOOR], (0.9, 0.9))
    assert is_counted([LEFT_HALF, POSTER], (0.3, 0.9)) and not is_counted([LEFT_HALF], (0.9, 0.9))
    assert not is_counted([LEFT_HALF, POSTER], (0.15, 0.15)) and is_excluded([POSTER], (0.15, 0.15))


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        (Zone(ZoneKind.COUNT, "a", ((0.0, 0.0), (1.0, 1.0))), "3 to 40 points"),
        (Zone(ZoneKind.COUNT, "a", tuple((at / 50, (at % 2) / 2) for at in range(41))), "3 to 40 points"),
        (Zone(ZoneKind.NEVER, "a", ((0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0))), "crosses itself"),
        (Zone(ZoneKind.NEVER, "a", ((0.0, 0.0), (0.5, 0.0), (1.0, 0.0))), "crosses itself"),
        (Zone(ZoneKind.NEVER, "a", ((0.0, 0.0), (1.0, 0.0), (0.5, 0.0), (0.5, 1.0))), "crosses itself"),
        (Zone(ZoneKind.NEVER, "a", ((0.5, 0.5), (0.501, 0.5), (0.501, 0.501))), "too small"),
        (Zone(ZoneKind.COUNT, "a", ((0.0, 0.0), (1.0, 0.0), (1.0, 0.0), (0.0, 1.0))), "on one spot"),
        (Zone(ZoneKind.COUNT, "a", ((0.0, 0.0), (1.5, 0.0), (1.0, 1.0))), "outside"),
        (Zone(ZoneKind.COUNT, "a", ((0.0, 0.0), (math.nan, 0.0), (1.0, 1.0))), "outside"),
        (Zone(ZoneKind.LINE, "a", ((0.0, 0.0), (0.5, 0.5), (1.0, 1.0))), "2 points"),
        (Zone(ZoneKind.LINE, "a", ((0.5, 0.5), (0.5, 0.5))), "on one spot"),
        (Zone(ZoneKind.LINE, " ", DOOR.points), "a name"),
        (Zone(ZoneKind.LINE, "x" * 41, DOOR.points), "shorten"),
        (Zone(ZoneKind.LINE, "a\u202eb", DOOR.points), "shorten"),
    ],
)
def test_a_zone_that_makes_no_sense_is_refused_in_one_line(zone: Zone, said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        checked([zone])
    assert "\n" not in str(refused.value)


def test_two_zones_of_one_name_are_refused_and_so_are_too_many() -> None:
    with pytest.raises(InputError, match="called DOOR"):
        checked([DOOR, Zone(ZoneKind.LINE, "DOOR ", ((0.1, 0.1), (0.9, 0.1)))][::-1])
    with pytest.raises(InputError, match="at most 30"):
        checked([Zone(ZoneKind.LINE, f"{at}", DOOR.points) for at in range(31)])


def test_zones_go_through_json_unchanged() -> None:
    zones = checked([LEFT_HALF, POSTER, DOOR])
    assert decoded(encoded(zones)) == zones == (LEFT_HALF, POSTER, DOOR)


@given(st.binary(max_size=60) | st.text(max_size=60))
@settings(derandomize=True, max_examples=200, deadline=None)
def test_garbage_is_refused(garbage: str | bytes) -> None:
    try:
        assert decoded(garbage) == ()
    except InputError as refused:
        assert "\n" not in str(refused)
