"""A WSGI application behind cheroot."""

from __future__ import annotations

import logging
import select
import socket
from typing import Any

from cheroot import wsgi

from appliance.service import refuse_busy_port

log = logging.getLogger(__name__)
THREADS = 16
CLIENT_TIMEOUT_S = 5
MAX_BODY_BYTES = 100_000
MAX_HEADER_BYTES = 32_000


class _Server(wsgi.Server):
    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        """What cheroot has to say, into our log."""
        log.log(level, "%s", msg, exc_info=traceback)

    def process_conn(self, conn: Any) -> None:
        """Give a connection to a thread once there is something to read.

        cheroot gives it one at once, so a few browsers that open connections in advance would hold all threads.
        Beside the others that wait, it costs nothing, and is closed after CLIENT_TIMEOUT_S.
        """
        if conn.rfile.has_data() or _is_readable(conn.socket):
            super().process_conn(conn)
        else:
            self._connections.put(conn)  # type: ignore[attr-defined]  # the stubs leave it out


def _is_readable(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


def make_server(app: Any, host: str, port: int) -> Any:
    """A cheroot server for `service.serve_http`. Raises UserError if the port cannot be had."""
    refuse_busy_port(host, port, "web.port")
    server = _Server((host, port), app, numthreads=THREADS, timeout=CLIENT_TIMEOUT_S, request_queue_size=128)
    server.max_request_body_size = MAX_BODY_BYTES
    server.max_request_header_size = MAX_HEADER_BYTES
    return server
