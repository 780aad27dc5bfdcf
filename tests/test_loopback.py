"""What our interfaces on loopback demand; that each does is tested beside it."""

from __future__ import annotations

import base64
import socket
import threading
from contextlib import suppress

import av
import av.error
import pytest

from appliance.config import Config
from appliance.loopback import authorization, credentials, is_the_box, objection
from appliance.media.mediamtx import Engine, read_url
from appliance.sections import Media

SECRET = "secret-of_the-box"
RIGHT = {"Host": "127.0.0.1:8001", "Authorization": authorization(SECRET)}


@pytest.mark.parametrize("host", ["127.0.0.1:8001", "localhost:8001", "[::1]:8001"])
def test_the_box_itself_is_answered(host: str) -> None:
    assert objection({**RIGHT, "Host": host}, 8001, SECRET) is None
    assert (
        objection({**RIGHT, "Host": host, "Content-Type": "application/json"}, 8001, SECRET, "application/json") is None
    )


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"Origin": "http://127.0.0.1:8000"}, 403),
        ({"Origin": ""}, 403),
        ({"Host": "rebound.test:8001"}, 403),
        ({"Host": "127.0.0.1:8002"}, 403),
        ({"Host": "127.0.0.1"}, 403),
        ({"Host": ""}, 403),
        ({"Authorization": ""}, 401),
        ({"Authorization": authorization("another")}, 401),
        ({"Authorization": authorization(SECRET).removeprefix("Basic ")}, 401),
        ({"Authorization": "Bearer " + authorization(SECRET).removeprefix("Basic ")}, 401),
        ({"Content-Type": "application/json"}, 415),
        ({"Content-Type": "text/plain"}, 415),
    ],
)
def test_anybody_else_is_refused(changed: dict[str, str], status: int) -> None:
    assert objection({**RIGHT, **changed}, 8001, SECRET) == status


def test_a_header_that_is_missing_is_refused_like_a_wrong_one() -> None:
    assert objection({}, 8001, SECRET) == 403
    assert objection({"Host": "127.0.0.1:8001"}, 8001, SECRET) == 401
    assert objection(RIGHT, 8001, SECRET, "application/json") == 415


@pytest.mark.parametrize(
    "header", [None, "", "Basic", "Basic !", "Basic é", "Basic " + base64.b64encode(b"\xff:\xff").decode(), "Digest x"]
)
def test_what_holds_no_credentials_is_nobody(header: str | None) -> None:
    assert credentials(header) == ("", "")


def test_credentials_come_back_as_they_were_sent() -> None:
    assert credentials(authorization("with:colons and é")) == ("mb9k", "with:colons and é")
    assert credentials("basic " + base64.b64encode(b"ann").decode()) == ("ann", "")
    assert is_the_box("mb9k", SECRET, SECRET)
    assert not is_the_box("ann", SECRET, SECRET)
    assert not is_the_box("", "", SECRET)
    assert not is_the_box("mb9k", "\ud800", SECRET)


@pytest.mark.parametrize(("engine", "challenge"), [("mediamtx", "RTSP/1.0"), ("embedded", "HTTP/1.1")])
def test_ffmpeg_shows_the_secret_in_a_header_and_only_when_asked(engine: Engine, challenge: str) -> None:
    requests: list[str] = []

    def answer(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                with client:
                    while request := client.recv(10_000).decode():
                        requests.append(request)
                        number = next((line for line in request.splitlines() if line.startswith("CSeq")), "X: y")
                        status = "200 OK" if request.startswith("OPTIONS") else "401 Unauthorized"
                        lines = (f"{challenge} {status}", number, 'WWW-Authenticate: Basic realm="x"')
                        client.sendall("\r\n".join((*lines, "Content-Length: 0", "", "")).encode())

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, args=(server,), daemon=True).start()
        config = Config(media=Media(read_port=server.getsockname()[1]))
        with pytest.raises(av.error.HTTPUnauthorizedError):
            av.open(read_url(config, engine, "live/KEY", SECRET), options={"rtsp_transport": "tcp"}, timeout=(5.0, 5.0))
    shown = [request for request in requests if authorization(SECRET) in request]
    assert shown
    assert authorization(SECRET) not in requests[0]
    assert not any(SECRET in request for request in requests)
