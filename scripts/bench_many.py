"""How fast and how large every page and every answer of the API is on a box with many streams, beside what is wanted.

A real site in a process of its own is asked over connections that stay open, by one reader and then by six at once, all
for the same address. CPU: what an answer costs the site, which hardly depends on what else the machine does. Packed: as
gzip, which every browser takes.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.local.site import make_app
from appliance.secrets import digest
from appliance.store import Store
from appliance.times import now
from scripts.bench_answers import FILL
from tests.boxes import until
from tests.conftest import REPOSITORY
from tests.site import Box

STREAMS, DETECTIONS, DAYS = 500, 50_000, 30
READERS, ALONE_TIMES, EACH_TIMES = 6, 40, 12
PAGE_MS, API_MS, TIMES_AT_ONCE, PAGE_BYTES = 100, 50, 3, 40_000
LEFT_OUT = re.compile(  # files, what is made while it is sent, what there is for a moment, and what leads on
    r"/static/|/images/|/export/|/image$|\.jpg$|\.zip$|\.pem$|/sign-in|/claim|/unsent|/key$|/waiting$|\.json$|/rules/<|"
    r"/recipients/<|alert-rules/<|/reports/<|/leave$|/remove$|/forget$|/wifi$|/faces$"
)
ALSO = (
    "/streams?show=live",
    "/streams?show=offline&search=stream+1",
    "/detections?state=no_mask",
    "/detections?stream=3",
    "/trends?range=week",
    "/trends?range=month",
    "/trends?range=month&stream=3",
    "/api/v1/streams?search=stream+1",
    "/api/v1/detections?stream=3&state=no_mask",
    "/api/v1/detections?limit=200",
)
IDS = {"stream_id": "3", "detection_id": "{middle}", "receipt_id": "1", "person_id": "2", "chart": "persons"}


@dataclass(frozen=True)
class Figures:
    """Of one address. alone, at_once: milliseconds at the 95th percentile, of one reader and of six at once."""

    path: str
    cpu_ms: float
    alone_ms: float
    at_once_ms: float
    plain_bytes: int
    packed_bytes: int

    @property
    def is_page(self) -> bool:
        return not self.path.startswith(("/api/", "/metrics", "/health")) and not self.path.endswith(".csv")

    @property
    def over(self) -> str:
        """What is more than wanted."""
        wanted_ms = PAGE_MS if self.is_page else API_MS
        return ", ".join(
            name
            for name, is_over in (
                ("alone", self.alone_ms > wanted_ms),
                ("at once", self.at_once_ms > TIMES_AT_ONCE * wanted_ms),
                ("size", self.is_page and self.packed_bytes > PAGE_BYTES),
            )
            if is_over
        )


def many(only: Sequence[str] = ()) -> None:
    """Every page and every GET of the API, or those that begin like one of `only`."""
    with _site() as (port, pid, paths):
        wanted = (
            f"pages {PAGE_MS} ms, {PAGE_BYTES:,} bytes; API {API_MS} ms; {READERS} readers {TIMES_AT_ONCE} times that"
        )
        print(f"  {STREAMS} streams, {DETECTIONS:,} detections; wanted: {wanted}")
        print(f"  {'p95 ms, bytes':52} {'CPU':>6} {'alone':>7} {'at once':>8} {'bytes':>9} {'packed':>8}")
        over = 0
        for path in paths:
            if only and not path.startswith(tuple(only)):
                continue
            found = _measured(port, pid, path)
            if found is None:
                continue
            over += bool(found.over)
            times = f"{found.cpu_ms:6.1f} {found.alone_ms:7.1f} {found.at_once_ms:8.1f}"
            sizes = f"{found.plain_bytes:9,} {found.packed_bytes:8,}"
            print(f"  {path[:52]:52} {times} {sizes}  {found.over and f'over: {found.over}'}".rstrip(), flush=True)
        print(f"  over what is wanted: {over}")


def _measured(port: int, pid: int, path: str) -> Figures | None:
    """None: there is no such thing on this box."""
    reader = _Reader(port)
    status, packed = reader.ask(path)
    if status != 200:
        print(f"  {path[:52]:52} answers {status}: left out")
        return None
    plain = gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed
    alone = [reader.took_ms(path) for _ in range(ALONE_TIMES)]
    before_s = _cpu_s(pid)
    readers = [_Reader(port) for _ in range(READERS)]
    at_once: list[float] = []

    def read(each: _Reader) -> None:
        at_once.extend([each.took_ms(path) for _ in range(EACH_TIMES)])

    threads = [threading.Thread(target=read, args=[each]) for each in readers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cpu_ms = 1000 * (_cpu_s(pid) - before_s) / (READERS * EACH_TIMES)
    return Figures(path, cpu_ms, _p95(alone), _p95(at_once), len(plain), len(packed))


class _Reader:
    """One connection of a browser that is signed in as an admin."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Cookie": "mb9k_session=session-of-ann", "Accept-Encoding": "gzip"}

    def ask(self, path: str) -> tuple[int, bytes]:
        """Status and body."""
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def took_ms(self, path: str) -> float:
        """How long the whole answer took."""
        begun_s = time.perf_counter()
        self.ask(path)
        return (time.perf_counter() - begun_s) * 1000


def _cpu_s(pid: int) -> float:
    """What a process has used of the processors so far."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _p95(took_ms: Sequence[float]) -> float:
    return statistics.quantiles(took_ms, n=20)[-1]


@contextlib.contextmanager
def _site() -> Iterator[tuple[int, int, list[str]]]:
    """A site in a process of its own, whose watcher is heard; its port, its process, and all that can be asked."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder, port = Path(name), _free_port()
        (folder / "mb9k.toml").write_text(f'state_dir = "{folder}"\n[web]\nport = {port}\n')
        box = stack.enter_context(contextlib.closing(Box(folder)))
        _fill(box)
        box.browser("ann")
        paths = _paths(box)
        stack.enter_context(_beating(box.config.store_path))
        process = subprocess.Popen(
            [sys.executable, "-m", "appliance.cli", "--config", str(folder / "mb9k.toml"), "serve"], cwd=REPOSITORY
        )
        try:
            until(lambda: _answers(port), 60, "the site answers")
            yield port, process.pid, paths
        finally:
            process.terminate()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        return _Reader(port).ask("/health")[0] == 200
    except OSError:
        return False


def _fill(box: Box) -> None:
    at = now().utc
    streams = box.store.streams
    with box.store.writing():
        for number in range(3, STREAMS + 1):
            streams.add_with_key(1 + number % 3, f"stream {number}", digest(f"stream {number}"), at)
        for stream_id in range(1, STREAMS + 1):
            if stream_id % 3 == 0:
                streams.set_live(stream_id, "192.0.2.7", at - 3600)
                streams.describe(stream_id, "h264", 1920, 1080)
            if stream_id % 50 == 0:
                streams.set_problem(stream_id, "The model is missing, so nobody is judged.")
            if stream_id % 25 == 1:
                streams.set_active(stream_id, False)
        length_s = DAYS * 86400
        values = {"rows": DETECTIONS, "streams": STREAMS, "begun_utc": at - length_s}
        box.store.db.execute(FILL, {**values, "between_s": length_s / DETECTIONS})


def _paths(box: Box) -> list[str]:
    """Every GET route of the site, pages first."""
    app = make_app(box.config, lambda: Store.open_existing(box.config.store_path))
    rules = [route.rule for route in app.routes if route.method == "GET" and not LEFT_OUT.search(route.rule)]
    paths = [re.sub(r"<(\w+)(?::\w+)?>", lambda found: IDS[found[1]], rule) for rule in rules]
    middle = str(DETECTIONS // 2)
    return sorted(
        {path.replace("{middle}", middle) for path in (*paths, *ALSO)}, key=lambda path: ("/api/" in path, path)
    )


@contextlib.contextmanager
def _beating(path: Path) -> Iterator[None]:
    """All services are heard until the end of the block."""
    over = threading.Event()

    def beat() -> None:
        with contextlib.closing(Store.open_existing(path)) as store:
            while not over.wait(1):
                for name in ("watch", "gate", "ingest", "notify"):
                    store.services.heartbeat(name, 1, now().utc, None, now())

    beating = threading.Thread(target=beat)
    beating.start()
    try:
        yield
    finally:
        over.set()
        beating.join()


if __name__ == "__main__":
    many(sys.argv[1:])
