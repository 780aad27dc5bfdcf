"""One of each service on one state folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.alone import refuse_company, stay_alone
from appliance.errors import UserError
from tests.boxes import START_S, Box, is_listening, until
from tests.conftest import REPOSITORY


def holder(folder: Path, name: str) -> subprocess.Popen[str]:
    """A process that holds the lock (it has said so)."""
    program = (
        f"from pathlib import Path; from appliance.alone import stay_alone\n"
        f"stay_alone(Path({str(folder)!r}), {name!r})\nprint('held', flush=True)\nimport time; time.sleep(100)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    assert process.stdout and process.stdout.readline() == "held\n"
    return process


def test_a_second_one_is_refused_in_one_line_that_names_the_first(tmp_path: Path) -> None:
    with holder(tmp_path, "watch") as first:
        with pytest.raises(UserError, match=rf"^`mb9k watch` runs on .* already \(process {first.pid}\); stop") as why:
            stay_alone(tmp_path, "watch")
        assert "\n" not in str(why.value)
        refuse_company(tmp_path, "gate")
        first.kill()


def test_after_kill_9_the_next_is_let_in(tmp_path: Path) -> None:
    with holder(tmp_path, "watch") as first:
        first.kill()
    with holder(tmp_path, "watch") as second:
        second.kill()


def test_one_whose_parent_is_gone_is_waited_for(tmp_path: Path) -> None:
    script = "import os, sys, time; print(os.getpid(), flush=True); time.sleep(1)"
    program = (
        "import os, subprocess, sys\n"
        f"subprocess.Popen([sys.executable, '-c', '''from pathlib import Path\n"
        f"from appliance.alone import stay_alone\nstay_alone(Path({str(tmp_path)!r}), 'watch')\n{script}'''])\n"
        "sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY, **pipes) as parent:  # type: ignore[call-overload]
        orphan = int(parent.stdout.readline())
        parent.kill()
    assert Path(f"/proc/{orphan}").exists()
    refuse_company(tmp_path, "watch")


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="the box must be able to write into its state_dir"):
        stay_alone(tmp_path / "file", "watch")


def started(box: Box, *words: str) -> tuple[int, str]:
    """A command of the box, until it ends: its exit code and all it said."""
    command = [sys.executable, "-m", "appliance.cli", "--config", str(box.path), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=REPOSITORY)
    return done.returncode, done.stdout + done.stderr


def test_a_second_box_on_one_state_folder_ends_at_once(tmp_path: Path, free_port: Callable[[], int]) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    first, second = (Box(tmp_path / name, "embedded", free_port) for name in ("one", "two"))
    second.path.write_text(second.path.read_text().replace(str(tmp_path / "two" / "state"), first.config.state_dir))
    with first.running() as running:
        until(lambda: is_listening(first.config.web.port), START_S, "the site")
        until(lambda: (first.config.state / "watch.lock").exists(), START_S, "the watcher")
        for word in ("run", "watch", "gate", "serve", "ingest"):
            code, said = started(second, word)
            line = said.strip().splitlines()
            assert code == 1 and len(line) == 1, said
            assert f"`mb9k {word}` runs on" in line[0]
        assert f"(process {running.pid})" in started(second, "run")[1]


def test_a_box_that_was_killed_starts_again_at_once(tmp_path: Path, free_port: Callable[[], int]) -> None:
    box = Box(tmp_path, "embedded", free_port)
    for _ in range(2):
        with box.running() as running:
            until(lambda: (box.config.state / "watch.lock").exists(), START_S, "the watcher")
            assert running.poll() is None, box.log()
            os.kill(running.pid, signal.SIGKILL)
            running.wait()
