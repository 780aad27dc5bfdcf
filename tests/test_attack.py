"""A running box under attack: the site, the gate and whoever publishes go on. Bounded, and on loopback only.

Each attack is a block; `goes_on` is what must hold inside it. Nothing here asserts how fast: a box that is stopped
answers within no deadline at all.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack

import httpx
import pytest

from appliance.media import amf
from appliance.secrets import digest
from tests.attackers import HANDSHAKE, knocking, sending
from tests.boxes import KEY, OTHER_KEY, Box, publishing, until
from tests.conftest import port_giver
from tests.media_room import make_clip
from tests.rtmp_client import RtmpClient

pytestmark = pytest.mark.timeout(300)
SLOW = 200
ATTACK_S = 6.0  # longer than the patience with a publisher that is silent
PATIENCE_S = 60.0  # on a machine that has other things to do; a box that is stopped does not answer at all


@pytest.fixture(scope="module", params=["embedded", pytest.param("mediamtx", marks=pytest.mark.mediamtx)])
def box(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A box with either ingest, whose stream `door` is LIVE and whose second stream is free."""
    if request.param == "mediamtx" and not shutil.which("mediamtx"):
        pytest.skip("there is no MediaMTX binary on PATH")
    folder = tmp_path_factory.mktemp("box")
    clip = make_clip(folder / "clip.flv")
    made = Box(folder, request.param, port_giver())
    made.store.streams.add_with_key(1, "free", digest(OTHER_KEY), time.time())
    with made.running(), publishing(clip, made.url()) as publisher:
        until(made.is_live, PATIENCE_S, "the stream goes LIVE")
        yield made
        assert publisher.poll() is None, "the publisher was never cut"


def goes_on(box: Box) -> None:
    """While it is attacked: the site answers, a publisher is let in by the gate, and the other one stays LIVE."""
    end_s = time.monotonic() + ATTACK_S
    while time.monotonic() < end_s:
        assert httpx.get(f"{box.page}/health", timeout=PATIENCE_S).text == "ok\n"
        with RtmpClient(box.config.rtmp.port) as publisher:
            publisher.socket.settimeout(PATIENCE_S)
            publisher.publish("live", OTHER_KEY)
        until(box.is_live, PATIENCE_S, "the stream that was LIVE is so")
        time.sleep(0.5)


def port_of(box: Box, service: str) -> int:
    return {"site": box.config.web.port, "gate": box.config.media.gate_port, "ingest": box.config.rtmp.port}[service]


BEGINNINGS = {
    "site": b"POST /sign-in HTTP/1.1\r\nHost: box\r\nContent-Length: 90000\r\n\r\n",
    "gate": b"POST /auth HTTP/1.1\r\nHost: box\r\nX: ",
    "ingest": b"\x03",
}


@pytest.mark.parametrize("service", BEGINNINGS)
def test_slow_sockets_stop_nobody(box: Box, service: str) -> None:
    with sending(port_of(box, service), SLOW, BEGINNINGS[service], b"x", pause_s=1.0):
        goes_on(box)


def test_slow_sockets_everywhere_at_once_stop_nobody(box: Box) -> None:
    with ExitStack() as attacks:
        for service, beginning in BEGINNINGS.items():
            attacks.enter_context(sending(port_of(box, service), SLOW // 2, beginning, b"x", pause_s=1.0))
        goes_on(box)


@pytest.mark.parametrize("service", BEGINNINGS)
def test_a_flood_of_connections_stops_nobody(box: Box, service: str) -> None:
    with knocking(port_of(box, service)):
        goes_on(box)


CONNECT = amf.encode("connect", 1, {"app": "live"})
FLOODS = {
    "sound of one byte": (b"\x04\0\0\0\0\0\x01\x08\x01\0\0\0x", b"\xc4x" * 30_000),
    "nothing": (b"\x04\0\0\0\0\0\0\x08\x01\0\0\0", b"\xc4" * 60_000),
    "commands": (
        b"\x03\0\0\0\0\0" + bytes([len(CONNECT)]) + b"\x14\0\0\0\0" + CONNECT,
        (b"\xc3" + CONNECT) * 1_500,
    ),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_of_small_messages_stops_nobody(box: Box, flood: str) -> None:
    first, each = FLOODS[flood]
    with sending(box.config.rtmp.port, 32, HANDSHAKE + first, each, pause_s=0.01):
        goes_on(box)


def command(*values: object, stream_id: int = 0) -> bytes:
    """A command of less than 128 bytes, as one chunk."""
    body = amf.encode(*values)
    return b"\x03\0\0\0\0\0" + bytes([len(body)]) + b"\x14" + bytes([stream_id, 0, 0, 0]) + body


def test_guessing_keys_stops_nobody(box: Box) -> None:
    guess = command("publish", 3, None, "GUESSGUESSGUESSGUESS", "live", stream_id=1)
    first = HANDSHAKE + command("connect", 1, {"app": "live"}) + command("createStream", 2, None) + guess
    with sending(box.config.rtmp.port, 32, first, b"\x03", pause_s=0.05):
        goes_on(box)


def test_noise_stops_nobody(box: Box) -> None:
    with sending(box.config.rtmp.port, 32, b"\x03" + os.urandom(30_000), os.urandom(30_000), pause_s=0.05):
        goes_on(box)


def big_bodies(box: Box) -> AbstractContextManager[None]:
    head = b"POST /sign-in HTTP/1.1\r\nHost: box\r\nTransfer-Encoding: chunked\r\n\r\n"
    return sending(box.config.web.port, 32, head, b"4000\r\n" + bytes(0x4000) + b"\r\n", pause_s=0.01)


def long_heads(box: Box) -> AbstractContextManager[None]:
    return sending(box.config.web.port, 32, b"GET / HTTP/1.1\r\n", b"X: " + b"x" * 1000 + b"\r\n", pause_s=0.01)


def slow_readers(box: Box) -> AbstractContextManager[None]:
    return sending(box.config.web.port, 64, b"", b"GET /sign-in HTTP/1.1\r\nHost: box\r\n\r\n" * 100, pause_s=0.2)


@pytest.mark.parametrize("attack", [big_bodies, long_heads, slow_readers])
def test_what_is_too_much_for_the_site_stops_nobody(
    box: Box, attack: Callable[[Box], AbstractContextManager[None]]
) -> None:
    with attack(box):
        goes_on(box)


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Host": "evil.example"}], ids=str)
def test_a_page_of_another_site_gets_nothing_from_any_port(box: Box, headers: dict[str, str]) -> None:
    """What a browser on the box can send: another origin, as text/plain, or a name that was bent to lead here."""
    hook = b'{"runOnInit": "touch x"}'
    requests = {
        "gate": ("POST", box.config.media.gate_port, "/auth"),
        "hook": ("POST", box.config.media.api_port, "/v3/config/paths/add/x"),
        "paths": ("GET", box.config.media.api_port, "/v3/paths/list"),
        "read": ("GET", box.config.media.read_port, f"/live/{KEY}.flv"),
        "site": ("POST", box.config.web.port, "/sign-in"),
    }
    for method, port, path in requests.values():
        sent = {"Content-Type": "text/plain", **headers}
        answer = httpx.request(method, f"http://127.0.0.1:{port}{path}", content=hook, headers=sent, timeout=PATIENCE_S)
        assert 400 <= answer.status_code < 500 and KEY not in answer.text, path


def test_the_log_stays_short(box: Box) -> None:
    """The last test: what all attacks together have left there."""
    assert "Traceback" not in box.log()
    assert len(box.log()) < 200_000
