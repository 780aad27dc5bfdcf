"""The centre's figures: taking rows in, on SQLite and on PostgreSQL, beside a bare batched upsert in the same run.

Rows per second from a queue of messages to committed rows (bench_fleet_rows.py); delay from a box's message to its
watermark through a real mosquitto; boxes that all reconnect at once after a day without the centre; memory of ingest;
the viewer with a day and with a year (bench_fleet_viewer.py).

MB9K_BENCH_BOXES: how many reconnect (2000). TLS is not in these figures: see the facts of mosquitto for handshakes.
"""

from __future__ import annotations

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
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from appliance.central.housekeeping import roll_up_all
from appliance.central.ingest import Ingest
from appliance.central.intake import Intake
from appliance.central.mqtt import Connection
from appliance.messages import Hello, Kind, Sums, Watermarks, decode, encode, parse_topic, topic
from scripts.bench_fleet_rows import EPOCH, KEEP_DAYS, batches_of, drain, made, messages_of, rows_of
from tests.brokers import Broker, running_broker
from tests.conftest import port_giver
from tests.postgres import Cluster, running_cluster

BOXES = int(os.environ.get("MB9K_BENCH_BOXES", "2000"))
DAY_MINUTES, ROWS_A_MESSAGE, WINDOW = 1440, 240, 4
DELAY_S = 15


def fleet() -> None:
    """All figures."""
    with tempfile.TemporaryDirectory() as folder, running_cluster(durable=True) as cluster:
        for name in ("SQLite", "PostgreSQL"):
            address = partial(_address, name, Path(folder), cluster)
            for rows_each in (ROWS_A_MESSAGE, 4):
                drain(name, address, rows_each)
            _roll_up(name, address("roll-up"))
            with running_broker(Path(folder) / f"broker {name}", port_giver()()) as broker:
                for rate in (200, 1000):
                    _delay(name, address(f"delay-{rate}"), broker, rate)
                _reconnect(name, address("reconnect"), broker)
    # Here, since ingest runs this file in a process of its own, and the site's modules are no part of its memory.
    from scripts import bench_fleet_viewer

    bench_fleet_viewer.main()


def _address(kind: str, folder: Path, cluster: Cluster, name: str) -> str:
    return cluster.new_database() if kind == "PostgreSQL" else str(folder / f"{name}.db")


def _roll_up(name: str, address: str) -> None:
    boxes = 100
    database, intake = made(address, boxes), Intake(10**9, KEEP_DAYS)
    for batch in batches_of(list(messages_of(ROWS_A_MESSAGE, boxes, 500))):
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
    made(address, boxes).close()
    messages = list(messages_of(4, boxes, rate * DELAY_S))
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
    database = made(address, BOXES)
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
                    rows=rows_of(ROWS_A_MESSAGE, 1, first, start_utc),
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
