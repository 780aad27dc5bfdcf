"""After every form comes a redirect, so that no reload sends it twice: every route that takes a POST is sent one.

The routes are those of the tables of test_roles.py and test_central_site_roles.py, which know every route there is. One
that is added needs a line here with what makes its form succeed, unless an empty one does.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from appliance.alerts.alerts import Alerts
from appliance.alerts.kinds import ALL, Rate
from appliance.alerts.recipients import Way
from appliance.reports.periods import Kind as Period
from appliance.reports.schedules import Plan
from tests.fleets import Fleet
from tests.signers import Signer, pem
from tests.site import PASSWORD, Box
from tests.test_central_site_roles import DECLARED as OF_CENTRE
from tests.test_roles import DECLARED as OF_BOX

Fields = dict[str, str]
NEW_PASSWORD = {"password": "four words of mine", "again": "four words of mine"}
RATE = {"percent": "80", "minutes": "15", "persons": "20", "cool_down": "60"}
IDS = {"box_id": "lobby", "person_id:int": "3", "detection_id:int": "2", "join_id:int": "1", "_ticket": "1-0"}
EVERYWHERE: dict[str, Fields] = {
    "POST /language": {"language": "de"},
    "POST /sign-in": {"name": "ann", "password": PASSWORD},
    "POST /account/password": {"current": PASSWORD, **NEW_PASSWORD},
    "POST /account/tokens": {"name": "program"},
    "POST /alerts/rules": {"kind": "rate", "subject": "all", **RATE},
    "POST /alerts/rules/<rule_id:int>": RATE,
    "POST /alerts/recipients": {"kind": "email", "name": "Hall", "email": "hall@example.org"},
    "POST /alerts/recipients/<recipient_id:int>": {"name": "Hall", "email": "hall@example.org"},
    "POST /alerts/mail": {"host": "127.0.0.1", "port": "25", "security": "none", "sender": "mb9k@example.org"},
    "POST /reports": {"kind": "day", "clock": "07:00", "recipients": "boss@example.org"},
    "POST /reports/<schedule_id:int>": {"kind": "day", "clock": "07:00", "recipients": "boss@example.org"},
    "POST /people/<person_id:int>/password": NEW_PASSWORD,
    "POST /people/<person_id:int>/role": {"role": "admin"},
}
TO_A_BOX: dict[str, Fields] = {
    "POST /streams": {"name": "x", "kind": "key"},
    "POST /streams/<stream_id:int>/edit": {"name": "x"},
    "POST /streams/<stream_id:int>/zones": {"kind": "count", "name": "Door", "points": "10,10 90,10 50,90"},
    "POST /settings/privacy/statistics": {"confirmed": "box"},
    "POST /detections/<detection_id:int>/state": {"state": "mask"},
    "POST /detections/review": {"id": "2", "do": "mask"},
    "POST /people": {"name": "max", "role": "admin", **NEW_PASSWORD},
    "POST /fleet/broker": {"host": "broker.lan", "port": "1883", "topic": "mb9k"},
    "POST /settings/title": {"title": "Door"},
}
TO_A_CENTRE: dict[str, Fields] = {
    "POST /people": {"name": "max", "role": "analyst", **NEW_PASSWORD},
    "POST /sites": {"name": "Harbour"},
    "POST /sites/<site_id:int>/edit": {"name": "Harbour"},
    "POST /sites/<site_id:int>/update": {"address": "https://updates.example.org/a.mb9k", "sha256": "0a" * 32},
    "POST /add-box": {"title": "Hall"},
    "POST /boxes/<box_id>/edit": {"title": "Lobby"},
    "POST /boxes/<box_id>/commands": {"action": "identify"},
}
ANSWERS_ITSELF = {
    "POST /export/record": "a file to be saved; it changes nothing, and is a POST to be asked for on purpose"
}
ELSEWHERE = {
    "POST /streams/<stream_id:int>/calibration": "needs hundreds of images: test_calibration_browser",
    "POST /streams/<stream_id:int>/calibration/label": "as the one before",
    "POST /streams/<stream_id:int>/calibration/undo": "as the one before",
    "POST /streams/<stream_id:int>/calibration/forget": "as the one before",
    "POST /alerts/mail/test": "needs a mail server: test_alert_pages",
    "POST /fleet": "needs a centre: test_local_fleet",
    "POST /fleet/leave": "needs a centre: test_local_fleet",
    "POST /settings/restart": "ends a service: below",
    "POST /settings/host": "needs root: test_machine_page",
    "POST /settings/time-zone": "needs root: test_machine_page",
    "POST /settings/ssh": "needs root: test_machine_page",
    "POST /settings/ssh/add": "needs root: test_machine_page",
    "POST /settings/ssh/remove": "needs root: test_machine_page",
    "POST /settings/restart-machine": "needs root: test_machine_page",
    "POST /settings/shut-down": "needs root: test_machine_page",
    "POST /settings/reset": "needs root: test_machine_page",
    "POST /settings/wifi": "needs root: test_wifi_page",
    "POST /updates/upload/<_ticket>": "needs a bundle: test_updates_page",
    "POST /updates/fetch": "needs a bundle: test_updates_page",
    "POST /updates/start": "needs a bundle: test_updates_page",
    "POST /updates/back": "needs a release: test_updates_page",
}
"""What succeeds only where there is more than a site; that the form is refused here is seen, too."""


def alerting(alerts: Alerts, utc: float) -> None:
    """Rule 1 watches everybody's rate, recipient 1 is told by mail."""
    alerts.recipients.add(Way.EMAIL, "Office", "office@example.org", "", utc)
    alerts.rules.add(Rate(), ALL, 60, None, utc)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "box")
    with made.store.writing():
        alerting(made.store.alerts, made.clock.now.utc)
    yield made
    made.close()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path / "centre", str(tmp_path / "central.db"))
    with made.store.saving():
        alerting(made.store.alerts, made.clock.now.utc)
        made.store.reports.add(Plan(Period.WEEK, 420, ("boss@example.org",)), made.clock.now.utc)
    yield made
    made.close()


def forms(declared: Mapping[str, object]) -> list[str]:
    return [route for route in declared if route.startswith("POST ") and " /api/" not in route]


def sent(site: Box | Fleet, route: str, fields: Fields) -> httpx.Response:
    """Send its form: by the admin, or by somebody who comes in."""
    is_in = route not in ("POST /sign-in", "POST /claim")
    path = re.sub("<([^>]+)>", lambda found: IDS.get(found[1], "1"), route.removeprefix("POST "))
    return site.browser("ann" if is_in else None).post(path, page="/account" if is_in else "/sign-in", **fields)


def judge(route: str, answer: httpx.Response) -> None:
    if route in ANSWERS_ITSELF:
        assert answer.status_code == 200 and "attachment" in answer.headers["content-disposition"]
    elif route in ELSEWHERE:
        assert answer.status_code in (400, 404), "succeeds here, so it is no exception"
    else:
        assert answer.status_code == 303, answer.text


OVER_HTTPS = {"POST /settings/certificate", "POST /settings/certificate/own"}
"""A box without it has no certificate; sent by test_a_certificate_leads_on."""


@pytest.mark.parametrize("route", [route for route in forms(OF_BOX) if route not in OVER_HTTPS])
def test_a_form_of_a_box_leads_on(box: Box, route: str) -> None:
    fields = {**EVERYWHERE, **TO_A_BOX}.get(route, {})
    judge(route, sent(box, route, fields))


def test_a_certificate_leads_on(tmp_path: Path) -> None:
    made = Box(tmp_path, web={"https": True})
    ann, key = made.browser("ann"), ec.generate_private_key(ec.SECP256R1())
    given = ann.led("/settings/certificate", chain=Signer().sign(key), key=pem(key)).text
    assert "The new certificate is shown from now on" in given
    assert "its own certificate again" in ann.led("/settings/certificate/own").text
    made.close()


def test_a_service_that_ends_leads_on(box: Box) -> None:
    asleep = [sys.executable, "-c", "import time; time.sleep(60)", "watch"]
    with subprocess.Popen(asleep) as watch:
        box.store.services.heartbeat("watch", watch.pid, 0.0, None, box.clock.now)
        assert "The service watch ends now" in box.browser("ann").led("/settings/restart", service="watch").text
        assert watch.wait(30) == -signal.SIGTERM


@pytest.mark.parametrize("route", forms(OF_CENTRE))
def test_a_form_of_a_centre_leads_on(fleet: Fleet, route: str) -> None:
    fields = {**EVERYWHERE, **TO_A_CENTRE}.get(route, {})
    if route.endswith("/withdraw"):
        assert sent(fleet, "POST /add-box", TO_A_CENTRE["POST /add-box"]).status_code == 303
    judge(route, sent(fleet, route, fields))
