"""RTSP by way of the relay: redirects, what could be read in two ways, and a real server."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av
import av.error
import pytest

from appliance.vision.reading.reach import ELSEWHERE, THIS_BOX, Reach, SourceRefused
from appliance.vision.reading.rtsp_relay import NOT_RTSP, CameraSide
from appliance.vision.reading.source import Transport
from tests.boxes import end, is_listening, until
from tests.cameras import (
    HOST,
    SECRET,
    camera_at,
    certificate_in,
    pictures,
    refused,
    resolving,
)
from tests.media_room import FFMPEG, make_clip, skip_without


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
    with pytest.raises(SourceRefused, match="another host"):
        side.feed(b"RTSP/1.0 302 Found\r\n\r\n")


def test_a_packet_after_empty_lines_waits_for_nothing() -> None:
    assert CameraSide("192.0.2.9").feed(b"\r\n\r\n" + PACKET) == PACKET


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
    with pytest.raises(SourceRefused):
        CameraSide("192.0.2.9").feed(said)


@pytest.mark.parametrize(
    ("said", "passed"),
    [
        (b"RTP/AVP;unicast;source=127.0.0.1;server_port=53-54", b"RTP/AVP;unicast;server_port=53-54;source=192.0.2.9"),
        (b"RTP/AVP; Source = 127.0.0.1;destination=::1;interleaved=0-1", b"RTP/AVP;interleaved=0-1;source=192.0.2.9"),
    ],
)
def test_reports_by_udp_go_to_the_camera_alone(said: bytes, passed: bytes) -> None:
    head = b"RTSP/1.0 200 OK\r\nTransport: %s\r\n\r\n"
    assert CameraSide("192.0.2.9").feed(head % said) == head % passed


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
        "rtmp": "no", "hls": "no", "webrtc": "no", "srt": "no", "moq": "no", "rtspTransports": "[tcp]",
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
        ports = [port, tls_port] if "rtspEncryption" in settings else [port]
        until(lambda: all(map(is_listening, ports)), 30, "the camera is there")
        sender = subprocess.Popen([*sent, "-rtsp_transport", transport, "-f", "rtsp", where])
        yield port, tls_port
    finally:
        if sender:
            sender.kill()
            sender.wait()
        end(server)


def seen(url: str, reach: Reach, transport: Transport = "tcp") -> int:
    """Pictures, as soon as the camera has any."""
    for _ in range(50):
        with suppress(av.error.HTTPNotFoundError):
            return pictures(url, reach, 20, transport)
        threading.Event().wait(0.2)
    raise AssertionError("the camera has no pictures")


@pytest.mark.mediamtx
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_real_rtsp_camera_is_played(transport: Transport, tmp_path: Path, free_port: Callable[[], int]) -> None:
    with rtsp_camera(tmp_path, free_port, rtspTransports=f"[{transport}]") as (port, _):
        url = f"rtsp://admin:p%23%40s%26@{HOST}:{port}/cam?channel=1"
        before = threading.active_count()
        assert seen(url, camera_at(port), transport) == 20
        until(lambda: threading.active_count() <= before, 30, "the relay has ended")
        with pytest.raises(av.error.HTTPUnauthorizedError):
            pictures(f"rtsp://admin:wrong@{HOST}:{port}/cam", camera_at(port), transport=transport)
        assert refused(url, Reach(resolve=resolving("127.0.0.1"))) == THIS_BOX


@pytest.mark.mediamtx
def test_a_real_rtsps_camera_is_played(tmp_path: Path, free_port: Callable[[], int]) -> None:
    certificate = certificate_in(tmp_path)
    tls = {
        "rtspEncryption": '"optional"',
        "rtspServerCert": str(certificate),
        "rtspServerKey": str(tmp_path / "key.pem"),
    }
    with rtsp_camera(tmp_path, free_port, **tls) as (_, tls_port):
        assert seen(f"rtsps://admin:p%23%40s%26@{HOST}:{tls_port}/cam", camera_at(tls_port)) == 20
