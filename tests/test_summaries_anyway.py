"""Whatever is done to a record in whatever order, its sums are those of its detections, and a centre gets them.

Real SQLite, real copies that are put back. The centre is a stand-in: it takes rows as the real one does (the newer seq
wins) and holds that nothing is ever said twice in different words.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from appliance.accounts.people import Role
from appliance.faces import Detection, State
from appliance.messages import Row
from appliance.store import BY_HAND, Store
from appliance.store.backup import copy, restore
from appliance.times import Now, utc_seconds

AT = 1_795_521_600.0
DAY_S = 86400.0
KEPT_S = 100 * DAY_S
STATES = st.sampled_from(State)
SOON = st.floats(0.5, 400, allow_nan=False)
LEAPS = st.one_of(st.floats(-7200, 7200), st.sampled_from((-2000 * DAY_S, -3 * DAY_S, 30 * DAY_S, 3000 * DAY_S)))
OFF_S = 71.0  # half a minute for each of two spans, and what is taken for no step
Key = tuple[int, int, str]


class StandInCentre:
    """What a centre makes of what it is told."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, int, int], Row] = {}
        self.said: dict[tuple[str, int], Row] = {}

    def take(self, epoch: str, rows: list[Row]) -> None:
        """Rows of an epoch, by the rule of the wire."""
        for row in rows:
            assert self.said.setdefault((epoch, row.seq), row) == row, "one number, two things"
            key = (epoch, row.stream, row.minute)
            if key not in self.rows or row.seq > self.rows[key].seq:
                self.rows[key] = row


def persons(rows: list[Row]) -> Counter[Key]:
    """How many, by stream number, minute and state; over all epochs. None where there are none."""
    found: Counter[Key] = Counter()
    for row in rows:
        for state in State:
            found[row.stream, row.start_utc, state.value] += getattr(row, state.value)
    return Counter({key: number for key, number in found.items() if number})


class AnyOrder(RuleBasedStateMachine):
    """A box: what its services, its people, its clock and whoever copies its store do."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path, self.backup = self.folder / "mb9k.db", self.folder / "copy.db"
        self.store = Store.open(self.path)
        self.store.db.execute("pragma synchronous=off")
        self.store.people.add("ann", "hash", Role.ADMIN, AT)
        self.true_utc, self.wrong_s, self.uptime_s, self.boots = AT, 0.0, 100.0, 1
        self.believed = self.is_complete = True
        self.centre = StandInCentre()
        self.watched_s = 0
        self.seen_utc: dict[int, float] = {}  # when somebody was truly first seen, in this start of the machine

    def now(self) -> Now:
        """This moment as the box knows it."""
        return Now(self.true_utc + self.wrong_s, f"boot-{self.boots}", self.uptime_s)

    def pass_time(self, seconds: float) -> None:
        self.true_utc += seconds
        self.uptime_s += seconds

    def as_the_watcher(self, write: Callable[[], object]) -> None:
        """One transaction of it: it looks at the clock first."""
        with self.store.writing():
            self.store.summaries.follow_clock(self.now(), self.believed)
            write()

    def any_id(self, number: int, table: str) -> int | None:
        ids = [row["id"] for row in self.store.db.execute(f"select id from {table} order by id")]
        return ids[number % len(ids)] if ids else None

    @initialize()
    def begin(self) -> None:
        for name in ("door", "lab"):
            self.store.streams.add_with_key(1, name, f"digest of {name}", AT)
        self.store.summaries.begin_epoch(self.now(), True)
        self.see(0, [1.0, 70.0], State.MASK, 1.0)

    @rule(number=st.integers(0, 9), ago_s=st.lists(st.floats(0, 100), min_size=1), state=STATES, passed_s=SOON)
    def see(self, number: int, ago_s: list[float], state: State, passed_s: float) -> None:
        self.pass_time(passed_s)
        if (stream_id := self.any_id(number, "streams")) is not None:
            for each in ago_s:
                first_utc = self.now().utc - each
                person = Detection(first_utc, first_utc + 1, state, 0.9, 1, (1, 2, 3, 4), 9, 9, "a model")
                self.as_the_watcher(functools.partial(self.store.detections.add, stream_id, person))
                newest = self.store.db.execute("select max(id) as id from detections").fetchone()["id"]
                self.seen_utc[newest] = self.true_utc - each

    @rule(
        number=st.integers(0, 9), ago_s=st.sampled_from((0, 50, 4000, 120 * DAY_S)), by_box=st.booleans(), state=STATES
    )
    def enter_by_hand(self, number: int, ago_s: float, by_box: bool, state: State) -> None:
        utc = (self.now().utc if by_box else self.true_utc) - ago_s
        if (stream_id := self.any_id(number, "streams")) is not None:
            entered = Detection(utc, utc, state, 0.9, 0, (0, 0, 0, 0), 0, 0, f"{BY_HAND} ann")
            self.store.detections.add(stream_id, entered)

    @rule(number=st.integers(0, 99), state=STATES)
    def judge_again(self, number: int, state: State) -> None:
        if detection_id := self.any_id(number, "detections"):
            found = self.store.detections.get(detection_id)
            assert found
            person = replace(found.detection, state=state, last_seen_utc=self.now().utc)
            self.as_the_watcher(lambda: self.store.detections.update(detection_id, person))

    @rule(number=st.integers(0, 99), state=STATES)
    def correct(self, number: int, state: State) -> None:
        if detection_id := self.any_id(number, "detections"):
            self.store.detections.correct_state(detection_id, state, "ann")

    @rule(number=st.integers(0, 99))
    def delete(self, number: int) -> None:
        if detection_id := self.any_id(number, "detections"):
            self.store.detections.remove(detection_id)

    @rule(number=st.integers(0, 9), again=st.booleans())
    def delete_stream(self, number: int, again: bool) -> None:
        if (stream_id := self.any_id(number, "streams")) is not None:
            self.store.streams.remove(stream_id)
        if again:
            name = str(self.store.db.execute("select count(*) from stream_numbers").fetchone()[0])
            self.store.streams.add_with_key(1, name, f"digest of {name}", AT)

    @rule(watched_s=st.integers(1, 60))
    def watch(self, watched_s: int) -> None:
        streams = self.store.streams.ids()
        self.as_the_watcher(lambda: self.store.summaries.add_watched(dict.fromkeys(streams, watched_s), self.now()))
        self.watched_s += watched_s * len(streams)

    @rule()
    def start_a_service(self) -> None:
        with self.store.writing():
            self.store.summaries.begin_epoch(self.now(), self.believed)

    @rule(leap_s=LEAPS)
    def start_the_machine(self, leap_s: float) -> None:
        self.true_utc += 60
        self.seen_utc = {}
        self.boots, self.uptime_s, self.wrong_s, self.believed = self.boots + 1, 5.0, leap_s, False
        self.start_a_service()

    @rule(leap_s=LEAPS)
    def set_the_clock_wrong(self, leap_s: float) -> None:
        self.wrong_s, self.believed = leap_s, False

    @rule()
    def set_the_clock_right(self) -> None:
        self.wrong_s = 0.0

    @precondition(lambda self: self.wrong_s == 0.0)
    @rule()
    def believe_the_clock(self) -> None:
        self.believed = True
        with self.store.writing():
            self.store.summaries.correct_clock(self.now())
        assert not self.store.summaries.is_to_be_corrected(self.now())
        for detection_id, true_utc in self.seen_utc.items():
            if stored := self.store.detections.get(detection_id):
                assert abs(stored.detection.first_seen_utc - true_utc) < OFF_S

    @rule(leap_s=LEAPS, changes=st.lists(st.integers(0, 8), min_size=4, max_size=8), state=STATES)
    def start_without_the_time(self, leap_s: float, changes: list[int], state: State) -> None:
        """The order that matters most, which chance alone seldom finds: the time comes while people pass and edit."""
        self.start_the_machine(leap_s)
        self.see(0, [1.0, 50.0], State.MASK, 60.0)
        for number, change in enumerate(changes):
            if number == len(changes) // 2:
                self.set_the_clock_right()
            if change == 8:
                self.make_a_copy()
                self.put_the_copy_back()
            else:
                self.change(change, number, state)
        self.believe_the_clock()

    def change(self, kind: int, number: int, state: State) -> None:
        kinds: tuple[Callable[[], object], ...] = (
            lambda: self.see(number, [1.0], state, 40.0),
            lambda: self.correct(-number, state),
            lambda: self.judge_again(-number, state),
            lambda: self.delete(-number),
            lambda: self.enter_by_hand(0, 50, True, state),
            lambda: self.watch(30),
            self.start_a_service,
            lambda: self.tell(100, is_heard=False),
        )
        kinds[kind]()

    @precondition(lambda self: self.believed)
    @rule(days=st.sampled_from((0, 50, 150)))
    def forget(self, days: int) -> None:
        self.pass_time(days * DAY_S)
        with self.store.writing():
            self.store.summaries.forget_old(self.now().utc - KEPT_S)
        self.watched_s = sum(row.watched_s for row in self.told())

    @rule(limit=st.integers(1, 20), is_heard=st.booleans())
    def tell(self, limit: int, is_heard: bool) -> None:
        for epoch in self.store.summaries.behind(3):
            rows, upto = self.store.summaries.range_after(epoch.id, epoch.acked, limit)
            self.centre.take(epoch.id, rows)
            if is_heard:
                self.store.summaries.note_watermarks({epoch.id: upto})
        for epoch_id, newest in self.store.summaries.newest_rows(self.now().utc - 600, limit).items():
            self.centre.take(epoch_id, newest)

    @rule()
    def rewind(self) -> None:
        self.store.summaries.forget_watermarks()

    @rule()
    def make_a_copy(self) -> None:
        self.backup.unlink(missing_ok=True)
        copy(self.path, self.backup, leave_free_bytes=0)

    @precondition(lambda self: self.backup.exists())
    @rule()
    def put_the_copy_back(self) -> None:
        """The centre hears of what came after the copy, and then of what came after its return."""
        self.see(0, [1.0], State.MASK, 1.0)
        self.tell(100, is_heard=False)
        self.store.close()
        restore(self.backup, self.path, self.now().utc)
        self.store = Store.open(self.path)
        self.store.db.execute("pragma synchronous=off")
        self.seen_utc = {}
        self.is_complete = False  # what was told since the copy was made, the centre goes on knowing
        self.watched_s = sum(row.watched_s for row in self.told())
        self.correct(0, State.UNKNOWN)
        self.delete(1)
        self.tell(100, is_heard=True)

    def told(self) -> list[Row]:
        summaries = self.store.summaries
        return [row for epoch in summaries.tops() for row in summaries.range_after(epoch, 0, 10**6)[0]]

    def counted(self) -> Counter[Key]:
        """What the detections say, counted one by one."""
        numbers = {
            row["stream_id"]: row["number"]
            for row in self.store.db.execute("select stream_id, number from stream_numbers order by number")
        }
        rows = self.store.db.execute("select stream_id, first_seen_utc, state from detections")
        return Counter(
            (numbers[row["stream_id"]], int(utc_seconds(row["first_seen_utc"]) // 60) * 60, row["state"])
            for row in rows
        )

    def kept(self, counter: Counter[Key]) -> Counter[Key]:
        (since_utc,) = self.store.db.execute("select since_utc from summaries_kept").fetchone()
        return Counter({key: number for key, number in counter.items() if key[1] >= since_utc})

    @invariant()
    def sums_are_those_of_the_detections(self) -> None:
        assert self.kept(persons(self.told())) == self.kept(self.counted())

    @invariant()
    def seconds_are_neither_lost_nor_found(self) -> None:
        assert sum(row.watched_s for row in self.told()) == self.watched_s

    def teardown(self) -> None:
        """In the end, `mb9k check` agrees, and the centre, told everything, has the same sums."""
        assert self.store.problems() == []
        while behind := self.store.summaries.behind(1):
            rows, upto = self.store.summaries.range_after(behind[0].id, behind[0].acked, 5)
            self.centre.take(behind[0].id, rows)
            self.store.summaries.note_watermarks({behind[0].id: upto})
        if self.is_complete:
            assert self.kept(persons(list(self.centre.rows.values()))) == self.kept(self.counted())
        self.store.close()
        shutil.rmtree(self.folder)


AnyOrder.TestCase.settings = settings(max_examples=40, stateful_step_count=60, deadline=None)
test_whatever_is_done_the_sums_are_those_of_the_detections = AnyOrder.TestCase
