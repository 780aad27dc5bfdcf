"""How soon somebody is stored: from when a person is wholly visible to the detection in the store of a whole box."""

from __future__ import annotations

import contextlib
import shutil
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer

from appliance.faces import Bbox
from appliance.media.mediamtx import Engine
from appliance.store import DetectionFilter
from scripts.publish import Publisher
from scripts.scene_sets import passers
from scripts.scenes import Visit, film, truth
from tests.boxes import Box, until

SECONDS = 60.0
PERIOD_S = 3.7  # not a whole number of key frames: people come at all times between two of them
FACE_PX = (40.0, 80.0)
RARE_KEYS_S = 250 / 30  # OBS, as it comes
FIRST_S = 4.0  # a box looks about before it rests
NEAR = 3.0  # face sizes: a detection so near to where a person is, and to no other nearer, is that person
SOON_S = 0.5  # clocks and looks are so exact
STEP_S = 0.05
POLL_S = 0.02


@dataclass(frozen=True)
class Arrival:
    """A detection as it was first to be read: at which time, where, and from when to when it had been seen."""

    stored_utc: float
    first_seen_utc: float
    last_seen_utc: float
    bbox_px: Bbox


def delay() -> None:
    """A whole box at 1080p with each ingest there is; key frames each second, and as rare as OBS sends them."""
    engines: list[Engine] = ["mediamtx", "embedded"] if shutil.which("mediamtx") else ["embedded"]
    for key_frame_s in (1.0, RARE_KEYS_S):
        scene = replace(passers((1920, 1080), SECONDS, PERIOD_S, FACE_PX), key_frame_s=key_frame_s)
        with tempfile.TemporaryDirectory() as folder:
            clip = film(scene, Path(folder))
            for engine in engines:
                name = f"{engine}, a key frame each {key_frame_s:.1f} s"
                with a_box(engine) as box, box.running(show_log=False):
                    print(f"  {name:38} {_delays(box, clip, truth(scene))}", flush=True)
                    services = ("gate", "ingest", *(["mediamtx"] if engine == "mediamtx" else []), "watch", "serve")
                    memory = ", ".join(f"{each} {pss_mb(box.service_pid(each)):.0f} MB" for each in services)
                    print(f"  {'':38} memory: {memory}", flush=True)
    print("  wanted: p50 at most .8 s, p95 at most 1.2 s")


def _delays(box: Box, clip: Path, visits: Sequence[Visit]) -> str:
    publisher = _TimedPublisher(clip, box.url())
    threading.Thread(target=publisher.publish, daemon=True).start()
    until(publisher.begun.is_set, 20, "the publisher is connected")
    arrivals = _arrivals(box, publisher.begun_utc + SECONDS)
    delays = told(visits, arrivals, publisher.begun_utc)
    whole = [visit for visit in visits if visit.whole_s is not None and visit.whole_s[0] > FIRST_S]
    if len(delays) < 4:
        return f"only {len(delays)} of {len(whole)} were stored"
    to_face, to_store = ([each[column] for each in delays] for column in (0, 1))
    return (
        f"wholly visible to stored: {_percentiles(to_store)}, {len(delays)} of {len(whole)}; "
        f"to the first face: {_percentiles(to_face)}"
    )


def _percentiles(times_s: Sequence[float]) -> str:
    ordered = sorted(times_s)
    p95 = ordered[min(len(ordered) - 1, len(ordered) * 95 // 100)]
    return f"p50 {statistics.median(ordered):.2f} s, p95 {p95:.2f} s"


def told(visits: Sequence[Visit], arrivals: Sequence[Arrival], begun_utc: float) -> list[tuple[float, float]]:
    """Of each visit that was stored: from when it was wholly visible to its first face, and to the stored detection."""
    first: dict[int, Arrival] = {}
    for arrival in arrivals:
        apart = [_apart(arrival, visit, begun_utc) for visit in visits]
        nearest = int(np.argmin(apart))
        if apart[nearest] < NEAR:
            first.setdefault(nearest, arrival)
    delays = []
    for index, visit in enumerate(visits):
        if visit.whole_s is not None and visit.whole_s[0] > FIRST_S and index in first:
            whole_utc = begun_utc + visit.whole_s[0]
            delays.append((first[index].first_seen_utc - whole_utc, first[index].stored_utc - whole_utc))
    return delays


def _apart(arrival: Arrival, visit: Visit, begun_utc: float) -> float:
    """How far what was detected is from the person, in face sizes; the bbox is of any look between first and last."""
    first_s, last_s = arrival.first_seen_utc - begun_utc, arrival.last_seen_utc - begun_utc
    if not visit.enters_s - SOON_S <= first_s <= visit.leaves_s + SOON_S:
        return float("inf")
    at_s = np.linspace(first_s, last_s, max(2, round((last_s - first_s) / STEP_S)))
    left, top, right, bottom = (np.interp(at_s, visit.at_s, visit.bboxes[:, side]) for side in range(4))
    x, y = (arrival.bbox_px[0] + arrival.bbox_px[2]) / 2, (arrival.bbox_px[1] + arrival.bbox_px[3]) / 2
    return float((np.hypot(x - (left + right) / 2, y - (top + bottom) / 2) / (bottom - top)).min())


def _arrivals(box: Box, until_utc: float) -> list[Arrival]:
    """Each new detection, in the order in which they were first to be read in the store."""
    known: set[int] = set()
    found = []
    while time.time() < until_utc:
        for stored in reversed(box.store.detections.page(DetectionFilter(), limit=20)):
            if stored.id not in known:
                known.add(stored.id)
                seen = stored.detection
                found.append(Arrival(time.time(), seen.first_seen_utc, seen.last_seen_utc, seen.bbox_px))
        time.sleep(POLL_S)
    return found


class _TimedPublisher(Publisher):
    """Knows when it began to send."""

    def __init__(self, path: Path, url: str) -> None:
        super().__init__(path, url)
        self.begun, self.begun_utc = threading.Event(), 0.0

    def publish(self) -> None:
        """Send until the box is stopped."""
        with contextlib.suppress(OSError, av.error.FFmpegError):
            self.run()

    def _loop(self, target: OutputContainer, sent: av.VideoStream, copied: bool) -> None:
        self.begun_utc = time.time()
        self.begun.set()
        super()._loop(target, sent, copied)


@contextmanager
def a_box(engine: str) -> Iterator[Box]:
    """A whole box in a folder of its own, not yet running."""
    with tempfile.TemporaryDirectory() as folder:
        yield Box(Path(folder), engine, _free_port)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pss_mb(pid: int) -> float:
    """Proportional set size: shared pages counted by share."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
