"""A form that was not accepted points at the field that is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from appliance.errors import InputError, NameTaken, about
from appliance.web.wrong_field import pointed
from tests.site import PASSWORD, Box
from tests.test_browser import at_a_browser, chromium, launched
from tests.test_web import serving

__all__ = ["chromium", "launched"]
FORM = (
    '<input name="q" autofocus><details><summary>More</summary><form method="post" action="/a">'
    '<input type="hidden" name="name" value="1"><label>Name <input name="name" value=" autofocus " autofocus></label>'
    '<textarea name="text" aria-describedby="hint"></textarea></form></details>'
)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """One for all: nothing that is sent to it is accepted."""
    made = Box(tmp_path_factory.mktemp("box"))
    yield made
    made.close()


def test_the_field_is_marked_described_and_has_the_only_focus() -> None:
    page = pointed(FORM, "/a", ["text"])
    assert '<textarea name="text" aria-invalid="true" aria-describedby="problem hint" autofocus>' in page
    assert re.findall(r"\sautofocus>", page) == [" autofocus>"] and "<details open>" in page
    assert 'value=" autofocus "' in page, "what was typed stays"


def test_of_several_names_the_first_that_the_form_has_is_meant_and_hidden_ones_are_not() -> None:
    page = pointed(FORM, "/a", ["title", "name"])
    assert 'name="name" value=" autofocus " aria-invalid="true"' in page
    assert pointed(FORM, "/a", ["title", ""]) == FORM == pointed(FORM, "/b", ["name"])


def test_who_says_first_what_it_is_about_is_right() -> None:
    @about("outer")
    def refuse(error: InputError) -> None:
        with about("inner"):
            raise error

    for error, fields in ((InputError("No."), ("inner",)), (NameTaken("Taken."), ("name", "title"))):
        with pytest.raises(InputError) as refused:
            refuse(error)
        assert refused.value.fields == fields


NEW = {"password": "four words of mine", "again": "four words of mine"}
FORMS: list[tuple[str, dict[str, str], str]] = [
    ("/streams", {"kind": "key", "name": "", "owner": "1"}, "name"),
    ("/streams", {"kind": "source", "name": "yard", "source": "gopher://x", "owner": "1"}, "source"),
    ("/streams/1/edit", {"name": "x" * 41, "owner": "1"}, "name"),
    (
        "/account/password",
        {"current": "wrong", **NEW},
        "current",
    ),
    ("/account/password", {"current": PASSWORD, "password": "four words", "again": "of mine"}, "again"),
    ("/account/password", {"current": PASSWORD, "password": "abc", "again": "abc"}, "password"),
    ("/account/tokens", {"name": " ", "days": "30"}, "name"),
    (
        "/people",
        {"name": "a:b", "role": "admin", **NEW},
        "name",
    ),
    (
        "/people",
        {"name": "new", "role": "king", **NEW},
        "role",
    ),
    ("/fleet", {"code": "nonsense"}, "code"),
    ("/alerts/recipients", {"kind": "webhook", "name": "hook", "webhook": "nowhere", "secret": ""}, "webhook"),
    ("/streams/1/edit", {"name": "door", "owner": "1", "images_days": "0"}, "images_days"),
    ("/fleet/broker", {"host": "mqtt://x", "port": "1883", "topic": "mb9k"}, "host"),
    ("/alerts/mail", {"host": "mail.example.org", "port": "0", "security": "tls", "sender": "a@example.org"}, "port"),
    ("/alerts/quiet", {"from": "22:00", "until": "22:00"}, "from"),
    ("/alerts/recipients", {"kind": "email", "name": "office", "email": "nobody"}, "email"),
    ("/alerts/recipients", {"kind": "mqtt", "name": "office", "mqtt": ""}, "mqtt"),
    ("/alerts/recipients", {"kind": "webhook", "name": "a", "webhook": "http://a.example", "secret": "x"}, "secret"),
    ("/streams/1/edit", {"name": "door", "owner": "1", "images_days": "a week"}, "images_days"),
    ("/streams/1/edit", {"name": "door", "owner": "1", "detections_days": "1.5"}, "detections_days"),
    ("/streams/1/edit", {"name": "door", "owner": "77"}, "owner"),
    ("/account/tokens", {"name": "report", "days": "1"}, "days"),
    ("/alerts/mail", {"host": "mail.example.org", "port": "smtp", "security": "tls"}, "port"),
    ("/alerts/quiet", {"from": "ten", "until": "07:00"}, "from"),
    ("/alerts/quiet", {"from": "22:00", "until": "seven"}, "until"),
    ("/reports", {"kind": "week", "clock": "seven", "recipients": "a@example.org"}, "clock"),
    ("/reports", {"kind": "week", "clock": "07:00", "recipients": " "}, "recipients"),
    ("/reports", {"kind": "week", "clock": "07:00", "recipients": "a@example.org", "about": "some"}, "subject"),
]


@pytest.mark.parametrize(("path", "typed", "field"), FORMS)
def test_each_form_points_at_what_is_wrong(box: Box, path: str, typed: dict[str, str], field: str) -> None:
    answer = box.browser("ann").client.post(path, data={"csrf": "csrf-ann", **typed})
    assert answer.status_code == 400
    wrong = re.findall(r'<[a-z]+\b[^>]*aria-invalid="true"[^>]*>', answer.text)
    assert len(wrong) == 1 and f'name="{field}"' in wrong[0] and wrong[0].endswith("autofocus>")
    assert answer.text.count('id="problem"') == 1 and len(re.findall(r"\sautofocus[\s>]", answer.text)) == 1


def test_who_signs_in_with_a_wrong_password_is_at_the_password_again(box: Box) -> None:
    page = box.browser().sign_in("ann", "wrong").text
    assert re.search(r'name="password"[^>]* aria-invalid="true"', page)


@pytest.mark.browser
def test_the_field_has_the_focus_without_a_script(box: Box, free_port: Callable[[], int], chromium: Any) -> None:
    with serving(box.app, free_port()) as port:
        address = f"http://127.0.0.1:{port}"
        page = at_a_browser(chromium, java_script_enabled=False).page
        box.browser("ann")
        page.context.add_cookies([{"name": "mb9k_session", "value": "session-of-ann", "url": address}])
        page.goto(f"{address}/streams/new")
        page.fill("[name=name]", "door")
        page.check("[value=source]")
        page.fill("[name=source]", "gopher://x")
        page.click("main button.main")
        focused = page.locator(":focus")
        assert focused.get_attribute("name") == "source"
        assert "must start with rtsp://" in page.locator(f"#{focused.get_attribute('aria-describedby')}").inner_text()
