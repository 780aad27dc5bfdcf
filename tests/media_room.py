"""The room that lets streams in, alone: a gate and one ingest as real processes, and a store with streams in it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import msgspec
import pytest

from appliance.accounts.people import Role
from appliance.config import Config, load
from appliance.media import mediamtx
from appliance.media.mediamtx import Client, MediaError
from appliance.secrets import digest, secret_from_file
from tests.boxes import START_S, end, is_listening, until
from tests.conftest import REPOSITORY
from tests.site import new_store

ENGINES = ["embedded", pytest.param("mediamtx", marks=pytest.mark.mediamtx)]

CLIP_S = 3
FFMPEG = ("ffmpeg", "ffmpeg")  # the program, its packages
UNSETTLED = 12  # pictures


def skip_without(program: str, packages: str) -> None:
    """Skip the test if a client is not installed."""
    if not shutil.which(program):
        pytest.skip(f"there is no {program}; apt-get install {packages}")


def make_clip(path: Path, *options: str, size: str = "320x240") -> Path:
    """A short FLV of a moving picture and a tone."""
    skip_without(*FFMPEG)
    sources = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate=25", "-f", "lavfi", "-i", "sine=frequency=440"]
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", *sources, "-t", str(CLIP_S), "-threads", "1"]
    encoding = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25", "-c:a", "aac"]
    subprocess.run([*command, *encoding, *options, "-f", "flv", str(path)], check=True)
    return path


class MediaRoom:
    """A gate and an ingest on ports of their own. Streams are made as tests ask for them."""

    def __init__(
        self, folder: Path, engine: str, free_port: Callable[[], int], https: bool = False, **rtmp: Any
    ) -> None:
        if engine == "mediamtx" and not shutil.which("mediamtx"):
            pytest.skip("there is no MediaMTX binary on PATH")
        self.engine = engine
        self.path = folder / "mb9k.toml"
        ports = {name: free_port() for name in ("gate_port", "api_port", "read_port")}
        wiring = {
            "state_dir": str(folder / "state"),
            "web": {"https": https},
            "rtmp": {"host": "127.0.0.1", "port": free_port(), **rtmp},
            "media": {"engine": engine, **ports},
        }
        self.path.write_bytes(msgspec.toml.encode(wiring))
        self.config: Config = load(self.path)
        self.store = new_store(self.config.store_path)
        self.store.people.add("ann", "no password", Role.ADMIN, 0.0)
        self.secret = secret_from_file(self.config.local_secret_path)
        self.client = Client(self.config.media.api_port, self.secret)
        self.log_path = folder / "room.log"

    def add_stream(self, key: str) -> int:
        """A stream that may be sent to with this key; its id."""
        return self.store.streams.add_with_key(1, f"stream {digest(key)[:8]}", digest(key), 0.0)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Gate and ingest, from when they answer until the end of the block."""
        with self.running_gate(), self.running_ingest():
            yield

    @contextmanager
    def running_gate(self) -> Iterator[subprocess.Popen[bytes]]:
        """The gate alone."""
        with self._running(self._ourselves("gate"), self.config.media.gate_port) as process:
            yield process

    @contextmanager
    def running_ingest(self) -> Iterator[subprocess.Popen[bytes]]:
        """The ingest alone."""
        with self._running(self._ourselves("ingest"), self.config.rtmp.port, self.config.media.api_port) as process:
            yield process

    def _ourselves(self, service: str) -> list[str]:
        return [sys.executable, "-m", "appliance.cli", "--config", str(self.path), service]

    @contextmanager
    def _running(self, command: list[str], *ports: int) -> Iterator[subprocess.Popen[bytes]]:
        with self.log_path.open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=REPOSITORY)
        try:
            until(lambda: all(map(is_listening, ports)) or process.poll() is not None, START_S, "it answers")
            yield process
        finally:
            end(process)
            print(self.log())  # pytest shows it where a test failed

    def url(self, key: str, app: str = "live/") -> str:
        """Where a publisher sends to."""
        return f"rtmp://127.0.0.1:{self.config.rtmp.port}/{app}{key}"

    def read_url(self, path: str) -> str:
        """Where our own watcher reads."""
        return mediamtx.read_url(self.config, mediamtx.engine(self.config), path, self.secret)

    def path_of(self, key: str) -> mediamtx.IngestPath | None:
        """What the ingest says of the stream sent with this key, once there is something to see."""
        try:
            return next((path for path in self.client.paths() if path.available and key in path.name), None)
        except MediaError:
            return None

    def wait_for(self, key: str, patience_s: float = 15.0) -> mediamtx.IngestPath:
        """The path, as soon as there is something to see."""
        until(lambda: self.path_of(key) is not None, patience_s, "there is something to see")
        path = self.path_of(key)
        assert path is not None
        return path

    def log(self) -> str:
        """What gate and ingest said."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def open(self, path: str) -> av.container.InputContainer:
        """Open a stream as the watcher does. Raises av.error.FFmpegError."""
        return av.open(self.read_url(path), options=self.reading_options(), timeout=(10.0, 10.0))

    def reading_options(self) -> dict[str, str]:
        """FFmpeg's options, as in vision/reading/camera.py: its own probing swallows seconds of a live stream."""
        options = {"flags": "low_delay", "analyzeduration": "500000", "probesize": "500000"}
        return {**options, "rtsp_transport": "tcp"} if self.engine == "mediamtx" else options


def shown_times(container: av.container.InputContainer, seconds: float) -> list[float]:
    """The times of the pictures that one gets to see, until they span this long or the stream ends.

    Without the first half second: a reader of RTSP sets its clock by the first report, which comes a little later.
    """
    times: list[float] = []
    for number, frame in enumerate(container.decode(video=0)):
        if frame.time is not None and number >= UNSETTLED:
            times.append(frame.time)
        if times and times[-1] - times[0] >= seconds:
            break
    return times
