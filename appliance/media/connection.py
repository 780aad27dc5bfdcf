"""One RTMP connection to the embedded ingest, from the handshake to its end."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import struct
import time
import uuid
from typing import Any, Protocol

from appliance.media import amf, rtmp
from appliance.media.flv import LiveStream
from appliance.media.mediamtx import SILENCE_S
from appliance.media.refusals import SECOND
from appliance.places import network_of

log = logging.getLogger(__name__)

READ_BYTES = 16_384
# Before the gate has said yes, nobody needs more. Encoders send some 2 kB in ten messages.
MAX_PENDING_BYTES = 65_536
MAX_PENDING_MESSAGES = 100
PENDING_READ_BYTES = 4_096
# Beyond this a publisher is slowed down: small messages cost as much time as large ones, and others wait meanwhile.
MAX_MESSAGES_AT_ONCE = 500
MESSAGES_PER_S = 5_000
MAX_MESSAGE_BYTES = 8_000_000  # a key frame of 4K video is about 2 MB
MAX_PATH_LENGTH = 512
PUBLISH_TIMEOUT_S = 10.0  # from connecting to publishing, the gate's answer included
ACKNOWLEDGE_BYTES = 1_000_000

REFUSED = "The stream key is not accepted; see the box's page, Streams."
NO_READING = "Nobody may read by RTMP; sign in to the box's page."


class Delegate(Protocol):
    """What a connection asks of the ingest."""

    async def authorise(
        self, action: str, path: str, address: str, connection_id: str, *, query: str = ""
    ) -> bool | None:
        """What the gate says; None: it cannot tell just now."""

    def claim_path(self, connection: RtmpConnection) -> LiveStream | None:
        """The stream to publish to at the connection's path; None: it has a publisher already.

        Raises ConnectionEnded: all places of publishers are taken.
        """

    def release_path(self, connection: RtmpConnection) -> None:
        """It publishes no more."""


class ConnectionEnded(Exception):
    """The connection has come to its end; the message says why, for the log."""


class RtmpConnection:
    """One connection. path: what it publishes to, with the stream key: never log it."""

    def __init__(self, delegate: Delegate, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.id = str(uuid.uuid4())
        host, port = (writer.get_extra_info("peername") or ("?", 0))[:2]
        self.address = str(host)
        self.remote = f"[{host}]:{port}" if ":" in self.address else f"{host}:{port}"
        self.network = network_of(self.address)
        self.since_s = self.last_received_s = time.monotonic()
        self.bytes_read = 0
        self.path = ""
        self.agent = ""
        self.stream: LiveStream | None = None
        self._delegate, self._reader, self._writer = delegate, reader, writer
        self._parser = rtmp.ChunkParser(MAX_PENDING_BYTES, MAX_PENDING_MESSAGES)
        self._app = ""
        self._window_bytes = ACKNOWLEDGE_BYTES
        self._acknowledged_bytes = 0
        self.has_published = False
        self._is_asking = self._is_ended = False

    @property
    def is_pending(self) -> bool:
        """Whether it is open and does not publish yet."""
        return self.stream is None and not self._is_ended

    @property
    def waits(self) -> bool:
        """Whether it may be ended for another: it does not publish, and the gate is not just being asked for it."""
        return self.is_pending and not self._is_asking

    def is_timed_out(self, now_s: float) -> bool:
        """Whether it has been silent, or has not published, for too long."""
        return now_s - self.last_received_s > SILENCE_S if self.stream else now_s - self.since_s > PUBLISH_TIMEOUT_S

    def abort(self) -> None:
        """End the connection at once."""
        self._is_ended = True
        self._writer.transport.abort()

    async def run(self) -> None:
        """Until either side ends it. Raises ConnectionEnded, RtmpError, AmfError, OSError, IncompleteReadError."""
        try:
            await self._handshake()
            while data := await self._reader.read(READ_BYTES if self.stream else PENDING_READ_BYTES):
                self.bytes_read += len(data)
                if self.stream is None and self.bytes_read > MAX_PENDING_BYTES:
                    raise rtmp.RtmpError("too much came before it published")
                self.last_received_s = time.monotonic()
                messages = self._parser.feed(data)
                for message in messages:
                    await self._handle(message)
                await self._acknowledge()
                if len(messages) > MAX_MESSAGES_AT_ONCE:
                    await asyncio.sleep(len(messages) / MESSAGES_PER_S)
        finally:
            self._release()

    async def _handshake(self) -> None:
        """The plain handshake: version, and 1536 bytes there and back."""
        if (await self._reader.readexactly(1))[0] != rtmp.VERSION:
            raise rtmp.RtmpError("not RTMP")
        theirs = await self._reader.readexactly(rtmp.HANDSHAKE_BYTES)
        ours = bytes(8) + os.urandom(rtmp.HANDSHAKE_BYTES - 8)
        self._writer.write(bytes([rtmp.VERSION]) + ours + theirs)
        await self._reader.readexactly(rtmp.HANDSHAKE_BYTES)

    async def _handle(self, message: rtmp.Message) -> None:
        kind, payload = message.kind, message.payload
        if kind == rtmp.COMMAND:
            await self._command(amf.decode(payload), message.stream_id)
        elif kind == rtmp.COMMAND_AMF3:  # in practice AMF0 behind one byte
            await self._command(amf.decode(payload[1:]), message.stream_id)
        elif kind in (rtmp.VIDEO, rtmp.AUDIO, rtmp.DATA):
            if self.stream:
                self.stream.take(message)
        elif kind == rtmp.WINDOW_SIZE and len(payload) >= 4:
            self._window_bytes = min(ACKNOWLEDGE_BYTES, int.from_bytes(payload[:4], "big") // 2)
        elif kind == rtmp.USER_CONTROL and payload[:2] == struct.pack(">H", rtmp.PING):
            self._writer.write(rtmp.user_control(rtmp.PONG, payload[2:6]))
            await self._writer.drain()

    async def _acknowledge(self) -> None:
        """Say how much has arrived: encoders that hear nothing within their window may stop and wait."""
        if self.bytes_read - self._acknowledged_bytes > self._window_bytes:
            self._acknowledged_bytes = self.bytes_read
            self._writer.write(rtmp.control(rtmp.ACKNOWLEDGEMENT, self.bytes_read & 0xFFFFFFFF))
            await self._writer.drain()

    async def _command(self, values: list[Any], stream_id: int) -> None:
        values = [*values, *[None] * (4 - len(values))]
        name, number, details, argument = values[:4]
        if name == "connect":
            self._connect(number, details if isinstance(details, dict) else {})
        elif name == "createStream":
            self._writer.write(rtmp.command("_result", number, None, 1))
        elif name == "publish":
            await self._publish(_path(self._app, argument), _query(self._app, argument), stream_id)
        elif name == "play":
            # Asked although the answer is known: the gate records it.
            await self._delegate.authorise("read", _path(self._app, argument), self.address, self.id)
            await self._finish(rtmp.status("error", "NetStream.Play.Failed", NO_READING, stream_id), "it would read")
        elif name in ("FCUnpublish", "closeStream", "deleteStream"):
            await self._finish(b"", "it has finished")
        elif number and isinstance(number, float):
            self._writer.write(rtmp.command("_result", number, None, None))
        # A client that sends and never reads our answers waits here until it is timed out.
        await self._writer.drain()

    def _connect(self, number: Any, details: dict[str, Any]) -> None:
        self._app = str(details.get("app") or "")
        self.agent = str(details.get("flashVer") or "")[:100]
        welcome = {"level": "status", "code": "NetConnection.Connect.Success", "description": "Welcome."}
        self._writer.write(
            rtmp.control(rtmp.WINDOW_SIZE, rtmp.OUR_WINDOW_BYTES)
            + rtmp.control(rtmp.PEER_BANDWIDTH, rtmp.OUR_WINDOW_BYTES, b"\x02")
            + rtmp.control(rtmp.SET_CHUNK_SIZE, rtmp.OUR_CHUNK_BYTES)
            + rtmp.command(
                "_result", number, {"fmsVer": "FMS/3,0,1,123", "capabilities": 31}, {**welcome, "objectEncoding": 0}
            )
        )

    async def _publish(self, path: str, query: str, stream_id: int) -> None:
        if self.stream:
            raise rtmp.RtmpError("it is publishing already")
        self.path = path
        self._is_asking = True
        allowed = await self._delegate.authorise("publish", path, self.address, self.id, query=query)
        self._is_asking = False
        if allowed is None:
            # Without a word: an encoder that is refused gives up, one whose connection ends comes back.
            raise ConnectionEnded("the gate cannot tell just now whether it may publish")
        if not allowed:
            why = rtmp.status("error", "NetStream.Publish.Unauthorized", REFUSED, stream_id)
            await self._finish(why, "the gate says no")
        if self._writer.is_closing():
            raise ConnectionEnded("it left while the gate was asked")
        self.stream = self._delegate.claim_path(self)
        if self.stream is None:
            why = rtmp.status("error", "NetStream.Publish.BadName", SECOND, stream_id)
            await self._finish(why, "somebody else is already publishing to this stream")
        self.has_published = True
        self.last_received_s = time.monotonic()
        self._parser.largest_bytes, self._parser.messages_left = MAX_MESSAGE_BYTES, math.inf
        self._writer.write(
            rtmp.user_control(rtmp.STREAM_BEGIN, struct.pack(">I", stream_id))
            + rtmp.status("status", "NetStream.Publish.Start", "Publishing.", stream_id)
        )

    async def _finish(self, last_message: bytes, reason: str) -> None:
        """Send a last message and end the connection. Raises ConnectionEnded."""
        self._release()
        self._writer.write(last_message)
        await self._writer.drain()
        raise ConnectionEnded(reason)

    def _release(self) -> None:
        if self.stream:
            self._delegate.release_path(self)
            self.stream = None


def _path(app: str, name: Any) -> str:
    """live/KEY, whatever slashes people type, with or without a query; KEY may stand in either."""
    parts = [*app.partition("?")[0].split("/"), *str(name or "").partition("?")[0].split("/")]
    path = "/".join(part for part in parts if part)
    return path[:MAX_PATH_LENGTH]  # no key is as long as that; the gate says so


def _query(app: str, name: Any) -> str:
    """What came after a question mark, so that the gate can say that a key is not looked for there."""
    query = app.partition("?")[2] or str(name or "").partition("?")[2]
    return query[:MAX_PATH_LENGTH].encode(errors="replace").decode()  # what is no text in it must not keep a key out
