"""No statement that is run often reads a whole table that grows, whatever is asked for.

The statements are those that the methods run, on a filled store: SQLite is asked for its plan of each, and how many
steps it took (which, unlike milliseconds, are the same on every machine).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from appliance.accounts.people import Role
from appliance.faces import Counts, Detection, State
from appliance.secrets import digest
from appliance.store import Bucket, DetectionFilter, PictureKind, Step, Store, StoredImage, StoredPicture
from appliance.times import Now

NOW = Now(utc=1_795_521_600.0, boot_id="boot-1", uptime_s=1000.0)
ROWS, STREAMS = 20_000, 8
BIG, EMPTY = 1, STREAMS
SCENE = StoredPicture("20261124", 0, 1, "scene", PictureKind.SCENE, NOW.utc, (0.1, 0.1, 0.2, 0.2), crc32=1)
EPOCH = [""]  # of the filled store
SMALL = {"streams", "people", "services", "watch", "stream_status", "refusals", "epochs", "stream_numbers"}
SMALL |= {"time_zone", "zone_offsets", "json_each"}
"""What people make by hand, one row a service or a start, the newest 1000 refusals, and when a zone's clocks change.
Everything else grows."""
STEPS = 10_000
"""Of SQLite's machine. A page of 50 takes at most 4,000; to count all the rows, the fewest it can be, 60,000."""


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """A person every 30 s for a week; stream 1 sees half of them, stream 8 none; INCORRECT is rare, UNKNOWN never."""
    store = Store.in_memory()
    store.people.add("dev", "hash", Role.ADMIN, NOW.utc)
    store.people.add_session(digest("session"), 1, "csrf", NOW.utc)
    store.people.add_token(1, "program", digest("token"), NOW.utc, NOW.utc + 86400)
    store.people.remember_device(digest("device"), 1, NOW.utc)
    store.services.heartbeat("watch", 1, NOW.utc, None, NOW)
    store.summaries.begin_epoch(NOW, believed=True)
    for number in range(STREAMS):
        store.streams.add_with_key(1, f"stream {number + 1}", digest(f"key {number + 1}"), NOW.utc)
    with store.writing():
        for number in range(ROWS):
            seen_utc = NOW.utc - 30 * (ROWS - number)
            state = State.INCORRECT if number in (7, 9000) else State.NO_MASK if number % 9 == 0 else State.MASK
            seen = Detection(seen_utc, seen_utc + 2, state, 0.9, 7, (1, 2, 3, 4), 640, 360, "test")
            image = StoredImage("20261124", number, 1, f"image {number}") if number < 100 else None
            store.detections.add(BIG if number % 2 else 2 + number % (STREAMS - 2), seen, image)
        (EPOCH[0],) = store.summaries.tops()
        store.summaries.note_watermarks({EPOCH[0]: ROWS - 500})
    yield store
    store.close()


def plans(store: Store, ask: Callable[..., object], *arguments: object) -> Iterator[tuple[str, str]]:
    """(a step of SQLite's plan, the statement) of every statement that is run to answer."""
    statements: list[tuple[str, Any]] = []
    with store.db.tracer(lambda sql, parameters: statements.append((sql, parameters))):
        ask(store, *arguments)
    assert statements
    for sql, parameters in statements:
        for *_, step in store.db.conn.execute(f"explain query plan {sql}", parameters or ()):
            yield step, sql


def scans(store: Store, ask: Callable[..., object], *arguments: object) -> list[tuple[str, str]]:
    """The steps that read all of a table that grows. Rows of a subquery are those that its own steps have found."""
    found = [(step, sql) for step, sql in plans(store, ask, *arguments) if not step.startswith("SCAN (subquery")]
    return [(step, sql) for step, sql in found if step.startswith("SCAN") and step.split()[1] not in SMALL]


def steps(store: Store, ask: Callable[..., object], *arguments: object) -> int:
    """How many steps of SQLite's machine it takes to answer, rounded down to thousands."""
    taken = itertools.count()
    store.db.conn.set_progress_handler(lambda: next(taken) and None, 1000)
    ask(store, *arguments)
    store.db.conn.set_progress_handler(None, 0)
    return next(taken) * 1000


def filters() -> Iterator[DetectionFilter]:
    """Every combination of what can be asked for: nothing, much, little and what there is none of."""
    yield from (
        DetectionFilter(stream_id, state, since_utc, until_utc, search)
        for stream_id in (None, BIG, EMPTY, 999)
        for state in (None, State.MASK, State.INCORRECT, State.UNKNOWN)
        for since_utc in (None, NOW.utc - 86400, NOW.utc + 86400)
        for until_utc in (None, NOW.utc - 86400 + 60, NOW.utc - 9 * 86400)
        for search in ("", "DEV:", "stream 8", "nobody")
    )
    yield from (
        DetectionFilter(stream_id, state, since_utc, reviewed=reviewed)
        for stream_id in (None, BIG)
        for state in (None, State.MASK, State.INCORRECT)
        for since_utc in (None, NOW.utc - 86400)
        for reviewed in (True, False)
    )


def counts(store: Store, where: DetectionFilter) -> Counts:
    """What the pages show above a list."""
    return store.trends.counts(where)


def rows_counted(store: Store, where: DetectionFilter) -> Counts:
    """What is left to count row by row."""
    return store.detections.counts(where)


def hours(store: Store, since_utc: float) -> list[Bucket]:
    """What the chart shows."""
    return store.trends.buckets(None, since_utc, NOW.utc, Step.HOUR)


PAGES: dict[str, Callable[[Store, DetectionFilter], object]] = {
    "newest": lambda store, where: store.detections.page(where),
    "in the middle": lambda store, where: store.detections.page(where, before_id=ROWS // 2),
    "oldest": lambda store, where: store.detections.page(where, before_id=30),
    "after the oldest": lambda store, where: store.detections.page_after(where, after_id=1),
    "back from the middle": lambda store, where: store.detections.page_after(where, after_id=ROWS // 2),
    "while it stays": lambda store, where: store.detections.page(where, up_to_id=ROWS - 500),
    "what is newer": lambda store, where: store.detections.newer(where, ROWS - 500),
    "after the newest": lambda store, where: store.detections.page_after(where, after_id=ROWS),
}

OFTEN: dict[str, Callable[[Store], object]] = {
    "one detection": lambda store: store.detections.get(5),
    "an image's detection": lambda store: store.detections.with_image("image 5"),
    "the latest image": lambda store: store.detections.latest_with_image(),
    "how many images a stream has": lambda store: store.detections.count_images(EMPTY),
    "who may still be in view": lambda store: store.detections.open_since(BIG, NOW.utc - 10),
    "a day of images is forgotten": lambda store: store.detections.forget_images("20200101"),
    "a detection is updated": lambda store: store.detections.update(
        5, Detection(NOW.utc, NOW.utc, State.MASK, 0.9, 7, (1, 2, 3, 4), 640, 360, "test")
    ),
    "a detection gets an image": lambda store: store.detections.set_image(5, None),
    "a state is corrected": lambda store: store.detections.correct_state(5, State.MASK, "dev"),
    "a detection is reviewed": lambda store: store.detections.review(5, "dev", NOW.utc),
    "what is kept beside an image": lambda store: store.pictures.of(5),
    "a picture's detection": lambda store: store.pictures.with_token("picture 5"),
    "a picture is kept": lambda store: store.pictures.add(5, SCENE),
    "a detection is removed": lambda store: store.detections.remove(ROWS // 3),
    "a detection comes": lambda store: store.detections.add(
        1, Detection(NOW.utc, NOW.utc, State.MASK, 0.9, 7, (1, 2, 3, 4), 640, 360, "test")
    ),
    "an epoch begins": lambda store: store.summaries.begin_epoch(NOW, believed=False),
    "the clock is followed": lambda store: store.summaries.follow_clock(NOW, believed=True),
    "whether the clock is to be corrected": lambda store: store.summaries.is_to_be_corrected(NOW),
    "a clock that needs no correction": lambda store: store.summaries.correct_clock(NOW),
    "a minute was watched": lambda store: store.summaries.add_watched({1: 60, 2: 60}, NOW),
    "nothing to forget": lambda store: store.summaries.forget_old(NOW.utc - 100 * 86400),
    "the newest epoch": lambda store: store.summaries.newest_epoch(),
    "tops": lambda store: store.summaries.tops(),
    "what is behind": lambda store: store.summaries.behind(9),
    "rows to tell": lambda store: store.summaries.range_after(EPOCH[0], 10, 50),
    "the newest rows to tell": lambda store: store.summaries.newest_rows(NOW.utc - 600, 50),
    "a watermark": lambda store: store.summaries.note_watermarks({EPOCH[0]: ROWS - 400}),
    "the backlog": lambda store: store.summaries.backlog(),
    "the numbers of streams": lambda store: store.summaries.streams(),
    "sums of days": lambda store: store.trends.buckets(None, NOW.utc - 9 * 86400, NOW.utc, Step.DAY),
    "sums of streams": lambda store: store.trends.by_stream([BIG, EMPTY], NOW.utc - 86400),
    "when the sums begin": lambda store: store.trends.first_utc(None),
    "the fleet's status": lambda store: store.fleet.status(),
    "a command": lambda store: store.fleet.command("0123456789abcdef"),
    "the streams": lambda store: store.streams.all(NOW),
    "the streams of others": lambda store: store.streams.of_others(1),
    "the streams of an owner": lambda store: store.streams.all(NOW, owner_id=1),
    "the streams of a title": lambda store: store.streams.all(NOW, search="stream 3"),
    "one stream": lambda store: store.streams.get(3, NOW),
    "the stream of a key": lambda store: store.streams.with_key(digest("key 3"), NOW),
    "active keys": lambda store: store.streams.active_keys(),
    "active sources": lambda store: store.streams.active_sources(),
    "stream ids": lambda store: store.streams.ids(),
    "a stream's problem": lambda store: store.streams.set_problem(1, None),
    "a refusal": lambda store: store.streams.add_refusal("10.0.0.9", "publish", "unknown key", 1, NOW.utc),
    "the refusals": lambda store: store.streams.refusals(),
    "a heartbeat": lambda store: store.services.heartbeat("watch", 1, NOW.utc, None, NOW),
    "the services": lambda store: store.services.all(NOW),
    "a session": lambda store: store.people.session(digest("session")),
    "a session is used": lambda store: store.people.touch_session(digest("session"), NOW.utc),
    "a token": lambda store: store.people.token(digest("token")),
    "a token is used": lambda store: store.people.touch_token(digest("token"), NOW.utc),
    "a person's tokens": lambda store: store.people.tokens(1),
    "a device": lambda store: store.people.knows_device(digest("device"), NOW.utc, 1),
    "whose device": lambda store: store.people.knows_device(digest("device"), NOW.utc),
    "a device is remembered": lambda store: store.people.remember_device(digest("device"), 1, NOW.utc),
}


@pytest.mark.parametrize("name", OFTEN)
def test_what_is_asked_often_is_answered_by_an_index(store: Store, name: str) -> None:
    store.db.conn.execute("begin")
    try:
        assert scans(store, OFTEN[name]) == []
        assert steps(store, OFTEN[name]) < STEPS
    finally:
        store.db.rollback()


@pytest.mark.parametrize("name", PAGES)
def test_every_page_of_every_filter_is_answered_by_an_index(store: Store, name: str) -> None:
    for where in filters():
        assert scans(store, PAGES[name], where) == [], where
        assert steps(store, PAGES[name], where) < STEPS, where


def test_counts_of_every_filter_are_answered_by_an_index_alone(store: Store) -> None:
    for where in filters():
        read = [step for step, _ in plans(store, rows_counted, where) if "detections" in step]
        alone = ["SEARCH detections USING COVERING INDEX"]
        alone += ["SEARCH detections USING INDEX detections_stream_state_reviewed"]  # of the few that it holds
        assert read and all(step.startswith(tuple(alone)) for step in read), where


def test_the_counts_of_a_day_read_that_day_only(store: Store) -> None:
    a_day = NOW.utc - 86400
    assert sum(hour.counts.total for hour in hours(store, a_day)) == 2880
    assert scans(store, hours, a_day) == []
    assert steps(store, hours, a_day) < 3 * STEPS, "96 quarters of 7 streams are added up"
    assert steps(store, rows_counted, DetectionFilter(BIG, since_utc=a_day)) < 2 * STEPS


def test_counts_of_every_filter_are_read_from_the_sums(store: Store) -> None:
    for where in filters():
        assert scans(store, counts, where) == [], where
        assert steps(store, counts, where) < STEPS, where
