"""A small RTMP publisher for tests: sends an FLV file in forms that no other client can be made to send."""

from __future__ import annotations

import itertools
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from appliance.media import amf

WRAP_MS = 1 << 32
CHUNK_BYTES = 4096
EXTENDED = 0xFFFFFF


class Rejected(Exception):
    """The server said no: the code it gave."""


def is_open(connection: socket.socket) -> bool:
    """Whether the other side has not hung up yet. What it said is read and forgotten."""
    connection.settimeout(0.05)
    try:
        while connection.recv(65_536):
            pass
    except TimeoutError:
        return True
    except OSError:
        return False
    return False


def flv_tags(path: Path) -> list[tuple[int, int, bytes]]:
    """(kind, time in ms, payload) of every tag of an FLV file."""
    data, at, tags = path.read_bytes(), 13, []
    while at + 11 <= len(data):
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        moment = int.from_bytes(data[at + 4 : at + 7], "big") | data[at + 7] << 24
        tags.append((data[at], moment, data[at + 11 : at + 11 + size]))
        at += 11 + size + 4
    return tags


class RtmpClient:
    """One connection. A `with` block closes it; nothing is sent that was not asked for."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._answers = b""
        self._ended = threading.Event()

    def __enter__(self) -> RtmpClient:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self.socket.close()

    def shake_hands(self) -> None:
        """The plain handshake."""
        ours = bytes(8) + os.urandom(1528)
        self.socket.sendall(b"\x03" + ours)
        answer = self._exactly(1 + 2 * 1536)
        self.socket.sendall(answer[1:1537])

    def publish(self, app: str, key: str, tc_url: str | None = None, flash_version: str = "FMLE/3.0") -> None:
        """From the handshake until the server takes the stream. Raises Rejected, or OSError if it hangs up."""
        self.shake_hands()
        where = f"rtmp://127.0.0.1/{app}" if tc_url is None else tc_url
        parameters = {"app": app, "type": "nonprivate", "flashVer": flash_version, "tcUrl": where}
        self.command("connect", 1, parameters, chunk_bytes=128)
        self.send(1, 0, struct.pack(">I", CHUNK_BYTES), chunk_stream=2, stream_id=0, chunk_bytes=128)
        self.command("releaseStream", 2, None, key)
        self.command("FCPublish", 3, None, key)
        self.command("createStream", 4, None)
        self.wait_for_words("_result")
        self.command("publish", 5, None, key, "live", stream_id=1)
        self.wait_for_words("NetStream.Publish.Start")

    def command(self, *values: Any, stream_id: int = 0, chunk_bytes: int = CHUNK_BYTES) -> None:
        """Send a command."""
        self.send(20, 0, amf.encode(*values), chunk_stream=3, stream_id=stream_id, chunk_bytes=chunk_bytes)

    def send(
        self,
        kind: int,
        time_ms: int,
        payload: bytes,
        chunk_stream: int = 4,
        stream_id: int = 1,
        chunk_bytes: int = CHUNK_BYTES,
        repeat_extended: bool = True,
    ) -> None:
        """Send a message with a full header; its time, modulo 2**32, is extended where it must be."""
        moment = time_ms % WRAP_MS
        extended = struct.pack(">I", moment) if moment >= EXTENDED else b""
        header = bytes([chunk_stream]) + min(moment, EXTENDED).to_bytes(3, "big") + len(payload).to_bytes(3, "big")
        pieces = [payload[at : at + chunk_bytes] for at in range(0, len(payload), chunk_bytes)] or [b""]
        joint = bytes([0xC0 | chunk_stream]) + (extended if repeat_extended else b"")
        self.socket.sendall(header + bytes([kind]) + struct.pack("<I", stream_id) + extended + joint.join(pieces))

    def send_live(self, tags: list[tuple[int, int, bytes]], begin_ms: int = 0, repeat_extended: bool = True) -> None:
        """Send these tags again and again at their own speed, in a thread, until the connection ends."""

        def run() -> None:
            begun_s = time.monotonic()
            for kind, moment_ms, payload in _endless(tags):
                if self._ended.wait(max(0.0, begun_s + moment_ms / 1000 - time.monotonic())):
                    return
                body = b"\x02\x00\x0d@setDataFrame" + payload if kind == 18 else payload
                try:
                    self.send(
                        kind, begin_ms + moment_ms, body, chunk_stream=6 - kind % 2, repeat_extended=repeat_extended
                    )
                except OSError:
                    return

        threading.Thread(target=run, daemon=True).start()

    def wait_for_words(self, words: str) -> None:
        """Read until the server says this. Raises Rejected, or ConnectionError when it hangs up first."""
        while words.encode() not in self._answers:
            for refusal in ("NetStream.Publish.Unauthorized", "NetStream.Publish.BadName", "NetConnection.Connect.Rej"):
                if refusal.encode() in self._answers:
                    raise Rejected(refusal)
            self._answers += self._some()

    def is_open(self) -> bool:
        """Whether the server has not hung up yet."""
        return is_open(self.socket)

    def _some(self) -> bytes:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server hung up")
        return data

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += self._some()
        data, self._answers = data[:count], data[count:]
        return data


def _endless(tags: list[tuple[int, int, bytes]]) -> Iterator[tuple[int, int, bytes]]:
    """The tags over and over, their times going on; metadata and codec headers come once, as encoders send them."""
    length_ms = max(moment for _, moment, _ in tags) + 40
    moving = [one for one in tags if not _is_preface(one[0], one[2])]
    yield from tags
    for round_ms in itertools.count(length_ms, length_ms):
        for kind, moment, payload in moving:
            yield kind, round_ms + moment, payload


def _is_preface(kind: int, payload: bytes) -> bool:
    """Metadata, or an AVC, HEVC or AAC sequence header."""
    if kind == 9 and payload[0] & 0x80:
        return payload[0] & 15 in (0, 4)
    return kind == 18 or (payload[1] == 0 and (payload[0] & 15 == 7 if kind == 9 else payload[0] >> 4 == 10))
