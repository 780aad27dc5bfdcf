"""What our charts are made of, as SVG. Their colours are those of app.css, so a chart follows light and dark."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape, unescape
from zlib import crc32

from appliance.language import N_, _

WIDTH, HEIGHT = 720, 200
LEFT, BOTTOM, TOP = 46, 22, 42
TIP_PX = 34  # above the picture: the key, and in its place what the column under the pointer or the focus says
CHARACTER_PX = 6.7  # of a label
TIP_CHARACTER_PX = 8.2  # on a phone, where the text is larger
SCALE_CHARACTER_PX = 9.6  # there, of the widest letters
CHART_REM, HEAT_REM = 34, 44  # how wide charts.css draws a chart that scrolls
KEY_PX = 33  # of an entry of the key: its mark, and what is free before the next
NARROW, WIDE = " fijlrt.,'|", "mwMW%"
"""Letters that are about half as wide as others, and half as wide again, in the fonts that browsers have."""
_KEY = re.compile(r'<g class="chart-key"[^>]*>(.*?)</g>')
_ENTRY = re.compile(r"((?:<rect [^>]*/>)+)<text [^>]*>(.*?)</text>")
_X = re.compile(' x="[^"]*"')
_HEAD = re.compile(rf'<svg class="chart ([\w-]+)" viewBox="0 0 {WIDTH} ([\d.]+)"')
_SCALE = re.compile(rf'<text class="scale" x="{LEFT - 6}" y="([\d.]+)">(.*?)</text>')
NOBODY_LOOKED = N_("nobody looked: no stream was LIVE, or nothing came")
STATE_LABELS = {
    "mask": N_("Mask"),
    "incorrect": N_("Worn incorrectly"),
    "no_mask": N_("No mask"),
    "unknown": N_("Unknown"),
}
"""By the name of the CSS class, from the bottom of a bar up."""
COUNTED = {
    "mask": N_("{count} mask"),
    "incorrect": N_("{count} incorrect"),
    "no_mask": N_("{count} no mask"),
    "unknown": N_("{count} unknown"),
}
"""So many persons of a state, for the words of a bar."""
TEXTURED = {"incorrect": "M0 0V6", "no_mask": "M1 1H3M4 4H6"}
"""What lies over a state's colour, for who cannot tell the colours apart. A mask is plain, unknown is hollow."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A label below column `index`. attribute: what app.js reads to write it in the reader's zone."""

    index: int
    text: str
    attribute: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """The part of a chart that a pointer or the focus asks, from x on.

    lines: what it says, at most two lines. href: where it leads; empty: nowhere.
    attributes: what app.js reads to say it by the reader's clock.
    """

    x: float
    width: float
    lines: tuple[str, ...]
    href: str = ""
    top: float = TOP
    height: float = HEIGHT - BOTTOM - TOP
    attributes: str = ""


def counted(state: str, count: str) -> str:
    """So many of a state, `12 no mask`; another class of a bar as it is called."""
    return _(COUNTED[state], count=count) if state in COUNTED else f"{count} {state.replace('_', ' ')}"


def opening(kind: str, title: str, height: float = HEIGHT) -> str:
    """The start of a chart, whose columns may be asked one by one."""
    role = escape(_("chart"))
    return (
        f'<svg class="chart {kind}" viewBox="0 0 {WIDTH} {height:g}" role="group" aria-label="{escape(title)}"'
        f' aria-roledescription="{role}">'
    )


def name_of(title: str, *more: str) -> str:
    """An id within the page for what a chart refers to."""
    return f"c{crc32(repr((title, more)).encode()):08x}"


def column(place: Column, drawing: str = "", marks: str = "") -> str:
    """What a column draws, with its words: shown above the picture while it is pointed at or has the focus.

    marks: more CSS classes. The words are markup already only where they come from `escape`; here they are escaped.
    """
    *first, last = [line for line in place.lines if line] or [""]
    label = escape(". ".join([*(line.removesuffix(".") for line in first), last]))  # some languages write `1. Jan.`
    place_px = f'x="{place.x:.1f}" y="{place.top:.1f}" width="{place.width:.1f}" height="{place.height:.1f}"'
    hit = f'<rect class="hit" {place_px}/>'
    inner = f"{hit}{drawing}{tip(place.x + place.width / 2, place.lines)}"
    classes = f"column {marks}".strip()
    if place.href:
        return f'<a class="{classes}" href="{escape(place.href)}" aria-label="{label}"{place.attributes}>{inner}</a>'
    return f'<g class="{classes}" tabindex="0" role="img" aria-label="{label}"{place.attributes}>{inner}</g>'


def tip(middle: float, lines: Sequence[str]) -> str:
    """The words of a column, as near to it as they fit; charts.css shows one at a time."""
    width = TIP_CHARACTER_PX * max(map(len, lines), default=0)
    x = max(4.0, min(middle - width / 2, WIDTH - 4 - width))
    texts = "".join(f'<text x="{x:.0f}" y="{13 + 17 * row}">{escape(line)}</text>' for row, line in enumerate(lines))
    return f'<g class="tip" aria-hidden="true"><rect width="{WIDTH}" height="{TIP_PX}"/>{texts}</g>'


def key(entries: Iterable[tuple[str, str, str]]) -> str:
    """What the marks mean, on the line above the picture. entries: (CSS class, pattern's id or "", label).

    A narrow screen has no room for it there, and shows `key_list` instead.
    """
    shown = list(entries)
    x = WIDTH - sum(_key_px(label) for _name, _pattern, label in shown)
    pieces = []
    for name, pattern, label in shown:
        pieces.append(f'<rect class="{name}" x="{x:.0f}" y="4" width="14" height="10"/>')
        if pattern:
            pieces.append(f'<rect fill="url(#{pattern})" x="{x:.0f}" y="4" width="14" height="10"/>')
        pieces.append(f'<text x="{x + 19:.0f}" y="13">{escape(label)}</text>')
        x += _key_px(label)
    return f'<g class="chart-key" aria-hidden="true">{"".join(pieces)}</g>'


def key_list(chart: str) -> str:
    """The key of a chart as a list of HTML, which wraps; empty: it has none. charts.css shows it on narrow screens."""
    found = _KEY.search(chart)
    entries = [
        f'<li><svg viewBox="-1 3 16 12" width="16" height="12">{_X.sub("", marks)}</svg>{label}</li>'
        for marks, label in _ENTRY.findall(found[1] if found else "")
    ]
    return f'<ul class="plain key-line keys" aria-hidden="true">{"".join(entries)}</ul>' if entries else ""


def scale_beside(chart: str) -> str:
    """The scale of a chart again, to stand beside it where a narrow screen scrolls it; empty: it has none.

    Its height is the one that charts.css gives the chart there, and the scale in the chart is hidden.
    """
    head, texts = _HEAD.match(chart), _SCALE.findall(chart)
    if not head or not texts:
        return ""
    width, height = 4 + SCALE_CHARACTER_PX * max(len(unescape(text)) for _y, text in texts), float(head[2])
    rem = (HEAT_REM if head[1] == "heat" else CHART_REM) / WIDTH
    lines = "".join(f'<text class="scale" x="{width - 4:.1f}" y="{y}">{text}</text>' for y, text in texts)
    size = f'width="{width * rem:.3f}rem" height="{height * rem:.3f}rem"'
    return f'<svg class="scale-beside" viewBox="0 0 {width:.1f} {height:g}" {size} aria-hidden="true">{lines}</svg>'


def _key_px(label: str) -> float:
    narrow, wide = sum(label.count(each) for each in NARROW), sum(label.count(each) for each in WIDE)
    return KEY_PX + 7.9 * len(label) - 3.6 * narrow + 3.6 * wide


def textures(name: str) -> str:
    """The patterns over the states' colours: `name-incorrect` and the like."""
    return "".join(
        f'<pattern id="{name}-{state}" width="6" height="6" patternUnits="userSpaceOnUse"'
        f"{' patternTransform=' + chr(34) + 'rotate(45)' + chr(34) if state == 'incorrect' else ''}>"
        f'<path class="texture" d="{path}"/></pattern>'
        for state, path in TEXTURED.items()
    )


def hatching(name: str) -> str:
    """The pattern of what nobody watched."""
    return (
        f'<pattern id="{name}" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<line class="hatch" x1="0" x2="0" y1="0" y2="6"/></pattern>'
    )


def gap(x: float, width: float, hatch: str, top: float = TOP, height: float = HEIGHT - BOTTOM - TOP) -> str:
    """Where nobody looked."""
    return f'<rect fill="url(#{hatch})" x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def line(text: str, y: float) -> str:
    """A line of the scale."""
    return (
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="scale" x="{LEFT - 6}" y="{y + 4:.1f}">{text}</text>'
    )


def labels(ticks: Iterable[Tick], step: float, height: float = HEIGHT) -> str:
    """The labels below the columns, each `step` wide; one that would not fit at the end is left out."""
    pieces = []
    for tick in ticks:
        half = CHARACTER_PX * len(tick.text) / 2
        x = LEFT + (tick.index + 0.5) * step
        if x + half <= WIDTH:
            at = f'x="{max(x, half):.1f}" y="{height - 5:g}"'
            pieces.append(f'<text class="hour" {at}{tick.attribute}>{escape(tick.text)}</text>')
    return "".join(pieces)
