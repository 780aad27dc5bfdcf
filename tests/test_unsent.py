"""A form that is sent after its sign-in has ended comes back to its person, filled in, and to nobody else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from appliance.accounts.unsent import marked_token
from appliance.secrets import digest
from appliance.times import Now
from appliance.web.refill import refilled
from appliance.web.unsent import FORM_CHARACTERS, KEPT_S, OF_ALL, OF_ONE_PERSON, SECRET_FIELDS, Unsent, UnsentForms
from tests.conftest import REPOSITORY
from tests.fleets import Fleet
from tests.site import PASSWORD, Box, Browser, dump
from tests.test_accessibility import pages
from tests.test_central_site_roles import DECLARED as DECLARED_BY_A_CENTRE
from tests.test_roles import DECLARED

NEW = "/streams/new"
TYPED = {
    "name": 'back "door" & <yard>',
    "owner": "2",
    "kind": "source",
    "source": "rtsp://camera/1",
    "watch": "",
    "source_user": "viewer",
    "source_password": "never to be kept",
    "images": "no_images",
    "images_days": "3",
    "detections_days": "400",
}
NOW = Now(utc=1_795_521_600.0, boot_id="boot-1", uptime_s=1000.0)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "state")
    yield made
    made.close()


def signed_in(box: Box, name: str = "ann") -> Browser:
    browser = box.browser()
    assert browser.sign_in(name).is_redirect
    return browser


def post(browser: Browser, csrf: str, path: str = "/streams", page: str = NEW, **fields: str) -> httpx.Response:
    headers = {"Referer": f"http://box.test{page}", "Origin": "http://box.test"}
    return browser.client.post(path, data={"csrf": csrf, **(fields or TYPED)}, headers=headers)


def back(browser: Browser, refused: httpx.Response, name: str = "ann", root: str = "") -> str:
    """Sign in where the answer leads; the path of the page that one comes to."""
    then = parse_qs(urlsplit(refused.headers["location"]).query)["next"][0]
    page = f"{root}/sign-in"
    return str(browser.post(page, page=page, name=name, password=PASSWORD, next=then).headers["location"])


class Controls(HTMLParser):
    """What a browser would send of a form as it stands, without secrets; `filled`: what somebody else would type."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.action, self.is_upload = "", False
        self.sent: list[tuple[str, str]] = []
        self.filled: list[tuple[str, str]] = []
        self._select = ""
        self._options: list[tuple[str, bool]] = []
        self._textarea: tuple[str, str] | None = None
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        name, kind, value = known.get("name", ""), known.get("type", "text"), known.get("value", "")
        if tag == "form":
            self.action, self.is_upload = known["action"].partition("?")[0], "enctype" in known
        elif tag == "select":
            self._select, self._options = name, []
        elif tag == "option":
            self._options.append((known["value"], "selected" in known))
        elif tag == "textarea":
            self._textarea = name, ""
        elif tag == "input" and name and name != "csrf" and kind not in ("password", "file"):
            if kind in ("checkbox", "radio"):
                self.sent += [(name, value)] * ("checked" in known)
                self.filled = [each for each in self.filled if kind == "checkbox" or each[0] != name]
                self.filled.append((name, value))
            else:
                self.sent.append((name, value))
                self.filled.append((name, value if kind == "hidden" else f'<{name}> & "{len(self.filled)}"'))

    def handle_data(self, data: str) -> None:
        if self._textarea:
            self._textarea = self._textarea[0], self._textarea[1] + data

    def handle_endtag(self, tag: str) -> None:
        if tag == "select" and self._options:
            chosen = [value for value, is_selected in self._options if is_selected] or [self._options[0][0]]
            self.sent.append((self._select, chosen[-1]))
            self.filled.append((self._select, self._options[-1][0]))
        elif tag == "textarea" and self._textarea:
            self.sent.append((self._textarea[0], self._textarea[1].removeprefix("\n")))
            self.filled.append((self._textarea[0], "\nfirst & </textarea>\n second"))
            self._textarea = None


def forms_of(page: str) -> list[Controls]:
    return [Controls(form) for form in re.findall(r'(?s)<form\b[^>]*method="post".*?</form>', page)]


def form_at(page: str, action: str) -> dict[str, str]:
    return dict(next(form for form in forms_of(page) if form.action == action).sent)


def unused_for_a_week(box: Box) -> None:
    box.clock.forward(8 * 86400)


def signed_out(box: Box) -> None:
    for row in list(box.store.db.query("select token_sha256 from sessions")):
        box.store.people.end_session(row["token_sha256"])


def given_another_password(box: Box) -> None:
    person = box.store.people.named("ann")
    assert person
    box.store.people.set_password(person.id, person.password_hash)


@pytest.mark.parametrize("ends", [unused_for_a_week, signed_out, given_another_password])
def test_a_form_comes_back_after_signing_in_and_is_done_when_it_is_sent_again(
    box: Box, ends: Callable[[Box], None]
) -> None:
    browser = signed_in(box)
    csrf = browser.csrf(NEW)
    ends(box)
    before = dump(box)
    refused = post(browser, csrf)
    assert refused.status_code == 303
    sign_in_page = browser.get(refused.headers["location"]).text
    assert "nothing was changed" in sign_in_page and "yard" not in sign_in_page
    assert [line for line in dump(box).splitlines() if "sessions" not in line] == [
        line for line in before.splitlines() if "sessions" not in line
    ]
    place = back(browser, refused)
    assert place.startswith(f"{NEW}?unsent=")
    page = browser.get(place).text
    typed = {name: value for name, value in TYPED.items() if name != "source_password"}
    assert form_at(page, "/streams") == typed
    assert "Passwords and secrets have to be typed again" in page and TYPED["source_password"] not in page
    assert [stream.name for stream in box.store.streams.all(box.clock.now)] == ["door", "lab"], "nothing is done yet"
    sent = post(browser, browser.csrf(place), **{**typed, "name": "yard", "source_password": "another"})
    assert sent.is_redirect and len(box.store.streams.all(box.clock.now)) == 3
    assert form_at(browser.get(place).text, "/streams")["name"] == "", "it was sent, so it comes back no more"


def test_another_person_who_signs_in_there_does_not_get_it(box: Box) -> None:
    browser = signed_in(box)
    csrf = browser.csrf(NEW)
    signed_out(box)
    refused = post(browser, csrf)
    place = back(browser, refused, "sci")
    assert form_at(browser.get(place).text, "/streams")["name"] == ""
    listed = browser.get(f"/unsent?{urlsplit(place).query}")
    assert listed.headers["location"] == "/" and "yard" not in listed.text
    assert form_at(signed_in(box).get(place).text, "/streams")["name"] == TYPED["name"]


def test_a_form_from_a_sign_in_before_comes_back_at_once(box: Box) -> None:
    browser = signed_in(box)
    csrf = browser.csrf(NEW)
    browser.post("/sign-in", name="ann", password=PASSWORD)
    answer = post(browser, csrf)
    assert answer.headers["location"].startswith(f"{NEW}?unsent=")
    assert form_at(browser.get(answer.headers["location"]).text, "/streams")["name"] == TYPED["name"]
    assert len(box.store.streams.all(box.clock.now)) == 2
    browser.post("/sign-in", name="sci", password=PASSWORD)
    assert post(browser, csrf).status_code == 403, "it was another's"


def test_nothing_is_kept_of_what_another_site_sends_or_an_invented_cookie(box: Box) -> None:
    browser = signed_in(box)
    csrf = browser.csrf(NEW)
    signed_out(box)
    foreign = browser.client.post("/streams", data={"csrf": csrf, **TYPED}, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 401
    assert post(browser, csrf[:-1] + ("0" if csrf[-1] != "0" else "1")).status_code == 401
    stranger = box.browser()
    stranger.client.cookies.set("mb9k_device", "invented", domain="box.test")
    assert post(stranger, marked_token("invented", 1)).status_code == 401
    stranger = box.browser()
    assert post(stranger, csrf).status_code == 401, "another browser's"


def test_what_is_too_long_or_brings_a_file_is_not_kept(box: Box) -> None:
    browser = signed_in(box)
    csrf = browser.csrf(NEW)
    signed_out(box)
    answer = post(browser, csrf, name="x" * (FORM_CHARACTERS + 1))
    assert answer.status_code == 401 and "nothing was changed" in answer.text
    upload = browser.client.post("/settings/certificate/own", data={"csrf": csrf}, files={"key_file": b"key"})
    assert upload.status_code == 401


@pytest.mark.parametrize(
    "referer", ["https://evil.example//evil.example/x", "http://[", "/api/v1/streams", "/none", ""]
)
def test_where_the_form_stood_leads_to_no_other_site(box: Box, referer: str) -> None:
    browser = signed_in(box)
    csrf = browser.csrf(NEW)
    signed_out(box)
    refused = browser.client.post("/streams", data={"csrf": csrf, **TYPED}, headers={"Referer": referer})
    place = back(browser, refused)
    assert place.startswith("/unsent?unsent=")
    page = browser.get(place).text
    assert "rtsp://camera/1" in page and TYPED["source_password"] not in page


def test_what_has_no_form_any_more_is_there_to_be_copied(box: Box) -> None:
    browser = signed_in(box)
    csrf = browser.csrf(NEW)
    signed_out(box)
    place = back(browser, post(browser, csrf, page="/account"))
    assert place.startswith("/account?unsent=")
    leads = browser.get(place).headers["location"]
    assert leads.startswith("/unsent?unsent=") and "rtsp://camera/1" in browser.get(leads).text


def test_zones_come_back_with_the_version_that_was_seen(box: Box) -> None:
    browser = signed_in(box)
    page = "/streams/1/zones"
    csrf = browser.csrf(page)
    signed_out(box)
    headers = {"Referer": f"http://box.test{page}"}
    rows = {"kind": ["count", "never"], "name": ["", "poster"], "points": ["", "10,10 60,10 60,60"], "seen": ["before"]}
    refused = browser.client.post(page, data={"csrf": csrf, **rows}, headers=headers)
    shown = browser.get(back(browser, refused)).text
    form = form_at(shown, page)
    assert form["seen"] == "before" and 'value="poster"' in shown and "10,10 60,10 60,60" in shown
    assert "data-unsaved" in shown and "Nothing was changed" in shown


def test_at_a_centre_and_below_a_path_a_form_comes_back_too(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "state", str(tmp_path / "central.db"), web={"base_url": "http://box.test/north"})
    browser, root = fleet.browser(), "/north"
    csrf = browser.csrf(f"{root}/sign-in")
    browser.client.post(f"{root}/sign-in", data={"csrf": csrf, "name": "ann", "password": PASSWORD})
    csrf = browser.csrf(f"{root}/sites")
    for row in list(fleet.db.query("select token_sha256 from sessions")):
        fleet.store.people.end_session(row["token_sha256"])
    typed = {"name": "west", "group": "hills", "latitude": "47.5", "longitude": "wrong"}
    refused = post(browser, csrf, f"{root}/sites", f"{root}/sites", **typed)
    assert refused.headers["location"].startswith("/north/sign-in?next=/sites%3Funsent")
    place = back(browser, refused, root=root)
    assert place.startswith("/north/sites?unsent=")
    assert form_at(browser.get(place).text, "/north/sites") == typed
    fleet.close()


def comes_back(page: str) -> list[str]:
    """The forms of a page, after each was filled in, kept, and filled in again; those of which something was lost."""
    lost = []
    for form in forms_of(page):
        if form.is_upload or form.action == "/sign-out":
            continue
        unsent = UnsentForms().keep(1, form.action, [*form.filled, ("current", "secret")], NOW)
        assert unsent
        again = refilled(page, unsent, form.action)
        kept = [each for each in form.filled if each[0] not in SECRET_FIELDS]
        after = [
            each
            for each in forms_of(again or "")
            if each.action == form.action and [sent for sent in each.sent if sent[0] not in SECRET_FIELDS] == kept
        ]
        if not again or not after or "no place any more" in again:
            lost.append(f"{form.action}: {form.filled}")
    return lost


def test_every_form_of_every_page_comes_back_as_it_was_filled_in(box: Box, tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "fleet", str(tmp_path / "central.db"))
    for browser, declared in ((box.browser("ann"), DECLARED), (fleet.browser("ann"), DECLARED_BY_A_CENTRE)):
        found = {path: browser.get(path).text for path in pages(declared, browser.client)}
        assert sum(len(forms_of(page)) for page in found.values()) > 20
        for path, page in found.items():
            assert comes_back(page) == [], path
    fleet.close()


def test_no_form_whose_hidden_fields_say_something_else_is_filled_in() -> None:
    identify = '<form method="post" action="/do"><input type="hidden" name="action" value="identify"></form>'
    assert refilled(identify, Unsent("", 1, "/do", (("action", "restart"),), False, 0), "/do") is None
    restart = identify.replace("identify", "restart")
    found = refilled(identify + restart, Unsent("", 1, "/do", (("action", "restart"),), False, 0), "/do")
    assert found and found.index("Nothing was changed") > found.index("identify")


def test_what_has_no_place_in_its_form_is_named() -> None:
    form = '<form method="post" action="/do"><select name="site"><option value="1">one</option></select></form>'
    found = refilled(form, Unsent("", 1, "/do", (("site", "<2>"),), False, 0), "/do")
    assert found and "no place any more for site: <strong>&lt;2&gt;</strong>" in found and "selected" not in found


def test_no_field_that_a_view_hides_is_kept() -> None:
    views = "".join(path.read_text() for path in (REPOSITORY / "appliance").rglob("views/*.html"))
    hidden = {name for tag in re.findall(r"<input[^>]*>", views) if 'type="password"' in tag
              for name in re.findall(r' name="(\w+)"', tag)}  # fmt: skip
    assert {"password", "current", "secret"} <= hidden <= {*SECRET_FIELDS, "again"}
    sent = [
        ("csrf", "t"),
        ("password", "p"),
        ("again", "p"),
        ("source", "rtsp://viewer:pass@camera/1"),
        ("name", "door"),
    ]
    kept = UnsentForms().keep(1, "/streams", sent, NOW)
    assert kept and kept.fields == (("name", "door"),) and kept.has_secrets


def test_few_are_kept_for_an_hour() -> None:
    forms = UnsentForms()
    other = forms.keep(2, "/streams", [("name", "other")], NOW)
    mine = [forms.keep(1, "/streams", [("name", str(number))], NOW) for number in range(OF_ONE_PERSON + 1)]
    assert [bool(each and forms.of(each.id, 1, NOW)) for each in mine] == [False] + [True] * OF_ONE_PERSON
    assert other and forms.of(other.id, 2, NOW) and not forms.of(other.id, 1, NOW)
    later = Now(NOW.utc + KEPT_S, NOW.boot_id, NOW.uptime_s + KEPT_S)
    assert not forms.of(other.id, 2, later)
    for person_id in range(OF_ALL):
        forms.keep(person_id + 10, "/streams", [], NOW)
    assert not forms.holds(other.id, NOW)


def test_signing_in_makes_a_token_of_the_person_and_no_two_alike(box: Box) -> None:
    browser = signed_in(box)
    first = browser.csrf()
    session = box.store.people.session(digest(browser.client.cookies["mb9k_session"]))
    assert session and session.csrf_token == first and ".1." in first
    browser.post("/sign-in", name="ann", password=PASSWORD)
    assert browser.csrf() not in ("", first)
