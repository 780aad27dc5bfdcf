"""The page Health as a person meets it: a real `mb9k serve` and Chromium; and what a Prometheus server then reads."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from appliance.faces import Health, Work
from appliance.times import now
from tests.metrics import complaints, value
from tests.test_browser import Served, at_a_browser, chromium, launched, served, until

__all__ = ["chromium", "launched", "served"]
pytestmark = pytest.mark.browser


def test_an_admin_sees_how_the_box_is_and_lets_a_prometheus_server_see_it(served: Served, chromium: Any) -> None:
    person = at_a_browser(chromium, width=390, color_scheme="dark")
    person.sign_in(served.address)
    page, store = person.page, served.store
    store.services.heartbeat("watch", 1, now().utc, None, now())
    store.streams.set_live(1, None, now().utc)
    store.streams.set_health(1, Health(delay_s=0.4), Work(frames_judged=4321))
    page.click("nav >> text=Health")
    page.wait_for_selector("h1:has-text('Health')")
    assert "4\u202f321" in page.inner_text("#streams") and "0.4 s" in page.inner_text("#streams")
    until(page, lambda: "The watcher is not running" in page.inner_text("main"))  # by itself, when it is gone
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out of a phone"
    page.click("text=Make a metrics token")
    token = page.inner_text("#token")
    told = httpx.get(f"{served.address}/metrics", headers={"Authorization": f"Bearer {token}"})
    assert value(told.text, "mb9k_service_up", service="serve") == 1 and not [*complaints(told.text)]
    page.click("text=End the token")
    page.wait_for_selector("text=Make a metrics token")
    assert httpx.get(told.url, headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert person.complaints == []
