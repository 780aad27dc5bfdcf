"""How long pages and the API take with few and with many detections; what a detection writes to the disk."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from appliance.disk import Reserve
from appliance.faces import Detection, State
from appliance.secrets import digest
from appliance.store import Store
from appliance.times import now
from appliance.vision.analysis import Sighting
from appliance.watch.recorder import Recorder
from tests.site import Box, Browser

FEW, MANY, STREAMS, DAYS, REPEATS = 10_000, 1_000_000, 10, 30, 60
WANTED = 1.3
WRITTEN, JPEG_BYTES = 1000, 12_000
FILL = """
    with recursive n (i) as (select 0 union all select i + 1 from n where i < :rows - 1)
    insert into detections (stream_id, first_seen_utc, last_seen_utc, state, confidence, votes, bbox_left, bbox_top,
      bbox_right, bbox_bottom, frame_width, frame_height, model)
    select 1 + i % :streams, strftime('%Y-%m-%dT%H:%M:%fZ', :begun_utc + i * :between_s, 'unixepoch'),
      strftime('%Y-%m-%dT%H:%M:%fZ', :begun_utc + i * :between_s + 2, 'unixepoch'),
      case i % 7 when 0 then 'no_mask' when 1 then 'incorrect' when 2 then 'unknown' else 'mask' end,
      0.5 + i % 100 / 217.0, i % 40, 10, 10, 54.7, 70.2, 1920, 1080, 'mb9k-5-int8-regions-320'
    from n
"""
ASKED = [
    *("/", "/streams", "/streams/1", "/detections", "/detections?stream=3&state=no_mask", "/detections/{middle}"),
    *(
        "/detections?before={middle}",
        "/trends",
        "/trends?range=week",
        "/trends?range=month",
        "/trends?range=month&stream=1",
    ),
    *("/report", "/report?kind=month", "/report?kind=month&of=1"),
    *("/export", "/box-health", "/people", "/audit", "/receipts", "/settings/privacy"),
    *("/streams/1/zones", "/streams/1/calibration", "/alerts", "/alerts/rules", "/api/v1/trends", "/api/v1/alerts"),
    *("/api/v1/status", "/api/v1/streams", "/api/v1/streams/1", "/api/v1/detections", "/api/v1/counts"),
    *("/api/v1/detections?stream=3&state=no_mask", "/api/v1/detections/{middle}", "/metrics"),
]
"""Every page that is read again and again, and all of the API that reads the record."""


def answers() -> None:
    """Milliseconds at the 95th percentile, and how many times as long they are with a hundred times the detections."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        asks: dict[int, Callable[[str], float]] = {}
        for rows in (FEW, MANY):
            box = stack.enter_context(contextlib.closing(Box(Path(folder) / str(rows))))
            _fill(box.store, rows)
            asks[rows] = _asker(box, rows)
        print(f"  {f'p95 ms with detections: ({REPEATS} times each)':50} {FEW:>10,} {MANY:>10,} {'times':>6}")
        worst = 0.0
        for path in ASKED:
            took: dict[int, list[float]] = {FEW: [], MANY: []}
            for n in range(REPEATS):
                for rows in (FEW, MANY) if n % 2 else (MANY, FEW):
                    took[rows].append(asks[rows](path))
            few, many = (statistics.quantiles(took[rows][1:], n=20)[-1] for rows in (FEW, MANY))
            worst = max(worst, many / few)
            print(f"  {path:50} {few:10.1f} {many:10.1f} {many / few:6.2f}")
        print(f"  the worst is {worst:.2f} times as long; wanted: at most {WANTED} times")


def _fill(store: Store, rows: int) -> None:
    at = now().utc
    for number in range(2, STREAMS):
        store.streams.add_with_key(1, f"stream {number}", digest(f"{number}"), at)
    length_s = DAYS * 86400
    values = {"rows": rows, "streams": STREAMS, "begun_utc": at - length_s, "between_s": length_s / rows}
    with store.writing():
        store.db.execute(FILL, values)


def _asker(box: Box, rows: int) -> Callable[[str], float]:
    browser: Browser = box.browser("ann")

    def ask(path: str) -> float:
        begun_s = time.perf_counter()
        answer = browser.get(path.format(middle=rows // 2))
        took_ms = (time.perf_counter() - begun_s) * 1000
        if answer.status_code >= 300:
            raise SystemExit(f"{path} answers {answer.status_code}")
        return took_ms

    return ask


def written() -> None:
    """Bytes that a detection costs the disk, by the recorder once a second for three seconds; beside SQLite alone."""
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(Box(Path(folder) / "box")) as box:
        recorder = Recorder(box.images, Reserve(Path(folder)))
        bare = sqlite3.connect(Path(folder) / "bare.db", isolation_level=None)
        bare.execute("pragma journal_mode = wal")
        bare.execute("create table detections (id integer primary key, seen text, state text, confidence real)")
        figures = {
            "a bare insert, committed": _bytes_of(lambda _n: _insert(bare)),
            "a detection of three seconds, without an image": _bytes_of(
                lambda n: _pass_by(recorder, box.store, n, None)
            ),
            f"  with an image of {JPEG_BYTES:,} bytes": _bytes_of(
                lambda n: _pass_by(recorder, box.store, n, os.urandom(JPEG_BYTES))
            ),
        }
        bare.close()
        alone = figures["a bare insert, committed"]
        for name, each in figures.items():
            print(f"  {name:50} {each:10,.0f} bytes, {each / alone:5.1f} times")


def _bytes_of(write: Callable[[int], None]) -> float:
    """What one writing dirties of the disk's pages (Linux counts them for each process)."""
    before = _write_bytes()
    for number in range(WRITTEN):
        write(number)
    each = (_write_bytes() - before) / WRITTEN
    if not each:
        raise SystemExit("Nothing reached a disk: let TMPDIR name a folder that is on one, not in memory.")
    return each


def _write_bytes() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def _insert(bare: sqlite3.Connection) -> None:
    bare.execute("insert into detections (seen, state, confidence) values ('2026-11-27T12:00:00.000Z', 'mask', .9)")


def _pass_by(recorder: Recorder, store: Store, number: int, jpeg: bytes | None) -> None:
    """Somebody comes, stays for three seconds and leaves; a transaction a second, as the watcher makes them."""
    at = now().utc
    for second in range(3):
        seen = Detection(at, at + second, State.MASK, 0.9, 5 * second, (10, 20, 60, 80), 640, 360, "bench")
        recorder.take(Sighting(f"{number}", 1, None, seen, jpeg if second == 0 else None, second == 2))
        with store.writing():
            recorder.write(store, 3.0 * number + second)
        recorder.committed(3.0 * number + second)
