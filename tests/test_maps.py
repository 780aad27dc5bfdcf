"""The plain map: where points lie, and that their labels can be read."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.web.maps import HIGHEST, RADIUS, SMALL_WIDTH, WIDTH, Point, labels, map_of, overlap, view_of


def point(latitude: float, longitude: float, name: str = "here") -> Point:
    return Point(latitude, longitude, name, "/sites/1", "well", "1 box")


points = st.lists(
    st.builds(point, st.floats(-90, 90), st.floats(-180, 180), st.text("abcdefgh ", min_size=1, max_size=40)),
    min_size=1,
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(points, st.sampled_from([WIDTH, SMALL_WIDTH]))
def test_every_point_is_on_the_map_and_no_label_covers_another_or_a_point(found: list[Point], width: int) -> None:
    view = view_of(found, width)
    assert view.height <= HIGHEST + 1
    places = [view.place(each) for each in found]
    for x, y in places:
        assert -1 <= x <= width + 1 and -1 <= y <= view.height + 1
    placed = labels(found, view)
    rects = [label.rect for label in placed]
    for index, rect in enumerate(rects):
        assert rect[0] >= 0 and rect[2] <= width and rect[1] >= 0 and rect[3] <= view.height
        assert not any(overlap(rect, other) for other in rects[index + 1 :])
        assert not any(overlap(rect, (x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS)) for x, y in places)


def test_north_is_up_and_east_is_right_also_across_the_date_line() -> None:
    fiji, samoa = point(-18.1, 178.4), point(-13.8, -171.8)
    view = view_of([fiji, samoa])
    (x_fiji, y_fiji), (x_samoa, y_samoa) = view.place(fiji), view.place(samoa)
    assert x_fiji < x_samoa < WIDTH and y_samoa < y_fiji
    assert x_samoa - x_fiji == pytest.approx(9.8 * view.km_per_longitude * view.px_per_km)


def test_a_distance_on_the_map_is_that_on_the_ground() -> None:
    munich, nuremberg = point(48.137, 11.575), point(49.453, 11.077)
    view = view_of([munich, nuremberg, point(49.78, 9.97)])
    (x1, y1), (x2, y2) = view.place(munich), view.place(nuremberg)
    assert ((x1 - x2) ** 2 + (y1 - y2) ** 2) ** 0.5 / view.px_per_km == pytest.approx(151, abs=2)  # km


def test_the_scale_has_a_round_length_and_the_map_is_well_formed() -> None:
    drawing = map_of([point(48.137, 11.575, 'a <b> & "c"'), point(49.453, 11.077)], "Sites <of> us")
    root = ElementTree.fromstring(drawing)  # noqa: S314
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert 'a <b> & "c"' in texts and "20 km" in texts
    assert "<b>" not in drawing


@pytest.mark.parametrize("apart_deg", [0.0, 1e-5, 0.001])
def test_sites_at_one_place_still_have_a_scale(apart_deg: float) -> None:
    drawing = map_of([point(48.0, 11.0, "one"), point(48.0 + apart_deg, 11.0, "two")], "Sites")
    assert re.search(r">\d+ m<", drawing) and ">one<" in drawing and ">two<" in drawing
