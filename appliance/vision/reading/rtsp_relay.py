"""RTSP by way of a relay of ours. FFmpeg would resolve names and follow redirects by itself; here it cannot.

FFmpeg connects to a port of loopback that exists for this one connection. The relay connects to the camera, at an
address that `Reach` has looked at, reads what the camera says as FFmpeg would read it, and passes it on rewritten, so
that both have read the same. An answer that redirects ends the connection. By UDP the pictures come to FFmpeg directly.
"""

from __future__ import annotations

import re
import secrets
import selectors
import socket
import ssl
import threading
import time
from contextlib import suppress

from appliance.address import Address
from appliance.language import N_
from appliance.vision.reading.http_source import unverified_tls
from appliance.vision.reading.reach import ELSEWHERE, ENDLESS, MAX_PACKET_BYTES, Reach, SourceRefused

PORTS = {"rtsp": 554, "rtsps": 322}
ACCEPT_S = 10.0
CHUNK_BYTES = 65_536
MAX_HEAD_BYTES, MAX_LINE_BYTES, MAX_BODY_BYTES = 16_384, 4_000, 1_000_000
INTERLEAVED = 0x24  # $ begins a packet
NOT_RTSP = N_("What answers at this address does not speak RTSP as a camera does; check the port.")

_END_OF_HEAD = re.compile(rb"\n\r*\n")
_RESPONSE = re.compile(rb"RTSP/1\.[01] ([1-5])[0-9][0-9](?: .*)?")
_ADDRESS_PARAMETERS = (b"source", b"destination")
_REQUEST = re.compile(rb"[A-Z_]+ [^ ]+ RTSP/1\.[01]")


class CameraSide:
    """What comes from the camera, as it is passed on. address: the camera's, in numbers."""

    def __init__(self, address: str) -> None:
        self._address = address.encode()
        self._waiting = b""
        self._pass_bytes = 0  # of a body or of an interleaved packet, which nobody looks into

    def feed(self, data: bytes) -> bytes:
        """What of it may be passed on now. Raises SourceRefused."""
        data, self._waiting = self._waiting + data, b""
        at, out = 0, []
        while at < len(data):
            if not self._pass_bytes:
                if data[at] in b"\r\n":  # some cameras put empty lines between messages
                    at += 1
                    continue
                begun = _packet_begun(data, at) if data[at] == INTERLEAVED else self._message_begun(data, at)
                if begun is None:
                    self._waiting = data[at:]
                    break
                at, head, self._pass_bytes = begun
                out.append(head)
            passed = data[at : at + self._pass_bytes]
            out.append(passed)
            at += len(passed)
            self._pass_bytes -= len(passed)
        return b"".join(out)

    def _message_begun(self, data: bytes, at: int) -> tuple[int, bytes, int] | None:
        """Where a message's body begins, its head as it is passed on, the size of the body.

        None: not all of the head is there. Raises SourceRefused.
        """
        end = _END_OF_HEAD.search(data, at)
        if end is None or end.end() - at > MAX_HEAD_BYTES:
            if len(data) - at > MAX_HEAD_BYTES:
                raise SourceRefused(NOT_RTSP)
            return None
        head, body_bytes = self._rewritten(data[at : end.start()].replace(b"\r", b"").split(b"\n"))
        return end.end(), head, body_bytes

    def _rewritten(self, lines: list[bytes]) -> tuple[bytes, int]:
        """The head as it is passed on, and the size of the body. Raises SourceRefused.

        FFmpeg takes a line that begins with $ for a packet, and cuts long ones.
        """
        response = _RESPONSE.fullmatch(lines[0])
        if response is not None and response[1] == b"3":
            raise SourceRefused(ELSEWHERE)
        if not response and not _REQUEST.fullmatch(lines[0]):
            raise SourceRefused(NOT_RTSP)
        if any(line.startswith(b"$") or len(line) > MAX_LINE_BYTES or b"\0" in line for line in lines):
            raise SourceRefused(NOT_RTSP)
        lengths = {line.partition(b":")[2].strip() for line in lines if line.lower().startswith(b"content-length:")}
        length = lengths.pop() if lengths else b"0"
        if lengths or not length.isdigit() or int(length) > MAX_BODY_BYTES:
            raise SourceRefused(NOT_RTSP)
        return b"\r\n".join([*map(self._transport, lines), b"", b""]), int(length)

    def _transport(self, line: bytes) -> bytes:
        """By UDP FFmpeg sends its reports to the camera that we know, whichever address the answer names."""
        if not line.lower().startswith(b"transport:"):
            return line
        others = [
            part for part in line.split(b";") if part.partition(b"=")[0].strip().lower() not in _ADDRESS_PARAMETERS
        ]
        return b";".join([*others, b"source=" + self._address])


def _packet_begun(data: bytes, at: int) -> tuple[int, bytes, int] | None:
    """Where an interleaved packet's content begins, its head, and the content's size; None: it is not there yet."""
    if len(data) - at < 4:
        return None
    return at + 4, data[at : at + 4], int.from_bytes(data[at + 2 : at + 4], "big")


class Relay:
    """A port of loopback that leads to one camera, for one connection. Use it as a context.

    refusal: why it ended the connection, if it did so on purpose. token: what FFmpeg must send as its User-Agent; who
    else may come first is not let in.
    """

    def __init__(self, address: Address, reach: Reach, timeout_s: float) -> None:
        self.refusal: SourceRefused | None = None
        self._left_bytes, self._heard_s = MAX_PACKET_BYTES, time.monotonic()
        self.token = f"mb9k/{secrets.token_hex(8)}"
        scheme = address.scheme.lower()
        camera = reach.connect(address.host, address.port or PORTS[scheme], timeout_s)
        self._side = CameraSide(str(camera.getpeername()[0]))
        try:
            self._camera = (
                unverified_tls().wrap_socket(camera, server_hostname=address.host) if scheme == "rtsps" else camera
            )
            # In the camera's family, because FFmpeg opens its UDP ports in that of the address it knows.
            self._listener = socket.create_server(
                ("::1", 0, 0, 0) if camera.family == socket.AF_INET6 else ("127.0.0.1", 0), family=camera.family
            )
        except BaseException:
            camera.close()
            raise
        self._listener.settimeout(ACCEPT_S)
        host, port = self._listener.getsockname()[:2]
        self.url = str(Address("rtsp", address.user, address.password, host, port, address.tail))
        self._thread = threading.Thread(target=self._run, name="rtsp-relay", daemon=True)

    def expect_packet(self) -> None:
        """Another packet is asked for: bytes are counted from here."""
        self._left_bytes = MAX_PACKET_BYTES

    def silent_s(self) -> float:
        """For how long the camera has said nothing."""
        return time.monotonic() - self._heard_s

    def __enter__(self) -> Relay:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End both connections; the thread ends by that."""
        for link in (self._listener, self._camera):
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        self._thread.join(ACCEPT_S)

    def _run(self) -> None:
        with self._listener, self._camera, suppress(OSError):
            ffmpeg = self._accept()
            with ffmpeg:
                try:
                    self._pass(ffmpeg)
                except SourceRefused as refusal:
                    self.refusal = refusal

    def _accept(self) -> socket.socket:
        """FFmpeg's connection; what it sent first is passed on. Raises OSError."""
        while True:
            ffmpeg, _ = self._listener.accept()
            ffmpeg.settimeout(ACCEPT_S)
            first = b""
            with suppress(TimeoutError):
                while b"\r\n\r\n" not in first and len(first) < MAX_HEAD_BYTES and (more := ffmpeg.recv(CHUNK_BYTES)):
                    first += more
            if self.token.encode() in first:
                self._listener.close()
                self._camera.sendall(first)
                return ffmpeg
            ffmpeg.close()

    def _pass(self, ffmpeg: socket.socket) -> None:
        """Pass on what either says, until one has said all. Raises SourceRefused, OSError."""
        ffmpeg.settimeout(None)
        with selectors.DefaultSelector() as selector:
            selector.register(ffmpeg, selectors.EVENT_READ)
            selector.register(self._camera, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is ffmpeg:
                        data = ffmpeg.recv(CHUNK_BYTES)
                        self._camera.sendall(data)
                    else:
                        data = self._from_camera(ffmpeg)
                        # What TLS has read already is not to be waited for.
                        while data and isinstance(self._camera, ssl.SSLSocket) and self._camera.pending():
                            data = self._from_camera(ffmpeg)
                    if not data:
                        return

    def _from_camera(self, ffmpeg: socket.socket) -> bytes:
        """What the camera says now, passed on; nothing: it has said all."""
        data = self._camera.recv(CHUNK_BYTES)
        ffmpeg.sendall(self._side.feed(data))
        self._left_bytes, self._heard_s = self._left_bytes - len(data), time.monotonic()
        if self._left_bytes < 0:
            raise SourceRefused(ENDLESS)
        return data
