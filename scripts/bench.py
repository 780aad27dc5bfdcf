"""The figures behind scripts/bench; each beside its alternative, measured in the same run.

detector: milliseconds per picture, and per stack of regions, beside the published detectors (MB9K_DATA names the folder
they are in).
gate: latency of the answer at 200 requests a second, and with 200 slow sockets open.
streams: scenes from nobody to a crowd: CPU beside bare decoding of the same file, as a table (bench_streams.py).
batching: what it costs and saves where streams share a GPU, with a simulated one (bench_batching.py).
capacity: how many streams of a door one core holds with nobody missed, and the memory of each (bench_capacity.py).
delay: from a person wholly visible to the stored detection, in a whole box (bench_delay.py).
far: who is found, judged right and counted once, by the size of the face (bench_far.py).
count: how exactly people are counted in scripted scenes (bench_count.py).
view: what it costs to see whether a picture is dark, blurred, covered or moved, and false alarms (bench_view.py).
rates: how often the interval of a rate holds the truth, over simulated days (bench_rates.py).
store: what pages and services ask of 300,000 detections (bench_store.py).
pages: how fast pages answer with few and with many detections, bytes a detection writes (bench_answers.py), and how
fast the record is exported, beside SQLite alone writing the same rows (bench_pages.py).
fleet: rows from boxes into the centre, on SQLite and PostgreSQL: rate, delay, all boxes at once (bench_fleet.py).
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnxruntime

from appliance.loopback import authorization
from appliance.secrets import secret_from_file
from appliance.vision.bboxes import normalised
from appliance.vision.clip import make_clip
from appliance.vision.detector import Detector
from appliance.vision.manifest import load_manifest
from appliance.vision.onnx import load_detector
from appliance.vision.pixels import Pixels, pixels_of, scale_to
from scripts.bench_batching import batching
from scripts.bench_capacity import capacity
from scripts.bench_count import count
from scripts.bench_delay import a_box, delay
from scripts.bench_far import far
from scripts.bench_fleet import fleet
from scripts.bench_pages import pages
from scripts.bench_rates import rates
from scripts.bench_store import store
from scripts.bench_streams import streams
from scripts.bench_view import view
from tests.attackers import sending
from tests.boxes import KEY, until

GATE_RATE, GATE_SECONDS = 200, 10
SLOW_SOCKETS = 200
PICTURES = 150


def main(names: Sequence[str]) -> None:
    """Run the named parts, or all."""
    parts: dict[str, Callable[[], None]] = {
        "detector": detector,
        "gate": gate,
        "streams": streams,
        "batching": batching,
        "capacity": capacity,
        "delay": delay,
        "far": far,
        "count": count,
        "view": view,
        "rates": rates,
        "store": store,
        "pages": pages,
        "fleet": fleet,
    }
    unknown = set(names) - parts.keys()
    if unknown:
        sys.exit(f"bench: there is no {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    model = next(
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    )
    print(f"{model}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} (figures of a busy machine say little)")
    for name, part in parts.items():
        if not names or name in names:
            print(f"\n{name}")
            part()


def detector() -> None:
    """CPU time per picture of 1280x720, one thread, everything from RGB picture to list of faces."""
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        make_clip(clip, seconds=30, width=1280, height=720, fps=5)
        with av.open(str(clip)) as container:
            pictures = [pixels_of(frame) for frame in container.decode(video=0)][:PICTURES]
    runs: dict[str, Callable[[Pixels], Any]] = {"ours: the whole picture": load_detector().detect}
    for name in load_manifest().models:
        one = load_detector(name)
        runs |= {f"ours: {count} regions of {name}": partial(_look, one, count) for count in (1, 4)}
    data = Path(os.environ.get("MB9K_DATA", Path(__file__).parent.parent.parent / "shared" / "data")) / "baselines"
    if data.is_dir():
        runs |= _published(data)
    else:
        print(f"  (the published detectors are not here: {data}; set MB9K_DATA)")
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for picture in pictures:  # in turns, so that all see the same load
        for name, run in runs.items():
            begun_s = time.process_time()
            run(picture)
            spent[name].append((time.process_time() - begun_s) * 1000)
    for name, times in spent.items():
        print(f"  {name:42} {statistics.median(times):6.1f} ms (min {min(times):.1f})")


def _look(one: Detector, count: int, picture: Pixels) -> Any:
    """Look at so many regions of the picture, in one stack."""
    return one.look(
        np.stack([picture[: one.region_px, left : left + one.region_px] for left in range(0, 64 * count, 64)])
    )


def _published(folder: Path) -> dict[str, Callable[[Pixels], Any]]:
    """The published networks with their own preparation and threshold; their NMS is left out."""
    found: dict[str, Callable[[Pixels], Any]] = {}
    for name, path, width, height, mean, scale in (
        ("UltraFace-masked RFB-320", "ultraface_masked/RFB-320-masked_face-v2.onnx", 320, 240, 127, 128),
        ("UltraFace-masked RFB-640", "ultraface_masked/RFB-640-masked_face-v2.onnx", 640, 480, 127, 128),
        ("YuNet-n at 416 (faces only)", "yunet/yunet_n_dynamic.onnx", 416, 256, 0, 1),
    ):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(folder / path), options, providers=["CPUExecutionProvider"])

        def run(
            picture: Pixels,
            session: Any = session,
            size: tuple[int, int] = (width, height),
            mean: int = mean,
            scale: int = scale,
        ) -> Any:
            tensor = normalised(scale_to(picture, *size)[None], mean, scale)
            outputs = session.run(None, {session.get_inputs()[0].name: tensor})
            return [output[output > 0.5] for output in outputs]

        found[name] = run
    return found


def gate() -> None:
    """The gate's answers at GATE_RATE a second, each on a connection of its own, beside the site's cheapest page.

    Without and with SLOW_SOCKETS open that send a byte of a request each second.
    """
    with a_box("embedded") as box, box.running(show_log=False):
        until(lambda: _answers(box.config.web.port), 20, "the site answers")
        question = json.dumps({"action": "publish", "path": f"live/{KEY}", "ip": "192.0.2.1", "protocol": "rtmp"})
        shown = {"Authorization": authorization(secret_from_file(box.config.local_secret_path))}
        shown["Content-Type"] = "application/json"
        for name, port, method, path, sent in (
            ("gate, 200 a second", box.config.media.gate_port, "POST", "/auth", question),
            ("site /health, 200 a second", box.config.web.port, "GET", "/health", None),
        ):
            for slow in (0, SLOW_SOCKETS):
                with sending(port, slow, f"{method} {path} HTTP/1.1\r\nHost: box\r\nX: ".encode(), b"x", pause_s=1.0):
                    times = sorted(_answer_times(port, method, path, sent, shown if sent else {}))
                p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
                figures = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, worst {times[-1]:.1f} ms of {len(times)}"
                print(f"  {f'{name}, {slow} slow sockets':42} {figures}")


def _answer_times(port: int, method: str, path: str, sent: str | None, headers: dict[str, str]) -> Iterator[float]:
    begun_s = time.perf_counter()
    for number in range(GATE_RATE * GATE_SECONDS):
        time.sleep(max(0.0, begun_s + number / GATE_RATE - time.perf_counter()))
        asked_s = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request(method, path, sent, headers)
        status = connection.getresponse().status
        connection.close()
        if status >= 300:
            sys.exit(f"bench: {path} answered {status}")
        yield (time.perf_counter() - asked_s) * 1000


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    main(sys.argv[1:])
