"""The site behind a real nginx and a real Caddy, configured as docs/proxy.md says."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from tests import proxies
from tests.boxes import until
from tests.conftest import port_giver
from tests.proxies import Proxied, proxied
from tests.site import PASSWORD
from tests.test_browser import CHROMIUM_ARGUMENTS

KINDS = {
    "nginx": ("nginx", proxies.NGINX, ""),
    "nginx's defaults": ("nginx", proxies.NGINX_DEFAULTS, ""),
    "nginx below a path": ("nginx", proxies.NGINX_PATH, "/box3"),
    "nginx that strips the path": ("nginx", proxies.NGINX_STRIPS, "/box3"),
    "Caddy": ("caddy", proxies.CADDY, ""),
    "Caddy below a path": ("caddy", proxies.CADDY_PATH, "/box3"),
    "Caddy that strips the path": ("caddy", proxies.CADDY_STRIPS, "/box3"),
}
LINK = re.compile(r'\s(href|src|action|data-preview)="([^"#][^"]*)"')


@pytest.fixture(params=KINDS, scope="module")
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    with proxied(tmp_path_factory.mktemp("proxied"), port_giver(), *KINDS[request.param]) as there:
        yield there


def post(client: httpx.Client, path: str, page: str, origin: str, **fields: str) -> httpx.Response:
    """Send a form as a browser does from `page`."""
    token = re.search(r'name="csrf" value="([^"]*)"', client.get(page).text)
    assert token
    return client.post(path, data={"csrf": token[1], **fields}, headers={"Origin": origin})


def sign_in(site: Proxied, password: str = PASSWORD, source: str = "127.0.0.1") -> tuple[httpx.Client, httpx.Response]:
    client = site.client(source)
    return client, post(client, "/sign-in", "/sign-in", origin(site), name="ann", password=password)


def origin(site: Proxied) -> str:
    return f"https://{urlsplit(site.address).netloc}"


def prefix(site: Proxied) -> str:
    return urlsplit(site.address).path


def test_people_sign_in_and_every_link_leads_to_a_page(site: Proxied) -> None:
    client, answer = sign_in(site)
    assert answer.status_code == 303 and answer.headers["location"] == f"{prefix(site)}/"
    seen, open_ = set(), [f"{prefix(site)}/"]
    while open_:
        path = open_.pop()
        answer = client.get(urljoin(site.address, path))
        seen.add(path)
        assert answer.status_code in (200, 204), f"{path}: {answer.status_code}"
        for attribute, link in LINK.findall(answer.text):
            assert link.startswith(f"{prefix(site)}/"), f"{path}: {attribute}={link}"
            if attribute != "action" and link not in seen:
                open_.append(link)
    assert {f"{prefix(site)}{path}" for path in ("/", "/streams/1", "/people", "/account")} <= seen
    assert any("app-" in path and path.endswith(".js") for path in seen)


def test_cookies_are_bound_to_https_and_to_the_path(site: Proxied) -> None:
    client, answer = sign_in(site)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Secure-" if prefix(site) else "__Host-")
    assert f"Path={prefix(site) or '/'}" in cookie.split("; ") and "Secure" in cookie and "HttpOnly" in cookie
    assert client.get("/account").status_code == 200


def test_a_form_of_another_site_is_refused(site: Proxied) -> None:
    client, _ = sign_in(site)
    for other in ("https://evil.example", f"http://{urlsplit(site.address).netloc}", "null"):
        assert post(client, "/streams/1/deactivate", "/account", other).status_code == 403
    answer = post(client, "/streams/1/deactivate", "/account", origin(site))
    assert answer.headers["location"] == f"{prefix(site)}/streams/1"


def test_who_is_sent_to_sign_in_comes_back_to_where_they_wanted_to(site: Proxied) -> None:
    client = site.client()
    answer = client.get("/streams?search=a", follow_redirects=True)
    assert answer.url.path == f"{prefix(site)}/sign-in"
    then = re.search(r'name="next" value="([^"]*)"', answer.text)
    assert then
    answer = post(client, "/sign-in", "/sign-in", origin(site), name="ann", password=PASSWORD, next=then[1])
    assert answer.headers["location"] == f"{prefix(site)}/streams?search=a"


def test_a_program_finds_the_api_by_its_own_document(site: Proxied) -> None:
    client = site.client()
    server = client.get("/api/openapi.json").json()["servers"][0]["url"]
    assert server == site.address
    answer = client.get(f"{server}/api/v1/streams", headers={"Authorization": "Bearer token of ann"})
    assert answer.json()["streams"][0]["title"] == "ann:door"


def test_the_bare_path_leads_to_the_site(site: Proxied) -> None:
    assert site.client().get(site.address, follow_redirects=True).url.path == f"{prefix(site)}/sign-in"


def test_whoever_types_wrong_passwords_is_known_by_their_own_address(site: Proxied, request: Any) -> None:
    client, answer = sign_in(site, "wrong", source="127.0.0.77")
    assert answer.status_code == 400
    token = client.get("/sign-in").text.split('name="csrf" value="')[1].split('"')[0]
    forged = {"Origin": origin(site), "X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.8"}
    client.post("/sign-in", data={"csrf": token, "name": "ann", "password": "wrong"}, headers=forged)
    told = "defaults" not in request.node.name  # nginx says nothing of whom it asks for unless it is told to
    until(lambda: site.log.read_text().count("a sign-in from ") >= 2, 30, "both tries are in the log")
    from_address = re.findall(r"a sign-in from (\S+) failed", site.log.read_text())
    assert set(from_address) == {"127.0.0.77"} if told else "127.0.0.77" not in from_address


@pytest.mark.browser
@pytest.mark.parametrize("kind", ["nginx below a path", "Caddy below a path"])
def test_a_real_browser_signs_in_and_makes_a_stream(kind: str, tmp_path: Path, free_port: Callable[[], int]) -> None:
    binary = shutil.which("chromium") or shutil.which("chromium-browser")
    if binary is None:
        pytest.skip("Chromium is not installed (apt install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    leads_here = f"--host-resolver-rules=MAP {proxies.NAME} 127.0.0.1"
    complaints: list[str] = []
    with (
        proxied(tmp_path, free_port, *KINDS[kind]) as there,
        sync_api.sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=binary, args=[*CHROMIUM_ARGUMENTS, leads_here]) as chromium,
    ):
        page = chromium.new_page(ignore_https_errors=True)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{there.address}/streams")
        page.fill("[name=name]", "ann")
        page.fill("[name=password]", PASSWORD)
        page.click("main button")
        page.wait_for_url(f"{there.address}/streams")
        page.click("text=Make a stream")
        page.fill("[name=name]", "yard")
        page.click("main button")
        assert page.text_content("dl.copy code") == f"rtmp://{proxies.NAME}/live"
        with page.expect_response(lambda answer: answer.request.resource_type == "fetch") as renewed:
            page.click("text=I have copied it")  # the stream's page keeps itself up to date
        assert renewed.value.status in (200, 204, 304)
        page.click("text=Sign out")
        page.wait_for_url(f"{there.address}/sign-in")
    # The worker of the installed page is no part of this: browsers load none where they do not trust the certificate.
    assert [each for each in complaints if "when fetching the script" not in each] == []
