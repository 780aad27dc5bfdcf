"""The centre's figures: taking rows in, on SQLite and on PostgreSQL, beside a bare batched upsert in the same run.

Rows per second from a queue of messages to committed rows; delay from a box's message to its watermark through a real
mosquitto; boxes that all reconnect at once after a day without the centre; memory of ingest.

MB9K_BENCH_BOXES: how many reconnect (2000). TLS is not in these figures: see the facts of mosquitto for handshakes.
"""

from __future__ import annotations

import gc
import json
import os
import re
import resource
import selectors
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from appliance.central import sums
from appliance.central.database import Database
from appliance.central.housekeeping import roll_up_all
from appliance.central.ingest import BYTES, MESSAGES, Ahead, Ingest
from appliance.central.intake import Incoming, Intake
from appliance.central.mqtt import Connection
from appliance.central.opening import open_database
from appliance.central.partitions import make_ahead
from appliance.messages import Hello, Kind, Row, Sums, Watermarks, decode, encode, parse_topic, topic
from tests.brokers import Broker, running_broker
from tests.conftest import port_giver
from tests.postgres import Cluster, running_cluster

EPOCH = "00000000000000aa"
BOXES = int(os.environ.get("MB9K_BENCH_BOXES", "2000"))
ROWS = 480_000
DAY_MINUTES, ROWS_A_MESSAGE, WINDOW = 1440, 240, 4
DELAY_S = 15
KEEP_DAYS = 100
IN_TURN = 3
"""How many batches each way of taking rows in gets before the next one's turn."""


def fleet() -> None:
    """All figures."""
    with tempfile.TemporaryDirectory() as folder, running_cluster(durable=True) as cluster:
        for name in ("SQLite", "PostgreSQL"):
            address = partial(_address, name, Path(folder), cluster)
            for rows_each in (ROWS_A_MESSAGE, 4):
                _drain(name, address, rows_each)
            _roll_up(name, address("roll-up"))
            with running_broker(Path(folder) / f"broker {name}", port_giver()()) as broker:
                for rate in (200, 1000):
                    _delay(name, address(f"delay-{rate}"), broker, rate)
                _reconnect(name, address("reconnect"), broker)


def _address(kind: str, folder: Path, cluster: Cluster, name: str) -> str:
    return cluster.new_database() if kind == "PostgreSQL" else str(folder / f"{name}.db")


def _made(address: str, boxes: int) -> Database:
    database = open_database(address)
    make_ahead(database, KEEP_DAYS, int(time.time()))
    with database.writing():
        database.executemany(
            "insert into boxes (id, joined_utc, hello_utc) values (?, 1, 1)",
            [(f"box-{number}",) for number in range(boxes)],
        )
    return database


def _rows(count: int, streams: int, first: int, start_utc: int) -> list[Row]:
    """So many rows, of all streams minute by minute."""
    return [
        Row(1 + place % streams, place // streams, start_utc + place // streams * 60, place + 1, 60, 3, 1, 0, 1)
        for place in range(first, first + count)
    ]


def _messages(rows_each: int, boxes: int, count: int, start_utc: int | None = None) -> Iterator[Incoming]:
    """Messages of boxes in turns, of four streams each, that begin to count then or 40 days ago."""
    start_utc = start_utc or int(time.time()) // 60 * 60 - 40 * 86_400
    for number in range(count):
        box, turn = f"box-{number % boxes}", number // boxes
        first = turn * rows_each
        message = Sums(epoch=EPOCH, rows=_rows(rows_each, 4, first, start_utc), after=first, upto=first + rows_each)
        yield Incoming(topic(box, Kind.SUMS), encode(message))


def _batches(messages: Sequence[Incoming]) -> Iterator[list[Incoming]]:
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


def _drain(name: str, address: Callable[[str], str], rows_each: int) -> None:
    """From bytes that wait in a queue to committed rows, watermarks and marks, beside three alternatives (`_Bare`):

    decoded: an upsert from the same bytes, which is what "from queue to committed row" means without a centre.
    upsert: of tuples that are there, sorted, by ingest's own statements. executemany (SQLite): of the tuples, by a
    statement a row, as one would write it first. A few batches each in turns, so that all see the same load. What no
    side does: the broker, paho, and the answers to boxes; these are in the delays below. With 4 rows a message each
    message of a box comes a minute after the one before it, as when a fleet is on line, so that each also changes what
    is known of its box.
    """
    boxes, start_utc = 500, int(time.time()) // 60 * 60 - 40 * 86_400
    databases = {way: _made(address(f"{way}-{rows_each}"), boxes) for way in ("ours", "decoded", "upsert")}
    ours = _Ours(databases["ours"], start_utc if rows_each == 4 else None)
    bare = _Bare(databases["upsert"])
    ways: dict[str, Callable[[Part], None]] = {
        "ours": ours.take,
        "decoded": _Bare(databases["decoded"]).decode_and_upsert,
        "upsert": bare.upsert,
    }
    if name == "SQLite":
        databases["executemany"] = _made(address(f"executemany-{rows_each}"), boxes)
        ways["executemany"] = _Bare(databases["executemany"]).executemany
    watch, order = _Watch(), list(ways)
    batches = list(_batches(list(_messages(rows_each, boxes, ROWS // rows_each, start_utc))))
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


def _roll_up(name: str, address: str) -> None:
    boxes = 100
    database, intake = _made(address, boxes), Intake(10**9, KEEP_DAYS)
    for batch in _batches(list(_messages(ROWS_A_MESSAGE, boxes, 500))):
        intake.store(database, intake.read(batch, 0.0), int(time.time()))
    begun_s = time.perf_counter()
    roll_up_all(database)
    taken_s = time.perf_counter() - begun_s
    print(f"  {f'{name}, roll-ups':34} {500 * ROWS_A_MESSAGE / taken_s:8,.0f} rows/s into hours and days")
    database.close()


@contextmanager
def _ingest(address: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Ingest in a process of its own, until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.bench_fleet", address, str(port)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _be_ingest(address: str, port: int) -> None:
    connection = Connection("127.0.0.1", port)
    ingest = Ingest(address, connection, Intake(10**9, KEEP_DAYS), KEEP_DAYS)
    connection.start()
    while connection.trouble:
        time.sleep(0.01)
    print("ready", flush=True)
    while True:
        ingest.turn()


def _memory_mb(process: subprocess.Popen[bytes]) -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def _delay(name: str, address: str, broker: Broker, rate: int) -> None:
    """From a message of four rows to the watermark that covers it, at so many messages a second of 1,000 boxes."""
    boxes = 1000
    _made(address, boxes).close()
    messages = list(_messages(4, boxes, rate * DELAY_S))
    sent_s: dict[tuple[str, int], float] = {}
    delays: list[float] = []

    def told(_client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        at_s = time.perf_counter()
        box, _ = parse_topic(message.topic)
        for upto in decode(bytes(message.payload), Watermarks).upto.values():
            begun_s = sent_s.pop((box, upto), None)
            if begun_s is not None:
                delays.append((at_s - begun_s) * 1000)

    with _ingest(address, broker.port) as process:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        client.max_inflight_messages_set(1000)
        client.on_message = told
        client.connect("127.0.0.1", broker.port)
        client.subscribe("mb9k/+/watermarks", 0)
        client.loop_start()
        time.sleep(1)
        begun_s = time.perf_counter()
        for number, message in enumerate(messages):
            time.sleep(max(0.0, begun_s + number / rate - time.perf_counter()))
            sent_s[parse_topic(message.topic)[0], (number // boxes + 1) * 4] = time.perf_counter()
            client.publish(message.topic, message.payload, 1)
        achieved = len(messages) / (time.perf_counter() - begun_s)
        until_s = time.monotonic() + 30
        while sent_s and time.monotonic() < until_s:
            time.sleep(0.05)
        client.disconnect()
        client.loop_stop()
        memory = _memory_mb(process)
    delays.sort()
    print(
        f"  {f'{name}, {rate} messages a second':34} p50 {delays[len(delays) // 2]:.0f} ms, p99"
        f" {delays[len(delays) * 99 // 100]:.0f} ms of {len(delays)} (sent {achieved:.0f} a second, {len(sent_s)}"
        f" unanswered), ingest {memory:.0f} MB"
    )


def _reconnect(name: str, address: str, broker: Broker) -> None:
    """All boxes connect at once, say hello, and send a day of one stream, WINDOW messages unanswered at most."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    database = _made(address, BOXES)
    with _ingest(address, broker.port) as process:
        begun_s = time.perf_counter()
        crowd = _Crowd(broker.port, BOXES)
        thread = threading.Thread(target=crowd.run)
        thread.start()
        thread.join()
        taken_s = time.perf_counter() - begun_s
        memory = _memory_mb(process)
    count = database.one("select count(*) from sums")
    database.close()
    print(
        f"  {f'{name}, {BOXES} boxes reconnect':34} all heard after {crowd.greeted_s - begun_s:.1f} s; {count:,} rows"
        f" of a day caught up after {taken_s:.0f} s ({count / taken_s:,.0f} rows/s), ingest {memory:.0f} MB"
    )


class _Crowd:
    """Simulated boxes with a connection each, in one thread. All have the same to tell, which is encoded once."""

    def __init__(self, port: int, count: int) -> None:
        start_utc = int(time.time()) // 60 * 60 - 86_400
        self._parts = [
            encode(
                Sums(
                    epoch=EPOCH,
                    rows=_rows(ROWS_A_MESSAGE, 1, first, start_utc),
                    after=first,
                    upto=first + ROWS_A_MESSAGE,
                )
            )
            for first in range(0, DAY_MINUTES, ROWS_A_MESSAGE)
        ]
        self._hello = encode(Hello(epoch=EPOCH, tops={EPOCH: DAY_MINUTES}, streams={"1": "door"}))
        self._port, self._count = port, count
        self._left, self._ungreeted = set(range(count)), set(range(count))
        self._sent, self._upto = [0] * count, [0] * count
        self.greeted_s = 0.0

    def run(self) -> None:
        """Until every box has told everything."""
        poll = selectors.DefaultSelector()
        clients = [self._client(number) for number in range(self._count)]
        for client in clients:
            client.connect("127.0.0.1", self._port, 600)
            poll.register(client.socket(), selectors.EVENT_READ, client)  # type: ignore[arg-type]
        waiting: deque[mqtt.Client] = deque()
        until_s = time.monotonic() + 1200
        while self._left and time.monotonic() < until_s:
            for key, _ in poll.select(0.1):
                key.data.loop_read()
                waiting.append(key.data)
            while waiting:
                client = waiting.popleft()
                if client.want_write():
                    client.loop_write()
        for client in clients:
            client.disconnect()
            client.loop_write()
        poll.close()

    def _client(self, number: int) -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"box-{number}", protocol=mqtt.MQTTv5)
        client.on_connect = lambda client, *_: client.subscribe(topic(f"box-{number}", Kind.WATERMARKS), 1)
        client.on_subscribe = lambda client, *_: client.publish(topic(f"box-{number}", Kind.HELLO), self._hello, 1)
        client.on_message = lambda client, _data, message: self._told(client, number, bytes(message.payload))
        return client

    def _told(self, client: mqtt.Client, number: int, payload: bytes) -> None:
        upto = json.loads(payload)["upto"].get(EPOCH)
        if upto is None:
            return
        self._ungreeted.discard(number)
        if not self._ungreeted and not self.greeted_s:
            self.greeted_s = time.perf_counter()
        self._upto[number] = max(self._upto[number], upto)
        if self._upto[number] >= DAY_MINUTES:
            self._left.discard(number)
        while self._sent[number] < len(self._parts) and (
            self._sent[number] * ROWS_A_MESSAGE - self._upto[number] < WINDOW * ROWS_A_MESSAGE
        ):
            client.publish(topic(f"box-{number}", Kind.SUMS), self._parts[self._sent[number]], 1)
            self._sent[number] += 1


if __name__ == "__main__":
    if len(sys.argv) == 3:
        _be_ingest(sys.argv[1], int(sys.argv[2]))
    else:
        fleet()
