"""How many streams of a door one core holds: one person each 10 s, 1080p30, with nobody missed.

The core is a stand-in, so that a machine that does other things measures the same: packets of all streams come when
they are due by a clock of its own, which goes on by the CPU time that they took. Everything else is the real thing.
"""

from __future__ import annotations

import heapq
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from itertools import repeat
from pathlib import Path

from appliance.local.words import FEW_LOOKS
from appliance.sections import Vision
from appliance.vision.budget import Budget, Costs, measured_costs
from appliance.vision.detector import Detector
from appliance.vision.observer import Observer
from appliance.vision.onnx import load_detector
from appliance.vision.reading.packets import Packet
from scripts.bench_delay import pss_mb
from scripts.bench_streams import BEFORE, CASES, LATER_S, decoded_alone
from scripts.recorded import packets_of
from scripts.scene_judges import LOST_S, Seen
from scripts.scene_score import score
from scripts.scenes import Scene, film, truth

HEIGHT = 1080
DOOR = CASES[1]
SECONDS = LATER_S  # a stream begins with a look at everything, which must not be most of it
BEGIN_S = 1000.0
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
        """Whether nobody was missed, nobody is told of too few looks, and nothing came late."""
        return self.missed == 0 and self.looks >= FEW_LOOKS and self.late_s < LATE_S


def capacity() -> None:
    """Twice as many each time until it is too much; then between."""
    scene = _door()
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


def _door() -> Scene:
    return replace(DOOR.scene(HEIGHT), seconds=SECONDS)


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


class _Stream:
    """One observer, and what it made of its clip."""

    def __init__(self, detector: Detector, budget: Budget, costs: Costs) -> None:
        self.seen = Seen()
        self.observer = Observer(detector, Vision().frames_per_second, LOST_S, budget.open_purse(), costs)

    def take(self, packet: Packet) -> None:
        """Whatever the packet leads to."""
        for look in self.observer.take(packet):
            self.seen.take(look.update.seen, look.update.ended, look.frame.utc)

    def missed(self, scene: Scene) -> int:
        """How many were not counted at all, once the clip has ended."""
        self.seen.take([], self.observer.tracker.end_all(), 0.0)
        pairs = score(truth(scene), self.seen.counted()).pairs()
        return sum(not tracks and not visit.actor.optional for visit, tracks in pairs)


def trial_of(clip: Path, streams: int) -> Trial:
    """So many streams on one core."""
    detector = load_detector()
    budget, costs = Budget(1000 * Vision().cpu_share), measured_costs(detector)
    running = [_Stream(detector, budget, costs) for _ in range(streams)]
    packets = [packets_of(clip, BEGIN_S + STAGGER_S * number / streams) for number in range(streams)]
    core_s, spent_s, late_s = BEGIN_S, 0.0, 0.0
    for packet, stream in heapq.merge(*map(zip, packets, map(repeat, running)), key=_due_s):
        begun_s = time.thread_time()
        stream.take(packet)
        took_s = time.thread_time() - begun_s
        spent_s += took_s
        core_s = max(core_s, packet.time_s) + took_s
        late_s = max(late_s, core_s - packet.time_s)
    scene = _door()
    shares = [stream.observer.health.looks for stream in running]
    return Trial(
        streams,
        sum(stream.missed(scene) for stream in running),
        min(1.0 if share is None else share for share in shares),
        late_s,
        spent_s / (core_s - BEGIN_S),
        pss_mb(os.getpid()),
    )


def _due_s(pair: tuple[Packet, _Stream]) -> float:
    return pair[0].time_s


if __name__ == "__main__":
    print(json.dumps(asdict(trial_of(Path(sys.argv[1]), int(sys.argv[2])))))
