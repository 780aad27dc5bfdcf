"""The kit: headers, static files, forms, charts, error pages, the server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from bottle import HTTPResponse, request

from appliance.errors import UserError
from appliance.web.access import Access, App, wants_json
from appliance.web.charts import Bar, nice_top, stacked_bars
from appliance.web.forms import local_path
from appliance.web.server import make_server
from appliance.web.static import Static


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
    assert "3 mask, 1 no mask" in svg and "By &lt;hour&gt;" in svg and svg.count("<rect") == 2
    assert [nice_top(n) for n in (0, 1, 2, 3, 5, 11, 30, 99, 101)] == [2, 2, 2, 4, 10, 20, 40, 100, 200]


def test_a_busy_port_is_one_line_that_names_it(app: App, free_port: Callable[[], int]) -> None:
    with socket.socket() as other:
        port = free_port()
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(UserError) as refused:
            make_server(app, "127.0.0.1", port)
    assert f"port {port} is taken" in str(refused.value) and "\n" not in str(refused.value)


def test_connections_without_a_request_do_not_hold_the_site(app: App, free_port: Callable[[], int]) -> None:
    port = free_port()
    server = make_server(app, "127.0.0.1", port)
    server.prepare()
    thread = threading.Thread(target=server.serve)
    thread.start()
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
    try:
        assert httpx.get(f"http://127.0.0.1:{port}/", timeout=3).text == "hello"
    finally:
        for connection in idle:
            connection.close()
        server.stop()
        thread.join(timeout=20)


def test_an_error_is_no_page_of_bottles(app: App) -> None:
    assert client(app).get("/nothing").text == "error 404"


@pytest.mark.parametrize("method", ["get", "post", "patch", "delete"])
def test_a_token_opens_what_lies_below_api_unless_the_route_says_otherwise(app: App, method: str) -> None:
    add = getattr(app, method)
    for path, bearer in (("/api/x", None), ("/x", None), ("/api/y", False), ("/y", True)):
        add(path, access=Access.SIGNED_IN, bearer=bearer)(lambda: "x")
    added = [(route.method, route.rule, route.config["bearer"]) for route in app.routes[-4:]]
    opened = [("/api/x", True), ("/x", False), ("/api/y", False), ("/y", True)]
    assert added == [(method.upper(), path, opens) for path, opens in opened]


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
