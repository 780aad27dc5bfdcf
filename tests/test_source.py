"""Sources that lead where they must not, and those that cameras are: real sockets, files and servers."""

from __future__ import annotations

import functools
import os
import shutil
import socket
import ssl
import subprocess
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from hashlib import md5
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import av.error
import pytest

from appliance.vision.http_source import TOO_LONG
from appliance.vision.reach import ELSEWHERE, NO_FILE, NO_SUCH_NAME, NO_WEBCAM, OUTSIDE, THIS_BOX, Reach, Refusal
from appliance.vision.rtsp_relay import NOT_RTSP, CameraSide
from appliance.vision.source import NO_FILE_FORMAT, opened
from tests.boxes import end, is_listening, until
from tests.http_servers import Player, serving_http
from tests.media_room import FFMPEG, make_clip, skip_without
from tests.videos import grey, make_video

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


def pictures(url: str, reach: Reach | None, enough: int = 5, transport: str = "tcp", stall_s: float = 5.0) -> int:
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
    with pytest.raises(Refusal) as refusal:
        pictures(url, reach)
    return str(refusal.value)


@pytest.fixture(scope="module")
def video() -> bytes:
    return make_video(grey(64, 64), 150)


INSIDE = [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "169.254.169.254", "224.0.0.1", "255.255.255.255",
    "::1", "::", "fe80::1", "ff02::1",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
]  # fmt: skip
TEXT_PATHS = ["/m.txt", "/m.nfo", "/m.ans", "/m", "/m.m3u8", "/m.mpd", "/m.ffconcat", "/m.srt", "/m.sdp"]


@pytest.mark.parametrize("address", INSIDE)
def test_a_name_that_leads_to_the_inside_is_refused(address: str) -> None:
    def resolve(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, 80))]

    for scheme in ("http", "https", "rtsp", "rtsps"):
        assert refused(f"{scheme}://{HOST}/", Reach(resolve=resolve)) == THIS_BOX


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0", "[::1]"])
def test_loopback_is_refused_however_it_is_written(host: str, video: bytes) -> None:
    with answering({"/": sending(video)}) as (port, asked):
        assert refused(f"http://{host}:{port}/", Reach()) == THIS_BOX
        assert refused(f"rtsp://{host}:{port}/", Reach()) == THIS_BOX
    assert asked == []


def test_the_boxs_own_addresses_are_refused_in_either_family() -> None:
    own = _own_addresses()
    assert own
    for address in own:
        assert not Reach().allows(address, 80), address
    assert Reach(own_ports=frozenset({80})).allows(own[0], 80)


def test_cameras_are_where_people_have_them() -> None:
    for address in ("192.168.250.9", "10.250.0.9", "172.31.250.9", "100.64.250.9", "fdff::9", "2001:db8::9"):
        assert Reach().allows(address, 554), address


def test_a_second_answer_for_a_name_gains_nothing(video: bytes) -> None:
    with answering({"/": sending(video)}) as (port, asked):
        for answers in (("192.0.2.200", "127.0.0.1"), ("169.254.1.1", "127.0.0.1")):
            reach = Reach(resolve=resolving(*answers))
            with pytest.raises((Refusal, OSError)), opened(f"http://{HOST}:{port}/", reach, 0.2):
                pass
            assert refused(f"http://{HOST}:{port}/", reach) == THIS_BOX, "at the next connection it is looked at again"
    assert asked == []


def test_a_name_that_nobody_knows_is_told() -> None:
    assert refused("rtsp://no-such-camera.invalid/1", Reach()) == NO_SUCH_NAME


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
    with answering({"/": redirecting(location)}) as (port, _), pytest.raises((Refusal, OSError)):
        pictures(f"http://{HOST}:{port}/", camera_at(port))


@pytest.mark.parametrize("path", TEXT_PATHS)
@pytest.mark.parametrize(
    "text",
    [
        b"live/SOMEBODYSKEY\n" * 200,
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"1\n00:00:01,000 --> 00:00:05,000\nhello\n",
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nm=video 5004 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n",
        b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="x"></MPD>',
    ],
)
def test_no_text_is_drawn_and_no_list_is_followed(path: str, text: bytes) -> None:
    with answering({path: sending(text, "text/plain")}) as (port, _):
        with pytest.raises((Refusal, OSError)) as refusal:
            pictures(f"http://{HOST}:{port}{path}", camera_at(port))
        assert "SOMEBODYSKEY" not in str(refusal.value)


def playlist(*lines: str, end: bool = True) -> bytes:
    head = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1", "#EXT-X-MEDIA-SEQUENCE:0"]
    return "\n".join([*head, *lines, *(["#EXT-X-ENDLIST"] if end else [])]).encode() + b"\n"


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
        with pytest.raises((Refusal, OSError, ValueError)):
            pictures(f"http://{HOST}:{port}/live.m3u8", camera_at(port), enough=1000)
    assert other_asked == []
    assert "/part.ts" not in asked


def test_a_playlist_that_never_ends_is_not_read_for_long() -> None:
    endless = playlist(*["#EXTINF:1,", "/part.ts"] * 100_000)
    with answering({"/live.m3u8": sending(endless)}) as (port, _):
        assert refused(f"http://{HOST}:{port}/live.m3u8", camera_at(port)) == TOO_LONG


def test_a_byte_now_and_then_does_not_keep_the_opening_waiting(monkeypatch: pytest.MonkeyPatch, video: bytes) -> None:
    monkeypatch.setattr("appliance.vision.source.OPEN_TIMEOUT_S", 1.0)
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
    monkeypatch.setattr("appliance.vision.http_source.MAX_PACKET_BYTES", 2_000_000)
    jpegs = [b"--b\r\nContent-Type: image/jpeg\r\n\r\n" + jpeg + b"\r\n" for jpeg in _jpegs(100)]
    endless = b"".join(jpegs) + b"--b\r\nContent-Type: image/jpeg\r\n\r\n" + b"x" * 4_000_000
    answers = {"/": sending(endless, "multipart/x-mixed-replace; boundary=b")}
    with answering(answers) as (port, _), pytest.raises(Refusal, match="never ends"):
        pictures(f"http://{HOST}:{port}/", camera_at(port), enough=1000)


def test_mjpeg_flv_mpegts_and_mp4_are_played(tmp_path: Path, video: bytes) -> None:
    jpegs = _jpegs(40)
    parts = b"".join(
        b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(j), j) for j in jpegs
    )
    no_lengths = b"".join(b"--b\r\nContent-Type: image/jpeg\r\n\r\n%s\r\n" % j for j in jpegs)
    multipart = 'multipart/x-mixed-replace; boundary="b"'
    in_fragments = {"movflags": "frag_keyframe+empty_moov"}
    answers = {
        "/mjpeg": sending(parts, multipart),
        "/no-lengths": sending(no_lengths, multipart),
        "/jpegs": sending(b"".join(jpegs), "video/x-motion-jpeg"),
        "/ts": sending(video),
        "/flv": sending(make_video(grey(64, 64), 150, container="flv"), "video/x-flv"),
        "/fragments.mp4": sending(make_video(grey(64, 64), 150, container="mp4", muxing=in_fragments)),
    }
    with answering(answers) as (port, _):
        for path in answers:
            assert pictures(f"http://{HOST}:{port}{path}?channel=1", camera_at(port)) == 5, path


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


@pytest.mark.parametrize("kind", ["mpegts", "fmp4"])
def test_hls_is_played(kind: str, tmp_path: Path) -> None:
    skip_without(*FFMPEG)
    clip = make_clip(tmp_path / "clip.flv")
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-i", str(clip), "-c:v", "copy", "-an", "-f", "hls"]
    subprocess.run([*command, "-hls_segment_type", kind, "-hls_time", "1", str(tmp_path / "live.m3u8")], check=True)
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with serving_http(handler) as port:  # type: ignore[arg-type]
        assert pictures(f"http://{HOST}:{port}/live.m3u8", camera_at(port), enough=1000) >= 50


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
    certificate = _certificate(tmp_path)
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
        with pytest.raises((Refusal, OSError)):
            pictures("http://no-such-camera.invalid/", camera_at(port))
    assert asked == []


def test_files_are_read_inside_the_folders_only(tmp_path: Path, video: bytes) -> None:
    inside, outside = tmp_path / "videos", tmp_path / "secret.ts"
    inside.mkdir()
    outside.write_bytes(video)
    (inside / "good.ts").write_bytes(video)
    (inside / "link.ts").symlink_to(outside)
    (inside / "inner.ts").symlink_to(inside / "good.ts")
    (inside / "up").symlink_to(tmp_path)
    os.mkfifo(inside / "pipe.ts")
    reach = Reach((inside,))
    assert pictures(str(inside / "good.ts"), reach) == pictures(str(inside / "inner.ts"), reach) == 5
    for path in (outside, inside / "link.ts", inside / "up" / "secret.ts", inside / ".." / "secret.ts"):
        assert refused(str(path), reach) == OUTSIDE
    assert refused(str(inside / "good.ts"), Reach()) == OUTSIDE
    assert refused("/proc/self/environ", reach) == OUTSIDE
    for path in (inside / "pipe.ts", inside):
        assert refused(str(path), reach) == NO_FILE
    with pytest.raises(FileNotFoundError):
        pictures(str(inside / "none.ts"), reach)


@pytest.mark.parametrize("name", ["m.txt", "m.m3u8", "m.ffconcat", "m.sdp", "m%d.png"])
def test_a_file_that_is_no_video_is_refused(name: str, tmp_path: Path) -> None:
    for text in (
        "keys\n" * 500,
        "ffconcat version 1.0\nfile /etc/passwd\n",
        playlist("#EXTINF:1,", "/etc/passwd").decode(),
    ):
        (tmp_path / name).write_text(text)
        assert refused(str(tmp_path / name), Reach((tmp_path,))) == NO_FILE_FORMAT


@pytest.mark.parametrize("path", ["/dev/null", "/dev/zero", "/dev/../etc/passwd", "/dev/stdin", "/dev/fd/0"])
def test_only_a_webcam_is_read_of_the_devices(path: str) -> None:
    assert refused(path, Reach((Path("/"),))) == NO_WEBCAM


@contextmanager
def saying(answer: bytes) -> Iterator[int]:
    """A stand-in for an RTSP camera that gives the same answer to everything; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    link, _ = server.accept()
                    with link, suppress(OSError):
                        while link.recv(4096):
                            link.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "305 Use Proxy", "350 Going Away"])
def test_an_rtsp_redirect_is_not_followed(status: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as inside:
        there = f"rtsp://127.0.0.1:{inside.getsockname()[1]}/live/key"
        answer = f"RTSP/1.0 {status}\r\nCSeq: 1\r\nLocation: {there}\r\n\r\n".encode()
        with saying(answer) as port:
            assert refused(f"rtsp://{HOST}:{port}/1", camera_at(port)) == ELSEWHERE
        inside.setblocking(False)
        with pytest.raises(BlockingIOError):
            inside.accept()


def test_what_is_no_rtsp_is_told() -> None:
    with saying(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        assert refused(f"rtsp://{HOST}:{port}/1", camera_at(port)) == NOT_RTSP


OK = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 5\r\n\r\nRTSP/"
PACKET = b"$\x00\x00\x10RTSP/1.0 302 Fou"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 1000])
def test_packets_and_bodies_are_no_answers_however_they_are_cut(size: int) -> None:
    said = OK + PACKET * 3 + b"\r\n" + OK + PACKET + b"ANNOUNCE rtsp://x RTSP/1.0\r\nCSeq: 2\r\n\r\n"
    side = CameraSide("192.0.2.9")
    passed = b"".join(side.feed(said[at : at + size]) for at in range(0, len(said), size))
    assert passed == said.replace(PACKET + b"\r\n", PACKET)
    with pytest.raises(Refusal, match="another host"):
        side.feed(b"RTSP/1.0 302 Found\r\n\r\n")


@pytest.mark.parametrize(
    "said",
    [
        b"RTSP/1.0 200 OK\nContent-Length: 5\n\n12345RTSP/1.0 302 Found\n\n",
        b"RTSP/1.0 200 OK\r\r\nCSeq: 1\r\r\n\r\r\nRTSP/1.0 302 Found\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"RTSP/1.0 200 OK\r\n$\x00\x00\x05: x\r\n\r\n",
        b"RTSP/1.0  302 Found\r\n\r\n",
        b"RTSP/2.0 302 Found\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nA: " + b"x" * 5000 + b"\r\n\r\n",
        b"x" * 20_000,
    ],
)
def test_an_answer_that_could_be_read_in_two_ways_is_refused(said: bytes) -> None:
    with pytest.raises(Refusal):
        CameraSide("192.0.2.9").feed(said)


def test_reports_by_udp_go_to_the_camera_alone() -> None:
    said = b"RTSP/1.0 200 OK\r\nTransport: RTP/AVP;unicast;source=127.0.0.1;server_port=53-54\r\n\r\n"
    passed = CameraSide("192.0.2.9").feed(said)
    assert passed == b"RTSP/1.0 200 OK\r\nTransport: RTP/AVP;unicast;server_port=53-54;source=192.0.2.9\r\n\r\n"


@contextmanager
def rtsp_camera(folder: Path, free_port: Callable[[], int], **settings: str) -> Iterator[tuple[int, int]]:
    """MediaMTX with a clip at /cam, for admin with SECRET alone; its ports for RTSP and RTSPS."""
    skip_without(*FFMPEG)
    if not shutil.which("mediamtx"):
        pytest.skip("there is no MediaMTX binary on PATH")
    clip, port, tls_port = make_clip(folder / "clip.flv"), free_port(), free_port()
    udp = next(even for even in iter(free_port, 0) if even % 2 == 0)
    lines = {
        "logLevel": "error", "rtsp": "yes", "rtspAddress": f"127.0.0.1:{port}", "rtspsAddress": f"127.0.0.1:{tls_port}",
        "rtpAddress": f"127.0.0.1:{udp}", "rtcpAddress": f"127.0.0.1:{udp + 1}",
        "rtmp": "no", "hls": "no", "webrtc": "no", "srt": "no", "rtspTransports": "[tcp]",
    }  # fmt: skip
    any_one = "- {user: any, ips: [], permissions: [{action: publish}]}"
    admin = f"- {{user: admin, pass: '{SECRET}', permissions: [{{action: read}}]}}"
    text = "\n".join(f"{name}: {value}" for name, value in {**lines, **settings}.items())
    config = folder / "camera.yml"
    config.write_text(f"{text}\nauthInternalUsers:\n{any_one}\n{admin}\npaths:\n  all_others:\n")
    server = subprocess.Popen(["mediamtx", str(config)], cwd=folder)
    sent = ["ffmpeg", "-nostdin", "-loglevel", "quiet", "-re", "-stream_loop", "-1", "-i", str(clip), "-c", "copy"]
    where = f"rtsp://127.0.0.1:{port}/cam"
    transport = "udp" if "udp" in settings.get("rtspTransports", "") else "tcp"
    sender = None
    try:
        until(lambda: is_listening(port), 20, "the camera is there")
        sender = subprocess.Popen([*sent, "-rtsp_transport", transport, "-f", "rtsp", where])
        yield port, tls_port
    finally:
        if sender:
            sender.kill()
            sender.wait()
        end(server)


def seen(url: str, reach: Reach, transport: str = "tcp") -> int:
    """Pictures, as soon as the camera has any."""
    for _ in range(50):
        with suppress(av.error.HTTPNotFoundError):
            return pictures(url, reach, 20, transport)
        threading.Event().wait(0.2)
    raise AssertionError("the camera has no pictures")


@pytest.mark.mediamtx
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_real_rtsp_camera_is_played(transport: str, tmp_path: Path, free_port: Callable[[], int]) -> None:
    with rtsp_camera(tmp_path, free_port, rtspTransports=f"[{transport}]") as (port, _):
        url = f"rtsp://admin:p%23%40s%26@{HOST}:{port}/cam?channel=1"
        before = threading.active_count()
        assert seen(url, camera_at(port), transport) == 20
        until(lambda: threading.active_count() <= before, 10, "the relay has ended")
        with pytest.raises(av.error.HTTPUnauthorizedError):
            pictures(f"rtsp://admin:wrong@{HOST}:{port}/cam", camera_at(port), transport=transport)
        assert refused(url, Reach(resolve=resolving("127.0.0.1"))) == THIS_BOX


@pytest.mark.mediamtx
def test_a_real_rtsps_camera_is_played(tmp_path: Path, free_port: Callable[[], int]) -> None:
    certificate = _certificate(tmp_path)
    tls = {
        "rtspEncryption": '"optional"',
        "rtspServerCert": str(certificate),
        "rtspServerKey": str(tmp_path / "key.pem"),
    }
    with rtsp_camera(tmp_path, free_port, **tls) as (_, tls_port):
        assert seen(f"rtsps://admin:p%23%40s%26@{HOST}:{tls_port}/cam", camera_at(tls_port)) == 20


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("rtsp://127.0.0.1:1/live/KEY", {"rtsp_transport": "tcp", "timeout": "3000000"}),
        ("http://127.0.0.1:1/live/KEY.flv", {}),
    ],
)
def test_our_own_ingest_is_read_with_little_delay_and_time_limits(
    url: str, options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    live = {"fflags": "nobuffer", "flags": "low_delay", "analyzeduration": "500000", "probesize": "500000"}
    asked: list[object] = []

    def open_nothing(*names: object, **how: object) -> Any:
        asked.extend((names, how))
        return nullcontext(SimpleNamespace(streams=()))

    monkeypatch.setattr(av, "open", open_nothing)
    with opened(url, None, 3.0):
        pass
    assert asked == [(url, "r"), {"options": live | options, "timeout": (10, 3)}]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


def _jpegs(count: int) -> list[bytes]:
    from appliance.vision.jpeg import encode_jpeg

    return [encode_jpeg(grey(64, 64)(index), 80) for index in range(count)]


def _certificate(folder: Path) -> Path:
    skip_without("openssl", "openssl")
    made = folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=ipc", "-days", "9"]
    subprocess.run([*command, "-keyout", str(folder / "key.pem"), "-out", str(made)], check=True, capture_output=True)
    return made


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


def _own_addresses() -> list[str]:
    """The addresses of this machine that are not loopback, as the kernel lists them."""
    own = []
    for family, far in ((socket.AF_INET, "192.0.2.254"), (socket.AF_INET6, "fd00::fe")):
        with socket.socket(family, socket.SOCK_DGRAM) as probe, suppress(OSError):
            probe.connect((far, 9))
            own.append(probe.getsockname()[0])
    return own
