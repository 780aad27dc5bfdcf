"""What a form did is said on the next page, once, and to nobody but who sent it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.web.told import KEPT_S, OF_ALL, Happened, Told
from tests.conftest import REPOSITORY
from tests.fleets import Fleet
from tests.site import Box

SAYS_ITSELF = {
    "sign_in.claim", "account.make_token", "metrics.make_token", "monitoring.make_token",
    "joins.add", "streams.delete", "streams.delete_images", "reviewing.delete", "reviewing.mark_thing",
    "mail_forms.try_mail_server", "recipient_forms.test",
    "people.remove", "privacy.keep_statistics_only", "calibration.label", "calibration.undo", "zones.save",
    "languages.choose",
}  # fmt: skip
"""Forms that lead to a page that is about nothing but what they did: a receipt, a key, the next face."""
DONE = Happened("Done.")


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path)
    yield made
    made.close()


def told(page: str) -> list[str]:
    return re.findall(r'<div class="wrap happened"><p class="done" role="status">(.*?)</p>', page)


def test_a_renamed_stream_is_told_once_and_to_its_own_person_only(box: Box) -> None:
    ann, eve = box.browser("ann"), box.browser("eve")
    answer = ann.post("/streams/1/edit", name="<Door> 2", owner="1")
    assert answer.headers["location"] == "/streams/1"
    assert told(eve.get("/streams").text) == []
    shown = told(ann.get("/streams/1").text)
    assert shown == ["The stream door was renamed: it is &lt;Door&gt; 2 now."]
    assert told(ann.get("/streams/1").text) == []


def test_what_a_script_fetches_does_not_use_the_sentence_up(box: Box) -> None:
    ann = box.browser("ann")
    ann.post("/streams/1/deactivate")
    polled = ann.client.get("/streams/1", headers={"X-By-Script": "1"})
    assert told(polled.text) == []
    assert told(ann.get("/streams/1").text) == ["The stream door was deactivated."]


def test_whoever_signs_out_is_told_so_once_in_that_browser_only(box: Box) -> None:
    ann, other = box.browser("ann"), box.browser()
    ann.client.headers["Accept-Language"] = "de"
    other.get("/sign-in")
    assert ann.post("/sign-out").headers["location"] == "/sign-in"
    assert told(other.get("/sign-in").text) == []
    assert told(ann.get("/sign-in").text) == ["Sie sind abgemeldet."]
    assert told(ann.get("/sign-in").text) == []


def test_a_form_that_was_refused_says_nothing_was_done(box: Box) -> None:
    ann = box.browser("ann")
    assert told(ann.post("/streams/1/edit", name="", owner="1").text) == []
    assert told(ann.get("/streams/1").text) == []


def test_a_centre_says_it_too(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, str(tmp_path / "central.db"))
    ann = fleet.browser("ann")
    assert ann.post("/sites", page="/sites", name="Harbour").headers["location"] == "/sites"
    assert told(ann.get("/sites").text) == ["The site Harbour was added."]
    fleet.close()


def test_what_nobody_came_to_read_is_forgotten() -> None:
    clock = [0.0]
    kept = Told(lambda: clock[0])
    kept.keep("a", DONE)
    clock[0] = KEPT_S + 1
    assert kept.take("a") is None
    for number in range(OF_ALL + 1):
        kept.keep(str(number), DONE)
    assert kept.take("0") is None and kept.take("1") == DONE


def silent_forms(path: Path) -> Iterator[str]:
    """The handlers of forms in a module that lead on without a word."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef) or not any(
            ".post(" in ast.unparse(each) for each in node.decorator_list
        ):
            continue
        leads = [
            ast.unparse(call)
            for call in ast.walk(node)
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "see_other"
        ]
        if leads and not all("?done=" in lead for lead in leads):
            yield f"{path.stem}.{node.name}"


def test_every_form_that_leads_on_says_what_it_did() -> None:
    modules = (REPOSITORY / "appliance").rglob("*.py")
    assert {name for module in modules for name in silent_forms(module)} - SAYS_ITSELF == set()
