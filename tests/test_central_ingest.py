"""Ingest with a real mosquitto and real databases: nothing is acknowledged before it is committed, nothing is lost."""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from appliance.central.config import CentralConfig
from appliance.central.config import Database as DatabaseConfig
from appliance.central.database import Database, is_postgresql
from appliance.central.housekeeping import Housekeeping
from appliance.central.ingest import Ahead, Ingest, Renew
from appliance.central.intake import Intake
from appliance.central.mqtt import Connection
from appliance.central.opening import connect, open_database
from appliance.messages import Certificate, Command, Kind, Message, Renewal, Sums, Watermarks, decode, encode, topic
from tests.boxes import until
from tests.brokers import Broker, running_broker
from tests.fleet import COUNTS, EPOCHS, SimulatedBox, join, rows_of, sums_of
from tests.postgres import Cluster

A, B, C = EPOCHS
PATIENCE_S = 30.0


class Client:
    """A box's connection to the broker: sends, and keeps what it is told."""

    def __init__(self, box: str, port: int) -> None:
        self.box, self.told = box, queue.Queue[mqtt.MQTTMessage]()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=box, protocol=mqtt.MQTTv5)
        self._subscribed = threading.Event()
        self._client.on_connect = lambda client, *_: client.subscribe([(topic(box, k), 1) for k in TOLD])
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _data, message: self.told.put(message)
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(PATIENCE_S)

    def send(self, kind: Kind, message: Message) -> None:
        self._client.publish(topic(self.box, kind), encode(message), 1).wait_for_publish(PATIENCE_S)

    def next(self, kind: Kind) -> bytes:
        while True:
            message = self.told.get(timeout=PATIENCE_S)
            if message.topic == topic(self.box, kind):
                return bytes(message.payload)

    def next_watermarks(self) -> dict[str, int]:
        return decode(self.next(Kind.WATERMARKS), Watermarks).upto

    def wait_for(self, epoch: str, upto: int) -> None:
        while self.next_watermarks().get(epoch, -1) < upto:
            pass

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


TOLD = (Kind.WATERMARKS, Kind.COMMAND, Kind.CERTIFICATE)


@pytest.fixture
def broker(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Broker]:
    port = free_port()
    log_all = f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 1000\nlog_type all\n"
    with running_broker(tmp_path / "broker", port, log_all) as running:
        yield running


@pytest.fixture
def database(made_database: str) -> Iterator[Database]:
    opened = open_database(made_database)
    join(opened, "north", "south")
    yield opened
    opened.close()


@contextmanager
def ingesting(address: str, broker: Broker, renew: Renew | None = None) -> Iterator[Ingest]:
    """One ingest, in a thread, until the end of the block."""
    connection = Connection("127.0.0.1", broker.port)
    more = {"renew": renew} if renew else {}
    ingest = Ingest(address, connection, Intake(10**6, 100), 100, **more)
    stopping, failures = threading.Event(), list[BaseException]()

    def turn() -> None:
        try:
            while not stopping.is_set():
                ingest.turn()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=turn)
    connection.start()
    thread.start()
    try:
        until(lambda: not connection.trouble, PATIENCE_S, "connected to the broker")
        yield ingest
    finally:
        stopping.set()
        thread.join()
        connection.stop()
        ingest.close()
    assert not failures


@pytest.fixture
def box() -> SimulatedBox:
    box = SimulatedBox("north")
    box.begin(A, int(time.time()) - 7200)
    return box


@contextmanager
def client(box: str, broker: Broker) -> Iterator[Client]:
    connected = Client(box, broker.port)
    try:
        yield connected
    finally:
        connected.close()


@contextmanager
def held(database: Database) -> Iterator[None]:
    """Keep everybody from writing sums."""
    with database.writing():
        if database.dialect == "postgresql":
            database.execute("lock table sums in exclusive mode")
        yield


def acknowledged(broker: Broker) -> int:
    """How many messages ingest has acknowledged, as the broker's log has it."""
    return broker.log_path.read_text().count("Received PUBACK from mb9k-centre")


def test_a_row_is_answered_and_acknowledged_only_after_its_commit(
    database: Database, made_database: str, broker: Broker, box: SimulatedBox
) -> None:
    box.count(A, 1, 0, mask=1)
    with ingesting(made_database, broker), client("north", broker) as north:
        north.send(Kind.HELLO, box.hello())
        assert north.next_watermarks() == {A: 0}
        until(lambda: acknowledged(broker) == 1, PATIENCE_S, "the hello is acknowledged")
        with held(database):
            north.send(Kind.SUMS, box.range(A, 0))
            time.sleep(1.5)
            assert acknowledged(broker) == 1
            assert north.told.empty()
        assert north.next_watermarks() == {A: 1}
        until(lambda: acknowledged(broker) == 2, PATIENCE_S, "the rows are acknowledged")
    assert sums_of(database, "north") == rows_of(box)
    log = broker.log_path.read_text()
    assert log.rindex("Received PUBLISH from mb9k-centre") < log.rindex("Received PUBACK from mb9k-centre")


def test_poison_and_strangers_hold_nobody_up(
    database: Database, made_database: str, broker: Broker, box: SimulatedBox
) -> None:
    box.count(A, 1, 0, mask=1)
    with ingesting(made_database, broker), client("north", broker) as north, client("stranger", broker) as stranger:
        for _ in range(20):
            stranger.send(Kind.SUMS, box.range(A, 0))
            north._client.publish("mb9k/north/sums", b"\xff\xfe nonsense", 1)
        north.send(Kind.SUMS, box.range(A, 0))
        north.wait_for(A, 1)
    assert database.one("select sum(times) from letters") == 40
    assert database.one("select count(*) from sums") == 1


def test_a_broker_that_was_killed_is_found_again(
    database: Database, made_database: str, broker: Broker, box: SimulatedBox
) -> None:
    with ingesting(made_database, broker) as ingest, client("north", broker) as north:
        broker.kill()
        until(lambda: "ended" in ingest.problem or "cannot be reached" in ingest.problem, PATIENCE_S, "it says why")
        broker.start()
        until(lambda: not ingest.problem, PATIENCE_S, "connected again")
        until(north._client.is_connected, PATIENCE_S, "the box is connected again")
        box.count(A, 1, 0, mask=1)
        north.send(Kind.SUMS, box.range(A, 0))
        north.wait_for(A, 1)
    assert sums_of(database, "north") == rows_of(box)


def test_a_database_that_is_away_costs_nothing_and_is_named(
    postgres: Cluster, broker: Broker, box: SimulatedBox
) -> None:
    from appliance.central.postgresql import close_pools

    address = postgres.new_database()
    database = open_database(address)
    join(database, "north")
    database.close()
    box.count(A, 1, 0, mask=1)
    with ingesting(address, broker) as ingest, client("north", broker) as north:
        north.send(Kind.HELLO, box.hello())
        assert north.next_watermarks() == {A: 0}
        postgres.stop("immediate")
        north.send(Kind.SUMS, box.range(A, 0))
        until(lambda: "the database takes no rows" in ingest.problem, PATIENCE_S, "it says so")
        postgres.start()
        north.wait_for(A, 1)
        assert ingest.problem == ""
    again = connect(address)
    assert sums_of(again, "north") == rows_of(box)
    again.close()
    close_pools()
    postgres.drop(address)


def test_a_centre_that_was_emptied_fills_itself_again(postgres: Cluster, broker: Broker, box: SimulatedBox) -> None:
    from appliance.central.postgresql import close_pools

    address = postgres.new_database()
    open_database(address).close()
    box.begin(B, int(time.time()) - 600)
    for minute in range(5):
        box.count(A, 1, minute, mask=1)
        box.count(B, 1, minute, no_mask=1)

    def empty() -> None:
        postgres.drop(address)
        postgres.sql(f"create database {address.partition('?')[0].rpartition('/')[2]}")
        database = open_database(address)
        join(database, "north")
        database.close()

    empty()
    with ingesting(address, broker), client("north", broker) as north:
        for _ in range(2):
            north.send(Kind.HELLO, box.hello())
            assert north.next_watermarks() == {A: 0, B: 0}
            for epoch in (A, B):
                north.send(Kind.SUMS, box.range(epoch, 0))
                north.wait_for(epoch, 5)
            empty()
            north.send(Kind.STATE, box.state())
            assert north.next_watermarks() == {}  # say hello again
        north.send(Kind.HELLO, box.hello())
        for epoch in (A, B):
            north.send(Kind.SUMS, box.range(epoch, 0))
            north.wait_for(epoch, 5)
    again = connect(address)
    assert sums_of(again, "north") == rows_of(box)
    again.close()
    close_pools()
    postgres.drop(address)


def test_several_ingests_share_the_messages_and_one_that_dies_costs_nothing(postgres: Cluster, broker: Broker) -> None:
    from appliance.central.postgresql import close_pools

    address = postgres.new_database()
    database = open_database(address)
    boxes = [SimulatedBox(f"box-{number}") for number in range(6)]
    join(database, *(box.name for box in boxes))
    begun = int(time.time()) - 86_400
    for box in boxes:
        box.begin(A, begun)
        for minute in range(200):
            box.count(A, 1 + minute % 3, minute, mask=1, watched_s=50)

    def tell(box: SimulatedBox) -> None:
        """Send from the watermark until everything is there, again after a while without an answer, as a box does."""
        with client(box.name, broker) as connected:
            upto, top = 0, box.tops[A]
            while upto < top:
                for after in range(upto, min(upto + 40, top), 10):
                    connected.send(Kind.SUMS, box.range(A, after, 10))
                try:
                    while upto < top:
                        upto = max(
                            upto, decode(bytes(connected.told.get(timeout=1).payload), Watermarks).upto.get(A, 0)
                        )
                except queue.Empty:
                    continue

    threads = [threading.Thread(target=tell, args=(box,)) for box in boxes]
    with ingesting(address, broker) as first, ingesting(address, broker) as second:
        with ingesting(address, broker) as third:
            for thread in threads:
                thread.start()
            until(lambda: first.rows + second.rows + third.rows > 300, PATIENCE_S, "they take rows in")
        for thread in threads:
            thread.join()
        assert min(first.messages, second.messages) > 0
    for box in boxes:
        assert sums_of(database, box.name) == rows_of(box)
    sums = database.execute(f"select {', '.join(f'sum({name})' for name in COUNTS)} from sums").fetchone()
    assert list(sums) == [sum(box.totals()[name] for box in boxes) for name in COUNTS]
    database.close()
    close_pools()
    postgres.drop(address)


def test_a_command_is_sent_once_and_none_that_has_expired(
    database: Database, made_database: str, broker: Broker, tmp_path: Path
) -> None:
    now = int(time.time())
    for number, box, expires in ((1, "north", now + 60), (2, "north", now - 1), (3, "south", now + 60)):
        database.execute(
            "insert into commands (id, box_id, action, detail, given_by, given_utc, expires_utc) values"
            " (?, ?, 'restart', 'watch', 'ann', ?, ?)",
            [f"{number:016x}", box, now - 5, expires],
        )
    database.execute("update boxes set revoked_utc = 1 where id = 'south'")
    url = made_database if is_postgresql(made_database) else ""
    config = CentralConfig(state_dir=str(tmp_path), database=DatabaseConfig(url=url))
    connection = Connection("127.0.0.1", broker.port)
    housekeeping = Housekeeping(config, connection)
    with client("north", broker) as north:
        housekeeping.step()  # without a connection it waits
        assert database.one("select count(*) from commands where sent_utc is not null") == 0
        connection.start()
        until(lambda: not connection.trouble, PATIENCE_S, "connected")
        for _ in range(3):
            housekeeping.step()
        told = decode(north.next(Kind.COMMAND), Command)
        time.sleep(0.2)
        assert north.told.empty()
    assert (told.id, told.action, told.detail, told.by) == (f"{1:016x}", "restart", "watch", "ann")
    assert [row["id"] for row in database.query("select id from commands where sent_utc is not null")] == [told.id]
    housekeeping.close()
    connection.stop()


def test_an_update_is_sent_with_its_address_and_shows_how_far_it_is(
    database: Database, made_database: str, broker: Broker, tmp_path: Path
) -> None:
    now, address = int(time.time()), f"https://updates.example.org/{'a' * 90}/mb9k-0.2.0.mb9k"
    database.execute(
        "insert into commands (id, box_id, action, detail, given_by, given_utc, expires_utc) values"
        " (?, 'north', 'update', ?, 'ann', ?, ?)",
        [A, f"{address} {'0a' * 32}", now, now + 60],
    )
    url = made_database if is_postgresql(made_database) else ""
    connection = Connection("127.0.0.1", broker.port)
    housekeeping = Housekeeping(CentralConfig(state_dir=str(tmp_path), database=DatabaseConfig(url=url)), connection)
    with client("north", broker) as north:
        connection.start()
        until(lambda: not connection.trouble, PATIENCE_S, "connected")
        housekeeping.step()
        told = decode(north.next(Kind.COMMAND), Command)
    assert (told.action, told.address, told.sha256, told.detail) == ("update", address, "0a" * 32, "mb9k-0.2.0.mb9k")
    housekeeping.close()
    connection.stop()


def test_a_certificate_is_renewed_over_the_connection(database: Database, made_database: str, broker: Broker) -> None:
    def renew(database: Database, box: str, renewal: Renewal) -> Certificate | None:
        if renewal.request == "bad":
            raise sqlite3.OperationalError("busy")
        return Certificate(certificate=f"{box}: {renewal.request}", authority="a") if renewal.request != "no" else None

    with ingesting(made_database, broker, renew), client("north", broker) as north:
        for request in ("bad", "no", "mine"):
            north.send(Kind.RENEWAL, Renewal(request=request))
        answer = decode(north.next(Kind.CERTIFICATE), Certificate)
    assert answer.certificate == "north: mine"


def test_rows_ahead_of_their_turn_get_no_answer(
    database: Database, made_database: str, broker: Broker, box: SimulatedBox
) -> None:
    row = box.count(A, 1, 0, mask=1)
    with ingesting(made_database, broker), client("north", broker) as north:
        north.send(Kind.SUMS, Sums(epoch=A, rows=[row]))
        north.send(Kind.SUMS, box.range(A, 0))
        north.wait_for(A, 1)
    assert sums_of(database, "north") == rows_of(box)


def test_one_is_made_ahead_and_what_goes_wrong_with_it_is_said_in_its_turn() -> None:
    made, made_two = list[int](), threading.Event()

    def make() -> int:
        made.append(len(made))
        if len(made) == 2:
            made_two.set()
        if len(made) == 3:
            raise ValueError("third")
        return made[-1]

    ahead = Ahead(make)
    assert ahead.next() == 0
    assert made_two.wait(PATIENCE_S)
    assert ahead.next() == 1
    with pytest.raises(ValueError, match="third"):
        ahead.next()
    assert ahead.next() == 3
    ahead.close()
