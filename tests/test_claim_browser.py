"""The claim page as the QR code on a box's screen opens it: a real site, a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.screen.seen import Seen
from appliance.store import Store
from tests.test_browser import Served, at_a_browser, chromium, launched

__all__ = ["chromium", "launched"]
pytestmark = pytest.mark.browser


@pytest.fixture
def served(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Served]:
    port = free_port()
    (tmp_path / "mb9k.toml").write_text(f'state_dir = "{tmp_path}"\n[web]\nhost = "127.0.0.1"\nport = {port}\n')
    store = Store.open(tmp_path / "mb9k.db")
    made = Served(tmp_path, port, store)
    made.start()
    yield made
    made.stop()
    store.close()


def test_the_code_of_the_screen_is_filled_in_and_is_sent_to_nobody_before(served: Served, chromium: Any) -> None:
    person = at_a_browser(chromium)
    page, asked = person.page, []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{served.address}/claim")
    code = (served.folder / "claim-code").read_text().strip()
    assert page.input_value("input[name=code]") == ""

    seen = Seen("lobby", ("127.0.0.1",), https=False, port=served.port, claim_code=code)
    page.goto("about:blank")
    page.goto(seen.claim_address())
    assert page.input_value("input[name=code]") == code
    assert page.url == f"{served.address}/claim", "nor does it stay in the address"
    assert page.evaluate("document.activeElement.name") == "name"
    page.fill("input[name=name]", "ann")
    page.fill("input[name=password]", "a long enough password")
    page.fill("input[name=again]", "a long enough password")
    page.click("button.main")
    page.wait_for_url(f"{served.address}/")
    assert not [url for url in asked if code in re.sub("#.*", "", url)]
    assert served.store.people.count() == 1 and person.complaints == []


@pytest.mark.parametrize("fragment", ["#main", "#<img src=x>", "#%", "#" + "A" * 60])
def test_what_is_no_code_is_not_filled_in(served: Served, chromium: Any, fragment: str) -> None:
    person = at_a_browser(chromium)
    person.page.goto(f"{served.address}/claim{fragment}")
    assert person.page.input_value("input[name=code]") == "" and person.complaints == []
