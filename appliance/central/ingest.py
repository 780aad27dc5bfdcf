"""The service that takes in what boxes send: batch, transaction, commit, then watermarks, then PUBACK.

It works alone, or as any number of equal processes beside each other on one PostgreSQL.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from appliance import service
from appliance.central import members, partitions, processes
from appliance.central.authority import CENTRE, broker_address, prepare
from appliance.central.config import CentralConfig
from appliance.central.database import Database, DatabaseAway, DatabaseError
from appliance.central.housekeeping import STEP_S, Housekeeping
from appliance.central.intake import Answers, Batch, Incoming, Intake
from appliance.central.mqtt import Connection
from appliance.central.opening import connect, open_database
from appliance.language import N_
from appliance.messages import Certificate, Kind, Renewal, Watermarks

log = logging.getLogger(__name__)
KIND = "ingest"
MESSAGES, BYTES = 500, 131_072
"""A batch has at most so many messages, and ends with the one that makes it larger than this."""
PATIENCE_S, GATHER_S = 0.5, 0.02
RETRY_S = 1.0
HUNG_S = 60.0
"""After so long without a turn of the loop, ingest hangs; it goes on turning while it waits for the database."""

Renew = Callable[[Database, str, Renewal], Certificate | None]
Made = TypeVar("Made")


class Ahead(Generic[Made]):
    """Makes the next of something in a thread while the one before it is used. make: for one thread."""

    def __init__(self, make: Callable[[], Made]) -> None:
        self._make = make
        self._thread = ThreadPoolExecutor(1, "ahead")
        self._made: Future[Made] | None = None

    def next(self) -> Made:
        """The next one; raises what making it raised."""
        waiting, self._made = self._made or self._thread.submit(self._make), None
        made = waiting.result()
        self._made = self._thread.submit(self._make)
        return made

    def close(self) -> None:
        """Make no more; what was made ahead is not used."""
        self._thread.shutdown()


class Ingest:
    """Takes messages from a connection into a database, for one thread. renew: signs a box's next certificate."""

    def __init__(
        self,
        address: str,
        connection: Connection,
        intake: Intake,
        keep_days: int,
        renew: Renew = lambda _database, _box, _renewal: None,
    ) -> None:
        self._address, self._connection, self._intake, self._keep_days = address, connection, intake, keep_days
        self._renew = renew
        self._database: Database | None = None
        self._database_trouble = ""
        self._turned_s = time.monotonic()
        self._batches = Ahead(self._next_batch)
        self.rows, self.messages = 0, 0

    @property
    def problem(self) -> str:
        """What is wrong, in words; empty: nothing."""
        return self._database_trouble or self._connection.trouble

    def is_turning(self) -> bool:
        """Whether it does not hang."""
        return time.monotonic() - self._turned_s < HUNG_S

    def turn(self) -> bool:
        """Take in what there is; whether there was something. Returns only when it is committed and answered."""
        self._turned_s = time.monotonic()
        messages, batch = self._batches.next()
        if not messages:
            return False
        self._answer(self._store(batch), messages)
        return True

    def _next_batch(self) -> tuple[list[Incoming], Batch]:
        messages = self._connection.take(MESSAGES, BYTES, PATIENCE_S, GATHER_S)
        return messages, self._intake.read(messages, time.monotonic())

    def close(self) -> None:
        """End; what was read ahead was not acknowledged, so it comes again."""
        self._batches.close()
        self._close_database()

    def _close_database(self) -> None:
        if self._database:
            self._database.close()
        self._database = None

    def _store(self, batch: Batch) -> Answers:
        """Store a batch, however long the database is away."""
        while True:
            self._turned_s = time.monotonic()
            try:
                database = self._opened()
                answers = self._intake.store_what_can_be(database, batch, int(time.time()))
            except (sqlite3.Error, DatabaseError, OSError) as error:
                self._wait(error)
            else:
                if self._database_trouble:
                    log.info("the database takes rows again")
                self._database_trouble = ""
                return answers

    def _opened(self) -> Database:
        """The database, which after trouble may be another one than before."""
        if self._database is None:
            self._database = open_database(self._address)
            partitions.make_ahead(self._database, self._keep_days, int(time.time()))
            self._intake.begin(int(time.time()))
        return self._database

    def _wait(self, error: Exception) -> None:
        trouble = N_("the database takes no rows: {error}").format(error=processes.words_of(error))
        if trouble != self._database_trouble:
            log.error("%s; trying again, nothing is lost", trouble)
        self._database_trouble = trouble
        if (
            not isinstance(error, sqlite3.OperationalError)
            or isinstance(error, DatabaseAway)
            or "locked" not in trouble
        ):
            self._close_database()
        time.sleep(RETRY_S)

    def _answer(self, answers: Answers, messages: Sequence[Incoming]) -> None:
        """Tell boxes what was committed; only then the broker."""
        for box, upto in answers.upto.items():
            self._connection.publish(box, Kind.WATERMARKS, Watermarks(upto=upto))
        for box in answers.hello_again:
            self._connection.publish(box, Kind.WATERMARKS, Watermarks(upto={}), retain=False)
        self._connection.acknowledge(messages)
        for box, renewal in answers.renewals:
            self._give_certificate(box, renewal)
        self.rows += answers.rows
        self.messages += len(messages)

    def _give_certificate(self, box: str, renewal: Renewal) -> None:
        assert self._database is not None
        try:
            certificate = self._renew(self._database, box, renewal)
        except sqlite3.Error as error:  # the box asks again
            log.error("%s gets no new certificate now: %s", box, error)
            return
        if certificate:
            self._connection.publish(box, Kind.CERTIFICATE, certificate)


def serve(config: CentralConfig) -> None:
    """Take messages in until the process is told to end. Raises UserError."""
    started_s = time.time()
    trust = prepare(config, started_s)
    open_database(config.database_address).close()  # what is wrong with it is said at once, in one line
    host, port = broker_address(config)
    connection = Connection(host, port, trust.broker_tls(config))
    intake = Intake(
        config.ingest.rows_per_minute,
        config.keep.minutes_days,
        # At our own broker, only who has a certificate of ours that was not revoked can be heard at all.
        may_return=lambda box: config.broker.own and box != CENTRE,
    )
    ingest = Ingest(
        config.database_address,
        connection,
        intake,
        config.keep.minutes_days,
        lambda database, box, renewal: members.renew(database, config, trust, box, renewal.request, time.time()),
    )
    run(config, connection, ingest, started_s)


def run(config: CentralConfig, connection: Connection, ingest: Ingest, started_s: float) -> None:
    """Turn until a signal ends the process, with heartbeats and housekeeping in threads of their own."""
    stopping = threading.Event()
    heartbeat = _Heartbeat(config.database_address, ingest, started_s)
    housekeeping = Housekeeping(config, connection)
    connection.start()
    threads = [
        service.keep_alive(heartbeat.write, ingest.is_turning, stopping),
        service.repeat(housekeeping.step, STEP_S, "the housekeeping", stopping),
    ]
    service.notify("READY=1")
    log.info("taking in what boxes send, as process %d", os.getpid())
    try:
        while True:
            ingest.turn()
    finally:
        stopping.set()
        connection.stop()
        for thread in threads:
            thread.join(service.END_S / 4)
        heartbeat.end()
        housekeeping.close()
        ingest.close()


class _Heartbeat:
    """Writes that this process lives, over a connection of its own."""

    def __init__(self, address: str, ingest: Ingest, started_s: float) -> None:
        self._address, self._ingest, self._started_s = address, ingest, started_s

    def write(self) -> None:
        """One heartbeat. Raises sqlite3.Error, DatabaseError."""
        database = connect(self._address)
        try:
            processes.note_alive(
                database,
                KIND,
                self._started_s,
                time.time(),
                self._ingest.problem,
                self._ingest.rows,
                self._ingest.messages,
            )
        finally:
            database.close()

    def end(self) -> None:
        """Note that it ended in order, if that can be noted."""
        try:
            database = connect(self._address)
        except DatabaseError:
            return
        try:
            processes.forget(database, KIND)
        except sqlite3.Error as error:
            log.warning("that this process has ended is not on record: %s", error)
        finally:
            database.close()
