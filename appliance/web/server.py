"""A WSGI application behind waitress: whole requests only, each within its deadline, in a bounded crowd.

waitress reads every request to its end in one loop before a thread gets it, so a slow client costs a place and no
thread. What it leaves out stands here: a deadline for the whole request and for reading the answer (its own time-out
begins again with every byte), and places that nobody can hold for long (beyond its own limit it accepts nobody).
A large file is written to the disk as it comes, where the site admits one (uploads.py), and may take as long as it
goes on coming. With a TLS context it speaks HTTPS. Its handshake, too, is done piece by piece in the loop, within the
time that there is until a request begins, and so costs a silent client's place and no thread.
"""

from __future__ import annotations

import copy
import logging
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import FixedStreamReceiver
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from appliance.language import N_, _
from appliance.places import make_room, network_of
from appliance.service import refuse_busy_port
from appliance.web.address import Network, ip_in
from appliance.web.uploads import Admit, Body

THREADS = 16
CLIENT_TIMEOUT_S = 5  # without a byte of the next request
REQUEST_TIMEOUT_S = 10  # from a request's first byte to its last
FILE_TIMEOUT_S = 30  # without a byte of a file that is on its way
FILE_BYTES_PER_S = 20_000  # at this rate all of it must come
ANSWER_TIMEOUT_S = 10  # in which a client must take something of an answer
ANSWER_BYTES_PER_S = 20_000  # and at this rate all of it
MAX_BODY_BYTES = 100_000
MAX_HEADER_BYTES = 32_000
MAX_PIPELINED = 8
BACKLOG = 512
END_S = 3  # for answers that are being made when it is told to end; whoever runs us kills after eight
CHECK_S = 0.5  # how often deadlines are checked
TLS_RECORD_BYTES = 16_384
WAITING_BYTES = 262_144  # of an answer, until the client takes some; then whoever makes it goes on
IN_MEMORY_BYTES = 2**30  # answers are never put on the disk: there may be pictures in them
NO_TLS = N_("This port speaks HTTPS: open the address with https:// at its front.")


@dataclass(frozen=True, slots=True)
class Places:
    """How many connections may be open: from this machine and its proxies, from all others, from one network of these.

    The former are apart, so that the health check, MediaMTX and a proxy always get in; and they have no bound for each
    network, since behind a proxy everybody comes from one address.
    """

    from_here: int = 128
    from_elsewhere: int = 192
    per_network: int = 32


class _Settings(Adjustments):
    """Of waitress. admit: which requests bring a file."""

    admit: Admit | None = None


class _Request(HTTPRequestParser):
    """file: the body, where it is a file that goes to the disk."""

    adj: _Settings
    path: str
    file: Body | None = None

    def parse_header(self, header_plus: bytes) -> None:
        """Read a request's head. Raises ParsingError."""
        super().parse_header(header_plus)
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("two lengths")  # a proxy may believe the other one (request smuggling)
        if self.adj.admit and self.content_length > 0 and not self.chunked:
            arrival = self.adj.admit(self.path, self.content_length)
            if arrival is not None:
                self.file = Body(arrival, self.headers.get("CONTENT_TYPE", ""))
                self.body_rcv = FixedStreamReceiver(self.content_length, self.file)  # type: ignore[arg-type]  # as a buffer
                self.adj = copy.copy(self.adj)
                self.adj.max_request_body_size = sys.maxsize  # how large it may be was asked

    def received(self, data: bytes) -> int:
        """Take what came, and say how much of it."""
        taken = int(super().received(data))
        if self.completed and self.file is not None:
            self.file.finish()
            self.headers["CONTENT_LENGTH"] = str(len(self.file))  # type: ignore[index]  # a dict
        return taken


class _Channel(HTTPChannel):
    """One connection. since_s: when it opened, its request's first byte came, or it last took some of an answer.

    Of a file: when some of it came last; begun_s: when its request began.
    """

    parser_class = _Request
    request: _Request | None
    server: _Server

    def __init__(self, server: _Server, sock: socket.socket, addr: Any, adj: Any, map: Any = None) -> None:
        self.network = network_of(str(addr[0]))
        self.is_from_here = server.is_from_here(str(addr[0]))
        self.since_s = self.answered_s = self.begun_s = time.monotonic()
        self.sent_bytes = 0
        super().__init__(server, sock, addr, adj, map=map)

    @property
    def waits(self) -> bool:
        """Whether we wait for it: for a whole request, or until it has read the answer to the last one."""
        return not self.requests

    def received(self, data: bytes) -> bool:
        """Take what came; a request that begins with it has its time from now on."""
        if self.request is None:
            self.since_s = self.begun_s = time.monotonic()
        elif self.request.file is not None:
            self.since_s = time.monotonic()
        taken = bool(super().received(data))
        if len(self.requests) > MAX_PIPELINED:
            self.will_close = True  # else a thread would have to wait until the first answers are read
        return taken

    def write_soon(self, data: Any) -> int:
        """Send, in a thread, or keep what the socket does not take yet."""
        if not self.total_outbufs_len:
            self.since_s = self.answered_s = time.monotonic()
            self.sent_bytes = 0
        return int(super().write_soon(data))

    def send(self, data: Any, do_close: bool = True) -> int:
        """Send what the socket takes; how much that was."""
        count = int(super().send(data, do_close=do_close) or 0)
        if count:
            self.since_s = time.monotonic()
            self.sent_bytes += count
        return count

    def is_late(self, now_s: float) -> bool:
        """Whether it has not sent its request, or not read its answer, in the time there is for it."""
        if self.total_outbufs_len:
            allowed_s = ANSWER_TIMEOUT_S + self.sent_bytes / ANSWER_BYTES_PER_S
            return now_s - self.since_s > ANSWER_TIMEOUT_S or now_s - self.answered_s > allowed_s
        coming = self.request
        if coming is not None and coming.file is not None:
            allowed_s = FILE_TIMEOUT_S + coming.body_bytes_received / FILE_BYTES_PER_S
            return now_s - self.since_s > FILE_TIMEOUT_S or now_s - self.begun_s > allowed_s
        allowed_s = CLIENT_TIMEOUT_S if self.request is None else REQUEST_TIMEOUT_S
        return self.waits and now_s - self.since_s > allowed_s

    def handle_close(self) -> None:
        """Hang up; a file that has come in part goes."""
        coming, self.request = self.request, None
        if coming is not None:
            coming.close()
        super().handle_close()

    def abort(self) -> None:
        """End it at once, with a reset: else waitress, and then the kernel, keeps an answer that nobody reads."""
        held = self.socket
        with suppress(OSError):  # the thread that answers it may have closed it just now
            if held is not None:
                held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.handle_close()


class _Later(Exception):
    """TLS has nothing for us yet. No OSError: waitress would hang up."""


class _TlsChannel(_Channel):
    """One connection over TLS. `since_s` begins with it and not with its handshake, which drips in vain."""

    socket: ssl.SSLSocket

    def __init__(self, server: _Server, sock: ssl.SSLSocket, addr: Any, adj: Any, map: Any = None) -> None:
        self._one_at_a_time = threading.RLock()  # before Python 3.13 nothing else keeps two threads from one TLS object
        self._is_secured = self._wants_to_write = False
        super().__init__(server, sock, addr, adj, map=map)

    def readable(self) -> bool:
        """During the handshake whenever it waits for the client."""
        return bool(super().readable()) if self._is_secured else not self._wants_to_write

    def writable(self) -> bool:
        """During the handshake when our part of it did not go out at once."""
        return bool(super().writable()) if self._is_secured else self._wants_to_write or self.will_close

    def handle_read(self) -> None:
        """Go on with the handshake, or take what came."""
        if self._is_secured or self._shake_hands():
            with suppress(_Later):
                super().handle_read()

    def handle_write(self) -> None:
        """Go on with the handshake, or send what waits."""
        if self._is_secured or self._shake_hands():
            super().handle_write()

    def recv(self, buffer_size: int) -> bytes:
        """What came; all that TLS holds, since nothing would tell us of the rest. Raises _Later."""
        try:
            with self._one_at_a_time:
                return bytes(super().recv(max(buffer_size, TLS_RECORD_BYTES)))
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise _Later from error

    def send(self, data: Any, do_close: bool = True) -> int:
        """Send what the socket takes; how much that was."""
        try:
            with self._one_at_a_time:
                return super().send(data, do_close=do_close)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0

    def handle_close(self) -> None:
        """Hang up, and say so within TLS, so that a client knows that an answer was whole."""
        if self._is_secured and self.socket is not None and self.connected:
            self._is_secured = False
            with suppress(OSError, ValueError), self._one_at_a_time:
                self.socket.unwrap()  # says it, and does not wait for the client's
        super().handle_close()

    def _shake_hands(self) -> bool:
        """A step of the handshake; whether it is done."""
        self._wants_to_write = False
        try:
            self.socket.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLWantWriteError:
            self._wants_to_write = True
            return False
        except OSError as error:
            if getattr(error, "reason", "") == "HTTP_REQUEST":
                with suppress(OSError):
                    socket.socket.recv(self.socket, MAX_HEADER_BYTES)  # what is unread would make a reset of our end
                    socket.socket.send(self.socket, _refusal(_(NO_TLS)))
            self.handle_close()
            return False
        self._is_secured = True
        return True


def _refusal(text: str) -> bytes:
    """An answer in plain HTTP, after which the connection ends."""
    body, kind = text.encode(), "Content-Type: text/plain; charset=utf-8"
    head = f"HTTP/1.1 400 Bad Request\r\n{kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode("ascii") + body


Tls: TypeAlias = Callable[[], ssl.SSLContext]
"""How the next connection is spoken with: certificates are renewed while the site runs."""


class _Server(TcpWSGIServer):
    active_channels: dict[int, _Channel]  # type: ignore[assignment]

    def __init__(
        self,
        app: Any,
        listening: socket.socket,
        threads: int,
        places: Places,
        proxies: Sequence[Network],
        tls: Tls | None = None,
        admit: Admit | None = None,
    ) -> None:
        self.places, self.proxies, self.tls, self.threads = places, proxies, tls, threads
        self.sockets: dict[int, Any] = {}  # of waitress's loop, by file descriptor
        self._looping, self._is_stopped = threading.Lock(), False
        settings = _Settings(
            sockets=[listening],
            max_request_body_size=MAX_BODY_BYTES + 1,
            max_request_header_size=MAX_HEADER_BYTES,
            backlog=BACKLOG,
            log_socket_errors=False,
            ident=None,
            url_scheme="https" if tls else "http",
            outbuf_high_watermark=WAITING_BYTES,
            outbuf_overflow=IN_MEMORY_BYTES,
            clear_untrusted_proxy_headers=False,  # whom to believe is decided where they are read
        )
        settings.admit = admit
        where = (listening.family, listening.type, listening.proto, listening.getsockname())
        super().__init__(
            app, self.sockets, False, listening, ThreadedTaskDispatcher(), settings, sockinfo=where, bind_socket=False
        )
        logging.getLogger("waitress").setLevel(logging.WARNING)  # it would log addresses of pages
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)

    def prepare(self) -> None:
        """Start the threads, and listen."""
        self.task_dispatcher.set_thread_count(self.threads)
        self.accept_connections()

    def serve(self) -> None:
        """Answer until an exception (of a signal) or `stop` ends it."""
        with self._looping:
            checked_s = time.monotonic()
            while not self._is_stopped:
                wasyncore.poll2(CHECK_S, self.sockets)
                now_s = time.monotonic()
                if now_s - checked_s >= CHECK_S:
                    checked_s = now_s
                    self._end_late(now_s)

    def stop(self) -> None:
        """Close everything; answers that are being made have a little time. The loop may run in another thread."""
        self.task_dispatcher.shutdown(timeout=END_S)
        self._is_stopped = True
        self.pull_trigger()
        with self._looping:  # what it is about to read or to end must not be closed beside it
            wasyncore.close_all(self.sockets)

    def readable(self) -> bool:
        """Always: there is room for whoever comes, see `handle_accept`."""
        return bool(self.accepting)

    def handle_accept(self) -> None:
        """Accept one connection if there is room, if need be for one that only waits."""
        try:
            accepted = self.accept()
        except OSError:
            return  # gone again, or no file descriptor is left
        if accepted is None:
            return
        connection, address = accepted
        if self._has_room(str(address[0])):
            self.set_socket_options(connection)
            self._open(connection, address)
        else:
            connection.close()

    def _end_late(self, now_s: float) -> None:
        for channel in list(self.active_channels.values()):
            if channel.is_late(now_s):
                channel.abort()

    def _open(self, connection: socket.socket, address: Any) -> None:
        if self.tls is None:
            _Channel(self, connection, address, self.adj, map=self.sockets)
            return
        connection.setblocking(False)
        try:
            secured = self.tls().wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        except OSError:
            connection.close()  # gone again
            return
        _TlsChannel(self, secured, address, self.adj, map=self.sockets)

    def is_from_here(self, address: str) -> bool:
        """Whether it is an address of this machine or of one of its proxies."""
        ip = ip_in(address)
        return ip is not None and (ip.is_loopback or any(ip in proxy for proxy in self.proxies))

    def _has_room(self, address: str) -> bool:
        network, places, is_from_here = network_of(address), self.places, self.is_from_here(address)
        others = [channel for channel in self.active_channels.values() if channel.is_from_here == is_from_here]
        if is_from_here:
            return make_room(others, network, places.from_here, places.from_here)
        return make_room(others, network, places.from_elsewhere, places.per_network)


def make_server(
    app: Any,
    host: str,
    port: int,
    setting: str = "web.port",
    threads: int = THREADS,
    places: Places = Places(),
    proxies: Sequence[Network] = (),
    tls: Tls | None = None,
    admit: Admit | None = None,
) -> _Server:
    """A server for `service.serve_http`. Raises UserError: the port cannot be had.

    setting: where the port is configured; proxies: for whom people ask from other machines. tls: None: plain HTTP.
    admit: which requests bring a file; None: none.
    """
    refuse_busy_port(host, port, setting)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, dualstack_ipv6=host == "::")
    return _Server(app, listening, threads, places, proxies, tls, admit)
