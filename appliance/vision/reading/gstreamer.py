"""Decoding H.264 by GStreamer in a child process: on a Jetson, by the chip. Packets in, frames out, each with its time.

Packets go in as FLV, frames come out as GDP, since both carry time stamps (Adobe FLV specification 10.1, Annex E;
gst-plugins-bad gst/gdp/dataprotocol.c). What comes out is I420 at the stream's own size, in which regions are looked
for, so nothing is scaled.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import shutil
import signal
import struct
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

import av
import numpy as np

from appliance.processes import start_child

LAUNCH, INSPECT = "gst-launch-1.0", "gst-inspect-1.0"
ASK_S = 20.0
HEADER = struct.Struct(">BBBxHIQ44x")  # version, flags, kind, length, time stamp, ns
BUFFER, CAPS = 1, 2
MAX_LENGTH = 8192 * 8192 * 2  # of anything that it tells
PIPE_BYTES = 1 << 20
WHOLE_S = 2.0  # a frame that began to come is there within
MAX_UNSENT_BYTES = 16_000_000
END_S = 2.0
FLV_HEADER = b"FLV\x01\x01\x00\x00\x00\x09\x00\x00\x00\x00"
VIDEO_TAG, KEY, INTER, AVC = 9, 1, 2, 7
SEQUENCE_HEADER, PICTURES = 0, 1


class PipelineError(Exception):
    """GStreamer does not decode; the message says why, without an address."""


class Chip(NamedTuple):
    """A way to decode. name: for people; elements: of GStreamer, from parsed H.264 to video/x-raw in I420."""

    name: str
    elements: str


NVIDIA = Chip("nvv4l2decoder", "nvv4l2decoder ! nvvidconv ! video/x-raw,format=I420")


@lru_cache
def has(chip: Chip) -> bool:
    """Whether GStreamer and all that the chip needs are installed here."""
    needed = [part.split()[0] for part in f"{chip.elements} ! flvdemux ! h264parse ! gdppay".split(" ! ")]
    if shutil.which(LAUNCH) is None or shutil.which(INSPECT) is None:
        return False
    try:
        return all(
            subprocess.run([INSPECT, "--exists", each], capture_output=True, timeout=ASK_S).returncode == 0
            for each in needed
            if not each.startswith("video/")
        )
    except (OSError, subprocess.SubprocessError):
        return False


class Pipeline:
    """A child that decodes. Not for several threads; it ends with the one that began it.

    Raises PipelineError, after which it is of no use. Time stamps are milliseconds, and must go on in steps of less
    than two seconds: the FLV reader of GStreamer takes anything else for another beginning.
    """

    def __init__(self, chip: Chip) -> None:
        command = f"{LAUNCH} -q fdsrc fd=0 ! flvdemux ! h264parse ! {chip.elements} ! gdppay ! fdsink fd=1 sync=false"
        try:
            self._process = start_child(
                command.split(),
                end_signal=signal.SIGKILL, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            raise PipelineError(f"{LAUNCH} cannot be started") from error
        assert self._process.stdin and self._process.stdout
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._to, False)
        os.set_blocking(self._from, False)
        for pipe in (self._to, self._from):
            with suppress(OSError):  # the most that anybody may have; less works, too
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._unsent = bytearray(FLV_HEADER)
        self._size: tuple[int, int] | None = None
        self._kind = self._time_ns = 0
        self._expect(0)

    def begin(self, parameters: bytes, dts_ms: int) -> None:
        """What follows has these parameters (an AVCDecoderConfigurationRecord)."""
        self._send(tag(dts_ms, KEY, SEQUENCE_HEADER, 0, parameters))

    def feed(self, pictures: bytes, dts_ms: int, pts_ms: int, is_key: bool) -> None:
        """Let it decode a packet: NAL units, each after its length in four bytes. Never waits."""
        self._send(tag(dts_ms, KEY if is_key else INTER, PICTURES, pts_ms - dts_ms, pictures))

    def frames(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """The frames that have come, with their time stamps; waits only for the rest of one that began to come."""
        while self.comes(WHOLE_S if self._filled or self._is_content else 0.0):
            frame = self._read()
            if frame is not None:
                yield frame
        if self._filled or self._is_content:
            raise PipelineError("a picture stopped half-way")

    def comes(self, wait_s: float) -> bool:
        """Whether anything comes within a while; what was not sent is sent meanwhile."""
        while True:
            watched = select.poll()  # select() takes no file number above 1023, which a box with many streams has
            watched.register(self._from, select.POLLIN)
            if self._unsent:
                watched.register(self._to, select.POLLOUT)
            ready = {number for number, _ in watched.poll(wait_s * 1000)}
            if self._to in ready:
                self._write()
            if self._from in ready or self._to not in ready:
                return self._from in ready

    def close(self) -> None:
        """End it."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        with suppress(subprocess.TimeoutExpired):  # a driver may hold it; it ends when that lets go
            self._process.wait(END_S)

    def _send(self, content: bytes) -> None:
        self._unsent += content
        if len(self._unsent) > MAX_UNSENT_BYTES:
            raise PipelineError("it takes nothing more")
        self._write()

    def _write(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: os.write(self._to, memoryview(self._unsent)[:PIPE_BYTES].tobytes())]
        except BlockingIOError:
            pass
        except OSError as error:
            raise PipelineError("it ended by itself") from error

    def _read(self) -> tuple[int, av.VideoFrame] | None:
        """Read on; the frame that is whole with that, if one is. A header is read, then what it announces."""
        with memoryview(self._coming) as place:
            count = os.readv(self._from, [place[self._filled :]])
        if not count:
            raise PipelineError("it ended by itself")
        self._filled += count
        if self._filled < len(self._coming):
            return None
        whole, was_content = self._coming, self._is_content
        if not was_content:
            version, _, _, self._kind, length, self._time_ns = HEADER.unpack(whole)
            if version != 1 or length > MAX_LENGTH:
                raise PipelineError("it tells something that is no GDP")
            self._expect(length)
            return None
        self._expect(0)
        if self._kind == CAPS:
            self._size = size_of(bytes(whole))
        if self._kind != BUFFER:
            return None
        if self._size is None:
            raise PipelineError("a picture came before its size")
        return self._time_ns // 1_000_000, frame_of(whole, *self._size)

    def _expect(self, length: int) -> None:
        """What comes next: so much content, or, if there is none, a header."""
        self._coming, self._filled, self._is_content = bytearray(length or HEADER.size), 0, length > 0


def tag(dts_ms: int, frame_type: int, packet_type: int, offset_ms: int, content: bytes) -> bytes:
    """A video tag of an FLV file, with the size that ends it. offset_ms: from decoding to showing."""
    body = bytes([frame_type << 4 | AVC, packet_type]) + (offset_ms & 0xFFFFFF).to_bytes(3, "big") + content
    time_ms = (dts_ms & 0xFFFFFF).to_bytes(3, "big") + bytes([dts_ms >> 24 & 0x7F])
    head = bytes([VIDEO_TAG]) + len(body).to_bytes(3, "big") + time_ms + b"\0\0\0"
    return head + body + (len(head) + len(body)).to_bytes(4, "big")


def size_of(caps: bytes) -> tuple[int, int]:
    """(width, height) of what GStreamer says will follow. Raises PipelineError if it is not I420."""
    width, height = (re.search(name + rb"=\(int\)(\d+)", caps) for name in (b"width", b"height"))
    if b"format=(string)I420" not in caps or width is None or height is None:
        raise PipelineError("it gives no I420")
    return int(width[1]), int(height[1])


def frame_of(content: bytearray, width: int, height: int) -> av.VideoFrame:
    """A picture as GStreamer lays I420 out: rows of a multiple of four bytes. Raises PipelineError."""
    across, down = (width + 1) // 2, (height + 1) // 2
    strides, rows = [-(-width // 4) * 4, *[-(-across // 4) * 4] * 2], [down * 2, down, down]
    if len(content) != sum(stride * count for stride, count in zip(strides, rows, strict=True)):
        raise PipelineError("a picture is not as large as it says")
    data = np.frombuffer(content, np.uint8)
    if width % 8 == 0 and height % 2 == 0:  # nothing lies between the rows: FFmpeg may use it as it is
        return av.VideoFrame.from_numpy_buffer(data.reshape(height * 3 // 2, width), "yuv420p")
    frame, at = av.VideoFrame(width, height, "yuv420p"), 0
    for plane, stride, count in zip(frame.planes, strides, rows, strict=True):
        lines = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)
        whole = data[at : at + stride * count].reshape(count, stride)
        lines[:, : plane.width] = whole[: plane.height, : plane.width]
        at += stride * count
    return frame


def avcc_of(packet: memoryview, extradata: bytes) -> bytes:
    """The NAL units of a packet, each after its length in four bytes, however they are separated."""
    if not is_avcc(extradata):
        return b"".join(len(unit).to_bytes(4, "big") + unit for unit in annex_b_units(bytes(packet)))
    size, parts, at = (extradata[4] & 3) + 1, [], 0
    if size == 4:
        return bytes(packet)
    while at + size <= len(packet):
        length = int.from_bytes(packet[at : at + size], "big")
        parts.append(length.to_bytes(4, "big") + bytes(packet[at + size : at + size + length]))
        at += size + length
    return b"".join(parts)


def is_avcc(extradata: bytes) -> bool:
    """Whether units come after their lengths (an AVCDecoderConfigurationRecord), not between start codes."""
    return len(extradata) > 6 and extradata[0] == 1


def annex_b_units(content: bytes) -> list[bytes]:
    """The NAL units between start codes (ITU-T H.264 Annex B)."""
    return [unit for part in content.split(b"\0\0\1")[1:] if (unit := part.rstrip(b"\0"))]


def parameters_of(extradata: bytes, key_packet: bytes) -> bytes | None:
    """The AVCDecoderConfigurationRecord (ISO/IEC 14496-15 5.3.3.1) of a stream, four bytes a length; None: not known.

    Where units come between start codes it is made of the parameter sets in the key frame, or else in the extradata.
    """
    if is_avcc(extradata):
        return extradata[:4] + bytes([extradata[4] | 3]) + extradata[5:]
    for units in (annex_b_units(key_packet), annex_b_units(extradata)):
        sequence = [unit for unit in units if unit[0] & 31 == 7]
        picture = [unit for unit in units if unit[0] & 31 == 8]
        if sequence and picture and len(sequence[0]) >= 4:
            return (
                bytes([1, *sequence[0][1:4], 0xFF, 0xE0 | len(sequence)])
                + _sized(sequence)
                + (bytes([len(picture)]) + _sized(picture))
            )
    return None


def _sized(units: Sequence[bytes]) -> bytes:
    return b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)
