"""Exports: every form holds just the rows that were asked for, and says what each column means."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from appliance.accounts.people import Role
from appliance.errors import InputError, UserError
from appliance.exports import rows
from appliance.exports.batches import LocalTimes
from appliance.exports.columns import DETECTIONS, SUMS
from appliance.exports.export import FORMATS, Export, What
from appliance.exports.formats import Format
from appliance.exports.sheets import write_file
from appliance.faces import Counts, Detection, State
from appliance.images import ImageFiles
from appliance.store import DetectionFilter, Store
from appliance.store.trends import Step
from appliance.time_zone import TimeZone, named
from appliance.times import Now, utc_seconds, utc_text
from appliance.web.tables import FORMULA
from tests.starts import start

NOON = 1_795_521_600.0  # 2026-11-24T12:00:00Z
SEEN = Detection(NOON, NOON + 2.5, State.MASK, 0.9, 7, (1.25, 2, 30, 40), 640, 360, "m")
ALL = DetectionFilter()
ZONES = ["UTC", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/New_York", "Africa/Monrovia"]


def zone(name: str = "Europe/Berlin") -> TimeZone:
    found = named(name)
    assert found
    return found


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Store]:
    """Two streams, 40 detections of all states, from noon on each ten minutes."""
    with closing(Store.open(tmp_path / "mb9k.db")) as store:
        store.people.add("ann", "hash", Role.ADMIN, NOON)
        store.people.add("=cmd|' /C calc'!A0", "hash", Role.DATA_SCIENTIST, NOON)
        store.streams.add_with_key(1, 'door, the "red" one', "a", NOON)
        store.streams.add_with_key(2, "@lab", "b", NOON)
        with store.writing():
            store.summaries.begin_epoch(Now(NOON, "boot", 0.0), True)
            store.trends.follow_zone(zone())
        for number in range(40):
            at = NOON + 600 * number
            seen = replace(SEEN, first_seen_utc=at, last_seen_utc=at + number / 8, state=list(State)[number % 4])
            detection_id = store.detections.add(1 + number % 2, replace(seen, too_small=number % 8 == 3))
            if number % 5 == 0:
                store.detections.correct_state(detection_id, State.MASK, "+ann")
        yield store


def exported(store: Store, what: What, form: Format, where: DetectionFilter = ALL, **more: Any) -> Export:
    images = ImageFiles(Path(store.db.execute("pragma database_list").fetchone()["file"]).parent / "images")
    return Export(what, form, where, store, images, zone(), "hallway", NOON + 86400, **more)


def from_csv(made: Export) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(b"".join(made.parts()).decode(), newline="")))


def from_json(made: Export) -> list[dict[str, Any]]:
    return [json.loads(line) for line in b"".join(made.parts()).splitlines()]


def from_sqlite(made: Export, path: Path) -> list[dict[str, Any]]:
    write_file(made, path)
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"select * from {made.what.value} order by stream, 4, rowid")]


FILTERS = st.builds(
    DetectionFilter,
    stream_id=st.sampled_from([None, 1, 2, 99]),
    state=st.sampled_from([None, *State]),
    since_utc=st.none() | st.integers(-1, 41).map(lambda number: NOON + 600.0 * number),
    until_utc=st.none() | st.integers(-1, 41).map(lambda number: NOON + 600.0 * number),
    search=st.sampled_from(["", "ann", "LAB", "nobody"]),
)


@hypothesis.settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(where=FILTERS, batch=st.integers(1, 7))
def test_any_filter_in_any_batches_gives_the_rows_that_a_plain_reading_finds(
    filled: Store, monkeypatch: pytest.MonkeyPatch, where: DetectionFilter, batch: int
) -> None:
    monkeypatch.setattr(rows, "BATCH_ROWS", batch)
    expected = filled.detections.page(where, limit=1000)
    expected.sort(key=lambda each: (each.stream, each.detection.first_seen_utc, each.id))
    found = from_json(exported(filled, What.DETECTIONS, Format.JSON_LINES, where))
    assert [row["detection_id"] for row in found] == [each.id for each in expected]
    for row, each in zip(found, expected, strict=True):
        assert list(row) == DETECTIONS.names
        assert row["stream"] == each.stream and row["state"] == each.detection.state.value
        assert row["last_seen_utc"] == utc_text(each.detection.last_seen_utc)
        assert row["unknown_reason"] == ("too_small" if each.detection.too_small else None)
        assert row["edited_by"] == each.edited_by and row["judged_state"] == each.judged_state and row["model"] == "m"


def test_all_forms_hold_the_same(filled: Store, tmp_path: Path) -> None:
    for what, table in ((What.DETECTIONS, DETECTIONS), (What.SUMS, SUMS)):
        as_json = from_json(exported(filled, what, Format.JSON_LINES))
        assert len(as_json) > 10
        assert from_sqlite(exported(filled, what, Format.SQLITE), tmp_path / f"{what.value}.sqlite") == as_json
        for as_text, row in zip(from_csv(exported(filled, what, Format.CSV)), as_json, strict=True):
            assert list(as_text) == table.names
            for name, value in row.items():
                assert as_text[name].lstrip("'") == ("" if value is None else str(value)), name


def test_no_cell_of_a_csv_is_a_formula(filled: Store) -> None:
    found = from_csv(exported(filled, What.DETECTIONS, Format.CSV))
    assert {row["stream"] for row in found} == {'ann:door, the "red" one', "'=cmd|' /C calc'!A0:@lab"}
    assert {row["edited_by"] for row in found} == {"", "'+ann"}
    free = [column.name for column in DETECTIONS.columns if column.free_text]
    assert not [row for row in found for name in free if row[name].startswith(FORMULA)]


def test_a_sqlite_file_says_of_itself_what_it_holds(filled: Store, tmp_path: Path) -> None:
    path = tmp_path / "sums.sqlite"
    write_file(exported(filled, What.SUMS, Format.SQLITE, DetectionFilter(1), step=Step.DAY), path)
    assert path.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(path)) as connection:
        about = dict(connection.execute("select name, value from about"))
        assert about["time_zone"] == "Europe/Berlin" and about["step"] == "day" and about["only_stream_id"] == "1"
        meanings = connection.execute("select name, unit, meaning from columns").fetchall()
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
    assert meanings == [(each.name, each.unit, each.meaning) for each in SUMS.columns]


@pytest.mark.parametrize("step", Step)
def test_sums_add_up_to_the_detections_and_go_on_without_them(filled: Store, step: Step) -> None:
    found = from_json(exported(filled, What.SUMS, Format.JSON_LINES, step=step))
    for stream_id in (1, 2):
        own = [row for row in found if row["stream_id"] == stream_id]
        total = Counts(*(sum(row[f"{state.value}_persons"] for row in own) for state in State))
        assert total == filled.detections.counts(DetectionFilter(stream_id))
        assert [row["start_utc"] for row in own] == sorted({row["start_utc"] for row in own})
    assert {row["start_local"][11:16] for row in found} == {"00:00"} if step is Step.DAY else True
    late = from_json(exported(filled, What.SUMS, Format.JSON_LINES, DetectionFilter(until_utc=NOON + 1), step=step))
    assert late == [row for row in found if utc_seconds(row["start_utc"]) <= NOON]


def test_sums_of_an_older_system_are_found_however_long_ago(filled: Store) -> None:
    for year in ("1971", "2999"):
        at = utc_seconds(f"{year}-03-01T10:00:00Z")
        filled.detections.add(1, replace(SEEN, first_seen_utc=at, last_seen_utc=at, model="by hand: ann"))
    found = from_json(exported(filled, What.SUMS, Format.JSON_LINES, DetectionFilter(1), step=Step.HOUR))
    assert (found[0]["start_utc"][:4], found[-1]["start_utc"][:4]) == ("1971", "2999")
    assert sum(row["mask_persons"] for row in found) == filled.detections.counts(DetectionFilter(1)).mask


@hypothesis.settings(max_examples=300, deadline=None, derandomize=True, database=None)
@hypothesis.given(
    moments=st.lists(st.integers(0, 40 * 31_556_952_000).map(lambda ms: ms / 1000), min_size=1, max_size=5),
    near_s=st.lists(st.integers(-7200, 7200), max_size=4),
    name=st.sampled_from(ZONES),
)
def test_a_local_time_is_the_same_moment(moments: list[float], near_s: list[int], name: str) -> None:
    times = LocalTimes(zone(name))
    for utc in [*moments, *(moments[0] + each for each in near_s if moments[0] + each >= 0)]:
        text = utc_text(utc)
        local = datetime.fromisoformat(times.local(text))
        assert local == datetime.fromisoformat(text.replace("Z", "+00:00"))
        assert local.utcoffset() == timedelta(seconds=zone(name).offset_s(utc))


def test_a_time_that_no_calendar_has_in_the_zone_is_empty() -> None:
    assert LocalTimes(zone("America/New_York")).local("0001-01-01T00:00:00.000Z") == ""
    assert LocalTimes(zone("Asia/Kolkata")).local("9999-12-31T23:59:59.000Z") == ""


def test_what_there_is_no_form_of_is_refused(filled: Store) -> None:
    for what in What:
        for form in set(Format) - set(FORMATS[what]):
            with pytest.raises(InputError, match=f"not as {form.value}"):
                exported(filled, what, form)


def test_no_file_is_written_over_and_none_is_left_half(filled: Store, tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    path.write_text("mine")
    with pytest.raises(UserError, match="is there already"):
        write_file(exported(filled, What.DETECTIONS, Format.CSV), path)
    assert path.read_text() == "mine"
    filled.db.execute("drop table quarters")
    with pytest.raises(sqlite3.OperationalError):
        write_file(exported(filled, What.SUMS, Format.CSV), tmp_path / "sums.csv")
    assert [each.name for each in tmp_path.iterdir() if "sums" in each.name] == []


def test_the_command_writes_to_standard_output_or_a_file(filled: Store, tmp_path: Path) -> None:
    config = tmp_path / "mb9k.toml"
    config.write_text(f'state_dir = "{tmp_path}"\n')
    code, said = start(config, "export", "detections", "--state", "unknown", "--stream", "1")
    assert code == 0 and said.splitlines()[0] == ",".join(DETECTIONS.names)
    code, said = start(config, "export", "sums", "--step", "day", "--format", "jsonl", "--since", "2026-11-24T23:00Z")
    assert code == 0 and {json.loads(line)["start_local"] for line in said.splitlines()} == set()
    output = tmp_path / "made.sqlite"
    assert start(config, "export", "detections", "--format", "sqlite", "-o", str(output)) == (0, "")
    with closing(sqlite3.connect(output)) as connection:
        assert connection.execute("select count(*) from detections").fetchone() == (40,)
    for words, reason in (
        (("--stream", "nobody:door"), "there is no stream nobody:door; `mb9k stream list` names them"),
        (("--format", "sqlite"), "a sqlite file is not for a terminal; name a file with --output"),
        (("--since", "yesterday"), "--since must be a time such as"),
        (("-o", str(output)), "is there already; name another file"),
    ):
        code, said = start(config, "export", "detections", *words)
        assert code == 1 and said.count("\n") == 1 and reason in said
