"""What the outbox tells, and that in the end a centre has what the box has, whatever happens on the way."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from appliance.accounts.people import Role
from appliance.faces import Detection, State
from appliance.messages import MAX_ROWS, Hello, Row, Sums
from appliance.secrets import digest
from appliance.store import Store
from appliance.sync.outbox import AHEAD_S, ANSWER_S, NEWS_S, PACE_S, SILENCE_S, WINDOW, Outbox
from appliance.times import Now
from tests.model_centre import Key, ModelCentre

BEGIN = Now(utc=1_790_000_000.0, boot_id="boot", uptime_s=1000.0)
LONG_S = SILENCE_S[1] + 1


def later(now: Now, seconds: float) -> Now:
    return replace(now, utc=now.utc + seconds, uptime_s=now.uptime_s + seconds)


def box_store() -> Store:
    """A box with one stream, whose number is 1."""
    store = Store.in_memory()
    store.people.add("ann", "hash", Role.ADMIN, BEGIN.utc)
    store.streams.add_with_key(1, "door", digest("key"), BEGIN.utc)
    store.summaries.begin_epoch(BEGIN, believed=True)
    return store


def record(store: Store, *minutes_ago: int, state: State = State.MASK, now: Now = BEGIN) -> list[int]:
    """Somebody passed in each of these minutes."""
    with store.writing():
        return [store.detections.add(1, someone(now.utc - 60 * minutes, state)) for minutes in minutes_ago]


def someone(utc: float, state: State) -> Detection:
    return Detection(utc, utc + 1, state, 0.9, 5, (1, 1, 9, 9), 100, 100, "model")


def untold(store: Store) -> int:
    return sum(state.seq - state.acked for state in store.summaries.behind(1000))


def all_rows(store: Store) -> dict[Key, Row]:
    """What the box knows: every row of every epoch."""
    return {
        (epoch, row.stream, row.minute): row
        for epoch in store.summaries.tops()
        for row in store.summaries.range_after(epoch, 0, 1_000_000)[0]
    }


class Wire:
    """An outbox and a model of its centre, with messages under way in both directions; nothing is lost by itself."""

    def __init__(self, store: Store, centre: ModelCentre | None = None, seed: int = 0) -> None:
        self.store, self.centre, self.random = store, centre or ModelCentre(), Random(seed)
        self.outbox = Outbox(store.summaries, self.random)
        self.now = BEGIN
        self.sent: list[Sums | Hello] = []
        self.answers: list[dict[str, int]] = []

    def connect(self) -> None:
        self.say_hello()
        self.outbox.open(self.now.uptime_s)

    def say_hello(self) -> None:
        epoch = self.store.summaries.newest_epoch()
        assert epoch
        self.sent.append(Hello(epoch=epoch, tops=self.store.summaries.tops()))

    def tell(self) -> list[Sums]:
        """What the outbox publishes at this moment."""
        told = []
        while (sums := self.outbox.next(self.now)) is not None:
            self.outbox.told(sums, self.now)
            told.append(sums)
        self.sent += told
        return told

    def arrive(self, index: int = 0, *, stays: bool = False) -> None:
        """A message reaches the centre, which answers. stays: and will do so again."""
        message = self.sent[index] if stays else self.sent.pop(index)
        answer = self.centre.take(message) if isinstance(message, Sums) else self.centre.greet(message)
        if answer:
            self.answers.append(answer)

    def hear(self, index: int = 0, *, stays: bool = False) -> None:
        """An answer reaches the box."""
        answer = self.answers[index] if stays else self.answers.pop(index)
        if self.outbox.hear(answer, self.now.uptime_s):
            self.say_hello()

    def note(self) -> None:
        with self.store.writing():
            lost = self.outbox.note()
        self.outbox.noted()
        if lost:
            self.say_hello()

    def wait(self, seconds: float) -> None:
        self.now = later(self.now, seconds)

    def settle(self, patience: int = 2000) -> int:
        """Go on without losses until the centre has everything; how many messages of sums that took."""
        told = 0
        for _ in range(patience):
            told += len(self.tell())
            while self.sent:
                self.arrive()
            while self.answers:
                self.hear()
            self.note()
            if not self.store.summaries.behind(1) and not self.sent:
                return told
            self.wait(1)
        raise AssertionError("it never settles")


@pytest.fixture
def wire() -> Wire:
    return Wire(box_store())


def test_a_row_is_told_and_freed_by_the_watermark_alone(wire: Wire) -> None:
    record(wire.store, 0)
    assert wire.tell() == [], "not connected"
    wire.connect()
    assert wire.tell() == [], "the answer to hello comes first"
    wire.arrive()
    wire.hear()
    wire.wait(PACE_S)
    (sums,) = wire.tell()
    assert (sums.after, sums.upto, len(sums.rows)) == (0, 1, 1)
    assert untold(wire.store) == 1, "published is not confirmed"
    wire.arrive()
    assert untold(wire.store) == 1
    wire.hear()
    wire.note()
    assert untold(wire.store) == 0
    wire.wait(LONG_S)
    assert wire.tell() == []
    assert wire.centre.rows == all_rows(wire.store)


def test_a_hello_that_nobody_answers_holds_up_nothing_for_long(wire: Wire) -> None:
    record(wire.store, 0)
    wire.connect()
    wire.wait(ANSWER_S)
    assert len(wire.tell()) == 1


def test_news_go_out_at_once_and_then_gathered(wire: Wire) -> None:
    wire.connect()
    wire.settle()
    wire.wait(60)
    record(wire.store, 0)
    assert len(wire.tell()) == 1
    record(wire.store, 0)
    wire.wait(NEWS_S - 0.1)
    assert wire.tell() == []
    wire.wait(0.1)
    (sums,) = wire.tell()
    assert (sums.after, sums.upto) == (1, 2)
    assert [row.mask for row in sums.rows] == [2], "cumulative"


def test_a_backlog_is_told_at_a_bounded_rate_in_a_bounded_window(wire: Wire) -> None:
    record(wire.store, *range(1000, 5000))
    wire.connect()
    wire.wait(ANSWER_S)
    told: list[Sums] = []
    for _ in range(200):
        told += wire.tell()
        wire.wait(PACE_S / 2)
    ranges = [sums for sums in told if sums.upto is not None]
    assert len(ranges) == WINDOW, "without an answer"
    assert [(sums.after, sums.upto) for sums in ranges] == [(MAX_ROWS * i, MAX_ROWS * (i + 1)) for i in range(WINDOW)]
    begun_s = wire.now.uptime_s
    count = wire.settle()
    assert wire.now.uptime_s - begun_s >= count * PACE_S - 1
    assert wire.centre.rows == all_rows(wire.store)


def test_the_newest_minute_does_not_wait_for_a_backlog(wire: Wire) -> None:
    record(wire.store, *range(1000, 2000))
    record(wire.store, 0)
    wire.connect()
    wire.wait(ANSWER_S)
    (first,) = wire.tell()
    assert first.upto is None
    assert [row.start_utc for row in first.rows] == [BEGIN.utc // 60 * 60]
    wire.wait(PACE_S)
    (second,) = wire.tell()
    assert second.after == 0, "then the backlog"
    wire.wait(NEWS_S)
    assert all(sums.upto is not None for sums in wire.tell()), "it has gone ahead once, and has not changed"
    record(wire.store, AHEAD_S // 60 - 1)
    wire.wait(NEWS_S)
    (ahead,) = [sums for sums in wire.tell() if sums.upto is None]
    assert len(ahead.rows) == 1, "only what has changed"
    wire.settle()
    assert wire.centre.rows == all_rows(wire.store)


def test_the_newest_start_is_told_first(wire: Wire) -> None:
    record(wire.store, *range(1000, 1300))
    older = wire.store.summaries.newest_epoch()
    newest = wire.store.summaries.begin_epoch(later(BEGIN, 60), believed=True)
    record(wire.store, 0)
    wire.connect()
    wire.wait(ANSWER_S)
    wire.tell()
    wire.wait(PACE_S)
    wire.tell()
    assert [sums.epoch for sums in wire.sent if isinstance(sums, Sums)] == [newest, older]


def test_after_silence_it_is_told_again_one_message_at_a_time(wire: Wire) -> None:
    record(wire.store, *range(1000, 3000))
    wire.connect()
    wire.wait(ANSWER_S)
    for _ in range(2 * WINDOW):
        wire.tell()
        wire.wait(PACE_S)
    first = [sums for sums in wire.sent if isinstance(sums, Sums) and sums.upto]
    wire.sent.clear()  # all of it is lost
    wire.wait(LONG_S)
    (again,) = wire.tell()
    assert again == first[0]
    wire.wait(10)
    assert wire.tell() == [], "a tired centre gets no more than one"
    assert wire.outbox.silences == 1
    wire.settle()
    assert wire.outbox.silences == 0
    assert wire.centre.rows == all_rows(wire.store)


def test_what_changed_between_two_tries_comes_in_its_newer_form(wire: Wire) -> None:
    record(wire.store, 0)
    wire.connect()
    wire.wait(ANSWER_S)
    wire.tell()
    wire.sent.clear()
    record(wire.store, 0, 5)
    wire.wait(LONG_S)
    (again,) = wire.tell()
    assert (again.after, again.upto, len(again.rows)) == (0, 3, 2)
    wire.settle()
    assert wire.centre.rows == all_rows(wire.store)


def test_a_centre_that_lost_everything_is_told_everything(wire: Wire) -> None:
    record(wire.store, *range(500))
    wire.store.summaries.begin_epoch(later(BEGIN, 60), believed=True)
    record(wire.store, *range(5))
    wire.connect()
    wire.settle()
    wire.centre = ModelCentre()
    wire.connect()
    assert untold(wire.store) == 0
    wire.settle()
    assert wire.centre.rows == all_rows(wire.store)


def test_a_centre_that_lost_rows_while_connected_is_noticed_at_the_next_row(wire: Wire) -> None:
    record(wire.store, *range(500))
    wire.store.summaries.begin_epoch(later(BEGIN, 60), believed=True)
    wire.connect()
    wire.settle()
    wire.centre = ModelCentre()
    record(wire.store, 0)
    wire.settle()  # the new epoch alone
    wire.wait(60)
    record(wire.store, 0)
    wire.centre = ModelCentre()
    wire.settle()
    assert wire.centre.rows == all_rows(wire.store), "hello brought back the older epoch, too"


def test_send_again_is_not_cut_short_by_what_the_centre_has(wire: Wire) -> None:
    record(wire.store, *range(1000))
    wire.connect()
    wire.settle()
    wire.centre.rows.clear()  # by its watermarks it has them all
    with wire.store.writing():
        wire.store.summaries.forget_watermarks()
    wire.outbox.begin_again()
    wire.say_hello()
    wire.settle()
    assert wire.centre.rows == all_rows(wire.store)
    record(wire.store, 0)
    wire.wait(60)
    assert wire.settle() == 1, "and then it is over"


def test_an_empty_range_frees_what_was_forgotten(wire: Wire) -> None:
    record(wire.store, 0)
    with wire.store.writing():
        wire.store.summaries.forget_old(BEGIN.utc + 3600)
    wire.connect()
    wire.wait(ANSWER_S)
    (sums,) = wire.tell()
    assert (sums.rows, sums.after, sums.upto) == ([], 0, 1)
    wire.settle()
    assert untold(wire.store) == 0


def test_watermarks_that_cannot_be_noted_are_noted_later_and_nothing_is_told_twice_meanwhile(wire: Wire) -> None:
    record(wire.store, *range(500))
    wire.connect()
    wire.arrive()
    wire.hear()
    told = 0
    for _ in range(20):
        wire.wait(1)
        told += len([sums for sums in wire.tell() if sums.upto])
        while wire.sent:
            wire.arrive()
        while wire.answers:
            wire.hear()
    assert told == 3
    assert untold(wire.store) == 500
    wire.note()
    assert untold(wire.store) == 0


def test_the_centres_word_for_epochs_that_are_not_there_is_no_matter(wire: Wire) -> None:
    record(wire.store, 0)
    wire.connect()
    for number in range(5000):
        wire.outbox.hear({f"{number:016x}": 7}, wire.now.uptime_s)
    wire.note()
    assert len(wire.outbox._marks) <= 2000
    wire.settle()
    assert wire.centre.rows == all_rows(wire.store)


def test_rows_that_the_centre_lost_are_told_again_at_once_and_not_after_silence(wire: Wire) -> None:
    record(wire.store, *range(500))
    wire.connect()
    wire.settle()
    wire.centre = ModelCentre()
    wire.sent.clear()
    wire.connect()
    wire.sent.clear()  # hello is lost
    wire.wait(ANSWER_S)
    record(wire.store, 0)
    begun_s = wire.now.uptime_s
    wire.settle()
    assert wire.now.uptime_s - begun_s < SILENCE_S[0]
    assert wire.centre.rows == all_rows(wire.store)


def test_a_centre_that_loses_rows_between_two_answers_is_told_them_at_once(wire: Wire) -> None:
    record(wire.store, *range(1000))
    wire.connect()
    for _ in range(3):
        wire.tell()
        while wire.sent:
            wire.arrive()
        while wire.answers:
            wire.hear()
        wire.wait(PACE_S)
    assert wire.outbox.has_heard, "and nothing of it is noted yet"
    wire.centre = ModelCentre()
    begun_s = wire.now.uptime_s
    wire.settle()
    assert wire.now.uptime_s - begun_s < SILENCE_S[0]
    assert wire.centre.rows == all_rows(wire.store)


class AnythingHappens(RuleBasedStateMachine):
    """Losses, duplicates, disorder, reconnects, kills, copies put back on either side: in any order."""

    @initialize(seed=st.integers(0, 99))
    def begin(self, seed: int) -> None:
        self.wire = Wire(box_store(), seed=seed)
        self.detections: list[int] = []
        self.promised: dict[str, int] = {}  # the highest watermark of each epoch that ever reached the box
        self.copy: Store | None = None
        self.backup: ModelCentre | None = None
        self.was_put_back = False

    @rule(minutes=st.lists(st.integers(-1, 400), min_size=1, max_size=5), state=st.sampled_from(State))
    def somebody_passes(self, minutes: list[int], state: State) -> None:
        self.detections += record(self.wire.store, *minutes, state=state, now=self.wire.now)

    @rule()
    def many_pass(self) -> None:
        self.detections += record(self.wire.store, *range(2000, 2000 + MAX_ROWS + 20), now=self.wire.now)

    @precondition(lambda self: self.detections)
    @rule(data=st.data(), state=st.sampled_from([None, State.NO_MASK]))
    def somebody_corrects(self, data: st.DataObject, state: State | None) -> None:
        chosen = data.draw(st.sampled_from(self.detections))
        with self.wire.store.writing():
            if state is None:
                self.wire.store.detections.remove(chosen)
            else:
                self.wire.store.detections.correct_state(chosen, state, "ann")

    @rule()
    def a_service_starts(self) -> None:
        self.wire.store.summaries.begin_epoch(self.wire.now, believed=True)

    @rule(seconds=st.sampled_from([0.5, 1.0, NEWS_S, LONG_S]))
    def time_passes(self, seconds: float) -> None:
        self.wire.wait(seconds)
        self.wire.tell()

    @rule()
    def the_box_connects(self) -> None:
        self.wire.outbox.close()
        self.wire.connect()

    @rule()
    def sync_is_killed(self) -> None:
        self.wire.outbox = Outbox(self.wire.store.summaries, self.wire.random)
        self.wire.connect()

    @precondition(lambda self: self.wire.sent)
    @rule(data=st.data(), stays=st.booleans())
    def a_message_arrives(self, data: st.DataObject, stays: bool) -> None:
        self.wire.arrive(data.draw(st.integers(0, len(self.wire.sent) - 1)), stays=stays)

    @precondition(lambda self: self.wire.answers)
    @rule(data=st.data(), stays=st.booleans(), is_noted=st.booleans())
    def an_answer_arrives(self, data: st.DataObject, stays: bool, is_noted: bool) -> None:
        index = data.draw(st.integers(0, len(self.wire.answers) - 1))
        for epoch, seq in self.wire.answers[index].items():
            self.promised[epoch] = max(seq, self.promised.get(epoch, 0))
        self.wire.hear(index, stays=stays)
        if is_noted:
            self.wire.note()

    @rule()
    def everything_arrives(self) -> None:
        while self.wire.sent:
            self.wire.arrive()
        for answer in self.wire.answers:
            for epoch, seq in answer.items():
                self.promised[epoch] = max(seq, self.promised.get(epoch, 0))
        while self.wire.answers:
            self.wire.hear()
        self.wire.note()

    @rule(which=st.sampled_from(["sent", "answers"]))
    def all_under_way_is_lost(self, which: str) -> None:
        getattr(self.wire, which).clear()

    @rule()
    def the_centre_is_copied(self) -> None:
        self.backup = self.wire.centre.copy()

    @rule(empty=st.booleans())
    def the_centre_is_put_back(self, empty: bool) -> None:
        self.wire.centre = ModelCentre() if empty or not self.backup else self.backup.copy()

    @rule()
    def the_card_is_copied(self) -> None:
        self.copy = copied(self.wire.store)

    @precondition(lambda self: self.copy)
    @rule()
    def the_card_is_put_back(self) -> None:
        assert self.copy
        wire = Wire(copied(self.copy), self.wire.centre)
        wire.now, wire.sent, wire.answers = self.wire.now, self.wire.sent, self.wire.answers
        wire.store.summaries.begin_epoch(wire.now, believed=True)
        self.wire, self.was_put_back = wire, True

    @rule()
    def everything_is_told_again(self) -> None:
        with self.wire.store.writing():
            self.wire.store.summaries.forget_watermarks()
        self.wire.outbox.begin_again()
        self.wire.say_hello()

    @invariant()
    def nothing_is_freed_that_no_watermark_covered(self) -> None:
        if hasattr(self, "wire"):
            rows = self.wire.store.db.execute("select id, acked from epochs")
            assert all(acked <= self.promised.get(epoch, 0) for epoch, acked in rows)

    def teardown(self) -> None:
        if not hasattr(self, "wire"):
            return
        self.wire.outbox.close()
        self.wire.connect()
        self.wire.settle()
        box, centre = all_rows(self.wire.store), self.wire.centre.rows
        if self.was_put_back:
            # What only the old card knew the centre keeps: it was counted. It never has less, nor anything else.
            assert all(centre[key] == row or centre[key].seq > row.seq for key, row in box.items())
        else:
            assert centre == box


def copied(store: Store) -> Store:
    connection = sqlite3.connect(":memory:")
    store.db.conn.backup(connection)
    return Store(connection)


TestAnythingHappens = AnythingHappens.TestCase
TestAnythingHappens.settings = settings(max_examples=60, stateful_step_count=40, derandomize=True, deadline=None)
