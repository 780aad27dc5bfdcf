"""A network that fails: between clients and a server on loopback, for bytes."""

from __future__ import annotations

import selectors
import socket
import struct
import threading
import time

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: closing sends a reset


class Proxy:
    """Between boxes and broker, for bytes. stall_until_s: nothing passes until then; swallow_until_s: what comes from
    the broker is lost, so the connection must be reset before that ends (monotonic clock).
    """

    def __init__(self, port: int, to_port: int) -> None:
        self.stall_until_s = self.swallow_until_s = 0.0
        self._to_port, self._is_ending, self._resets = to_port, False, 0
        self._listener = socket.create_server(("127.0.0.1", port))
        self._listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def reset(self) -> None:
        """End all connections at once, without a farewell."""
        self._resets += 1

    def close(self) -> None:
        """End."""
        self._is_ending = True
        self._thread.join()

    def _run(self) -> None:
        done = 0
        while not self._is_ending:
            if done < self._resets:
                done = self._resets
                for near in list(self._pairs):
                    self._end(near)
            if time.monotonic() < self.stall_until_s:
                time.sleep(0.02)
                continue
            for key, _ in self._selector.select(0.02):
                if key.data is None:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._pairs:
                    self._pass_on(key.fileobj, is_answer=key.data == "broker")
        for near in list(self._pairs):
            self._end(near)
        self._selector.close()
        self._listener.close()

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection(("127.0.0.1", self._to_port), 1)
        except OSError:
            near.close()
            return
        for one, other, name in ((near, far, "box"), (far, near, "broker")):
            one.settimeout(2)
            self._pairs[one] = other
            self._selector.register(one, selectors.EVENT_READ, name)

    def _pass_on(self, from_: socket.socket, is_answer: bool) -> None:
        try:
            some = from_.recv(65_536)
            if some and not (is_answer and time.monotonic() < self.swallow_until_s):
                self._pairs[from_].sendall(some)
        except OSError:
            some = b""
        if not some:
            self._end(from_)

    def _end(self, one: socket.socket) -> None:
        for end in (one, self._pairs.get(one)):
            if end is not None and self._pairs.pop(end, None) is not None:
                self._selector.unregister(end)
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                end.close()
