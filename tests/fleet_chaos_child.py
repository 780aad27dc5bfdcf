"""What the chaos of a fleet is made of, each a process: `mb9k`, in a hurry, or what writes detections into a store.

python -m tests.fleet_chaos_child WHAT ...: `mb9k` with the words that follow, or `write` CONFIG JOURNAL SEED. A mutant,
named by MB9K_TEST_MUTANT, does one thing wrong that the rest is there to prevent; the test must notice.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from appliance.config import load
from appliance.faces import Detection, State
from appliance.messages import Kind, Row, Sums, Watermarks, encode
from appliance.store import Store
from appliance.times import now

HASTE: dict[str, Any] = {
    "sync.outbox.SILENCE_S": (1.0, 2.0),
    "sync.outbox.NEWS_S": 0.4,
    "sync.outbox.ANSWER_S": 2.0,
    "sync.outbox.PACE_S": 0.1,
    "sync.service.PACE_S": 0.1,
    "sync.service.POLL_S": 0.3,
    "sync.service.FIRST_PAUSE_S": 0.3,
    "sync.service.LONGEST_PAUSE_S": 1.0,
    "sync.service.STEADY_S": 0.5,
    "sync.conversation.UNANSWERED_S": (1.0, 2.0),
    "sync.conversation.HELLO_PAUSE_S": 1.0,
    "sync.conversation.SPREAD_S": 0.5,
    "sync.conversation.STATE_S": 2.0,
    "sync.conversation.LOOK_S": 1.0,
    "sync.link.KEEPALIVE_S": 4,
    "sync.link.CONNECT_TIMEOUT_S": 4.0,
    "central.intake.ASK_AGAIN_S": 2,
    "central.housekeeping.ROLL_UP_S": 1.0,
}
"""Patience that is cut short, so that a minute is enough."""
REACH_S = 300 * 60
MUTANT_V = 99
MORE = """do update set mask = sums.mask + excluded.mask, no_mask = sums.no_mask + excluded.no_mask,
 incorrect = sums.incorrect + excluded.incorrect, unknown = sums.unknown + excluded.unknown, seq = excluded.seq"""


def _set(name: str, value: object) -> None:
    module, _, attribute = f"appliance.{name}".rpartition(".")
    loaded = importlib.import_module(module)
    assert hasattr(loaded, attribute), name
    setattr(loaded, attribute, value)


def _free_on_puback() -> None:
    """The box believes that the centre has what the broker has."""
    from appliance.sync.conversation import Conversation
    from appliance.sync.link import Arrived, Link

    publish, take, hear = Link.publish, Link._take_confirmation, Conversation._hear_watermarks
    told: dict[int, Sums] = {}

    def publish_and_note(self: Link, kind: Kind, message: Any) -> bool:
        is_taken = publish(self, kind, message)
        if is_taken and isinstance(message, Sums) and message.upto is not None:
            told[next(reversed(self._unconfirmed))] = message
        return is_taken

    def take_and_free(self: Link, mid: int, code: int) -> None:
        take(self, mid, code)
        if (sums := told.pop(mid, None)) and sums.upto is not None and code < 0x80:
            mark = Watermarks(v=MUTANT_V, upto={sums.epoch: sums.upto})
            self._arrived.put_nowait(Arrived(Kind.WATERMARKS, encode(mark), False))

    def hear_only_that(self: Conversation, message: Watermarks, now: Any) -> None:
        if message.v == MUTANT_V or not message.upto:
            hear(self, message, now)

    Link.publish, Link._take_confirmation = publish_and_note, take_and_free  # type: ignore[method-assign]
    Conversation._hear_watermarks = hear_only_that  # type: ignore[method-assign]


def _add() -> None:
    """The centre adds what comes to what it has."""
    from appliance.central import sums

    sums._NEWER_IN_SQLITE = sums._NEWER_IN_SQLITE.replace(sums._NEWER, MORE)


def _answer_first() -> None:
    """The centre answers what it is about to commit."""
    from appliance.central.ingest import Ingest
    from appliance.central.intake import Answers, Batch

    store = Ingest._store

    def answer_and_store(self: Ingest, batch: Batch) -> Answers:
        for note in batch.notes:
            if isinstance(note.message, Sums) and note.message.upto is not None:
                self._connection.publish(
                    note.box, Kind.WATERMARKS, Watermarks(upto={note.message.epoch: note.message.upto})
                )
        self._connection.acknowledge([note.incoming for note in batch.notes])
        time.sleep(1.0)  # a slow disk
        return store(self, batch)

    Ingest._store = answer_and_store  # type: ignore[method-assign]


def _one_epoch() -> None:
    """A box goes on with the epoch it has."""
    from appliance.store.summaries import Summaries

    begin, starts = Summaries.begin_epoch, "select count(*) from epochs"

    def begin_once(self: Summaries, now: Any, believed: bool) -> str:
        if self.db.execute(starts).fetchone()[0] > 1:  # the first is made with the tables
            return str(self.newest_epoch())
        return begin(self, now, believed)

    Summaries.begin_epoch = begin_once  # type: ignore[method-assign]


def _no_hello() -> None:
    """A box says nothing of what it has."""
    from appliance.sync.conversation import Conversation

    def begin(self: Conversation, now: Any) -> None:
        if not self._hello_s:
            self._outbox.open(now.uptime_s)
        self._hello_s, self._hello_due_s = now.uptime_s, now.uptime_s + 3600

    Conversation._say_hello = begin  # type: ignore[method-assign]


MUTANTS = {
    "frees on PUBACK": _free_on_puback,
    "adds": _add,
    "answers before the commit": _answer_first,
    "one epoch": _one_epoch,
    "no hello": _no_hello,
}


class Writer:
    """Passes for the watcher and for people: adds, updates, corrects and removes detections, in real transactions.

    Each state of a row that was committed goes into the journal: [epoch, stream, minute, start_utc, ..., seq].
    """

    def __init__(self, store: Store, journal: Path, seed: int) -> None:
        self._store, self._chance = store, Random(seed)
        self._journal = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        moment = now()
        with store.writing():
            self._epoch = store.summaries.begin_epoch(moment, believed=True)
        self._seq = 0
        self._ids = [row["id"] for row in store.db.execute("select id from detections")]
        self._short_lived = 0

    def step(self) -> None:
        """One transaction, and its journal."""
        with self._store.writing():
            for _ in range(self._chance.randint(1, 4)):
                self._do_something()
        rows, _ = self._store.summaries.range_after(self._epoch, self._seq, 10_000)
        self._seq = max([self._seq, *(row.seq for row in rows)])
        write_journal(self._journal, self._epoch, rows)

    def _do_something(self) -> None:
        detections, what = self._store.detections, self._chance.random()
        if what < 0.55 or not self._ids:
            self._ids.append(detections.add(self._chance.randint(1, 2), self._someone()))
        elif what < 0.7:
            detections.update(self._chance.choice(self._ids), self._someone())
        elif what < 0.8:
            detections.correct_state(self._chance.choice(self._ids), self._chance.choice(list(State)), "ann")
        elif what < 0.9:
            detections.remove(self._ids.pop(self._chance.randrange(len(self._ids))))
        elif what < 0.98:
            self._store.summaries.add_watched({1: 60, 2: self._chance.randint(1, 60)}, now())
        elif self._short_lived:
            self._store.streams.remove(self._short_lived)  # with all its detections
            self._short_lived = 0
        else:
            name = f"yard {self._chance.getrandbits(60):x}"
            self._short_lived = self._store.streams.add_with_key(1, name, name, time.time())
            for _ in range(3):
                detections.add(self._short_lived, self._someone())

    def _someone(self) -> Detection:
        utc = time.time() - self._chance.uniform(0, REACH_S)
        return Detection(utc, utc + 2, self._chance.choice(list(State)), 0.9, 5, (1, 1, 9, 9), 100, 100, "model")


def write_journal(handle: int, epoch: str, rows: Sequence[Row]) -> None:
    """Append rows, in one write: a process that is killed leaves no half a line."""
    lines = (
        [epoch, row.stream, row.minute, row.start_utc, row.watched_s, row.mask, row.no_mask, row.incorrect,
         row.unknown, row.verified, row.seq]
        for row in rows
    )  # fmt: skip
    os.write(handle, "".join(f"{json.dumps(line)}\n" for line in lines).encode())


def main(what: str, *words: str) -> None:
    """Be one of them."""
    for name, value in HASTE.items():
        _set(name, value)
    if mutant := os.environ.get("MB9K_TEST_MUTANT"):
        MUTANTS[mutant]()
    if what == "write":
        writer = Writer(Store.open(load(Path(words[0])).store_path), Path(words[1]), int(words[2]))
        while True:
            writer.step()
            time.sleep(0.05)
    else:
        from appliance import cli

        sys.argv = ["mb9k", *words]
        cli.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
