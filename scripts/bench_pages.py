"""The pages' figures: how fast they answer, what a detection writes, how fast the record is handed on."""

from __future__ import annotations

import contextlib
import csv
import json
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from appliance.accounts.people import Role
from appliance.exports.columns import DETECTIONS
from appliance.exports.export import Export, What
from appliance.exports.formats import Format
from appliance.exports.sheets import write_file
from appliance.images import ImageFiles
from appliance.secrets import digest
from appliance.store import DetectionFilter, Store
from appliance.time_zone import UTC, named
from scripts.bench_answers import answers, written
from scripts.bench_many import many

ROWS, FEW, STREAMS, REPEATS = 1_000_000, 1000, 10, 3
BEGUN_UTC, SECONDS_BETWEEN = 1_795_521_600.0, 2.5  # ten streams of a busy place, for a month
ZONE = named("Europe/Berlin") or UTC
FILL = """
    with recursive n (i) as (select 0 union all select i + 1 from n where i < :rows - 1)
    insert into detections (stream_id, first_seen_utc, last_seen_utc, state, confidence, votes, bbox_left, bbox_top,
      bbox_right, bbox_bottom, frame_width, frame_height, model)
    select 1 + i % :streams, strftime('%Y-%m-%dT%H:%M:%fZ', :begun_utc + i * :between_s, 'unixepoch'),
      strftime('%Y-%m-%dT%H:%M:%fZ', :begun_utc + i * :between_s + 2, 'unixepoch'),
      case i % 7 when 0 then 'no_mask' when 1 then 'incorrect' when 2 then 'unknown' else 'mask' end,
      0.5 + i % 100 / 217.0, i % 40, i * 7919 % 100000 / 61.0, i * 104729 % 100000 / 97.0,
      i * 7919 % 100000 / 61.0 + 44.7, i * 104729 % 100000 / 97.0 + 60.2, 1920, 1080, 'mb9k-5-int8-regions-320'
    from n
"""
BARE = """
    select detections.id, stream_id, people.name || ':' || streams.name, first_seen_utc, last_seen_utc,
      first_seen_utc, 'Europe/Berlin', state, iif(too_small, 'too_small', null), round(confidence, 4), votes,
      round(bbox_left, 1), round(bbox_top, 1), round(bbox_right, 1), round(bbox_bottom, 1), frame_width, frame_height,
      model, edited_by, image_size
    from detections join streams on streams.id = stream_id join people on people.id = owner_id
"""
"""The same columns, but that the local time is the other one: SQLite knows no zones."""


def pages() -> None:
    """Answers with many streams, with few and with many detections, what one writes to the disk, exports."""
    many()
    answers()
    written()
    exports()


def exports() -> None:
    """Rows a second of the processor, each form in turns with SQLite and Python's csv alone; and the memory of each."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mb9k.db"
        _fill(path)
        runs: dict[str, Callable[[], None]] = {"SQLite and csv alone": lambda: _bare(path)}
        for form in (Format.CSV, Format.JSON_LINES, Format.SQLITE):
            runs[f"export as {form.value}"] = lambda form=form: _export(path, form, ROWS)  # type: ignore[misc]
        spent_s: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(REPEATS):
            for name, run in runs.items():
                begun_s = time.process_time()
                run()
                spent_s[name].append(time.process_time() - begun_s)
        bare_s = statistics.median(spent_s["SQLite and csv alone"])
        print(f"  {f'{ROWS:,} detections of {STREAMS} streams':42} {'rows/s':>9} {'of alone':>9}")
        for name, each_s in spent_s.items():
            median_s = statistics.median(each_s)
            print(f"  {name:42} {ROWS / median_s:9,.0f} {bare_s / median_s:9.2f}")
        print(f"  {'memory at its most, MB, of rows:':42} {f'{FEW:,}':>9} {f'{ROWS:,}':>9}")
        for form in (Format.CSV, Format.JSON_LINES, Format.SQLITE):
            few, many = (_memory_mb(path, form, rows) for rows in (FEW, ROWS))
            print(f"  {f'export as {form.value}':42} {few:9.1f} {many:9.1f}")


def _fill(path: Path) -> None:
    with contextlib.closing(Store.open(path)) as store:
        store.people.add("dev", "hash", Role.ADMIN, BEGUN_UTC)
        for number in range(STREAMS):
            store.streams.add_with_key(1, f"stream {number + 1}", digest(f"{number}"), BEGUN_UTC)
        triggers = store.db.execute("select name from sqlite_schema where type = 'trigger'").fetchall()
        for trigger in triggers:  # a million rows would take them minutes
            store.db.execute(f"drop trigger {trigger['name']}")
        with store.writing():
            values = {"rows": ROWS, "streams": STREAMS, "begun_utc": BEGUN_UTC, "between_s": SECONDS_BETWEEN}
            store.db.execute(FILL, values)


def _bare(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, Path("/dev/null").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(DETECTIONS.names)
        writer.writerows(connection.execute(BARE))


def _export(path: Path, form: Format, rows: int) -> None:
    until_utc = BEGUN_UTC + rows * SECONDS_BETWEEN
    with contextlib.closing(Store.open_readonly(path)) as store:
        images, where = ImageFiles(path.parent / "images"), DetectionFilter(until_utc=until_utc)
        made = Export(What.DETECTIONS, form, where, store, images, ZONE, "bench", BEGUN_UTC)
        if form is Format.SQLITE:
            made_path = path.with_name("made.sqlite")
            write_file(made, made_path)
            made_path.unlink()
            return
        with Path("/dev/null").open("wb") as file:
            file.writelines(made.parts())


def _memory_mb(path: Path, form: Format, rows: int) -> float:
    """What a process needs at its most that makes this export and nothing else."""
    words = [sys.executable, "-m", "scripts.bench_pages", str(path), form.value, str(rows)]
    said = subprocess.run(words, check=True, capture_output=True, text=True)
    return float(json.loads(said.stdout))


if __name__ == "__main__":
    _export(Path(sys.argv[1]), Format(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps(round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)))
