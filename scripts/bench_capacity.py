"""How many streams of a door one core holds: one person each 10 s, 1080p30, in real time, with nobody missed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from appliance.config import Vision
from appliance.vision.budget import Budget, Costs, measured_costs
from appliance.vision.detector import Detector
from appliance.vision.observer import Observer
from appliance.vision.onnx import load_detector
from scripts.bench_delay import pss_mb
from scripts.bench_streams import BEFORE, CASES, decoded_alone
from scripts.recorded import packets_of
from scripts.scene_judges import LOST_S, Seen
from scripts.scene_score import score
from scripts.scenes import Scene, film, truth

HEIGHT = 1080
DOOR = CASES[1]
STAGGER_S = 10.0  # streams begin within so long of each other, so that not all people come at once
LATE_S = 2.0  # a box that is so far behind leaves pictures out
FIRST_TRY, MOST = 4, 64


@dataclass(frozen=True)
class Trial:
    """So many streams at once. looks: the least share of looks that were not put off. late_s: the most."""

    streams: int
    missed: int
    looks: float
    late_s: float
    busy: float
    pss_mb: float

    @property
    def holds(self) -> bool:
        """Whether nobody was missed, nothing was put off, and nothing came late."""
        return self.missed == 0 and self.looks >= 1 and self.late_s < LATE_S


def capacity() -> None:
    """Twice as many each time until it is too much; then between."""
    scene = DOOR.scene(HEIGHT)
    with tempfile.TemporaryDirectory() as folder:
        clip = film(scene, Path(folder))
        bare_ms = decoded_alone(clip)
        trials = [_tried(clip, 1)]
        holds, too_many = 1, MOST
        while too_many - holds > 1:
            streams = min(max(FIRST_TRY, 2 * holds), MOST - 1) if too_many == MOST else (holds + too_many) // 2
            trials.append(_tried(clip, streams))
            holds, too_many = (streams, too_many) if trials[-1].holds else (holds, streams)
            if holds == MOST - 1:
                break
    most = max(trials, key=lambda trial: trial.streams)
    each_mb = (most.pss_mb - trials[0].pss_mb) / (most.streams - 1)
    before, _ = BEFORE[DOOR.name, HEIGHT, 0]
    print(f"  one core holds {holds} streams with nobody missed; memory of the watcher: {each_mb:.0f} MB for each")
    print(f"  bare decoding of all would allow {1000 / bare_ms:.1f}, as it was before {1000 / bare_ms / before:.1f}")


def _tried(clip: Path, streams: int) -> Trial:
    told = subprocess.run(
        [sys.executable, "-m", "scripts.bench_capacity", str(clip), str(streams)], check=True, capture_output=True
    ).stdout
    trial = Trial(**json.loads(told))
    print(
        f"  {streams:3} streams: {'held' if trial.holds else 'too many'}; {trial.missed} missed, {trial.looks:.0%} of "
        f"the looks made, {trial.late_s:.1f} s late at most, {trial.busy:.0%} of the core, {trial.pss_mb:.0f} MB",
        flush=True,
    )
    return trial


class _Stream(threading.Thread):
    """One observer, fed as a camera feeds it."""

    def __init__(self, clip: Path, begin_s: float, detector: Detector, budget: Budget, costs: Costs) -> None:
        super().__init__()
        self.clip, self.begin_s = clip, begin_s
        self.seen, self.late_s = Seen(), 0.0
        purse = budget.open_purse()
        self.observer = Observer(detector, Vision().frames_per_second, LOST_S, purse, costs)

    def run(self) -> None:
        """Until the end of the clip."""
        for packet in packets_of(self.clip, self.begin_s):
            time.sleep(max(0.0, packet.time_s - time.monotonic()))
            for look in self.observer.take(packet):
                self.seen.take(look.update.seen, look.update.ended, look.frame.utc)
            self.late_s = max(self.late_s, time.monotonic() - packet.time_s)
        self.seen.take([], self.observer.tracker.end_all(), 0.0)

    def missed(self, scene: Scene) -> int:
        """How many were not counted at all."""
        pairs = score(truth(scene), self.seen.counted()).pairs()
        return sum(not tracks and not visit.actor.optional for visit, tracks in pairs)


def trial_of(clip: Path, streams: int) -> Trial:
    """So many streams on one core, which this process is bound to from now on."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    detector = load_detector()
    budget, costs = Budget(1000 * Vision().cpu_share), measured_costs(detector)
    begin_s = time.monotonic() + 0.5
    running = [
        _Stream(clip, begin_s + STAGGER_S * number / streams, detector, budget, costs) for number in range(streams)
    ]
    begun_s = time.process_time()
    for stream in running:
        stream.start()
    for stream in running:
        stream.join()
    busy = (time.process_time() - begun_s) / (time.monotonic() - begin_s)
    scene = DOOR.scene(HEIGHT)
    return Trial(
        streams,
        sum(stream.missed(scene) for stream in running),
        min(1.0 if stream.observer.health.looks is None else stream.observer.health.looks for stream in running),
        max(stream.late_s for stream in running),
        busy,
        pss_mb(os.getpid()),
    )


if __name__ == "__main__":
    print(json.dumps(asdict(trial_of(Path(sys.argv[1]), int(sys.argv[2])))))
