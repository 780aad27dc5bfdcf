"""What streams cost beside bare decoding of the same file, how many one core holds, and how soon somebody is stored."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import av

from appliance.vision.budget import Budget, measured_costs
from appliance.vision.detector import Detector
from appliance.vision.observer import Observer
from appliance.vision.onnx import load_detector
from scripts.recorded import packets_of
from scripts.scene_judges import AMPLE_MS, LOOKS_PER_S, LOST_S, Seen
from scripts.scene_score import score
from scripts.scene_sets import gathering, passers, quiet
from scripts.scenes import Scene, film, truth

BEGIN_S, END_S = 4.0, 24.0  # what is measured of a clip: two times ten seconds, and five times four
LATER_S = 60.0  # scenes are made for so long, and cut: who walks in at the end of a clip is still in view
ROUNDS = 2
SIZES = {1080: (1920, 1080), 360: (640, 360)}


# What the code took for the same clips before it looked at regions (commit 5c0c57a, at its 5 looks a second): times
# bare decoding in the same run, and how many it counted.
BEFORE: dict[tuple[str, int, int], tuple[float, int]] = {
    ("nobody", 1080, 0): (1.44, 0),
    ("one person each 10 s", 1080, 0): (1.60, 3),
    ("one person each 4 s", 1080, 0): (1.65, 6),
    ("a busy door, three in view", 1080, 0): (1.54, 3),
    ("a crowd of twelve", 1080, 0): (1.58, 12),
    ("nobody", 1080, 2): (1.52, 0),
    ("one person each 10 s", 1080, 2): (1.41, 4),
    ("one person each 4 s", 1080, 2): (1.45, 6),
    ("a busy door, three in view", 1080, 2): (1.64, 3),
    ("a crowd of twelve", 1080, 2): (1.44, 12),
    ("nobody", 360, 0): (5.93, 0),
    ("one person each 10 s", 360, 0): (6.12, 5),
    ("one person each 4 s", 360, 0): (6.53, 9),
    ("a busy door, three in view", 360, 0): (6.25, 3),
    ("a crowd of twelve", 360, 0): (7.80, 12),
    ("nobody", 360, 2): (4.64, 0),
    ("one person each 10 s", 360, 2): (6.32, 4),
    ("one person each 4 s", 360, 2): (5.96, 9),
    ("a busy door, three in view", 360, 2): (6.66, 3),
    ("a crowd of twelve", 360, 2): (5.99, 13),
}


@dataclass(frozen=True)
class Case:
    """A scene to be measured. wanted: the most it may cost at 1080p, in times of bare decoding."""

    name: str
    make: Callable[[tuple[int, int]], Scene]
    wanted: float

    def scene(self, height: int, b_frames: int = 0) -> Scene:
        """As a camera sends it (P frames alone), or as OBS does (two B frames in a row)."""
        return replace(self.make(SIZES[height]), seconds=END_S, b_frames=b_frames)


def _face_px(size: tuple[int, int], at_1080: float) -> float:
    """A face of so many px at 1080p; at 360p people stand nearer, or none would be large enough to judge."""
    return at_1080 if size[1] == 1080 else max(28.0, at_1080 / 2)


def _passers(size: tuple[int, int], period_s: float) -> Scene:
    return passers(size, LATER_S, period_s, (_face_px(size, 40), _face_px(size, 80)))


CASES = (
    Case("nobody", lambda size: quiet(size, END_S), 0.15),
    Case("one person each 10 s", lambda size: _passers(size, 10), 0.6),
    Case("one person each 4 s", lambda size: _passers(size, 4), 1.1),
    Case("a busy door, three in view", lambda size: gathering(size, END_S, 3, _face_px(size, 90)), 1.4),
    Case("a crowd of twelve", lambda size: gathering(size, END_S, 12, _face_px(size, 70)), 2.0),
)


@dataclass(frozen=True)
class Run:
    """One pass over a clip. cpu_ms, looks: for each second between BEGIN_S and the end."""

    cpu_ms: float
    looks: float
    counted: int


def streams() -> None:
    """A table of all scenes, as cameras and as OBS send them, at 1080p and 360p."""
    detector = load_detector()
    print(
        "| scene | sent as | wanted, at most | CPU, times bare decoding | CPU ms a second | looks a second "
        "| counted of | before regions (mb9k 5c0c57a): times, counted |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for height in SIZES:
        for b_frames in (0, 2):
            for case in CASES:
                with tempfile.TemporaryDirectory() as folder:
                    print(_row(case, height, b_frames, detector, Path(folder)), flush=True)


def _row(case: Case, height: int, b_frames: int, detector: Detector, folder: Path) -> str:
    scene = case.scene(height, b_frames)
    path, bare_ms, runs = film(scene, folder), [], []
    for _ in range(ROUNDS):  # in turns, so that both see the same load
        bare_ms.append(decoded_alone(path))
        runs.append(observed(path, detector, scene))
    ratio = sum(run.cpu_ms for run in runs) / sum(bare_ms)
    before = BEFORE.get((case.name, height, b_frames))
    cells = (
        f"{case.name}, {height}p",
        "P and B frames" if b_frames else "P frames",
        f"{case.wanted:.2f}" if height == 1080 else "",
        f"{ratio:.2f}",
        f"{sum(run.cpu_ms for run in runs) / ROUNDS:.0f} of {sum(bare_ms) / ROUNDS:.0f}",
        f"{runs[-1].looks:.1f}",
        f"{runs[-1].counted} of {len(truth(scene))}",
        f"{before[0]:.2f}, {before[1]}" if before else "",
    )
    return f"| {' | '.join(cells)} |"


def observed(path: Path, detector: Detector, scene: Scene) -> Run:
    """Through the observer of a box with time to spare, as fast as it goes."""
    seen, looks = Seen(), 0
    observer = Observer(detector, LOOKS_PER_S, LOST_S, Budget(AMPLE_MS).open_purse(), measured_costs(detector))
    begun_s = None
    for packet in packets_of(path):
        if begun_s is None and packet.utc >= BEGIN_S:
            begun_s = time.process_time()
        for look in observer.take(packet):
            looks += look.frame.utc >= BEGIN_S
            seen.take(look.update.seen, look.update.ended, look.frame.utc)
    assert begun_s is not None
    spent_s = time.process_time() - begun_s
    seen.take([], observer.tracker.end_all(), scene.seconds)
    measured_s = scene.seconds - BEGIN_S
    return Run(spent_s / measured_s * 1000, looks / measured_s, score(truth(scene), seen.counted()).counted)


def decoded_alone(path: Path) -> float:
    """CPU milliseconds of decoding all of it in one thread, for each second between BEGIN_S and the end."""
    begun_s, now_s = None, 0.0
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        video.thread_type, video.codec_context.thread_count = "NONE", 1
        for packet in container.demux(video):
            if packet.pts is not None:
                now_s = float(packet.pts * packet.time_base)
            if begun_s is None and now_s >= BEGIN_S:
                begun_s = time.process_time()
            packet.decode()
    assert begun_s is not None
    return (time.process_time() - begun_s) / (now_s - BEGIN_S) * 1000
