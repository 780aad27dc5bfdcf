"""A host that has a bundle, over real TLS, for tests: it hangs up, goes on where it broke off, or leads elsewhere."""

from __future__ import annotations

import http.server
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.test_https_server import pair


class Shelf(http.server.ThreadingHTTPServer):
    """A host with one file. breaks_at: it hangs up after so many bytes of an answer. ranges: which it was asked for."""

    def __init__(self, port: int, files: Path, content: bytes) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.content = content
        self.address = f"https://localhost:{port}"
        self.breaks_at: int | None = None
        self.etag, self.length_told, self.pause_s = '"one"', True, 0.0
        self.ranges: list[str | None] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients hang up here on purpose."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Shelf

    def do_GET(self) -> None:
        shelf = self.server
        if self.path == "/to-plain":
            self.send_response(302)
            self.send_header("Location", "http://localhost/mb9k.mb9k")
            self.end_headers()
            return
        if self.path not in ("/mb9k.mb9k", "/moved"):
            self.send_error(404 if self.path == "/nothing" else 503)
            return
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", f"{shelf.address}/mb9k.mb9k")
            self.end_headers()
            return
        asked = self.headers.get("Range")
        shelf.ranges.append(asked)
        goes_on = asked is not None and self.headers.get("If-Range") == shelf.etag
        first = int(asked.removeprefix("bytes=").rstrip("-")) if goes_on and asked else 0
        self.send_response(206 if goes_on else 200)
        if shelf.length_told:
            self.send_header("Content-Length", str(len(shelf.content) - first))
        if shelf.etag:
            self.send_header("ETag", shelf.etag)
        self.end_headers()
        for start in range(first, len(shelf.content), 50_000):
            if shelf.breaks_at is not None and start - first >= shelf.breaks_at:
                return
            time.sleep(shelf.pause_s)
            self.wfile.write(shelf.content[start : start + 50_000])

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def serving_shelf(folder: Path, port: int, content: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    """A host with this content at /mb9k.mb9k, whose certificate this process trusts."""
    files, trusted = pair(folder), folder / "trusted.pem"
    trusted.write_text(files.read_text().partition("-----END PRIVATE KEY-----\n")[2])
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    server = Shelf(port, files, content)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
