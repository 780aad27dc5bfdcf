"""What was committed is there after a power cut and after kill -9, and every start is clean.

More than CI has time for: MB9K_CUTS=1000 MB9K_KILLS=90 .venv/bin/pytest -s --timeout 3600 tests/test_power_cuts.py
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from appliance.service import SERVICES
from tests.boxes import START_S, Box, is_listening, until
from tests.conftest import REPOSITORY
from tests.power import Call, cuts, losses, record, writer
from tests.test_alone import started

CUTS = int(os.environ.get("MB9K_CUTS", "100"))
KILLS = int(os.environ.get("MB9K_KILLS", "3"))
OFTEN = "pragma wal_autocheckpoint=40;"  # so that the short sequence has checkpoints in it


def recorded(folder: Path, pragmas: str) -> list[Call]:
    folder.mkdir()
    try:
        calls = record(folder, pragmas)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"there is no right to trace a process, or no strace (apt install strace): {error}")
    assert sum(call.kind == "pwrite64" and call.file == "mb9k.db" for call in calls) > 50, "no checkpoints"
    assert sum(call.kind == "said" for call in calls) > 100
    return calls


def lost(calls: list[Call], folder: Path, number: int) -> list[str]:
    """What is lost or not clean after so many cuts."""
    found = []
    for count, (cut, files, committed) in enumerate(cuts(calls, number, seed=number)):
        state = folder / str(count)
        (state / "images").mkdir(parents=True)
        for name, content in files.items():
            if content is not None:
                (state / name).write_bytes(content)
        if files.get("mb9k.db") is not None or committed:
            found += [f"cut {count} at call {cut}: {loss}" for loss in losses(state, committed)]
        shutil.rmtree(state)
    return found


def test_no_committed_row_and_no_image_of_one_is_lost_by_a_power_cut(tmp_path: Path) -> None:
    calls = recorded(tmp_path / "recorded", OFTEN)
    begun_s = time.monotonic()
    assert lost(calls, tmp_path, CUTS) == []
    print(f"{CUTS} cuts in {len(calls)} calls, none lost a row: {time.monotonic() - begun_s:.0f} s")


def test_a_power_cut_while_the_store_is_made_leaves_one_that_can_be_started(tmp_path: Path) -> None:
    calls = recorded(tmp_path / "recorded", OFTEN)
    begin = next(number for number, call in enumerate(calls) if call.kind == "said")
    assert lost(calls[:begin], tmp_path, CUTS) == []


def test_a_store_that_does_not_wait_for_the_disk_would_be_seen_to_lose_rows(tmp_path: Path) -> None:
    calls = recorded(tmp_path / "recorded", f"{OFTEN} pragma synchronous=normal;")
    assert any("detection" in loss for loss in lost(calls, tmp_path, 60))


def committed_when_killed(folder: Path, after_s: float, others: Sequence[int] = ()) -> dict[int, int]:
    """Kill a process that records, and others, so long after it began; the votes of what it said it had committed."""
    with subprocess.Popen(writer(folder, "", 100_000), stdout=subprocess.PIPE, cwd=REPOSITORY) as process:
        assert process.stdout
        committed = dict(json.loads(process.stdout.readline()))
        time.sleep(after_s)
        for pid in random.sample([process.pid, *others], 1 + len(others)):
            os.kill(pid, signal.SIGKILL)
        for line in process.stdout:
            committed.update(json.loads(line))
    return committed


def test_no_committed_row_is_lost_by_kill_9(tmp_path: Path) -> None:
    chance = random.Random()  # noqa: S311
    for _ in range(KILLS):
        committed = committed_when_killed(tmp_path, chance.uniform(0, 1.5))
        assert committed and losses(tmp_path, committed) == []


def test_a_whole_box_that_is_killed_at_any_moment_starts_clean(tmp_path: Path, free_port: Callable[[], int]) -> None:
    chance = random.Random()  # noqa: S311
    box = Box(tmp_path, "embedded", free_port)
    box.store.close()
    rows = 0
    for _ in range(1 + KILLS // 3):
        with box.running(show_log=False) as running:
            until(lambda: is_listening(box.config.web.port), START_S, "the site")
            services = [box.service_pid(service.name) for service in SERVICES]
            committed = committed_when_killed(box.config.state, chance.uniform(0, 2), [running.pid, *services])
            running.wait()
        assert losses(box.config.state, committed) == []
        assert started(box, "check") == (0, f"{box.config.store_path}: all is well\n")
        rows += len(committed)
    print(f"{1 + KILLS // 3} kills of the whole box, {rows} rows committed, none lost")
