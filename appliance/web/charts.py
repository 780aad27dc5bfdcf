"""Charts as SVG: pure functions. Colours and fonts come from app.css, so a chart follows light and dark."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from zlib import crc32

from appliance.rates import Rate
from appliance.times import utc_text

WIDTH, HEIGHT = 720, 180
LEFT, BOTTOM, TOP = 40, 22, 10
LABELS_AT_MOST, LONG_LABELS_AT_MOST = 8, 6
WITH_DAY_S = 26 * 3600  # a chart so long says the day of a time, too
CHARACTER = 6.7  # px of a label
LABELLED_EVERY = {60: (10, 15, 30, 60, 120, 360), 3600: (6, 12, 24, 48, 168), 86400: (1, 2, 7, 14, 30, 61, 91, 366)}
"""Which bars may have a label, by the seconds of each: every sixth hour, say."""
FULLY_WATCHED = 0.95  # of its time; below, the foot of the bar says so
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, from the bottom up. start_utc: where its span begins; parts: (CSS class, how many).

    watched: of its span, 0 to 1. None: not asked, or still to come. With 0 and nobody in it, it is a gap, never a zero.
    is_certain: whether the clock was right when its persons were counted.
    """

    start_utc: float
    parts: tuple[tuple[str, int], ...]
    watched: float | None = None
    is_certain: bool = True

    @property
    def total(self) -> int:
        """Its height."""
        return sum(max(0, count) for _, count in self.parts)

    @property
    def is_gap(self) -> bool:
        """Whether nobody looked."""
        return self.watched == 0 and self.total == 0


def nice_top(highest: int) -> int:
    """The end of the scale: the next of 2, 4, 10, 20, 40, 100, ... so that its half is a whole number."""
    scale = 1
    while True:
        for step in (2, 4, 10):
            if highest <= step * scale:
                return step * scale
        scale *= 10


def stacked_bars(bars: list[Bar], title: str, step_s: int = 3600) -> str:
    """An SVG of stacked bars, one per step (60, 3600 or 86400 s); app.js turns labels with a time into local ones."""
    top = nice_top(max((bar.total for bar in bars), default=0))
    room = HEIGHT - BOTTOM - TOP
    step = (WIDTH - LEFT) / max(1, len(bars))
    hatch = f"gap-{crc32(title.encode()):08x}"
    pieces = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        _hatching(hatch) if any(bar.is_gap for bar in bars) else "",
        *(_line(value, TOP + room * (1 - value / top)) for value in (0, top // 2, top)),
    ]
    for index, bar in enumerate(bars):
        left = LEFT + index * step
        pieces.append(_gap(left, step, hatch) if bar.is_gap else _bar(bar, left + step * 0.14, step * 0.72, room / top))
    most = LABELS_AT_MOST if len(bars) * step_s <= WITH_DAY_S or step_s == 86400 else LONG_LABELS_AT_MOST
    every = next((n for n in LABELLED_EVERY[step_s] if len(bars) / n <= most), len(bars))
    for index in range(0, len(bars), every):
        pieces.append(_label(bars[index].start_utc, LEFT + (index + 0.5) * step, step_s, len(bars)))
    pieces += [_near(value, TOP + room * (1 - value / top)) for value in (top // 2, top)]
    return "".join([*pieces, "</svg>"])


def _line(value: int, y: float) -> str:
    return (
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="scale" x="{LEFT - 6}" y="{y + 4:.1f}">{_short(value)}</text>'
    )


def _near(value: int, y: float) -> str:
    """The scale again, at the end that a narrow screen shows first; app.css hides it on wide ones."""
    return f'<text class="near" x="{WIDTH - 4}" y="{y + 4:.1f}" aria-hidden="true">{_short(value)}</text>'


def _short(value: int) -> str:
    """A figure of the scale in the room there is: 400, 4 k, 40 k, 1 M."""
    for scale, letter in ((1_000_000, "M"), (1000, "k")):
        if value >= max(scale, 10_000) and value % scale == 0:
            return f"{value // scale} {letter}"
    return str(value)


def _label(start_utc: float, x: float, step_s: int, count: int) -> str:
    stamp = utc_text(start_utc)
    day = f"{int(stamp[8:10])} {MONTHS[int(stamp[5:7]) - 1]}"
    if step_s == 86400:  # days of the world's clock; they have no other time
        text, attribute = day, ""
    elif count * step_s > WITH_DAY_S:
        text, attribute = f"{day}, {stamp[11:16]}", f' data-moment="{stamp}"'
    else:
        text, attribute = stamp[11:16], f' data-hour="{stamp}"'
    half = CHARACTER * len(text) / 2
    if x + half > WIDTH:
        return ""
    return f'<text class="hour" x="{max(x, half):.1f}" y="{HEIGHT - 5}"{attribute}>{text}</text>'


def _hatching(name: str) -> str:
    return (
        f'<defs><pattern id="{name}" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<line class="hatch" x1="0" x2="0" y1="0" y2="6"/></pattern></defs>'
    )


def _gap(x: float, width: float, hatch: str) -> str:
    return (
        f'<rect fill="url(#{hatch})" x="{x:.1f}" y="{TOP}" width="{width:.1f}" height="{HEIGHT - BOTTOM - TOP}">'
        "<title>nobody looked: no stream was LIVE, or nothing came</title></rect>"
    )


def _bar(bar: Bar, x: float, width: float, unit: float) -> str:
    y = float(HEIGHT - BOTTOM)
    rects = []
    for name, count in bar.parts:
        if count > 0:
            y -= count * unit
            rects.append(
                f'<rect class="bar-{escape(name)}" x="{x:.1f}" y="{y:.2f}" width="{width:.1f}"'
                f' height="{count * unit:.2f}"/>'
            )
    notes = [f"{count} {name.replace('_', ' ')}" for name, count in bar.parts if count > 0]
    if bar.watched is not None and bar.watched < FULLY_WATCHED:
        notes.append(f"watched {100 * bar.watched:.0f} % of the time")
        rects.append(f'<rect class="foot" x="{x:.1f}" y="{HEIGHT - BOTTOM + 1}" width="{width:.1f}" height="3"/>')
    if rects and not bar.is_certain:
        notes.append("the clock may have been wrong")
    unsure = "" if bar.is_certain else ' class="unsure"'
    return f"<g{unsure}><title>{escape(', '.join(notes))}</title>{''.join(rects)}</g>" if rects else ""


def interval(rate: Rate) -> str:
    """A small SVG of a rate from 0 to 1 with its interval; several below each other can be compared."""
    label = f"{100 * rate.value:.0f} %, 95 % interval {100 * rate.low:.0f} to {100 * rate.high:.0f} %"
    low, high, value = (4 + 152 * share for share in (rate.low, rate.high, rate.value))
    return (
        f'<svg class="interval" viewBox="0 0 160 16" role="img" aria-label="{label}">'
        '<line class="grid" x1="4" x2="156" y1="8" y2="8"/>'
        '<path class="grid" d="M4 4V12M80 5V11M156 4V12"/>'
        f'<line class="whisker" x1="{low:.1f}" x2="{max(high, low + 1):.1f}" y1="8" y2="8"/>'
        f'<circle cx="{value:.1f}" cy="8" r="4"/></svg>'
    )
