"""A screen as somebody sees it: what a terminal shows once it was drawn on, and what a phone reads there."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence

import cv2
import numpy as np

CELL_WIDTH, CELL_HEIGHT = 8, 16
_HALVES = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}
_SEQUENCE = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z\]])")


class Terminal:
    """A stand-in for a console: knows the few sequences that we use, and refuses any other."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.cells = [[" "] * columns for _ in range(rows)]
        self.column = self.row = 0
        self._rest = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def feed(self, data: bytes) -> None:
        """Show what was written."""
        text, at = self._rest + self._decoder.decode(data), 0
        self._rest = ""
        while at < len(text):
            if text[at] == "\x1b":
                found = _SEQUENCE.match(text, at)
                if not found and len(text) - at < 8:
                    self._rest = text[at:]
                    return
                assert found, f"no sequence of ours: {text[at : at + 10]!r}"
                self._obey(found[0][1:])
                at = found.end()
                continue
            self._type(text[at])
            at += 1

    def _obey(self, sequence: str) -> None:
        if sequence == "[H":
            self.column = self.row = 0
        elif sequence == "[K":
            self._clear(self.row, self.column)
        elif sequence == "[J":
            self._clear(self.row, self.column)
            for row in range(self.row + 1, self.rows):
                self._clear(row, 0)
        else:
            assert sequence in ("[9;0]", "[?25l", "[?7l", "[?25h", "[?7h"), sequence

    def _clear(self, row: int, column: int) -> None:
        self.cells[row][column:] = [" "] * (self.columns - column)

    def _type(self, letter: str) -> None:
        if letter == "\r":
            self.column = 0
        elif letter == "\n":
            assert self.row + 1 < self.rows, "the screen scrolled"
            self.row += 1
        else:
            assert letter.isprintable(), repr(letter)
            self.cells[self.row][min(self.column, self.columns - 1)] = letter
            self.column += 1

    def lines(self) -> list[str]:
        """What stands there."""
        return ["".join(row).rstrip() for row in self.cells]


def picture(lines: Sequence[str], columns: int) -> np.ndarray:
    """Lines as a console shows them, light on dark: uint8, height x width. Letters are strokes that mean nothing."""
    image = np.zeros((len(lines) * CELL_HEIGHT, columns * CELL_WIDTH), np.uint8)
    for row, line in enumerate(lines):
        for column, letter in enumerate(line):
            top, left = row * CELL_HEIGHT, column * CELL_WIDTH
            upper, lower = _HALVES.get(letter, (0, 0))
            image[top : top + 8, left : left + 8] = 170 * upper
            image[top + 8 : top + 16, left : left + 8] = 170 * lower
            if letter not in _HALVES:
                image[top + 3 : top + 12, left + 3 : left + 5] = 170
    return image


def scanned(lines: Sequence[str], columns: int) -> str:
    """What a phone reads in a QR code on such a screen; empty: nothing."""
    text, _, _ = cv2.QRCodeDetector().detectAndDecode(picture(lines, columns))
    return str(text)
