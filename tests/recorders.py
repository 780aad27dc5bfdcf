"""Somebody in between: passes on what two sides say to each other, and keeps it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Recorder:
    """Listens on a loopback port, connects on to another, and keeps what went each way.

    inside: the server's own TLS, so that it sees what is inside it; without it, it sees what anybody on the wire does.
    answers_lost: of so many connections, what the server answers does not arrive.
    """

    def __init__(self, port: int, onward: int, inside: ssl.SSLContext | None = None, answers_lost: int = 0) -> None:
        self.sent, self.answered, self.connections = bytearray(), bytearray(), 0
        self._onward, self._inside, self._lost = onward, inside, answers_lost
        self._listening = socket.create_server(("127.0.0.1", port))
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def stop(self) -> None:
        """End it."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(20)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._between, args=(connection, self.connections <= self._lost))
            self._threads.append(thread)
            thread.start()

    def _between(self, connection: socket.socket, is_lost: bool) -> None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._onward), 20) as onward, connection:
            if self._inside is None:
                back = threading.Thread(target=self._pump, args=(onward, connection, self.answered, is_lost))
                back.start()
                self._pump(connection, onward, self.sent, False)
                back.join(20)
                return
            blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
            with (
                self._inside.wrap_socket(connection, server_side=True) as client,
                blind.wrap_socket(onward) as server,
            ):
                request = client.recv(100_000)
                while b"\r\n\r\n" not in request or not request.rstrip().endswith(b"}"):
                    request += client.recv(100_000)
                self.sent += request
                server.sendall(request)
                while data := server.recv(100_000):
                    self.answered += data
                    if not is_lost:
                        client.sendall(data)

    def _pump(self, source: socket.socket, sink: socket.socket, kept: bytearray, is_lost: bool) -> None:
        with suppress(OSError):
            while data := source.recv(100_000):
                kept += data
                if not is_lost:
                    sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def recording(
    port: int, onward: int, inside: ssl.SSLContext | None = None, answers_lost: int = 0
) -> Iterator[Recorder]:
    """A Recorder until the end of the block."""
    recorder = Recorder(port, onward, inside, answers_lost)
    try:
        yield recorder
    finally:
        recorder.stop()
