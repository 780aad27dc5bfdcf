"""A rate over time, with its interval as a band: SVG from pure functions."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.language import _
from appliance.rates import Rate
from appliance.web import svg
from appliance.web.svg import BOTTOM, HEIGHT, LEFT, NOBODY_LOOKED, TOP, WIDTH, Column, Tick
from appliance.web.words import rate_words

ROOM = HEIGHT - BOTTOM - TOP


@dataclass(frozen=True, slots=True)
class Point:
    """The rate of one step. rate: None: too few persons to say one.

    when: its span as people read it. is_gap: nobody looked. href: where it leads; empty: nowhere.
    attributes: what app.js reads to say `when` by the reader's clock.
    """

    when: str
    rate: Rate | None
    is_gap: bool = False
    href: str = ""
    attributes: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        """What it says."""
        if self.is_gap:
            return (self.when, _(NOBODY_LOOKED))
        return (self.when, _("compliance: {rate}", rate=rate_words(self.rate)))


def rate_band(points: list[Point], title: str, ticks: list[Tick]) -> str:
    """An SVG from 0 to 100 %: a dot for each rate, joined where they are neighbours, on a band of their intervals."""
    step = (WIDTH - LEFT) / max(1, len(points))
    name = svg.name_of(title, "rate")
    hatch = f"{name}-gap"
    pieces = [
        svg.opening("rate-chart", title),
        f"<defs>{svg.hatching(hatch)}</defs>" if any(point.is_gap for point in points) else "",
        *(svg.line(f"{value} %", _y(value / 100)) for value in (0, 50, 100)),
        svg.key([("rate-key", "", _("compliance")), ("band", "", _("its 95 % interval"))]),
    ]
    for index, point in enumerate(points):
        left = LEFT + index * step
        if point.rate:
            high = _y(point.rate.high)
            drawing = (
                f'<rect class="band" x="{left:.1f}" y="{high:.1f}" width="{step:.1f}"'
                f' height="{max(1.0, _y(point.rate.low) - high):.1f}"/>'
            )
        else:
            drawing = svg.gap(left, step, hatch) if point.is_gap else ""
        if drawing or point.href:
            pieces.append(svg.column(Column(left, step, point.lines, point.href, attributes=point.attributes), drawing))
    pieces.append(_line(points, step))
    pieces.append(svg.labels(ticks, step))
    return "".join([*pieces, "</svg>"])


def _y(share: float) -> float:
    return TOP + ROOM * (1 - share)


def _line(points: list[Point], step: float) -> str:
    """The rates themselves; the line is broken where there is none."""
    path, dots, is_down = [], [], False
    radius = min(3.5, max(1.5, step * 0.3))
    for index, point in enumerate(points):
        if point.rate is None:
            is_down = False
            continue
        x, y = LEFT + (index + 0.5) * step, _y(point.rate.value)
        path.append(f"{'L' if is_down else 'M'}{x:.1f} {y:.1f}")
        dots.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/>')
        is_down = True
    return f'<g class="over"><path class="rate-line" d="{"".join(path)}"/>{"".join(dots)}</g>' if dots else ""
