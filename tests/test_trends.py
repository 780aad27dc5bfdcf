"""Sums by quarters, hours and days in the zone of the box: real SQLite, compared with counting the rows in Python."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from datetime import date, datetime
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.faces import Counts, State
from appliance.store import Store
from appliance.store.database import INVARIANTS
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


def stored(store: Store, table: str) -> dict[Key, tuple[int, ...]]:
    """A table of sums, as it is stored: nothing in it is 0 throughout."""
    return {(row[0], row[1]): tuple(row)[2:] for row in store.db.execute(f"select * from {table}")}


def expected(
    store: Store, watched: Counter[Key], zone: str
) -> tuple[dict[Key, tuple[int, ...]], dict[Key, tuple[int, ...]]]:
    """Quarters and days, from the rows and by Python's own time zones."""
    quarters: dict[Key, list[int]] = {}
    for (stream, start), seconds in watched.items():
        quarters.setdefault((stream, int(start // QUARTER_S * QUARTER_S)), [0] * 5)[0] += seconds
    for stream, first_seen, state in rows_of(store):
        sums = quarters.setdefault((stream, int(first_seen // QUARTER_S * QUARTER_S)), [0] * 5)
        sums[COLUMNS.index(state)] += 1
    days: dict[Key, list[int]] = {}
    for (stream, start), sums in quarters.items():
        day = (datetime.fromtimestamp(start, ZoneInfo(zone)).date() - date(1970, 1, 1)).days
        days[stream, day] = [a + b for a, b in zip(days.get((stream, day), [0] * 5), sums, strict=True)]
    return (
        {key: tuple(sums) for key, sums in quarters.items() if any(sums)},
        {key: tuple(sums) for key, sums in days.items() if any(sums)},
    )


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


@settings(max_examples=120, deadline=None, derandomize=True)
@given(STEPS, st.sampled_from(ZONES))
def test_in_any_order_of_edits_sums_are_those_of_counting_the_rows(steps: list[tuple[object, ...]], zone: str) -> None:
    with closing(Store.in_memory()) as store:
        life = Life(store)
        for what, *of in [*steps, ("zone", zone)]:
            life.step("zone_" if what == "zone" else str(what), *of)
        assert (stored(store, "quarters"), stored(store, "days")) == expected(store, life.watched, life.zone)
        assert [sentence for question, sentence in INVARIANTS if store.db.execute(question).fetchone()[0]] == []
