"""Zones as they are drawn over a picture: where in an SVG their corners, names and arrows are. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.language import N_, _, labelled
from appliance.web.words import listed
from appliance.zones import Point, Zone, ZoneKind

ACROSS = 1000.0
"""The width of a picture in the units of a drawing; its height follows."""
ARROW, HEAD = 26.0, 8.0  # of a line, in the direction that is in
USUAL_HEIGHT = 562.5  # of 16:9, where the size of the picture is not known
LETTER = 11.0  # how far a letter of a name reaches on a large screen


@dataclass(frozen=True, slots=True)
class DrawnZone:
    """One of them. points: as SVG writes them. x, y: of its name, which begins or ends there (anchor: start, end).

    arrow: a path; empty: it is no line.
    """

    zone: Zone
    points: str
    x: float
    y: float
    anchor: str
    arrow: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """All zones of a picture. height: of the drawing, in thousandths of its width."""

    height: float
    zones: list[DrawnZone]

    @property
    def words(self) -> str:
        """What is drawn, for who does not see it."""
        return listed(labelled(_(KINDS[each.zone.kind]), each.zone.name) for each in self.zones)


KINDS = {ZoneKind.COUNT: N_("Count here"), ZoneKind.NEVER: N_("Never here"), ZoneKind.LINE: N_("Line")}
"""What the kinds are called on a page."""


def drawing_of(zones: Sequence[Zone], width: int | None, height: int | None) -> Drawing:
    """The drawing of a picture of width x height pixels, where they are known."""
    high = round(ACROSS * height / width, 1) if width and height else USUAL_HEIGHT
    return Drawing(high, [_drawn(zone, high) for zone in zones])


def _drawn(zone: Zone, height: float) -> DrawnZone:
    places = [(ACROSS * x, height * y) for x, y in zone.points]
    left, top = min(places, key=lambda place: place[1])
    fits = left + LETTER * (len(zone.name) + 3) < ACROSS
    return DrawnZone(
        zone=zone,
        points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places),
        x=round(left + 8 if fits else max(left, 20.0), 1),
        y=round(min(height - 6, max(24.0, top - 8)), 1),
        anchor="start" if fits else "end",
        arrow=_arrow(*places) if zone.kind is ZoneKind.LINE else "",
    )


def _arrow(first: Point, second: Point) -> str:
    """From the middle of a line to its right, seen from its first end: that way is in."""
    (x0, y0), (x1, y1) = first, second
    length = math.hypot(x1 - x0, y1 - y0) or 1.0
    dx, dy = (x1 - x0) / length, (y1 - y0) / length

    def at(along: float, across: float) -> str:
        return f"{(x0 + x1) / 2 + along * dx - across * dy:.1f} {(y0 + y1) / 2 + along * dy + across * dx:.1f}"

    tip = at(0, ARROW)
    return f"M{at(0, 0)}L{tip}M{at(-HEAD, ARROW - HEAD)}L{tip}L{at(HEAD, ARROW - HEAD)}"
