"""Coverage-guided fuzzing of what strangers' bytes reach, by hand: for as long as one likes, until something breaks.

    pip install atheris
    python -m tests.fuzz rtmp -max_total_time=300        and so on for amf, flv, gate, source, rtsp, log

What follows the name goes to libFuzzer. Each parser may raise its own error and nothing else; besides, what it
promises is compared. An input that breaks it is written to a file `crash-...`: give that instead to see it again.
"""

from __future__ import annotations

import json
import logging
import struct
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["appliance"]):
    from appliance.address import parse, shown
    from appliance.config import Config
    from appliance.errors import InputError
    from appliance.media import amf, flv, mediamtx_log, rtmp
    from appliance.media.gate import Gate
    from appliance.media.refusals import Refusals
    from appliance.rules.sources import clean_source
    from appliance.vision.reading.reach import SourceRefused
    from appliance.vision.reading.rtsp_relay import CameraSide

LARGEST_BYTES = 65_536
KEY = "KEYKEYKEYKEYKEYKEY22"


def fuzz_rtmp(data: bytes) -> None:
    """However the network cuts the bytes, the same messages come out."""
    whole, is_broken = _messages([data])
    assert _messages(_cut(data)) == (whole, is_broken) or is_broken


def _messages(pieces: list[bytes]) -> tuple[list[rtmp.Message], bool]:
    """What came out, and whether it then broke off."""
    parser = rtmp.ChunkParser(LARGEST_BYTES, messages_left=1000)
    messages: list[rtmp.Message] = []
    for piece in pieces:
        try:
            messages += parser.feed(piece)
        except rtmp.RtmpError:
            return messages, True
    assert all(len(message.payload) <= LARGEST_BYTES for message in messages)
    return messages, False


def _cut(data: bytes) -> list[bytes]:
    """The same bytes in pieces; how long they are, the first byte says."""
    step = data[0] % 64 + 1 if data else 1
    return [data[at : at + step] for at in range(0, len(data), step)]


def fuzz_amf(data: bytes) -> None:
    """What was read can be written and is then read as the same."""
    try:
        values = amf.decode(data)
    except amf.AmfError:
        return
    try:
        written = amf.encode(*values)
    except (TypeError, UnicodeEncodeError, struct.error):  # arrays, odd bytes and long strings are only read
        return
    assert repr(amf.decode(written)) == repr(values)  # repr: NaN equals itself there


def fuzz_flv(data: bytes) -> None:
    """Any messages make a stream that somebody can join."""
    stream = flv.LiveStream()
    at = 0
    while at + 7 < len(data):
        kind = (rtmp.AUDIO, rtmp.VIDEO, rtmp.DATA)[data[at] % 3]
        size = int.from_bytes(data[at + 1 : at + 3], "big") % 512
        time_ms = int.from_bytes(data[at + 3 : at + 7], "big")
        stream.take(rtmp.Message(kind, 1, time_ms, data[at + 7 : at + 7 + size]))
        at += 7 + size
    stream.leave(stream.join())
    stream.end()


@lru_cache
def _gate() -> Gate:
    return Gate(Config(state_dir=tempfile.mkdtemp()))


def fuzz_gate(data: bytes) -> None:
    """An answer to every body, and never yes: there is no stream in this store."""
    assert _gate().status_for(data) in (400, 401)


def fuzz_source(data: bytes) -> None:
    """A source that is stored is plain text, stays what it is, and its password comes back whole and is never shown."""
    text = data.decode("utf-8", "replace")
    for by_admin in (False, True):
        with suppress(InputError):
            source = clean_source(text, by_admin)
            assert source.isprintable()
            assert clean_source(source, by_admin) == source
    shown(text)
    with suppress(InputError):
        source = clean_source("rtsp://camera/1", False, "ann", f"{text}-secret")
        assert parse(source).credentials == ("ann", f"{text}-secret")
        assert shown(source) == "rtsp://•••@camera/1"


def fuzz_rtsp(data: bytes) -> None:
    """However the network cuts it, the same is passed on, and whoever reads that reads it as we do."""
    passed = _passed([data])
    assert _passed(_cut(data)) == passed
    if passed is not None:
        assert _passed([passed]) == passed


def _passed(pieces: list[bytes]) -> bytes | None:
    side = CameraSide("192.0.2.9")
    try:
        return b"".join(side.feed(piece) for piece in pieces)
    except SourceRefused:
        return None


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


@lru_cache
def _log() -> _Kept:
    kept = _Kept()
    mediamtx_log.log.handlers, mediamtx_log.log.propagate = [kept], False
    return kept


def fuzz_log(data: bytes) -> None:
    """Wherever a stream key stands in what MediaMTX says: not in our log, nor in the record of refusals."""
    before, _, after = data.decode("utf-8", "replace").partition("|")
    refusals = Refusals()
    for start in ("", "2026/11/26 10:00:00 WAR ", "INF [RTMP] [conn 192.0.2.1:1] closed: "):
        mediamtx_log.pass_on(f"{start}{before}{KEY}{after}", refusals)
    said = [*_log().said, *(reason for _, _, reason in refusals.queue.queue)]
    _log().said.clear()
    assert KEY not in "\n".join(said)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "rtmp": fuzz_rtmp,
    "amf": fuzz_amf,
    "flv": fuzz_flv,
    "gate": fuzz_gate,
    "source": fuzz_source,
    "rtsp": fuzz_rtsp,
    "log": fuzz_log,
}
SEEDS: dict[str, list[bytes]] = {
    "rtmp": [rtmp.command("connect", 1, {"app": "live"}), rtmp.pack(rtmp.VIDEO, bytes(300), 6, 1)],
    "amf": [amf.encode("publish", 4, None, "key", {"a": True}), b"\x08\0\0\0\1\0\1a\5\0\0\x09"],
    "flv": [b"\1\0\x20\0\0\0\1\x17\0" + bytes(30) + b"\1\0\x20\0\0\0\2\x17\1" + bytes(30)],
    "gate": [
        json.dumps({"action": action, "path": f"live/{KEY}", "ip": "127.0.0.1", "protocol": "rtmp"}).encode()
        for action in ("publish", "read", "api")
    ],
    "source": [b"rtsp://user:pass@camera:554/a?b=c", b"http://[fe80::1]/x", b"/dev/video0", b"rtsp://a:b#c@d/e?pw=f"],
    "rtsp": [
        b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nTransport: RTP/AVP;source=::1\r\nContent-Length: 2\r\n\r\nab$\0\0\2cd",
        b"RTSP/1.0 302 Found\r\nLocation: rtsp://127.0.0.1/\r\n\r\n",
        b"ANNOUNCE rtsp://x RTSP/1.0\r\nCSeq: 2\r\n\r\n",
    ],
    "log": [
        b"[path live/|] closed",
        b"invalid path name: can't contain a slash (live/|)",
        b'parse "rtmp://h/|": x',
        b"a",
    ],
}


def main(name: str, arguments: list[str]) -> None:
    """Run one target."""
    corpus = Path(tempfile.mkdtemp())
    for number, seed in enumerate(SEEDS[name]):
        (corpus / str(number)).write_bytes(seed)
    places = [] if any(not argument.startswith("-") for argument in arguments) else [str(corpus)]
    atheris.Setup([sys.argv[0], *arguments, *places], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])
