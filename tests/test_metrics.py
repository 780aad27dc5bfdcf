"""/metrics and the page Health of a box: who may ask, what is told, and that a Prometheus server can read it."""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance import board
from appliance.board import ROOT, Board, Memory, Throttled, Throttling, look
from appliance.cli import cli
from appliance.faces import Health, Judging, State, Work
from appliance.web.metrics import Metric, Sample, counter, exposition, gauge, labels, summary
from tests import metrics
from tests.conftest import REPOSITORY
from tests.metrics import dashboard_complaints, value
from tests.site import Box

DASHBOARD = REPOSITORY / "docs" / "grafana-box.json"
WARM = Board({"cpu-thermal": 61.5}, Throttled(frozenset({Throttling.HOT}), frozenset(), frozenset(Throttling)),
             Memory(4_000_000_000, 1_000_000_000), 0.5, 4)  # fmt: skip
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x1c\x1d\x1e\x85\u2028\u2029\x0b\x0c"))


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "state")
    yield made
    made.close()


def judge(box: Box, problem: str | None = None) -> None:
    """What a watcher writes while it judges stream 1; the other services live, too."""
    now = box.clock.now
    for name in ("gate", "ingest", "serve", "sync", "notify"):
        box.store.services.heartbeat(name, 7, now.utc - 60, None, now)
    judging = None if problem else Judging("onnx", "the processor (CPU)", "There is no GPU.", "2026-11-23T16:00:00Z")
    box.store.services.heartbeat("watch", 8, now.utc - 60, problem, now, judging)
    box.store.streams.set_live(1, "192.0.2.7", now.utc)
    work = Work(1234, 56, 78, 9, 493.6, 2.5)
    box.store.streams.set_health(1, Health(0.12, 0.95, 28, 118, None, 0.4), work)


def ask(box: Box, token: str | None = None, role: str | None = None) -> httpx.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return box.browser(role).get("/metrics", headers=headers)


def made_token(box: Box) -> str:
    page = box.browser("ann").follow("/box-health/token").text
    found = re.search(r'<code id="token" data-copied>([^<]+)</code>', page)
    assert found and "to you alone" in page
    return found[1]


@given(TEXT, TEXT, st.floats(allow_nan=False))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_whatever_a_label_holds_is_read_as_it_was(label: str, text: str, number: float) -> None:
    made = exposition([gauge("mb9k_x", text, [(labels(name=label, other=""), number)])])
    [((_, told), read)] = metrics.series(made).items()
    assert (dict(told), read) == ({"name": label, "other": ""}, number)


def test_what_is_not_known_is_left_out() -> None:
    made = exposition(
        [gauge("mb9k_a", "A.", None), gauge("mb9k_b", "B.", [(labels(x="1"), None), (labels(x="2"), True)])]
    )
    assert made == '# HELP mb9k_b B.\n# TYPE mb9k_b gauge\nmb9k_b{x="2"} 1\n'
    assert exposition([summary("mb9k_s", "S.", [("", 1.5, 3)])]).endswith("mb9k_s_sum{} 1.5\nmb9k_s_count{} 3\n")
    assert value(exposition([gauge("mb9k_n", "N.", math.nan)]), "mb9k_n") is not None


@pytest.mark.parametrize(
    "wrong",
    [
        gauge("mb9k_x_total", "X.", 1),
        counter("mb9k_x", "X.", 1),
        gauge("other_x", "X.", 1),
        gauge("mb9k_x_ms", "X.", 1),
        gauge("mb9k_x", "", 1),
        Metric("mb9k_x", "gauge", "X.", [Sample(1, ""), Sample(2, "")]),
    ],
)
def test_the_check_of_names_finds_what_is_wrong(wrong: Metric) -> None:
    assert [*metrics.complaints(exposition([wrong]))]


def test_a_prometheus_server_can_read_all_of_it_and_its_names_are_as_they_should_be(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "look", lambda: WARM)
    judge(box)
    answer = ask(box, role="ann")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert not [*metrics.complaints(answer.text)]
    assert metrics.told(answer.text) == metrics.documented("mb9k_") - metrics.documented("mb9k_centre_")
    one, told = {"stream": "1"}, answer.text
    assert value(told, "mb9k_service_up", service="watch") == value(told, "mb9k_judging") == 1
    assert value(told, "mb9k_judging_info", backend="onnx", name="the processor (CPU)") == 1
    assert value(told, "mb9k_stream_info", **one, name="ann:door", codec="") == 1
    assert (value(told, "mb9k_stream_live", **one), value(told, "mb9k_stream_live", stream="2")) == (1, 0)
    assert value(told, "mb9k_stream_frames_judged_total", **one) == 1234
    assert value(told, "mb9k_stream_frames_judged_total", stream="2") is None, "it is not LIVE"
    assert value(told, "mb9k_stream_delay_seconds_sum", **one) == 493.6
    assert value(told, "mb9k_stream_delay_seconds_count", **one) == 1234
    assert value(told, "mb9k_stream_dropped_seconds_total", **one) == 2.5
    assert value(told, "mb9k_stream_looks_put_off_total", **one) == 56
    assert value(told, "mb9k_stream_faces_too_small_ratio", **one) == 0.12
    assert value(told, "mb9k_persons_today", **one, state=State.MASK.value) == 1
    assert value(told, "mb9k_temperature_celsius", zone="cpu-thermal") == 61.5
    assert value(told, "mb9k_throttled", reason="hot") == 1
    assert value(told, "mb9k_throttled", reason="under_voltage") == 0
    assert value(told, "mb9k_problems") == 0 and value(told, "mb9k_notices") == 1


def test_a_service_that_is_gone_or_not_well_is_told_to_people_and_programs_alike(box: Box) -> None:
    judge(box, "Nothing is judged, because the model fails its self-test: hopper has no face")
    told, page = ask(box, role="ann").text, box.browser("sci").get("/box-health").text
    assert value(told, "mb9k_judging") == 0 and value(told, "mb9k_service_problem", service="watch") == 1
    assert value(told, "mb9k_problems") == 1 and page.count('class="problem"') == 1
    assert "the model fails its self-test" in page and "not passed" in page and "All is well." not in page
    assert "the model fails its self-test" in box.browser("sci").get("/").text, "one truth"
    box.clock.forward(60)
    told = ask(box, role="ann").text
    assert value(told, "mb9k_service_up", service="watch") == value(told, "mb9k_stream_live", stream="1") == 0
    assert value(told, "mb9k_service_start_time_seconds", service="watch") is None
    assert box.browser("sci").get("/box-health").text.count("does not run") == 6


def test_the_page_shows_a_scientist_own_streams_and_no_way_to_make_a_token(box: Box) -> None:
    judge(box)
    admins, scientists = box.browser("ann").get("/box-health").text, box.browser("sci").get("/box-health").text
    assert "ann:door" in admins and "sci:lab" in admins and "Make a metrics token" in admins
    assert "ann:door" not in scientists and "sci:lab" in scientists and "metrics token" not in scientists
    for figure in ("1\u202f234", "4 %", "0.4 s", "12 %", "28 px"):
        assert figure in admins, figure


def test_the_metrics_token_opens_the_metrics_alone_until_there_is_another(box: Box) -> None:
    first = made_token(box)
    assert ask(box, first).status_code == 200
    second = made_token(box)
    assert (ask(box, first).status_code, ask(box, second).status_code) == (401, 200)
    for path in ("/box-health", "/", "/api/v1/status", "/people"):
        answer = box.browser().get(path, headers={"Authorization": f"Bearer {second}"})
        assert answer.status_code in (303, 401), path
    kept = box.config.metrics_token_path
    assert second not in kept.read_text() and stat.S_IMODE(kept.stat().st_mode) == 0o600
    box.browser("ann").post("/box-health/token/forget")
    noted = box.browser("ann").get("/api/v1/audit").text
    assert noted.count("for /metrics") == 3 and second not in noted
    assert ask(box, second).status_code == 401 and not kept.exists()
    assert ask(box).status_code == ask(box, "").status_code == ask(box, "token of ann").status_code == 401
    assert ask(box, role="sci").status_code == 403
    assert "token" in ask(box).text and ask(box).headers["www-authenticate"] == "Bearer"


def test_a_token_of_the_command_line_is_for_the_site_to_read(box: Box, tmp_path: Path) -> None:
    settings_path = tmp_path / "mb9k.toml"
    settings_path.write_text(f'state_dir = "{box.config.state}"\n')
    made = CliRunner().invoke(cli, ["--config", str(settings_path), "metrics", "token"], catch_exceptions=False)
    assert ask(box, made.stdout.strip()).status_code == 200
    kept = box.config.metrics_token_path
    assert kept.stat().st_uid == kept.parent.stat().st_uid
    ended = CliRunner().invoke(cli, ["--config", str(settings_path), "metrics", "token", "--end"])
    assert "No token opens /metrics any more." in ended.stdout
    assert ask(box, made.stdout.strip()).status_code == 401


def test_a_box_that_was_claimed_by_nobody_tells_nothing(tmp_path: Path) -> None:
    new = Box(tmp_path / "state", claimed=False)
    assert ask(new).status_code == 401
    new.close()


def test_a_machine_as_it_is_can_be_told(box: Box) -> None:
    known = look(ROOT)
    assert known.memory and known.memory.available_bytes <= known.memory.size_bytes and known.load is not None
    told = ask(box, role="ann").text
    assert (value(told, "mb9k_disk_free_bytes") or 0) <= (value(told, "mb9k_disk_size_bytes") or 0)
    assert (value(told, "mb9k_record_size_bytes") or 0) > 10_000


def test_every_figure_of_the_dashboard_is_told(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "look", lambda: WARM)
    judge(box)
    assert not [*dashboard_complaints(DASHBOARD, ask(box, role="ann").text)]


def test_a_board_without_a_thermometer_has_no_temperature(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "look", lambda: replace(WARM, temperatures_c={}, throttled=None, memory=None))
    told = ask(box, role="ann").text
    assert "temperature" not in told and "throttled" not in told and "memory" not in told
    page = box.browser("ann").get("/box-health").text
    assert "no thermometer" in page and "does not tell" in page
