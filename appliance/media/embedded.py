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
import os
import signal
import sqlite3
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, unquote

from appliance.config import Config
from appliance.errors import UserError
from appliance.media.amf import AmfError
from appliance.media.connection import Over, Publisher
from appliance.media.flv import LiveStream
from appliance.media.rtmp import RtmpError
from appliance.store import Store
from appliance.times import now

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 64
MAX_WAITING_PER_ADDRESS = 16  # not let in yet; so that one stranger cannot take all places
GATE_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 5.0
WRITE_TIMEOUT_S = 10.0
BEAT_S = 2.0

# asyncio.TimeoutError is TimeoutError since Python 3.11 only.
_GONE = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, asyncio.TimeoutError)


class Ingest:
    """The service. connections by id; publishers, those that were let in, by path."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.connections: dict[str, Publisher] = {}
        self.publishers: dict[str, Publisher] = {}

    async def run(self) -> None:
        """Take streams until cancelled. Raises UserError if a port is taken."""
        loopback, media = "127.0.0.1", self.config.media
        servers = [
            await _listen(self._publisher, self.config.rtmp.host, self.config.rtmp.port, "rtmp.port"),
            await _listen(self._api, loopback, media.api_port, "media.api_port"),
            await _listen(self._watcher, loopback, media.read_port, "media.read_port"),
        ]
        log.info("taking RTMP on port %d", self.config.rtmp.port)
        beating = asyncio.ensure_future(self._beat())
        try:
            while True:
                await asyncio.sleep(0.5)
                for connection in list(self.connections.values()):
                    if connection.overdue(time.monotonic()):
                        log.info("ending the connection from %s: nothing came for too long", connection.remote)
                        connection.cut()
        finally:
            beating.cancel()
            for server in servers:
                server.close()

    async def _beat(self) -> None:
        """Signs of life for the store. Asked for by the loop that does the work, so they end when it hangs."""
        loop, started_utc = asyncio.get_running_loop(), time.time()
        with ThreadPoolExecutor(max_workers=1) as writer:  # a Store is for one thread
            store: Store | None = None
            failing = False

            def beat() -> None:
                nonlocal store, failing
                try:
                    store = store or Store.open(self.config.store_path)
                    store.services.beat("ingest", os.getpid(), started_utc, None, now())
                    if failing:
                        log.info("signs of life can be written again")
                    failing = False
                except (sqlite3.Error, UserError) as error:
                    if not failing:
                        log.error("no sign of life can be written, trying again: %s", error)
                    store, failing = None, True

            while True:
                await loop.run_in_executor(writer, beat)
                await asyncio.sleep(BEAT_S)

    # RTMP

    async def _publisher(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        one = Publisher(self, reader, writer)
        waiting = [other for other in self.connections.values() if other.address == one.address and not other.stream]
        if len(self.connections) >= MAX_CONNECTIONS or len(waiting) >= MAX_WAITING_PER_ADDRESS:
            log.warning("turning %s away: too many connections are open", one.remote)
            one.cut()
            return
        self.connections[one.id] = one
        try:
            await one.converse()
        except (Over, RtmpError, AmfError) as error:
            log.info("the connection from %s ends: %s", one.remote, error)
        except _GONE:
            pass  # it went away
        except Exception:
            log.exception("the connection from %s failed", one.remote)
        finally:
            del self.connections[one.id]
            await _close(writer)

    def open(self, publisher: Publisher) -> LiveStream | None:
        """The publisher's path is its own from now on; None: somebody is sending to it already."""
        if publisher.path in self.publishers:
            return None
        self.publishers[publisher.path] = publisher
        return LiveStream()

    def close(self, publisher: Publisher) -> None:
        """The publisher has finished."""
        if publisher.stream:
            publisher.stream.end()
        del self.publishers[publisher.path]

    async def may(self, action: str, path: str, address: str, connection_id: str, token: str = "") -> bool | None:
        """What the gate says; None: it does not answer, or cannot tell."""
        question = {
            "action": action,
            "path": path,
            "ip": address,
            "token": token,
            "protocol": "rtmp" if connection_id else "http-flv",
            "id": connection_id,
        }
        return await asyncio.to_thread(_ask_gate, self.config.media.gate_port, question)

    # HTTP on loopback: the API, and FLV for the watcher

    async def _api(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(*_GONE):
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
            return _page([_path_item(publisher) for publisher in self.publishers.values()])
        if (method, path) == ("GET", "/v3/rtmpconns/list"):
            return _page([_connection_item(connection) for connection in self.connections.values()])
        if method == "POST" and path.startswith("/v3/rtmpconns/kick/"):
            connection = self.connections.get(path.rsplit("/", 1)[1])
            if connection is not None:
                connection.cut()
                return {"status": "ok"}
        return None

    async def _watcher(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(*_GONE):
            _, path, query = await _request(reader)
            name = unquote(path).removeprefix("/").removesuffix(".flv")
            token = parse_qs(query).get("token", [""])[0]
            ip = str((writer.get_extra_info("peername") or ("",))[0])
            allowed = await self.may("read", name, ip, "", token)
            source = self.publishers.get(name)
            if not allowed:
                writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            elif source is None or source.stream is None or not source.stream.has_media:
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            else:
                await self._send(source.stream, writer)
            await writer.drain()
        await _close(writer)

    @staticmethod
    async def _send(stream: LiveStream, writer: asyncio.StreamWriter) -> None:
        reader = stream.join()
        try:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\nConnection: close\r\n\r\n")
            while (content := await reader.get()) is not None:
                writer.write(content)
                await asyncio.wait_for(writer.drain(), WRITE_TIMEOUT_S)
        finally:
            stream.leave(reader)


def _ask_gate(port: int, question: dict[str, Any]) -> bool | None:
    gate = http.client.HTTPConnection("127.0.0.1", port, timeout=GATE_TIMEOUT_S)
    try:
        gate.request("POST", "/auth", json.dumps(question), {"Content-Type": "application/json"})
        status = gate.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        log.error("the gate does not answer, so nobody is let in (%s)", type(error).__name__)
        return None
    finally:
        gate.close()
    return None if status >= 500 else 200 <= status < 300


def _page(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"itemCount": len(items), "pageCount": 1 if items else 0, "items": items}


def _path_item(publisher: Publisher) -> dict[str, Any]:
    return {
        "name": publisher.path,
        "available": publisher.stream is not None and publisher.stream.has_media,
        "source": {"type": "rtmpConn", "id": publisher.id},
        "inboundBytes": publisher.bytes_read,
    }


def _connection_item(connection: Publisher) -> dict[str, Any]:
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
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), REQUEST_TIMEOUT_S)
    method, target, *_ = *head.split(b" ", 2), b"", b""
    path, _, query = target.decode("latin-1").partition("?")
    return method.decode("latin-1"), path, query


async def _listen(
    serve_one: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], host: str, port: int, knob: str
) -> asyncio.Server:
    async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Up to Python 3.11, asyncio prints a traceback for every connection that is open when the service ends.
        with contextlib.suppress(asyncio.CancelledError):
            await serve_one(reader, writer)

    try:
        # As MediaMTX does: every address of the box, of either kind, since names lead to both.
        return await asyncio.start_server(quietly, None if host in ("", "0.0.0.0", "::") else host, port)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        reason = "is taken by another program" if taken else f"cannot be used ({error.strerror})"
        raise UserError(f"port {port} {reason}; see {knob}") from error


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(*_GONE):
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
