"""Charts as SVG: pure functions. Colours and fonts come from app.css, so a chart follows light and dark."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from appliance.times import utc_text

WIDTH, HEIGHT = 720, 180
LEFT, BOTTOM, TOP = 34, 22, 10


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, from the bottom up. start_utc: where its span begins; parts: (CSS class, how many)."""

    start_utc: float
    parts: tuple[tuple[str, int], ...]

    @property
    def total(self) -> int:
        """Its height."""
        return sum(count for _, count in self.parts)


def nice_top(highest: int) -> int:
    """The end of the scale: the next of 2, 4, 10, 20, 40, 100, ... so that its half is a whole number."""
    scale = 1
    while True:
        for step in (2, 4, 10):
            if highest <= step * scale:
                return step * scale
        scale *= 10


def stacked_bars(bars: list[Bar], title: str) -> str:
    """An SVG of stacked bars, one per hour, labelled every sixth; app.js turns the labels into local hours."""
    top = nice_top(max((bar.total for bar in bars), default=0))
    room = HEIGHT - BOTTOM - TOP
    step = (WIDTH - LEFT) / max(1, len(bars))
    pieces = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        *(_line(value, TOP + room * (1 - value / top)) for value in (0, top // 2, top)),
    ]
    for index, bar in enumerate(bars):
        left = LEFT + index * step
        pieces.append(_bar(bar, left + step * 0.14, step * 0.72, room / top))
        if index % 6 == 0:
            stamp = utc_text(bar.start_utc)
            pieces.append(
                f'<text class="hour" x="{left + step / 2:.1f}" y="{HEIGHT - 5}" data-hour="{stamp}">'
                f"{stamp[11:16]}</text>"
            )
    return "".join([*pieces, "</svg>"])


def _line(value: int, y: float) -> str:
    return (
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="scale" x="{LEFT - 6}" y="{y + 4:.1f}">{value}</text>'
    )


def _bar(bar: Bar, x: float, width: float, unit: float) -> str:
    y = float(HEIGHT - BOTTOM)
    rects = []
    for name, count in bar.parts:
        if count:
            y -= count * unit
            rects.append(
                f'<rect class="bar-{escape(name)}" x="{x:.1f}" y="{y:.2f}" width="{width:.1f}"'
                f' height="{count * unit:.2f}"/>'
            )
    label = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in bar.parts if count)
    return f"<g><title>{escape(label)}</title>{''.join(rects)}</g>" if rects else ""
