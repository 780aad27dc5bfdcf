"""`mb9k run`: children that die are started again, and none is left behind."""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from appliance.children import HUNG_S, Child, keep, stop
from appliance.config import Config
from appliance.errors import UserError
from appliance.supervisor import refuse_busy_ports
from appliance.times import now
from tests.boxes import Box
from tests.conftest import REPOSITORY

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


def runs(service: Child) -> bool:
    return service.process is not None and service.process.poll() is None


def until(condition: Callable[[], bool], patience_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline_s, "did not happen in time"
        time.sleep(0.02)


def test_a_killed_service_is_seen_logged_and_started_again(caplog: pytest.LogCaptureFixture) -> None:
    service = Child("watch", SLEEPER)
    service.look_after(100.0)
    assert service.process is not None
    first = service.process
    try:
        first.kill()
        first.wait()
        service.look_after(101.0)
        assert "watch died (signal SIGKILL)" in caplog.text
        assert not runs(service)
        service.look_after(101.4)
        assert not runs(service), "not before its pause is over"
        service.look_after(101.6)
        assert runs(service)
        assert service.process is not first
    finally:
        stop([service])


def test_the_pause_grows_while_it_keeps_dying_and_shrinks_after_a_steady_run() -> None:
    service = Child("gate", [sys.executable, "-c", ""])
    pauses = []
    now_s = 0.0
    for _ in range(8):
        service.look_after(now_s)
        assert service.process is not None
        service.process.wait()
        service.look_after(now_s)
        pauses.append(service.due_s - now_s)
        now_s = service.due_s
    assert pauses == [0.5, 1, 2, 4, 8, 10, 10, 10]
    service.look_after(now_s)
    assert service.process is not None
    service.process.wait()
    service.look_after(now_s + 60)
    assert service.due_s - (now_s + 60) == 0.5


def test_a_program_that_is_not_there_is_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    service = Child("mediamtx", ["/nowhere/mediamtx"])
    service.look_after(0.0)
    assert "cannot be started" in caplog.text
    assert service.due_s > 0


def test_a_service_that_hangs_is_seen_logged_and_started_again(caplog: pytest.LogCaptureFixture) -> None:
    script = "import time; from appliance.service import notify; notify('READY=1'); time.sleep(60)"
    child = Child("watch", [sys.executable, "-c", script])
    child.look_after(100.0)
    first = child.process
    assert first is not None
    try:
        while child.alive_s is None:
            child.look_after(100.0)
        child.look_after(100.0 + HUNG_S)
        assert first.poll() is None, "not before its time"
        child.look_after(100.1 + HUNG_S)
        assert first.poll() == -signal.SIGKILL
        assert "watch has hung for 60 s" in caplog.text
        child.look_after(101.0 + HUNG_S)
        child.look_after(102.0 + HUNG_S)
        assert runs(child)
        child.look_after(500.0)
        assert runs(child), "what the first one said does not count for the second"
    finally:
        stop([child])


def test_a_program_of_others_that_only_says_it_is_ready_has_not_hung() -> None:
    script = "import time; from appliance.service import notify; notify('READY=1'); time.sleep(60)"
    child = Child("mosquitto", [sys.executable, "-c", script], is_ours=False)
    child.look_after(100.0)
    try:
        while child.alive_s is None:
            child.look_after(100.0)
        child.look_after(200.0 + HUNG_S)
        assert runs(child)
    finally:
        stop([child])


def test_who_started_us_hears_when_all_are_up_and_that_they_are_looked_after(monkeypatch: pytest.MonkeyPatch) -> None:
    class Enough(Exception):
        pass

    said: list[str] = []

    def hear(state: str) -> None:
        said.append(state)
        if said.count("READY=1") and said.count("WATCHDOG=1") == 2:
            raise Enough

    script = "import time; from appliance.service import notify; time.sleep(0.5); notify('READY=1'); time.sleep(60)"
    ours = Child("gate", [sys.executable, "-c", script])
    others = Child("mosquitto", [sys.executable, "-c", "import time; time.sleep(60)"], is_ours=False)
    monkeypatch.setattr("appliance.children.notify", hear)
    try:
        with pytest.raises(Enough):
            keep([others, ours])
    finally:
        stop([ours, others])
    assert said == ["WATCHDOG=1", "READY=1", "WATCHDOG=1"]


def test_stopping_ends_a_child_that_does_not_want_to(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.children.STOP_S", 0.5)
    handlers = [(number, signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGINT)]
    stubborn = Child(
        "stubborn",
        [sys.executable, "-u", "-c", "import signal,time; signal.signal(15, signal.SIG_IGN); print(1); time.sleep(60)"],
    )
    process = stubborn.process = subprocess.Popen(stubborn.command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        process.stdout.readline()
        with caplog.at_level(logging.ERROR):
            stop([stubborn])
    for number, handler in handlers:
        signal.signal(number, handler)
    assert process.poll() == -signal.SIGKILL
    assert "killing it" in caplog.text


def test_children_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    script = (
        "import time; from appliance.children import Child\n"
        f"service = Child('x', {SLEEPER!r}); service.look_after(0.0)\n"
        "print(service.process.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()

    def gone() -> bool:
        try:
            return Path(f"/proc/{child}/stat").read_text().split()[2] == "Z"
        except OSError:
            return True

    until(gone)


def ignore_sigint() -> None:
    """What a shell does to a command that it starts in the background of a script."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.mark.parametrize("command", ["run", "gate", "ingest", "watch", "serve", "sync", "notify"])
def test_it_ends_on_sigint_also_if_whoever_started_it_ignored_that(
    tmp_path: Path, free_port: Callable[[], int], command: str
) -> None:
    box = Box(tmp_path, "embedded", free_port)
    starts = ("gate", "ingest", "watch", "serve", "sync", "notify") if command == "run" else (command,)

    def all_run() -> bool:
        return {service.name for service in box.store.services.all(now()) if service.alive} >= {*starts}

    words = [sys.executable, "-m", "appliance.cli", "--config", str(box.path), command]
    with box.log_path.open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd=REPOSITORY, preexec_fn=ignore_sigint)
    try:
        until(all_run, 30)
        pids = [box.service_pid(name) for name in starts]
        process.send_signal(signal.SIGINT)
        process.wait(15)
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
        assert "Traceback" not in box.log()
    finally:
        process.kill()
        process.wait()


def test_a_busy_port_is_one_line_that_names_it(free_port: Callable[[], int]) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        config = msgspec.convert(
            {
                "web": {"host": "127.0.0.1", "port": free_port()},
                "rtmp": {"host": "127.0.0.1", "port": port},
                "media": {name: free_port() for name in ("gate_port", "api_port", "read_port")},
            },
            Config,
        )
        with pytest.raises(UserError, match=f"port {port} is taken .* rtmp.port"):
            refuse_busy_ports(config)
    refuse_busy_ports(config)
