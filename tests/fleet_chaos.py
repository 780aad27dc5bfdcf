"""A fleet to which everything happens: real boxes, a real broker over TLS, a real ingest, and a network that fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import ClassVar

import msgspec

from appliance.central import backup
from appliance.central.database import Database
from appliance.central.opening import connect, open_database
from appliance.store import Store
from appliance.store.soundness import COMPANIONS
from appliance.store.summaries import WRONG_MINUTES
from tests.boxes import until
from tests.conftest import REPOSITORY
from tests.fleet import join, rolled_up, sums_of
from tests.fleet_chaos_child import write_journal
from tests.fleet_proxy import Proxy
from tests.sync_room import CentreRoom, SyncedBox

Rows = dict[tuple[str, int, int], tuple[int, ...]]
"""By epoch, stream and minute: start_utc, watched_s, mask, no_mask, incorrect, unknown, verified, seq."""


class Process:
    """One that is killed and started again. mutant: what it does wrong; see fleet_chaos_child."""

    def __init__(self, log: Path, words: Callable[[], list[str]], mutant: str) -> None:
        self._log, self._words, self._mutant = log, words, mutant
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, if it does not run."""
        if self._process is None:
            command = [sys.executable, "-m", "tests.fleet_chaos_child", *self._words()]
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    command,
                    stdout=log,
                    stderr=log,
                    cwd=REPOSITORY,
                    env={**os.environ, "MB9K_TEST_MUTANT": self._mutant},
                )

    def kill(self) -> None:
        """kill -9. It must not have ended by itself."""
        if self._process is not None:
            ended = self._process.poll()
            self._process.kill()
            self._process.wait()
            self._process = None
            assert ended is None, f"it ended by itself: {self._log.read_text()[-3000:]}"


class ChaosBox:
    """A box: who writes detections, and `mb9k sync`. promised: rows that its centre had when its card was put back."""

    def __init__(self, folder: Path, name: str, free_port: Callable[[], int], seed: int, mutant: str) -> None:
        made = SyncedBox(folder, free_port)
        made.store.streams.add_with_key(1, "lab", "another digest", time.time())
        made.store.close()
        self.name, self.path, self.state = name, made.config.store_path, made.config.state
        self.promised: Rows = {}
        self.lost_detections = 0
        self._journal, self._copy, self._chance = folder / "journal", folder / "copy", Random(seed)
        self._config_path = made.path
        self.writer = Process(folder / "writer.log", self._writing, mutant)
        self.sync = Process(folder / "sync.log", lambda: ["mb9k", "--config", str(made.path), "sync"], mutant)

    def _writing(self) -> list[str]:
        return ["write", str(self._config_path), str(self._journal), str(self._chance.getrandbits(32))]

    @contextmanager
    def store(self) -> Iterator[Store]:
        """Its store, to look at."""
        store = Store.open_existing(self.path)
        try:
            yield store
        finally:
            store.close()

    def start(self) -> None:
        self.writer.start()
        self.sync.start()

    def kill(self) -> None:
        self.sync.kill()
        self.kill_writer()

    def kill_writer(self) -> None:
        """And put into the journal what it had no time to."""
        self.writer.kill()
        handle = os.open(self._journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with self.store() as store:
            for epoch in store.summaries.tops():
                write_journal(handle, epoch, store.summaries.range_after(epoch, 0, 10**6)[0])
        os.close(handle)

    def copy(self) -> None:
        """Copy its card while it is off."""
        self.kill()
        self._move(self.path, self._copy)
        self.start()

    def put_back(self, marks: dict[str, int]) -> None:
        """Put the copy in the place of what there is. marks: what the centre has, by epoch; that must stay there."""
        self.kill()
        self.promised |= {key: row for key, row in self.rows().items() if row[-1] <= marks.get(key[0], 0)}
        self.lost_detections += self.detections()
        self._move(self._copy, self.path)
        self.lost_detections -= self.detections()
        self.start()

    @staticmethod
    def _move(from_: Path, to: Path) -> None:
        for suffix in ("", *COMPANIONS):
            Path(f"{to}{suffix}").unlink(missing_ok=True)
            if Path(f"{from_}{suffix}").exists():
                shutil.copyfile(f"{from_}{suffix}", f"{to}{suffix}")

    def rows(self) -> Rows:
        with self.store() as store:
            return {
                (epoch, row.stream, row.minute): (
                    row.start_utc, row.watched_s, row.mask, row.no_mask, row.incorrect, row.unknown, row.verified,
                    row.seq,
                )
                for epoch in store.summaries.tops()
                for row in store.summaries.range_after(epoch, 0, 10**6)[0]
            }  # fmt: skip

    def detections(self) -> int:
        """How many were ever added, as far as this card knows."""
        with self.store() as store:
            row = store.db.execute("select max(seq) as n from sqlite_sequence where name = 'detections'").fetchone()
            return int(row["n"] or 0)

    def acked(self) -> dict[str, int]:
        with self.store() as store:
            return {row["id"]: row["acked"] for row in store.db.execute("select id, acked from epochs")}

    def is_behind(self) -> bool:
        with self.store() as store:
            return bool(store.summaries.behind(1))

    def is_sound(self) -> bool:
        """Whether its sums are those of its detections."""
        with self.store() as store:
            return bool(store.db.execute(WRONG_MINUTES).fetchone()[0] == 0)

    def journal(self) -> tuple[dict[tuple[str, int], tuple[int, ...]], int]:
        """What was ever committed, by epoch and seq; and how often one seq said two things."""
        found: dict[tuple[str, int], tuple[int, ...]] = {}
        twice = 0
        for line in self._journal.read_text().splitlines():
            epoch, *values = json.loads(line)
            twice += found.setdefault((epoch, values[-1]), tuple(values)) != tuple(values)
        return found, twice

    def expected(self, have: Rows) -> Rows:
        """What the centre must have, if it has `have`: all that is on the card; and of what was lost with a card, some
        state that was committed once. Such are only rows that the card of now cannot know.
        """
        expected = self.rows()
        tops: dict[str, int] = Counter()
        with self.store() as store:
            tops.update({row["id"]: row["seq"] for row in store.db.execute("select id, seq from epochs")})
        journal, _ = self.journal()
        for (epoch, stream, minute), row in have.items():
            if row[-1] > tops.get(epoch, 0):
                known = journal.get((epoch, row[-1]))
                if known and known[:2] == (stream, minute):
                    expected[epoch, stream, minute] = known[2:]
        for key, row in self.promised.items():
            if key not in have or have[key][-1] < row[-1]:
                expected[key] = row
        return expected


class Chaos:
    """The whole fleet. happened: how often what."""

    def __init__(self, folder: Path, free_port: Callable[[], int], seed: int, boxes: int = 3, mutant: str = "") -> None:
        self.chance = Random(seed)
        self.happened: Counter[str] = Counter()
        self.broken: list[str] = []
        self.room = CentreRoom(folder / "room", free_port)
        port = free_port()
        self.boxes = [
            ChaosBox(folder / f"box-{number}", f"box-{number}", free_port, seed + number, mutant)
            for number in range(boxes)
        ]
        for box in self.boxes:
            self.room.join(box.state, name=box.name, port=port)
        self.address = self.room.config.database_address
        database = open_database(self.address)
        join(database, *(box.name for box in self.boxes))
        database.close()
        path = folder / "central.toml"
        path.write_bytes(msgspec.toml.encode(msgspec.to_builtins(self.room.config)))
        words = ["mb9k", "central", "--config", str(path), "ingest"]
        self.ingest = Process(folder / "ingest.log", lambda: words, mutant)
        self.proxy = Proxy(port, self.room.config.broker.port)
        self._backups, self._centre_lost = folder / "backups", False

    @contextmanager
    def running(self) -> Iterator[Chaos]:
        """All of it until the end of the block."""
        try:
            self.room.broker.start()
            self.ingest.start()
            for box in self.boxes:
                box.start()
            yield self
        finally:
            for process in [self.ingest, *(one for box in self.boxes for one in (box.writer, box.sync))]:
                if process._process is not None:
                    process._process.kill()
                    process._process.wait()
            self.room.broker.kill()
            self.proxy.close()

    # What happens

    def pause(self, least_s: float = 0.0, most_s: float = 0.6) -> None:
        time.sleep(self.chance.uniform(least_s, most_s))

    def kill_broker(self) -> None:
        self.room.broker.kill()
        self.pause()
        self.room.broker.start()

    def kill_ingest(self) -> None:
        self._end_ingest()
        self.pause()
        self.ingest.start()

    def _end_ingest(self) -> None:
        """Kill it, and see whether any box was promised more than was committed."""
        self.ingest.kill()
        if self._centre_lost:  # then boxes know more until they hear of it
            return
        for box in self.boxes:
            marks = self._marks(box)
            if any(acked > marks.get(epoch, 0) for epoch, acked in box.acked().items()):
                self.broken.append(f"{box.name} was promised more than was committed")

    def _marks(self, box: ChaosBox) -> dict[str, int]:
        with closing(connect(self.address)) as database:
            rows = database.query("select epoch, upto from watermarks where box_id = ?", [box.name])
            return {row["epoch"]: row["upto"] for row in rows}

    def kill_sync(self) -> None:
        box = self.chance.choice(self.boxes)
        box.sync.kill()
        self.pause()
        box.sync.start()

    def kill_writer(self) -> None:
        box = self.chance.choice(self.boxes)
        box.kill_writer()
        box.writer.start()

    def reset(self) -> None:
        self.proxy.reset()

    def stall(self) -> None:
        self.proxy.stall_until_s = time.monotonic() + self.chance.uniform(0.2, 3)

    def swallow(self) -> None:
        """Answers get lost."""
        self.proxy.swallow_until_s = time.monotonic() + 0.8
        time.sleep(0.7)
        self.proxy.reset()
        time.sleep(0.1)

    FAULTS: ClassVar[dict[str, Callable[[Chaos], None]]] = {
        "broker killed": kill_broker,
        "ingest killed": kill_ingest,
        "sync killed": kill_sync,
        "writer killed": kill_writer,
        "connections reset": reset,
        "network stalled": stall,
        "answers lost": swallow,
    }

    def one_fault(self) -> None:
        """Any of them."""
        name = self.chance.choice(list(self.FAULTS))
        self.happened[name] += 1
        self.FAULTS[name](self)

    def copy_centre(self) -> None:
        """While it runs."""
        backup.make(Path(self.address), self._backups, 1, int(time.time()))

    def lose_centre(self, copy: bool) -> None:
        """Its database is gone. copy: an older one takes its place; or none."""
        self.happened["centre put back" if copy else "centre emptied"] += 1
        self._end_ingest()
        self._centre_lost = True
        for suffix in ("", *COMPANIONS):
            Path(f"{self.address}{suffix}").unlink(missing_ok=True)
        if copy:
            shutil.copyfile(backup.all_of_them(self._backups)[-1], self.address)
        open_database(self.address).close()
        for box in self.boxes:
            box.promised.clear()
        self.ingest.start()

    def lose_card(self, box: ChaosBox) -> None:
        self.happened["card put back"] += 1
        box.put_back(self._marks(box))

    # The end

    def stop_writing(self) -> None:
        for box in self.boxes:
            box.kill_writer()

    def is_quiet(self) -> bool:
        """Whether every box believes that the centre has all it has."""
        return not any(box.is_behind() for box in self.boxes)

    def faults(self) -> list[str]:
        """What is wrong, once nobody writes; empty: the centre has what the boxes have."""
        found = list(self.broken)
        with closing(connect(self.address)) as database:
            for box in self.boxes:
                have = sums_of(database, box.name)
                want = box.expected(have)
                found += [
                    f"{box.name}: {key} is {have.get(key)}, not {want.get(key)}"
                    for key in want.keys() | have.keys()
                    if have.get(key) != want.get(key)
                ]
                if _by_minute(have) != _by_minute(want):
                    found.append(f"{box.name}: the sums of minutes differ")
                if box.journal()[1]:
                    found.append(f"{box.name}: one sequence number was given twice")
                if not box.is_sound():
                    found.append(f"{box.name}: its sums are not those of its detections")
            found += _wrong_roll_ups(database)
        return found

    def settle(self, patience_s: float, quiet_s: float = 60.0) -> list[str]:
        """Wait until nothing is wrong; what is after so long."""
        until(self.is_quiet, quiet_s, "every box has told everything")
        end_s = time.monotonic() + patience_s
        while (found := self.faults()) and not self.broken and time.monotonic() < end_s:
            time.sleep(0.5)
        return found

    def detections(self) -> int:
        """How many were added in all, with those that were lost with a card."""
        return sum(box.detections() + box.lost_detections for box in self.boxes)


def _by_minute(rows: Rows) -> dict[tuple[int, int], tuple[int, ...]]:
    """Over all epochs, by stream and when the minute began."""
    found: dict[tuple[int, int], tuple[int, ...]] = {}
    for (_, stream, _), (start_utc, *sums, _, _) in rows.items():
        before = found.get((stream, start_utc), (0,) * len(sums))
        found[stream, start_utc] = tuple(map(sum, zip(before, sums, strict=True)))
    return found


def _wrong_roll_ups(database: Database) -> list[str]:
    found = []
    for table, length_s in (("hours", 3600), ("days", 86_400)):
        have, want = rolled_up(database, table, length_s)
        if have != want:
            found.append(f"the {table} are not the sums of their minutes")
    return found
