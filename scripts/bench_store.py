"""The store's figures: what pages and services ask, at 300,000 detections, beside the form the question had before."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from appliance.accounts.people import Role
from appliance.faces import Detection, State
from appliance.secrets import digest
from appliance.store import DetectionFilter, Step, Store, StoredImage
from appliance.times import Now, utc_text

ROWS, DAYS, STREAMS = 300_000, 30, 10
END = Now(utc=1_795_521_600.0, boot_id="boot", uptime_s=1000.0)
BIG, EMPTY = 1, STREAMS
REPEATS, BATCH = 9, 50
SEEN = Detection(END.utc, END.utc + 2, State.MASK, 0.9, 7, (10, 20, 60, 80), 640, 360, "bench")

INDEXES_BEFORE = """
    drop index detections_stream_seen; drop index detections_stream_state_seen;
    drop index detections_stream_last; drop index detections_stream_image;
    create index detections_stream on detections (stream_id, id);
    create index detections_state on detections (state, id);
    create index detections_seen on detections (first_seen_utc, state, stream_id);
    create index detections_image_day on detections (image_day) where image_day is not null;
"""
WITHOUT_SUMS = """
    drop trigger detections_counted; drop trigger detections_counted_out; drop trigger detections_recounted;
"""
SELECT_BEFORE = """
    select detections.*, people.name || ':' || streams.name, owner_id
    from detections join streams on streams.id = detections.stream_id join people on people.id = owner_id
"""
WHERE_BEFORE = """
    where (:stream_id is null or detections.stream_id = :stream_id) and (:state is null or state = :state)
      and (:since is null or first_seen_utc >= :since) and (:until is null or first_seen_utc < :until)
      and (:search = '' or instr(lower(people.name || ':' || streams.name), lower(:search)))
"""
PAGE_BEFORE = (
    f"{SELECT_BEFORE} {WHERE_BEFORE} and (:before is null or detections.id < :before) order by id desc limit 50"
)
COUNTS_BEFORE = "select state, count(*) from detections"
NOTHING = {"stream_id": None, "state": None, "since": None, "until": None, "search": "", "before": None}
DAY, WEEK = END.utc - 86400, END.utc - 7 * 86400

Ask = Callable[[Store], object]


def before(sql: str, **parameters: object) -> Ask:
    """The question in its older form."""
    return lambda store: store.db.execute(sql, NOTHING | parameters).fetchall()


def page(where: DetectionFilter, before_id: int | None = None) -> Ask:
    """A page of the detections."""
    return lambda store: store.detections.page(where, before_id)


def counts(**fields: float) -> Ask:
    """The figures above a list."""
    return lambda store: store.trends.counts(DetectionFilter(**fields))  # type: ignore[arg-type]


QUESTIONS: dict[str, tuple[Ask, Ask]] = {
    "the newest page": (page(DetectionFilter()), before(PAGE_BEFORE)),
    "a page in the middle": (page(DetectionFilter(), ROWS // 2), before(PAGE_BEFORE, before=ROWS // 2)),
    "the oldest page": (page(DetectionFilter(), 51), before(PAGE_BEFORE, before=51)),
    "a page of an empty stream": (page(DetectionFilter(EMPTY)), before(PAGE_BEFORE, stream_id=EMPTY)),
    "a page of a rare state": (page(DetectionFilter(None, State.INCORRECT)), before(PAGE_BEFORE, state="incorrect")),
    "a page of a state a stream has not": (
        page(DetectionFilter(2, State.NO_MASK)),
        before(PAGE_BEFORE, stream_id=2, state="no_mask"),
    ),
    "a page since tomorrow": (
        page(DetectionFilter(since_utc=END.utc + 86400)),
        before(PAGE_BEFORE, since=utc_text(END.utc + 86400)),
    ),
    "a page until a week ago": (
        page(DetectionFilter(until_utc=WEEK)),
        before(PAGE_BEFORE, until=utc_text(WEEK)),
    ),
    "a page of a title": (page(DetectionFilter(search="stream 9")), before(PAGE_BEFORE, search="stream 9")),
    "a page of no title": (page(DetectionFilter(search="nobody")), before(PAGE_BEFORE, search="nobody")),
    "who may still be in view": (
        lambda store: store.detections.open_since(BIG, END.utc - 10),
        before(f"{SELECT_BEFORE} where detections.stream_id = :stream_id and last_seen_utc >= :since order by id",
               stream_id=BIG, since=utc_text(END.utc - 10)),
    ),
    "the latest image": (
        lambda store: store.detections.latest_with_image(),
        before(f"{SELECT_BEFORE} {WHERE_BEFORE} and image_token is not null order by id desc limit 1"),
    ),
    "counts of a day": (
        counts(since_utc=DAY),
        before(f"{COUNTS_BEFORE} where first_seen_utc >= :since group by +state", since=utc_text(DAY)),
    ),
    "counts of a stream's day": (
        counts(stream_id=BIG, since_utc=DAY),
        before(f"{COUNTS_BEFORE} where stream_id = :stream_id and first_seen_utc >= :since group by +state",
               stream_id=BIG, since=utc_text(DAY)),
    ),
    "counts of an empty stream": (
        counts(stream_id=EMPTY),
        before(f"{COUNTS_BEFORE} where stream_id = :stream_id group by +state", stream_id=EMPTY),
    ),
    "counts of a week (70,000)": (
        counts(since_utc=WEEK),
        before(f"{COUNTS_BEFORE} where first_seen_utc >= :since group by +state", since=utc_text(WEEK)),
    ),
    "counts of all (300,000)": (counts(), before(f"{COUNTS_BEFORE} group by state")),
    "counts by the hour, a day": (
        lambda store: store.trends.buckets(None, DAY, END.utc, Step.HOUR),
        before("select substr(first_seen_utc, 1, 13), state, count(*) from detections where first_seen_utc >= :since"
               " group by 1, 2", since=utc_text(DAY)),
    ),
}  # fmt: skip


def store() -> None:
    """Milliseconds of the processor, the smallest of REPEATS, so that a busy machine says the same.

    Ours make the rows into values, the old form only fetches them.
    """
    with tempfile.TemporaryDirectory() as folder:
        now, then, plain = (Path(folder) / name for name in ("now.db", "before.db", "plain.db"))
        with contextlib.closing(Store.open(now)) as filled:
            _fill(filled)
        shutil.copy(now, then)
        shutil.copy(now, plain)
        with contextlib.closing(Store.open(now)) as ours, contextlib.closing(Store.open(then)) as theirs:
            theirs.db.executescript(INDEXES_BEFORE)
            print(f"  {f'at {ROWS:,} detections of {STREAMS} streams':42} {'now':>8} {'before':>9}")
            for name, (ask, ask_before) in QUESTIONS.items():
                print(f"  {name:42} {_ms(ours, ask):5.2f} ms {_ms(theirs, ask_before):6.1f} ms")
            writes = [_writes_ms(store) for _ in range(REPEATS) for store in (ours, theirs)]
            for number, name in enumerate((f"{BATCH} inserts, one transaction", f"{BATCH} updates, one transaction")):
                figures = [min(each[number] for each in writes[first::2]) for first in (0, 1)]
                print(f"  {name:42} {figures[0]:5.2f} ms {figures[1]:6.1f} ms")
        _print_cost_of_sums(now, plain)
        size, size_before = _vacuumed_bytes(now), _vacuumed_bytes(then)
        print(f"  {'size of the file, vacuumed':42} {size / 1e6:5.0f} MB {size_before / 1e6:6.0f} MB")


def _print_cost_of_sums(path: Path, plain: Path) -> None:
    """What the triggers cost that keep the sums by the minute, beside the same store without them."""
    with contextlib.closing(Store.open(path)) as ours, contextlib.closing(Store.open(plain)) as theirs:
        ours.summaries.begin_epoch(END, believed=True)
        theirs.db.executescript(WITHOUT_SUMS)
        begun_s = time.process_time()
        ours.problems()
        check_ms = (time.process_time() - begun_s) * 1000
        writes = [_writes_ms(store)[0] for _ in range(REPEATS) for store in (ours, theirs)]
        name = f"{BATCH} inserts with sums, and without"
        print(f"  {name:42} {min(writes[::2]):5.2f} ms {min(writes[1::2]):6.1f} ms")
        print(f"  {'what `mb9k check` asks of the store':42} {check_ms:5.0f} ms")


def _fill(store: Store) -> None:
    """Thirty days: six of ten persons pass stream 1, INCORRECT is rare, UNKNOWN is never, every second has an image."""
    store.people.add("dev", "hash", Role.ADMIN, END.utc)
    for number in range(STREAMS):
        store.streams.add_with_key(1, f"stream {number + 1}", digest(f"{number}"), END.utc)
    with store.writing():
        for number in range(ROWS):
            seen_utc = END.utc - DAYS * 86400 * (1 - number / ROWS)
            stream_id = BIG if number % 10 < 6 else 2 + number % (STREAMS - 2)
            state = State.NO_MASK if number % 7 == 0 and stream_id != 2 else State.MASK
            state = State.INCORRECT if number in (7, ROWS // 2) else state
            seen = replace(SEEN, first_seen_utc=seen_utc, last_seen_utc=seen_utc + 2, state=state)
            image = StoredImage(utc_text(seen_utc)[:10], number, 20_000, digest(f"{number}")[:43])
            store.detections.add(stream_id, seen, image if number % 2 and stream_id != 2 else None)


def _ms(store: Store, ask: Ask) -> float:
    ask(store)
    times = []
    for _ in range(REPEATS):
        begun_s = time.process_time()
        ask(store)
        times.append((time.process_time() - begun_s) * 1000)
    return min(times)


def _writes_ms(store: Store) -> tuple[float, float]:
    """To insert BATCH detections with images, and then to update them; each is one transaction, commit included."""
    begun_s = time.process_time()
    with store.writing():
        ids = [
            store.detections.add(1 + number % 4, SEEN, StoredImage("20261124", 1, 1, digest(f"{time.time_ns()}")))
            for number in range(BATCH)
        ]
    inserted_s = time.process_time()
    with store.writing():
        for detection_id in ids:
            store.detections.update(detection_id, replace(SEEN, last_seen_utc=END.utc + 4))
    return (inserted_s - begun_s) * 1000, (time.process_time() - inserted_s) * 1000


def _vacuumed_bytes(path: Path) -> int:
    with contextlib.closing(Store.open(path)) as store:
        store.db.conn.execute("vacuum")
    return path.stat().st_size
