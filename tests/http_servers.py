"""HTTP servers that tests let play videos: in threads of their own, quiet, and gone at the end of the block."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Player(BaseHTTPRequestHandler):
    """A handler that can play a video, and logs nothing."""

    def play(self, video: Iterable[bytes]) -> None:
        """Send the parts as they come, until the client leaves."""
        with suppress(BrokenPipeError, ConnectionResetError):
            for part in video:
                self.wfile.write(part)
                self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True


@contextmanager
def serving_http(handler: type[Player]) -> Iterator[int]:
    """Answer on a port of loopback, which this yields, until the end of the block."""
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
