"""The JSON API of a centre, held against its own document, and its tables as CSV, on both databases."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from jsonschema import Draft202012Validator

from appliance.central.viewer.openapi import OPERATIONS, document
from appliance.faces import Counts
from appliance.web.tables import as_csv, cell
from tests.central_alerts import something_is_wrong
from tests.fleets import NOON, Fleet

PATHS = [
    "/api/openapi.json",
    "/api/v1/status",
    "/api/v1/boxes",
    "/api/v1/boxes/lobby",
    "/api/v1/boxes/lobby/commands",
    "/api/v1/sites",
    "/api/v1/streams",
    "/api/v1/counts",
    "/api/v1/compare",
    "/api/v1/export/sums",
    "/api/v1/letters",
    "/api/v1/events",
    "/api/v1/alerts",
    "/api/v1/alert-rules",
    "/api/v1/alert-rules/1",
    "/api/v1/alert-recipients",
]
TEMPLATES = {"lobby": "{box_id}", "rules/1": "rules/{rule_id}"}


def template(path: str) -> str:
    """The path as the document has it."""
    for named, name in TEMPLATES.items():
        path = path.replace(named, name)
    return path


@pytest.fixture
def fleet(tmp_path: Path, made_database: str) -> Iterator[Fleet]:
    made = Fleet(tmp_path / "state", made_database)
    made.add_hour(1, NOON - 3600, Counts(mask=3, no_mask=1, unknown=2))
    made.db.execute(
        "insert into letters (at_utc, box_id, topic, reason, payload) values (?, 'x', 'y', '=1+1', ?)", [NOON, b"\xff"]
    )
    made.db.execute(
        "insert into commands (id, box_id, action, given_by, given_utc, expires_utc) values (?, ?, ?, ?, ?, ?)",
        ["0" * 16, "lobby", "identify", "ann", NOON, NOON + 60],
    )
    made.store.records.note(NOON, "=asked", "ann", "lobby")
    something_is_wrong(made)
    yield made
    made.close()


def ask(fleet: Fleet, path: str, who: str | None = "ann") -> httpx.Response:
    headers = {} if who is None else {"Authorization": f"Bearer token of {who}"}
    return fleet.browser().get(path, headers=headers)


def test_every_route_is_documented_and_every_documented_operation_is_there(fleet: Fleet) -> None:
    routes = {
        (route.method, re.sub(r"<(\w+)(:\w+)?>", r"{\1}", route.rule))
        for route in fleet.app.routes
        if route.rule.startswith("/api")
    }
    assert routes == {(operation.method, operation.path) for operation in OPERATIONS}
    read = {operation.path for operation in OPERATIONS if operation.method == "GET"}
    assert {template(path) for path in PATHS} == read


@pytest.mark.parametrize("path", PATHS)
def test_an_answer_has_the_documented_shape(fleet: Fleet, path: str) -> None:
    answer = ask(fleet, path)
    described = document()["paths"][template(path)]["get"]
    assert answer.status_code == 200, answer.text
    content = described["responses"]["200"]["content"]
    if "application/json" in content:
        schema = content["application/json"]["schema"]
        Draft202012Validator({**schema, "components": document()["components"]}).validate(answer.json())
    else:
        assert answer.headers["content-type"].partition(";")[0] in content
    refused = ask(fleet, path, None)
    assert refused.status_code == (200 if path.endswith("openapi.json") else 401)


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if each.table], ids=lambda each: each.path)
def test_every_list_comes_as_a_table_too(fleet: Fleet, operation: Any) -> None:
    path = operation.path.replace("{box_id}", "lobby")
    told: list[dict[str, Any]] = list(ask(fleet, path).json().values())[-1]
    answer = ask(fleet, f"{path}?format=csv")
    assert answer.headers["content-type"].startswith("text/csv; charset=utf-8")
    assert re.fullmatch(r'attachment; filename="[a-z]+\.csv"', answer.headers["content-disposition"])
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == len(told) > 0
    assert set(rows[0]) == set(told[0]), "each field is a column"
    assert [[str(cell(row[name])) for name in row] for row in told] == [[row[name] for name in told[0]] for row in rows]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "|", "  ="])
def test_a_cell_is_never_a_formula(start: str) -> None:
    assert str(cell(f"{start}cmd|' /C calc'!A0")).startswith("'")
    assert cell(-3) == -3 and cell(None) == "" and cell(True) == "true" and cell("a=b") == "a=b"


class Line(msgspec.Struct):
    """A row of the test."""

    name: str
    count: int


def test_a_table_keeps_what_quotes_and_line_breaks_there_are() -> None:
    text = as_csv(Line, [Line('a "b", c\nd', 3)])
    assert text == 'name,count\r\n"a ""b"", c\nd",3\r\n'
    assert list(csv.reader(io.StringIO(text)))[1] == ['a "b", c\nd', "3"]


@pytest.mark.parametrize("path", ["/api/v1/streams", "/api/v1/counts"])
def test_what_cannot_be_a_box_is_refused(fleet: Fleet, path: str) -> None:
    answer = ask(fleet, f"{path}?box=Lobby!")
    assert answer.status_code == 400
    assert "box must be" in answer.json()["error"]
    assert ask(fleet, f"{path}?box=not-there").status_code == 200


def test_counts_have_steps_and_gaps(fleet: Fleet) -> None:
    told = ask(fleet, "/api/v1/counts?since=2026-11-24T09:00:00Z&until=2026-11-24T12:00:00Z&step=hour").json()
    assert [(step["start"], step["is_gap"], step["total"]) for step in told["steps"]] == [
        ("2026-11-24T09:00:00.000Z", True, 0),
        ("2026-11-24T10:00:00.000Z", True, 0),
        ("2026-11-24T11:00:00.000Z", False, 6),
    ]
    assert told["steps"][2]["compliance"] == 0.75 and told["steps"][2]["judged"] == 4
    for scope, persons in (("box=lobby", 6), ("box=dock", 0), ("site=1", 6), ("site=2", 0), ("stream=1", 6)):
        days = ask(fleet, f"/api/v1/counts?step=day&{scope}").json()["steps"]
        assert sum(step["total"] for step in days) == persons, scope


@pytest.mark.parametrize(
    "query",
    [
        "counts?step=second",
        "counts?since=x",
        "counts?since=2026-11-24T00:00:00",
        "counts?since=2026-11-24T00:00:00Z&until=2026-11-23T00:00:00Z",
        "counts?step=minute&since=2020-01-01T00:00:00Z",
        "counts?site=x",
        "counts?nonsense=1",
        "compare?by=person",
        "boxes?format=xml",
        "boxes?format=csv&format=csv",
        "boxes?site=",
        "letters?limit=5",
    ],
)
def test_what_is_not_understood_is_refused_in_words(fleet: Fleet, query: str) -> None:
    answer = ask(fleet, f"/api/v1/{query}")
    assert answer.status_code == 400 and answer.json()["error"].endswith(".")


def test_the_document_names_what_is_refused_and_the_tables(fleet: Fleet) -> None:
    told = ask(fleet, "/api/openapi.json", None).json()
    boxes = told["paths"]["/api/v1/boxes"]["get"]["responses"]
    assert set(boxes["200"]["content"]) == {"application/json", "text/csv"}
    assert "The centre cannot do it" in boxes["503"]["description"]
    [parameter] = told["paths"]["/api/v1/boxes/{box_id}"]["get"]["parameters"]
    assert parameter["schema"]["pattern"] == "^[a-z0-9-]{1,40}$"
