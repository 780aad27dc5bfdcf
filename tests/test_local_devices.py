"""Known devices: a browser in which a person signed in before lets them in while others guess."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.secrets import digest, password_matches
from tests.site import Box


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "state")
    yield made
    made.close()


def test_whoever_signed_in_before_is_let_in_from_the_very_address_of_an_attacker(box: Box) -> None:
    owner, attacker = box.browser(), box.browser()
    assert owner.sign_in("ann").status_code == 303
    owner.post("/sign-out")
    answers = [attacker.sign_in("ann", "wrong").status_code for _ in range(13)]
    assert answers == [400] * 11 + [429] * 2
    assert box.browser().sign_in("ann").status_code == 429
    assert owner.sign_in("ann").status_code == 303


def test_a_known_browser_guesses_no_faster_and_is_known_for_its_person_only(box: Box) -> None:
    browser = box.browser()
    browser.sign_in("sci")
    browser.post("/sign-out")
    answers = [browser.sign_in("sci", "wrong").status_code for _ in range(13)]
    assert answers == [400] * 11 + [429] * 2
    assert box.browser().sign_in("sci").status_code == 303, "others are not held up by it"
    answers = [browser.sign_in("ann", "wrong").status_code for _ in range(13)]
    assert answers == [400] * 11 + [429] * 2
    assert browser.sign_in("ann").status_code == 429, "for her it is a stranger"


def test_a_crowd_of_strangers_holds_six_threads_at_most_and_keeps_out_no_known_device(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = box.browser()
    owner.sign_in("ann")
    owner.post("/sign-out")
    go_on, statuses = threading.Event(), []

    def slow(password: str, password_hash: str | None) -> bool:
        go_on.wait(60)
        return password_matches(password, password_hash)

    monkeypatch.setattr("appliance.accounts.sign_in.password_matches", slow)
    crowd = [box.browser(address=f"203.0.113.{n}") for n in range(10)]
    threads = [threading.Thread(target=lambda b=each: statuses.append(b.sign_in("ann", "wrong"))) for each in crowd]
    for thread in threads:
        thread.start()
    while len(statuses) < 4:
        time.sleep(0.01)
    assert all(each.status_code == 503 and "Try again in a moment." in each.text for each in statuses)
    let_in = threading.Thread(target=lambda: statuses.append(owner.sign_in("ann")))
    let_in.start()
    go_on.set()
    for thread in (*threads, let_in):
        thread.join()
    assert sorted(each.status_code for each in statuses) == [303] + [400] * 6 + [503] * 4


def test_the_id_of_a_browser_outlives_sessions_and_is_stored_as_its_digest(box: Box) -> None:
    browser = box.browser()
    answer = browser.sign_in("ann")
    cookie = next(each for each in answer.headers.get_list("set-cookie") if each.startswith("mb9k_device="))
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Max-Age=15552000" in cookie
    device = browser.client.cookies["mb9k_device"]
    assert len(device) == 43 and device not in "\n".join(box.store.db.conn.iterdump())
    browser.post("/sign-out")
    browser.sign_in("sci")
    assert browser.client.cookies["mb9k_device"] == device, "one browser, two people"
    assert box.store.people.knows_device(digest(device), box.clock.now.utc, 1)
    assert box.store.people.knows_device(digest(device), box.clock.now.utc, 2)


def test_an_id_that_somebody_planted_in_a_browser_is_not_taken_on(box: Box) -> None:
    browser = box.browser()
    browser.client.cookies.set("mb9k_device", "planted", domain="box.test")
    browser.sign_in("ann")
    assert not box.store.people.knows_device(digest("planted"), box.clock.now.utc)


def test_a_browser_that_cannot_be_remembered_keeps_nobody_out(box: Box) -> None:
    abort = "begin select raise(abort, 'database or disk is full'); end"
    box.store.db.execute(f"create trigger full_devices before insert on devices {abort}")
    browser = box.browser()
    assert browser.sign_in("ann").status_code == 303
    assert browser.get("/").is_success and "mb9k_device" not in browser.client.cookies
