"""The wire: every message survives it, and nothing that comes over it can do harm."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.messages import (
    COMPRESS_BYTES,
    FROM_BOX,
    MAX_BYTES,
    SHAPES,
    TO_BOX,
    Kind,
    Malformed,
    Row,
    Sums,
    decode,
    encode,
    parse_topic,
    topic,
)

EPOCH = "0123456789abcdef"
ROWS = st.builds(
    Row,
    stream=st.integers(1, 2**31),
    minute=st.integers(-(2**31), 2**31),
    start_utc=st.integers(0, 2**33),
    seq=st.integers(1, 2**53),
    watched_s=st.integers(0, 86_400),
    mask=st.integers(-(10**6), 10**6),
    verified=st.sampled_from((0, 1)),
)


@given(st.lists(ROWS, max_size=240))
def test_sums_survive_the_wire(rows: list[Row]) -> None:
    sums = Sums(epoch=EPOCH, rows=rows, after=0, upto=2**53)
    payload = encode(sums)
    assert decode(payload, Sums) == sums
    assert len(payload) < MAX_BYTES


def test_a_long_message_is_compressed_and_a_short_one_can_be_read_by_a_person() -> None:
    row = Row(1, 0, 1_700_000_000, 1)
    short, long = encode(Sums(epoch=EPOCH, rows=[row])), encode(Sums(epoch=EPOCH, rows=[row] * 100))
    assert short.startswith(b'{"v":1,') and len(short) <= COMPRESS_BYTES
    assert zlib.decompress(long).startswith(b'{"v":1,')


def test_what_a_newer_side_added_is_not_looked_at() -> None:
    newer = b'{"v":2,"epoch":"0123456789abcdef","rows":[[1,0,5,1,60,3,0,0,0,1,"later"]],"after":0,"upto":1,"more":{}}'
    assert decode(newer, Sums).rows == [Row(1, 0, 5, 1, 60, 3)]


def test_a_row_of_an_older_side_has_the_rest_as_nothing() -> None:
    older = b'{"epoch":"0123456789abcdef","rows":[[1,0,5,1]]}'
    assert decode(older, Sums).rows == [Row(1, 0, 5, 1)]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"null",
        b"\xff\xfe",
        b"[" * 60_000,
        zlib.compress(b"[" * 900_000),
        zlib.compress(b" " * 2_000_000),
        zlib.compress(b'{"v":1}')[:-3],
        b"{" + b" " * MAX_BYTES,
        b'{"epoch":"../../../etc/pass","rows":[]}',
        b'{"epoch":"0123456789abcdef","rows":[[0,0,5,1]]}',
        b'{"epoch":"0123456789abcdef","rows":[[1,0,5,1,60,1e99]]}',
        b'{"epoch":"0123456789abcdef","rows":[[1,0,-5,1]]}',
        b'{"epoch":"0123456789abcdef","rows":' + b"[[1,0,5,1]]"[:-1] + b",[1,0,5,1]" * 240 + b"]}",
    ],
)
def test_what_cannot_be_read_says_why(payload: bytes) -> None:
    with pytest.raises(Malformed, match=r"."):
        decode(payload, Sums)


@given(st.binary(max_size=300))
def test_no_bytes_do_harm(payload: bytes) -> None:
    for shape in SHAPES.values():
        try:
            decode(payload, shape)
        except Malformed:
            continue


@pytest.mark.parametrize("kind", Kind)
def test_a_topic_names_its_box_and_its_kind(kind: Kind) -> None:
    assert parse_topic(topic("gate-3", kind)) == ("gate-3", kind)
    assert (kind in FROM_BOX) != (kind in TO_BOX)
    assert kind in SHAPES


@pytest.mark.parametrize(
    "text", ["", "mb9k//sums", "mb9k/A/sums", "mb9k/a/b/sums", "mb9k/a/none", "x/a/sums", "mb9k/+/sums"]
)
def test_another_topic_is_no_message_of_ours(text: str) -> None:
    with pytest.raises(Malformed):
        parse_topic(text)
