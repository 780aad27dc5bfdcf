"""Claiming, signing in and out, passwords, tokens, and writes that other sites try."""

from __future__ import annotations

import os
import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.secrets import digest
from appliance.store import Store
from tests.site import PASSWORD, Box, Browser, dump


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "state")
    yield made
    made.close()


@pytest.fixture
def new_box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "state", claimed=False)
    yield made
    made.close()


def claim(box: Box, browser: Browser, code: str | None = None, **fields: str) -> int:
    browser.get("/claim")
    code = box.config.claim_code_path.read_text().strip() if code is None else code
    filled = {"name": "ann", "password": PASSWORD, "again": PASSWORD, "code": code, **fields}
    return browser.post("/claim", page="/claim", **filled).status_code


@pytest.mark.parametrize("path", ["/", "/streams", "/streams/1", "/detections", "/people", "/account", "/sign-in"])
def test_every_page_of_a_new_box_leads_to_the_claim(new_box: Box, path: str) -> None:
    assert new_box.browser().get(path).headers["location"] == "/claim"


def test_the_claim_code_makes_the_first_admin_once_and_is_gone(new_box: Box) -> None:
    browser = new_box.browser()
    browser.get("/claim")
    code = new_box.config.claim_code_path.read_text().strip()
    assert claim(new_box, browser, code.lower().replace("-", " ")) == 303
    assert browser.get("/people").status_code == 200
    assert not new_box.config.claim_code_path.exists()
    late = new_box.browser()
    assert late.get("/claim").headers["location"] == "/sign-in"
    assert late.post("/claim", page="/sign-in", name="eve", code=code, password=PASSWORD, again=PASSWORD).is_redirect
    assert [person.name for person in new_box.store.people.all()] == ["ann"]


def test_who_claims_the_box_is_known_in_that_browser(new_box: Box) -> None:
    browser = new_box.browser()
    claim(new_box, browser)
    assert new_box.store.people.knows_device(digest(browser.client.cookies["mb9k_device"]), new_box.clock.now.utc, 1)


def test_a_wrong_claim_code_makes_nobody_and_keeps_what_was_typed(new_box: Box) -> None:
    browser = new_box.browser()
    browser.get("/claim")
    answer = browser.post("/claim", page="/claim", name="ann", code="AAAA-AAAA", password=PASSWORD, again=PASSWORD)
    assert answer.status_code == 400 and "not the code" in answer.text and 'value="ann"' in answer.text
    assert new_box.store.people.count() == 0
    assert claim(new_box, browser, code="") == 400
    assert new_box.store.people.count() == 0


def test_an_easy_password_is_refused_at_the_claim(new_box: Box) -> None:
    easy = {"name": "sci", "password": "sci12345", "again": "sci12345"}
    assert claim(new_box, new_box.browser(), **easy) == 400
    assert new_box.store.people.count() == 0


def test_guessing_the_claim_code_is_slowed_down_for_whoever_guesses(new_box: Box) -> None:
    browser = new_box.browser()
    codes = [claim(new_box, browser, code="WRONG") for _ in range(13)]
    assert codes == [400] * 11 + [429] * 2
    assert claim(new_box, browser) == 429  # at the same address also the right one has to wait now, for a moment
    assert claim(new_box, new_box.browser(address="198.51.100.1"), code="WRONG") == 400
    new_box.clock.forward(6)
    assert claim(new_box, browser) == 303


def test_whoever_guesses_the_claim_code_keeps_out_nobody_elsewhere(new_box: Box) -> None:
    owner = new_box.browser(address="198.51.100.1")
    for n in range(30):
        claim(new_box, new_box.browser(address=f"192.0.2.{n % 3}"), code="WRONG")
        new_box.clock.forward(1)
    assert claim(new_box, owner) == 303


def test_two_who_claim_at_once_make_one_admin(new_box: Box) -> None:
    browsers = [new_box.browser(address=f"192.0.2.{n}") for n in range(4)]
    new_box.browser().get("/claim")
    code = new_box.config.claim_code_path.read_text().strip()
    tokens = [browser.csrf("/claim") for browser in browsers]

    def go(number: int) -> None:
        fields = {"csrf": tokens[number], "name": f"p{number}", "code": code, "password": PASSWORD, "again": PASSWORD}
        browsers[number].client.post("/claim", data=fields)

    threads = [threading.Thread(target=go, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert new_box.store.people.count() == 1


def test_signing_in_leads_on_and_signing_out_ends_the_session(box: Box) -> None:
    browser = box.browser()
    assert browser.get("/streams?search=a").headers["location"] == "/sign-in?next=/streams%3Fsearch%3Da"
    answer = browser.post("/sign-in", page="/sign-in", name="ANN", password=PASSWORD, next="/streams?search=a")
    assert answer.headers["location"] == "/streams?search=a"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/" in cookie
    session = browser.client.cookies["mb9k_session"]
    assert browser.get("/").status_code == 200
    assert browser.post("/sign-out").is_redirect
    browser.client.cookies.set("mb9k_session", session, domain="box.test")
    assert browser.get("/").is_redirect
    assert box.store.people.session(digest(session)) is None


def test_after_signing_in_nobody_is_led_to_another_site(box: Box) -> None:
    answer = box.browser().post("/sign-in", page="/sign-in", name="ann", password=PASSWORD, next="//evil.example/")
    assert answer.headers["location"] == "/"


def test_over_https_the_cookies_are_locked_to_it(tmp_path: Path) -> None:
    box = Box(tmp_path / "https", web={"base_url": "https://box.test"})
    browser = box.browser()
    cookie = browser.get("/sign-in").headers["set-cookie"]
    assert cookie.startswith("__Host-") and "Secure" in cookie and "Path=/" in cookie and "Domain" not in cookie
    box.close()


@pytest.mark.parametrize(("name", "password"), [("ann", "wrong"), ("nobody", PASSWORD), ("", ""), ("ann", "x" * 5000)])
def test_a_wrong_sign_in_does_not_say_what_was_wrong(box: Box, name: str, password: str) -> None:
    answer = box.browser().sign_in(name, password)
    assert answer.status_code == 400 and "Name or password is wrong." in answer.text
    assert "mb9k_session" not in answer.headers.get("set-cookie", "")


def test_one_address_that_guesses_at_a_name_keeps_its_owner_out_of_no_other_address(box: Box) -> None:
    attacker, let_in = box.browser(address="203.0.113.66"), 0
    for n in range(20):
        assert attacker.sign_in("ann", "wrong").status_code in (400, 429)
        let_in += box.browser(address=f"198.51.100.{n}").sign_in("ann").status_code == 303
        box.clock.forward(1)
    assert let_in == 20
    assert attacker.sign_in("ann").status_code == 429, "the one who guesses waits"


def test_guessing_names_is_slowed_down_by_address(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.accounts.sign_in.password_matches", lambda *_: False)  # argon2 takes its time
    browser = box.browser()
    answers = [browser.sign_in(f"name {n}", "wrong").status_code for n in range(13)]
    assert answers == [400] * 11 + [429] * 2


def guess(browser: Browser, tries: int, headers: dict[str, str] | None = None) -> int:
    """The status of the last of some wrong sign-ins, each with another name."""
    for number in range(tries):
        fields = {"csrf": browser.csrf("/sign-in"), "name": f"name {number}", "password": "wrong"}
        status = browser.client.post("/sign-in", data=fields, headers=headers).status_code
    return status


@pytest.mark.parametrize(
    ("address", "other", "counts_as_the_same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", True),  # one person has all addresses of such a network
        ("2001:db8:0:2::1", "2001:db8:0:3::1", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("no address", "none either", False),
    ],
)
def test_guesses_are_counted_by_who_asks(
    box: Box, monkeypatch: pytest.MonkeyPatch, address: str, other: str, counts_as_the_same: bool
) -> None:
    monkeypatch.setattr("appliance.accounts.sign_in.password_matches", lambda *_: False)
    assert guess(box.browser(address=address), 12) == 429
    assert guess(box.browser(address=other), 1) == (429 if counts_as_the_same else 400)


@pytest.mark.parametrize(
    ("address", "proxies", "counts_as_the_same"),
    [("127.0.0.1", ["127.0.0.1"], False), ("127.0.0.1", [], True), ("192.0.2.1", ["127.0.0.1"], True)],
)
def test_only_a_proxy_that_the_configuration_names_is_believed_who_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, proxies: list[str], counts_as_the_same: bool
) -> None:
    monkeypatch.setattr("appliance.accounts.sign_in.password_matches", lambda *_: False)
    box = Box(tmp_path / "state", web={"proxies": proxies})
    browser = box.browser(address=address)
    assert guess(browser, 22, {"X-Forwarded-For": "203.0.113.9, 198.51.100.1"}) == 429
    assert guess(browser, 1, {"X-Forwarded-For": "203.0.113.8, 198.51.100.1"}) == 429, (
        "only the last one is the proxy's"
    )
    status = guess(browser, 1, {"X-Forwarded-For": "203.0.113.9, 198.51.100.2"})
    assert status == (429 if counts_as_the_same else 400)
    box.close()


def test_a_planted_session_is_worth_nothing_after_signing_in(box: Box) -> None:
    browser = box.browser()
    browser.client.cookies.set("mb9k_session", "planted", domain="box.test")
    browser.sign_in("ann")
    attacker = box.browser()
    attacker.client.cookies.set("mb9k_session", "planted", domain="box.test")
    assert attacker.get("/").is_redirect
    assert browser.client.cookies.get("mb9k_session", domain="box.test") != "planted"


def test_signing_in_again_ends_the_session_before(box: Box) -> None:
    browser = box.browser("sci")
    browser.post("/sign-in", name="ann", password=PASSWORD)
    assert box.store.people.session(digest("session-of-sci")) is None


def test_sessions_end_when_unused_for_long_and_when_old(box: Box) -> None:
    browser = box.browser("ann")
    over = []
    for _ in range(6):
        box.clock.forward(5.9 * 86400)
        over.append(browser.get("/").is_redirect)
    assert over == [False] * 5 + [True], "one that is used goes on, but none outlives 30 days"
    browser = box.browser("sci")
    box.clock.forward(8 * 86400)
    assert browser.get("/").is_redirect
    assert box.store.people.session(digest("session-of-sci")) is None


def test_the_use_of_a_session_is_noted_once_an_hour(box: Box) -> None:
    browser, noted = box.browser("ann"), []
    for _ in range(4):
        session = box.store.people.session(digest("session-of-ann"))
        noted.append(session and session.last_used_utc)
        box.clock.forward(1900)
        browser.get("/")
    assert noted[0] == noted[1] != noted[2] == noted[3], "flash wears"


def without_token(browser: Browser) -> dict[str, str]:
    return {}


def with_a_wrong_token(browser: Browser) -> dict[str, str]:
    return {"csrf": "wrong"}


def with_an_empty_token(browser: Browser) -> dict[str, str]:
    return {"csrf": ""}


@pytest.mark.parametrize("fields", [without_token, with_a_wrong_token, with_an_empty_token])
def test_no_write_without_the_token_of_the_form(box: Box, fields: Callable[[Browser], dict[str, str]]) -> None:
    browser = box.browser("ann")
    for route in box.app.routes:
        if route.method == "GET" or route.rule == "/language":  # which is kept in the browser alone
            continue
        path = re.sub("<[a-z_]+:int>", "1", route.rule.replace("<person_id:int>", "3"))
        before = dump(box)
        answer = browser.client.request(route.method, path, data=fields(browser))
        assert answer.status_code == 403, f"{route.method} {path}"
        assert dump(box) == before, f"{route.method} {path} changed something"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://box.test"},
    ],
)
def test_no_write_from_another_site_even_with_the_token(box: Box, headers: dict[str, str]) -> None:
    browser = box.browser("ann")
    csrf = browser.csrf()
    refused = browser.client.post("/streams/1/deactivate", data={"csrf": csrf}, headers=headers)
    assert refused.status_code == 403
    assert "web.base_url" in refused.text, "what a proxy needs that nobody told the box of"
    own = browser.client.post("/streams/1/deactivate", data={"csrf": csrf}, headers={"Origin": "http://box.test"})
    assert own.is_redirect


def test_a_write_after_the_session_ended_says_so(box: Box) -> None:
    browser = box.browser("ann")
    csrf = browser.csrf()
    box.store.people.end_session(digest("session-of-ann"))
    answer = browser.client.post("/streams", data={"csrf": csrf, "name": "x", "kind": "key"})
    assert answer.status_code == 401 and "nothing was changed" in answer.text


@pytest.mark.parametrize("path", ["/", "/streams", "/health", "/static/app.css", "/api/openapi.json"])
def test_a_page_whose_name_was_led_to_this_box_reads_nothing(box: Box, path: str) -> None:
    answer = box.browser("ann").get(path, headers={"Host": "evil.example:8000"})
    assert answer.status_code == 421 and "web.names" in answer.text
    assert "location" not in answer.headers and "set-cookie" not in answer.headers


def test_a_box_answers_to_the_names_of_its_machine_and_its_own(tmp_path: Path) -> None:
    rtmp = {"public_host": "Rtmp.example.org"}
    web = {"base_url": "http://masks.example.org:81", "names": ["Other.example.org"]}
    box = Box(tmp_path / "names", box="lobby", rtmp=rtmp, web=web)
    machine = socket.gethostname()
    names = [machine, f"{machine}.local", "lobby", "lobby.local", "rtmp.example.org", "other.example.org"]
    for name in (*names, "masks.example.org", "localhost", "10.1.2.3"):
        assert box.browser().get("/health", headers={"Host": f"{name}:8000"}).text == "ok\n", name
    box.close()


def test_no_password_or_session_is_stored_as_it_is(box: Box) -> None:
    browser = box.browser()
    browser.sign_in("ann")
    session = browser.client.cookies["mb9k_session"]
    dump = "\n".join(box.store.db.conn.iterdump())
    assert PASSWORD not in dump and session not in dump


def test_an_unreadable_store_is_a_page_that_says_what_to_do(box: Box, tmp_path: Path) -> None:
    browser = box.browser("ann")
    path = box.config.store_path
    box.close()
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    path.write_bytes(os.urandom(8192))
    answer = browser.get("/")
    assert answer.status_code == 503 and "mb9k check" in answer.text and "Traceback" not in answer.text
    path.unlink()
    shutil.rmtree(path.parent / "images")  # else the store would be missed
    box.store = Store.open(path)


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "Bearer  "])
def test_a_token_is_read_however_its_header_is_written(box: Box, kind: str) -> None:
    browser = box.browser()
    assert browser.get("/api/v1/streams", headers={"Authorization": f"{kind} token of ann"}).is_success
    assert browser.get("/api/v1/streams", headers={"Authorization": "Basic token of ann"}).status_code == 401


def test_a_full_disk_keeps_no_program_from_asking_and_no_old_session_alive(box: Box) -> None:
    browser = box.browser("ann")
    for table, change in (("tokens", "update"), ("sessions", "delete")):
        abort = "begin select raise(abort, 'database or disk is full'); end"
        box.store.db.execute(f"create trigger full_{table} before {change} on {table} {abort}")
    box.clock.forward(8 * 86400)
    assert box.browser().get("/api/v1/streams", headers={"Authorization": "Bearer token of ann"}).is_success
    assert browser.get("/").headers["location"] == "/sign-in"


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("Bearer of nobody", "This token is not known; make one on your account page."),
        ("", "Send `Authorization: Bearer TOKEN`; make one on your account page."),
    ],
)
def test_a_program_that_is_refused_is_told_what_to_send(box: Box, header: str, said: str) -> None:
    refused = box.browser().get("/api/v1/streams", headers={"Authorization": header})
    assert (refused.status_code, refused.json()["error"]) == (401, said)
    assert refused.headers["WWW-Authenticate"] == "Bearer"


def test_whoever_is_no_admin_is_told_to_ask_one(box: Box) -> None:
    assert "Only an admin may do this. Ask one, or go back." in box.browser("eve").get("/people").text


def test_the_use_of_a_token_is_noted(box: Box) -> None:
    box.browser().get("/api/v1/streams", headers={"Authorization": "Bearer token of ann"})
    assert [bool(box.store.people.tokens(person_id)[0].last_used_utc) for person_id in (1, 2)] == [True, False]
