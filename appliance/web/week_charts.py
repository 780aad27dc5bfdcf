"""The hours of the week as a heat map, and streams side by side: SVG from pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from html import escape

from appliance.faces import Counts
from appliance.language import _, decimal, n_, weekday_short
from appliance.language import weekday as weekday_name
from appliance.rates import Rate
from appliance.web import svg
from appliance.web.charts import short
from appliance.web.svg import LEFT, STATE_LABELS, TEXTURED, TIP_PX, WIDTH, Column, Tick
from appliance.web.words import TOO_FEW, number, percent

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
"""As tables for programs have them."""
MONDAY = date(2024, 1, 1)
CELL_PX, SHADES = 24, 5
ROW_PX, NAME_PX, RATE_PX = 30, 190, 150
TOTAL_PX = 76  # behind the longest bar: its number, and a room that words instead of a rate may take, too
NAME_CHARACTERS = 24


@dataclass(frozen=True, slots=True)
class Cell:
    """One hour of the week. value: how many persons; None: nobody looked. words: what it says besides."""

    value: float | None
    words: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """What one stream counted. rate: None: too few to say one. href: where it leads."""

    title: str
    counts: Counts
    rate: Rate | None
    href: str = ""


def heat_map(cells: Sequence[Sequence[Cell | None]], title: str) -> str:
    """An SVG of 7 x 24 cells, each with its figure in it: the shade alone tells nobody anything.

    cells: [0][9]: Mondays from 9 to 10; None: still to come.
    """
    width = (WIDTH - LEFT) / 24
    height = TIP_PX + 8 + 7 * CELL_PX + svg.BOTTOM
    highest = max((cell.value or 0 for row in cells for cell in row if cell), default=0)
    hatch = f"{svg.name_of(title, 'week')}-gap"
    pieces = [
        svg.opening("heat", title, height),
        f"<defs>{svg.hatching(hatch)}</defs>",
        svg.key((f"heat-{shade}", "", _range(shade, highest)) for shade in range(1, SHADES) if highest),
    ]
    for weekday, row in enumerate(cells):
        y, day = TIP_PX + 8 + weekday * CELL_PX, MONDAY + timedelta(days=weekday)
        pieces.append(f'<text class="scale" x="{LEFT - 6}" y="{y + 16}">{escape(weekday_short(day))}</text>')
        for hour, cell in enumerate(row):
            if cell is None:
                continue
            x = LEFT + hour * width
            when = _(
                "{weekday}, {begin} to {end}",
                weekday=weekday_name(day),
                begin=f"{hour:02d}:00",
                end=f"{(hour + 1) % 24:02d}:00",
            )
            if cell.value is None:
                pieces.append(f'<g aria-hidden="true">{svg.gap(x, width - 1, hatch, y, CELL_PX - 1)}</g>')
                continue
            lines = (persons_words(when, cell.value), cell.words)
            place = Column(x, width - 1, lines, top=y, height=CELL_PX - 1)
            shade = shade_of(cell.value, highest)
            drawing = f'<rect class="heat-{shade}" x="{x:.1f}" y="{y}" width="{width - 1:.1f}" height="{CELL_PX - 1}"/>'
            if cell.value:
                text = figure(cell.value)
                drawing += f'<text class="on-{shade}" x="{x + width / 2 - 0.5:.1f}" y="{y + 16}">{text}</text>'
            pieces.append(svg.column(place, drawing))
    pieces.append(svg.labels([Tick(hour, f"{hour:02d}:00") for hour in range(0, 24, 3)], width, height))
    return "".join([*pieces, "</svg>"])


def persons_words(when: str, value: float) -> str:
    """So many persons in an hour, on average."""
    shown = figure(value)
    n = 1 if shown == "1" else 0 if value < 1 else 2  # languages differ in whether 0.5 is one or many
    return n_("{when}: {figure} person an hour", "{when}: {figure} persons an hour", n, when=when, figure=shown)


def shade_of(value: float, highest: float) -> int:
    """0: nobody; then four quarters of the highest."""
    return 0 if not value or not highest else min(SHADES - 1, 1 + int((SHADES - 1) * value / highest))


def _range(shade: int, highest: float) -> str:
    parts = SHADES - 1
    return _("from {figure}", figure=figure(highest * (shade - 1) / parts)) if shade > 1 else _("over 0")


def figure(value: float) -> str:
    """A figure in the room of a cell: 0.3, 4.5, 12, 1.2k."""
    if value >= 1000:
        return f"{decimal(value / 1000)}k" if value < 9950 else f"{value / 1000:.0f}k"
    if value >= 9.95 or value == int(value):
        return f"{value:.0f}"
    return decimal(value) if value >= 0.05 else f"<{decimal(0.1)}"


def stream_rows(rows: list[Row], title: str) -> str:
    """An SVG with a bar for each stream, its states from left to right, and its rate with its interval beside."""
    name = svg.name_of(title, "streams")
    height = TIP_PX + 8 + ROW_PX * len(rows) + 4
    most = max((row.counts.total for row in rows), default=0) or 1
    entries = [
        (f"bar-{state}", f"{name}-{state}" if state in TEXTURED else "", _(label))
        for state, label in STATE_LABELS.items()
    ]
    pieces = [svg.opening("streams", title, height), f"<defs>{svg.textures(name)}</defs>", svg.key(entries)]
    textured: dict[str, list[str]] = {state: [] for state in TEXTURED}
    for index, row in enumerate(rows):
        y = TIP_PX + 8 + index * ROW_PX
        pieces.append(_row(row, y, (WIDTH - NAME_PX - RATE_PX - TOTAL_PX) / most, textured))
    pieces += [
        f'<path class="over" fill="url(#{name}-{state})" d="{"".join(paths)}"/>'
        for state, paths in textured.items()
        if paths
    ]
    return "".join([*pieces, "</svg>"])


def _row(row: Row, y: float, unit: float, textured: dict[str, list[str]]) -> str:
    x, pieces, notes = float(NAME_PX), [], []
    for state in STATE_LABELS:
        count = getattr(row.counts, state)
        if count:
            width = count * unit
            pieces.append(
                f'<rect class="bar-{state}" x="{x:.1f}" y="{y + 6:.0f}" width="{width:.2f}" height="{ROW_PX - 12}"/>'
            )
            if state in textured:
                textured[state].append(f"M{x:.1f} {y + 6:.0f}h{width:.2f}v{ROW_PX - 12}h-{width:.2f}z")
            notes.append(svg.counted(state, number(count)))
            x += width
    title = row.title if len(row.title) <= NAME_CHARACTERS else f"{row.title[: NAME_CHARACTERS - 1]}…"
    pieces.append(f'<text class="name" x="0" y="{y + 20:.0f}">{escape(title)}</text>')
    pieces.append(f'<text x="{x + 6:.1f}" y="{y + 20:.0f}">{short(row.counts.total)}</text>')
    pieces.append(_whisker(row.rate, WIDTH - RATE_PX, y + ROW_PX / 2))
    rate = _(TOO_FEW)
    if row.rate:
        rate = _("compliance {rate}, n = {n}", rate=percent(row.rate.value), n=number(row.rate.n))
    lines = (
        n_("{when}: {n} person", "{when}: {n} persons", row.counts.total, when=row.title),
        ", ".join([*notes, rate]),
    )
    return svg.column(Column(0, WIDTH, lines, row.href, y, ROW_PX), "".join(pieces))


def _whisker(rate: Rate | None, left: float, y: float) -> str:
    """The rate from 0 to 100 %, as wide as its room."""
    if rate is None:
        return f'<text text-anchor="end" x="{WIDTH}" y="{y + 4:.0f}">{escape(_(TOO_FEW))}</text>'
    length = RATE_PX - 48
    low, high, value = (left + length * share for share in (rate.low, rate.high, rate.value))
    ends = f"M{left:.0f} {y - 4:.0f}v8M{left + length:.0f} {y - 4:.0f}v8"
    return (
        f'<path class="grid" d="M{left:.0f} {y:.0f}h{length}{ends}"/>'
        f'<line class="whisker" x1="{low:.1f}" x2="{max(high, low + 1):.1f}" y1="{y:.0f}" y2="{y:.0f}"/>'
        f'<circle class="dot" cx="{value:.1f}" cy="{y:.0f}" r="4"/>'
        f'<text class="scale" x="{WIDTH}" y="{y + 4:.0f}">{percent(rate.value)}</text>'
    )
