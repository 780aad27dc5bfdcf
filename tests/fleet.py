"""A box of the fleet as tests need it: what it counted and what it would send, without its database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from appliance.central.database import Database
from appliance.central.intake import Answers, Incoming, Intake
from appliance.messages import MAX_ROWS, Hello, Kind, Message, Row, State, Sums, encode, topic

NOW = 1_795_521_600  # 2026-11-24, noon UTC
EPOCHS = ["00000000000000aa", "00000000000000bb", "00000000000000cc"]


@dataclass
class SimulatedBox:
    """A simulated box: rows by epoch, stream and minute, and the seq of each epoch."""

    name: str
    rows: dict[str, dict[tuple[int, int], Row]] = field(default_factory=dict)
    tops: dict[str, int] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)
    acked: dict[str, int] = field(default_factory=dict)

    def begin(self, epoch: str, start_utc: int) -> None:
        """Begin an epoch."""
        self.rows[epoch], self.tops[epoch], self.starts[epoch], self.acked[epoch] = {}, 0, start_utc, 0

    def count(self, epoch: str, stream: int, minute: int, verified: bool = True, **more: int) -> Row:
        """Count persons, or seconds watched, in one minute."""
        self.tops[epoch] += 1
        start_utc = self.starts[epoch] + 60 * minute
        row = self.rows[epoch].get((stream, minute)) or Row(stream, minute, start_utc, 1, verified=int(verified))  # type: ignore[arg-type]
        sums = {name: getattr(row, name) + value for name, value in more.items()}
        self.rows[epoch][stream, minute] = new = msgspec.structs.replace(row, seq=self.tops[epoch], **sums)
        return new

    def correct_clock(self, epoch: str, by_s: int) -> None:
        """Learn the time: every row that was not verified moves and is told again."""
        self.starts[epoch] += by_s
        for place, row in self.rows[epoch].items():
            if not row.verified:
                self.tops[epoch] += 1
                self.rows[epoch][place] = msgspec.structs.replace(
                    row, start_utc=row.start_utc + by_s, verified=1, seq=self.tops[epoch]
                )

    def range(self, epoch: str, after: int, most: int = MAX_ROWS) -> Sums:
        """All rows with a seq above `after`, or as many as go into a message."""
        rows = sorted((row for row in self.rows[epoch].values() if row.seq > after), key=lambda row: row.seq)
        upto = rows[most - 1].seq if len(rows) > most else self.tops[epoch]
        return Sums(epoch=epoch, rows=rows[:most], after=after, upto=upto)

    def hello(self, **more: object) -> Hello:
        """What it says when it connects."""
        epoch = next(reversed(self.tops))
        return Hello(**({"epoch": epoch, "tops": dict(self.tops), "clock": "believed", "sent_utc": NOW} | more))  # type: ignore[arg-type]

    def state(self, **more: object) -> State:
        """How it is."""
        return State(**({"epoch": next(reversed(self.tops)), "status": "running", "sent_utc": NOW} | more))  # type: ignore[arg-type]

    def totals(self) -> dict[str, int]:
        """What it counted in all."""
        rows = [row for epoch in self.rows.values() for row in epoch.values()]
        return {name: sum(getattr(row, name) for row in rows) for name in COUNTS}


COUNTS = ("watched_s", "mask", "no_mask", "incorrect", "unknown")
KINDS: dict[str, Kind] = {"Sums": Kind.SUMS, "Hello": Kind.HELLO, "State": Kind.STATE, "Outcome": Kind.OUTCOME}


def sent(box: str, message: Message) -> Incoming:
    """A message as it reaches ingest."""
    return Incoming(topic(box, KINDS[type(message).__name__]), encode(message))


def join(database: Database, *boxes: str) -> None:
    """Have boxes joined."""
    for box in boxes:
        database.execute("insert into boxes (id, title, joined_utc) values (?, ?, ?)", [box, box.title(), NOW])


def take(intake: Intake, database: Database, *messages: Incoming, now_utc: int = NOW, now_s: float = 0.0) -> Answers:
    """Have ingest take messages, in one batch."""
    return intake.store_what_can_be(database, intake.read(messages, now_s), now_utc)


def sums_of(database: Database, box: str) -> dict[tuple[str, int, int], tuple[int, ...]]:
    """Every row of a box, by epoch, stream and minute."""
    rows = database.execute(
        "select epoch, number, minute, start_utc, watched_s, mask, no_mask, incorrect, unknown, verified, seq"
        " from sums join sources on sources.id = source_id join streams on streams.id = stream_id where box_id = ?",
        [box],
    )
    return {(epoch, number, minute): tuple(rest) for epoch, number, minute, *rest in rows}


def rows_of(box: SimulatedBox) -> dict[tuple[str, int, int], tuple[int, ...]]:
    """The same as the box has it."""
    return {
        (epoch, stream, minute): (
            row.start_utc, row.watched_s, row.mask, row.no_mask, row.incorrect, row.unknown, row.verified, row.seq,
        )
        for epoch, rows in box.rows.items()
        for (stream, minute), row in rows.items()
    }  # fmt: skip


def rolled_up(database: Database, table: str, length_s: int) -> tuple[Mapping[object, object], Mapping[object, object]]:
    """A table of roll-ups, and what it should be by the minutes."""
    columns = "watched_s, mask, no_mask, incorrect, unknown"
    have = database.execute(f"select stream_id, start_utc, {columns}, unverified from {table}")
    want = database.execute(
        f"select stream_id, sums.start_utc / {length_s} * {length_s}, sum(watched_s), sum(mask), sum(no_mask),"
        " sum(incorrect), sum(unknown), sum(1 - verified) from sums join sources on sources.id = source_id"
        f" group by stream_id, sums.start_utc / {length_s}"
    )
    return _by_two(have), _by_two(want)


def _by_two(rows: Iterable[Iterable[object]]) -> dict[object, object]:
    found: dict[object, object] = {}
    for row in rows:
        stream_id, start_utc, *sums = row
        found[stream_id, start_utc] = sums
    return found
