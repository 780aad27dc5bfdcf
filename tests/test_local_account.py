"""A person's own page, and what an admin does with others' passwords and tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from appliance.times import utc_text
from appliance.web.shown import SHOWN_S
from tests.signers import Signer, pem
from tests.site import PASSWORD, Box


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "state")
    yield made
    made.close()


def test_a_new_password_ends_the_other_sessions_only(box: Box) -> None:
    here, there = box.browser("sci"), box.browser()
    there.sign_in("sci")
    wrong = here.post("/account/password", current="wrong", password="another one", again="another one")
    assert wrong.status_code == 400 and not there.get("/").is_redirect
    assert here.post("/account/password", current=PASSWORD, password="short", again="short").status_code == 400
    assert here.post("/account/password", current=PASSWORD, password="another one", again="differs").status_code == 400
    assert here.follow("/account/password", current=PASSWORD, password="another one", again="another one").is_success
    assert here.get("/").is_success
    assert there.get("/").is_redirect
    assert box.browser().sign_in("sci").status_code == 400
    assert box.browser().sign_in("sci", "another one").status_code == 303


def test_a_token_is_shown_once_works_and_can_be_revoked_by_its_owner_only(box: Box) -> None:
    browser = box.browser("sci")
    page = browser.follow("/account/tokens", name="report <b>").text
    token = page.split('id="token"')[1].split(">")[1].split("<")[0]
    assert token not in browser.get("/account").text and "report &lt;b&gt;" in page
    bearer = {"Authorization": f"Bearer {token}"}
    assert box.browser().get("/images/unguessable", headers=bearer).is_success
    token_id = box.store.people.tokens(2)[0].id
    assert box.browser("eve").post(f"/account/tokens/{token_id}/revoke").status_code == 404
    assert box.browser().get("/images/unguessable", headers=bearer).is_success
    browser.post(f"/account/tokens/{token_id}/revoke")
    assert box.browser().get("/images/unguessable", headers=bearer).status_code == 401


def test_a_token_does_not_open_the_pages(box: Box) -> None:
    assert box.browser().get("/account", headers={"Authorization": "Bearer token of ann"}).status_code in (303, 401)


def said(answer: httpx.Response) -> str:
    """What the JSON API said was wrong."""
    return str(answer.json()["error"])


def test_a_token_lasts_as_long_as_was_chosen_and_then_says_so(box: Box, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    browser, made_utc = box.browser("sci"), box.clock.now.utc
    browser.follow("/account/tokens", name="by default")
    page = browser.follow("/account/tokens", name="a month", days="30").text
    month, default, _ = box.store.people.tokens(2)
    assert (default.expires_utc, month.expires_utc) == (
        utc_text(made_utc + 90 * 86400),
        utc_text(made_utc + 30 * 86400),
    )
    bearer = {"Authorization": "Bearer " + page.split('id="token"')[1].split(">")[1].split("<")[0]}
    assert box.browser().get("/api/v1/streams", headers=bearer).is_success
    box.clock.forward(30 * 86400)
    for _ in range(3):
        refused = box.browser().get("/api/v1/streams", headers=bearer)
        assert refused.status_code == 401 and refused.headers["WWW-Authenticate"] == "Bearer"
        assert said(refused) == f"This token expired on {month.expires_utc[:10]}; make another on your account page."
    logged = [line for line in caplog.messages if "a month" in line]
    assert logged == ["sci made the token a month for 30 days", "the token a month of sci has expired and is refused"]
    assert "expired" in box.browser("ann").get("/people").text


@pytest.mark.parametrize("days", ["0", "-1", "731", "99999999999", "x", "90.0"])
def test_no_token_lasts_for_another_time(box: Box, days: str) -> None:
    answer = box.browser("sci").follow("/account/tokens", name="report", days=days)
    assert answer.status_code == 400 and "Choose how long the token lasts" in answer.text
    assert len(box.store.people.tokens(2)) == 1


def test_an_admin_sees_and_revokes_everybodys_tokens(box: Box, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    scientists = box.store.people.tokens(2)[0]
    bearer = {"Authorization": "Bearer token of sci"}
    assert box.browser("eve").post(f"/people/tokens/{scientists.id}/revoke").status_code == 403
    admin = box.browser("ann")
    page = admin.get("/people").text
    assert all(f"of {name}" in page for name in ("ann", "sci", "eve"))
    assert f"/people/tokens/{scientists.id}/revoke" in page and scientists.expires_utc in page
    assert box.browser().get("/api/v1/streams", headers=bearer).is_success
    assert admin.post(f"/people/tokens/{scientists.id}/revoke").is_redirect
    assert box.browser().get("/api/v1/streams", headers=bearer).status_code == 401
    for gone in (scientists.id, 2**63):
        assert admin.post(f"/people/tokens/{gone}/revoke").status_code == 404
    assert "ann revoked the token test of sci" in caplog.messages


def test_the_page_of_a_new_token_can_be_reloaded_by_its_maker_for_some_minutes(box: Box) -> None:
    sci = box.browser("sci")
    page = sci.follow("/account/tokens", name="report")
    token = re.search(r'id="token" data-copied>([^<]+)<', page.text)
    assert token and page.url.path == "/account"
    assert token[1] in sci.get("/account?token=new").text
    assert len(box.store.people.tokens(2)) == 2, "the one there was, and this"
    assert token[1] not in sci.get("/account").text + box.browser("ann").get("/account?token=new").text
    sci.post(f"/account/tokens/{box.store.people.tokens(2)[0].id}/revoke")
    assert token[1] not in sci.get("/account?token=new").text, "nobody copies one that has ended"
    sci.post("/account/tokens", name="report")
    box.clock.forward(SHOWN_S + 1)
    assert 'id="token"' not in sci.get("/account?token=new").text


def test_tokens_end_with_a_new_password_unless_kept_on_purpose(box: Box, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    bearer = {"Authorization": "Bearer token of sci"}

    def new_password(old: str, new: str, **fields: str) -> str:
        answer = box.browser("sci").follow("/account/password", current=old, password=new, again=new, **fields)
        assert answer.is_success
        return answer.text

    assert "Your other sessions have ended." in new_password(PASSWORD, "another one", keep_tokens="1")
    assert box.browser().get("/api/v1/streams", headers=bearer).is_success
    assert "and your tokens have ended" in new_password("another one", "a third one")
    assert box.browser().get("/api/v1/streams", headers=bearer).status_code == 401
    assert box.browser().get("/api/v1/streams", headers={"Authorization": "Bearer token of eve"}).is_success
    assert "sci has a new password; tokens have ended" in caplog.messages


def test_tokens_end_when_an_admin_gives_a_new_password_unless_kept_on_purpose(box: Box) -> None:
    bearer = {"Authorization": "Bearer token of sci"}
    new = {"password": "another one", "again": "another one"}
    box.browser("ann").post("/people/2/password", **new, keep_tokens="1")
    assert box.browser().get("/api/v1/streams", headers=bearer).is_success
    box.browser("ann").post("/people/2/password", **new)
    assert box.browser().get("/api/v1/streams", headers=bearer).status_code == 401


def test_an_admin_cannot_change_the_own_password_without_the_current_one(box: Box) -> None:
    new = {"password": "another one", "again": "another one"}
    answer = box.browser("ann").post("/people/1/password", **new)
    assert answer.status_code == 400 and "it asks for the current one" in answer.text
    assert box.browser().sign_in("ann").is_redirect
    assert 'action="/people/1/password"' not in box.browser("ann").get("/people").text


def test_guessing_the_current_password_is_slowed_down_in_that_session_only(box: Box) -> None:
    owner, thief = box.browser(), box.browser("sci")
    owner.sign_in("sci")
    new = {"password": "another one", "again": "another one"}
    answers = [thief.post("/account/password", current="wrong", **new).text for _ in range(12)]
    assert "current password is wrong" in answers[10] and "Too many wrong tries" in answers[11]
    assert owner.follow("/account/password", current=PASSWORD, **new).is_success


@pytest.mark.parametrize(
    "password", ["password", "12345678", "qwertyuiop", "Passw0rd1", "mb9k-2026", "sci12345", "sci sci sci"]
)
def test_an_easy_password_is_refused_by_every_page(box: Box, password: str) -> None:
    new = {"password": password, "again": password}
    answers = (
        box.browser("sci").follow("/account/password", current=PASSWORD, **new),
        box.browser("ann").post("/people/2/password", **new),
        box.browser("ann").post("/people", name="sci", role="admin", **new),
    )
    for answer in answers:
        assert answer.status_code == 400 and "too easy to guess" in answer.text
    assert box.browser().sign_in("sci").is_redirect


def test_the_name_of_the_box_is_no_password(tmp_path: Path) -> None:
    box = Box(tmp_path / "state", box="corridor-7")
    browser = box.browser("sci")
    for password, status in (("Corridor-7", 400), ("corridor-7 2026", 400), ("corridor by the yellow lift", 200)):
        new = {"password": password, "again": password}
        assert browser.follow("/account/password", current=PASSWORD, **new).status_code == status
    box.close()


@pytest.mark.parametrize("path", ["/account", "/account/api"])
def test_beside_a_curl_line_stands_what_it_needs_to_trust_the_box_s_own_certificate(tmp_path: Path, path: str) -> None:
    box = Box(tmp_path / "state", web={"https": True})
    assert "--cacert mb9k.pem" in box.browser("sci").get(path).text
    assert box.keeper
    signer, key = Signer(), ec.generate_private_key(ec.SECP256R1())
    box.keeper.give(signer.sign(key), pem(key), box.clock.now.utc)
    assert "--cacert" not in box.browser("sci").get(path).text
    box.close()


def test_over_plain_http_curl_needs_nothing(box: Box) -> None:
    assert "curl -H &quot;Authorization" in box.browser("sci").get("/account").text
    assert "--cacert" not in box.browser("sci").get("/account").text


def test_who_comes_and_goes_is_logged(box: Box, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    admin, new = box.browser("ann"), {"password": "long enough", "again": "long enough"}
    admin.post("/people", name="kim", role="admin", **new)
    admin.post("/people/4/password", **new)
    admin.post("/people/4/remove")
    box.browser(address="198.51.100.7").sign_in("ann", "wrong")
    assert [record.message for record in caplog.records if record.name.startswith("appliance")] == [
        "kim was added as Admin",
        "kim was given a new password; tokens have ended",
        "kim was removed, with all sessions and tokens",
        "a sign-in from 198.51.100.7 failed",
    ]
