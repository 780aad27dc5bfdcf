"""A fleet to which everything happens: real boxes, a real broker over TLS, a real ingest, and a network that fails."""

from __future__ import annotations

import shutil
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
from appliance.central.postgresql import close_pools
from appliance.store.soundness import COMPANIONS
from tests.fleet import join, rolled_up, sums_of
from tests.fleet_chaos_box import ChaosBox, Process, Rows
from tests.fleet_proxy import Proxy
from tests.postgres import Cluster
from tests.sync_room import CentreRoom


class Chaos:
    """The whole fleet. happened: how often what. cluster: where the centre's database is, if not in a file."""

    def __init__(
        self,
        folder: Path,
        free_port: Callable[[], int],
        seed: int,
        boxes: int = 3,
        mutant: str = "",
        cluster: Cluster | None = None,
        ingests: int = 1,
    ) -> None:
        self.chance = Random(seed)
        self.happened: Counter[str] = Counter()
        self.broken: list[str] = []
        self._cluster, self._copy = cluster, Path()
        self.room = CentreRoom(folder / "room", free_port, cluster.new_database() if cluster else "")
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
        self.ingests = [Process(folder / f"ingest-{number}.log", lambda: words, mutant) for number in range(ingests)]
        self.proxy = Proxy(port, self.room.config.broker.port)
        self._backups, self._centre_lost = folder / "backups", False

    @contextmanager
    def running(self) -> Iterator[Chaos]:
        """All of it until the end of the block."""
        try:
            self.room.broker.start()
            self._start_ingests()
            for box in self.boxes:
                box.start()
            yield self
        finally:
            for process in [*self.ingests, *(one for box in self.boxes for one in (box.writer, box.sync))]:
                if process._process is not None:
                    process._process.kill()
                    process._process.wait()
            self.room.broker.kill()
            self.proxy.close()
            if self._cluster:
                close_pools()
                self._cluster.drop(self.address)

    # What happens

    def pause(self, least_s: float = 0.0, most_s: float = 0.6) -> None:
        time.sleep(self.chance.uniform(least_s, most_s))

    def kill_broker(self) -> None:
        self.room.broker.kill()
        self.pause()
        self.room.broker.start()

    def kill_ingest(self) -> None:
        one = self.chance.choice(self.ingests)
        self._end_ingests([one])
        self.pause()
        one.start()

    def _start_ingests(self) -> None:
        for ingest in self.ingests:
            ingest.start()

    def _end_ingests(self, these: list[Process]) -> None:
        """Kill them, and see whether any box was promised more than was committed."""
        for ingest in these:
            ingest.kill()
        if self._centre_lost:  # then boxes know more until they hear of it
            return
        for box in self.boxes:
            acked = box.acked()  # before the marks: another ingest may go on
            marks = self._marks(box)
            if any(upto > marks.get(epoch, 0) for epoch, upto in acked.items()):
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
        if self._cluster:
            self._copy = self._cluster.dump(self.address)
            return
        backup.make(Path(self.address), self._backups, 1, int(time.time()))

    def lose_centre(self, copy: bool) -> None:
        """Its database is gone. copy: an older one takes its place; or none."""
        self.happened["centre put back" if copy else "centre emptied"] += 1
        self._end_ingests(self.ingests)
        self._centre_lost = True
        if self._cluster:
            close_pools()  # ours; they would find their connections ended
            self._cluster.put_back(self.address, self._copy if copy else None)
        else:
            for suffix in ("", *COMPANIONS):
                Path(f"{self.address}{suffix}").unlink(missing_ok=True)
            if copy:
                shutil.copyfile(backup.all_of_them(self._backups)[-1], self.address)
        open_database(self.address).close()
        for box in self.boxes:
            box.promised.clear()
        self._start_ingests()

    def lose_card(self, box: ChaosBox) -> None:
        self.happened["card put back"] += 1
        box.put_back(self._marks(box))

    def all_tell(self) -> bool:
        """Whether the centre has heard something of every box."""
        return all(box.acked() and max(box.acked().values()) for box in self.boxes)

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

    def settle(self, patience_s: float, quiet_s: float) -> list[str]:
        """Wait until nothing is wrong; what is after so long. quiet_s: until every box has told everything."""
        end_s = time.monotonic() + quiet_s
        while not self.is_quiet():
            if time.monotonic() > end_s:
                return [*self.faults(), f"a box has not told everything after {quiet_s:g} s"]
            time.sleep(0.2)
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
