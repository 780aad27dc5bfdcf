"""The figures behind scripts/bench; each beside its alternative, measured in the same run.

detector: milliseconds per picture, and per stack of regions, beside the published detectors (MB9K_DATA names the folder
they are in).
gate: latency of the answer at 200 requests a second, and with 200 slow sockets open.
streams: a 1080p30 and a 360p30 stream through a whole box: CPU of the watcher beside bare decoding of the same
stream, delay from a person's first visible frame to the stored detection, memory of each service.
far: who is found, judged right and counted once, by the size of the face (bench_far.py).
count: how exactly people are counted in scripted scenes (bench_count.py).
store: what pages and services ask of 300,000 detections (bench_store.py).
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnxruntime

from appliance.faces import State
from appliance.loopback import authorization
from appliance.media.mediamtx import Engine, read_url
from appliance.secrets import secret_from_file
from appliance.store import DetectionFilter
from appliance.vision.bboxes import normalised
from appliance.vision.clip import Appearance, make_clip
from appliance.vision.detector import Detector
from appliance.vision.manifest import load_manifest
from appliance.vision.onnx import load_detector
from appliance.vision.pixels import Pixels, pixels_of, scale_to
from scripts.bench_count import count
from scripts.bench_far import far
from scripts.bench_store import store
from scripts.publish import Publisher
from tests.attackers import sending
from tests.boxes import KEY, Box, until

GATE_RATE, GATE_SECONDS = 200, 10
SLOW_SOCKETS = 200
STREAM_SECONDS = 45
PICTURES = 150
TICKS = os.sysconf("SC_CLK_TCK")


def main(names: Sequence[str]) -> None:
    """Run the named parts, or all."""
    parts: dict[str, Callable[[], None]] = {
        "detector": detector,
        "gate": gate,
        "streams": streams,
        "far": far,
        "count": count,
        "store": store,
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
    with _box("embedded") as box, box.running(show_log=False):
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


def streams() -> None:
    """Whole boxes, with each ingest there is."""
    engines: list[Engine] = ["mediamtx", "embedded"] if shutil.which("mediamtx") else ["embedded"]
    for width, height in ((1920, 1080), (640, 360)):
        with tempfile.TemporaryDirectory() as folder:
            clip = Path(folder) / "clip.mp4"
            truth = make_clip(clip, width=width, height=height)
            rate = clip.stat().st_size * 8 / 30 / 1e6
            print(f"  {width}x{height} at 30 frames a second, {rate:.1f} Mbit/s, analysed at 5 a second")
            for engine in engines:
                _stream(engine, clip, truth)


def _stream(engine: Engine, clip: Path, truth: Sequence[Appearance]) -> None:
    with _box(engine) as box, box.running(show_log=False):
        begun: list[float] = []
        publisher = threading.Thread(target=_publish, args=(clip, box.url(), begun), daemon=True)
        publisher.start()
        until(box.is_live, 20, "the stream goes LIVE")
        url = read_url(box.config, engine, f"live/{KEY}", box.config.local_secret_path.read_text().strip())
        watcher = box.service_pid("watch")
        idle_s = _cpu_s(watcher)
        decode = [sys.executable, "-c", _DECODE, str(STREAM_SECONDS)]
        decoder = subprocess.Popen(decode, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert decoder.stdin is not None
        decoder.stdin.write(f"{url}\n".encode())  # every process of this machine can read an argument
        decoder.stdin.flush()
        arrivals = _arrivals(box, STREAM_SECONDS)
        watched = (_cpu_s(watcher) - idle_s) / STREAM_SECONDS * 100
        bare = float(decoder.communicate()[0]) / STREAM_SECONDS * 100
        print(f"    {engine:9} watcher {watched:.1f} % of a processor; bare decoding of the same stream {bare:.1f} %")
        print(f"    {engine:9} {_delays(arrivals, begun[0], truth)}")
        names = ("gate", "ingest", *(["mediamtx"] if engine == "mediamtx" else []), "watch", "serve")
        print(
            f"    {engine:9} memory " + ", ".join(f"{name} {_pss_mb(box.service_pid(name)):.0f} MB" for name in names)
        )


def _publish(clip: Path, url: str, begun: list[float]) -> None:
    begun.append(time.time())
    with contextlib.suppress(OSError, av.error.FFmpegError):  # until the box is stopped
        Publisher(clip, url).run()


_DECODE = """
import sys, time, av
url = sys.stdin.readline().strip()
container = av.open(url, options={"rtsp_transport": "tcp"} if url.startswith("rtsp") else {})
video = container.streams.video[0]
video.thread_type, video.codec_context.thread_count = "NONE", 1
spent, begun = time.process_time(), time.monotonic()
for frame in container.decode(video):
    if time.monotonic() - begun > float(sys.argv[1]):
        break
print(time.process_time() - spent)
"""


def _arrivals(box: Box, seconds: float) -> list[tuple[float, State]]:
    """When each new detection was first to be read in the store, and its first state."""
    known: set[int] = set()
    found, end_s = [], time.monotonic() + seconds
    while time.monotonic() < end_s:
        for stored in reversed(box.store.detections.page(DetectionFilter(), limit=20)):
            if stored.id not in known:
                known.add(stored.id)
                found.append((time.time(), stored.detection.state))
        time.sleep(0.02)
    return found


def _delays(arrivals: Sequence[tuple[float, State]], begun_utc: float, truth: Sequence[Appearance]) -> str:
    """From when a person was first wholly visible to when the detection was stored.

    A walk is wholly visible after about an eighth of its time; the publisher's clock began at begun_utc.
    """
    visible = sorted(
        begun_utc + round_ * 30 + one.enters_s + (one.leaves_s - one.enters_s) / 8
        for round_ in range(5)
        for one in truth
    )
    delays = []
    for stored_utc, _ in arrivals:
        earlier = [moment for moment in visible if moment < stored_utc + 0.5]
        if earlier:
            delays.append(stored_utc - earlier[-1])
    if len(delays) < 4:
        return "too few detections for a delay"
    delays.sort()
    p95 = delays[min(len(delays) - 1, len(delays) * 95 // 100)]
    return f"wholly visible to stored: p50 {statistics.median(delays):.1f} s, p95 {p95:.1f} s of {len(delays)}"


@contextmanager
def _box(engine: str) -> Iterator[Box]:
    with tempfile.TemporaryDirectory() as folder:
        yield Box(Path(folder), engine, _free_port)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _pss_mb(pid: int) -> float:
    """Proportional set size: shared pages counted by share."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    main(sys.argv[1:])
