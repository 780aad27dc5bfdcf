"""/metrics of a centre: its own figures by the code that a box tells its by, on both databases."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from appliance.central.processes import note_alive, process_name
from tests import metrics
from tests.conftest import REPOSITORY
from tests.fleets import NOON, Fleet
from tests.metrics import dashboard_complaints, value


@pytest.fixture
def fleet(tmp_path: Path, made_database: str) -> Iterator[Fleet]:
    made = Fleet(tmp_path / "state", made_database)
    yield made
    made.close()


def ask(fleet: Fleet, role: str | None = None, token: str | None = None) -> httpx.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return fleet.browser(role).get("/metrics", headers=headers)


def test_a_prometheus_server_is_told_of_boxes_processes_and_rows(fleet: Fleet) -> None:
    note_alive(fleet.db, "ingest", NOON - 100, NOON, "The broker does not answer.", rows=12_345, messages=678)
    fleet.change_box("dock", sums_utc=NOON - 400, complete_utc=NOON - 400, backlog=900, disk_free_mb=300)
    fleet.add_box("gone", 1, sums_utc=NOON - 4000, complete_utc=NOON - 4000, status="gone")
    fleet.add_box("thief", None, revoked_utc=NOON - 5)
    told = ask(fleet, "ann").text
    assert not [*metrics.complaints(told)]
    assert metrics.told(told) == metrics.documented("mb9k_centre_")
    assert not [*dashboard_complaints(REPOSITORY / "docs" / "grafana-centre.json", told)]
    ages = {age: value(told, "mb9k_centre_boxes", age=age) for age in ("fresh", "late", "stale", "never")}
    assert ages == {"fresh": 1, "late": 1, "stale": 1, "never": 0}
    assert (value(told, "mb9k_centre_boxes_with_problem"), value(told, "mb9k_centre_boxes_revoked")) == (1, 1)
    assert value(told, "mb9k_centre_box_backlog_rows", box="dock") == 900
    assert value(told, "mb9k_centre_box_age_seconds", box="dock") == 400
    assert value(told, "mb9k_centre_box_disk_free_bytes", box="dock") == 300_000_000
    assert value(told, "mb9k_centre_box_backlog_rows", box="thief") is None
    assert value(told, "mb9k_centre_rows_taken_total", process=process_name("ingest")) == 12_345
    assert value(told, "mb9k_centre_process_problem", process=process_name("ingest")) == 1
    assert (
        value(told, "mb9k_centre_processes", kind="ingest"),
        value(told, "mb9k_centre_processes", kind="serve"),
    ) == (1, 0)
    fleet.clock.forward(60)
    assert value(ask(fleet, "ann").text, "mb9k_centre_processes", kind="ingest") == 0


def test_its_token_is_made_on_the_page_events_and_opens_nothing_else(fleet: Fleet) -> None:
    assert ask(fleet).status_code == 401 and ask(fleet, "sci").status_code == 403
    page = fleet.browser("ann").follow("/events/metrics-token").text
    (token,) = re.findall(r'<code id="token" data-copied>([^<]+)</code>', page)
    assert "Another metrics token was made" in page
    assert ask(fleet, token=token).status_code == 200
    for path in ("/events", "/", "/api/v1/boxes"):
        answer = fleet.browser().get(path, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code in (303, 401), path
    fleet.browser("ann").post("/events/metrics-token/forget")
    assert ask(fleet, token=token).status_code == 401
