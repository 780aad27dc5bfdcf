"""A webhook's server for tests: keeps what it is sent, and answers as it is told to."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from tests.http_servers import Player, serving_http


@dataclass
class Hook:
    """statuses: what the next requests are answered with, then 204. moved_to: where a redirect leads."""

    port: int = 0
    statuses: list[int] = field(default_factory=list)
    moved_to: str = ""
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}/hook?token=a-secret"

    @property
    def messages(self) -> list[Any]:
        """What it was sent."""
        return [json.loads(body) for body in self.bodies]


@contextmanager
def hook_server() -> Iterator[Hook]:
    """A webhook on loopback until the end of the block."""
    hook = Hook()

    class Handler(Player):
        def do_POST(self) -> None:
            assert self.path == "/hook?token=a-secret"
            hook.headers.append(dict(self.headers))
            hook.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(hook.statuses.pop(0) if hook.statuses else 204)
            if hook.moved_to:
                self.send_header("Location", hook.moved_to)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with serving_http(Handler) as port:
        hook.port = port
        yield hook


@contextmanager
def hanging_server(say: bytes = b"") -> Iterator[int]:
    """Takes connections on this port and never answers, or says this, byte by byte, four a second, without an end."""
    stopping = threading.Event()
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)

        def run() -> None:
            while not stopping.is_set():
                with suppress(TimeoutError):
                    held.append(server.accept()[0])
                for each in held if say else ():
                    with suppress(OSError):
                        each.send(say)
                time.sleep(0.2 if say else 0)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            stopping.set()
            thread.join()
            for each in held:
                each.close()
