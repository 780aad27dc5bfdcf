"""How a site is reached: by which names, below which path, through which proxy, by whom."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import httpx
import pytest
from bottle import HTTPResponse, request

from appliance.web.access import Access, App
from appliance.web.address import SiteAddress, client_address, host_in
from appliance.web.forms import MAX_ID

BELOW = SiteAddress("https://masks.example.org/box3", frozenset({"lobby", "lobby.local"}))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8000",
        "192.168.1.20",
        "[::1]:8000",
        "[2001:db8::1]",
        "localhost:8000",
        "LOBBY.local.",
        "masks.example.org",
    ],
)
def test_a_site_answers_to_its_names_and_to_every_ip_address(host: str) -> None:
    assert BELOW.answers_to(host)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "lobby.evil.example",
        "evil.example@127.0.0.1",
        "127.0.0.1@evil.example",
        "127.0.0.1:8000.evil.example",
        "[::1].evil.example",
        "[::1",
        "127.0.0.1\n",
        "",
        ".",
        "x" * 5000,
        "\u0661",
    ],
)
def test_a_site_does_not_answer_to_the_name_of_another(host: str) -> None:
    assert not BELOW.answers_to(host)
    assert not SiteAddress().answers_to(host)


def asked(app: App, host: str, path: str = "/", **headers: str) -> httpx.Response:
    transport = httpx.WSGITransport(app=app, remote_addr="127.0.0.1")
    return httpx.Client(transport=transport).get(f"http://127.0.0.1{path}", headers={"Host": host, **headers})


@pytest.fixture
def app() -> App:
    made = App(lambda error: f"error {error.status_code}", BELOW)
    made.get("/here", access=Access.ANYONE)(lambda: f"{request.path} {client_address()}")
    made.get("/away", access=Access.ANYONE)(lambda: HTTPResponse(status=303, headers={"Location": "/here"}))
    made.get("/things/<thing_id:int>", access=Access.ANYONE)(lambda thing_id: str(thing_id))
    return made


@pytest.mark.parametrize("path", ["/here", "/health", "/api/v1/status", "/nothing", "/box3/here"])
def test_who_comes_by_another_name_is_told_what_to_do_and_nothing_else(app: App, path: str) -> None:
    answer = asked(app, "evil.example", path)
    assert answer.status_code == 421
    assert "web.names" in answer.text and "IP address" in answer.text and "evil.example" in answer.text
    assert "lobby" not in answer.text and "masks" not in answer.text, "the page that asks may be the other's"
    assert answer.headers["content-type"].startswith("application/json" if "/api" in path else "text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/box3/here", "/here"])
def test_a_path_is_the_same_whether_the_proxy_takes_the_prefix_off_or_not(app: App, path: str) -> None:
    assert asked(app, "masks.example.org", path).text == "/here 127.0.0.1"


@pytest.mark.parametrize("path", ["/box34/here", "/box3here", "/box3/box3/here"])
def test_what_only_looks_like_the_prefix_stays(app: App, path: str) -> None:
    assert asked(app, "masks.example.org", path).status_code == 404


def test_a_redirect_leads_below_the_prefix(app: App) -> None:
    assert asked(app, "masks.example.org", "/box3/away").headers["location"] == "/box3/here"


def test_every_link_of_ours_leads_below_the_prefix_and_no_other() -> None:
    page = '<a href="/x"><img src="/y"><form method="post" action="/"><a href="https://z/"><a href="#m"><a href="//z">'
    said = "<p>href=&quot;/typed</p>"
    below = page.replace('"/x', '"/box3/x').replace('"/y', '"/box3/y').replace('"/"', '"/box3/"')
    assert BELOW.rooted_links(page + said) == below + said
    assert SiteAddress("http://box").rooted_links(page) == page


@pytest.mark.parametrize(
    ("remote", "forwarded", "address"),
    [
        ("192.0.2.1", "198.51.100.1", "192.0.2.1"),  # no proxy of ours
        ("127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("::ffff:127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "203.0.113.9, 198.51.100.1", "198.51.100.1"),  # what stands before may be made up
        ("127.0.0.1", "203.0.113.9, 198.51.100.1 , 10.1.2.3", "198.51.100.1"),  # two proxies of ours
        ("127.0.0.1", "10.1.2.3", "10.1.2.3"),
        ("127.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("127.0.0.1", "[2001:db8:0:1:2::7]:4711", "2001:db8:0:1::/64"),
        ("127.0.0.1", "2001:db8:0:1:2::7", "2001:db8:0:1::/64"),
        ("2001:db8:0:1:2::7", None, "2001:db8:0:1::/64"),
        ("::ffff:192.0.2.1", None, "192.0.2.1"),
        ("127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.1, unknown", "127.0.0.1"),
        ("127.0.0.1", "\x00\xff, ,,[::1" * 500, "127.0.0.1"),
        (None, None, "?"),
        ("no address " * 9, "198.51.100.1", ("no address " * 9)[:50]),
    ],
)
def test_tries_are_counted_by_this_address(remote: str | None, forwarded: str | None, address: str) -> None:
    site = SiteAddress(proxies=(ip_network("127.0.0.1"), ip_network("10.0.0.0/8")))
    environ: dict[str, Any] = {"PATH_INFO": "/", "REMOTE_ADDR": remote, "HTTP_X_FORWARDED_FOR": forwarded}
    environ = {name: value for name, value in environ.items() if value is not None}
    site.enter(environ)
    request.bind(environ)
    assert client_address() == address


def test_without_a_configured_proxy_nobody_says_whose_request_it_is() -> None:
    assert SiteAddress().client("127.0.0.1", "198.51.100.1") == "127.0.0.1"


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("https://masks.example.org", "127.0.0.1:8000", True),  # what nginx sends unless it is told otherwise
        ("https://MASKS.example.org", "masks.example.org", True),
        ("http://192.168.1.20:8000", "192.168.1.20:8000", True),  # past the proxy
        ("http://masks.example.org", "127.0.0.1:8000", False),
        ("http://masks.example.org", "masks.example.org", False),
        ("https://masks.example.org:444", "127.0.0.1:8000", False),
        ("https://evil.example", "127.0.0.1:8000", False),
        ("null", "127.0.0.1:8000", False),
        ("", "127.0.0.1:8000", False),
        ("https://[", "127.0.0.1:8000", False),
    ],
)
def test_a_form_comes_from_a_page_of_ours_or_it_does_not(origin: str, host: str, own: bool) -> None:
    assert BELOW.is_own_origin(origin, host) is own


@pytest.mark.parametrize(
    ("written", "id_"),
    [("7", 7), ("007", 7), (str(MAX_ID), MAX_ID), (str(MAX_ID + 1), MAX_ID), ("9" * 5000, MAX_ID)],
    ids=lambda value: str(value)[:20],
)
def test_an_id_in_an_address_is_one_that_sqlite_can_hold(app: App, written: str, id_: int) -> None:
    assert asked(app, "localhost", f"/things/{written}").text == str(id_)


@pytest.mark.parametrize("written", ["-1", "-99999999999999999999", "1.5", "1e9", "nan", "0x1", "+1"])
def test_what_is_no_id_leads_nowhere(app: App, written: str) -> None:
    assert asked(app, "localhost", f"/things/{written}").status_code == 404


def test_the_host_of_an_authority_keeps_the_brackets() -> None:
    assert [host_in(text) for text in ("box:1", "[::1]:1", "a b", "x:y")] == ["box", "[::1]", None, None]
