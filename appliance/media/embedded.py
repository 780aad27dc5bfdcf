"""The embedded ingest: RTMP for machines without MediaMTX.

It asks the same gate, speaks the same dialect on its API (the small part of MediaMTX's that `mediamtx.Client` asks),
and serves each stream to our own watcher as FLV over HTTP on loopback. Whatever one connection does ends that
connection only.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import http.client
import json
import logging
import signal
import struct
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from appliance.config import Config
from appliance.errors import UserError
from appliance.media import amf, rtmp
from appliance.media.flv import LiveStream
from appliance.media.mediamtx import SILENCE_S

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 64
HANDSHAKE_S = 5.0  # from connecting to publishing
MESSAGE_S = 10.0  # for one message to come whole
GATE_TIMEOUT_S = 5.0
WRITE_TIMEOUT_S = 10.0
MAX_REQUEST_BYTES = 8192
ACKNOWLEDGE_BYTES = 1_000_000
PING_REQUEST, PING_RESPONSE, STREAM_BEGIN = 6, 7, 0
STREAM_ID = 1

Publish = Callable[["Connection", str], Awaitable[str | None]]


class Refused(Exception):
    """This connection may not go on; the message is for its sender."""


@dataclass(eq=False)
class Connection:
    """One RTMP connection. path: what it sends to, with the stream key: never log it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    app: str = ""
    path: str = ""
    stream: LiveStream | None = None
    begun_s: float = field(default_factory=time.monotonic)
    last_message_s: float = field(default_factory=time.monotonic)
    bytes_read: int = 0
    agent: str = ""

    @property
    def remote(self) -> str:
        """Address and port."""
        host, port = (self.writer.get_extra_info("peername") or ("?", 0))[:2]
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"

    def overdue(self, now_s: float) -> bool:
        """Whether it has been silent or unfinished for too long."""
        if self.stream is None:
            return now_s - self.begun_s > HANDSHAKE_S
        return now_s - self.last_message_s > SILENCE_S


class Ingest:
    """The service."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.connections: dict[str, Connection] = {}
        self.streams: dict[str, Connection] = {}

    async def run(self) -> None:
        """Take streams until cancelled. Raises UserError if a port is taken."""
        loopback, media = "127.0.0.1", self.config.media
        servers = [
            await _listen(self._publisher, self.config.rtmp.host, self.config.rtmp.port, "rtmp.port"),
            await _listen(self._api, loopback, media.api_port, "media.api_port"),
            await _listen(self._watcher, loopback, media.read_port, "media.read_port"),
        ]
        log.info("taking RTMP on port %d", self.config.rtmp.port)
        try:
            while True:
                await asyncio.sleep(0.5)
                for connection in list(self.connections.values()):
                    if connection.overdue(time.monotonic()):
                        log.info("ending the connection from %s: nothing came for too long", connection.remote)
                        connection.writer.transport.abort()
        finally:
            for server in servers:
                server.close()

    # RTMP

    async def _publisher(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        if len(self.connections) >= MAX_CONNECTIONS:
            log.warning("turning %s away: %d connections are open", connection.remote, len(self.connections))
            writer.transport.abort()
            return
        self.connections[connection.id] = connection
        try:
            await rtmp.shake_hands(reader, writer)
            await self._converse(connection)
        except Refused as error:
            log.info("refused %s: %s", connection.remote, error)
        except (rtmp.RtmpError, amf.AmfError) as error:
            log.info("ending the connection from %s: %s", connection.remote, error)
        except (asyncio.IncompleteReadError, OSError):
            pass  # it went away
        except Exception:
            log.exception("the connection from %s failed", connection.remote)
        finally:
            del self.connections[connection.id]
            self._end(connection)
            await _close(writer)

    async def _converse(self, connection: Connection) -> None:
        messages = rtmp.MessageReader(connection.reader)
        acknowledged = 0
        while True:
            message = await messages.next()
            connection.last_message_s, connection.bytes_read = time.monotonic(), messages.bytes_read
            if connection.bytes_read - acknowledged >= ACKNOWLEDGE_BYTES:
                acknowledged = connection.bytes_read
                connection.writer.write(rtmp.control(rtmp.ACKNOWLEDGEMENT, acknowledged & 0xFFFFFFFF))
            if message.kind == rtmp.COMMAND:
                await self._command(connection, amf.decode(message.payload))
            elif message.kind in (rtmp.VIDEO, rtmp.AUDIO, rtmp.DATA):
                if connection.stream is not None and message.payload:
                    connection.stream.take(message)
            elif message.kind == rtmp.USER_CONTROL and message.payload[:2] == struct.pack(">H", PING_REQUEST):
                pong = struct.pack(">H", PING_RESPONSE) + message.payload[2:6]
                connection.writer.write(rtmp.pack(rtmp.USER_CONTROL, pong, 2))

    async def _command(self, connection: Connection, values: list[Any]) -> None:
        name, number = str(values[0]) if values else "", values[1] if len(values) > 1 else 0
        writer = connection.writer
        if name == "connect":
            details = values[2] if len(values) > 2 and isinstance(values[2], dict) else {}
            connection.app = str(details.get("app") or "")
            connection.agent = str(details.get("flashVer") or "")[:100]
            writer.write(
                rtmp.control(rtmp.WINDOW_SIZE, rtmp.OUR_WINDOW_BYTES)
                + rtmp.control(rtmp.PEER_BANDWIDTH, rtmp.OUR_WINDOW_BYTES, b"\x02")
                + rtmp.control(rtmp.SET_CHUNK_SIZE, rtmp.OUR_CHUNK_BYTES)
            )
            server = {"fmsVer": "FMS/3,0,1,123", "capabilities": 31}
            self._answer(writer, "_result", number, server, _status("NetConnection.Connect.Success", "Welcome."))
        elif name == "createStream":
            self._answer(writer, "_result", number, None, STREAM_ID)
        elif name == "publish":
            await self._publish(connection, str(values[3]) if len(values) > 3 else "")
        elif name == "play":
            self._tell(writer, _status("NetStream.Play.Failed", "Nobody may watch by RTMP.", "error"))
            raise Refused("nobody may watch by RTMP")
        elif name in ("FCUnpublish", "deleteStream", "closeStream"):
            self._end(connection)
        elif number:
            self._answer(writer, "_result", number, None, None)
        await writer.drain()

    async def _publish(self, connection: Connection, name: str) -> None:
        if connection.stream is not None:
            raise Refused("it is sending already")
        # Whatever slashes people type, and with or without a query: live/KEY.
        parts = [*connection.app.partition("?")[0].split("/"), *name.partition("?")[0].split("/")]
        path = "/".join(part for part in parts if part)
        host = str((connection.writer.get_extra_info("peername") or ("",))[0])
        question = {"action": "publish", "path": path, "ip": host, "protocol": "rtmp", "id": connection.id}
        writer = connection.writer
        if not await self._allowed(question):
            why = "The stream key is not accepted; see the box's page, Streams."
            self._tell(writer, _status("NetStream.Publish.Unauthorized", why, "error"))
            raise Refused("the gate says no")
        if path in self.streams:
            why = "Somebody else is already sending to this stream."
            self._tell(writer, _status("NetStream.Publish.BadName", why, "error"))
            raise Refused("somebody else is already sending to this stream")
        connection.path, connection.stream = path, LiveStream()
        connection.last_message_s = time.monotonic()
        self.streams[path] = connection
        writer.write(rtmp.control(rtmp.USER_CONTROL, 0)[:-4] + struct.pack(">HI", STREAM_BEGIN, STREAM_ID)[:4])
        self._tell(writer, _status("NetStream.Publish.Start", "Publishing."))

    @staticmethod
    def _answer(writer: asyncio.StreamWriter, *values: Any) -> None:
        writer.write(rtmp.pack(rtmp.COMMAND, amf.encode(*values), 3))

    @staticmethod
    def _tell(writer: asyncio.StreamWriter, status: dict[str, Any]) -> None:
        writer.write(rtmp.pack(rtmp.COMMAND, amf.encode("onStatus", 0, None, status), 5, STREAM_ID))

    def _end(self, connection: Connection) -> None:
        if connection.stream is not None:
            connection.stream.end()
            connection.stream = None
            self.streams.pop(connection.path, None)

    async def _allowed(self, question: dict[str, Any]) -> bool:
        """Ask the gate; no answer is a no."""

        def ask() -> bool:
            gate = http.client.HTTPConnection("127.0.0.1", self.config.media.gate_port, timeout=GATE_TIMEOUT_S)
            try:
                gate.request("POST", "/auth", json.dumps(question), {"Content-Type": "application/json"})
                return 200 <= gate.getresponse().status < 300
            except (OSError, http.client.HTTPException) as error:
                log.error("the gate does not answer, so nobody is let in (%s)", type(error).__name__)
                return False
            finally:
                gate.close()

        return await asyncio.to_thread(ask)

    # HTTP on loopback: the API, and FLV for the watcher

    async def _api(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            method, path, _ = await _request(reader)
            content = self._api_answer(method, path)
            status = "200 OK" if content is not None else "404 Not Found"
            body = json.dumps(content if content is not None else {"status": "error", "error": "not found"}).encode()
            head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
            await writer.drain()
        await _close(writer)

    def _api_answer(self, method: str, path: str) -> dict[str, Any] | None:
        if (method, path) == ("GET", "/v3/info"):
            return {"version": "mb9k embedded"}
        if (method, path) == ("GET", "/v3/paths/list"):
            return _page([_path_item(name, source) for name, source in self.streams.items()])
        if (method, path) == ("GET", "/v3/rtmpconns/list"):
            return _page([_connection_item(connection) for connection in self.connections.values()])
        if method == "POST" and path.startswith("/v3/rtmpconns/kick/"):
            connection = self.connections.get(path.rsplit("/", 1)[1])
            if connection is not None:
                connection.writer.transport.abort()
                return {"status": "ok"}
        return None

    async def _watcher(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            _, path, query = await _request(reader)
            name = unquote(path).removeprefix("/").removesuffix(".flv")
            token = parse_qs(query).get("token", [""])[0]
            ip = str((writer.get_extra_info("peername") or ("",))[0])
            question = {"action": "read", "path": name, "ip": ip, "token": token, "protocol": "http-flv"}
            if not await self._allowed(question):
                writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            elif name not in self.streams:
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            else:
                await self._send(self.streams[name].stream, writer)
            await writer.drain()
        await _close(writer)

    @staticmethod
    async def _send(stream: LiveStream | None, writer: asyncio.StreamWriter) -> None:
        if stream is None:
            return
        queue = stream.join()
        try:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\nConnection: close\r\n\r\n")
            while (content := await queue.get()) is not None:
                writer.write(content)
                await asyncio.wait_for(writer.drain(), WRITE_TIMEOUT_S)
        finally:
            stream.leave(queue)


def _status(code: str, description: str, level: str = "status") -> dict[str, Any]:
    return {"level": level, "code": code, "description": description}


def _page(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"itemCount": len(items), "pageCount": 1 if items else 0, "items": items}


def _path_item(name: str, source: Connection) -> dict[str, Any]:
    available = source.stream is not None and source.stream.has_media
    return {
        "name": name,
        "available": available,
        "source": {"type": "rtmpConn", "id": source.id},
        "inboundBytes": source.bytes_read,
    }


def _connection_item(connection: Connection) -> dict[str, Any]:
    return {
        "id": connection.id,
        "remoteAddr": connection.remote,
        "state": "publish" if connection.stream else "idle",
        "path": connection.path,
        "userAgent": connection.agent,
        "inboundBytes": connection.bytes_read,
    }


async def _request(reader: asyncio.StreamReader) -> tuple[str, str, str]:
    """Method, path and query of an HTTP request; its headers are of no interest. Raises what reading raises."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HANDSHAKE_S)
    method, target, *_ = *head.split(b" ", 2), b"", b""
    address = urlsplit(target.decode("latin-1"))
    return method.decode("latin-1"), address.path, address.query


async def _listen(
    serve_one: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], host: str, port: int, knob: str
) -> asyncio.Server:
    try:
        return await asyncio.start_server(serve_one, host, port)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        reason = "is taken by another program" if taken else f"cannot be used ({error.strerror})"
        raise UserError(f"port {port} {reason}; see {knob}") from error


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError, TimeoutError, asyncio.TimeoutError):
        await asyncio.wait_for(writer.wait_closed(), 1.0)
    writer.transport.abort()


def serve(config: Config) -> None:
    """Take streams until SIGTERM. Raises UserError."""
    if config.rtmp.tls_certificate:
        log.warning("RTMPS needs MediaMTX; the embedded ingest takes plain RTMP only")

    async def until_stopped() -> None:
        running = asyncio.ensure_future(Ingest(config).run())
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, running.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await running

    asyncio.run(until_stopped())
