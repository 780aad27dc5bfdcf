"""A centre taking rows in, without a broker, beside a bare batched upsert of the same rows in the same run."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from appliance.central import sums
from appliance.central.database import Database
from appliance.central.ingest import BYTES, MESSAGES, Ahead
from appliance.central.intake import Incoming, Intake
from appliance.central.opening import open_database
from appliance.central.partitions import make_ahead
from appliance.messages import Kind, Row, Sums, decode, encode, parse_topic, topic

EPOCH = "00000000000000aa"
ROWS = 480_000
KEEP_DAYS = 100
IN_TURN = 3
"""How many batches each way of taking rows in gets before the next one's turn."""


def made(address: str, boxes: int) -> Database:
    database = open_database(address)
    make_ahead(database, KEEP_DAYS, int(time.time()))
    with database.writing():
        database.executemany(
            "insert into boxes (id, joined_utc, hello_utc) values (?, 1, 1)",
            [(f"box-{number}",) for number in range(boxes)],
        )
    return database


def rows_of(count: int, streams: int, first: int, start_utc: int) -> list[Row]:
    """So many rows, of all streams minute by minute."""
    return [
        Row(1 + place % streams, place // streams, start_utc + place // streams * 60, place + 1, 60, 3, 1, 0, 1)
        for place in range(first, first + count)
    ]


def messages_of(rows_each: int, boxes: int, count: int, start_utc: int | None = None) -> Iterator[Incoming]:
    """Messages of boxes in turns, of four streams each, that begin to count then or 40 days ago."""
    start_utc = start_utc or int(time.time()) // 60 * 60 - 40 * 86_400
    for number in range(count):
        box, turn = f"box-{number % boxes}", number // boxes
        first = turn * rows_each
        message = Sums(epoch=EPOCH, rows=rows_of(rows_each, 4, first, start_utc), after=first, upto=first + rows_each)
        yield Incoming(topic(box, Kind.SUMS), encode(message))


def batches_of(messages: Sequence[Incoming]) -> Iterator[list[Incoming]]:
    """As the service cuts them."""
    batch: list[Incoming] = []
    size = 0
    for message in messages:
        batch.append(message)
        size += len(message.payload)
        if len(batch) == MESSAGES or size >= BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


Part = Sequence[tuple[list[Incoming], list[tuple[int, ...]]]]
"""Batches of messages, and their rows as they are stored."""


class _Ours:
    """Ingest without a broker. minutes_from: then the clock goes on by a minute with each batch."""

    def __init__(self, database: Database, minutes_from: int | None) -> None:
        self._database, self._intake = database, Intake(10**9, KEEP_DAYS)
        self._now_utc = minutes_from

    def take(self, part: Part) -> None:
        """As the service does it: read a batch while the one before it is stored."""
        waiting = iter(part)
        ahead = Ahead(lambda: self._intake.read(next(waiting, ([], []))[0], 0.0))
        for _ in part:
            batch = ahead.next()
            if self._now_utc is not None:
                self._now_utc += 60
            self._intake.store(self._database, batch, self._now_utc or int(time.time()))
        ahead.close()


class _Bare:
    """The alternative: rows of the same messages into an equal table by nothing but an upsert, a commit a batch.

    Same guard (the newest seq stays), same batches, same durability. No box is looked up, nothing is refused, no
    watermark is kept and no hour marked.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._source_ids: dict[tuple[str, int], int] = {}

    def decode(self, batch: Sequence[Incoming]) -> list[tuple[int, ...]]:
        """Rows as they are stored, in the order of their key."""
        found: list[tuple[int, ...]] = []
        for message in batch:
            box, _ = parse_topic(message.topic)
            rows = decode(message.payload, Sums).rows
            ids = {number: self._source_id(box, number) for number in {row.stream for row in rows}}
            found += [
                (
                    ids[row.stream], row.minute, row.seq, row.start_utc, row.watched_s, row.mask, row.no_mask,
                    row.incorrect, row.unknown, row.verified,
                )
                for row in rows
            ]  # fmt: skip
        if self._database.dialect == "postgresql":
            found = [(*row, row[3]) for row in found]
        return sorted(found)

    def _source_id(self, box: str, number: int) -> int:
        return self._source_ids.setdefault((box, number), len(self._source_ids) + 1)

    def decode_and_upsert(self, part: Part) -> None:
        """From bytes."""
        for batch, _ in part:
            with self._database.writing():
                sums.upsert(self._database, self.decode(batch))

    def upsert(self, part: Part) -> None:
        """Of rows that are there, by the statements that ingest uses, too."""
        for _, rows in part:
            with self._database.writing():
                sums.upsert(self._database, rows)

    def executemany(self, part: Part) -> None:
        """Of rows that are there, by a statement that puts one."""
        for _, rows in part:
            with self._database.writing():
                self._database.executemany(sums.UPSERT_ONE, rows)


def drain(name: str, address: Callable[[str], str], rows_each: int) -> None:
    """From bytes that wait in a queue to committed rows, watermarks and marks, beside three alternatives (`_Bare`):

    decoded: an upsert from the same bytes, which is what "from queue to committed row" means without a centre.
    upsert: of tuples that are there, sorted, by ingest's own statements. executemany (SQLite): of the tuples, by a
    statement a row, as one would write it first. A few batches each in turns, so that all see the same load. What no
    side does: the broker, paho, and the answers to boxes; these are in the delays below. With 4 rows a message each
    message of a box comes a minute after the one before it, as when a fleet is on line, so that each also changes what
    is known of its box.
    """
    boxes, start_utc = 500, int(time.time()) // 60 * 60 - 40 * 86_400
    databases = {way: made(address(f"{way}-{rows_each}"), boxes) for way in ("ours", "decoded", "upsert")}
    ours = _Ours(databases["ours"], start_utc if rows_each == 4 else None)
    bare = _Bare(databases["upsert"])
    ways: dict[str, Callable[[Part], None]] = {
        "ours": ours.take,
        "decoded": _Bare(databases["decoded"]).decode_and_upsert,
        "upsert": bare.upsert,
    }
    if name == "SQLite":
        databases["executemany"] = made(address(f"executemany-{rows_each}"), boxes)
        ways["executemany"] = _Bare(databases["executemany"]).executemany
    watch, order = _Watch(), list(ways)
    batches = list(batches_of(list(messages_of(rows_each, boxes, ROWS // rows_each, start_utc))))
    gc.freeze()  # what is built beforehand costs the collector nothing
    for begin in range(0, len(batches), IN_TURN):
        part = [(batch, bare.decode(batch)) for batch in batches[begin : begin + IN_TURN]]
        for way in order:
            with watch.spent(way):
                ways[way](part)
        order = order[1:] + order[:1]
    gc.unfreeze()
    count = sum(map(len, batches)) * rows_each
    print(f"  {f'{name}, {rows_each} rows a message':34} {watch.figures(count)}")
    for database in databases.values():
        assert database.one("select count(*) from sums") == count
        database.close()


class _Watch:
    """Seconds on the wall and of this process's CPU that each way took."""

    def __init__(self) -> None:
        self._spent: dict[str, tuple[float, float]] = {}

    @contextmanager
    def spent(self, way: str) -> Iterator[None]:
        """Add what the block takes."""
        begun_s, cpu_s = time.perf_counter(), time.process_time()
        yield
        wall_s, all_cpu_s = self._spent.get(way, (0.0, 0.0))
        self._spent[way] = wall_s + time.perf_counter() - begun_s, all_cpu_s + time.process_time() - cpu_s

    def figures(self, count: int) -> str:
        """Rows a second of each way, microseconds of CPU a row, and ours as a part of it."""
        ours_s, _ = self._spent["ours"]
        return "; ".join(
            f"{way} {count / wall_s:,.0f} rows/s ({cpu_s / count * 1e6:.1f} us CPU)"
            + ("" if way == "ours" else f" {wall_s / ours_s:.2f}")
            for way, (wall_s, cpu_s) in self._spent.items()
        )
