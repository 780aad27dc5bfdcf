"""Who may do what at a centre: every route of its site, times every role, through the whole site, on both databases."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from appliance.web.access import Access
from tests.fleets import Fleet

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
    "GET /unsent": S,
    "GET /account": S,
    "GET /account/api": S,
    "POST /account/password": S,
    "POST /account/tokens": S,
    "POST /account/tokens/<token_id:int>/revoke": S,
    "GET /": S,
    "GET /boxes": S,
    "GET /map": S,
    "GET /boxes/<box_id>": O,
    "POST /boxes/<box_id>/edit": D,
    "POST /boxes/<box_id>/commands": D,
    "GET /boxes/<box_id>/revoke": D,
    "POST /boxes/<box_id>/revoke": D,
    "GET /streams/<stream_id:int>": O,
    "GET /sites": S,
    "POST /sites": D,
    "GET /sites/<site_id:int>": O,
    "POST /sites/<site_id:int>/edit": D,
    "GET /sites/<site_id:int>/remove": D,
    "POST /sites/<site_id:int>/remove": D,
    "POST /sites/<site_id:int>/update": D,
    "GET /compare": S,
    "GET /export": S,
    "GET /export/sums": S,
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
    "GET /report": S,
    "GET /reports": D,
    "POST /reports": D,
    "GET /reports/<schedule_id:int>": D,
    "POST /reports/<schedule_id:int>": D,
    "POST /reports/<schedule_id:int>/send": D,
    "POST /reports/<schedule_id:int>/remove": D,
    "GET /letters": D,
    "GET /events": D,
    "POST /events/metrics-token": D,
    "POST /events/metrics-token/forget": D,
    "GET /metrics": M,
    "GET /add-box": D,
    "POST /add-box": D,
    "GET /add-box/code": D,
    "POST /add-box/<join_id:int>/withdraw": D,
    "GET /audit": D,
    "GET /people": D,
    "POST /people": D,
    "GET /people/<person_id:int>/remove": D,
    "POST /people/<person_id:int>/remove": D,
    "POST /people/tokens/<token_id:int>/revoke": D,
    "POST /people/<person_id:int>/role": D,
    "POST /people/<person_id:int>/sites": D,
    "POST /people/<person_id:int>/password": D,
    "GET /api/openapi.json": A,
    "GET /api/v1/status": S,
    "GET /api/v1/boxes": S,
    "GET /api/v1/boxes/<box_id>": O,
    "GET /api/v1/boxes/<box_id>/commands": O,
    "GET /api/v1/sites": S,
    "GET /api/v1/streams": S,
    "GET /api/v1/counts": S,
    "GET /api/v1/compare": S,
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
    "GET /api/v1/export/sums": S,
    "GET /api/v1/letters": D,
    "GET /api/v1/events": D,
}
ROLES = ("anyone", "eve", "sci", "ann")  # nobody, an analyst of no site, the analyst of site 1, the admin
SECRETS = re.compile(r"\b(lobby|door|north)\b")
EXAMPLES_ONLY = ("GET /api/openapi.json", "GET /account/api")  # one box in them is called like a box here
"""What only the admin and the analyst of its site may see anywhere."""


@pytest.fixture
def fleet(tmp_path: Path, made_database: str) -> Iterator[Fleet]:
    made = Fleet(tmp_path / "state", made_database)
    yield made
    made.close()


def ask(fleet: Fleet, role: str, route: str) -> httpx.Response:
    """Ask for a route with what it needs to be asked properly; a browser's session and the form's own token."""
    method, path = route.split(" ", 1)
    for name, value in (("box_id", "lobby"), ("stream_id:int", "1"), ("site_id:int", "1"), ("person_id:int", "3")):
        path = path.replace(f"<{name}>", value)
    path = path.replace("<token_id:int>", "1").replace("<join_id:int>", "1").replace("<name>", "no-such-file")
    path = path.replace("<rule_id:int>", "1").replace("<recipient_id:int>", "1").replace("<schedule_id:int>", "1")
    browser = fleet.browser(None if role == "anyone" else role)
    if method == "GET":
        return browser.get(path)
    csrf = browser.csrf("/sign-in" if role == "anyone" else "/account")
    if path.startswith("/api/"):
        return browser.client.request(method, path, json={}, headers={"X-CSRF-Token": csrf})
    sent = {"csrf": csrf, "name": "x", "title": "x", "action": "identify", "role": "analyst", "site": "1"}
    return browser.client.post(path, data=sent)


def may(access: Access, role: str) -> bool:
    if role == "anyone":
        return access is Access.ANYONE
    return role == "ann" or access in (Access.ANYONE, Access.SIGNED_IN) or (access is Access.OWNER and role == "sci")


def test_every_route_is_in_the_table_and_declares_what_it_must(fleet: Fleet) -> None:
    declared = {f"{route.method} {route.rule}": route.config["access"] for route in fleet.app.routes}
    assert declared == DECLARED


@pytest.mark.parametrize("route", DECLARED)
def test_a_route_opens_only_to_those_who_may(fleet: Fleet, route: str) -> None:
    for role in ROLES:
        fleet.browser(None if role == "anyone" else role)  # its session, made beforehand, is no change by the route
        before = fleet.dump()
        answer = ask(fleet, role, route)
        if may(DECLARED[route], role):
            assert answer.status_code not in (401, 403) and answer.status_code < 500, f"{role}: {answer.text}"
            assert not answer.headers.get("location", "").startswith(("/sign-in?", "/claim")), role
            if DECLARED[route] is Access.OWNER:
                assert answer.status_code == 200, role
        else:
            refused = answer.status_code in (401, 403, 404)
            assert refused or answer.headers.get("location", "").startswith("/sign-in"), f"{role}: {answer.status_code}"
            assert fleet.dump() == before, f"{role} changed something"
        if role in ("anyone", "eve") and route not in EXAMPLES_ONLY:
            assert not SECRETS.search(answer.text), f"{role} sees what is not theirs"


def test_a_token_opens_the_api_and_no_page(fleet: Fleet) -> None:
    for route, access in DECLARED.items():
        if access is Access.ANYONE:
            continue
        method, rule = route.split(" ", 1)
        path = re.sub(r"<\w+(:int)?>", "1", rule).replace("/boxes/1", "/boxes/lobby")
        answer = fleet.browser().client.request(method, path, headers={"Authorization": "Bearer token of ann"})
        there_is_none = method != "GET" or "<rule_id" in rule
        opens = answer.status_code in ((400, 404) if there_is_none else (200,))
        assert opens if path.startswith("/api/") else answer.status_code == 401, route


def test_an_analyst_sees_the_boxes_of_own_sites_and_nothing_of_others(fleet: Fleet) -> None:
    sci = fleet.browser("sci")
    for path in ("/", "/boxes", "/sites", "/map", "/compare", "/compare?by=box", "/api/v1/boxes", "/api/v1/streams"):
        text = sci.get(path).text
        assert not re.search(r"\b(dock|gate|south)\b", text), path
    assert [box["box"] for box in sci.get("/api/v1/boxes").json()["boxes"]] == ["lobby"]
    assert [box["box"] for box in fleet.browser("eve").get("/api/v1/boxes").json()["boxes"]] == []
    theirs, nothing = sci.get("/boxes/dock"), sci.get("/boxes/no-such")
    assert theirs.status_code == nothing.status_code == 404
    assert theirs.text == nothing.text.replace("no-such", "dock")
    assert sci.get("/streams/2").status_code == sci.get("/sites/2").status_code == 404
    steps = sci.get("/api/v1/counts?stream=2").json()["steps"]
    assert all(step["total"] == 0 for step in steps)


def test_a_site_that_is_taken_away_counts_at_once(fleet: Fleet) -> None:
    ann, sci = fleet.browser("ann"), fleet.browser("sci")
    ann.client.post("/people/2/sites", data={"csrf": ann.csrf(), "sites": ["2", "99", "nonsense"]})
    assert [box["box"] for box in sci.get("/api/v1/boxes").json()["boxes"]] == ["dock"]
    ann.post("/people/2/role", role="admin")
    assert len(sci.get("/api/v1/boxes").json()["boxes"]) == 2
    ann.post("/people/2/remove")
    assert sci.get("/").is_redirect


def test_the_only_admin_stays_and_a_centre_has_no_data_scientists(fleet: Fleet) -> None:
    ann = fleet.browser("ann")
    assert "a centre needs one" in ann.post("/people/1/role", role="analyst").text
    assert "a centre needs one" in ann.post("/people/1/remove").text
    refused = ann.post("/people", name="max", role="data_scientist", password="four words of mine", again="x")
    assert refused.status_code == 400 and "admin or analyst" in refused.text
    assert len(fleet.store.people.all()) == 3
