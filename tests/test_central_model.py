"""Whatever happens on the way, the centre ends with what the boxes have: no row lost, none counted twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.central.database import Database
from appliance.central.housekeeping import roll_up_all
from appliance.central.intake import Intake
from appliance.central.opening import connect, open_database
from appliance.messages import Sums
from tests.fleet import COUNTS, EPOCHS, NOW, SimulatedBox, join, rolled_up, rows_of, sent, sums_of, take

TABLES = ("sums", "sources", "streams", "watermarks", "stale_hours", "hours", "days", "letters", "boxes")


@pytest.fixture
def database(made_database: str) -> Iterator[Database]:
    opened = open_database(made_database)
    yield opened
    opened.close()


@dataclass(frozen=True)
class Step:
    """One thing that happens: to a box (0 or 1), in an epoch, by chance that a seed decides."""

    what: str
    box: int
    epoch: int
    seed: int


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(["count"] * 6 + ["send"] * 4 + ["newest"] * 2 + ["clock", "deliver", "deliver", "roll up"]),
        st.integers(0, 1),
        st.integers(0, 2),
        st.integers(0, 2**32),
    ),
    max_size=60,
)


def empty(database: Database) -> None:
    with database.writing():
        for table in TABLES:
            database.execute(f"delete from {table}")


def simulated() -> list[SimulatedBox]:
    boxes = [SimulatedBox("north"), SimulatedBox("south")]
    for box in boxes:
        for number, epoch in enumerate(EPOCHS):  # the last one begins in another year
            box.begin(epoch, NOW - 90_000 * (number + 1) if number < 2 else NOW - 86_400 * 700)
    return boxes


def happen(step: Step, box: SimulatedBox, on_the_way: list[tuple[str, Sums]]) -> None:
    """Something happens at a box; what it sends is on the way."""
    chance, epoch = Random(step.seed), EPOCHS[step.epoch]
    unknown_time = step.epoch == 2 and box.starts[epoch] < NOW - 86_400 * 300
    if step.what == "count":
        for _ in range(chance.randint(1, 4)):
            more = {name: chance.randint(-2 if name != "watched_s" else 0, 5) for name in COUNTS}
            box.count(epoch, chance.randint(1, 3), chance.randint(-90, 1000), not unknown_time, **more)
    elif step.what == "clock" and unknown_time:
        box.correct_clock(epoch, 86_400 * 699 + chance.randint(-5000, 5000))
    elif step.what == "send":
        after = chance.randint(0, box.tops[epoch])
        on_the_way.append((box.name, box.range(epoch, after, chance.randint(1, 5))))
    elif step.what == "newest" and box.rows[epoch]:
        rows = chance.sample(list(box.rows[epoch].values()), min(3, len(box.rows[epoch])))
        on_the_way.append((box.name, Sums(epoch=epoch, rows=rows)))


def deliver(database: Database, intake: Intake, on_the_way: list[tuple[str, Sums]], chance: Random) -> None:
    """Some of what is on the way arrives, in any order, some of it twice; some is lost, some stays on the way."""
    some = [message for message in on_the_way if chance.random() < 0.6]
    batch = [message for message in some for _ in range(chance.choice([0, 1, 1, 1, 2]))]
    chance.shuffle(batch)
    while batch:
        now, batch = batch[: chance.randint(1, 6)], batch[6:]
        take(intake, database, *(sent(name, message) for name, message in now))
    if chance.random() < 0.5:
        on_the_way[:] = [message for message in on_the_way if message not in some]


def catch_up(database: Database, intake: Intake, box: SimulatedBox, most: int = 4) -> None:
    """The box sends from the watermark until it has reached everything, as it does in the end."""
    for epoch, top in box.tops.items():
        upto = take(intake, database, sent(box.name, box.hello())).upto[box.name][epoch]
        assert upto <= top
        while upto < top:
            reached = take(intake, database, sent(box.name, box.range(epoch, upto, most))).upto[box.name][epoch]
            assert reached > upto
            upto = reached


def check(database: Database, boxes: list[SimulatedBox]) -> None:
    """Every row is there as the box has it, and hours and days are their sums."""
    for box in boxes:
        assert sums_of(database, box.name) == rows_of(box)
    for table, length_s in (("hours", 3600), ("days", 86_400)):
        have, want = rolled_up(database, table, length_s)
        assert have == want
    columns = ", ".join(f"coalesce(sum({name}), 0)" for name in COUNTS)
    totals = [sum(values) for values in zip(*(box.totals().values() for box in boxes), strict=True)]
    assert list(database.execute(f"select {columns} from days").fetchone()) == totals


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps=STEPS)
def test_any_order_loss_and_repetition_ends_in_what_the_boxes_have(database: Database, steps: list[Step]) -> None:
    empty(database)
    join(database, "north", "south")
    intake, boxes = Intake(10**6, keep_days=100), simulated()
    on_the_way: list[tuple[str, Sums]] = []
    for step in steps:
        if step.what == "deliver":
            deliver(database, intake, on_the_way, Random(step.seed))
        elif step.what == "roll up":
            roll_up_all(database)
        else:
            happen(step, boxes[step.box], on_the_way)
    for box in boxes:
        catch_up(database, intake, box)
    roll_up_all(database)
    check(database, boxes)


def test_several_ingests_beside_each_other_lose_nothing_and_count_nothing_twice(made_database: str) -> None:
    chance = Random(7)
    opened = open_database(made_database)
    boxes = [SimulatedBox(f"box-{number}") for number in range(4)]
    join(opened, *(box.name for box in boxes))
    messages: list[tuple[str, Sums]] = []
    for box in boxes:
        for number, epoch in enumerate(EPOCHS):
            box.begin(epoch, NOW - 90_000 * (number + 1))
        for _ in range(300):
            epoch = chance.choice(EPOCHS)
            row = box.count(epoch, chance.randint(1, 3), chance.randint(0, 600), mask=chance.randint(-1, 3))
            if chance.random() < 0.3:
                messages.append((box.name, Sums(epoch=epoch, rows=[row])))
        for epoch, top in box.tops.items():
            messages += [(box.name, box.range(epoch, after, 7)) for after in range(0, top, 5)]
    chance.shuffle(messages)
    failures: list[BaseException] = []
    stopping = threading.Event()

    def ingest(share: list[tuple[str, Sums]]) -> None:
        database, intake = connect(made_database), Intake(10**6, keep_days=100)
        try:
            for begin in range(0, len(share), 9):
                take(intake, database, *(sent(name, message) for name, message in share[begin : begin + 9]))
        except BaseException as error:
            failures.append(error)
        finally:
            database.close()

    def roll_up_meanwhile() -> None:
        database = connect(made_database)
        try:
            while not stopping.wait(0.01):
                roll_up_all(database)
        except BaseException as error:
            failures.append(error)
        finally:
            database.close()

    def share(number: int) -> list[tuple[str, Sums]]:
        return [message for place, message in enumerate(messages) if place % 4 == number or place % 7 == number]

    threads = [threading.Thread(target=ingest, args=(share(number),)) for number in range(4)]
    rolling = threading.Thread(target=roll_up_meanwhile)
    for thread in [*threads, rolling]:
        thread.start()
    for thread in threads:
        thread.join()
    stopping.set()
    rolling.join()
    assert not failures
    roll_up_all(opened)
    check(opened, boxes)
    for box in boxes:
        for epoch, top in box.tops.items():
            assert opened.one("select upto from watermarks where box_id = ? and epoch = ?", [box.name, epoch]) == top
    opened.close()
