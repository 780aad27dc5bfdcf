"""What a person who waits for an image sees: a line per step, with the seconds it took."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Progress:
    """Writes to standard error. took_s: the seconds of each step so far."""

    def __init__(self) -> None:
        self.took_s: dict[str, float] = {}

    @contextmanager
    def step(self, says: str) -> Iterator[None]:
        """A step that begins here and ends with the block."""
        begun_s = time.monotonic()
        print(f"{says} ...", end=" ", file=sys.stderr, flush=True)
        try:
            yield
        except BaseException:
            print(file=sys.stderr, flush=True)
            raise
        self.took_s[says] = round(time.monotonic() - begun_s, 1)
        print(f"{self.took_s[says]:.0f} s", file=sys.stderr, flush=True)

    def note(self, says: str) -> None:
        """A line of its own, between steps."""
        print(says, file=sys.stderr, flush=True)
