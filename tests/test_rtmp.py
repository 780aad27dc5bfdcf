"""RTMP's chunks and AMF0: what encoders send comes out whole, and nothing else does harm."""

from __future__ import annotations

import random
import struct

import pytest

from appliance.media import amf, rtmp
from appliance.media.amf import AmfError
from appliance.media.rtmp import ChunkParser, Message, RtmpError

MANY = 1_000_000


def chunks(
    payload: bytes, time_ms: int = 0, kind: int = rtmp.VIDEO, size: int = 128, number: int = 4, repeat: bool = True
) -> bytes:
    """A message with a full header, cut into chunks; an extended time is repeated in each or not."""
    extended = struct.pack(">I", time_ms) if time_ms >= rtmp.EXTENDED else b""
    header = bytes([number]) + min(time_ms, rtmp.EXTENDED).to_bytes(3, "big") + len(payload).to_bytes(3, "big")
    pieces = [payload[at : at + size] for at in range(0, len(payload), size)]
    joint = bytes([0xC0 | number]) + (extended if repeat else b"")
    return header + bytes([kind]) + struct.pack("<I", 1) + extended + joint.join(pieces)


def test_a_message_comes_out_whole_however_its_bytes_arrive() -> None:
    content = random.Random(1).randbytes(1000)
    sent = chunks(content, 40) + chunks(content[:5], 80)
    expected = [Message(rtmp.VIDEO, 1, 40, content), Message(rtmp.VIDEO, 1, 80, content[:5])]
    assert ChunkParser(MANY).feed(sent) == expected
    drop_by_drop = ChunkParser(MANY)
    assert [one for at in range(len(sent)) for one in drop_by_drop.feed(sent[at : at + 1])] == expected


def test_messages_of_two_chunk_streams_may_be_interleaved() -> None:
    picture, sound = chunks(b"v" * 200, number=4), chunks(b"a" * 100, kind=rtmp.AUDIO, number=5)
    found = ChunkParser(MANY).feed(picture[:140] + sound + picture[140:])
    assert [(one.kind, one.payload) for one in found] == [(rtmp.AUDIO, b"a" * 100), (rtmp.VIDEO, b"v" * 200)]


def test_headers_that_leave_out_what_stays_the_same() -> None:
    first = chunks(b"one", 1000)
    second = bytes([0x44]) + (40).to_bytes(3, "big") + (4).to_bytes(3, "big") + bytes([rtmp.VIDEO]) + b"four"
    third = bytes([0x84]) + (33).to_bytes(3, "big") + b"FOUR"
    fourth = bytes([0xC4]) + b"more"
    found = ChunkParser(MANY).feed(first + second + third + fourth)
    assert [(one.timestamp_ms, one.payload) for one in found] == [
        (1000, b"one"), (1040, b"four"), (1073, b"FOUR"), (1106, b"more"),
    ]  # fmt: skip


def test_an_absolute_time_ends_the_step_before_it() -> None:
    step = bytes([0x84]) + (40).to_bytes(3, "big") + b"abc"
    same = bytes([0xC4]) + b"abc"
    found = ChunkParser(MANY).feed(chunks(b"abc", 1000) + step + same + chunks(b"abc", 5000) + same + step + same)
    assert [one.timestamp_ms for one in found] == [1000, 1040, 1080, 5000, 5000, 5040, 5080]


@pytest.mark.parametrize("number", [64, 319, 320, 65599])
def test_long_numbers_of_chunk_streams(number: int) -> None:
    basic = bytes([0, number - 64]) if number < 320 else bytes([1]) + (number - 64).to_bytes(2, "little")
    assert [one.payload for one in ChunkParser(MANY).feed(basic + chunks(b"x")[1:])] == [b"x"]


@pytest.mark.parametrize("time_ms", [rtmp.EXTENDED - 1, rtmp.EXTENDED, rtmp.EXTENDED + 1, rtmp.WRAP_MS - 1])
@pytest.mark.parametrize("repeat", [True, False])
@pytest.mark.parametrize("length", [1, 128, 129, 131, 1000])
def test_a_time_of_more_than_4_hours_40_is_read_whether_chunks_repeat_it_or_not(
    time_ms: int, repeat: bool, length: int
) -> None:
    content = bytes(range(1, 251)) * 4
    sent = chunks(content[:length], time_ms, repeat=repeat) + chunks(b"next", time_ms, repeat=repeat)
    found = ChunkParser(MANY).feed(sent + chunks(b"tail"))
    assert [(one.timestamp_ms, one.payload) for one in found[:2]] == [(time_ms, content[:length]), (time_ms, b"next")]


def test_the_time_wraps_after_32_bits() -> None:
    step = bytes([0x84]) + (40).to_bytes(3, "big") + b"abc"
    found = ChunkParser(MANY).feed(chunks(b"xyz", rtmp.WRAP_MS - 20) + step)
    assert [one.timestamp_ms for one in found] == [rtmp.WRAP_MS - 20, 20]


def test_the_chunk_size_changes_and_messages_are_aborted() -> None:
    bigger = chunks(struct.pack(">I", 500), kind=rtmp.SET_CHUNK_SIZE, number=2)
    assert ChunkParser(MANY).feed(bigger + chunks(b"w" * 600, size=500))[0].payload == b"w" * 600
    abort = chunks(struct.pack(">I", 4), kind=rtmp.ABORT, number=2)
    parser = ChunkParser(MANY)
    parser.feed(chunks(b"h" * 600)[:140])
    assert [one.payload for one in parser.feed(abort + chunks(b"after"))] == [b"after"]


@pytest.mark.parametrize(
    ("sent", "complaint"),
    [
        (chunks(b"x" * 2000), "too long"),
        (bytes([0x84]) + bytes(20), "never came"),
        (bytes([0xC4]) + bytes(20), "never came"),
        (chunks(b"x" * 500)[:140] + chunks(b"y"), "before the last one ended"),
        (chunks(bytes(4), kind=rtmp.SET_CHUNK_SIZE, number=2), "chunk size"),
        (chunks(b"\xff\xff\xff\xff", kind=rtmp.SET_CHUNK_SIZE, number=2), "chunk size"),
        (b"".join(chunks(b"x", number=number) for number in range(3, 60)), "too many chunk streams"),
        (b"".join(chunks(b"x" * 900, number=number)[:140] for number in range(3, 20)), "unfinished"),
    ],
)
def test_what_is_wrong_or_too_much_ends_it(sent: bytes, complaint: str) -> None:
    with pytest.raises(RtmpError, match=complaint):
        ChunkParser(1000).feed(sent)


def test_random_bytes_raise_nothing_else_and_keep_little() -> None:
    dice = random.Random(7)
    good = chunks(b"v" * 300) + chunks(struct.pack(">I", 4096), kind=rtmp.SET_CHUNK_SIZE, number=2)
    for _ in range(2000):
        sent = bytearray(good * 2 if dice.random() < 0.7 else dice.randbytes(400))
        for _ in range(dice.randrange(6)):
            sent[dice.randrange(len(sent))] = dice.randrange(256)
        parser = ChunkParser(10_000)
        try:
            for message in parser.feed(bytes(sent)):
                amf.decode(message.payload)
        except (RtmpError, AmfError):
            continue
        assert len(parser._buffer) <= 10_000 + 20


def test_a_message_of_ours_is_read_back() -> None:
    long_one = rtmp.pack(rtmp.COMMAND, b"c" * 10_000, 3)
    told = rtmp.control(rtmp.SET_CHUNK_SIZE, rtmp.OUR_CHUNK_BYTES)
    assert [one.payload for one in ChunkParser(MANY).feed(told + long_one)] == [b"c" * 10_000]


# AMF0


def test_amf_there_and_back() -> None:
    values = ["connect", 1.0, {"app": "live", "fpad": False, "inner": {"pi": 3.14}}, None, True, "Grüße"]
    assert amf.decode(amf.encode(*values)) == values


def test_amf_that_only_encoders_send() -> None:
    properties = b"\x00\x01a" + amf.encode(1.0) + b"\x00\x00\x09"
    assert amf.decode(b"\x08" + struct.pack(">I", 0) + properties) == [{"a": 1.0}]  # the count is often wrong
    assert amf.decode(b"\x0a" + struct.pack(">I", 2) + amf.encode(1.0, "b")) == [[1.0, "b"]]
    assert amf.decode(b"\x0c" + struct.pack(">I", 3) + b"abc" + b"\x06") == ["abc", None]


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\x01",
        b"\x01",
        b"\x02\x00\x05abc",
        b"\x02",
        b"\x03\x00\x01a",
        b"\x03" * 5000,
        b"\x0a\xff\xff\xff\xff",
        b"\x0a" + struct.pack(">I", 1000) + b"\x05",
        (b"\x0a" + struct.pack(">I", 1)) * 5000,
        b"\x11",
        b"\x0d",
        b"\x08\x00",
        b"\x0b\x00",
    ],
)
def test_what_is_no_amf_is_refused(sent: bytes) -> None:
    with pytest.raises(AmfError):
        amf.decode(sent)


def test_more_messages_than_may_come_are_refused_in_the_middle_of_what_arrives() -> None:
    parser = ChunkParser(1000, messages_left=100)
    first = b"\x04\0\0\0\0\0\0\x08\x01\0\0\0"
    assert len(parser.feed(first + b"\xc4" * 99)) == 100
    with pytest.raises(RtmpError, match="too many messages"):
        parser.feed(b"\xc4")
