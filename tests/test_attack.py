"""A running box under attack: the site, the gate and whoever publishes go on. Bounded, and on loopback only.

Each attack is a block; `goes_on` is what must hold inside it. Nothing here asserts how fast: a box that is stopped
answers within no deadline at all.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from appliance.media import amf
from appliance.media.mediamtx import Client
from appliance.secrets import digest, secret_from_file
from appliance.store import Stream
from appliance.times import now
from tests.attackers import HANDSHAKE, knocking, sending
from tests.boxes import KEY, OTHER_KEY, PASSWORD, Box, publishing, until
from tests.cameras import Answer, answering, playlist, redirecting
from tests.cameras import sending as sent
from tests.conftest import port_giver
from tests.media_room import make_clip
from tests.rtmp_client import RtmpClient

pytestmark = pytest.mark.timeout(300)
SLOW = 200
ATTACK_S = 6.0  # longer than the patience with a publisher that is silent
FLOOD_S = 3.0  # of what comes as fast as it is taken, which keeps whole cores busy meanwhile
ONCE_S = 0.1
PATIENCE_S = 60.0  # on a machine that has other things to do; a box that is stopped does not answer at all


class Evil(NamedTuple):
    """An attacker's web server, on the one port of loopback that sources may lead to. asked: for which paths."""

    port: int
    answers: dict[str, Answer]
    asked: list[str]


@pytest.fixture(scope="module")
def evil() -> Iterator[Evil]:
    answers: dict[str, Answer] = {}
    with answering(answers) as (port, asked):
        yield Evil(port, answers, asked)


@pytest.fixture(scope="module", params=["embedded", pytest.param("mediamtx", marks=pytest.mark.mediamtx)])
def box(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, evil: Evil) -> Iterator[Box]:
    """A box with either ingest, whose stream `door` is LIVE and whose second stream is free."""
    if request.param == "mediamtx" and not shutil.which("mediamtx"):
        pytest.skip("there is no MediaMTX binary on PATH")
    folder = tmp_path_factory.mktemp("box")
    clip = make_clip(folder / "clip.flv")
    made = Box(folder, request.param, port_giver(), sources={"own_ports": [evil.port]})
    made.store.streams.add_with_key(1, "free", digest(OTHER_KEY), time.time())
    with made.running(), publishing(clip, made.url()) as publisher:
        until(made.is_live, PATIENCE_S, "the stream goes LIVE")
        yield made
        assert publisher.poll() is None, "the publisher was never cut"


def goes_on(box: Box, attack_s: float = ATTACK_S) -> None:
    """While it is attacked: the site answers, a publisher is let in by the gate, and the other one stays LIVE."""
    end_s = time.monotonic() + attack_s
    while time.monotonic() < end_s:
        assert httpx.get(f"{box.page}/health", timeout=PATIENCE_S).text == "ok\n"
        with RtmpClient(box.config.rtmp.port) as publisher:
            publisher.socket.settimeout(PATIENCE_S)
            publisher.publish("live", OTHER_KEY)
        until(box.is_live, PATIENCE_S, "the stream that was LIVE is so")
        time.sleep(0.5)


def port_of(box: Box, service: str) -> int:
    return {"site": box.config.web.port, "gate": box.config.media.gate_port, "ingest": box.config.rtmp.port}[service]


of_the_site = pytest.mark.parametrize("box", ["embedded"], indirect=True)
"""For what never reaches an ingest: with one of them."""
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
        goes_on(box, FLOOD_S)


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
        goes_on(box, FLOOD_S)


def command(*values: object, stream_id: int = 0) -> bytes:
    """A command of less than 128 bytes, as one chunk."""
    body = amf.encode(*values)
    return b"\x03\0\0\0\0\0" + bytes([len(body)]) + b"\x14" + bytes([stream_id, 0, 0, 0]) + body


def test_guessing_keys_stops_nobody(box: Box) -> None:
    guess = command("publish", 3, None, "GUESSGUESSGUESSGUESS", "live", stream_id=1)
    first = HANDSHAKE + command("connect", 1, {"app": "live"}) + command("createStream", 2, None) + guess
    with sending(box.config.rtmp.port, 32, first, b"\x03", pause_s=0.05):
        goes_on(box, FLOOD_S)


def test_noise_stops_nobody(box: Box) -> None:
    with sending(box.config.rtmp.port, 32, b"\x03" + os.urandom(30_000), os.urandom(30_000), pause_s=0.05):
        goes_on(box, FLOOD_S)


def big_bodies(box: Box) -> AbstractContextManager[None]:
    head = b"POST /sign-in HTTP/1.1\r\nHost: box\r\nTransfer-Encoding: chunked\r\n\r\n"
    return sending(box.config.web.port, 32, head, b"4000\r\n" + bytes(0x4000) + b"\r\n", pause_s=0.01)


def long_heads(box: Box) -> AbstractContextManager[None]:
    return sending(box.config.web.port, 32, b"GET / HTTP/1.1\r\n", b"X: " + b"x" * 1000 + b"\r\n", pause_s=0.01)


def slow_readers(box: Box) -> AbstractContextManager[None]:
    return sending(box.config.web.port, 64, b"", b"GET /sign-in HTTP/1.1\r\nHost: box\r\n\r\n" * 100, pause_s=0.2)


@pytest.mark.parametrize("attack", [big_bodies, long_heads, slow_readers])
@of_the_site
def test_what_is_too_much_for_the_site_stops_nobody(
    box: Box, attack: Callable[[Box], AbstractContextManager[None]]
) -> None:
    with attack(box):
        goes_on(box, ATTACK_S if attack is slow_readers else FLOOD_S)


def test_a_source_that_leads_on_to_this_box_reads_nothing_there(box: Box, evil: Evil) -> None:
    media = box.config.media
    with answering({"/m.ts": sent(b"G" * 188)}) as (inside, asked_inside):
        there = {
            "/api": f"http://127.0.0.1:{media.api_port}/v3/paths/list",
            "/stream": f"http://127.0.0.1:{media.read_port}/live/{KEY}.flv",
            "/rtsp": f"rtsp://127.0.0.1:{media.read_port}/live/{KEY}",
            "/file": f"file://{box.config.local_secret_path}",
            "/inside": f"http://127.0.0.1:{inside}/m.ts",
        }
        evil.answers.update({path: redirecting(where) for path, where in there.items()})
        evil.answers["/list.m3u8"] = sent(playlist("#EXTINF:1,", there["/inside"]), "application/vnd.apple.mpegurl")
        sources = {f"http://127.0.0.1:{evil.port}{path}" for path in (*there, "/list.m3u8")}
        sources |= {there["/inside"], there["/stream"], there["/rtsp"]}
        ids = [box.store.streams.add_with_source(1, f"evil {at}", one, time.time()) for at, one in enumerate(sources)]
        try:
            goes_on(box)
            until(lambda: {*there, "/list.m3u8"} <= set(evil.asked), PATIENCE_S, "every source has been tried")
            until(lambda: all(one.problem for one in pulled(box, ids)), PATIENCE_S, "every page says why")
            assert not [one.name for one in pulled(box, ids) if one.live or one.width]
            assert asked_inside == [], "not even asked for"
        finally:
            for stream_id in ids:
                box.store.streams.remove(stream_id)


def pulled(box: Box, ids: list[int]) -> list[Stream]:
    return [stream for stream in map(partial(box.store.streams.get, now=now()), ids) if stream]


def test_a_name_that_is_bound_to_this_box_opens_nothing(box: Box) -> None:
    """DNS rebinding: a page of evil.example whose name now leads here, so that no browser sees another origin."""
    goes_on(box, ONCE_S)
    for path in ("/", "/health", "/sign-in", "/claim", "/api/v1/status", "/api/openapi.json", "/static/x"):
        answer = httpx.get(f"{box.page}{path}", headers={"Host": f"evil.example:{box.config.web.port}"})
        assert answer.status_code == 421, path
        assert not answer.cookies and "ann" not in answer.text
    for port, path in local_interfaces(box):
        answer = httpx.get(f"http://127.0.0.1:{port}{path}", headers={"Host": f"evil.example:{port}"})
        assert answer.status_code in (401, 403, 404, 405), path
        assert KEY not in answer.text and "live" not in answer.text


def local_interfaces(box: Box) -> list[tuple[int, str]]:
    """Port and path of what answers HTTP on loopback."""
    media = box.config.media
    reading = [(media.read_port, f"/live/{KEY}.flv")] if media.engine == "embedded" else []
    api = [(media.api_port, path) for path in ("/v3/info", "/v3/paths/list", "/v3/rtmpconns/list", "/metrics")]
    return [(media.gate_port, "/auth"), *api, *reading]


def test_a_page_that_is_open_on_this_machine_changes_nothing(box: Box, tmp_path: Path) -> None:
    """What it may send unasked: text and forms, to wherever it likes, with its Origin."""
    goes_on(box, ONCE_S)
    media, mark = box.config.media, tmp_path / "mark"
    page = {"Origin": "http://evil.example", "Content-Type": "text/plain"}
    hook = {"source": "publisher", "runOnInit": f"touch {mark}"}
    allowed = {"action": "publish", "path": f"live/{KEY}", "ip": "127.0.0.1", "protocol": "rtmp"}
    ids = [one.id for one in box_client(box).connections()]
    attempts = [(media.api_port, "/v3/config/paths/add/x", hook), (media.api_port, "/v3/config/global/patch", hook)]
    attempts += [(media.api_port, f"/v3/{kind}/kick/{one}", {}) for kind in ("rtmpconns", "rtmpsconns") for one in ids]
    for port, path, content in [*attempts, (media.gate_port, "/auth", allowed)]:
        for headers in (page, {**page, "Origin": "null"}, {"Content-Type": "text/plain"}):
            answer = httpx.post(f"http://127.0.0.1:{port}{path}", content=json.dumps(content), headers=headers)
            assert answer.status_code in (401, 403), path
            assert "access-control-allow-origin" not in answer.headers
    goes_on(box)
    assert not mark.exists()


def box_client(box: Box) -> Client:
    return Client(box.config.media.api_port, secret_from_file(box.config.local_secret_path))


@of_the_site
def test_a_form_of_another_site_changes_nothing(box: Box) -> None:
    with httpx.Client(base_url=box.page, timeout=PATIENCE_S) as browser:
        goes_on(box, ONCE_S)
        signing_in = {"name": "ann", "password": PASSWORD}
        assert post_form(browser, "/sign-in", "/sign-in", "http://evil.example", signing_in) == 403
        assert post_form(browser, "/sign-in", "/sign-in", box.page, signing_in) == 303
        for origin in ("http://evil.example", "null", f"http://127.0.0.1:{box.config.media.api_port}"):
            for path in ("/streams/1/deactivate", "/streams/1/key", "/streams/1/delete", "/people"):
                assert post_form(browser, "/account", path, origin, {"name": "eve", "role": "admin"}) == 403
        goes_on(box)
    assert box.store.people.count() == 1


def post_form(browser: httpx.Client, page: str, path: str, origin: str, fields: dict[str, str]) -> int:
    """Send a form with the right token, which other sites do not even know; the status."""
    token = browser.get(page).text.split('name="csrf" value="')[1].split('"')[0]
    return browser.post(path, data={"csrf": token, **fields}, headers={"Origin": origin}).status_code


@of_the_site
def test_who_invents_where_requests_come_from_is_counted_by_their_own_address(box: Box) -> None:
    elsewhere = httpx.HTTPTransport(local_address="127.0.0.99")
    with httpx.Client(base_url=box.page, timeout=PATIENCE_S, transport=elsewhere) as guesser:
        headers = ({"X-Forwarded-For": f"203.0.113.{number}"} for number in range(40))
        token = guesser.get("/sign-in").text.split('name="csrf" value="')[1].split('"')[0]
        wrong = {"csrf": token, "name": "ann", "password": "wrong"}
        assert any(guesser.post("/sign-in", data=wrong, headers=one).status_code == 429 for one in headers)
    with httpx.Client(base_url=box.page, timeout=PATIENCE_S) as browser:
        assert post_form(browser, "/sign-in", "/sign-in", box.page, {"name": "ann", "password": PASSWORD}) == 303


def test_the_log_stays_short(box: Box) -> None:
    """The last test: what all attacks together have left there."""
    assert "Traceback" not in box.log()
    assert len(box.log()) < 200_000
