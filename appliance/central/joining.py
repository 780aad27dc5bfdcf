"""The endpoint by which boxes join: HTTPS, `POST /join` and nothing else.

Anybody in the network can reach it. So a connection has a bounded time in all, what is sent a bounded size, each
network a bounded number of places (who waits longest goes first), and wrong codes are slowed down.
"""

from __future__ import annotations

import contextlib
import http.server
import logging
import socket
import sqlite3
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import msgspec

from appliance import service
from appliance.accounts.throttle import Limit, Throttle
from appliance.central import members
from appliance.central.authority import Trust, prepare
from appliance.central.config import CentralConfig
from appliance.central.opening import connect, open_database
from appliance.central.processes import note_alive
from appliance.errors import InputError, UserError
from appliance.join_code import PATH, Refused, Request
from appliance.language import N_
from appliance.places import make_room, network_of

log = logging.getLogger(__name__)
CONNECTION_S = 10.0
"""From its opening to the last byte of the answer; an honest box needs well under one."""
PLACES, PLACES_PER_NETWORK = 64, 16
MAX_BODY_BYTES = 8000
MAX_REQUEST_BYTES = 32_000  # with its head
POLL_S = 0.5
WRONG = Limit(free_tries=20, longest_s=60.0)


@dataclass(eq=False)
class _Guest:
    """One connection, and the thread that answers it. since_s: when it opened, monotonic."""

    connection: socket.socket
    network: str
    since_s: float = field(default_factory=time.monotonic)
    waits: bool = True

    def abort(self) -> None:
        """End it at once: whatever its thread waits for fails."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.connection, socket.SHUT_RDWR)  # below TLS, whose state is its thread's


class Endpoint:
    """Listens, and answers each connection in a thread of its own. Raises UserError: the port cannot be had."""

    def __init__(self, config: CentralConfig, trust: Trust) -> None:
        host, port = config.joining.host, config.joining.port
        service.refuse_busy_port(host, port, "joining.port")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.config, self.trust = config, trust
        self.throttle = Throttle()
        self.guests: list[_Guest] = []
        self._tls = trust.server_tls()
        self._lock = threading.Lock()
        self._listening = socket.create_server((host, port), family=family, backlog=64, dualstack_ipv6=host == "::")
        self._listening.settimeout(POLL_S)

    def prepare(self) -> None:
        """Nothing is to be started before the first connection."""

    def serve(self) -> None:
        """Answer until `stop`, or the exception of a signal."""
        while self._listening.fileno() >= 0:
            self._end_late()
            try:
                connection, address = self._listening.accept()
            except TimeoutError:
                continue
            except OSError as error:  # gone again, or no file descriptor is left
                log.debug("no connection taken: %s", error)
                time.sleep(0.01)
                continue
            self._welcome(connection, str(address[0]))

    def stop(self) -> None:
        """Close everything."""
        self._listening.close()
        with self._lock:
            for guest in self.guests:
                guest.abort()

    def _welcome(self, connection: socket.socket, address: str) -> None:
        guest = _Guest(connection, network_of(address))
        with self._lock:
            if not make_room(self.guests, guest.network, PLACES, PLACES_PER_NETWORK):
                connection.close()
                return
            self.guests.append(guest)
        try:
            threading.Thread(target=self._answer, args=(guest, address), daemon=True).start()
        except RuntimeError as error:  # no thread is left
            log.warning("a connection was refused: %s", error)
            self._leave(guest)

    def _answer(self, guest: _Guest, address: str) -> None:
        try:
            guest.connection.settimeout(CONNECTION_S)
            with self._tls.wrap_socket(
                guest.connection, server_side=True, do_handshake_on_connect=False
            ) as guest.connection:  # so that a handshake without end can be ended
                guest.connection.do_handshake()
                _Handler(guest.connection, (address, 0), self)  # type: ignore[arg-type]
        except (OSError, ValueError) as error:  # it went away, was too slow, or speaks no TLS
            log.debug("a connection from %s ended: %s", address, error)
        finally:
            self._leave(guest)

    def _leave(self, guest: _Guest) -> None:
        with self._lock:
            self.guests.remove(guest)
        guest.connection.close()

    def _end_late(self) -> None:
        now_s = time.monotonic()
        with self._lock:
            for guest in self.guests:
                if now_s - guest.since_s > CONNECTION_S:
                    guest.abort()

    def admit(self, body: bytes, address: str) -> tuple[int, bytes]:
        """The status and the answer for what somebody at this address posted."""
        subject = network_of(address)
        wait_s = self.throttle.wait_s({subject: WRONG}, time.monotonic())
        if wait_s > 0:
            return _refused(
                429,
                N_("Too many wrong join codes came from here. Try again in {seconds} s.").format(
                    seconds=f"{wait_s:.0f}"
                ),
            )
        try:
            request = msgspec.json.decode(body, type=Request)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return _refused(400, N_("What was sent could not be read. Upgrade the box, or the centre."))
        try:
            database = connect(self.config.database_address)
            try:
                answer = members.admit(database, self.config, self.trust, request, time.time())
            finally:
                database.close()
        except InputError as error:
            log.warning("a box at %s may not join: %s", address, error)
            return _refused(403, str(error))
        except (UserError, sqlite3.Error, OSError) as error:
            log.error("a box at %s cannot join: %s", address, error)
            self.throttle.take_back(None, [subject])
            return _refused(503, N_("The centre cannot use its database just now. Try again in a minute."))
        self.throttle.take_back(None, [subject])
        return 200, msgspec.json.encode(answer)


class _Bounded:
    """A file of a socket that ends after MAX_REQUEST_BYTES, whatever comes."""

    def __init__(self, file: Any) -> None:
        self._file, self._left = file, MAX_REQUEST_BYTES

    def readline(self, limit: int) -> bytes:
        """The next line, or what may still be read of it."""
        return self._counted(self._file.readline(min(limit, self._left)))

    def read(self, size: int) -> bytes:
        """So many bytes, or fewer at its end."""
        return self._counted(self._file.read(min(size, self._left)))

    def close(self) -> None:
        """Close it."""
        self._file.close()

    def _counted(self, data: bytes) -> bytes:
        self._left -= len(data)
        return data


class _Handler(http.server.BaseHTTPRequestHandler):
    """One request. server: the Endpoint."""

    server: Any
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "mb9k", ""

    def setup(self) -> None:
        """Open the connection's files."""
        super().setup()
        self.rfile = _Bounded(self.rfile)  # type: ignore[assignment]

    def do_POST(self) -> None:
        """Take a box that joins."""
        length = self.headers.get("Content-Length", "")
        if self.path != PATH:
            self._send(*_refused(404, N_("There is nothing here but {path}.").format(path=PATH)))
        elif "Transfer-Encoding" in self.headers or not length.isdecimal() or len(length) > 9:
            self._send(*_refused(411, N_("Say how long the request is.")))
        elif int(length) > MAX_BODY_BYTES:
            self._send(*_refused(413, N_("The request is too long.")))
        else:
            body = self.rfile.read(int(length))
            if len(body) == int(length):
                self._send(*self.server.admit(body, self.client_address[0]))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server itself refuses: a line too long, another method."""
        self._send(*_refused(code, message or explain or N_("That cannot be done here.")))

    def _send(self, status: int, content: bytes) -> None:
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """What is worth a line, `admit` has logged."""
        log.debug(format, *args)


def _refused(status: int, words: str) -> tuple[int, bytes]:
    return status, msgspec.json.encode(Refused(words))


def serve(config: CentralConfig) -> None:
    """Let boxes join, until SIGTERM or SIGINT. Raises UserError."""
    open_database(config.database_address).close()
    started_s = time.time()
    endpoint = Endpoint(config, prepare(config, started_s))
    stopping = threading.Event()
    try:
        service.keep_alive(lambda: _heartbeat(config, started_s), lambda: _answers(config), stopping)
        log.info("boxes join at port %d", config.joining.port)
        service.serve_http(endpoint)
    finally:
        stopping.set()


def _heartbeat(config: CentralConfig, started_s: float) -> None:
    database = connect(config.database_address)
    try:
        note_alive(database, "joining", started_s, time.time())
    finally:
        database.close()


def _answers(config: CentralConfig) -> bool:
    """Whether the endpoint speaks TLS, as it does with boxes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is ourselves
    where = service.reachable_host(config.joining.host), config.joining.port
    try:
        with socket.create_connection(where, 5) as connection, context.wrap_socket(connection):
            return True
    except OSError:
        return False
