"""The server over TLS, asked by real TLS clients and by raw sockets."""

from __future__ import annotations

import socket
import ssl
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance import certificates
from appliance.https import server_context
from appliance.language import speak
from appliance.service import http_status
from appliance.web.access import Access, App
from appliance.web.address import SiteAddress
from appliance.web.redirect import leading_to_https
from appliance.web.server import Places
from tests import test_web
from tests.boxes import until
from tests.rtmp_client import is_open

BIG_BYTES = 16_000_000


def pair(folder: Path, name: str = "localhost") -> Path:
    """A certificate for this name and 127.0.0.1, with its key, in one file."""
    key, path = certificates.new_key(), folder / f"{name}.pem"
    path.write_text(key.decode() + certificates.self_signed(key, [name, "127.0.0.1"], time.time(), 30))
    return path


def trusting(path: Path) -> ssl.SSLContext:
    """A client that trusts this certificate and no other."""
    return ssl.create_default_context(cadata=path.read_text().partition("-----END PRIVATE KEY-----\n")[2])


def serving(app: Any, port: int, files: Path, places: Places = Places()) -> AbstractContextManager[int]:  # noqa: B008
    """Answer by HTTPS on a port of loopback until the end of the block."""
    return test_web.serving(app, port, places, lambda: server_context(files))


def hello_app() -> App:
    made = App(lambda error: f"error {error.status_code}")

    @made.get("/", access=Access.ANYONE)
    def home() -> str:
        return "hello"

    return made


def raw(port: int, words: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), 10)
    connection.sendall(words)
    return connection


def client_hello(files: Path) -> bytes:
    """The first bytes that a TLS client sends."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    talk = trusting(files).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        talk.do_handshake()
    return outgoing.read()


def test_whoever_trusts_the_certificate_gets_an_answer(tmp_path: Path, free_port: Callable[[], int]) -> None:
    files = pair(tmp_path)
    with serving(hello_app(), free_port(), files) as port:
        assert httpx.get(f"https://localhost:{port}/", verify=trusting(files)).text == "hello"
        assert http_status("127.0.0.1", port, "GET", "/", https=True) == 200
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"https://localhost:{port}/")


# waitress lets go of a temporary file without closing it when it shortens what a slow client left (buffers.py, prune).
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_large_requests_and_answers_pass_whole(tmp_path: Path, free_port: Callable[[], int]) -> None:
    def application(environ: dict[str, Any], start: Any) -> list[bytes]:
        body = environ["wsgi.input"].read()
        assert environ["wsgi.url_scheme"] == "https"
        start("200 OK", [("Content-Length", str(BIG_BYTES + len(body)))])
        return [bytes(BIG_BYTES), body]

    files = pair(tmp_path)
    with (
        serving(application, free_port(), files) as port,
        httpx.Client(base_url=f"https://localhost:{port}", verify=trusting(files)) as client,
    ):
        for sent in (b"x" * 99_999, b"y" * 16_384, b"z" * 16_385, b""):
            answer = client.post("/", content=sent, timeout=60).content
            assert len(answer) == BIG_BYTES + len(sent) and answer.endswith(sent)


def test_200_silent_connections_keep_nobody_out_and_are_ended(tmp_path: Path, free_port: Callable[[], int]) -> None:
    files = pair(tmp_path)
    with serving(hello_app(), free_port(), files) as port, ExitStack() as opened:
        hello = client_hello(files)
        beginnings = (b"", hello[:3], hello[:-1], hello)  # the last waits for our answer, and never goes on
        crowd = [opened.enter_context(raw(port, beginnings[number % 4])) for number in range(200)]
        for _ in range(3):
            assert httpx.get(f"https://localhost:{port}/", verify=trusting(files), timeout=30).text == "hello"
        until(lambda: not any(map(is_open, crowd)), 60, "they are all ended")


def test_a_handshake_that_drips_is_ended(tmp_path: Path, free_port: Callable[[], int]) -> None:
    files = pair(tmp_path)
    hello = client_hello(files)
    with serving(hello_app(), free_port(), files) as port, raw(port) as slow:
        drops = iter(hello)

        def ended() -> bool:
            with suppress(OSError):
                slow.sendall(bytes([next(drops)]))
            time.sleep(0.1)
            return not is_open(slow)

        until(ended, 60, "it is ended")
        assert next(drops, None) is not None, "before it was through"


def test_a_request_that_drips_within_tls_is_ended(tmp_path: Path, free_port: Callable[[], int]) -> None:
    files = pair(tmp_path)
    with (
        serving(hello_app(), free_port(), files) as port,
        trusting(files).wrap_socket(raw(port), server_hostname="localhost") as slow,
    ):
        slow.sendall(b"GET / HTTP/1.1\r\nX: ")

        def ended() -> bool:
            try:
                slow.sendall(b"x")
            except OSError:
                return True
            time.sleep(0.2)
            return False

        until(ended, 60, "it is ended")


def test_who_does_not_read_holds_no_thread_and_is_ended(tmp_path: Path, free_port: Callable[[], int]) -> None:
    def application(environ: dict[str, Any], start: Any) -> list[bytes]:
        start("200 OK", [("Content-Type", "image/jpeg")])
        return [bytes(BIG_BYTES if environ["PATH_INFO"] == "/big" else 2)]

    files = pair(tmp_path)
    with serving(application, free_port(), files) as port, ExitStack() as opened:
        stuck = []
        for _ in range(8):
            one = opened.enter_context(trusting(files).wrap_socket(raw(port), server_hostname="localhost"))
            one.sendall(b"GET /big HTTP/1.1\r\n\r\n")
            stuck.append(one)
        assert httpx.get(f"https://localhost:{port}/", verify=trusting(files), timeout=30).content == bytes(2)

        def is_reset(one: socket.socket) -> bool:
            return one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0 or not is_writable(one)

        def is_writable(one: socket.socket) -> bool:
            try:
                socket.socket.send(one, b"")
                socket.socket.getpeername(one)
            except OSError:
                return False
            return True

        until(lambda: all(map(is_reset, stuck)), 60, "they are ended")


def test_plain_http_on_the_port_of_https_is_told_so(tmp_path: Path, free_port: Callable[[], int]) -> None:
    with serving(hello_app(), free_port(), pair(tmp_path)) as port:
        answer = httpx.get(f"http://localhost:{port}/", timeout=30)
        assert answer.status_code == 400 and "https://" in answer.text
        speak("de")  # nothing is known of who asks: it is the site's own language
        try:
            german = httpx.get(f"http://localhost:{port}/", timeout=30)
        finally:
            speak("en")
        assert german.text == "Dieser Port spricht HTTPS: Öffnen Sie die Adresse mit https:// am Anfang."
        for nonsense in (b"\x00" * 50, b"\x16\x03\x01\x00\x02hello", b"SSH-2.0-x\r\n", b"\x80\x2e\x01\x00\x02"):
            with raw(port, nonsense) as connection:
                until(lambda: not is_open(connection), 30, "it is ended")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_of_tls_are_refused(tmp_path: Path, free_port: Callable[[], int], version: Any) -> None:
    files = pair(tmp_path)
    with serving(hello_app(), free_port(), files) as port:
        context = trusting(files)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that is the point
            context.minimum_version, context.maximum_version = version, version
        context.set_ciphers("ALL:@SECLEVEL=0")
        with raw(port) as connection, pytest.raises(ssl.SSLError):
            context.wrap_socket(connection, server_hostname="localhost")
        assert httpx.get(f"https://localhost:{port}/", verify=trusting(files)).text == "hello"


def test_newcomers_take_the_places_of_those_who_only_shake_hands(tmp_path: Path, free_port: Callable[[], int]) -> None:
    files = pair(tmp_path)
    with serving(hello_app(), free_port(), files, Places(from_here=6)) as port, ExitStack() as opened:
        crowd = [opened.enter_context(raw(port)) for _ in range(30)]
        for _ in range(3):
            assert httpx.get(f"https://localhost:{port}/", verify=trusting(files), timeout=30).text == "hello"
        assert sum(map(is_open, crowd)) <= 6


def ask(
    address: SiteAddress, host: str, path: str = "/", method: str = "GET", port: int = 443, language: str = "en"
) -> httpx.Response:
    transport = httpx.WSGITransport(app=leading_to_https(address, port))
    with httpx.Client(transport=transport, base_url="http://box.local") as client:
        return client.request(method, path, headers={"Host": host, "Accept-Language": language})


BOX = SiteAddress(names=frozenset(("box.local",)), speaks_https=True)


def test_plain_http_is_led_to_https_under_the_same_name() -> None:
    assert ask(BOX, "box.local").headers["location"] == "https://box.local/"
    assert ask(BOX, "box.local:80", "/streams?search=a%20b", port=8443).headers["location"] == (
        "https://box.local:8443/streams?search=a%20b"
    )
    assert ask(BOX, "[fd00::7]:80").headers["location"] == "https://[fd00::7]/"
    proxied = SiteAddress(base_url="https://box.example/box3", names=BOX.names, speaks_https=True)
    assert ask(proxied, "box.local", "/x").headers["location"] == "https://box.example/box3/x"


def test_nobody_is_led_to_a_foreign_name_and_nothing_is_taken() -> None:
    for host in ("evil.example", "box.local@evil.example", "box.local.evil.example", "", "box.local/x", "a b"):
        answer = ask(BOX, host)
        assert answer.status_code == 421 and "location" not in answer.headers
    for path in ("//evil.example/", "/\\evil.example", "/%0d%0aSet-Cookie:%20a=b"):
        led = ask(BOX, "box.local", path).headers["location"]
        assert led.startswith("https://box.local/") and "\r" not in led and "\n" not in led
    posted = ask(BOX, "box.local", "/sign-in", "POST")
    assert posted.status_code == 403 and "location" not in posted.headers
    german = ask(BOX, "box.local", "/sign-in", "POST", language="de")
    assert german.text.startswith("Über unverschlüsseltes HTTP wird nichts angenommen. Öffnen Sie https://box.local/")
    assert "strict-transport-security" not in ask(BOX, "box.local").headers
