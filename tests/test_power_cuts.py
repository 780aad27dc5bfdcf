"""What was committed is there after a power cut and after kill -9, and every start is clean.

More than CI has time for: MB9K_CUTS=1000 MB9K_KILLS=90 .venv/bin/pytest -s --timeout 3600 tests/test_power_cuts.py
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from appliance.service import SERVICES
from appliance.store import Store
from appliance.vision.clip import make_clip
from tests.boxes import START_S, Box, is_listening, publishing, until
from tests.conftest import REPOSITORY
from tests.power import Call, Said, cuts, losses, record, writer
from tests.test_alone import started

CUTS = int(os.environ.get("MB9K_CUTS", "100"))
KILLS = int(os.environ.get("MB9K_KILLS", "3"))
OFTEN = "pragma wal_autocheckpoint=40;"  # so that the short sequence has checkpoints in it


def recorded(folder: Path, pragmas: str) -> list[Call]:
    folder.mkdir()
    if not shutil.which("strace"):
        pytest.skip("strace is missing (apt install strace)")
    if subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode:
        pytest.skip("there is no right to trace a process here")
    calls = record(folder, pragmas)
    assert sum(call.kind == "pwrite64" and call.file == "mb9k.db" for call in calls) > 50, "no checkpoints"
    assert sum(call.kind == "said" for call in calls) > 100
    return calls


def lost(calls: list[Call], folder: Path, number: int) -> list[str]:
    """What is lost or not clean after so many cuts."""
    found = []
    for count, (cut, files, said) in enumerate(cuts(calls, number, seed=number)):
        state = folder / str(count)
        (state / "images").mkdir(parents=True)
        for name, content in files.items():
            if content is not None:
                (state / name).write_bytes(content)
        if files.get("mb9k.db") is not None or said.votes:
            found += [f"cut {count} at call {cut}: {loss}" for loss in losses(state, said)]
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


def said_when_killed(folder: Path, after_s: float, others: Sequence[int] = ()) -> Said:
    """Kill a process that records, and others, so long after it began; what it had said."""
    said = Said()
    with subprocess.Popen(writer(folder, "", 100_000), stdout=subprocess.PIPE, cwd=REPOSITORY) as process:
        assert process.stdout
        said.hear(process.stdout.readline())
        time.sleep(after_s)
        kill_9([process.pid, *others])
        for line in process.stdout:
            said.hear(line)
    assert process.returncode == -signal.SIGKILL, "it ended by itself"
    return said


def kill_9(pids: Sequence[int]) -> None:
    """End processes at once, in any order."""
    for pid in random.sample(pids, len(pids)):
        os.kill(pid, signal.SIGKILL)


def test_no_committed_row_is_lost_by_kill_9(tmp_path: Path) -> None:
    chance = random.Random()
    for _ in range(KILLS):
        said = said_when_killed(tmp_path, chance.uniform(0, 1.5))
        assert said.votes and losses(tmp_path, said) == []


def test_a_whole_box_that_is_killed_at_any_moment_starts_clean(tmp_path: Path, free_port: Callable[[], int]) -> None:
    chance = random.Random()
    box = Box(tmp_path, "embedded", free_port)
    box.store.close()
    rows = 0
    for _ in range(1 + KILLS // 3):
        with box.running(show_log=False) as running:
            until(lambda: is_listening(box.config.web.port), START_S, "the site")
            services = [box.service_pid(service.name) for service in SERVICES]
            said = said_when_killed(box.config.state, chance.uniform(0, 2), [running.pid, *services])
            running.wait()
        assert losses(box.config.state, said) == []
        assert started(box, "check") == (0, f"{box.config.store_path}: all is well\n")
        rows += len(said.votes)
    print(f"{1 + KILLS // 3} kills of the whole box, {rows} rows committed, none lost")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's people, for ten seconds."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    make_clip(path, seconds=10)
    return path


def seen_until_killed(box: Box, pids: Sequence[int], after_s: float) -> Said:
    """What another process reads of the record, until the box is killed so long after the first row came."""
    seen, end_s = Said(), None
    with closing(Store.open_readonly(box.config.store_path)) as reader:
        before = {row["id"] for row in reader.db.execute("select id from detections")}
        begun_s = time.monotonic()
        while end_s is None or time.monotonic() < end_s:
            seen.votes |= {row["id"]: row["votes"] for row in reader.db.execute("select id, votes from detections")}
            if end_s is None and seen.votes.keys() - before:
                end_s = time.monotonic() + after_s
            assert end_s or time.monotonic() - begun_s < START_S, f"nobody was seen: {box.log()}"
            time.sleep(0.02)
        kill_9(pids)
    return seen


def test_what_others_read_of_a_box_that_is_killed_while_somebody_publishes_is_there_afterwards(
    tmp_path: Path, free_port: Callable[[], int], clip: Path
) -> None:
    if not shutil.which("ffmpeg"):
        pytest.skip("there is no ffmpeg; apt-get install ffmpeg")
    chance = random.Random()
    box = Box(tmp_path, "embedded", free_port)
    box.store.close()
    rounds, seen = 1 + KILLS // 3, Said()
    for _ in range(rounds):
        with box.running(show_log=False) as running, publishing(clip, box.url()):
            until(lambda: is_listening(box.config.web.port), START_S, "the site")
            services = [box.service_pid(service.name) for service in SERVICES]
            seen = seen_until_killed(box, [running.pid, *services], chance.uniform(0, 4))
            running.wait()
        assert losses(box.config.state, seen) == []
        assert started(box, "check") == (0, f"{box.config.store_path}: all is well\n")
    print(f"{rounds} kills of a box with a publisher, {len(seen.votes)} rows read before the last, none lost")
