"""The client of the ingest's API, given answers that no real ingest gives."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from appliance.media import mediamtx
from appliance.media.mediamtx import Client, Connection, MediaError

KEY = "MEDIAMEDIAMEDIAMED22"
SECRET = "secret/with+odd&signs"


class Answers(http.server.ThreadingHTTPServer):
    """A server that says what it is told to, by the path requested (without the query, then with it)."""

    def __init__(self, said: dict[str, tuple[int, bytes]], delay_s: float = 0.0) -> None:
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(f"{self.command} {self.path}")
                time.sleep(delay_s)
                status, body = said.get(self.path) or said.get(self.path.partition("?")[0]) or (404, b"{}")
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[str] = []

    def handle_error(self, *_: object) -> None:
        """A client that did not wait for its answer is what some tests are about."""


@contextmanager
def answering(said: dict[str, tuple[int, bytes]], delay_s: float = 0.0) -> Iterator[tuple[Client, Answers]]:
    """A client of such a server."""
    with Answers(said, delay_s) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield Client(server.server_address[1], SECRET), server
        finally:
            server.shutdown()


def page(items: list[Any], pages: int = 1) -> tuple[int, bytes]:
    return 200, json.dumps({"pageCount": pages, "itemCount": 0, "items": items}).encode()


def test_all_pages_are_read() -> None:
    said = {f"/v3/paths/list?itemsPerPage=100&page={n}": page([{"name": f"live/{n}"}], 3) for n in range(3)}
    with answering(said) as (client, server):
        assert [path.name for path in client.paths()] == ["live/0", "live/1", "live/2"]
        assert len(server.requests) == 3


def test_older_and_newer_fields_are_understood_and_strange_ones_passed_over() -> None:
    items = [
        {"name": "old", "ready": True, "bytesReceived": 5, "source": None, "tracks": []},
        {"name": "new", "available": True, "ready": False, "inboundBytes": 7, "source": {"type": "x", "id": "i"}},
        {"name": "odd", "available": None, "inboundBytes": None, "source": "strange", "future": {"a": 1}},
        {"nameless": True},
        "not even an object",
    ]
    with answering({"/v3/paths/list": page(items)}) as (client, _):
        assert client.paths() == [
            mediamtx.IngestPath("old", True, None, 5),
            mediamtx.IngestPath("new", True, "i", 7),
            mediamtx.IngestPath("odd", False, None, 0),
        ]


def test_a_list_that_is_not_offered_is_empty_and_a_kick_of_nobody_is_no_error() -> None:
    with answering({"/v3/rtmpconns/list": page([{"id": "1", "remoteAddr": "10.0.0.5:1", "state": "idle"}])}) as (
        client,
        server,
    ):
        (connection,) = client.connections()
        assert connection == Connection("1", "10.0.0.5:1", "", "idle")
        client.kick(connection)
        client.kick(Connection("2", "", "", "publish", encrypted=True))
        assert server.requests[-2:] == ["POST /v3/rtmpconns/kick/1", "POST /v3/rtmpsconns/kick/2"]


BROKEN = [
    (500, b'{"error": "KEY"}'),
    (401, b""),
    (200, b"{"),
    (200, b"[]"),
    (200, b"\xff\xfe"),
    (200, b'{"pageCount": "many"}'),
    (200, b'{"pageCount": 1, "items": 7}'),
    (200, b'{"pageCount": 1, "items": [{"name": "live/KEY", "inboundBytes": "lots"}]}'),
]


@pytest.mark.parametrize("answer", BROKEN)
def test_an_answer_that_makes_no_sense_is_one_kind_of_error_that_tells_no_key(answer: tuple[int, bytes]) -> None:
    with answering({"/v3/paths/list": answer}) as (client, _), pytest.raises(MediaError) as raised:
        client.paths()
    assert "KEY" not in str(raised.value)


def test_nobody_there_and_somebody_who_never_answers_are_the_same_error(
    free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MediaError):
        Client(free_port(), SECRET).info()
    monkeypatch.setattr(mediamtx, "TIMEOUT_S", 0.2)
    with answering({"/v3/info": (200, b"{}")}, delay_s=0.5) as (client, _), pytest.raises(MediaError):
        client.info()


def test_pages_without_end_are_not_read_endlessly() -> None:
    with answering({"/v3/paths/list": page([{"name": "live/x"}], 10**9)}) as (client, server):
        with pytest.raises(MediaError):
            client.paths()
        assert len(server.requests) <= 200
