"""A network cable that can be pulled: TCP that is passed on from one loopback port to another."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress

CONNECT_S, JOIN_S = 10.0, 5.0
READ_BYTES = 65_536


class Cable:
    """What connects to `port` is connected with `onward`, until `close`.

    While it is pulled nothing gets through: what was connected is cut off, and what connects waits for an answer.
    """

    def __init__(self, onward: int) -> None:
        self._onward = onward
        self._plugged = threading.Event()
        self._plugged.set()
        self._is_closed = False
        self._lock = threading.Lock()
        self._near: set[socket.socket] = set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, name="cable")
        self._accepting.start()

    def pull(self) -> None:
        """Cut everybody off."""
        self._plugged.clear()
        with self._lock:
            for near in self._near:
                with suppress(OSError):
                    near.shutdown(socket.SHUT_RDWR)

    def plug(self) -> None:
        """Let everybody through again."""
        self._plugged.set()

    def close(self) -> None:
        """End it."""
        self._is_closed = True
        self.pull()
        self.plug()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._accepting.join(JOIN_S)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            self._plugged.wait()
            threading.Thread(target=self._pass_on, args=(near,), name="cable", daemon=True).start()

    def _pass_on(self, near: socket.socket) -> None:
        with near, suppress(OSError), socket.create_connection(("127.0.0.1", self._onward), CONNECT_S) as far:
            far.settimeout(None)
            with self._lock:
                if self._is_closed or not self._plugged.is_set():
                    return
                self._near.add(near)
            try:
                while True:
                    for source in select.select([near, far], [], [])[0]:
                        data = source.recv(READ_BYTES)
                        if not data:
                            return
                        (far if source is near else near).sendall(data)
            finally:
                with self._lock:
                    self._near.discard(near)
