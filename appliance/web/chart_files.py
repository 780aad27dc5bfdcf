"""A chart as a file that stands alone: for a report, a slide, a printer. Pure functions.

The colours are those of app.css by day, written at each mark as attributes: programs that draw SVG know no variables,
many no style sheets, and a browser that draws the file into a PNG obeys the policy of the site, which forbids both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from appliance.web.svg import WIDTH

MARGIN_PX, LINE_PX = 16, 18
INK, QUIET, EDGE, CARD = "#15201d", "#56635f", "#dbe2df", "#ffffff"
MASK, INCORRECT, NO_MASK, UNKNOWN, WARN = "#1f8a74", "#d39a1e", "#c5482c", "#98a29f", "#d9b04c"
HEAT = ("#f4f6f5", "#cfe6df", "#8fc7b8", "#2f8373", "#0c4f44")
LIGHT = {
    "bar-mask": f'fill="{MASK}"',
    "bar-incorrect": f'fill="{INCORRECT}"',
    "bar-no_mask": f'fill="{NO_MASK}"',
    "bar-unknown": f'fill="{CARD}" stroke="{UNKNOWN}"',
    "texture": f'stroke="{CARD}" stroke-width="2" fill="none"',
    "hatch": 'stroke="#87948f" stroke-width="2.5" opacity="0.55"',
    "grid": f'stroke="{EDGE}" fill="none"',
    "hit": 'fill="none"',
    "foot": f'fill="{WARN}"',
    "before": f'fill="none" stroke="{INK}" stroke-width="1.5" stroke-dasharray="4 2"',
    "before-key": f'fill="none" stroke="{INK}" stroke-dasharray="4 2"',
    "band": f'fill="{MASK}" fill-opacity="0.25"',
    "rate-line": f'fill="none" stroke="{MASK}" stroke-width="1.5"',
    "rate-key": f'fill="{MASK}"',
    "dot": f'fill="{MASK}"',
    "whisker": f'stroke="{MASK}" stroke-width="4" opacity="0.45"',
    "scale": 'text-anchor="end"',
    "hour": 'text-anchor="middle"',
    "name": f'fill="{INK}"',
    "unsure": 'fill-opacity="0.45"',
    **{f"heat-{shade}": f'fill="{colour}"' for shade, colour in enumerate(HEAT)},
    **{
        f"on-{shade}": f'text-anchor="middle" font-size="11" fill="{INK if shade < 3 else CARD}"'
        for shade in range(len(HEAT))
    },
}
"""What charts.css says of each class."""
_TIP = re.compile(r'<g class="tip".*?</g>')
_COLUMN = re.compile(r'<(?:a|g) class="column ?([^"]*)"[^>]*? aria-label="([^"]*)"[^>]*>')
_CLASS = re.compile(r' class="([^"]*)"')
_VIEW = re.compile(r'<svg [^>]*viewBox="0 0 \d+ ([\d.]+)"[^>]*>')


def standalone(chart: str, title: str, notes: Sequence[str] = ()) -> str:
    """An SVG document of a chart, with its title above and notes (whose, when, which zone) below it."""
    found = _VIEW.match(chart)
    height = float(found[1]) if found else 0.0
    inner = chart[found.end() : -len("</svg>")] if found else ""
    inner = _TIP.sub("", inner)
    inner = _COLUMN.sub(r'<g class="\1"><title>\2</title>', inner).replace("</a>", "</g>")
    inner = _CLASS.sub(_attributes, inner)
    head = MARGIN_PX + 28
    whole = head + height + LINE_PX * len(notes) + MARGIN_PX
    wide = WIDTH + 2 * MARGIN_PX
    below = "".join(
        f'<text x="{MARGIN_PX}" y="{head + height + LINE_PX * (row + 0.8):.0f}">{escape(note)}</text>'
        for row, note in enumerate(notes)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{whole:.0f}" viewBox="0 0 {wide} {whole:.0f}"'
        f' font-family="system-ui, Segoe UI, Roboto, Noto Sans, sans-serif" font-size="12" fill="{QUIET}">'
        f'<title>{escape(title)}</title><rect width="{wide}" height="{whole:.0f}" fill="{CARD}"/>'
        f'<text x="{MARGIN_PX}" y="{MARGIN_PX + 12}" font-size="15" font-weight="600" fill="{INK}">'
        f"{escape(title)}</text>"
        f'<g transform="translate({MARGIN_PX} {head - 4})">{inner}</g>{below}</svg>\n'
    )


def _attributes(found: re.Match[str]) -> str:
    known = [LIGHT[name] for name in found[1].split() if name in LIGHT]
    return "".join(f" {attributes}" for attributes in known)
