"""Who crossed a line, by the API and at the command line; zones at the command line."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance import cli
from appliance.accounts.audit import Action
from appliance.rules import zones as rules
from appliance.time_zone import time_zone
from appliance.times import utc_text
from appliance.zones import Direction, Zone, ZoneKind, encoded
from tests.site import Box

DOOR = Zone(ZoneKind.LINE, "door", ((0.5, 0.2), (0.5, 0.8)))
POSTER = Zone(ZoneKind.NEVER, "Poster", ((0.1, 0.1), (0.2, 0.1), (0.2, 0.3)))


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "state")
    (tmp_path / "mb9k.toml").write_text(f'state_dir = "{tmp_path / "state"}"\n')
    yield made
    made.close()


def asked(box: Box, query: str = "", stream_id: int = 2) -> Any:
    headers = {"Authorization": "Bearer token of sci"}
    path = f"/api/v1/streams/{stream_id}/crossings"
    return box.browser().client.get(path, params=query, headers=headers).json()


def test_a_program_reads_who_crossed_a_line_by_the_clocks_of_the_box(box: Box) -> None:
    """Of 25 October 2026 in Berlin, which has 25 hours; today without a range."""
    midnight_utc = 1_792_879_200
    with box.store.writing():
        box.store.trends.follow_zone(time_zone({"TZ": "Europe/Berlin"}))
        box.store.zones.put(2, [POSTER, DOOR])
        for hour in range(25):
            box.store.crossings.add({(2, "door", Direction.IN): 2}, midnight_utc + 3600 * hour + 1700)
        box.store.crossings.add({(2, "old door", Direction.OUT): 3}, midnight_utc)
        box.store.crossings.add({(2, "door", Direction.OUT): 7}, int(box.clock.now.utc))
    day = asked(box, f"since={utc_text(midnight_utc + 5)}&until={utc_text(midnight_utc + 600)}&step=day")
    span = {"start": "2026-10-24T22:00:00.000Z", "end": "2026-10-25T23:00:00.000Z"}
    assert day == {
        "time_zone": "Europe/Berlin",
        "lines": [
            {"line": "door", "drawn": True, "in": 50, "out": 0, "buckets": [{**span, "in": 50, "out": 0}]},
        ],
    }
    hours = asked(box, f"since={utc_text(midnight_utc)}&until={utc_text(midnight_utc + 25 * 3600)}")["lines"]
    assert [(line["line"], line["drawn"], line["in"], line["out"]) for line in hours] == [
        ("door", True, 50, 0),
        ("old door", False, 0, 3),
    ]
    assert [bucket["in"] for bucket in hours[0]["buckets"]] == [2] * 25
    (today,) = asked(box)["lines"]
    assert (today["in"], today["out"]) == (0, 7)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("step=year", "step must be one of"),
        ("since=1970-01-01T00:00:00Z&until=2026-01-01T00:00:00Z&step=quarter", "ask for a shorter time"),
        ("since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "until must be after since"),
        ("since=yesterday", "since must be a time"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(box: Box, query: str, said: str) -> None:
    rules.put(box.store, 2, [DOOR])
    assert said in asked(box, query)["error"]


def test_of_another_persons_stream_nobody_learns_who_crossed_its_lines(box: Box) -> None:
    assert "not yours" in asked(box, stream_id=1)["error"]


def run(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str, typed: bytes = b""
) -> tuple[str, str]:
    monkeypatch.setattr(sys, "argv", ["mb9k", "--config", str(folder / "mb9k.toml"), *words])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed)))
    capsys.readouterr()
    try:
        cli.main()
    except SystemExit as ended:
        assert (ended.code or 0) in (0, 1)
    printed, said = capsys.readouterr()
    return printed, said


def test_zones_are_read_and_put_at_the_command_line_and_that_is_on_record(
    box: Box, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put = ("stream", "zones", "sci:lab", "--put", "-")
    typed = encoded([POSTER, DOOR]).encode()
    printed, said = run(tmp_path, capsys, monkeypatch, *put, typed=typed)
    assert not said and json.loads(printed) == json.loads(typed)
    assert box.store.zones.of(2) == (POSTER, DOOR)
    printed, _ = run(tmp_path, capsys, monkeypatch, "stream", "zones", "2")
    assert json.loads(printed) == json.loads(typed)
    entry = box.store.db.execute(
        "select subject, details, actor_kind from audit where action = ?", [Action.ZONES_CHANGED]
    ).fetchone()
    assert entry["subject"] == "stream 2 (sci:lab)" and entry["actor_kind"] == "operator"
    assert json.loads(entry["details"]) == {"drawn": ["never: Poster", "line: door"], "removed": [], "zones": 2}
    for garbage in (b"[", b"\xff", b'[{"kind": "pond", "name": "x", "points": []}]', b"{}", b'[{"kind":"line"}]'):
        printed, said = run(tmp_path, capsys, monkeypatch, *put, typed=garbage)
        assert not printed and said.startswith("mb9k: These are no zones (") and said.count("\n") == 1
    assert box.store.zones.of(2) == (POSTER, DOOR)


def test_the_list_of_streams_says_who_crossed_their_lines_today(
    box: Box, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with box.store.writing():
        crossed = {(2, "door", Direction.IN): 12, (2, "door", Direction.OUT): 9}
        box.store.crossings.add(crossed, int(box.clock.now.utc))
    for service in ("gate", "ingest", "watch"):  # while one is silent, nobody knows which streams are LIVE
        box.store.services.heartbeat(service, 1, box.clock.now.utc, None, box.clock.now)
    printed, _ = run(tmp_path, capsys, monkeypatch, "stream", "list")
    assert printed == "ann:door\toffline\nsci:lab\toffline\t\tdoor: 12 in, 9 out\n"
