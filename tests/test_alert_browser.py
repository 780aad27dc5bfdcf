"""Alerts as a person meets them: a real `mb9k serve` and Chromium, on a phone in the dark, and without JavaScript."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.alerts.recipients import Way
from appliance.times import now
from tests.alerted import OFFLINE, something_is_wrong
from tests.mail_servers import OWNER, mail_server
from tests.test_browser import Served, at_a_browser, chromium, launched, served

__all__ = ["chromium", "launched", "served"]
pytestmark = pytest.mark.browser


def test_an_admin_is_led_from_an_alert_to_rules_recipients_and_a_test_mail(
    served: Served, chromium: Any, tmp_path: Path
) -> None:
    person = at_a_browser(chromium, width=390, color_scheme="dark")
    person.sign_in(served.address)
    page, store = person.page, served.store
    page.click("nav >> text=Health")
    page.click("main >> text=Alerts")
    page.click("text=Use the recommended rules")
    assert page.inner_text("p.done") == "The recommended rules are in force."
    with store.writing():
        something_is_wrong(store.alerts, now())
    page.goto(f"{served.address}/")
    page.click(f"section:has-text('{OFFLINE}') >> text=Alert")
    page.wait_for_selector("h1:text-is('Alerts')")
    page.click("text=Recipients")
    assert page.is_visible("[name=email]") and not page.is_visible("[name=webhook]")
    page.check("[value=webhook]")
    assert page.is_visible("[name=webhook]") and not page.is_visible("[name=email]")
    with mail_server(tmp_path) as inbox:
        page.click("text=Set one")
        for name, value in (
            ("host", inbox.server.host),
            ("port", str(inbox.server.port)),
            ("sender", inbox.server.sender),
        ):
            page.fill(f"[name={name}]", value)
        page.check("[value=none]")
        page.click("text=Save")
        page.fill("[name=to]", OWNER)
        page.click("text=Send a test >> nth=-1")
        page.wait_for_selector("p.done:has-text('has taken a message')")
        assert inbox.messages[0]["To"] == OWNER
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out of a phone"
    assert person.complaints == []
    _without_javascript_a_rule_is_made_for_a_stream(served, chromium)


def _without_javascript_a_rule_is_made_for_a_stream(served: Served, chromium: Any) -> None:
    person = at_a_browser(chromium, java_script_enabled=False)
    served.store.alerts.recipients.add(Way.MQTT, "Hall display", "mb9k/alerts", "", now().utc)
    person.sign_in(served.address)
    page = person.page
    page.goto(f"{served.address}/streams/1")
    page.click("text=Alert me")
    page.click("text=Rate too low")
    assert page.input_value("[name=subject]") == "stream:1"
    page.fill("[name=percent]", "101")
    page.check("[value=chosen]")
    page.check("text=Hall display")
    page.click("text=Save")
    assert "a whole number from 1 to 100" in page.inner_text("[role=alert]")
    assert page.is_checked("text=Hall display")  # what was typed is still there
    page.fill("[name=percent]", "90")
    page.click("text=Save")
    assert "tells Hall display" in page.inner_text("main")
    rule = served.store.alerts.rules.all()[-1]
    assert rule.words.startswith("Rate under 90 %") and rule.recipient_ids == (2,)
