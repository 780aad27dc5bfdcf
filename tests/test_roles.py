"""Who may do what: every route of the site, times every role, through the whole site.

The expectations come from each route's declared access, and `DECLARED` repeats what each one must be: a route that
is added without a line here fails the first test.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from appliance.web.access import Access
from tests.site import Box, dump

A, S, O, D = Access.ANYONE, Access.SIGNED_IN, Access.OWNER, Access.ADMIN  # noqa: E741
M = Access.METRICS
DECLARED = {
    "GET /static/<name>": A,
    "GET /health": A,
    "GET /manifest.webmanifest": A,
    "GET /worker.js": A,
    "GET /offline": A,
    "GET /claim": A,
    "POST /claim": A,
    "POST /language": A,
    "GET /sign-in": A,
    "POST /sign-in": A,
    "POST /sign-out": S,
    "GET /": S,
    "GET /trends": S,
    "GET /trends/<chart>.svg": S,
    "GET /trends/<chart>.csv": S,
    "GET /report": S,
    "GET /reports": D,
    "POST /reports": D,
    "GET /reports/<schedule_id:int>": D,
    "POST /reports/<schedule_id:int>": D,
    "POST /reports/<schedule_id:int>/send": D,
    "POST /reports/<schedule_id:int>/remove": D,
    "GET /unsent": S,
    "GET /account": S,
    "GET /account/api": S,
    "POST /account/password": S,
    "POST /account/tokens": S,
    "POST /account/tokens/<token_id:int>/revoke": S,
    "GET /streams": S,
    "GET /streams/new": S,
    "POST /streams": S,
    "GET /streams/<stream_id:int>": O,
    "GET /streams/<stream_id:int>/preview.jpg": O,
    "GET /streams/<stream_id:int>/glance.jpg": O,
    "GET /streams/<stream_id:int>/calibration": O,
    "POST /streams/<stream_id:int>/calibration": O,
    "POST /streams/<stream_id:int>/calibration/label": O,
    "POST /streams/<stream_id:int>/calibration/undo": O,
    "GET /streams/<stream_id:int>/calibration/forget": O,
    "POST /streams/<stream_id:int>/calibration/forget": O,
    "GET /api/v1/streams/<stream_id:int>/calibration": O,
    "GET /streams/<stream_id:int>/edit": O,
    "POST /streams/<stream_id:int>/edit": O,
    "GET /streams/<stream_id:int>/new-key": O,
    "POST /streams/<stream_id:int>/key": O,
    "GET /streams/<stream_id:int>/key": O,
    "POST /streams/<stream_id:int>/activate": O,
    "GET /streams/<stream_id:int>/deactivate": O,
    "POST /streams/<stream_id:int>/deactivate": O,
    "POST /streams/<stream_id:int>/view": O,
    "GET /streams/<stream_id:int>/delete": O,
    "POST /streams/<stream_id:int>/delete": O,
    "GET /streams/<stream_id:int>/delete-images": O,
    "POST /streams/<stream_id:int>/delete-images": O,
    "GET /streams/<stream_id:int>/zones": O,
    "POST /streams/<stream_id:int>/zones": O,
    "GET /settings/privacy": D,
    "GET /settings/privacy/statistics": D,
    "POST /settings/privacy/statistics": D,
    "POST /settings/privacy/detections": D,
    "GET /receipts": S,
    "GET /receipts/<receipt_id:int>": S,
    "GET /receipts/<receipt_id:int>.json": S,
    "GET /api/v1/receipts": S,
    "GET /api/v1/receipts/<receipt_id:int>": S,
    "DELETE /api/v1/streams/<stream_id:int>/images": O,
    "GET /detections": S,
    "GET /detections/<detection_id:int>": S,
    "POST /detections/<detection_id:int>/state": D,
    "POST /detections/<detection_id:int>/review": D,
    "POST /detections/review": D,
    "GET /detections/<detection_id:int>/delete": D,
    "POST /detections/<detection_id:int>/delete": D,
    "GET /detections/<detection_id:int>/not-a-person": D,
    "POST /detections/<detection_id:int>/not-a-person": D,
    "GET /images/<token>": S,
    "GET /export": S,
    "GET /export/detections": S,
    "GET /export/sums": S,
    "GET /export/faces": S,
    "POST /export/record": D,
    "GET /audit": D,
    "GET /api/v1/audit": D,
    "GET /box-health": S,
    "GET /alerts": S,
    "GET /alerts/rules": S,
    "GET /alerts/rules/new": S,
    "POST /alerts/rules": S,
    "GET /alerts/rules/<rule_id:int>": S,
    "POST /alerts/rules/<rule_id:int>": S,
    "GET /alerts/rules/<rule_id:int>/remove": S,
    "POST /alerts/rules/<rule_id:int>/remove": S,
    "POST /alerts/rules/recommended": D,
    "POST /alerts/quiet": D,
    "GET /alerts/recipients": D,
    "POST /alerts/recipients": D,
    "GET /alerts/recipients/<recipient_id:int>": D,
    "POST /alerts/recipients/<recipient_id:int>": D,
    "POST /alerts/recipients/<recipient_id:int>/test": D,
    "GET /alerts/recipients/<recipient_id:int>/remove": D,
    "POST /alerts/recipients/<recipient_id:int>/remove": D,
    "GET /alerts/mail": D,
    "POST /alerts/mail": D,
    "POST /alerts/mail/test": D,
    "POST /alerts/mail/remove": D,
    "GET /api/v1/alerts": S,
    "GET /api/v1/alert-rules": S,
    "POST /api/v1/alert-rules": S,
    "GET /api/v1/alert-rules/<rule_id:int>": S,
    "PATCH /api/v1/alert-rules/<rule_id:int>": S,
    "DELETE /api/v1/alert-rules/<rule_id:int>": S,
    "GET /api/v1/alert-recipients": S,
    "POST /api/v1/alert-recipients": D,
    "DELETE /api/v1/alert-recipients/<recipient_id:int>": D,
    "POST /api/v1/alert-recipients/<recipient_id:int>/test": D,
    "POST /box-health/token": D,
    "POST /box-health/token/forget": D,
    "GET /metrics": M,
    "GET /people": D,
    "POST /people": D,
    "POST /people/<person_id:int>/role": D,
    "POST /people/<person_id:int>/password": D,
    "POST /people/tokens/<token_id:int>/revoke": D,
    "GET /people/<person_id:int>/remove": D,
    "POST /people/<person_id:int>/remove": D,
    "GET /api/openapi.json": A,
    "GET /api/v1/status": S,
    "GET /api/v1/streams": S,
    "POST /api/v1/streams": S,
    "GET /api/v1/streams/<stream_id:int>": O,
    "PATCH /api/v1/streams/<stream_id:int>": O,
    "DELETE /api/v1/streams/<stream_id:int>": O,
    "POST /api/v1/streams/<stream_id:int>/key": O,
    "GET /api/v1/streams/<stream_id:int>/zones": O,
    "PUT /api/v1/streams/<stream_id:int>/zones": O,
    "GET /api/v1/streams/<stream_id:int>/crossings": O,
    "POST /api/v1/streams/<stream_id:int>/view": O,
    "GET /api/v1/detections": S,
    "POST /api/v1/detections": D,
    "GET /api/v1/detections/<detection_id:int>": S,
    "PATCH /api/v1/detections/<detection_id:int>": D,
    "DELETE /api/v1/detections/<detection_id:int>": D,
    "POST /api/v1/detections/<detection_id:int>/not-a-person": D,
    "GET /api/v1/detections/<detection_id:int>/image": S,
    "GET /api/v1/counts": S,
    "GET /api/v1/trends": S,
    "GET /api/v1/export/detections": S,
    "GET /api/v1/export/sums": S,
    "GET /api/v1/export/faces": S,
    "GET /fleet/broker": D,
    "POST /fleet/broker": D,
    "POST /fleet/broker/remove": D,
    "GET /fleet": D,
    "POST /fleet": D,
    "GET /fleet/leave": D,
    "POST /fleet/leave": D,
    "GET /settings": D,
    "POST /settings/screen": D,
    "POST /settings/title": D,
    "POST /settings/certificate": D,
    "POST /settings/certificate/own": D,
    "GET /settings/certificate.pem": D,
    "POST /settings/restart": D,
    "GET /settings/bundle.zip": D,
    "POST /settings/host": D,
    "GET /settings/wifi": D,
    "POST /settings/wifi": D,
    "POST /settings/time-zone": D,
    "POST /settings/ssh": D,
    "POST /settings/ssh/add": D,
    "POST /settings/ssh/remove": D,
    "GET /settings/restart-machine": D,
    "POST /settings/restart-machine": D,
    "GET /settings/shut-down": D,
    "POST /settings/shut-down": D,
    "GET /settings/reset": D,
    "POST /settings/reset": D,
    "GET /settings/waiting": D,
    "POST /fleet/updates": D,
    "GET /updates": D,
    "POST /updates/upload/<_ticket>": D,
    "POST /updates/fetch": D,
    "POST /updates/fetch/stop": D,
    "POST /updates/forget": D,
    "POST /updates/start": D,
    "POST /updates/back": D,
    "GET /api/v1/updates": D,
    "POST /api/v1/updates/upload": D,
    "DELETE /api/v1/updates/upload": D,
    "POST /api/v1/updates/fetch": D,
    "DELETE /api/v1/updates/fetch": D,
    "POST /api/v1/updates/start": D,
    "POST /api/v1/updates/back": D,
}
ROLES = ("anyone", "eve", "sci", "ann")  # nobody, another's scientist, the owner of stream 2, the admin


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "state")
    yield made
    made.close()


def ask(box: Box, role: str, route: str) -> httpx.Response:
    """Ask for a route with what it needs to be asked properly; a browser's session and the form's own token."""
    method, path = route.split(" ", 1)
    path = path.replace("<stream_id:int>", "2").replace("<detection_id:int>", "2").replace("<person_id:int>", "3")
    path = path.replace("<receipt_id:int>", "1").replace("<schedule_id:int>", "1")
    path = path.replace("<rule_id:int>", "1").replace("<recipient_id:int>", "1")
    path = path.replace("<token_id:int>", "1").replace("<token>", "unguessable").replace("<name>", "no-such-file")
    path = path.replace("<chart>", "persons")
    browser = box.browser(None if role == "anyone" else role)
    csrf = browser.csrf("/sign-in" if role == "anyone" else "/account")
    if path.startswith("/api/"):
        return browser.client.request(method, path, json={}, headers={"X-CSRF-Token": csrf})
    if method == "GET":
        return browser.get(path)
    return browser.client.request(method, path, data={"csrf": csrf, "state": "mask", "name": "x", "kind": "key"})


def may(access: Access, role: str) -> bool:
    if role == "anyone":
        return access is Access.ANYONE
    return role == "ann" or access in (Access.ANYONE, Access.SIGNED_IN) or (access is Access.OWNER and role == "sci")


def test_every_route_is_in_the_table_and_declares_what_it_must(box: Box) -> None:
    declared = {f"{route.method} {route.rule}": route.config["access"] for route in box.app.routes}
    assert declared == DECLARED


@pytest.mark.parametrize("route", DECLARED)
def test_a_route_opens_only_to_those_who_may(box: Box, route: str) -> None:
    for role in ROLES:
        box.browser(None if role == "anyone" else role)  # its session, made beforehand, is no change by the route
        before = dump(box)
        answer = ask(box, role, route)
        if may(DECLARED[route], role):
            assert answer.status_code not in (401, 403) and answer.status_code < 500, f"{role}: {answer.status_code}"
            assert not answer.headers.get("location", "").startswith(("/sign-in?", "/claim")), role
            if DECLARED[route] is Access.OWNER and "delete" not in route.lower():
                assert answer.status_code != 404, role
        else:
            refused = answer.status_code in (401, 403, 404)
            assert refused or answer.headers.get("location", "").startswith("/sign-in"), f"{role}: {answer.status_code}"
            assert not re.search(r"\blab\b", answer.text) and b"picture" not in answer.content, role
            assert dump(box) == before, f"{role} changed something"


@pytest.mark.parametrize("route", [route for route in DECLARED if " /api/" not in route])
def test_a_token_opens_no_page(box: Box, route: str) -> None:
    # Uploads: programs send a bundle there, too.
    if DECLARED[route] is Access.ANYONE or any(word in route for word in ("/images/", "preview", "updates/upload")):
        return
    method, path = route.replace("<stream_id:int>", "2").replace("<detection_id:int>", "2").split(" ", 1)
    path = path.replace("<person_id:int>", "3").replace("<token_id:int>", "1").replace("<receipt_id:int>", "1")
    path = path.replace("<schedule_id:int>", "1")
    path = path.replace("<rule_id:int>", "1").replace("<recipient_id:int>", "1")
    answer = box.browser().client.request(method, path, headers={"Authorization": "Bearer token of ann"})
    assert answer.status_code == 401


def test_another_scientists_stream_looks_like_none_at_all(box: Box) -> None:
    eve = box.browser("eve")
    nothing = eve.get("/streams/99").text
    assert eve.get("/streams/2").text == nothing.replace("/99", "/2")
    assert "There is no such stream, or it is not yours." in nothing


def test_a_scientist_lists_own_streams_and_sees_all_detections(box: Box) -> None:
    sci = box.browser("sci")
    streams = sci.get("/streams").text
    assert "/streams/2" in streams and "/streams/1" not in streams
    detections = sci.get("/detections").text
    assert "/detections/1" in detections and "/detections/2" in detections
    assert sci.get("/images/unguessable").content.endswith(b"picture \xff\xd9")
    assert "/delete" not in sci.get("/detections/1").text


def test_an_image_is_for_those_who_signed_in_and_kept_by_no_cache(box: Box) -> None:
    assert box.browser().get("/images/unguessable").headers["location"].startswith("/sign-in")
    answer = box.browser("eve").get("/images/unguessable")
    assert answer.headers["content-type"] == "image/jpeg" and answer.headers["cache-control"] == "no-store"
    assert box.browser("eve").get("/images/other").status_code == 404


def test_a_scientist_cannot_give_a_stream_away_or_make_one_for_another(box: Box) -> None:
    sci = box.browser("sci")
    sci.post("/streams", name="mine", kind="key", owner="1")
    sci.post("/streams/2/edit", name="lab", owner="1")
    assert {stream.title for stream in box.store.streams.all(box.clock.now)} == {"ann:door", "sci:lab"}


def test_a_role_that_was_taken_away_counts_at_once(box: Box) -> None:
    ann, eve = box.browser("ann"), box.browser("eve")
    ann.post("/people/3/role", role="admin")
    assert eve.get("/people").is_success
    ann.post("/people/3/role", role="data_scientist")
    assert eve.get("/people").status_code == 403
    ann.post("/people/3/remove")
    assert eve.get("/").is_redirect
