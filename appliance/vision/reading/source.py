"""Opening a source: by the protocols and in the formats that cameras use, and no further than `Reach` allows.

FFmpeg reads almost anything: it draws text files, follows redirects, joins what a list names, opens devices. So it is
given bytes that we fetched, the few formats that it may take them for, and nothing else that it could open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

import av
from av.container import InputContainer

from appliance.address import Address, parse
from appliance.errors import InputError
from appliance.language import N_
from appliance.vision.reading.http_source import PLAYLIST, HttpClient, HttpFile
from appliance.vision.reading.reach import Reach, SourceRefused, webcam
from appliance.vision.reading.rtsp_relay import Relay

Transport = Literal["tcp", "udp"]
OPEN_TIMEOUT_S = 10.0
# FFmpeg's own probing takes seconds of a live stream. (With `nobuffer` it would even throw away what it probed, and
# with that the one key frame that there may be for a long while.)
LIVE = {"flags": "low_delay", "analyzeduration": "500000", "probesize": "500000"}
FILE_FORMATS = "mov,matroska,avi,flv,mpegts,mpeg,mjpeg,h264,hevc"
HTTP_FORMATS = "mpjpeg,mjpeg,flv,mpegts,hls,mov"
NOTHING_BESIDE = {"protocol_whitelist": "none"}  # what FFmpeg may open by itself: no protocol is called so
NO_SUCH_SCHEME = N_("This is no address of a camera; it begins with rtsp://, rtsps://, http:// or https://.")
NO_CAMERA_FORMAT = N_("What is at this address is no video of a camera (MJPEG, FLV, MPEG-TS, HLS or MP4); check it.")
NO_FILE_FORMAT = N_("This file is no video that this box can read; MP4, MKV, AVI, FLV and MPEG-TS are.")


class Source:
    """A source that is open: its streams, and its packets as they come."""

    def __init__(self, container: InputContainer, guard: HttpClient | Relay | None = None) -> None:
        self.streams = container.streams
        self._container, self._guard = container, guard

    def demux(self) -> Iterator[av.Packet[Any]]:
        """The packets of all streams. Raises what `opened` does."""
        packets = self._container.demux()
        while True:
            if self._guard is not None:
                self._guard.expect_packet()
            packet = next(packets, None)
            if packet is None:
                return
            yield packet


@contextmanager
def opened(url: str, reach: Reach | None, stall_s: float, transport: Transport = "tcp") -> Iterator[Source]:
    """The source, open until the end of the block. Raises SourceRefused, TimeoutError, OSError and FFmpeg's errors.

    reach: None is for what our own ingest plays, an address that nobody typed. stall_s: silence after which reading
    fails. transport: of RTSP, tcp or udp.
    """
    with ExitStack() as stack:
        limits = _Limits(stall_s, transport)
        if reach is None:
            options = LIVE | (limits.rtsp_options if url.startswith("rtsp://") else {})
            yield Source(stack.enter_context(av.open(url, "r", options=options, timeout=limits.timeout)))
        else:
            yield _open(stack, url, reach, limits)


@dataclass(frozen=True, slots=True)
class _Limits:
    stall_s: float
    transport: Transport

    @property
    def timeout(self) -> tuple[float, float]:
        return OPEN_TIMEOUT_S, self.stall_s

    @property
    def rtsp_options(self) -> dict[str, str]:
        return {"rtsp_transport": self.transport, "timeout": str(int(self.stall_s * 1e6))}


def _open(stack: ExitStack, url: str, reach: Reach, limits: _Limits) -> Source:
    if url.startswith("/dev/"):
        device, options = webcam(url), {"fflags": "nobuffer"}
        container = av.open(device, "r", format="v4l2", options=options, timeout=limits.timeout)
        return Source(stack.enter_context(container))
    if url.startswith("/"):
        return _open_file(stack, url, reach)
    try:
        address = parse(url)
    except InputError as error:
        raise SourceRefused(str(error)) from None
    scheme = address.scheme.lower()
    if scheme in ("rtsp", "rtsps"):
        return _open_rtsp(stack, address, reach, limits)
    if scheme in ("http", "https"):
        return _open_http(stack, address, reach, limits)
    raise SourceRefused(NO_SUCH_SCHEME)


def _open_file(stack: ExitStack, path: str, reach: Reach) -> Source:
    file = stack.enter_context(reach.open_file(path))
    options = {"format_whitelist": FILE_FORMATS} | NOTHING_BESIDE
    try:
        return Source(stack.enter_context(av.open(file, "r", options=options, io_open=_refuse_other_files)))
    except (av.error.ArgumentError, av.error.InvalidDataError):
        raise SourceRefused(NO_FILE_FORMAT) from None


def _open_rtsp(stack: ExitStack, address: Address, reach: Reach, limits: _Limits) -> Source:
    relay = stack.enter_context(Relay(address, reach, limits.stall_s))
    stack.enter_context(_refusal_first(relay))
    allowed = {"protocol_whitelist": "tcp" if limits.transport == "tcp" else "tcp,udp,rtp"}
    options = LIVE | limits.rtsp_options | allowed | {"user_agent": relay.token}
    try:
        container = av.open(relay.url, "r", format="rtsp", options=options, timeout=limits.timeout)
    except av.error.InvalidDataError:
        if relay.silent_s() > limits.stall_s / 2:  # FFmpeg calls an answer that does not come invalid
            raise TimeoutError from None
        raise
    return Source(stack.enter_context(container), relay)


def _open_http(stack: ExitStack, address: Address, reach: Reach, limits: _Limits) -> Source:
    client = HttpClient(address, reach, limits.stall_s, OPEN_TIMEOUT_S)
    file = stack.enter_context(closing(HttpFile(client, client.url)))
    stack.enter_context(_refusal_first(client))
    container: InputContainer
    options, found = LIVE | {"format_whitelist": HTTP_FORMATS} | NOTHING_BESIDE, _format(file)
    io_open: Callable[..., object] = _refuse_other_files
    if found == "hls":  # its parts come in by open_part, which kept connections and looks ahead would pass by
        options |= {"http_persistent": "0", "http_multiple": "0"}
        io_open = client.open_part
    try:
        container = av.open(file, "r", format=found, options=options, timeout=limits.timeout, io_open=io_open)
    except (av.error.ArgumentError, av.error.InvalidDataError):
        raise SourceRefused(NO_CAMERA_FORMAT) from None
    return Source(stack.enter_context(container), client)


@contextmanager
def _refusal_first(guard: HttpClient | Relay) -> Iterator[None]:
    """If we refused, that is the error, whatever FFmpeg raised. Raises SourceRefused."""
    try:
        yield
    finally:
        if guard.refusal is not None:
            raise guard.refusal from None


def _format(file: HttpFile) -> str | None:
    """The format, where FFmpeg would not find it without knowing the headers; None: let it look."""
    if file.beginning(len(PLAYLIST)).startswith(PLAYLIST):
        return "hls"
    return "mpjpeg" if file.content_type == "multipart/x-mixed-replace" else None


def _refuse_other_files(*_: object) -> NoReturn:
    """A file names another one; no camera's does."""
    raise SourceRefused(NO_CAMERA_FORMAT)
