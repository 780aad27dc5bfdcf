"""Attackers for tests, bounded and on loopback only: each is a thread that goes on until the end of its block."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

HANDSHAKE = b"\x03" + bytes(1536) + bytes(1536)  # RTMP's, both halves at once
NETWORKS = 8  # 127.0.0.2 and on: so many machines attack at once


class Attacker:
    """One connection, made again whenever it ends. `first` is sent at its beginning."""

    def __init__(self, port: int, number: int, first: bytes) -> None:
        self._port, self._first = port, first
        self._source = (f"127.0.0.{2 + number % NETWORKS}", 0)
        self._socket: socket.socket | None = None

    def send(self, data: bytes) -> None:
        """Send what the other side takes at once, after `first` if the connection is a new one."""
        try:
            if self._socket is None:
                self._socket = socket.create_connection(("127.0.0.1", self._port), 0.5, self._source)
                self._socket.settimeout(0)
                data = self._first + data
            self._socket.send(data)
        except BlockingIOError:
            pass
        except OSError:
            self.close()

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None


@contextmanager
def _running(action: Callable[[threading.Event], None]) -> Iterator[None]:
    ending = threading.Event()
    thread = threading.Thread(target=action, args=(ending,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join(60)


@contextmanager
def sending(port: int, count: int, first: bytes, each: bytes, pause_s: float) -> Iterator[None]:
    """`count` connections that send `first`, then `each` every `pause_s`, and never read. At the yield all are open."""
    attackers = [Attacker(port, number, first) for number in range(count)]
    begun = threading.Event()

    def action(ending: threading.Event) -> None:
        while not ending.is_set():
            for attacker in attackers:
                if ending.is_set():
                    break
                attacker.send(each)
            begun.set()
            ending.wait(pause_s)
        for attacker in attackers:
            attacker.close()

    with _running(action):
        begun.wait(60)
        yield


@contextmanager
def knocking(port: int) -> Iterator[None]:
    """Connections one after the other, as fast as they are taken, from many addresses; none says anything."""

    def action(ending: threading.Event) -> None:
        held: list[socket.socket] = []
        number = 0
        while not ending.is_set():
            number += 1
            with suppress(OSError):
                source = (f"127.0.0.{2 + number % NETWORKS}", 0)
                held.append(socket.create_connection(("127.0.0.1", port), 0.5, source))
            if len(held) > 400:
                held.pop(0).close()
        for one in held:
            one.close()

    with _running(action):
        yield
