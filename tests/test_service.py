"""The frame of the services: what each of them is built in."""

from __future__ import annotations

import logging
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance import service
from appliance.errors import UserError
from appliance.service import (
    LINES_A_MINUTE,
    MAX_KINDS,
    LogLimit,
    http_status,
    keep_alive,
    notify,
    port_error,
    refuse_busy_port,
    repeat,
)
from tests.boxes import until
from tests.clock import Clock


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """A stand-in for systemd: the socket at which it hears its services."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    channel.bind(str(tmp_path / "notify"))
    channel.settimeout(5)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    return channel


def test_systemd_receives_each_notice(systemd: socket.socket) -> None:
    with systemd:
        notify("READY=1")
        assert systemd.recv(100) == b"READY=1"


def test_an_abstract_address_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.settimeout(5)
        channel.bind(f"\0mb9k-test-{os.getpid()}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@mb9k-test-{os.getpid()}")
        notify("READY=1")
        assert channel.recv(100) == b"READY=1"


def test_a_systemd_that_went_away_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    notify("WATCHDOG=1")


def test_a_listener_that_hangs_holds_nobody_up(systemd: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    with systemd:
        begun_s = time.monotonic()
        while "was not heard" not in caplog.text:
            notify("WATCHDOG=1")
            assert time.monotonic() - begun_s < 60
        assert systemd.recv(100) == b"WATCHDOG=1"


def test_heartbeats_go_on_while_the_service_is_healthy_and_end_when_it_is_not(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service, "HEARTBEAT_S", 0.01)
    written: list[bool] = []
    healthy, stopping = threading.Event(), threading.Event()
    healthy.set()
    with systemd:
        thread = keep_alive(lambda: written.append(True), healthy.is_set, stopping)
        assert systemd.recv(100) == b"WATCHDOG=1"
        until(lambda: len(written) > 2, 30, "heartbeats are written")
        healthy.clear()
        until(lambda: "does not answer itself" in caplog.text, 30, "the hanging is logged")
        before = len(written)
        stopping.wait(0.1)
        assert len(written) <= before + 1
        stopping.set()
        thread.join()


def test_trouble_is_logged_once_and_once_more_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    tries: list[int] = []

    def action() -> None:
        tries.append(1)
        if len(tries) < 5:
            raise sqlite3.OperationalError("database or disk is full")

    stopping = threading.Event()
    thread = repeat(action, 0.01, "the record", stopping)
    until(lambda: len(tries) > 6, 30, "it is tried again")
    stopping.set()
    thread.join()
    assert caplog.text.count("the record cannot be written, trying again: database or disk is full") == 1
    assert caplog.text.count("the record can be written again") == 1


def test_what_cannot_pass_by_itself_ends_the_process() -> None:
    program = """
import threading
import time
from appliance import service
service.prepare("gate")
service.repeat(lambda: [][0], 0.01, "the record", threading.Event()).join()
print("still here")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the record failed" in done.stderr
    assert "IndexError" in done.stderr


def test_a_port_is_free_or_named_in_one_line(free_port: Callable[[], int]) -> None:
    port = free_port()
    refuse_busy_port("127.0.0.1", port, "media.gate_port")
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(UserError, match=f"^port {port} is taken by another program; .* another media.gate_port in"),
    ):
        refuse_busy_port("127.0.0.1", port, "media.gate_port")
    with pytest.raises(UserError, match=r"on 192\.0\.2\.1 cannot be used .*; see web\.port"):
        refuse_busy_port("192.0.2.1", port, "web.port")
    assert "set web.port above 1023" in str(port_error(PermissionError(13, "no"), "", 80, "web.port"))


def test_a_port_that_does_not_answer_has_no_status(free_port: Callable[[], int]) -> None:
    assert http_status("127.0.0.1", free_port(), "GET", "/") is None


def test_a_service_that_hangs_while_it_ends_is_ended_and_says_where() -> None:
    program = """
import os, signal, time
from appliance import service
service.END_S = 1
service.prepare("hanging")
def hang():
    time.sleep(60)
try:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
finally:
    hang()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert "in hang" in done.stderr


@pytest.mark.parametrize(("level", "lines"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_log_names_service_level_and_module(level: str, lines: int) -> None:
    program = f"""
import logging
from appliance import service
service.prepare("gate", {level!r})
log = logging.getLogger("appliance.media.gate")
log.debug("a"); log.info("a"); log.warning("a"); log.error("a")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    logged = done.stderr.splitlines()
    assert len(logged) == lines
    assert logged[-1].endswith(" gate ERROR appliance.media.gate: a")


@pytest.mark.parametrize("moment", ["before its threads start", "while they start", "while it answers"])
def test_a_signal_ends_an_http_service_at_any_moment(moment: str, free_port: Callable[[], int]) -> None:
    program = f"""
import os, signal, threading
from appliance import service
from appliance.web.server import make_server

def end(moment):
    if moment == {moment!r}:
        os.kill(os.getpid(), signal.SIGTERM)

def app(environ, start):
    return [b""]

service.END_S = 5
service.prepare("site")
server = make_server(app, "127.0.0.1", {free_port()})
prepare, serve, start = server.prepare, server.serve, server.task_dispatcher.start_new_thread
server.prepare = lambda: (end("before its threads start"), prepare())
server.task_dispatcher.start_new_thread = lambda *given: (start(*given), end("while they start"))
server.serve = lambda: (threading.Timer(0.2, end, ["while it answers"]).start(), serve())
service.serve_http(server)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


def line(text: str, *args: object, name: str = "a.place", level: int = logging.WARNING) -> logging.LogRecord:
    """A line of the log."""
    return logging.LogRecord(name, level, "", 0, text, args, None)


def test_of_one_kind_of_line_only_so_many_are_logged_a_minute() -> None:
    clock = Clock()
    bound = LogLimit(clock.monotonic)

    def written(number: int) -> list[str]:
        records = [line("from %s", address) for address in range(number)]
        return [record.getMessage() for record in records if bound.filter(record)]

    first = written(1000)
    assert first[:2] == ["from 0", "from 1"]
    assert len(first) == LINES_A_MINUTE
    assert first[-1] == f"from {LINES_A_MINUTE - 1} (more like this are left out for a minute)"
    assert bound.filter(line("something else")), "another kind"
    assert bound.filter(line("from %s", 1, name="another.place"))
    assert bound.filter(line("from %s", 1, level=logging.ERROR))
    clock.now_s += 59.75
    assert written(5) == []
    clock.now_s += 0.25
    assert written(2) == [f"from 0 ({1005 - LINES_A_MINUTE} more like this were left out)", "from 1"]
    clock.now_s += 60
    assert written(1) == ["from 0"]


def test_the_memory_of_kinds_does_not_grow() -> None:
    bound = LogLimit()
    for number in range(3 * MAX_KINDS):
        assert bound.filter(line(f"no two are the same: {number}"))
    assert len(bound._kinds) <= MAX_KINDS
