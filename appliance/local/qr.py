"""QR codes in a page, made on the box: nobody else learns what they say. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

import segno

LIGHT_MODULES = 4  # ISO/IEC 18004: so much light must be around a code


def qr_svg(text: str, label: str) -> str:
    """An SVG of the text as a QR code on a light ground, in dark mode, too: a camera wants dark modules on it.

    label: what a screen reader says in its place. Raises segno.DataOverflowError where the text is far too long.
    """
    code = segno.make_qr(text, error="l", boost_error=True)
    side = code.symbol_size(border=LIGHT_MODULES)[0]
    path = "".join(
        f"M{at} {y}h{length}v1h-{length}z"
        for y, row in enumerate(code.matrix_iter(border=LIGHT_MODULES))
        for at, length in _runs(row)
    )
    return (
        f'<svg class="qr" viewBox="0 0 {side} {side}" role="img" aria-label="{escape(label)}"'
        f' shape-rendering="crispEdges"><rect width="{side}" height="{side}" fill="#fff"/>'
        f'<path fill="#000" d="{path}"/></svg>'
    )


def _runs(row: Iterable[int]) -> list[tuple[int, int]]:
    """Where dark modules begin, and how many they are."""
    runs: list[tuple[int, int]] = []
    for x, module in enumerate(row):
        if not module:
            continue
        if runs and sum(runs[-1]) == x:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((x, 1))
    return runs
