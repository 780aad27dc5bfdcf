"""In a real browser: a form that is sent after the sign-in has ended comes back, filled in."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.site import PASSWORD
from tests.test_browser import Served, at_a_browser, chromium, launched, served

__all__ = ["chromium", "launched", "served"]
pytestmark = pytest.mark.browser


@pytest.mark.parametrize("has_script", [True, False])
def test_what_a_person_typed_comes_back_after_signing_in(served: Served, chromium: Any, has_script: bool) -> None:
    person = at_a_browser(chromium, width=390, java_script_enabled=has_script)
    person.sign_in(served.address)
    page = person.page
    page.goto(f"{served.address}/streams/new")
    page.fill("[name=name]", "back door")
    page.check("[name=kind][value=source]")
    page.fill("[name=source]", "rtsp://camera.example/1")
    page.fill("[name=source_password]", "never to be kept")
    with served.store.writing():
        served.store.db.execute("delete from sessions")
    page.click("main button.main")
    page.wait_for_url(re.compile(r"/sign-in\?next="))
    assert "nothing was changed" in page.inner_text("main .notice")
    page.fill("[name=name]", "ann")
    page.fill("[name=password]", PASSWORD)
    page.click("main button")
    page.wait_for_url(re.compile(r"/streams/new\?unsent="))
    assert "look it over and send it again" in page.inner_text("main .notice")
    assert page.input_value("[name=name]") == "back door" and page.is_checked("[name=kind][value=source]")
    assert page.input_value("[name=source]") == "rtsp://camera.example/1"
    assert page.input_value("[name=source_password]") == ""
    assert page.evaluate("document.documentElement.scrollWidth") <= 390 if has_script else True
    page.click("main button.main")
    page.wait_for_url(f"{served.address}/streams/2")
    assert person.complaints == []
