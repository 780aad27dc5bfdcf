"""The kit: headers, static files, forms, charts, error pages, the server."""

from __future__ import annotations

import ipaddress
import itertools
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from bottle import HTTPResponse, request

from appliance.config import Config
from appliance.errors import UserError
from appliance.local import site
from appliance.sections import Web
from appliance.web.access import Access, App, wants_json
from appliance.web.charts import Bar, scale_lines, stacked_bars
from appliance.web.forms import local_path
from appliance.web.server import Places, Tls, make_server
from appliance.web.static import Static
from appliance.web.uploads import Admit
from tests.boxes import until
from tests.rtmp_client import is_open


@pytest.fixture
def app() -> App:
    made = App(lambda error: f"error {error.status_code}")

    @made.get("/", access=Access.ANYONE)
    def home() -> str:
        return "hello"

    @made.get("/broken", access=Access.ANYONE)
    def broken() -> str:
        raise RuntimeError("a secret detail")

    return made


def client(app: App) -> httpx.Client:
    return httpx.Client(transport=httpx.WSGITransport(app=app, raise_app_exceptions=False), base_url="http://localhost")


def test_a_route_that_does_not_say_who_may_use_it_ends_the_start(app: App) -> None:
    with pytest.raises(ValueError, match="say who may use it"):
        app.route("/forgotten", "GET", lambda: "all of it")


def test_an_owned_route_must_name_what_is_owned(app: App) -> None:
    with pytest.raises(ValueError, match="names the thing owned"):
        app.get("/all", access=Access.OWNER)(lambda: "all of it")


@pytest.mark.parametrize("path", ["/", "/nothing", "/broken"])
def test_every_answer_has_the_strict_headers(app: App, path: str) -> None:
    headers = client(app).get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"


def test_a_fault_of_ours_is_never_shown(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    answer = client(app).get("/broken")
    assert answer.status_code == 500
    assert "secret" not in answer.text and "Traceback" not in answer.text


def test_static_files_are_named_by_their_content_and_cached_without_end(app: App, tmp_path: Path) -> None:
    (tmp_path / "app.css").write_text("a {}")
    static = Static(tmp_path)
    static.add_routes(app)
    answer = client(app).get(static.url("app.css"))
    assert answer.text == "a {}" and "immutable" in answer.headers["cache-control"]
    (tmp_path / "app.css").write_text("b {}")
    assert Static(tmp_path).url("app.css") != static.url("app.css")
    assert client(app).get("/static/app.css").status_code == 404


@pytest.mark.parametrize("bad", ["//evil.example", "/\\evil.example", "https://evil.example", "", "/a\r\nb", "x"])
def test_nobody_is_led_to_another_site(bad: str) -> None:
    assert local_path(bad) == "/"
    assert local_path("/streams?search=a") == "/streams?search=a"


def test_a_chart_says_its_numbers_and_its_scale() -> None:
    svg = stacked_bars([Bar(0.0, (("mask", 3), ("no_mask", 1))), Bar(3600.0, ())], "By <hour>")
    assert "3 mask, 1 no mask" in svg and "By &lt;hour&gt;" in svg and svg.count('class="column"') == 1
    assert '<text class="scale" x="40" y="46.0">4</text>' in svg, "the highest bar is as high as the scale"


def test_a_scale_ends_near_the_highest_bar_and_its_lines_are_round() -> None:
    ends = {
        0: 1,
        1: 1,
        2: 2,
        3: 3,
        5: 5,
        7: 8,
        9: 10,
        11: 20,
        21: 30,
        45: 50,
        61: 80,
        99: 100,
        101: 200,
        40_001: 50_000,
    }
    assert {highest: scale_lines(highest)[-1] for highest in ends} == ends
    assert scale_lines(1) == (0, 1) and scale_lines(3) == (0, 1, 2, 3) and scale_lines(5) == (0, 1, 2, 3, 4, 5)
    assert scale_lines(8) == (0, 4, 8) and scale_lines(47) == (0, 25, 50) and scale_lines(60) == (0, 20, 40, 60)
    for highest in range(1, 3000):
        lines = scale_lines(highest)
        assert highest <= lines[-1] < 2 * highest + 1 and len(lines) <= 6, highest
        assert {after - before for before, after in itertools.pairwise(lines)} == {lines[1]}, highest


def test_a_busy_port_is_one_line_that_names_it(app: App, free_port: Callable[[], int]) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)), pytest.raises(UserError) as refused:
        make_server(app, "127.0.0.1", port)
    assert f"port {port} is taken" in str(refused.value) and "\n" not in str(refused.value)


@contextmanager
def serving(
    app: Any,
    port: int,
    places: Places = Places(),  # noqa: B008
    tls: Tls | None = None,
    admit: Admit | None = None,
) -> Iterator[int]:
    """Answer on a port of loopback until the end of the block. tls: by HTTPS; admit: which requests bring a file."""
    server = make_server(app, "127.0.0.1", port, threads=2, places=places, tls=tls, admit=admit)
    server.prepare()
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield port
    finally:
        server.stop()
        thread.join(timeout=20)


def says(port: int, words: bytes, source: str = "127.0.0.1") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), 10, (source, 0))
    connection.sendall(words)
    return connection


def answer_to(port: int, words: bytes) -> bytes:
    """Everything the server says to these words until it hangs up."""
    with says(port, words) as connection:
        connection.settimeout(30)
        said = b""
        with suppress(ConnectionError):
            while piece := connection.recv(65_536):
                said += piece
        return said


def test_a_request_is_ended_when_it_is_not_whole_in_time_however_it_drips(
    app: App, free_port: Callable[[], int]
) -> None:
    with (
        serving(app, free_port()) as port,
        says(port, b"GET / HTTP/1.1\r\nX: ") as head,
        says(port, b"POST / HTTP/1.1\r\nContent-Length: 9000\r\n\r\n") as body,
        says(port, b"") as silent,
    ):

        def ended() -> bool:
            for slow in (head, body):
                with suppress(OSError):
                    slow.sendall(b"x")
            time.sleep(0.2)
            return not (is_open(head) or is_open(body) or is_open(silent))

        until(ended, 60, "all three are ended")


def test_who_does_not_read_holds_no_thread_and_is_ended(free_port: Callable[[], int]) -> None:
    def application(environ: dict[str, Any], start: Any) -> list[bytes]:
        start("200 OK", [("Content-Type", "image/jpeg")])
        return [bytes(16_000_000 if environ["PATH_INFO"] == "/big" else 2)]

    with serving(application, free_port()) as port, ExitStack() as opened:
        stuck = [opened.enter_context(says(port, b"GET /big HTTP/1.1\r\n\r\n")) for _ in range(8)]
        assert httpx.get(f"http://127.0.0.1:{port}/", timeout=30).content == bytes(2)
        ended = select.poll()
        for one in stuck:
            ended.register(one, 0)  # errors only: the connection was reset
        until(lambda: len(ended.poll(0)) == len(stuck), 60, "they are ended, and what waits for them is gone")


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (b"POST / HTTP/1.1\r\nContent-Length: 100001\r\n\r\n", b"413"),
        (
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1869f\r\n" + bytes(99_999) + b"\r\n2\r\nxx\r\n",
            b"413",
        ),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 32_000 + b"\r\n\r\n", b"431"),
        (b"POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nConnection: close\r\n\r\n", b"200"),
    ],
)
def test_what_is_too_long_or_has_two_lengths_is_refused(
    app: App, free_port: Callable[[], int], words: bytes, status: bytes
) -> None:
    with serving(app, free_port()) as port:
        assert answer_to(port, words).split(b" ")[1] == status


def test_newcomers_take_the_places_of_those_who_only_wait(app: App, free_port: Callable[[], int]) -> None:
    with serving(app, free_port(), Places(from_here=6)) as port, ExitStack() as opened:
        crowd = [opened.enter_context(says(port, b"GET / HTTP/1.1\r\nX: ")) for _ in range(30)]
        for _ in range(3):
            assert httpx.get(f"http://127.0.0.1:{port}/", timeout=30).text == "hello"
        assert sum(map(is_open, crowd)) <= 6


def test_a_proxy_on_another_machine_has_the_places_of_this_one(app: App, free_port: Callable[[], int]) -> None:
    proxies = [ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("fd00::7")]
    server = make_server(app, "127.0.0.1", free_port(), places=Places(per_network=0), proxies=proxies)
    for address in ("127.0.0.2", "::1", "::ffff:127.0.0.1", "192.0.2.9", "::ffff:192.0.2.9", "fd00::7"):
        assert server._has_room(address), address
    for address in ("198.51.100.1", "fd00::8", "::ffff:198.51.100.1"):
        assert not server._has_room(address), address
    server.stop()


def test_connections_are_closed_by_the_loop_or_after_it(
    app: App, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closed by `stop` beside it, the loop would end what is no longer open, and die of that with a traceback."""
    looks, goes_on = threading.Event(), threading.Event()

    def is_late(channel: Any, now_s: float) -> bool:
        looks.set()
        return goes_on.wait(30)

    monkeypatch.setattr("appliance.web.server._Channel.is_late", is_late)
    server = make_server(app, "127.0.0.1", port := free_port())
    server.prepare()
    loop, stop = threading.Thread(target=server.serve), threading.Thread(target=server.stop)
    loop.start()
    with says(port, b"GET / HTTP/1.1\r\nX: ") as late:
        assert looks.wait(30)
        stop.start()
        late.settimeout(1)
        with pytest.raises(TimeoutError):
            late.recv(1)
        goes_on.set()
        loop.join(30)
        stop.join(30)
        assert not loop.is_alive() and not stop.is_alive() and not is_open(late)


def test_what_a_thread_has_just_closed_can_be_ended(app: App, free_port: Callable[[], int]) -> None:
    server = make_server(app, "127.0.0.1", free_port())
    ours, theirs = socket.socketpair()
    with theirs:
        server._open(ours, ("192.0.2.4", 1))
        channel = next(iter(server.active_channels.values()))
        ours.close()
        channel.abort()
        assert not server.active_channels and not is_open(theirs)
    server.stop()


def test_whoever_is_being_answered_keeps_the_place(free_port: Callable[[], int]) -> None:
    begun, done = threading.Event(), threading.Event()

    def application(environ: dict[str, Any], start: Any) -> list[bytes]:
        start("200 OK", [("Content-Length", "5")])
        begun.set()
        done.wait(30)
        return [b"hello"]

    with (
        serving(application, free_port(), Places(from_here=1)) as port,
        says(port, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n") as first,
    ):
        assert begun.wait(30)
        assert answer_to(port, b"GET / HTTP/1.1\r\n\r\n") == b"", "there is no place for another"
        done.set()
        assert first.recv(100).startswith(b"HTTP/1.1 200")


def test_a_site_whose_threads_all_hang_does_not_count_as_running(free_port: Callable[[], int]) -> None:
    going_on = threading.Event()

    def application(environ: dict[str, Any], start: Any) -> list[bytes]:
        going_on.wait(60)
        start("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    with serving(application, free_port()) as port:
        config = Config(web=Web(host="127.0.0.1", port=port))
        with says(port, b"GET / HTTP/1.1\r\n\r\n"), says(port, b"GET / HTTP/1.1\r\n\r\n"):
            assert not site._answers(config)
        going_on.set()
        until(lambda: site._answers(config), 30, "it recovers by itself")


def test_an_error_is_no_page_of_bottles(app: App) -> None:
    assert client(app).get("/nothing").text == "error 404"


@pytest.mark.parametrize("method", ["get", "post", "patch", "delete"])
def test_a_token_opens_what_lies_below_api_and_nothing_else(app: App, method: str) -> None:
    add = getattr(app, method)
    for path in ("/api/x", "/x"):
        add(path, access=Access.SIGNED_IN)(lambda: "x")
    added = [(route.method, route.rule, route.config["bearer"]) for route in app.routes[-2:]]
    assert added == [(method.upper(), "/api/x", True), (method.upper(), "/x", False)]


def test_a_page_may_be_opened_by_a_token_where_its_route_says_so(app: App) -> None:
    app.get("/x", access=Access.SIGNED_IN, bearer=True)(lambda: "x")
    assert app.routes[-1].config["bearer"] is True


def test_a_handler_stays_what_it_was(app: App) -> None:
    def handler() -> str:
        return "hello"

    assert app.get("/hello", access=Access.ANYONE)(handler) is handler


def test_a_strict_header_that_an_answer_sets_itself_is_sent_once(app: App) -> None:
    @app.get("/kept", access=Access.ANYONE)
    def kept() -> HTTPResponse:
        return HTTPResponse("kept", **{"cache-control": "max-age=60"})

    assert client(app).get("/kept").headers.get_list("cache-control") == ["max-age=60"]


@pytest.mark.parametrize(
    ("path", "authorization", "wants"),
    [
        ("/api/v1/streams", None, True),
        ("/streams", None, False),
        ("/streams/api/", None, False),
        ("/images/x", "BEARER token", True),
        ("/images/x", "Basic bearer x", False),
    ],
)
def test_a_program_is_known_by_its_path_or_its_token(path: str, authorization: str | None, wants: bool) -> None:
    headers = {"HTTP_AUTHORIZATION": authorization} if authorization else {}
    request.bind({"PATH_INFO": path, **headers})
    assert wants_json() is wants
