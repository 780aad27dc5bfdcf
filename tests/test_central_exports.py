"""Sums of boxes as files: every form and step holds just what was asked for, of what one may see, on both databases."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from appliance.central import days, sheets
from appliance.central.sheets import STEPS, Wanted, rows, sheet
from appliance.central.store import Scope
from appliance.central.store.sums import Step
from appliance.exports.batches import BATCH_ROWS
from appliance.exports.columns import SUMS_OF_BOXES
from appliance.exports.formats import Format
from appliance.exports.sheets import write_file
from appliance.faces import Counts
from appliance.time_zone import named
from appliance.times import utc_seconds
from tests.fleets import NOON, Fleet
from tests.starts import start

HOUR_S = 3600


@pytest.fixture
def fleet(tmp_path: Path, made_database: str) -> Iterator[Fleet]:
    """Box `lobby` with a name that is a formula, and `dock`; 60 hours around a midnight of Berlin, and some minutes."""
    made = Fleet(tmp_path / "state", made_database)
    made.change_box("lobby", title="=1+1")
    for hour in range(60):
        for stream_id in (1, 2):
            made.add_hour(stream_id, NOON - HOUR_S * hour, Counts(hour, stream_id, 0, 2), 3500, unverified=hour % 2)
    berlin = named("Europe/Berlin")
    assert berlin
    days.follow_zone(made.db, berlin)
    for stream_id in (1, 2):
        made.add_minutes(stream_id, NOON - 7200, {minute: Counts(mask=minute % 4) for minute in range(0, 90, 3)})
    yield made
    made.close()


def told(fleet: Fleet, wanted: Wanted) -> list[dict[str, Any]]:
    return [dict(zip(SUMS_OF_BOXES.names, row, strict=True)) for batch in rows(fleet.store, wanted) for row in batch]


SCOPES = st.builds(
    Scope,
    person=st.sampled_from([None, 2, 3]),
    site_id=st.sampled_from([None, 1, 2, 99]),
    box_id=st.sampled_from([None, "lobby", "dock", "no-such"]),
    stream_id=st.sampled_from([None, 1, 2, 99]),
)
MOMENTS = st.none() | st.integers(-70 * 60, 5 * 60).map(lambda minute: NOON + 60.0 * minute)


@hypothesis.settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(
    scope=SCOPES, step=st.sampled_from(STEPS), since_utc=MOMENTS, until_utc=MOMENTS, batch=st.sampled_from([60, 200])
)
def test_any_choice_in_any_batches_gives_the_sums_that_the_pages_show(
    fleet: Fleet,
    monkeypatch: pytest.MonkeyPatch,
    scope: Scope,
    step: Step,
    since_utc: float | None,
    until_utc: float | None,
    batch: int,
) -> None:
    monkeypatch.setattr(sheets, "BATCH_ROWS", batch)
    wanted = Wanted(scope, step, since_utc, until_utc)
    found = told(fleet, wanted)
    assert found == sorted(found, key=lambda row: (row["stream_id"], row["start_utc"]))
    span = sheets._span(fleet.store, wanted)
    if span is None:
        assert found == []
        return
    for stream_id in (1, 2):
        mine = Scope(scope.person, scope.site_id, scope.box_id, stream_id)
        series = fleet.store.sums.series(mine, span) if scope.stream_id in (None, stream_id) else {}
        own = {int(utc_seconds(row["start_utc"])): row for row in found if row["stream_id"] == stream_id}
        assert own.keys() == series.keys()
        for start_utc, sums in series.items():
            row = own[start_utc]
            assert [row[f"{name}_persons"] for name in ("mask", "no_mask", "incorrect", "unknown")] == [
                *(sums.counts.mask, sums.counts.no_mask, sums.counts.incorrect, sums.counts.unknown)
            ]
            assert (row["watched_s"], row["unverified_minutes"]) == (sums.watched_s, sums.unverified)
            assert utc_seconds(row["start_local"]) == start_utc < utc_seconds(row["end_utc"])


def test_a_program_has_all_forms_of_what_its_person_sees(fleet: Fleet, tmp_path: Path) -> None:
    def ask(who: str, query: str) -> bytes:
        answer = fleet.browser().client.get(
            f"/api/v1/export/sums?{query}", headers={"Authorization": f"Bearer token of {who}"}
        )
        assert answer.status_code == 200, answer.text
        return answer.content

    lines = [json.loads(line) for line in ask("ann", "format=jsonl&step=day").splitlines()]
    assert {row["box"] for row in lines} == {"lobby", "dock"} and {row["site"] for row in lines} == {"north", "south"}
    assert {row["start_local"][10:] for row in lines} == {"T00:00:00.000+01:00"}
    assert sum(row["mask_persons"] for row in lines) == 2 * sum(range(60))
    table = list(csv.DictReader(io.StringIO(ask("ann", "step=day&box=lobby").decode(), newline="")))
    assert len(table) * 2 == len(lines) and {row["box_title"] for row in table} == {"'=1+1"}
    assert [row["mask_persons"] for row in table] == [
        str(row["mask_persons"]) for row in lines if row["box"] == "lobby"
    ]
    path = tmp_path / "sums.sqlite"
    path.write_bytes(ask("sci", "format=sqlite&step=hour&since=2026-11-24T00:00:00Z"))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("select distinct box from sums").fetchall() == [("lobby",)]
        assert connection.execute("select count(*) from sums").fetchone() == (13,)
        about = dict(connection.execute("select name, value from about"))
    assert about["time_zone"] == "Europe/Berlin" and about["step"] == "hour" and "only_since" in about
    assert ask("eve", "").decode().strip() == ",".join(SUMS_OF_BOXES.names)
    assert [path for path in fleet.config.state.iterdir() if "sending" in path.name] == []
    taken = [row["details"] for row in fleet.db.query("select details from audit where action = 'exported'")]
    assert len(taken) == 4 and '"box":"lobby"' in taken[1] and '"format":"sqlite"' in taken[2]


def test_the_page_leads_to_a_file_and_says_what_cannot_be_read(fleet: Fleet) -> None:
    sci = fleet.browser("sci")
    page = sci.get("/export?box=lobby&since=2026-11-23T23:00Z&until=2026-11-24T12:00Z").text
    assert "dock" not in page and "Days are those of Europe/Berlin" in page
    link = next(part for part in page.split('"') if part.startswith("/export/sums?") and "step=day" in part)
    answer = sci.get(link.replace("&amp;", "&"))
    assert answer.status_code == 200 and len(answer.text.splitlines()) == 2, "the header, and today"
    assert answer.headers["content-disposition"].startswith('attachment; filename="mb9k-centre-sums-2026')
    for query, reason in (
        ("step=year", "step must be one of minute, hour, day."),
        ("format=zip", "format must be one of csv, jsonl, sqlite."),
        ("since=2026-11-24T12:00Z&until=2026-11-23T12:00Z", "swap its ends"),
        ("since=yesterday", "since must be a time such as"),
    ):
        refused = sci.get(f"/export/sums?{query}")
        assert refused.status_code == 400 and reason in refused.text
    refused = sci.get("/export/sums?format=zip", headers={"Accept-Language": "de"})
    assert "format muss " in refused.text
    assert len(list(fleet.db.query("select 1 as one from audit where action = 'exported'"))) == 1


def test_a_batch_is_small_however_much_there_is(fleet: Fleet) -> None:
    assert max(len(batch) for batch in rows(fleet.store, Wanted(Scope(), "minute"))) <= BATCH_ROWS
    assert sheets.most_rows(fleet.store, Wanted(Scope(), "hour")) == 120


def test_the_command_writes_to_standard_output_or_a_file(fleet: Fleet, tmp_path: Path) -> None:
    config = tmp_path / "central.toml"
    url = fleet.config.database.url
    folder = fleet.config.state if url else tmp_path
    config.write_text(f'state_dir = "{folder}"\nname = "main"\n[database]\nurl = "{url}"\n')
    code, said = start_central(config, "export", "--step", "day", "--site", "NORTH")
    assert code == 0 and len(said.splitlines()) == 4 and "lobby" in said and "dock" not in said
    output = tmp_path / "made.sqlite"
    assert start_central(config, "export", "--format", "sqlite", "-o", str(output)) == (0, "")
    assert output.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(output)) as connection:
        assert connection.execute("select count(*) from sums").fetchone() == (120,)
    for words, reason in (
        (("--box", "moon"), "There is no box moon; `mb9k central boxes` lists them."),
        (("-o", str(output)), "is there already; name another file"),
    ):
        code, said = start_central(config, "export", *words)
        assert code == 1 and said.count("\n") == 1 and reason in said


def start_central(config: Path, *words: str) -> tuple[int | None, str]:
    """A command of a centre."""
    return start(config, "central", "--config", str(config), *words)


def test_a_file_is_whole_or_not_there(fleet: Fleet, tmp_path: Path) -> None:
    fleet.db.execute("alter table hours rename to hours_elsewhere")
    made = sheet(fleet.store, Wanted(Scope(), "hour", 0.0), Format.CSV, "main", NOON)
    with pytest.raises(sqlite3.Error):
        write_file(made, tmp_path / "sums.csv")
    assert not list(tmp_path.glob("sums.csv*"))
