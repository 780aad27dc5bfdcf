"""Cameras for tests: servers of ours on loopback that a source may or may not lead to, and what is read from them."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.vision.reading.reach import Reach, SourceRefused
from appliance.vision.reading.source import Transport, opened
from tests.http_servers import Player, serving_http
from tests.media_room import skip_without
from tests.videos import grey

HOST = "camera.test"
SECRET = "p#@s&"
Answer = Callable[[Player], None]


def resolving(*answers: str) -> Callable[..., list[tuple[Any, ...]]]:
    """A resolver of names: the first question gets the first answer, the last one stays. Numbers are themselves."""
    left = list(answers)

    def resolve(host: str, port: int, **options: Any) -> list[tuple[Any, ...]]:
        if host != HOST:
            return socket.getaddrinfo(host, port, **options)
        answer = left.pop(0) if len(left) > 1 else left[0]
        return socket.getaddrinfo(answer, port, **options)

    return resolve


def camera_at(*ports: int) -> Reach:
    """HOST is a camera of ours on these ports of loopback."""
    return Reach(own_ports=frozenset(ports), resolve=resolving("127.0.0.1"))


@contextmanager
def answering(answers: dict[str, Answer]) -> Iterator[tuple[int, list[str]]]:
    """An HTTP server with an answer for each path; its port, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(Player):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            asked.append(path)
            if path in answers:
                answers[path](self)
            else:
                self.send_error(404)

    with serving_http(Handler) as port:
        yield port, asked


def sending(body: bytes, content_type: str = "video/mp2t") -> Answer:
    def answer(player: Player) -> None:
        player.send_response(200)
        player.send_header("Content-Type", content_type)
        player.end_headers()
        player.play([body])

    return answer


def redirecting(where: str) -> Answer:
    def answer(player: Player) -> None:
        player.send_response(302)
        player.send_header("Location", where)
        player.end_headers()

    return answer


def pictures(url: str, reach: Reach | None, enough: int = 5, transport: Transport = "tcp", stall_s: float = 5.0) -> int:
    """How many pictures the source gives, up to enough."""
    count = 0
    with opened(url, reach, stall_s, transport) as source:
        for packet in source.demux():
            if packet.stream.type == "video":
                count += len(packet.decode())
            if count >= enough:
                return enough
    return count


def refused(url: str, reach: Reach) -> str:
    with pytest.raises(SourceRefused) as refusal:
        pictures(url, reach)
    return str(refusal.value)


def jpegs_of(count: int) -> list[bytes]:
    from appliance.vision.jpeg import encode_jpeg

    return [encode_jpeg(grey(64, 64)(index), 80) for index in range(count)]


def certificate_in(folder: Path) -> Path:
    skip_without("openssl", "openssl")
    made = folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=ipc", "-days", "9"]
    subprocess.run([*command, "-keyout", str(folder / "key.pem"), "-out", str(made)], check=True, capture_output=True)
    return made


def playlist(*lines: str, end: bool = True) -> bytes:
    head = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1", "#EXT-X-MEDIA-SEQUENCE:0"]
    return "\n".join([*head, *lines, *(["#EXT-X-ENDLIST"] if end else [])]).encode() + b"\n"
