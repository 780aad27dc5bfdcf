"""A box of the fleet to which everything happens: its processes, its card, and what the centre must have of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from appliance.store import Store
from appliance.store.soundness import COMPANIONS
from appliance.store.summaries import WRONG_MINUTES
from tests.conftest import REPOSITORY
from tests.fleet_chaos_child import write_journal
from tests.sync_room import SyncedBox

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
