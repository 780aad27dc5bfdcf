"""A WSGI application behind cheroot."""

from __future__ import annotations

import errno
import logging
import select
import socket
from typing import Any

from cheroot import wsgi

from appliance.errors import UserError

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


def listen(app: Any, host: str, port: int) -> Any:
    """A cheroot server that listens; `serve()` runs it, `stop()` ends it. Raises UserError."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.create_server((host, port), family=family).close()
    except (OSError, OverflowError) as error:
        raise UserError(_why_not(host, port, error)) from error
    server = _Server((host, port), app, numthreads=THREADS, timeout=CLIENT_TIMEOUT_S, request_queue_size=128)
    server.max_request_body_size = MAX_BODY_BYTES
    server.max_request_header_size = MAX_HEADER_BYTES
    server.prepare()
    return server


def _why_not(host: str, port: int, error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return (
            f"port {port} is taken by another program; stop it, or set another port under [web] in the"
            " configuration file"
        )
    if number == errno.EACCES:
        return f"port {port} may not be used by this user; set one above 1023 under [web] in the configuration file"
    return f"the site cannot listen on {host} port {port} ({error}); set host and port under [web]"
