"""The embedded ingest: RTMP for machines without MediaMTX.

It asks the same gate, speaks the same dialect on its API (the small part of MediaMTX's that `mediamtx.Client` asks),
and serves each stream to our own watcher as FLV over HTTP on loopback. Whatever a connection does ends that
connection only.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import http.client
import io
import json
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

from appliance.config import Config
from appliance.loopback import CHALLENGE, authorization, credentials, objection
from appliance.media.amf import AmfError
from appliance.media.connection import ConnectionEnded, RtmpConnection
from appliance.media.flv import LiveStream
from appliance.media.mediamtx import EMBEDDED_VERSION
from appliance.media.rtmp import RtmpError
from appliance.places import make_room
from appliance.secrets import secret_from_file
from appliance.service import END_SIGNALS, begin_end, keep_alive, notify, port_error
from appliance.store import Heartbeat

log = logging.getLogger(__name__)

MAX_PUBLISHERS = 64
# Not publishing yet, in all and from one network. A newcomer ends one that waits, so nobody can lock the others out.
MAX_PENDING = 64
MAX_PENDING_PER_NETWORK = 16
MAX_VISITS = 64  # of the API, and of the port for reading
GATE_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 5.0
WRITE_TIMEOUT_S = 10.0
CHECK_S = 0.5
HUNG_S = 5.0  # the loop that does the work has not come round for so long
# A message of its own, and so a kind of its own to the limit on the log: a flood of these hides no publisher's.
NEVER_PUBLISHED = "the connection from %s ended before it published: %s"

# asyncio.TimeoutError is TimeoutError since Python 3.11 only.
_DISCONNECTED = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, asyncio.TimeoutError)


_Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class _Visit:
    """A connection to a port on loopback. waits: nothing is being sent to it yet."""

    network = "loopback"

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.since_s = time.monotonic()
        self.waits = True
        self.is_ended = False
        self._writer = writer

    def abort(self) -> None:
        """End it at once."""
        self.is_ended = True
        self._writer.transport.abort()


class Ingest:
    """The service. connections by id; publishers, those the gate let in, by path."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.secret = secret_from_file(config.local_secret_path)
        self.connections: dict[str, RtmpConnection] = {}
        self.publishers: dict[str, RtmpConnection] = {}
        self.visits: dict[asyncio.StreamWriter, _Visit] = {}
        self._round_s = time.monotonic()

    async def run(self) -> None:
        """Take streams until cancelled. Raises UserError if a port is taken."""
        loopback, media = "127.0.0.1", self.config.media
        servers = [
            await _listen(self._publish, self.config.rtmp.host, self.config.rtmp.port, "rtmp.port"),
            await _listen(self._bounded(self._api), loopback, media.api_port, "media.api_port"),
            await _listen(self._bounded(self._read), loopback, media.read_port, "media.read_port"),
        ]
        log.info("taking RTMP on port %d", self.config.rtmp.port)
        stopping = threading.Event()
        keep_alive(Heartbeat(self.config.store_path, "ingest").write, self._is_running, stopping)
        notify("READY=1")
        try:
            while True:
                self._round_s = time.monotonic()
                await asyncio.sleep(CHECK_S)
                if time.monotonic() - self._round_s < 2 * CHECK_S:  # else we are late ourselves: what came is not read
                    self._end_silent(time.monotonic())
        finally:
            stopping.set()
            for server in servers:
                server.close()

    def _end_silent(self, now_s: float) -> None:
        for connection in list(self.connections.values()):
            if connection.is_timed_out(now_s):
                if connection.stream:
                    log.info("ending the connection from %s: nothing came for too long", connection.remote)
                else:
                    log.info(NEVER_PUBLISHED, connection.remote, "it did not publish in time")
                connection.abort()

    def _is_running(self) -> bool:
        return time.monotonic() - self._round_s < HUNG_S

    # RTMP

    async def _publish(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = RtmpConnection(self, reader, writer)
        pending = [other for other in self.connections.values() if other.is_pending]
        if not make_room(pending, connection.network, MAX_PENDING, MAX_PENDING_PER_NETWORK):
            log.info(NEVER_PUBLISHED, connection.remote, "too many connections are open")
            connection.abort()
            return
        self.connections[connection.id] = connection
        try:
            await connection.run()
        except (ConnectionEnded, RtmpError, AmfError) as error:
            if connection.has_published:
                log.info("the connection from %s ends: %s", connection.remote, error)
            else:
                log.info(NEVER_PUBLISHED, connection.remote, error)
        except _DISCONNECTED:
            pass  # it went away
        except Exception:
            log.exception("the connection from %s failed", connection.remote)
        finally:
            del self.connections[connection.id]
            await _close(writer)

    def claim_path(self, connection: RtmpConnection) -> LiveStream | None:
        """The connection's path is its own from now on; None: it has a publisher already. Raises ConnectionEnded."""
        if connection.path in self.publishers:
            return None
        if len(self.publishers) >= MAX_PUBLISHERS:
            raise ConnectionEnded("too many publish already")
        self.publishers[connection.path] = connection
        return LiveStream()

    def release_path(self, connection: RtmpConnection) -> None:
        """The publisher has finished."""
        if connection.stream:
            connection.stream.end()
        del self.publishers[connection.path]

    async def authorise(
        self,
        action: str,
        path: str,
        address: str,
        connection_id: str,
        user: str = "",
        password: str = "",
        query: str = "",
    ) -> bool | None:
        """What the gate says; None: it does not answer, or cannot tell."""
        request = {
            "action": action,
            "path": path,
            "query": query,
            "ip": address,
            "user": user,
            "password": password,
            "protocol": "rtmp" if connection_id else "http-flv",
            "id": connection_id,
        }
        return await asyncio.to_thread(_ask_gate, self.config.media.gate_port, self.secret, request)

    # HTTP on loopback: the API, and FLV for the watcher

    def _bounded(self, handle: _Handler) -> _Handler:
        """The same, while there is room: whoever has not asked yet is ended for a newcomer, a reader is not."""
        open_here: list[_Visit] = []

        async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if not make_room([one for one in open_here if not one.is_ended], _Visit.network, MAX_VISITS, MAX_VISITS):
                writer.transport.abort()
                return
            self.visits[writer] = one = _Visit(writer)
            open_here.append(one)
            try:
                await handle(reader, writer)
            finally:
                del self.visits[writer]
                open_here.remove(one)

        return visit

    async def _api(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(*_DISCONNECTED):
            method, path, headers = await _request(reader)
            status = objection(headers, self.config.media.api_port, self.secret)
            content = self._api_answer(method, path) if status is None else {"status": "error", "error": "refused"}
            if content is None:
                status, content = 404, {"status": "error", "error": "not found"}
            writer.write(_answer(status or 200, content))
            await writer.drain()
        await _close(writer)

    def _api_answer(self, method: str, path: str) -> dict[str, Any] | None:
        if (method, path) == ("GET", "/v3/info"):
            return {"version": EMBEDDED_VERSION}
        if (method, path) == ("GET", "/v3/paths/list"):
            return _page([_path_item(publisher) for publisher in self.publishers.values()])
        if (method, path) == ("GET", "/v3/rtmpconns/list"):
            return _page([_connection_item(connection) for connection in self.connections.values()])
        if method == "POST" and path.startswith("/v3/rtmpconns/kick/"):
            connection = self.connections.get(path.rsplit("/", 1)[1])
            if connection is not None:
                connection.abort()
                return {"status": "ok"}
        return None

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(*_DISCONNECTED):
            _, path, headers = await _request(reader)
            name = unquote(path).removeprefix("/").removesuffix(".flv")
            status = objection(headers, self.config.media.read_port, self.secret)
            publisher = self.publishers.get(name)
            if status is not None:
                ip = str((writer.get_extra_info("peername") or ("",))[0])
                # Asked although the answer is known: the gate records it.
                await self.authorise("read", name, ip, "", *credentials(headers.get("Authorization")))
                writer.write(_answer(status))
            elif publisher is None or publisher.stream is None or not publisher.stream.has_media:
                writer.write(_answer(404))
            else:
                self.visits[writer].waits = False
                await _send_flv(publisher.stream, writer)
            await writer.drain()
        await _close(writer)


def _answer(status: int, content: dict[str, Any] | None = None) -> bytes:
    """An HTTP answer, after which the connection ends."""
    body = b"" if content is None else json.dumps(content).encode()
    lines = [f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}", f"Content-Length: {len(body)}", "Connection: close"]
    if content is not None:
        lines.append("Content-Type: application/json")
    if status == 401:
        lines.append(f"WWW-Authenticate: {CHALLENGE}")
    return "\r\n".join([*lines, "", ""]).encode() + body


async def _send_flv(stream: LiveStream, writer: asyncio.StreamWriter) -> None:
    reader = stream.join()
    try:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\nConnection: close\r\n\r\n")
        while (content := await reader.get()) is not None:
            writer.write(content)
            await asyncio.wait_for(writer.drain(), WRITE_TIMEOUT_S)
    finally:
        stream.leave(reader)


def _ask_gate(port: int, secret: str, request: dict[str, Any]) -> bool | None:
    gate = http.client.HTTPConnection("127.0.0.1", port, timeout=GATE_TIMEOUT_S)
    headers = {"Authorization": authorization(secret), "Content-Type": "application/json"}
    try:
        gate.request("POST", "/auth", json.dumps(request), headers)
        status = gate.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        log.error("the gate does not answer, so nobody is let in (%s)", type(error).__name__)
        return None
    finally:
        gate.close()
    return None if status >= 500 else 200 <= status < 300


def _page(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"itemCount": len(items), "pageCount": 1 if items else 0, "items": items}


def _path_item(publisher: RtmpConnection) -> dict[str, Any]:
    return {
        "name": publisher.path,
        "available": publisher.stream is not None and publisher.stream.has_media,
        "source": {"type": "rtmpConn", "id": publisher.id},
        "inboundBytes": publisher.bytes_read,
    }


def _connection_item(connection: RtmpConnection) -> dict[str, Any]:
    return {
        "id": connection.id,
        "remoteAddr": connection.remote,
        "state": "publish" if connection.stream else "idle",
        "path": connection.path,
        "userAgent": connection.agent,
        "inboundBytes": connection.bytes_read,
    }


async def _request(reader: asyncio.StreamReader) -> tuple[str, str, http.client.HTTPMessage]:
    """Method, path (without its query) and headers of an HTTP request. Raises what reading raises, OSError."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), REQUEST_TIMEOUT_S)
    line, _, rest = head.partition(b"\r\n")
    method, target, *_ = *line.split(b" ", 2), b"", b""
    try:
        headers = http.client.parse_headers(io.BytesIO(rest))
    except http.client.HTTPException as error:
        raise OSError("no HTTP") from error
    return method.decode("latin-1"), target.decode("latin-1").partition("?")[0], headers


async def _listen(handle: _Handler, host: str, port: int, setting: str) -> asyncio.Server:
    async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Up to Python 3.11, asyncio prints a traceback for every connection that is open when the service ends.
        with contextlib.suppress(asyncio.CancelledError):
            await handle(reader, writer)

    try:
        # As MediaMTX does: every address of the box, of either kind, since names lead to both.
        return await asyncio.start_server(quietly, None if host in ("", "0.0.0.0", "::") else host, port)
    except OSError as error:
        raise port_error(error, host, port, setting) from error


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(*_DISCONNECTED):
        await asyncio.wait_for(writer.wait_closed(), 1.0)
    writer.transport.abort()


def serve(config: Config) -> None:
    """Take streams until SIGTERM. Raises UserError."""
    if config.rtmp.tls_certificate:
        log.warning("RTMPS needs MediaMTX; the embedded ingest takes plain RTMP only")

    async def until_stopped() -> None:
        running = asyncio.ensure_future(Ingest(config).run())

        def end() -> None:
            begin_end()
            running.cancel()

        for number in END_SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, end)
        with contextlib.suppress(asyncio.CancelledError):
            await running

    asyncio.run(until_stopped())
