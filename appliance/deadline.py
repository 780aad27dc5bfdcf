"""A connection that ends when all of it takes too long, also with a server that sends a byte now and then."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Deadline:
    """For one connection, from `begin` to the end of the block. is_over: it was cut."""

    def __init__(self, length_s: float) -> None:
        self.is_over = False
        self._held: socket.socket | None = None
        self._timer = threading.Timer(length_s, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Deadline:
        return self

    def begin(self, connection: socket.socket) -> None:
        """From now on there is this much time. Another handle on it is kept: TLS takes the first away."""
        self._held = connection.dup()
        self._timer.start()

    def _cut(self) -> None:
        self.is_over = True
        if self._held is not None:
            with suppress(OSError):  # it has ended by itself
                self._held.shutdown(socket.SHUT_RDWR)

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._held is not None:
            self._timer.join()
            self._held.close()
