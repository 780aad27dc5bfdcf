"""A whole box for tests: its configuration, its processes, and a publisher that sends real RTMP."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from appliance.accounts.people import Role
from appliance.config import Config, load
from appliance.secrets import digest, hash_password
from appliance.store import Store
from appliance.times import now
from tests.conftest import REPOSITORY

PASSWORD = "a long enough password"
KEY = "KEYKEYKEYKEYKEYKEY22"
OTHER_KEY = "KEYKEYKEYKEYKEYKEY33"
START_S = 60.0  # how long a process may take to start, on a machine that has other things to do


@cache
def password_hash() -> str:
    """Of PASSWORD, as a box makes it, which takes its time: once for all boxes of a process."""
    return hash_password(PASSWORD)


def until(condition: Callable[[], bool], patience_s: float, what: str) -> float:
    """Wait until the condition holds; how long that took, in seconds. Fails after patience_s."""
    begun_s = time.monotonic()
    while not condition():
        waited_s = time.monotonic() - begun_s
        assert waited_s < patience_s, f"{what}: not within {patience_s} s"
        time.sleep(0.05)
    return time.monotonic() - begun_s


def is_listening(port: int) -> bool:
    """Whether somebody answers on a loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def end(process: subprocess.Popen[bytes], patience_s: float = 20.0) -> None:
    """Ask a process to end. One that does not is killed, and fails the test."""
    process.terminate()
    try:
        process.wait(patience_s)
    finally:
        process.kill()
        process.wait()


class Box:
    """A box in a folder of its own, on ports of its own, with an admin `ann` and her stream `door` (KEY).

    sections: what else its configuration says.
    """

    def __init__(self, folder: Path, engine: str, free_port: Callable[[], int], **sections: Any) -> None:
        self.folder = folder
        self.path = folder / "mb9k.toml"
        wiring = {
            "state_dir": str(folder / "state"),
            "web": {"host": "127.0.0.1", "port": free_port()},
            "rtmp": {"host": "127.0.0.1", "port": free_port()},
            "media": {
                "engine": engine,
                **{name: free_port() for name in ("gate_port", "api_port", "read_port")},
            },
            **sections,
        }
        self.path.write_bytes(msgspec.toml.encode(wiring))
        self.config: Config = load(self.path)
        self.store = Store.open(self.config.store_path)
        self.store.people.add("ann", password_hash(), Role.ADMIN, time.time())
        self.stream_id = self.store.streams.add_with_key(1, "door", digest(KEY), time.time())
        self.log_path = folder / "mb9k.log"

    @contextmanager
    def running(self, show_log: bool = True) -> Iterator[subprocess.Popen[bytes]]:
        """`mb9k run`, from when it takes streams until the end of the block."""
        command = [sys.executable, "-m", "appliance.cli", "--config", str(self.path), "run"]
        with self.log_path.open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=REPOSITORY)
        try:
            until(lambda: is_listening(self.config.rtmp.port) or process.poll() is not None, START_S, "RTMP is taken")
            yield process
        finally:
            end(process)
            if show_log:
                print(self.log())  # pytest shows it where a test failed

    def url(self, key: str = KEY) -> str:
        """Where a publisher sends to."""
        return f"rtmp://127.0.0.1:{self.config.rtmp.port}/live/{key}"

    @property
    def page(self) -> str:
        """The address of its page."""
        return f"http://127.0.0.1:{self.config.web.port}"

    def is_live(self) -> bool:
        """Whether the store says that the stream is LIVE just now."""
        stream = self.store.streams.get(self.stream_id, now())
        return stream is not None and stream.live

    def log(self) -> str:
        """What all its services said."""
        return self.log_path.read_text(errors="replace")

    def service_pid(self, name: str) -> int:
        """The process of a service: watch, gate, serve, ingest or mediamtx."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if name == "mediamtx":
                found = words[0].endswith(b"/mediamtx") and str(self.folder).encode() in words[1]
            else:
                found = str(self.path).encode() in words and name.encode() in words
            if found:
                return int(folder.name)
        raise AssertionError(f"there is no process {name}")


@contextmanager
def publishing(clip: Path, url: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """FFmpeg sending the clip in a loop at its own speed, until the end of the block."""
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i", str(clip)]
    process = subprocess.Popen(
        [*command, *(options or ("-c", "copy")), "-f", "flv", url],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
