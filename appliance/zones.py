"""Zones of a stream's picture: where people are counted, where never, and lines that they cross.

Points are fractions of the picture's width and height, origin top left, so that they mean the same in every resolution.
What is looked for is the middle of a face, so a zone is drawn where faces are, and a line at the height of faces.
"""

from __future__ import annotations

import enum
import itertools
import math
import unicodedata
from collections.abc import Sequence

import msgspec

from appliance.errors import InputError
from appliance.language import _

Point = tuple[float, float]
"""(x, y): 0 to 1, of the picture's width and height."""

FEWEST_POINTS, MOST_POINTS = 3, 40
MOST_ZONES = 30  # of one stream
LONGEST_NAME = 40  # characters
SMALLEST_AREA = 1e-4  # of the picture: a face of 20 px at 1080p has twice as much
SHORTEST_LINE = 0.01
DIGITS = 5  # of a fraction: a fiftieth of a pixel at 1080p


class ZoneKind(str, enum.Enum):
    """What a zone is for."""

    COUNT = "count"  # where there are such, only those are counted who were seen in one
    NEVER = "never"  # a face in it is nobody: a poster, a screen, a mirror
    LINE = "line"  # who crosses it is counted, by direction


class Direction(str, enum.Enum):
    """How a line was crossed. In: from its left to its right, seen from its first point to its second."""

    IN = "in"
    OUT = "out"


class Zone(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A polygon, or a line, with a name that no other zone of its stream has.

    points: the corners in order, the last is joined to the first; of a line its two ends.
    """

    kind: ZoneKind
    name: str
    points: tuple[Point, ...]

    def holds(self, point: Point) -> bool:
        """Whether the point lies in the polygon, by the even-odd rule; in a line lies nothing.

        Rays to the right are counted that cross an edge, as in W. R. Franklin's PNPOLY.
        """
        if self.kind is ZoneKind.LINE:
            return False
        x, y = point
        inside = False
        for (ax, ay), (bx, by) in _edges(self.points):
            if (ay > y) != (by > y) and x < (bx - ax) * (y - ay) / (by - ay) + ax:
                inside = not inside
        return inside

    def crossed(self, start: Point, end: Point) -> Direction | None:
        """How whoever went straight from `start` to `end` crossed the line; None: they did not, or passed beside it.

        Who stands on it has not crossed it yet.
        """
        first, second = self.points[:2]
        before, after = turn(first, second, start), turn(first, second, end)
        if self.kind is not ZoneKind.LINE or before * after >= 0 or not _meet(first, second, start, end):
            return None
        # The y axis points down, so that a positive turn is to the right.
        return Direction.IN if before < 0 else Direction.OUT


def is_excluded(zones: Sequence[Zone], point: Point) -> bool:
    """Whether a face whose middle is here is nobody."""
    return any(zone.kind is ZoneKind.NEVER and zone.holds(point) for zone in zones)


def is_counted(zones: Sequence[Zone], point: Point) -> bool:
    """Whether somebody whose face was here counts: inside a zone of that kind, or there is none."""
    counting = [zone for zone in zones if zone.kind is ZoneKind.COUNT]
    return not is_excluded(zones, point) and (not counting or any(zone.holds(point) for zone in counting))


def lines(zones: Sequence[Zone]) -> list[Zone]:
    """The lines among them."""
    return [zone for zone in zones if zone.kind is ZoneKind.LINE]


def turn(first: Point, second: Point, point: Point) -> int:
    """On which side of the way from `first` to `second` the point is: 1 right, -1 left, 0 on it."""
    (ax, ay), (bx, by), (x, y) = first, second, point
    cross = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
    return 0 if abs(cross) < 1e-12 else int(math.copysign(1, cross))


# Checks


def decoded(text: str | bytes) -> tuple[Zone, ...]:
    """Zones as JSON, checked. Raises InputError."""
    try:
        return checked(msgspec.json.decode(text, type=tuple[Zone, ...]))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            _("These are no zones ({error}); docs/zones.md shows how they are written.", error=error)
        ) from error


def encoded(zones: Sequence[Zone]) -> str:
    """Zones as JSON that `decoded` reads."""
    return msgspec.json.encode(list(zones)).decode()


def checked(zones: Sequence[Zone]) -> tuple[Zone, ...]:
    """All zones of a stream as they are stored: names trimmed, points rounded. Raises InputError."""
    if len(zones) > MOST_ZONES:
        raise InputError(
            _(
                "A stream has at most {most} zones and lines; take {many} away.",
                most=MOST_ZONES,
                many=len(zones) - MOST_ZONES,
            )
        )
    cleaned = tuple(_checked(zone) for zone in zones)
    names = [zone.name.casefold() for zone in cleaned]
    for zone, name in zip(cleaned, names, strict=True):
        if names.count(name) > 1:
            raise InputError(_("Two zones are called {name}; give one of them another name.", name=zone.name))
    return cleaned


def _checked(zone: Zone) -> Zone:
    name = unicodedata.normalize("NFC", zone.name).strip()
    if not name:
        raise InputError(_("Give each zone a name."))
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise InputError(
            _("The name of a zone has at most {longest} characters that can be seen; shorten it.", longest=LONGEST_NAME)
        )
    if not all(math.isfinite(value) and 0 <= value <= 1 for point in zone.points for value in point):
        raise InputError(_("A point of {name} lies outside of the picture; its numbers go from 0 to 1.", name=name))
    points = tuple((round(x, DIGITS), round(y, DIGITS)) for x, y in zone.points)
    (_check_line if zone.kind is ZoneKind.LINE else _check_polygon)(name, points)
    return Zone(zone.kind, name, points)


def _check_line(name: str, points: tuple[Point, ...]) -> None:
    if len(points) != 2:
        raise InputError(
            _(
                "A line has 2 points, {name} has {count}; a line with bends is several lines.",
                name=name,
                count=len(points),
            )
        )
    if math.dist(*points) < SHORTEST_LINE:
        raise InputError(_("The two ends of {name} lie on one spot; draw them further apart.", name=name))


def _check_polygon(name: str, points: tuple[Point, ...]) -> None:
    if not FEWEST_POINTS <= len(points) <= MOST_POINTS:
        raise InputError(
            _(
                "A zone has {fewest} to {most} points, {name} has {count}; mend that.",
                fewest=FEWEST_POINTS,
                most=MOST_POINTS,
                name=name,
                count=len(points),
            )
        )
    if len(set(points)) < len(points):
        raise InputError(_("Two points of {name} lie on one spot; take one away.", name=name))
    if _crosses_itself(points):
        raise InputError(_("The border of {name} crosses itself; put its points in order.", name=name))
    if _area(points) < SMALLEST_AREA:
        raise InputError(_("{name} is too small for a face; draw it larger.", name=name))


def _edges(points: Sequence[Point]) -> list[tuple[Point, Point]]:
    return list(zip(points, (*points[1:], points[0]), strict=True))


def _area(points: Sequence[Point]) -> float:
    """Of the picture, by the shoelace formula."""
    return abs(sum(ax * by - bx * ay for (ax, ay), (bx, by) in _edges(points))) / 2


def _crosses_itself(points: Sequence[Point]) -> bool:
    """Whether two edges meet that are no neighbours, or one goes back over the one before."""
    edges = _edges(points)
    last = len(edges) - 1
    for (at, (a, b)), (other, (c, d)) in itertools.combinations(enumerate(edges), 2):
        if other - at == 1 or (at, other) == (0, last):
            before, corner, after = (a, b, d) if other - at == 1 else (c, d, b)
            if turn(before, corner, after) == 0 and _between(before, corner, after):
                return True
        elif _meet(a, b, c, d):
            return True
    return False


def _between(before: Point, corner: Point, after: Point) -> bool:
    """Whether the way turns back at the corner, the three being on one straight line."""
    return (corner[0] - before[0]) * (after[0] - corner[0]) + (corner[1] - before[1]) * (after[1] - corner[1]) < 0


def _meet(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether the ways a-b and c-d have a point in common."""
    sides = turn(a, b, c), turn(a, b, d), turn(c, d, a), turn(c, d, b)
    if sides[0] != sides[1] and sides[2] != sides[3]:
        return True
    ends = ((a, b, c, sides[0]), (a, b, d, sides[1]), (c, d, a, sides[2]), (c, d, b, sides[3]))
    return any(side == 0 and _is_on(first, second, point) for first, second, point, side in ends)


def _is_on(first: Point, second: Point, point: Point) -> bool:
    """Whether a point on the straight line through both is between them."""
    return all(min(a, b) <= value <= max(a, b) for a, b, value in zip(first, second, point, strict=True))
