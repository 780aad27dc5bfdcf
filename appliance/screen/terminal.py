"""Consoles: one that is drawn on (tty1), and serial ones that are written to. Either may be absent or go away."""

from __future__ import annotations

import logging
import os
import re
import select
import termios
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

PLAIN_COLUMNS, PLAIN_ROWS = 80, 25
WRITE_S = 1.0
CONSOLES = Path("/sys/class/tty/console/active")
_HIDE_CURSOR, _HOME, _TO_END_OF_LINE, _TO_END_OF_SCREEN = "\033[?25l", "\033[H", "\033[K", "\033[J"
_NEVER_BLANK, _NO_WRAP = "\033[9;0]", "\033[?7l"
_SHOW_CURSOR, _WRAP = "\033[?25h", "\033[?7h"


class Console:
    """A terminal that is drawn on as a whole, and only when something else is to stand there. For one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = -1
        self._drawn: tuple[list[str], tuple[int, int]] | None = None
        self._trouble = ""

    def size(self) -> tuple[int, int] | None:
        """Its columns and rows; None: it is not there."""
        if not self._opened():
            return None
        try:
            there = os.get_terminal_size(self._handle)
        except OSError as error:
            self._forget(error)
            return None
        # A serial line says 0 x 0; no console is smaller than an old one.
        return there.columns or PLAIN_COLUMNS, there.lines or PLAIN_ROWS

    def draw(self, lines: Sequence[str], size: tuple[int, int]) -> bool:
        """Have these lines on it; whether anything was written. Lines are overwritten, never cleared: no flicker."""
        wanted = list(lines), size
        if wanted == self._drawn or not self._opened():
            return False
        body = f"{_TO_END_OF_LINE}\r\n".join(lines)
        text = f"{_NEVER_BLANK}{_HIDE_CURSOR}{_NO_WRAP}{_HOME}{body}{_TO_END_OF_LINE}{_TO_END_OF_SCREEN}"
        try:
            _write_all(self._handle, text.encode("utf-8", "replace"))
        except OSError as error:
            self._forget(error)
            return False
        self._drawn = wanted
        return True

    def close(self) -> None:
        """Leave it as a terminal that others can use."""
        if self._handle >= 0:
            with suppress(OSError):
                _write_all(self._handle, f"{_SHOW_CURSOR}{_WRAP}\r\n".encode())
            with suppress(OSError):
                os.close(self._handle)
            self._handle = -1

    def _opened(self) -> bool:
        """Whether it is open. It stays so: what was set of it is lost when nobody has it open any more."""
        if self._handle >= 0:
            return True
        try:
            # Non-blocking: a terminal that nobody reads must not stop us. Written only: the group `tty` may no more.
            self._handle = os.open(self.path, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
            _set_quiet(self._handle)
        except OSError as error:
            self._forget(error)
            return False
        self._trouble, self._drawn = "", None
        return True

    def _forget(self, error: OSError) -> None:
        if str(error) != self._trouble:
            log.warning("%s cannot be drawn on, trying again: %s", self.path, error.strerror)
        self._trouble, self._drawn = str(error), None
        if self._handle >= 0:
            with suppress(OSError):
                os.close(self._handle)
            self._handle = -1


def _set_quiet(handle: int) -> None:
    """Keys that somebody presses do not appear on it, nor stop it. Raises OSError."""
    try:
        mode = termios.tcgetattr(handle)
        mode[0] &= ~termios.IXON
        mode[3] &= ~(termios.ECHO | termios.ECHONL)
        termios.tcsetattr(handle, termios.TCSANOW, mode)
    except termios.error as error:
        raise OSError(error.args[0], error.args[1]) from error


def _write_all(handle: int, data: bytes) -> None:
    """Write; raises BlockingIOError, an OSError, if it takes nothing for WRITE_S."""
    while data:
        try:
            data = data[os.write(handle, data) :]
        except BlockingIOError:
            if not select.select([], [handle], [], WRITE_S)[1]:
                raise


def serial_consoles(active: Path = CONSOLES) -> list[Path]:
    """The kernel's consoles but virtual ones (tty0, tty1 ...), which have a screen. Empty where there are none."""
    try:
        names = active.read_text().split()
    except OSError:
        return []
    return [Path("/dev") / name for name in names if not re.fullmatch(r"tty\d*", name)]


class Serial:
    """A line that scrolls: it is told once what is new. Opened each time, since a login prompt may hang it up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._told: list[str] | None = None
        self._trouble = ""

    def tell(self, lines: Sequence[str]) -> bool:
        """Write these lines, unless they were the last ones; whether anything was written."""
        if list(lines) == self._told:
            return False
        try:
            handle = os.open(self.path, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                _write_all(handle, "".join(f"{line}\r\n" for line in lines).encode("utf-8", "replace"))
            finally:
                os.close(handle)
        except BlockingIOError:
            pass  # nobody takes it off the line: told as far as it goes
        except OSError as error:
            if str(error) != self._trouble:
                log.warning("%s cannot be written to, trying again: %s", self.path, error.strerror)
            self._trouble = str(error)
            return False
        self._told, self._trouble = list(lines), ""
        return True
