"""What readers of a live stream get: the headers, then from a key frame on, at times that never run backwards."""

from __future__ import annotations

import asyncio
import struct
import tracemalloc
from dataclasses import dataclass

import pytest

from appliance.media import flv
from appliance.media.flv import LiveStream, Reader
from appliance.media.rtmp import AUDIO, DATA, VIDEO, WRAP_MS, Message

AVC_HEADER, AVC_KEY, AVC_FRAME, AVC_END = b"\x17\x00header", b"\x17\x01key", b"\x27\x01frame", b"\x17\x02\0\0\0"
AAC_HEADER, AAC = b"\xaf\x00header", b"\xaf\x01sound"
HEVC_HEADER, HEVC_KEY, HEVC_KEY_X, HEVC_FRAME = b"\x90hvc1h", b"\x91hvc1k", b"\x93hvc1k", b"\xa3hvc1f"
METADATA = flv.ON_METADATA + b"\x08\0\0\0\0\0\0\x09"


@dataclass(frozen=True)
class Seen:
    """One tag as a reader gets it."""

    kind: int
    time_ms: int
    payload: bytes


def send(stream: LiveStream, kind: int, payload: bytes, time_ms: int = 0) -> None:
    stream.take(Message(kind, 1, time_ms % WRAP_MS, payload))


def drain(reader: Reader) -> bytes:
    """All that waits for the reader."""

    async def take() -> bytes:
        return await asyncio.wait_for(reader.get(), 0.05) or b""

    try:
        return asyncio.run(take())
    except (TimeoutError, asyncio.TimeoutError):
        return b""


def tags(content: bytes) -> list[Seen]:
    """The tags of FLV, with or without the file's header; checks the size behind each."""
    at, found = 13 if content.startswith(b"FLV") else 0, []
    while at < len(content):
        size = int.from_bytes(content[at + 1 : at + 4], "big")
        time_ms = int.from_bytes(content[at + 4 : at + 7], "big") | content[at + 7] << 24
        found.append(Seen(content[at], time_ms, content[at + 11 : at + 11 + size]))
        at += 11 + size + 4
        assert struct.unpack(">I", content[at - 4 : at]) == (11 + size,)
    return found


def payloads(content: bytes) -> list[bytes]:
    return [one.payload for one in tags(content)]


@pytest.fixture
def stream() -> LiveStream:
    """A stream with headers, and no picture yet."""
    made = LiveStream()
    send(made, DATA, flv.SET_DATA_FRAME + METADATA)
    send(made, VIDEO, AVC_HEADER)
    send(made, AUDIO, AAC_HEADER)
    return made


def test_a_newcomer_gets_the_headers_and_all_since_the_last_key_frame(stream: LiveStream) -> None:
    for number in range(3):
        send(stream, VIDEO, AVC_KEY + bytes([number]), 1000 * number)
        send(stream, AUDIO, AAC + bytes([number]), 1000 * number + 10)
        send(stream, VIDEO, AVC_FRAME + bytes([number]), 1000 * number + 40)
    content = drain(stream.join())
    assert content[:9] == b"FLV\x01\x05\x00\x00\x00\x09"
    assert payloads(content) == [
        METADATA, AVC_HEADER, AAC_HEADER, AVC_KEY + b"\x02", AAC + b"\x02", AVC_FRAME + b"\x02",
    ]  # fmt: skip
    assert [one.time_ms for one in tags(content)] == [0, 0, 0, 0, 10, 40]


def test_a_newcomer_without_a_key_frame_gets_what_comes_and_so_knows_that_the_stream_lives(stream: LiveStream) -> None:
    send(stream, VIDEO, AVC_FRAME)
    reader = stream.join()
    assert payloads(drain(reader)) == [METADATA, AVC_HEADER, AAC_HEADER]
    send(stream, AUDIO, AAC)
    send(stream, VIDEO, AVC_FRAME)
    assert payloads(drain(reader)) == [AAC, AVC_FRAME]
    send(stream, VIDEO, AVC_KEY)
    assert payloads(drain(reader)) == [AVC_KEY]


def test_the_file_announces_only_what_there_is() -> None:
    for kinds, flags in (((VIDEO,), 1), ((AUDIO,), 4), ((VIDEO, AUDIO), 5)):
        stream = LiveStream()
        had_media = stream.has_media
        for kind in kinds:
            send(stream, kind, AVC_HEADER if kind == VIDEO else AAC_HEADER)
        assert (had_media, stream.has_media) == (False, True)
        assert drain(stream.join())[4] == flags


def test_sound_alone_needs_no_key_frame() -> None:
    stream = LiveStream()
    send(stream, AUDIO, AAC_HEADER)
    reader = stream.join()
    send(stream, AUDIO, AAC)
    assert payloads(drain(reader)) == [AAC_HEADER, AAC]


@pytest.mark.parametrize("key", [HEVC_KEY, HEVC_KEY_X])
def test_enhanced_rtmp_is_understood(key: bytes) -> None:
    stream = LiveStream()
    for payload in (HEVC_HEADER, HEVC_FRAME, key, HEVC_FRAME):
        send(stream, VIDEO, payload)
    assert payloads(drain(stream.join())) == [HEVC_HEADER, key, HEVC_FRAME]


def test_a_new_header_ends_the_group_that_it_cannot_decode(stream: LiveStream) -> None:
    send(stream, VIDEO, AVC_KEY)
    send(stream, VIDEO, AVC_HEADER)
    assert payloads(drain(stream.join()))[-1] == AVC_KEY  # the same again changes nothing
    send(stream, VIDEO, AVC_HEADER + b"of another size")
    assert payloads(drain(stream.join())) == [METADATA, AVC_HEADER + b"of another size", AAC_HEADER]


def test_the_end_mark_is_no_key_frame(stream: LiveStream) -> None:
    send(stream, VIDEO, AVC_KEY)
    send(stream, VIDEO, AVC_END)
    assert payloads(drain(stream.join()))[-2:] == [AVC_KEY, AVC_END]


@pytest.mark.parametrize("begin_ms", [0, 0xFFFFFF - 50, WRAP_MS // 2 - 50, WRAP_MS - 50])
def test_times_go_on_across_every_border(stream: LiveStream, begin_ms: int) -> None:
    stream = LiveStream()
    send(stream, VIDEO, AVC_HEADER, begin_ms)
    send(stream, VIDEO, AVC_KEY, begin_ms)
    reader = stream.join()
    for number in range(1, 5):
        send(stream, VIDEO, AVC_FRAME, begin_ms + 40 * number)
    assert [one.time_ms for one in tags(drain(reader))] == [0, 0, 40, 80, 120, 160]


def test_headers_at_time_0_of_a_publisher_that_is_six_hours_old() -> None:
    # Many encoders send headers at 0 whatever the time of the pictures is.
    stream = LiveStream()
    send(stream, VIDEO, AVC_HEADER, 0)
    six_hours_ms = 6 * 3600 * 1000
    send(stream, VIDEO, AVC_KEY, six_hours_ms)
    send(stream, VIDEO, AVC_FRAME, six_hours_ms + 40)
    assert [one.time_ms for one in tags(drain(stream.join()))] == [0, 0, 40]


def test_sound_from_before_the_first_picture_is_not_49_days_late(stream: LiveStream) -> None:
    send(stream, VIDEO, AVC_KEY, 1000)
    reader = stream.join()
    send(stream, AUDIO, AAC, 990)
    assert max(one.time_ms for one in tags(drain(reader))) == 0


def test_a_clock_that_was_set_does_not_stop_the_time(stream: LiveStream) -> None:
    send(stream, VIDEO, AVC_KEY, 5_000_000)
    reader = stream.join()
    for time_ms in (5_000_040, 40, 80, 4_000_000_000, 4_000_000_040):
        send(stream, VIDEO, AVC_FRAME, time_ms)
    assert [one.time_ms for one in tags(drain(reader))][3:] == [0, 40, 40, 80, 80, 120]


def test_a_slow_reader_misses_frames_up_to_the_next_key_frame(stream: LiveStream) -> None:
    send(stream, VIDEO, AVC_KEY)
    slow, quick = stream.join(), stream.join()
    big = AVC_FRAME + bytes(500_000)
    for _ in range(20):
        send(stream, VIDEO, big)
        drain(quick)
    held = drain(slow)
    assert len(held) < flv.MAX_READER_BYTES + 2 * len(big)
    send(stream, VIDEO, AVC_FRAME)
    assert drain(slow) == b""
    assert payloads(drain(quick)) == [AVC_FRAME]
    send(stream, VIDEO, AVC_KEY)
    send(stream, VIDEO, AVC_FRAME)
    assert payloads(drain(slow)) == [AVC_KEY, AVC_FRAME]


def test_a_reader_whom_headers_alone_would_fill_is_ended(stream: LiveStream) -> None:
    reader = stream.join()
    for number in range(400):
        send(stream, VIDEO, AVC_HEADER + number.to_bytes(2, "big") * 30_000)
    assert len(drain(reader)) < flv.MAX_READER_BYTES + flv.MAX_GROUP_BYTES + 2_000_000
    assert reader._ended


def test_a_header_that_is_too_long_is_left_out(stream: LiveStream) -> None:
    send(stream, VIDEO, AVC_HEADER + bytes(flv.MAX_HEADER_BYTES))
    assert payloads(drain(stream.join())) == [METADATA, AVC_HEADER, AAC_HEADER]


def test_a_group_without_end_is_not_kept(stream: LiveStream) -> None:
    send(stream, VIDEO, AVC_KEY)
    for _ in range(20):
        send(stream, VIDEO, AVC_FRAME + bytes(500_000))
    assert stream._group_bytes <= flv.MAX_GROUP_BYTES
    assert payloads(drain(stream.join())) == [METADATA, AVC_HEADER, AAC_HEADER]


def test_a_tag_counts_with_what_python_holds_for_it(stream: LiveStream) -> None:
    """Four million tags of one byte would otherwise count as 4 MB, and hold 185."""
    send(stream, VIDEO, AVC_KEY)
    reader = stream.join()
    tracemalloc.start()
    for _ in range(150_000):
        stream.take(Message(AUDIO, 1, 0, bytes(bytearray(b"x"))))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < flv.MAX_GROUP_BYTES + flv.MAX_READER_BYTES
    assert reader.waits_for_key, "it has missed some"


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (VIDEO, b""),
        (AUDIO, b""),
        (DATA, b""),
        (VIDEO, b"\x57\x00"),
        (DATA, b"\x02\x00\x03abc"),
        (DATA, flv.ON_METADATA + bytes(70_000)),
    ],
)
def test_what_shows_nothing_is_left_out(kind: int, payload: bytes) -> None:
    stream = LiveStream()
    send(stream, kind, payload)
    assert not stream.has_media
    assert payloads(drain(stream.join())) == []


def test_messages_of_one_byte_do_no_harm() -> None:
    stream = LiveStream()
    reader = stream.join()
    for first in range(256):
        for kind in (VIDEO, AUDIO):
            send(stream, kind, bytes([first]))
    assert tags(drain(reader))


def test_the_end_of_the_publisher_is_the_end_of_its_readers(stream: LiveStream) -> None:
    reader = stream.join()
    stream.end()

    async def all_of_it() -> list[bytes | None]:
        return [await reader.get(), await reader.get()]

    content, end = asyncio.run(all_of_it())
    assert content
    assert end is None
