"""Persons over time as stacked bars, and a rate's interval: SVG from pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from html import escape

from appliance.language import _, n_, number, percent, short_day_and_month
from appliance.rates import Rate
from appliance.times import utc_text
from appliance.web import svg
from appliance.web.svg import BOTTOM, HEIGHT, LEFT, NOBODY_LOOKED, STATE_LABELS, TEXTURED, TOP, WIDTH, Column, Tick

LABELS_AT_MOST, LONG_LABELS_AT_MOST = 8, 6
WITH_DAY_S = 26 * 3600  # a chart so long says the day of a time, too
LABELLED_EVERY = {60: (10, 15, 30, 60, 120, 360), 3600: (6, 12, 24, 48, 168), 86400: (1, 2, 7, 14, 30, 61, 91, 366)}
"""Which bars may have a label, by the seconds of each: every sixth hour, say."""
SCALE_PARTS = {1: 2, 2: 2, 3: 3, 4: 2, 5: 2, 6: 3, 8: 2, 10: 2}
"""Into how many parts a scale that ends at this, or at this with zeros, is divided, so that its lines are round."""
FULLY_WATCHED = 0.95  # of its time; below, the foot of the bar says so


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, from the bottom up. start_utc: where its span begins; parts: (CSS class, how many).

    watched: of its span, 0 to 1. None: not asked, or still to come. With 0 and nobody in it, it is a gap, never a zero.
    is_certain: whether the clock was right when its persons were counted.
    when: its span as people read it; empty: where it begins, in UTC. href: where it leads; empty: nowhere.
    more: what its words end with. before: how many there were at the same time of the week before, None: not asked.
    """

    start_utc: float
    parts: tuple[tuple[str, int], ...]
    watched: float | None = None
    is_certain: bool = True
    when: str = ""
    href: str = ""
    more: str = ""
    before: int | None = None

    @property
    def total(self) -> int:
        """Its height."""
        return sum(max(0, count) for _name, count in self.parts)

    @property
    def is_gap(self) -> bool:
        """Whether nobody looked."""
        return self.watched == 0 and self.total == 0

    @property
    def _in_utc(self) -> str:
        return f"{day_words(self.start_utc)}, {utc_text(self.start_utc)[11:16]} UTC"

    @property
    def attributes(self) -> str:
        """Where its span is told in UTC: what app.js needs to tell it by the reader's clock, as the labels below."""
        if self.when:
            return ""
        return f' data-start="{utc_text(self.start_utc)}" data-said="{escape(self._in_utc)}"'

    @property
    def lines(self) -> tuple[str, ...]:
        """What it says: when, and how many of what."""
        when = self.when or self._in_utc
        if self.is_gap:
            return (when, _(NOBODY_LOOKED))
        notes = [svg.counted(name, number(count)) for name, count in self.parts if count > 0]
        head = n_("{when}: {n} person", "{when}: {n} persons", self.total, when=when)
        if self.before is not None:
            head = n_(
                "{when}: {n} person, a week before {before}",
                "{when}: {n} persons, a week before {before}",
                self.total,
                when=when,
                before=number(self.before),
            )
        if self.watched is not None and self.watched < FULLY_WATCHED:
            notes.append(_("watched {share} of the time", share=percent(self.watched)))
        if not self.is_certain:
            notes.append(_("the clock may have been wrong"))
        return (head, ", ".join([*notes, *([self.more] if self.more else [])]))


def day_words(utc: float) -> str:
    """27 Nov, of UTC."""
    return short_day_and_month(date.fromisoformat(utc_text(utc)[:10]))


def scale_lines(highest: int) -> tuple[int, ...]:
    """The lines of a scale that holds so many, from 0 to its end, all whole and equally far apart.

    Its end is the next of 1, 2, 3, 4, 5, 6, 8, 10, 20, 30, ..., so that the highest bar fills more than half of it.
    """
    unit = 1
    while highest > 10 * unit:
        unit *= 10
    digit = next(digit for digit in SCALE_PARTS if highest <= digit * unit)
    end, parts = digit * unit, SCALE_PARTS[digit]
    parts = parts if end % parts == 0 else digit
    return tuple(range(0, end + 1, end // parts))


def stacked_bars(bars: list[Bar], title: str, step_s: int = 3600, ticks: list[Tick] | None = None) -> str:
    """An SVG of stacked bars, one per step, with the week before as a line where it was asked.

    ticks: the labels below. None: those of steps of 60, 3600 or 86400 s of UTC, which app.js turns into local ones.
    """
    lines = scale_lines(max((max(bar.total, bar.before or 0) for bar in bars), default=0))
    top = lines[-1]
    room = HEIGHT - BOTTOM - TOP
    step = (WIDTH - LEFT) / max(1, len(bars))
    name = svg.name_of(title)
    compared = any(bar.before is not None for bar in bars)
    pieces = [
        svg.opening("bars", title),
        f"<defs>{svg.textures(name)}{svg.hatching(f'{name}-gap') if any(bar.is_gap for bar in bars) else ''}</defs>",
        *(svg.line(short(value), TOP + room * (1 - value / top)) for value in lines),
        _key(name, compared),
    ]
    textured: dict[str, list[str]] = {state: [] for state in TEXTURED}
    columns = []
    for index, bar in enumerate(bars):
        left = LEFT + index * step
        if bar.is_gap:
            drawing = svg.gap(left, step, f"{name}-gap")
        else:
            drawing = _bar(bar, left + step * 0.14, step * 0.72, room / top, textured)
        if drawing or bar.before:
            unsure = "" if bar.is_certain else "unsure"
            columns.append(
                svg.column(Column(left, step, bar.lines, bar.href, attributes=bar.attributes), drawing, unsure)
            )
    # Behind the columns would be covered, in front of them would hide nothing: it takes no pointer (charts.css).
    pieces += columns
    pieces += [
        f'<path class="over" fill="url(#{name}-{state})" d="{"".join(paths)}"/>'
        for state, paths in textured.items()
        if paths
    ]
    if compared:
        pieces.append(_before(bars, step, room / top))
    pieces.append(svg.labels(utc_ticks(bars, step_s) if ticks is None else ticks, step))
    return "".join([*pieces, "</svg>"])


def _key(name: str, compared: bool) -> str:
    entries = [
        (f"bar-{state}", f"{name}-{state}" if state in TEXTURED else "", _(label))
        for state, label in STATE_LABELS.items()
    ]
    return svg.key([*entries, *([("before-key", "", _("a week before"))] if compared else [])])


def short(value: int) -> str:
    """A figure of the scale in the room there is: 400, 4 k, 40 k, 1 M."""
    for scale, letter in ((1_000_000, "M"), (1000, "k")):
        if value >= max(scale, 10_000) and value % scale == 0:
            return f"{value // scale} {letter}"
    return str(value)


def utc_ticks(bars: list[Bar], step_s: int) -> list[Tick]:
    """Labels of the world's clock, with what app.js needs to write those of the reader's."""
    most = LABELS_AT_MOST if len(bars) * step_s <= WITH_DAY_S or step_s == 86400 else LONG_LABELS_AT_MOST
    every = next((n for n in LABELLED_EVERY[step_s] if len(bars) / n <= most), len(bars))
    ticks = []
    for index in range(0, len(bars), every or 1):
        stamp, day = utc_text(bars[index].start_utc), day_words(bars[index].start_utc)
        if step_s == 86400:  # days of the world's clock; they have no other time
            ticks.append(Tick(index, day))
        elif len(bars) * step_s > WITH_DAY_S:
            ticks.append(Tick(index, f"{day}, {stamp[11:16]}", f' data-moment="{stamp}"'))
        else:
            ticks.append(Tick(index, stamp[11:16], f' data-hour="{stamp}"'))
    return ticks


def _bar(bar: Bar, x: float, width: float, unit: float, textured: dict[str, list[str]]) -> str:
    y = float(HEIGHT - BOTTOM)
    rects = []
    for name, count in bar.parts:
        if count > 0:
            y -= count * unit
            height = count * unit
            rects.append(
                f'<rect class="bar-{escape(name)}" x="{x:.1f}" y="{y:.2f}" width="{width:.1f}" height="{height:.2f}"/>'
            )
            if name in textured:
                textured[name].append(f"M{x:.1f} {y:.2f}h{width:.1f}v{height:.2f}h-{width:.1f}z")
    if bar.watched is not None and bar.watched < FULLY_WATCHED:
        rects.append(f'<rect class="foot" x="{x:.1f}" y="{HEIGHT - BOTTOM + 1}" width="{width:.1f}" height="3"/>')
    return "".join(rects)


def _before(bars: list[Bar], step: float, unit: float) -> str:
    """The week before, as the outline of its bars; broken where nothing is known of it."""
    path, is_down = [], False
    for index, bar in enumerate(bars):
        if bar.before is None:
            is_down = False
            continue
        x, y = LEFT + index * step, HEIGHT - BOTTOM - bar.before * unit
        path.append(f"{'L' if is_down else 'M'}{x:.1f} {y:.1f}h{step:.1f}")
        is_down = True
    return f'<path class="before" d="{"".join(path)}"/>'


def interval(rate: Rate) -> str:
    """A small SVG of a rate from 0 to 1 with its interval; several below each other can be compared."""
    label = _(
        "{rate}, 95 % interval {low} to {high}",
        rate=percent(rate.value),
        low=f"{100 * rate.low:.0f}",
        high=percent(rate.high),
    )
    low, high, value = (4 + 152 * share for share in (rate.low, rate.high, rate.value))
    return (
        f'<svg class="interval" viewBox="0 0 160 16" role="img" aria-label="{label}">'
        '<line class="grid" x1="4" x2="156" y1="8" y2="8"/>'
        '<path class="grid" d="M4 4V12M80 5V11M156 4V12"/>'
        f'<line class="whisker" x1="{low:.1f}" x2="{max(high, low + 1):.1f}" y1="8" y2="8"/>'
        f'<circle cx="{value:.1f}" cy="8" r="4"/></svg>'
    )
