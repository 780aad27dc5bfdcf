"""Pictures of two colours as text: a character is two pixels, one above the other (U+2580, U+2584, U+2588). Pure.

The console's own font has these three, and its characters are twice as high as wide, so that pixels are squares.
"""

from __future__ import annotations

from collections.abc import Sequence

import segno

Pixels = Sequence[Sequence[bool]]
"""Rows of pixels, True is light."""

QUIET_MODULES = 4  # ISO/IEC 18004: so much light must be around a code
_HALVES = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}

# Five pixels a row, seven rows, each as a hexadecimal number: the letters of a claim code, and all digits.
_LETTERS = {
    "0": "0E 11 13 15 19 11 0E",
    "1": "04 0C 04 04 04 04 0E",
    "2": "0E 11 01 02 04 08 1F",
    "3": "1F 02 04 02 01 11 0E",
    "4": "02 06 0A 12 1F 02 02",
    "5": "1F 10 1E 01 01 11 0E",
    "6": "06 08 10 1E 11 11 0E",
    "7": "1F 01 02 04 08 08 08",
    "8": "0E 11 11 0E 11 11 0E",
    "9": "0E 11 11 0F 01 02 0C",
    "A": "0E 11 11 1F 11 11 11",
    "B": "1E 11 11 1E 11 11 1E",
    "C": "0E 11 10 10 10 11 0E",
    "D": "1C 12 11 11 11 12 1C",
    "E": "1F 10 10 1E 10 10 1F",
    "F": "1F 10 10 1E 10 10 10",
    "G": "0E 11 10 17 11 11 0F",
    "H": "11 11 11 1F 11 11 11",
    "J": "07 02 02 02 02 12 0C",
    "K": "11 12 14 18 14 12 11",
    "M": "11 1B 15 15 11 11 11",
    "N": "11 11 19 15 13 11 11",
    "P": "1E 11 11 1E 10 10 10",
    "Q": "0E 11 11 11 15 12 0D",
    "R": "1E 11 11 1E 14 12 11",
    "S": "0F 10 10 0E 01 01 1E",
    "T": "1F 04 04 04 04 04 04",
    "U": "11 11 11 11 11 11 0E",
    "V": "11 11 11 11 11 0A 04",
    "W": "11 11 11 15 15 15 0A",
    "X": "11 11 0A 04 0A 11 11",
    "Y": "11 11 11 0A 04 04 04",
    "Z": "1F 01 02 04 08 10 1F",
    "-": "00 00 00 1F 00 00 00",
}
_LETTER_WIDTH, _GAP = 5, 1


def qr(text: str) -> Pixels:
    """A QR code with its light margin, as a lit screen shows it; raises segno.DataOverflowError if it is far too long.

    Of the least size that holds it, and then with as much to spare against errors as that size allows.
    """
    matrix = segno.make_qr(text, error="l", boost_error=True).matrix_iter(border=QUIET_MODULES)
    return [[not module for module in row] for row in matrix]


def large(text: str) -> Pixels:
    """Digits, capital letters and dashes, seven pixels high. Raises KeyError of others."""
    rows: list[list[bool]] = [[] for _ in range(7)]
    for letter in text:
        for row, bits in zip(rows, _LETTERS[letter].split(), strict=True):
            row.extend(bool(int(bits, 16) >> at & 1) for at in reversed(range(_LETTER_WIDTH)))
            row.extend([False] * _GAP)
    return [row[:-_GAP] for row in rows]


def scaled(pixels: Pixels, scale: int) -> Pixels:
    """Each pixel as a square of scale x scale."""
    return [[pixel for pixel in row for _ in range(scale)] for row in pixels for _ in range(scale)]


def lines(pixels: Pixels) -> list[str]:
    """The picture as lines of text, half as many as it has rows; an odd last row has darkness below it."""
    if not pixels:
        return []
    dark = [False] * len(pixels[0])
    even = [*pixels, dark] if len(pixels) % 2 else list(pixels)
    return [
        "".join(_HALVES[above, below] for above, below in zip(first, second, strict=True))
        for first, second in zip(even[::2], even[1::2], strict=True)
    ]
