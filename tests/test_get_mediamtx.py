"""The download of MediaMTX, from a server of the test's own: right, altered, broken off, slow, missing, by a proxy."""

from __future__ import annotations

import hashlib
import http.server
import io
import platform
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from scripts import get_mediamtx
from scripts.get_mediamtx import Unavailable, binary, install, release
from tests.conftest import REPOSITORY
from tests.http_servers import Player, serving_http
from tests.media_room import skip_without

PROGRAM = b"#!/bin/sh\necho the program\n" + bytes(200_000)
DEADLINE_S = 2.0


def archive(program: bytes = PROGRAM, name: str = "mediamtx") -> bytes:
    """A release as upstream packs it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=0) as tar:
        for member, content in (("mediamtx.yml", b"a: 1\n"), (name, program)):
            about = tarfile.TarInfo(member)
            about.size = len(content)
            tar.addfile(about, io.BytesIO(content))
    return packed.getvalue()


RIGHT = archive()
SUM = hashlib.sha256(RIGHT).hexdigest()


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the proxy that a test sets."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


Part = bytes | float
"""Bytes to send, or seconds to wait."""


@contextmanager
def serving(*parts: Part, status: int = 200, length: int | None = None) -> Iterator[str]:
    """A server that says this; its address."""

    class Handler(Player):
        def do_GET(self) -> None:
            self.send_response(status)
            if length is not None:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            self.play(self.body())

        def body(self) -> Iterator[bytes]:
            for part in parts:
                if isinstance(part, bytes):
                    yield part
                else:
                    time.sleep(part)

    with serving_http(Handler) as port:
        yield f"http://127.0.0.1:{port}/release.tar.gz"


def refused(folder: Path, address: str, sum_: str = SUM) -> str:
    """Why it is not to be had; nothing is left behind."""
    with pytest.raises(Unavailable) as raised:
        install(folder / "mediamtx", address, sum_, DEADLINE_S)
    assert not folder.exists() or list(folder.iterdir()) == []
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_the_right_release_is_installed_whole_and_can_be_run(tmp_path: Path) -> None:
    path = tmp_path / "new" / "mediamtx"
    with serving(RIGHT, length=len(RIGHT)) as address:
        install(path, address, SUM)
    assert path.read_bytes() == PROGRAM
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    assert list(path.parent.iterdir()) == [path]


def test_an_altered_release_is_thrown_away_whatever_sums_lie_beside_it(tmp_path: Path) -> None:
    with serving(archive(b"something else")) as address:
        assert "sha-256 differs" in refused(tmp_path / "new", address)


def test_a_release_that_breaks_off_is_thrown_away(tmp_path: Path) -> None:
    with serving(RIGHT[:1000], length=len(RIGHT)) as address:
        assert "broke off after 1000 of" in refused(tmp_path / "new", address)
    with serving(RIGHT[:1000]) as address:
        assert "sha-256 differs" in refused(tmp_path / "new", address)


def test_a_release_that_is_missing_or_has_no_program_is_said_to_be(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with serving(b"not here", status=404) as address:
        assert "Not Found" in refused(tmp_path / "new", address)
    assert "refused" in refused(tmp_path / "new", f"http://127.0.0.1:{free_port()}/x")
    other = archive(name="another")
    with serving(other) as address:
        assert "no program" in refused(tmp_path / "new", address, hashlib.sha256(other).hexdigest())


@pytest.mark.timeout(30)
def test_a_server_that_sends_a_byte_at_a_time_is_given_up(tmp_path: Path) -> None:
    with serving(*[part for byte in RIGHT[:50] for part in (bytes([byte]), 0.2)], length=len(RIGHT)) as address:
        said = refused(tmp_path / "new", address)
    assert "too slow" in said or "did not come within 2 s" in said


@pytest.mark.timeout(30)
def test_a_server_whose_head_never_ends_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            with suppress(OSError):
                client, _ = server.accept()
                with client:
                    client.sendall(b"HTTP/1.1 200 OK\r\n")
                    for _ in range(100):
                        client.sendall(b"x")
                        time.sleep(0.1)

        threading.Thread(target=drip, daemon=True).start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        assert "did not come within 2 s" in refused(tmp_path / "new", address)


def test_a_release_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(get_mediamtx, "MAX_BYTES", 100_000)
    with serving(*[bytes(60_000)] * 5) as address:
        assert "larger than" in refused(tmp_path / "new", address)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with serving(RIGHT) as address, pytest.raises(Unavailable, match="cannot be written"):
        install(tmp_path / "file" / "mediamtx", address, SUM)


# Through a proxy


class Proxy(Player):
    """A small HTTP proxy that takes every name for this machine. passed: what it was asked for."""

    passed: list[str]
    target: tuple[str, int]

    def do_GET(self) -> None:
        self.passed.append(f"GET {self.path}")
        with socket.create_connection(self.target) as server:
            server.sendall(b"GET /release.tar.gz HTTP/1.0\r\n\r\n")
            self._pass_on(server, self.connection)

    def do_CONNECT(self) -> None:
        self.passed.append(f"CONNECT {self.path}")
        with socket.create_connection(self.target) as server:
            self.send_response(200)
            self.end_headers()
            threading.Thread(target=self._pass_on, args=(self.connection, server), daemon=True).start()
            self._pass_on(server, self.connection)

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(65_536):
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def proxy(port: int) -> Iterator[tuple[str, list[str]]]:
    """A proxy before a server on this port: its address, and what it was asked for."""
    passed: list[str] = []
    handler = type("Handler", (Proxy,), {"passed": passed, "target": ("127.0.0.1", port)})
    with serving_http(handler) as own_port:
        yield f"http://127.0.0.1:{own_port}", passed


def test_a_proxy_in_between_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(RIGHT) as address, proxy(int(address.split(":")[2].split("/")[0])) as (through, passed):
        monkeypatch.setenv("http_proxy", through)
        install(tmp_path / "mediamtx", "http://releases.test/release.tar.gz", SUM)
    assert passed == ["GET http://releases.test/release.tar.gz"]
    assert (tmp_path / "mediamtx").read_bytes() == PROGRAM


def test_a_proxy_is_used_for_https_too_and_certificates_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_without("openssl", "openssl")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    names = ["-subj", "/CN=releases.test", "-addext", "subjectAltName=DNS:releases.test"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    subprocess.run([*made, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)

    class Release(Player):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.play([RIGHT])

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Release) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        with proxy(server.server_address[1]) as (through, passed):
            monkeypatch.setenv("https_proxy", through)
            assert "certificate" in refused(tmp_path / "new", "https://releases.test/release.tar.gz").lower()
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
            install(tmp_path / "mediamtx", "https://releases.test/release.tar.gz", SUM)
        server.shutdown()
    assert passed == ["CONNECT releases.test:443"] * 2
    assert (tmp_path / "mediamtx").read_bytes() == PROGRAM


# Which release, and for which machine


@pytest.fixture
def nothing_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """No MediaMTX is installed."""
    monkeypatch.setattr(shutil, "which", lambda _: None)


@pytest.mark.parametrize(("machine", "name"), [("x86_64", "amd64"), ("aarch64", "arm64")])
def test_the_pinned_sum_is_the_one_of_this_machine(
    nothing_on_path: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, name: str
) -> None:
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(get_mediamtx, "install", lambda _, address, sum_: asked.append((address, sum_)))
    assert binary(tmp_path) == tmp_path / "mediamtx-1.20.1"
    ((address, sum_),) = asked
    assert address.endswith(f"/v1.20.1/mediamtx_v1.20.1_linux_{name}.tar.gz")
    assert sum_ == get_mediamtx.SHA256[name]
    assert len(set(get_mediamtx.SHA256.values())) == len(get_mediamtx.SHA256)
    assert all(len(bytes.fromhex(one)) == 32 for one in get_mediamtx.SHA256.values())


@pytest.mark.parametrize("machine", ["armv7l", "riscv64"])
def test_a_machine_without_a_sum_takes_the_embedded_ingest(
    nothing_on_path: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    with pytest.raises(Unavailable, match="no sha-256 of the release for"):
        binary(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_was_fetched_once_is_not_fetched_again(nothing_on_path: None, tmp_path: Path) -> None:
    (tmp_path / "mediamtx-1.20.1").write_text("the program")
    assert binary(tmp_path) == tmp_path / "mediamtx-1.20.1"


def test_the_command_says_in_one_line_why_there_is_none(tmp_path: Path) -> None:
    environment = {"PATH": str(tmp_path), "https_proxy": "http://127.0.0.1:9"}
    command = [sys.executable, str(REPOSITORY / "scripts" / "get_mediamtx.py"), str(tmp_path / "cache")]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("MediaMTX: the release cannot be fetched (")
    assert ended.stderr.endswith("); the embedded ingest takes its place\n")


def test_the_release_for_another_machine_is_not_the_program_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(get_mediamtx, "install", lambda path, address, sum_: asked.append((path, address, sum_)))
    release(tmp_path / "mediamtx", "aarch64")
    ((path, address, sum_),) = asked
    assert path == tmp_path / "mediamtx" and address.endswith("_linux_arm64.tar.gz")
    assert sum_ == get_mediamtx.SHA256["arm64"]

    (tmp_path / "mediamtx").write_text("a program on PATH")
    (tmp_path / "mediamtx").chmod(0o755)
    kept = tmp_path / "cache" / "aarch64" / f"mediamtx-{get_mediamtx.VERSION}"
    kept.parent.mkdir(parents=True)
    kept.write_text("the release")
    command = [sys.executable, str(REPOSITORY / "scripts" / "get_mediamtx.py"), str(tmp_path / "cache"), "aarch64"]
    ended = subprocess.run(command, capture_output=True, text=True, env={"PATH": str(tmp_path)}, check=True)
    assert ended.stdout == f"{kept}\n"
