"""Sums by quarters, hours and days in the zone of the box: real SQLite, compared with counting the rows in Python."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from appliance.accounts.audit import Action
from appliance.accounts.audit_search import Search, found
from appliance.accounts.schema import migrations as accounts_migrations
from appliance.faces import Counts, State
from appliance.rules.check import repair_sums
from appliance.store import Bucket, Deleted, DetectionFilter, Kind, Step, Store
from appliance.store.database import INVARIANTS
from appliance.store.schema import migrations
from appliance.store.trends_schema import COLUMNS
from appliance.time_zone import QUARTER_S, named
from appliance.times import Now, utc_seconds
from tests.test_summaries import add_streams, seen

ZONES = (
    "Europe/Berlin",
    "Asia/Kathmandu",  # +05:45
    "America/St_Johns",  # -03:30, and its clocks change
    "Australia/Lord_Howe",  # they change by half an hour
    "Asia/Beirut",  # at midnight: a day begins at 1
    "Pacific/Apia",  # had no 30 December 2011
)
STATES = list(State)
Key = tuple[int, int]
Sums = dict[Key, tuple[int, ...]]


def at(zone: str, text: str) -> float:
    """The first moment at which clocks in this zone showed that."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def rows_of(store: Store) -> list[tuple[int, float, str]]:
    """Every detection: (stream, first seen, state)."""
    rows = store.db.execute("select stream_id, first_seen_utc, state from detections")
    return [(row[0], utc_seconds(row[1]), row[2]) for row in rows]


def counted(rows: list[tuple[int, float, str]]) -> Counts:
    """The rows, counted one by one."""
    return Counts(**Counter(state for _, _, state in rows))


def stored(store: Store, table: str) -> Sums:
    """A table of sums, as it is stored: nothing in it is 0 throughout."""
    return {(row[0], row[1]): tuple(row)[2:] for row in store.db.execute(f"select * from {table}")}


def sums(store: Store) -> tuple[Sums, Sums, Sums]:
    """All that is stored of them: by quarters of an hour, by hours and by days."""
    return stored(store, "quarters"), stored(store, "hours"), stored(store, "days")


def expected(store: Store, watched: Counter[Key], zone: str) -> tuple[Sums, Sums, Sums]:
    """The same, from the rows and by Python's own time zones."""
    quarters: dict[Key, list[int]] = {}
    for (stream, start), seconds in watched.items():
        quarters.setdefault((stream, int(start // QUARTER_S * QUARTER_S)), [0] * 5)[0] += seconds
    for stream, first_seen, state in rows_of(store):
        counted = quarters.setdefault((stream, int(first_seen // QUARTER_S * QUARTER_S)), [0] * 5)
        counted[COLUMNS.index(state)] += 1
    hours: dict[Key, list[int]] = {}
    days: dict[Key, list[int]] = {}
    for (stream, start), counted in quarters.items():
        shown = datetime.fromtimestamp(start, ZoneInfo(zone)).replace(tzinfo=None) - datetime(1970, 1, 1)  # noqa: DTZ001
        for table, step in ((hours, timedelta(hours=1)), (days, timedelta(days=1))):
            key = stream, shown // step
            table[key] = [a + b for a, b in zip(table.get(key, [0] * 5), counted, strict=True)]
    quartered, houred, dayed = (
        {key: tuple(counted) for key, counted in table.items() if any(counted)} for table in (quarters, hours, days)
    )
    return quartered, houred, dayed


# What a box does, in any order

BEGAN = 1_698_500_000  # the day before Berlin's clocks go back
MOMENTS = st.one_of(st.integers(BEGAN, BEGAN + 3 * 86_400), st.sampled_from([-900, -1, 0, 899, 1_325_240_000, 2**33]))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from([1, 2]), MOMENTS, st.sampled_from(STATES)),
        st.tuples(st.just("correct"), st.integers(0, 9), st.sampled_from(STATES)),
        st.tuples(st.just("remove"), st.integers(0, 9)),
        st.tuples(st.just("watch"), st.sampled_from([1, 2]), MOMENTS, st.integers(1, 60)),
        st.tuples(st.just("start"), st.integers(0, 2), st.booleans()),
        st.tuples(st.just("set clock"), st.integers(-100_000, 100_000)),
        st.tuples(st.just("forget"), MOMENTS),
        st.tuples(st.just("zone"), st.sampled_from(ZONES)),
        st.tuples(
            st.just("end stream"),
        ),
    ),
    max_size=25,
)


class Life:
    """A store that lives through steps."""

    def __init__(self, store: Store) -> None:
        self.store, self.zone, self.watched = store, "UTC", Counter[Key]()
        self.now = Now(float(BEGAN), "boot 0", 100.0)
        self.unverified: list[tuple[Key, int]] = []
        add_streams(store)
        store.summaries.begin_epoch(self.now, believed=True)

    def step(self, what: str, *of: object) -> None:
        """Let this happen."""
        with self.store.writing():
            getattr(self, what.replace(" ", "_"))(*of)

    def add(self, stream: int, moment: int, state: State) -> None:
        if stream in self.store.streams.ids():
            self.store.detections.add(stream, seen(moment + 0.5, state))

    def _id(self, number: int) -> int:
        ids = [row[0] for row in self.store.db.execute("select id from detections order by id")]
        return ids[number % len(ids)] if ids else 0

    def correct(self, number: int, state: State) -> None:
        self.store.detections.correct_state(self._id(number), state, "ann")

    def remove(self, number: int) -> None:
        self.store.detections.remove(self._id(number))

    def watch(self, stream: int, moment: int, seconds: int) -> None:
        # In an epoch whose clock is right; those of another move with it, which test_sums shows.
        if stream in self.store.streams.ids() and not self.store.summaries.is_to_be_corrected(self.now):
            self.store.summaries.add_watched({stream: seconds}, Now(float(moment), "", 0.0))
            self.watched[stream, moment // 60 * 60] += seconds

    def start(self, boot: int, believed: bool) -> None:
        self.now = Now(self.now.utc + 60, f"boot {boot}", self.now.uptime_s + 60)
        self.store.summaries.begin_epoch(self.now, believed)

    def set_clock(self, by_s: int) -> None:
        self.now = Now(self.now.utc + by_s + 60, self.now.boot_id, self.now.uptime_s + 60)
        self.store.summaries.correct_clock(self.now)

    def forget(self, before: int) -> None:
        # Never what a clock may still move: the watcher forgets when its clock is believed and that is done.
        if not self.store.summaries.is_to_be_corrected(self.now):
            self.store.summaries.forget_old(before)

    def zone_(self, name: str) -> None:
        zone = named(name)
        assert zone
        self.store.trends.follow_zone(zone)
        self.zone = name

    def end_stream(self) -> None:
        self.store.streams.remove(2)
        self.watched = Counter({key: value for key, value in self.watched.items() if key[0] != 2})


@pytest.fixture(scope="module")
def empty() -> Iterator[Store]:
    """An empty store, to copy: to make its tables takes longer than all that is done with them."""
    with closing(Store.in_memory()) as store:
        yield store


@contextmanager
def copied(empty: Store) -> Iterator[Store]:
    """A store like it, in memory."""
    with closing(sqlite3.connect(":memory:")) as connection:
        empty.db.conn.backup(connection)
        connection.execute("pragma foreign_keys=on")
        yield Store(connection)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(steps=STEPS, zone=st.sampled_from(ZONES))
def test_in_any_order_of_edits_sums_are_those_of_counting_the_rows(
    empty: Store, steps: list[tuple[object, ...]], zone: str
) -> None:
    with copied(empty) as store:
        life = Life(store)
        for what, *of in [*steps, ("zone", zone)]:
            life.step("zone_" if what == "zone" else str(what), *of)
        assert sums(store) == expected(store, life.watched, life.zone)
        assert [sentence for question, sentence in INVARIANTS if store.db.execute(question).fetchone()[0]] == []


# What is read


@pytest.fixture
def box(empty: Store) -> Iterator[Store]:
    """Two streams, `door` (1) and `lab` (2)."""
    with copied(empty) as store:
        add_streams(store)
        yield store


def cut(store: Store, name: str) -> None:
    """Cut days in this zone."""
    zone = named(name)
    assert zone
    store.trends.follow_zone(zone)


def of_week(store: Store, stream_ids: Collection[int] | None, span: tuple[float, float]) -> Counter[tuple[int, int]]:
    """Persons by (weekday, hour), of hours with any."""
    found = store.trends.by_weekday_hour(stream_ids, *span)
    return +Counter({(day, hour): found[day][hour].counts.total for day in range(7) for hour in range(24)})


@pytest.mark.parametrize("zone", ZONES)
def test_every_step_holds_those_whom_the_clocks_put_there(box: Store, zone: str) -> None:
    """Over five days around a change of the clocks, somebody every seven minutes; beside Python's own time zones."""
    cut(box, zone)
    began = at(zone, {"Pacific/Apia": "2011-12-28"}.get(zone, "2024-03-29"))
    hours: Counter[str] = Counter()
    days: Counter[str] = Counter()
    week: Counter[tuple[int, int]] = Counter()
    for number in range(5 * 24 * 60 // 7):
        moment = began + 420.0 * number
        box.detections.add(1 + number % 2, seen(moment, STATES[number % 4]))
        local = datetime.fromtimestamp(moment // QUARTER_S * QUARTER_S, ZoneInfo(zone))
        hours[f"{local:%Y-%m-%d %H %z}"] += 1
        days[f"{local:%Y-%m-%d}"] += 1
        week[local.weekday(), local.hour] += 1
    span = began, began + 5 * 86_400.0

    def label(bucket: Bucket, form: str) -> str:
        return f"{datetime.fromtimestamp(bucket.start_utc, ZoneInfo(zone)):{form}}"

    for step, form, expected in ((Step.HOUR, "%Y-%m-%d %H %z", hours), (Step.DAY, "%Y-%m-%d", days)):
        buckets = box.trends.buckets(None, *span, step)
        assert Counter({label(each, form): each.counts.total for each in buckets if each.counts.total}) == expected
        assert [a.end_utc for a in buckets[:-1]] == [b.start_utc for b in buckets[1:]], "no moment is left out"
        assert buckets[0].start_utc <= span[0] and buckets[-1].end_utc >= span[1]
    assert of_week(box, None, span) == of_week(box, {1, 2}, span) == +week
    assert of_week(box, [1], span) + of_week(box, (2,), span) == +week
    assert not of_week(box, (), span) and not of_week(box, {7}, span)


def test_the_hour_that_clocks_show_twice_is_two(box: Store) -> None:
    cut(box, "Europe/Berlin")
    first = at("Europe/Berlin", "2026-10-25T02:00")
    for seconds in (0, 3599, 3600):
        box.detections.add(1, seen(first + seconds))
    hours = box.trends.buckets([1], first, first + 7200, Step.HOUR)
    assert [(hour.start_utc - first, hour.counts.mask) for hour in hours] == [(0, 2), (3600, 1)]
    (day,) = box.trends.buckets([1], first, first + 1, Step.DAY)
    assert (day.end_utc - day.start_utc, day.counts.mask) == (25 * 3600, 3)
    (summer,) = box.trends.buckets(
        [1], at("Europe/Berlin", "2026-03-29"), at("Europe/Berlin", "2026-03-29") + 1, Step.DAY
    )
    assert summer.end_utc - summer.start_utc == 23 * 3600


FILTERS = st.builds(
    DetectionFilter,
    st.sampled_from([None, 1, 2, 99]),
    st.sampled_from([None, State.MASK, State.UNKNOWN]),
    st.one_of(st.none(), st.integers(BEGAN, BEGAN + 3 * 86_400).map(lambda utc: utc + 0.25)),
    st.one_of(st.none(), st.integers(BEGAN, BEGAN + 3 * 86_400).map(lambda utc: utc + 0.75)),
    st.sampled_from(["", "ANN:", "lab", "nobody"]),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(filters=st.lists(FILTERS, min_size=1, max_size=20), zone=st.sampled_from(ZONES))
def test_counts_under_any_filter_are_those_of_the_rows_to_the_moment(
    empty: Store, filters: list[DetectionFilter], zone: str
) -> None:
    with copied(empty) as store:
        add_streams(store)
        cut(store, zone)
        for number in range(150):
            store.detections.add(1 + number % 2, seen(BEGAN + 1729.5 * number, STATES[number % 4]))
        for where in filters:
            assert store.trends.counts(where) == store.detections.counts(where), where


def test_streams_are_told_apart_and_nobody_is_counted_of_one_that_is_gone(box: Store) -> None:
    box.detections.add(1, seen(BEGAN))
    box.summaries.add_watched({1: 60, 2: 30}, Now(float(BEGAN), "", 0.0))
    assert box.trends.by_stream(None) == {1: Counts(mask=1), 2: Counts()}
    assert box.trends.by_stream([2, 7], BEGAN - 900, BEGAN + 900) == {2: Counts(), 7: Counts()}
    (hour,) = box.trends.buckets(None, BEGAN, BEGAN + 1, Step.HOUR)
    assert (hour.counts, hour.watched_s) == (Counts(mask=1), 90)
    assert box.trends.first_utc(None) == BEGAN // QUARTER_S * QUARTER_S
    box.streams.remove(1)
    box.streams.remove(2)
    assert (box.trends.first_utc(None), *sums(box)) == (None, {}, {}, {})


def test_sums_stay_when_minutes_are_forgotten_and_follow_what_is_corrected_then(box: Store) -> None:
    old = box.detections.add(1, seen(BEGAN))
    box.detections.add(1, seen(BEGAN))
    box.summaries.begin_epoch(Now(BEGAN + 1e7, "boot", 9.0), believed=True)
    box.summaries.note_watermarks(box.summaries.tops())
    box.summaries.forget_old(BEGAN + 9e6)
    assert box.summaries.tops() == {}
    assert box.trends.counts(DetectionFilter()) == Counts(mask=2)
    box.detections.correct_state(old, State.NO_MASK, "ann")
    assert box.trends.counts(DetectionFilter()) == Counts(mask=1, no_mask=1)
    box.detections.remove(old)
    assert box.trends.counts(DetectionFilter()) == Counts(mask=1)
    assert box.problems() == []


# Checked and put right


def test_wrong_sums_are_seen_and_counted_again(box: Store) -> None:
    box.detections.add(1, seen(BEGAN))
    box.detections.add(2, seen(BEGAN, State.NO_MASK))
    right = sums(box)
    for sql, problems in (
        ("update quarters set mask = 9 where stream_id = 1", 1),
        ("delete from quarters", 3),  # hours and days know of them yet
        ("update days set mask = mask + 1", 1),
        ("delete from days", 1),
        ("update hours set unknown = unknown + 1", 1),
        ("delete from hours", 1),
        ("insert into quarters (stream_id, start_utc, watched_s) values (1, 900, 5)", 1),
    ):
        box.db.execute(sql)
        assert len(box.problems()) == problems, sql
        with box.writing():
            box.trends.recount()
        assert box.problems() == [], sql
        assert sums(box) == right, sql


def test_whoever_is_recorded_and_not_counted_is_seen_also_where_minutes_were_forgotten(box: Store) -> None:
    box.detections.add(1, seen(BEGAN))
    box.summaries.begin_epoch(Now(BEGAN + 1e7, "boot", 9.0), believed=True)
    box.summaries.forget_old(BEGAN + 9e6)
    box.db.execute("delete from quarters")
    assert len(box.problems()) == 3
    with box.writing():
        assert box.trends.recount().quarters == 1
    assert box.problems() == []
    assert box.trends.counts(DetectionFilter()) == Counts(mask=1)


def test_an_upgrade_adds_up_what_is_recorded(tmp_path: Path) -> None:
    path = tmp_path / "mb9k.db"
    connection = sqlite3.connect(path)
    old = Database(connection)
    accounts_migrations.apply(old)
    migrations.apply(old, stop_before=("m014_trends",))
    before = Store(connection)
    add_streams(before)
    for number in range(100):
        before.detections.add(1 + number % 2, seen(BEGAN + 777 * number, STATES[number % 4]))
    before.summaries.add_watched({1: 60}, Now(float(BEGAN), "", 0.0))
    before.close()
    with closing(Store.open(path)) as store:
        watched = Counter({(1, BEGAN // 60 * 60): 60})
        assert sums(store) == expected(store, watched, "UTC")
        assert store.problems() == []


def test_a_stream_that_is_being_deleted_is_in_no_sum_of_all(box: Store) -> None:
    for stream_id in (1, 2):
        box.detections.add(stream_id, seen(BEGAN))
    span = BEGAN - 2 * 86_400.0, BEGAN + 2 * 86_400.0
    assert of_week(box, None, span).total() == 2
    receipt_id = box.receipts.add(Kind.STREAM, "ann:lab", "ann", Deleted(0, 0, 0, "0" * 64), BEGAN)
    box.deletions.begin(2, receipt_id)
    assert of_week(box, None, span).total() == 1
    assert sum(day.counts.total for day in box.trends.buckets(None, *span, Step.DAY)) == 1
    assert box.trends.by_stream(None) == {1: Counts(mask=1)}


def test_a_box_from_before_its_hours_were_summed_up_has_them() -> None:
    db = Database(memory=True)
    accounts_migrations.apply(db)
    migrations.apply(db, stop_before="m027_box_hours")
    store = Store(db.conn)
    add_streams(store)
    for number in range(40):
        store.detections.add(1 + number % 2, seen(BEGAN + 1729.5 * number, STATES[number % 4]))
    migrations.apply(db)
    store.detections.add(1, seen(BEGAN))
    assert [sentence for question, sentence in INVARIANTS if store.db.execute(question).fetchone()[0]] == []
    (persons,) = store.db.execute("select sum(mask + no_mask + incorrect + unknown) from box_hours").fetchone()
    assert persons == 41


def test_nothing_is_left_of_an_hour_that_counts_nobody_any_more(box: Store) -> None:
    box.detections.add(1, seen(BEGAN))
    box.detections.add(2, seen(BEGAN))
    box.db.execute("delete from streams where id = 1")
    assert [row["mask"] for row in box.db.execute("select mask from box_hours")] == [1]
    box.db.execute("delete from streams where id = 2")
    assert not box.db.execute("select * from box_hours").fetchall()
    box.db.execute("insert into box_hours (hour, mask) values (1, 7)")
    assert [said for said in box.problems() if "the whole box" in said]
    box.trends.recount()
    assert box.problems() == []


@pytest.mark.parametrize(
    ("damage", "said", "noted"),
    [
        ("delete from box_hours where hour = (select min(hour) from hours)", "1 hour was added up again", (1, 0)),
        ("update box_hours set mask = mask + 1", "2 hours were added up again", (2, 0)),
        ("update hours set mask = mask + 1 where stream_id = 2", "1 hour was added up again", (1, 0)),
        ("update days set mask = mask + 1 where stream_id = 1", "1 day was added up again", (0, 1)),
    ],
)
def test_a_repair_says_and_enters_also_that_hours_or_days_were_added_up_again(
    box: Store, damage: str, said: str, noted: tuple[int, int]
) -> None:
    box.detections.add(1, seen(BEGAN))
    box.detections.add(2, seen(BEGAN + 3600))
    assert repair_sums(box) is None
    box.db.execute(damage)
    assert repair_sums(box) == said
    assert box.problems() == []
    (entry, _words), *others = found(box.audit, Search())
    assert others == []
    assert entry.action == Action.SUMS_REPAIRED
    details = json.loads(entry.details)
    assert (details["hours"], details["days"]) == noted
