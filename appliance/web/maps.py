"""A plain map as SVG, without tiles from anywhere: points where they lie, their names, and a scale. Pure functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape

from appliance.language import labelled

WIDTH, SMALL_WIDTH, MARGIN = 720, 330, 60
"""Of a map, and of one on a phone, in px."""
LOWEST, HIGHEST = 260, 560
KM_PER_DEGREE = 111.32
LEAST_SPAN_KM = 1.0
RADIUS = 7
CHARACTER, LINE = 6.7, 16  # px of a label at 12 px; wide letters are rarer than narrow ones
LONGEST = 24
RINGS = (0, 14, 30, 48, 70, 96, 126)
DIRECTIONS = ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (-1, -1), (1, 1), (-1, 1))

Rect = tuple[float, float, float, float]
"""(left, top, right, bottom) in px of the map."""


@dataclass(frozen=True, slots=True)
class Point:
    """Something at a place, in degrees. mark: a CSS class; about: what a pointer is told."""

    latitude: float
    longitude: float
    name: str
    href: str
    mark: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """A name beside its point. rect: where it stands; anchor: its point, in px."""

    text: str
    rect: Rect
    anchor: tuple[float, float]


@dataclass(frozen=True, slots=True)
class View:
    """How degrees become px: equirectangular, true along the middle latitude. west: where the map begins, degrees.

    width, height: of the map, px.
    """

    west: float
    north: float
    px_per_km: float
    km_per_longitude: float
    left: float
    height: float
    width: int = WIDTH

    def place(self, point: Point) -> tuple[float, float]:
        """Where a point lies, in px."""
        east = (point.longitude % 360 - self.west) % 360
        x = self.left + east * self.km_per_longitude * self.px_per_km
        return x, MARGIN + (self.north - point.latitude) * KM_PER_DEGREE * self.px_per_km


def view_of(points: list[Point], width: int = WIDTH) -> View:
    """The map on which all points (at least one) have room; it is cut where they leave the widest gap."""
    west, width_deg = _cut(sorted(point.longitude % 360 for point in points))
    north, south = max(point.latitude for point in points), min(point.latitude for point in points)
    km_per_longitude = KM_PER_DEGREE * max(0.05, math.cos(math.radians((north + south) / 2)))
    width_km, height_km = width_deg * km_per_longitude, (north - south) * KM_PER_DEGREE
    inner_width, inner_height = width - 2 * MARGIN, HIGHEST - 2 * MARGIN
    px_per_km = min(inner_width / max(width_km, LEAST_SPAN_KM), inner_height / max(height_km, LEAST_SPAN_KM))
    height = max(LOWEST, height_km * px_per_km + 2 * MARGIN)
    north += (height - 2 * MARGIN - height_km * px_per_km) / 2 / px_per_km / KM_PER_DEGREE
    return View(west, north, px_per_km, km_per_longitude, (width - width_km * px_per_km) / 2, height, width)


def _cut(longitudes: list[float]) -> tuple[float, float]:
    """Where the narrowest stretch of degrees that holds them all begins, and how wide it is."""
    following = [*longitudes[1:], longitudes[0] + 360]
    gaps = [after - before for before, after in zip(longitudes, following, strict=True)]
    widest = gaps.index(max(gaps))
    return longitudes[(widest + 1) % len(longitudes)], 360 - gaps[widest]


def labels(points: list[Point], view: View) -> list[Label]:
    """A label for each point, in their order, beside it or further off; none covers another, nor any point.

    One that finds no room is left out: the point still tells its name to a pointer.
    """
    places = [view.place(point) for point in points]
    taken: list[Rect] = [(x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS) for x, y in places]
    taken.append((0, view.height - 40, 200, view.height))  # the scale
    found = []
    for point, (x, y) in zip(points, places, strict=True):
        text = point.name if len(point.name) <= LONGEST else f"{point.name[: LONGEST - 1]}…"
        rect = _room(x, y, len(text) * CHARACTER, taken, view)
        if rect is not None:
            taken.append(rect)
            found.append(Label(text, rect, (x, y)))
    return found


def _room(x: float, y: float, width: float, taken: list[Rect], view: View) -> Rect | None:
    for ring in RINGS:
        for right, down in DIRECTIONS:
            middle_x = x + right * (RADIUS + 4 + width / 2 + ring)
            middle_y = y + down * (RADIUS + 2 + LINE / 2 + ring)
            rect = (middle_x - width / 2, middle_y - LINE / 2, middle_x + width / 2, middle_y + LINE / 2)
            inside = rect[0] >= 2 and rect[2] <= view.width - 2 and rect[1] >= 2 and rect[3] <= view.height - 2
            if inside and not any(overlap(rect, other) for other in taken):
                return rect
    return None


def overlap(one: Rect, other: Rect) -> bool:
    """Whether two rectangles cover the same ground."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def map_of(points: list[Point], title: str, width: int = WIDTH) -> str:
    """An SVG of the points (at least one), those that come first with the best places for their labels."""
    view = view_of(points, width)
    kind = "map" if width == WIDTH else "map small"
    pieces = [f'<svg class="{kind}" viewBox="0 0 {width} {view.height:.0f}" role="group" aria-label="{escape(title)}">']
    placed = labels(points, view)
    for label in placed:
        (x, y), (left, top, right, bottom) = label.anchor, label.rect
        near_x, near_y = min(max(x, left), right), min(max(y, top), bottom)
        if math.hypot(near_x - x, near_y - y) > RADIUS + 8:
            pieces.append(f'<line class="leader" x1="{x:.1f}" y1="{y:.1f}" x2="{near_x:.1f}" y2="{near_y:.1f}"/>')
    for point in reversed(points):
        x, y = view.place(point)
        pieces.append(
            f'<a href="{escape(point.href)}"><path class="{escape(point.mark)}" d="{_shape(point.mark, x, y)}">'
            f"<title>{escape(labelled(point.name, point.about) if point.about else point.name)}</title></path></a>"
        )
    for label in placed:
        left, top, right, _bottom = label.rect
        pieces.append(f'<text x="{(left + right) / 2:.1f}" y="{top + 12:.1f}">{escape(label.text)}</text>')
    return "".join([*pieces, _scale(view), "</svg>"])


def _shape(mark: str, x: float, y: float) -> str:
    """The same shapes as of a mark in a list, so that no state is told by its colour alone."""
    r = RADIUS - 1
    if mark == "problem-mark":
        return f"M{x - r:.1f} {y - r:.1f}h{2 * r}v{2 * r}h{-2 * r}z"
    if mark == "notice-mark":
        r = RADIUS + 1
        return f"M{x:.1f} {y - r:.1f}l{r} {r}l{-r} {r}l{-r} {-r}z"
    return f"M{x - RADIUS:.1f} {y:.1f}a{RADIUS} {RADIUS} 0 1 0 {2 * RADIUS} 0a{RADIUS} {RADIUS} 0 1 0 {-2 * RADIUS} 0z"


def _scale(view: View) -> str:
    """A bar of a round length, about a sixth of the map."""
    longest_km = 150 / view.px_per_km
    power = 10 ** math.floor(math.log10(longest_km))
    length_km = next(n * power for n in (5, 2, 1) if n * power <= longest_km)
    text = f"{length_km:.0f} km" if length_km >= 1 else f"{length_km * 1000:.0f} m"
    y, right = view.height - 14, 16 + length_km * view.px_per_km
    return (
        f'<path class="scale-bar" d="M16 {y - 5:.1f}V{y:.1f}H{right:.1f}V{y - 5:.1f}"/>'
        f'<text class="scale" x="{(16 + right) / 2:.1f}" y="{y - 6:.1f}">{text}</text>'
    )
