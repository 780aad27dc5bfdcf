"""What the embedded ingest asks the gate, and what its API says word for word."""

from __future__ import annotations

import asyncio
import json
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from appliance.config import Config
from appliance.loopback import authorization
from appliance.media import embedded
from tests.boxes import until
from tests.clock import Clock
from tests.media_room import MediaRoom
from tests.rtmp_client import RtmpClient

KEY = "EMBEDEMBEDEMBEDEMB44"


@contextmanager
def gate(status: int, folder: Path) -> Iterator[tuple[embedded.Ingest, list[Any]]]:
    """An ingest whose gate answers with this status, and what the gate was asked."""
    asked: list[Any] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            shown = {name: self.headers[name] for name in ("Authorization", "Content-Type")}
            asked.append((self.path, shown, json.loads(body)))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield (
            embedded.Ingest(
                msgspec.convert({"state_dir": str(folder), "media": {"gate_port": server.server_port}}, Config)
            ),
            asked,
        )
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "said"), [(200, True), (299, True), (300, False), (401, False), (499, False), (500, None), (503, None)]
)
def test_only_a_clear_yes_lets_in_and_only_a_clear_no_sends_away(
    tmp_path: Path, status: int, said: bool | None
) -> None:
    with gate(status, tmp_path) as (ingest, _):
        assert asyncio.run(ingest.authorise("publish", "live/x", "192.0.2.1", "7")) is said


@pytest.mark.parametrize(("connection_id", "protocol"), [("7", "rtmp"), ("", "http-flv")])
def test_the_gate_is_asked_in_the_words_of_mediamtx(tmp_path: Path, connection_id: str, protocol: str) -> None:
    with gate(200, tmp_path) as (ingest, asked):
        asyncio.run(ingest.authorise("read", "live/x", "192.0.2.1", connection_id, "ann", "guess", query="x=1"))
    words = {"action": "read", "path": "live/x", "query": "x=1", "ip": "192.0.2.1", "user": "ann", "password": "guess"}
    shown = {"Authorization": authorization(ingest.secret), "Content-Type": "application/json"}
    assert asked == [("/auth", shown, {**words, "protocol": protocol, "id": connection_id})]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": ""}, 401),
        ({"Authorization": authorization("guessed")}, 401),
        ({"Origin": "null"}, 403),
        ({"Host": "rebound.test"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({}, 200),
    ],
)
def test_the_api_answers_the_box_itself_and_nobody_else(
    tmp_path: Path, free_port: Callable[[], int], headers: dict[str, str], status: int
) -> None:
    room = MediaRoom(tmp_path, "embedded", free_port)
    with room.running_ingest():
        shown = {"Authorization": authorization(room.secret), **headers}
        sent = {name: value for name, value in shown.items() if value}
        answer = httpx.get(f"http://127.0.0.1:{room.config.media.api_port}/v3/info", headers=sent)
    assert answer.status_code == status


def test_the_api_tells_of_every_publisher_and_connection(tmp_path: Path, free_port: Callable[[], int]) -> None:
    room = MediaRoom(tmp_path, "embedded", free_port)
    room.add_stream(KEY)

    def told(path: str, method: str = "GET") -> dict[str, Any]:
        shown = {"Authorization": authorization(room.secret)}
        answer = httpx.request(method, f"http://127.0.0.1:{room.config.media.api_port}/v3/{path}", headers=shown)
        assert answer.headers["content-type"] == "application/json"
        content: dict[str, Any] = answer.json()
        return content

    with room.running(), RtmpClient(room.config.rtmp.port) as client:
        client.publish("live", KEY, flash_version="an encoder")
        client.send(9, 0, b"\x17\x00header")
        room.wait_for(KEY)
        (path,), (connection,) = told("paths/list")["items"], told("rtmpconns/list")["items"]
        source, count = {"type": "rtmpConn", "id": connection["id"]}, path["inboundBytes"]
        assert count > 0
        assert path == {"name": f"live/{KEY}", "available": True, "source": source, "inboundBytes": count}
        assert connection == {
            "id": source["id"],
            "remoteAddr": "{}:{}".format(*client.socket.getsockname()),
            "state": "publish",
            "path": f"live/{KEY}",
            "userAgent": "an encoder",
            "inboundBytes": count,
        }
        assert told("paths/list") == {"itemCount": 1, "pageCount": 1, "items": [path]}
        with RtmpClient(room.config.rtmp.port) as idle:
            idle.shake_hands()
            until(lambda: "idle" in [one["state"] for one in told("rtmpconns/list")["items"]], 30, "it is told of")
        assert told("nothing") == told(f"rtmpconns/kick/{source['id']}") == {"status": "error", "error": "not found"}
        assert told(f"rtmpconns/kick/{source['id']}", "POST") == {"status": "ok"}


def test_whoever_waits_in_all_places_is_ended_for_a_publisher_however_many_there_are(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    room = MediaRoom(tmp_path, "embedded", free_port)
    room.add_stream(KEY)
    with room.running(), ExitStack() as crowd:
        until(lambda: room.client.connections() == [], 30, "whoever looked whether it listens has gone")
        port = room.config.rtmp.port
        for number in range(80):
            source = (f"127.0.0.{2 + number % 8}", 0)
            crowd.enter_context(socket.create_connection(("127.0.0.1", port), source_address=source))
        until(lambda: len(room.client.connections()) == embedded.MAX_PENDING, 5, "all places are taken, and no more")
        with RtmpClient(port) as publisher:
            publisher.publish("live", KEY)
            assert [path.name for path in room.client.paths()] == [f"live/{KEY}"]


def test_visitors_of_a_local_port_who_ask_nothing_are_bounded_and_keep_nobody_out(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    room = MediaRoom(tmp_path, "embedded", free_port)
    with room.running_ingest(), ExitStack() as opened:
        address = ("127.0.0.1", room.config.media.api_port)
        crowd = [opened.enter_context(socket.create_connection(address)) for _ in range(2 * embedded.MAX_VISITS)]
        assert room.client.info() == "mb9k embedded"
        ended = select.poll()
        for one in crowd:
            ended.register(one, select.POLLRDHUP)
        assert len(ended.poll(0)) > embedded.MAX_VISITS


def test_publishers_leave_room_for_others_of_their_address(tmp_path: Path, free_port: Callable[[], int]) -> None:
    room = MediaRoom(tmp_path, "embedded", free_port)
    keys = [f"EMBEDEMBEDEMBEDEM{number:03}".translate(str.maketrans("01", "XY")) for number in range(17)]
    with room.running(), ExitStack() as crowd:
        for key in keys:
            room.add_stream(key)
            crowd.enter_context(RtmpClient(room.config.rtmp.port)).publish("live", key)
        assert len(room.client.paths()) == 17


def test_rtmps_without_mediamtx_is_warned_of(tmp_path: Path, free_port: Callable[[], int]) -> None:
    room = MediaRoom(tmp_path, "embedded", free_port, tls_certificate="a.crt", tls_key="a.key")
    with room.running_ingest():
        assert "RTMPS needs MediaMTX" in room.log()


def test_it_says_when_it_is_ready(
    tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        supervisor.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with MediaRoom(tmp_path, "embedded", free_port).running_ingest():
            while supervisor.recv(100) != b"READY=1":
                pass


def test_it_counts_as_running_while_its_loop_comes_round(
    tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(embedded, "time", clock)
    ingest, runs = embedded.Ingest(MediaRoom(tmp_path, "embedded", free_port).config), []
    for seconds in (4.75, 0.25):
        clock.now_s += seconds
        runs.append(ingest._is_running())
    assert runs == [True, False]

    async def comes_round() -> None:
        running = asyncio.ensure_future(ingest.run())
        while not ingest._is_running():
            await asyncio.sleep(0.01)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    asyncio.run(asyncio.wait_for(comes_round(), 5))
