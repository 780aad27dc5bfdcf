"""`mb9k central ingest` as a process, with our own broker and TLS, on SQLite and PostgreSQL."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from appliance.membership import Membership
from appliance.messages import Kind, Sums, Watermarks, decode, encode, topic
from tests.boxes import until
from tests.centres import Centre, Client
from tests.conftest import REPOSITORY
from tests.disks import fill, small_disk
from tests.fleet import EPOCHS, SimulatedBox, rows_of, sums_of

A = EPOCHS[0]
PATIENCE_S = 60.0


@contextmanager
def ingest(centre: Centre, log_path: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """The service, from when it takes messages until the end of the block; it must end in order, or be dead."""
    command = [sys.executable, "-m", "appliance.cli", "central", "--config", str(centre.path), "ingest"]
    log_path = log_path or centre.folder / "ingest.log"
    with log_path.open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=REPOSITORY)
    until(lambda: lives(centre, process.pid) or process.poll() is not None, PATIENCE_S, "ingest lives")
    assert process.poll() is None, log_path.read_text()
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        print(log_path.read_text())


def lives(centre: Centre, pid: int) -> bool:
    """Whether the process says that it lives, and that nothing is wrong."""
    rows = centre.database.query("select name, problem from processes where kind = 'ingest'")
    return any(row["name"].endswith(f":{pid}") and not row["problem"] for row in rows)


def covered(client: Client, epoch: str) -> int:
    """The last watermark that the box was told."""
    told = [decode(bytes(payload), Watermarks).upto for where, payload in client.messages if "watermarks" in where]
    return next((upto[epoch] for upto in reversed(told) if epoch in upto), -1)


def north(centre: Centre, folder: Path) -> tuple[Membership, SimulatedBox, Client]:
    """A box that has joined, what it counts, and its connection, which hears watermarks."""
    there = centre.box(folder, "north")
    box = SimulatedBox(there.box)
    box.begin(A, int(time.time()) - 3600)
    client = centre.client_of(there)
    client.connect()
    client.subscribe(topic(there.box, Kind.WATERMARKS))
    return there, box, client


def test_ingest_takes_rows_in_over_tls_is_killed_and_goes_on(
    database_address: str, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    centre = Centre(tmp_path / "centre", free_port, database_address)
    with closing(centre), centre.broker():
        there, box, client = north(centre, tmp_path / "box")

        def tell(message: Sums) -> None:
            client.publish(topic(there.box, Kind.SUMS), encode(message))

        try:
            with ingest(centre) as process:
                client.publish(topic(there.box, Kind.HELLO), encode(box.hello()))
                until(lambda: covered(client, A) == 0, PATIENCE_S, "the hello is answered")
                box.count(A, 1, 0, mask=1)
                tell(box.range(A, 0))
                until(lambda: covered(client, A) == 1, PATIENCE_S, "the row is covered")
                process.kill()
                process.wait()
            box.count(A, 1, 1, mask=1)
            tell(box.range(A, 1))  # nobody is there to take it
            with ingest(centre) as process:
                tell(box.range(A, 1))
                until(lambda: covered(client, A) == 2, PATIENCE_S, "the row is covered")
                until(lambda: bool(centre.database.one("select count(*) from days")), PATIENCE_S, "it is rolled up")
                process.terminate()
                assert process.wait(PATIENCE_S) == 0
            assert not lives(centre, process.pid)
        finally:
            client.close()
        assert sums_of(centre.database, there.box) == rows_of(box)


def test_a_full_disk_costs_no_row(tmp_path: Path, free_port: Callable[[], int]) -> None:
    with small_disk(tmp_path / "disk") as disk:
        centre = Centre(disk / "centre", free_port, str(disk / "centre" / "central.db"))
        with closing(centre), centre.broker():
            there, box, client = north(centre, tmp_path / "box")
            try:
                log_path = tmp_path / "ingest.log"  # one on the full disk would say nothing
                with ingest(centre, log_path):
                    client.publish(topic(there.box, Kind.HELLO), encode(box.hello()))
                    until(lambda: covered(client, A) == 0, PATIENCE_S, "the hello is answered")
                    filler = filled_without_room(disk, Path(centre.config.database_address))
                    box.count(A, 1, 0, mask=1)
                    client.publish(topic(there.box, Kind.SUMS), encode(box.range(A, 0)))
                    until(lambda: "the database takes no rows" in log_path.read_text(), PATIENCE_S, "it is said")
                    assert covered(client, A) == 0
                    filler.unlink()
                    until(lambda: covered(client, A) == 1, PATIENCE_S, "the row is covered")
            finally:
                client.close()
            assert sums_of(centre.database, there.box) == rows_of(box)


def filled_without_room(disk: Path, database: Path) -> Path:
    """Fill the disk when there is no log in which something could be written; the file to remove to give it back."""
    while True:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("pragma wal_checkpoint(truncate)")
            filler = fill(disk)
            if Path(f"{database}-wal").stat().st_size == 0:
                return filler
        filler.unlink()


def test_a_database_that_cannot_be_used_is_said_in_one_line(tmp_path: Path, free_port: Callable[[], int]) -> None:
    centre = Centre(tmp_path / "centre", free_port)
    centre.close()
    (tmp_path / "centre" / "central.db").write_bytes(b"no database" * 1000)
    command = [sys.executable, "-m", "appliance.cli", "central", "--config", str(centre.path), "ingest"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert done.returncode == 1
    assert "file is not a database" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(autouse=True)
def _postgresql_connections() -> Iterator[None]:
    """The pool of this process is closed, so that its database can be removed."""
    yield
    from appliance.central.postgresql import close_pools

    close_pools()
