"""Whatever bytes come under whatever topic: a letter or rows, never a failure, and never another box's loss.

`python -m tests.test_central_fuzz SECONDS` goes on for longer.
"""

from __future__ import annotations

import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from appliance.central.database import Database
from appliance.central.housekeeping import roll_up_all
from appliance.central.intake import Incoming, Intake
from appliance.central.opening import open_database
from appliance.messages import FROM_BOX, Outcome, Renewal, Sums, encode, topic
from tests.fleet import EPOCHS, NOW, SimulatedBox, join, rolled_up, rows_of, sent, sums_of

A, B, _ = EPOCHS
ROUNDS = 40
NUMBERS = [b"-1", b"0", b"1e9", b"1.5", b"9007199254740992", b"9223372036854775808", b"2147483648", b"-2147483648"]
TEXTS = [b'"\\u0000"', b'"\\ud800"', b'"\xff"', b"null", b"[]", b"{}", b"true", b'"' + b"x" * 300 + b'"']


def samples(chance: Random) -> list[bytes]:
    """Messages that are well formed."""
    box = SimulatedBox("south")
    box.begin(A, NOW - 7200)
    for minute in range(chance.randint(1, 60)):
        box.count(A, 1 + minute % 3, minute, mask=minute % 4, no_mask=-1)
    return [
        encode(message)
        for message in (
            box.range(A, 0),
            Sums(epoch=B, rows=list(box.rows[A].values())[:3]),
            box.hello(streams={"1": "door", "2": "gate"}, machine="m"),
            box.state(live=[1, 2], temperature_c=40.5, problem="hot"),
            Outcome(id="00000000000000c1", done=True, words="done", at_utc=NOW),
            Renewal(request="-----BEGIN"),
        )
    ]


def mutated(payload: bytes, chance: Random) -> bytes:
    """The same, somewhat wrong."""
    if payload[:1] != b"{":
        payload = zlib.decompress(payload)
    for _ in range(chance.randint(0, 4)):
        at = chance.randrange(len(payload) + 1)
        what = chance.randrange(6)
        if what == 0:
            payload = payload[:at] + bytes([chance.randrange(256)]) + payload[at + 1 :]
        elif what == 1:
            payload = payload[:at]
        elif what == 2:
            payload = payload[:at] + chance.choice(NUMBERS) + payload[at:]
        elif what == 3:
            payload = payload[:at] + payload[chance.randrange(len(payload) + 1) :]
        else:
            parts = payload.split(b",")
            parts[chance.randrange(len(parts))] = chance.choice(NUMBERS + TEXTS)
            payload = b",".join(parts)
        payload = payload[:60_000] or b"?"
    return zlib.compress(payload) if chance.random() < 0.3 else payload


def poisonous(chance: Random) -> Iterator[Incoming]:
    for _ in range(chance.randint(1, 40)):
        where = chance.choice([topic("south", chance.choice(FROM_BOX)), "mb9k/stranger/sums", "mb9k//sums", "\0", "x"])
        payload = chance.randbytes(chance.randint(0, 200)) if chance.random() < 0.1 else b""
        yield Incoming(where, payload or mutated(chance.choice(samples(chance)), chance))


def fuzz(database: Database, chance: Random, until: float | None = None) -> int:
    """Poison beside a good box, whose every row must arrive; how many messages. until: monotonic seconds."""
    intake, north, count = Intake(10**9, keep_days=100), SimulatedBox("north"), 0
    north.begin(A, NOW - 86_400)
    rounds = 0
    while rounds < ROUNDS if until is None else time.monotonic() < until:
        rounds += 1
        north.count(A, 1, rounds % 1400, mask=1)
        batch = [*poisonous(chance), sent("north", north.range(A, rounds - 1))]
        chance.shuffle(batch)
        count += len(batch)
        answers = intake.store_what_can_be(database, intake.read(batch, 0.0), NOW)
        assert answers.upto["north"] == {A: rounds}
        assert answers.upto.keys() <= {"north", "south"}
    roll_up_all(database)
    assert sums_of(database, "north") == rows_of(north)
    for table, length_s in (("hours", 3600), ("days", 86_400)):
        have, want = rolled_up(database, table, length_s)
        assert have == want
    assert database.one("select count(*) from letters where box_id = 'north'") == 0
    return count


@pytest.fixture
def database(database_address: str) -> Iterator[Database]:
    opened = open_database(database_address)
    join(opened, "north", "south")
    yield opened
    opened.close()


@pytest.mark.parametrize("seed", range(4))
def test_nothing_a_box_can_send_is_a_failure_or_costs_another_a_row(database: Database, seed: int) -> None:
    fuzz(database, Random(seed))


def main(seconds: float) -> None:
    """Go on, with a new seed every while, on both databases."""
    from tests.postgres import running_cluster

    until = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder, running_cluster() as cluster:
        seed = int(time.time())
        while time.monotonic() < until:
            seed += 1
            for address in (str(Path(folder) / f"{seed}.db"), cluster.new_database()):
                database = open_database(address)
                join(database, "north", "south")
                print(seed, address.rpartition("/")[2], fuzz(database, Random(seed), time.monotonic() + 10), flush=True)
                database.close()


if __name__ == "__main__":
    main(float(sys.argv[1]))
