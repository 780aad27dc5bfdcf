"""`scripts/demo --fleet`: what it promises, and that nothing is left of it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.central import run
from appliance.config import load
from appliance.errors import UserError
from appliance.faces import State
from appliance.store import DetectionFilter, Store
from appliance.times import now
from scripts import demo_fleet
from scripts.demo_boxes import EXAMPLES
from scripts.demo_cable import Cable
from tests.boxes import START_S, is_listening, until
from tests.brokers import mosquitto
from tests.conftest import REPOSITORY
from tests.test_sync_outbox import someone

PATIENCE_S = 60.0
CUT_OFF = "clean-room"


class Demo:
    """A demo that runs, with a quick rhythm."""

    def __init__(self, folder: Path, ports: list[int]) -> None:
        self.folder, self.ports, self.said_path = folder / "tmp", ports, folder / "said"
        self.folder.mkdir()
        words = [sys.executable, "scripts/demo.py", "--fleet", "--on-s", "3", "--off-s", "15", "--days", "0.05"]
        with self.said_path.open("wb") as said:
            self.process = subprocess.Popen(
                [*words, "--ports", *map(str, ports)],
                cwd=REPOSITORY,
                stdout=said,
                stderr=said,
                env={**os.environ, "TMPDIR": str(self.folder)},
            )
        self.page = httpx.Client(base_url=f"http://localhost:{ports[0]}", timeout=PATIENCE_S)

    def said(self) -> str:
        """All that it printed."""
        return self.said_path.read_text()

    def until_it_says(self, words: str, times: int = 1) -> None:
        """Wait for a line."""
        until(lambda: self.said().count(words) >= times or self.process.poll() is not None, PATIENCE_S, words)
        assert self.process.poll() is None, self.said()

    def sign_in(self) -> None:
        """With the login that it prints."""
        form = self.page.get("/sign-in").text
        token = re.search(r'name="csrf" value="([^"]+)"', form)
        assert token
        typed = {"name": "dev", "password": "mb9k", "csrf": token[1]}
        assert self.page.post("/sign-in", data=typed).status_code == 303

    def boxes(self) -> dict[str, Any]:
        """What the centre's API tells of each box, by its id."""
        return {box["box"]: box for box in self.page.get("/api/v1/boxes").raise_for_status().json()["boxes"]}

    @contextmanager
    def store(self, box: str) -> Iterator[Store]:
        """The record of a box."""
        (config_path,) = self.folder.glob(f"*/{box}/mb9k.toml")
        with closing(Store.open(load(config_path).store_path)) as store:
            yield store

    def at_centre(self, box: str) -> int:
        """How many persons of a box the centre has, of a day, by the minutes: hours may be added up a moment later."""
        asked = {"box": box, "step": "minute"}
        return sum(
            sum(step[state.value] for state in State)
            for step in self.page.get("/api/v1/counts", params=asked).raise_for_status().json()["steps"]
        )

    def agrees(self, box: str) -> bool:
        """Whether the centre has counted whom the box has."""
        with self.store(box) as store:
            return store.detections.counts(DetectionFilter()).total == self.at_centre(box)

    def processes(self) -> set[str]:
        """Every process that has to do with its folder, but for the demo itself."""
        found = set()
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if str(self.folder) in words:
                found.add(words)
        return found

    def end(self) -> int:
        """Ctrl-C; its exit status."""
        self.page.close()
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def demo(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Demo]:
    mosquitto()
    made = Demo(tmp_path, [free_port() for _ in range(3)])
    yield made
    made.page.close()
    made.process.kill()
    made.process.wait()
    print(made.said())


def test_a_box_loses_its_network_and_comes_back_with_all_it_counted_and_nothing_is_left(demo: Demo) -> None:
    demo.until_it_says("Sign in  dev / mb9k")
    demo.sign_in()
    boxes = demo.boxes()
    assert set(boxes) == {example.name for example in EXAMPLES}
    assert all(box["mask"] and box["streams"] == 2 for box in boxes.values())
    demo.until_it_says("Clean room is off the network")
    with demo.store(CUT_OFF) as store:
        for _ in range(20):
            store.detections.add(1, someone(now().utc, State.NO_MASK))
        counted = store.detections.counts(DetectionFilter()).total
    assert demo.at_centre(CUT_OFF) <= counted - 20
    demo.until_it_says("Clean room is on the network again")
    demo.until_it_says("Nothing lost, nobody counted twice")
    for box in boxes:
        until(lambda box=box: demo.agrees(box), PATIENCE_S, f"the centre has all of {box}")  # type: ignore[misc]
    assert demo.at_centre(CUT_OFF) >= counted
    assert len(demo.processes()) >= 7, "a centre is four and its keeper, a box one"
    assert demo.end() == 130
    assert demo.processes() == set()
    assert list(demo.folder.iterdir()) == []
    assert not any(map(is_listening, demo.ports))


def test_a_port_that_is_taken_is_said_in_a_line(tmp_path: Path, free_port: Callable[[], int]) -> None:
    mosquitto()
    ports = [free_port() for _ in range(3)]
    command = [sys.executable, "scripts/demo.py", "--fleet", "--ports", *map(str, ports)]
    with socket.create_server(("127.0.0.1", ports[2])):
        ended = subprocess.run(
            command,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=START_S,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert f"port {ports[2]} cannot be had" in ended.stderr and "--ports" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_mosquitto_its_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(run, "SYSTEM_PATHS", str(tmp_path))
    with pytest.raises(UserError, match="apt-get install mosquitto"):
        demo_fleet.run(demo_fleet.Rhythm(3, 3, 0.1), (1, 2, 3))


def test_a_cable_passes_on_both_ways_and_nothing_while_it_is_pulled(free_port: Callable[[], int]) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        server.settimeout(PATIENCE_S)
        with closing(Cable(server.getsockname()[1])) as cable:
            first, at_server = connected(cable, server)
            with first, at_server:
                assert said(first, at_server, b"ping") == b"ping" and said(at_server, first, b"pong") == b"pong"
                cable.pull()
                assert first.recv(1) == b"" and at_server.recv(1) == b"", "both are cut off"
            with socket.create_connection(("127.0.0.1", cable.port), PATIENCE_S) as waiting:
                waiting.sendall(b"hello")
                server.settimeout(0.3)
                with pytest.raises(TimeoutError):
                    server.accept()
                server.settimeout(PATIENCE_S)
                cable.plug()
                with server.accept()[0] as at_server:
                    assert at_server.recv(9) == b"hello"


def connected(cable: Cable, server: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Both ends of a connection through it."""
    near = socket.create_connection(("127.0.0.1", cable.port), PATIENCE_S)
    far, _ = server.accept()
    far.settimeout(PATIENCE_S)
    return near, far


def said(by: socket.socket, to: socket.socket, words: bytes) -> bytes:
    """What comes of what is sent."""
    by.sendall(words)
    return to.recv(len(words))
