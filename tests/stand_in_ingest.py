"""An ingest that says what a test wants it to say: MediaMTX's dialect over real HTTP, and HTTP-FLV to watch by."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from appliance.loopback import CHALLENGE
from appliance.media.mediamtx import EMBEDDED_VERSION
from tests.http_servers import Player, serving_http


class StandIn:
    """What the API of an ingest answers; the test changes it."""

    def __init__(self) -> None:
        self.conns: dict[str, dict[str, Any]] = {}
        self.items: dict[str, dict[str, Any]] = {}
        self.kicked: list[str] = []
        self.status = 200
        self.kick_status = 200
        self.version = EMBEDDED_VERSION
        self.port = 0
        self.version = EMBEDDED_VERSION
        self.videos: dict[str, Callable[[], Iterable[bytes]]] = {}  # path -> the bytes of an FLV
        self.shown: list[str] = []  # the header Authorization of those who came to watch

    def publish(self, identity: str, path: str, inbound_bytes: int = 1000, remote: str = "10.0.0.5:40418") -> None:
        self.conns[identity] = {"id": identity, "remoteAddr": remote, "state": "publish", "path": path}
        self.items[path] = {
            "name": path,
            "available": True,
            "source": {"type": "rtmpConn", "id": identity},
            "inboundBytes": inbound_bytes,
        }

    def flow(self) -> None:
        for item in self.items.values():
            item["inboundBytes"] += 1000

    def answer(self, method: str, path: str) -> tuple[int, dict[str, Any]]:
        if self.status != 200:
            return self.status, {}
        if path.startswith("/v3/rtmpconns/kick/") and method == "POST":
            self.kicked.append(path.rsplit("/", 1)[1])
            return self.kick_status, {"status": "ok"}
        if path == "/v3/info":
            return 200, {"version": self.version}
        lists = {"/v3/paths/list": self.items, "/v3/rtmpconns/list": self.conns}
        rows = lists.get(path.split("?")[0])
        if rows is None:
            return 404, {"status": "error"}
        return 200, {"itemCount": len(rows), "pageCount": int(bool(rows)), "items": list(rows.values())}


@contextmanager
def answering() -> Iterator[StandIn]:
    """An ingest that answers on `port` until the end of the block."""
    ingest = StandIn()

    class Handler(Player):
        def do_GET(self) -> None:
            video = ingest.videos.get(self.path.split("?")[0].strip("/").removesuffix(".flv"))
            if video:
                if not self.headers["Authorization"]:  # as the ingests do: FFmpeg shows nothing unasked
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", CHALLENGE)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                ingest.shown.append(self.headers["Authorization"])
                self.send_response(200)
                self.end_headers()
                self.play(video())
                return
            status, content = ingest.answer(self.command, self.path)
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

    with serving_http(Handler) as ingest.port:
        yield ingest
