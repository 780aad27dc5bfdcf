"""A WSGI application behind cheroot."""

from __future__ import annotations

import errno
import logging
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


def listen(app: Any, host: str, port: int) -> Any:
    """A cheroot server that listens; `serve()` runs it, `stop()` ends it. Raises UserError."""
    server = _Server((host, port), app, numthreads=THREADS, timeout=CLIENT_TIMEOUT_S)
    server.max_request_body_size = MAX_BODY_BYTES
    server.max_request_header_size = MAX_HEADER_BYTES
    try:
        server.prepare()
    except OSError as error:
        raise UserError(_why_not(host, port, error)) from error
    # A connection without a request (browsers open such ones in advance) must not hold one of the threads.
    server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, CLIENT_TIMEOUT_S)
    return server


def _why_not(host: str, port: int, error: OSError) -> str:
    text = str(error).lower()
    if error.errno == errno.EADDRINUSE or "in use" in text:
        return (
            f"port {port} is taken by another program; stop it, or set another port under [web] in the"
            " configuration file"
        )
    if error.errno == errno.EACCES or "permission" in text:
        return f"port {port} may not be used by this user; set one above 1023 under [web] in the configuration file"
    return f"the site cannot listen on {host} port {port} ({error}); set host and port under [web]"
