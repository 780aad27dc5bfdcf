"""Video by HTTP: redirects, playlists and servers that mean ill, and cameras that ask for a password."""

from __future__ import annotations

import socket
import ssl
import threading
from base64 import b64encode
from hashlib import md5
from pathlib import Path

import av
import av.error
import pytest

from appliance.vision.reading.http_source import TOO_LONG
from appliance.vision.reading.reach import ELSEWHERE, THIS_BOX, SourceRefused
from tests.cameras import (
    HOST,
    SECRET,
    Answer,
    answering,
    camera_at,
    certificate_in,
    jpegs_of,
    pictures,
    playlist,
    redirecting,
    refused,
    sending,
)
from tests.http_servers import Player, serving_http
from tests.videos import grey, make_video


@pytest.fixture(scope="module")
def video() -> bytes:
    return make_video(grey(64, 64), 150)


@pytest.mark.parametrize("there", ["http://127.0.0.1:{port}/m.ts", "http://localhost:{port}/m.ts", "//127.1:{port}/"])
def test_a_redirect_to_another_host_is_not_followed(there: str, video: bytes) -> None:
    answers: dict[str, Answer] = {"/m.ts": sending(video)}
    with answering(answers) as (port, asked):
        answers["/"] = redirecting(there.format(port=port))
        assert refused(f"http://{HOST}:{port}/", camera_at(port)) == ELSEWHERE
    assert asked == ["/"]


def test_a_redirect_to_the_same_host_is_followed_as_far_as_it_may_be_reached(video: bytes) -> None:
    answers: dict[str, Answer] = {}
    with answering({"/m.ts": sending(video)}) as (other, asked), answering(answers) as (port, _):
        answers["/"] = redirecting(f"http://{HOST}:{other}/m.ts")
        assert refused(f"http://{HOST}:{port}/", camera_at(port)) == THIS_BOX
        assert asked == []
        assert pictures(f"http://{HOST}:{port}/", camera_at(port, other)) == 5


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://camera.test/x", "rtsp://camera.test/x"])
def test_a_redirect_to_another_protocol_is_not_followed(location: str) -> None:
    with answering({"/": redirecting(location)}) as (port, _), pytest.raises((SourceRefused, OSError)):
        pictures(f"http://{HOST}:{port}/", camera_at(port))


EVIL_PARTS = [
    "http://127.0.0.1:{port}/part.ts",
    "http://localhost:{port}/part.ts",
    "http://camera.test:{other}/part.ts",
    "http://u:p@camera.test:{port}/part.ts",
    "file:///etc/passwd",
    "file:/etc/passwd",
    "/redirect.ts",
    "data:video/mp2t;base64,R0AREAA=",
    "concat:/etc/passwd|/etc/hosts",
    "crypto+file:///etc/passwd",
    "subfile,,start,0,end,9,,:/etc/passwd",
    "tcp://127.0.0.1:{other}",
    "unix:/run/x",
    "rtmp://127.0.0.1:{other}/live/x",
]


@pytest.mark.parametrize("part", EVIL_PARTS)
@pytest.mark.parametrize("form", ["segment", "first of two", "key", "map", "variant", "media"])
def test_the_parts_of_a_playlist_obey_the_same_rule(form: str, part: str, video: bytes) -> None:
    answers: dict[str, Answer] = {"/good.ts": sending(video), "/part.ts": sending(video)}
    with answering({"/part.ts": sending(video)}) as (other, other_asked), answering(answers) as (port, asked):
        answers["/redirect.ts"] = redirecting(f"http://127.0.0.1:{other}/part.ts")
        uri = part.format(port=port, other=other)
        lines = {
            "segment": ["#EXTINF:1,", uri],
            "first of two": ["#EXTINF:1,", "/good.ts", "#EXTINF:1,", uri],
            "key": [f'#EXT-X-KEY:METHOD=AES-128,URI="{uri}"', "#EXTINF:1,", "/good.ts"],
            "map": [f'#EXT-X-MAP:URI="{uri}"', "#EXTINF:1,", "/good.ts"],
            "variant": ["#EXT-X-STREAM-INF:BANDWIDTH=1", uri],
            "media": [
                f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",DEFAULT=YES,URI="{uri}"',
                '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"',
                uri,
            ],
        }[form]
        answers["/live.m3u8"] = sending(playlist(*lines), "application/vnd.apple.mpegurl")
        with pytest.raises((SourceRefused, OSError, ValueError)):
            pictures(f"http://{HOST}:{port}/live.m3u8", camera_at(port), enough=1000)
    assert other_asked == []
    assert "/part.ts" not in asked


def test_a_playlist_that_never_ends_is_not_read_for_long() -> None:
    endless = playlist(*["#EXTINF:1,", "/part.ts"] * 100_000)
    with answering({"/live.m3u8": sending(endless)}) as (port, _):
        assert refused(f"http://{HOST}:{port}/live.m3u8", camera_at(port)) == TOO_LONG


def test_a_byte_now_and_then_does_not_keep_the_opening_waiting(monkeypatch: pytest.MonkeyPatch, video: bytes) -> None:
    monkeypatch.setattr("appliance.vision.reading.source.OPEN_TIMEOUT_S", 1.0)
    stopping = threading.Event()

    def drip(player: Player) -> None:
        player.send_response(200)
        player.end_headers()
        player.play(video[at : at + 1] for at in range(500) if not stopping.wait(0.1))

    with answering({"/": drip}) as (port, _), pytest.raises(TimeoutError):
        pictures(f"http://{HOST}:{port}/", camera_at(port))
    stopping.set()


def trickling(video: bytes, stopping: threading.Event) -> Answer:
    """A film, and then a byte now and then."""

    def answer(player: Player) -> None:
        player.send_response(200)
        player.end_headers()
        player.play([video])
        player.play(b"\0" for _ in range(600) if not stopping.wait(0.1))

    return answer


def test_a_byte_now_and_then_is_silence() -> None:
    stopping = threading.Event()
    film = make_video(grey(64, 64), 100)
    with answering({"/": trickling(film, stopping)}) as (port, _), pytest.raises(TimeoutError):
        pictures(f"http://{HOST}:{port}/", camera_at(port), enough=1000, stall_s=1.0)
    stopping.set()


def test_a_camera_that_falls_silent_is_told(video: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for scheme in ("http", "rtsp"):
            with pytest.raises((TimeoutError, av.error.ExitError)):
                pictures(f"{scheme}://{HOST}:{port}/", camera_at(port), stall_s=0.5)


def test_a_picture_that_never_ends_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.vision.reading.http_source.MAX_PACKET_BYTES", 2_000_000)
    jpegs = [b"--b\r\nContent-Type: image/jpeg\r\n\r\n" + jpeg + b"\r\n" for jpeg in jpegs_of(100)]
    endless = b"".join(jpegs) + b"--b\r\nContent-Type: image/jpeg\r\n\r\n" + b"x" * 4_000_000
    answers = {"/": sending(endless, "multipart/x-mixed-replace; boundary=b")}
    with answering(answers) as (port, _), pytest.raises(SourceRefused, match="never ends"):
        pictures(f"http://{HOST}:{port}/", camera_at(port), enough=1000)


def test_an_mp4_with_its_index_at_the_end_is_read_from_the_middle() -> None:
    film = make_video(grey(640, 360), 100, container="mp4", options={"qp": "1"})
    ranges: list[str] = []

    def answer(player: Player) -> None:
        wanted = player.headers["Range"]
        ranges.append(wanted)
        begin = int(wanted.removeprefix("bytes=").partition("-")[0])
        player.send_response(206)
        player.send_header("Content-Range", f"bytes {begin}-{len(film) - 1}/{len(film)}")
        player.send_header("Content-Length", str(len(film) - begin))
        player.end_headers()
        player.play([film[begin:]])

    with answering({"/film.mp4": answer}) as (port, _):
        assert (
            pictures(f"http://{HOST}:{port}/film.mp4", camera_at(port), enough=1000) >= 50
        )  # what was read to begin is left out
    assert len(ranges) < 10


@pytest.mark.parametrize("scheme", ["Basic", "Digest"])
def test_the_password_is_sent_as_the_camera_asks_for_it(scheme: str, video: bytes) -> None:
    seen: list[str] = []

    def answer(player: Player) -> None:
        sent = player.headers.get("Authorization", "")
        seen.append(sent)
        if _is_right(sent):
            sending(video)(player)
            return
        player.send_response(401)
        player.send_header("WWW-Authenticate", f'{scheme} realm="camera", nonce="n", algorithm=MD5, qop="auth"')
        player.end_headers()

    with answering({"/": answer}) as (port, _):
        assert pictures(f"http://admin:p%23%40s%26@{HOST}:{port}/", camera_at(port)) == 5
        assert seen[0] == "" and len(seen) == 2
        with pytest.raises(av.error.HTTPUnauthorizedError):
            pictures(f"http://admin:wrong@{HOST}:{port}/", camera_at(port))
        with pytest.raises(av.error.HTTPUnauthorizedError):
            pictures(f"http://{HOST}:{port}/", camera_at(port))
        with pytest.raises(av.error.HTTPNotFoundError):
            pictures(f"http://{HOST}:{port}/nothing", camera_at(port))


def test_https_is_read_from_a_camera_with_a_certificate_of_its_own(tmp_path: Path, video: bytes) -> None:
    certificate = certificate_in(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, tmp_path / "key.pem")

    class Handler(Player):
        def setup(self) -> None:
            self.request = context.wrap_socket(self.request, server_side=True)
            super().setup()

        def finish(self) -> None:
            super().finish()
            self.request.close()

        def do_GET(self) -> None:
            sending(video)(self)

    with serving_http(Handler) as port:
        assert pictures(f"https://{HOST}:{port}/", camera_at(port)) == 5


def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch, video: bytes) -> None:
    with answering({"/": sending(video)}) as (port, asked):
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        with pytest.raises((SourceRefused, OSError)):
            pictures("http://no-such-camera.invalid/", camera_at(port))
    assert asked == []


def _is_right(authorization: str) -> bool:
    if authorization.startswith("Basic "):
        return authorization == "Basic " + b64encode(f"admin:{SECRET}".encode()).decode()
    sent = _digest_fields(authorization)
    first = md5(f"admin:camera:{SECRET}".encode()).hexdigest()  # noqa: S324
    second = md5(f"GET:{sent.get('uri')}".encode()).hexdigest()  # noqa: S324
    together = f"{first}:n:{sent.get('nc')}:{sent.get('cnonce')}:auth:{second}"
    return bool(sent) and sent["response"] == md5(together.encode()).hexdigest()  # noqa: S324


def _digest_fields(authorization: str) -> dict[str, str]:
    from urllib.request import parse_http_list, parse_keqv_list

    kind, _, rest = authorization.partition(" ")
    return parse_keqv_list(parse_http_list(rest)) if kind == "Digest" else {}
