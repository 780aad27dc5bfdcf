"""The sums that a centre is told: kept with the detections, moved with the clock, told until they are acknowledged."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlite_utils import Database

from appliance.accounts.people import Role
from appliance.accounts.schema import migrations as accounts_migrations
from appliance.errors import InputError
from appliance.faces import Detection, State
from appliance.messages import Row
from appliance.store import BY_HAND, Backlog, DetectionFilter, EpochState, Store
from appliance.store.backup import copy, restore, start_empty
from appliance.store.schema import migrations as box_migrations
from appliance.store.soundness import missing_parts
from appliance.times import Now, utc_text
from tests.conftest import REPOSITORY
from tests.test_database import WRONG_SUMS

AT = 1_795_521_600  # a full hour
NOW = Now(utc=AT + 30.5, boot_id="boot-1", uptime_s=1000.0)
SEEN = Detection(AT + 20.0, AT + 25.0, State.MASK, 0.9, 7, (10, 20, 60, 80), 640, 360, "a model")
DAY_S = 86400


def later(seconds: float, leap_s: float = 0) -> Now:
    """NOW, so long after; leap_s: by how much the wall clock was set meanwhile."""
    return Now(NOW.utc + seconds + leap_s, NOW.boot_id, NOW.uptime_s + seconds)


def seen(at_utc: float, state: State = State.MASK, by_hand: bool = False) -> Detection:
    model = f"{BY_HAND} ann" if by_hand else "a model"
    return replace(SEEN, first_seen_utc=at_utc, last_seen_utc=at_utc + 5, state=state, model=model)


def add_streams(store: Store) -> None:
    store.people.add("ann", "hash", Role.ADMIN, AT)
    store.streams.add_with_key(1, "door", "digest 1", AT)
    store.streams.add_with_key(1, "lab", "digest 2", AT)


@pytest.fixture
def box(store: Store) -> Store:
    """Two streams, `door` (1) and `lab` (2), and an epoch whose clock is believed."""
    add_streams(store)
    store.summaries.begin_epoch(NOW, believed=True)
    return store


def told(store: Store) -> list[Row]:
    """Every row, by when its minute began and the stream."""
    rows = [row for epoch in store.summaries.tops() for row in store.summaries.range_after(epoch, 0, 10**6)[0]]
    return sorted(rows, key=lambda row: (row.start_utc, row.stream, row.seq))


def sums(store: Store) -> dict[tuple[int, int], tuple[int, int, int, int, int]]:
    """Over all epochs: (stream, when the minute began): (mask, ..., unknown, watched_s); no zeros."""
    found: dict[tuple[int, int], tuple[int, int, int, int, int]] = {}
    for row in told(store):
        before = found.get((row.stream, row.start_utc), (0, 0, 0, 0, 0))
        added = (row.mask, row.no_mask, row.incorrect, row.unknown, row.watched_s)
        found[row.stream, row.start_utc] = tuple(map(sum, zip(before, added, strict=True)))  # type: ignore[assignment]
    return {key: values for key, values in found.items() if any(values)}


# Kept with the detections


def test_a_detection_is_counted_in_the_minute_it_was_first_seen_in(box: Store) -> None:
    epoch = box.summaries.newest_epoch()
    for at_utc, state in (
        (AT, State.MASK),
        (AT + 59.999, State.NO_MASK),
        (AT + 60, State.MASK),
        (AT - 0.001, State.MASK),
    ):
        box.detections.add(1, seen(at_utc, state))
    box.detections.add(2, seen(AT + 3, State.INCORRECT))
    assert told(box) == [
        Row(stream=1, minute=-1, start_utc=AT - 60, seq=4, mask=1),
        Row(stream=1, minute=0, start_utc=AT, seq=2, mask=1, no_mask=1),
        Row(stream=2, minute=0, start_utc=AT, seq=5, incorrect=1),
        Row(stream=1, minute=1, start_utc=AT + 60, seq=3, mask=1),
    ]
    assert box.summaries.tops() == {epoch: 5}


def test_what_is_edited_and_deleted_changes_its_sums_and_nothing_else_does(box: Store) -> None:
    first, second = box.detections.add(1, seen(AT)), box.detections.add(1, seen(AT))
    before = told(box)
    box.detections.update(first, replace(seen(AT), last_seen_utc=AT + 50.0, votes=9))
    box.detections.set_image(first, None)
    box.detections.correct_state(first, State.MASK, "ann")
    assert told(box) == before, "the state is as it was"
    box.detections.correct_state(first, State.UNKNOWN, "ann")
    box.detections.update(second, seen(AT, State.NO_MASK))
    assert sums(box) == {(1, AT): (0, 1, 0, 1, 0)}
    box.detections.remove(second)
    assert sums(box) == {(1, AT): (0, 0, 0, 1, 0)}
    box.streams.remove(1)
    assert sums(box) == {}
    assert box.problems() == []


def test_after_a_start_what_was_counted_before_is_counted_out_in_the_new_epoch(box: Store) -> None:
    old = box.summaries.newest_epoch()
    detection_id = box.detections.add(1, seen(AT - 3600))
    assert old
    before = box.summaries.range_after(old, 0, 10)
    new = box.summaries.begin_epoch(later(120), believed=True)
    box.detections.correct_state(detection_id, State.NO_MASK, "ann")
    assert box.summaries.range_after(old, 0, 10) == before
    assert box.summaries.range_after(new, 0, 10) == (
        [Row(stream=1, minute=-62, start_utc=AT - 3600, seq=2, mask=-1, no_mask=1)],
        2,
    )
    assert list(box.summaries.tops()) == [new, old]


def test_a_stream_that_gets_the_id_of_one_that_was_deleted_has_another_number(box: Store) -> None:
    box.detections.add(2, seen(AT))
    box.streams.remove(2)
    assert box.streams.add_with_key(1, "yard", "digest 3", AT) == 2
    box.detections.add(2, seen(AT))
    box.streams.rename(1, "gate")
    assert box.summaries.streams() == {1: "gate", 3: "yard"}
    assert sums(box) == {(3, AT): (1, 0, 0, 0, 0)}
    assert box.problems() == []


@pytest.mark.parametrize(
    "trigger", ["streams_numbered", "detections_counted", "detections_counted_out", "detections_recounted"]
)
def test_without_one_of_its_triggers_a_store_is_seen_to_count_wrong(store: Store, trigger: str) -> None:
    assert missing_parts(store.db) == []
    store.db.execute(f"drop trigger {trigger}")
    assert missing_parts(store.db) == [f"the trigger {trigger}"]
    add_streams(store)
    try:
        ids = [store.detections.add(1, seen(AT + 60 * number)) for number in range(3)]
    except sqlite3.IntegrityError:
        assert trigger == "streams_numbered"
        return
    store.detections.correct_state(ids[0], State.UNKNOWN, "ann")
    store.detections.remove(ids[1])
    assert store.problems() == [WRONG_SUMS]


def test_a_cascade_that_counts_nobody_out_is_noticed(box: Store) -> None:
    box.detections.add(1, seen(AT))
    box.db.execute("drop trigger detections_counted_out")
    box.streams.remove(1)
    assert box.problems() == [WRONG_SUMS]


def test_wrong_sums_are_counted_again_in_the_newest_epoch(box: Store) -> None:
    find = "select sql from sqlite_schema where name = 'detections_counted_out'"
    (trigger,) = box.db.execute(find).fetchone()
    for number in range(3):
        box.detections.add(1, seen(AT + 60 * number))
    box.detections.add(2, seen(AT, State.NO_MASK))
    box.summaries.add_watched({1: 60}, NOW)
    box.summaries.note_watermarks(box.summaries.tops())
    box.db.execute("drop trigger detections_counted_out")
    box.detections.remove(2)
    box.streams.remove(2)
    box.db.execute(trigger)
    assert box.problems() == [WRONG_SUMS]
    old = box.summaries.newest_epoch()
    new = box.summaries.begin_epoch(later(60), believed=True)
    assert box.summaries.recount() == 2
    assert box.problems() == []
    assert sums(box) == {(1, AT): (1, 0, 0, 0, 60), (1, AT + 120): (1, 0, 0, 0, 0)}
    assert old and box.summaries.behind(9) == [EpochState(new, 2, 0)], "the old epoch stays as the centre has it"
    assert box.summaries.recount() == 0


def test_sums_are_not_counted_again_by_a_clock_that_may_be_wrong(box: Store) -> None:
    box.summaries.begin_epoch(later(60), believed=False)
    box.detections.add(1, seen(AT))
    box.db.execute("update summaries set mask = mask + 1")
    with pytest.raises(InputError, match="clock"):
        box.summaries.recount()
    box.summaries.correct_clock(later(90))
    assert box.summaries.recount() == 1
    assert box.problems() == []


def test_a_transaction_that_is_taken_back_leaves_no_sum(box: Store) -> None:
    box.detections.add(1, seen(AT))
    before = told(box), box.summaries.tops()
    with pytest.raises(KeyError), box.writing():
        box.detections.add(1, seen(AT))
        box.detections.remove(1)
        box.summaries.add_watched({1: 60}, NOW)
        raise KeyError
    assert (told(box), box.summaries.tops()) == before


# How long it was watched


def test_a_minute_in_which_nobody_passed_is_a_row_and_one_that_nobody_watched_is_none(box: Store) -> None:
    box.summaries.add_watched({1: 58, 2: 0, 99: 60}, NOW)
    box.detections.add(1, seen(AT + 5))
    box.summaries.add_watched({1: 2}, NOW)
    assert told(box) == [Row(stream=1, minute=0, start_utc=AT, seq=3, watched_s=60, mask=1)]


# Clocks


def test_what_a_clock_wrote_that_nobody_believed_moves_when_it_is_set(box: Store) -> None:
    """The board began in 2020, then network time came. What a person entered meanwhile stays where it was typed."""
    boot = Now(AT - 200 * DAY_S + 7.0, "boot-2", 12.0)
    box.summaries.begin_epoch(boot, believed=False)
    ids = [box.detections.add(1, seen(boot.utc + seconds)) for seconds in (1, 70)]
    box.summaries.add_watched({1: 53}, boot)
    box.detections.add(1, seen(boot.utc + 2, by_hand=True))
    box.detections.add(2, seen(AT, by_hand=True))
    minute = boot.utc - boot.utc % 60
    assert sums(box) == {
        (1, minute): (2, 0, 0, 0, 53), (1, minute + 60): (1, 0, 0, 0, 0), (2, AT): (1, 0, 0, 0, 0),
    }  # fmt: skip
    assert [row.verified for row in told(box)] == [1, 0, 0, 1]
    box.summaries.begin_epoch(replace(boot, utc=boot.utc + 80, uptime_s=92.0), believed=False)
    box.detections.correct_state(ids[1], State.UNKNOWN, "ann")
    set_right = Now(AT + 100.0, "boot-2", 112.0)
    assert box.summaries.follow_clock(set_right, believed=False)
    assert box.summaries.follow_clock(set_right, believed=False) is None
    assert box.summaries.is_to_be_corrected(set_right)
    assert box.summaries.correct_clock(set_right) > 0
    assert not box.summaries.is_to_be_corrected(set_right)
    assert sums(box) == {
        (1, minute): (1, 0, 0, 0, 0),
        (1, AT): (1, 0, 0, 0, 53),
        (1, AT + 60): (0, 0, 0, 1, 0),
        (2, AT): (1, 0, 0, 0, 0),
    }
    assert {row.verified for row in told(box)} == {1}
    moved = [box.detections.get(each) for each in ids]
    assert [each.detection.first_seen_utc - AT for each in moved if each] == [8, 77], "by whole minutes"
    assert [each.detection.last_seen_utc - AT for each in moved if each] == [13, 82]
    assert box.problems() == []


def test_a_clock_that_proves_right_is_told_of_again_and_moves_nothing(box: Store) -> None:
    boot = Now(AT + 5.0, "boot-2", 12.0)
    epoch = box.summaries.begin_epoch(boot, believed=False)
    box.detections.add(1, seen(AT + 6))
    (row,), upto = box.summaries.range_after(epoch, 0, 10)
    box.summaries.note_watermarks({epoch: upto})
    assert box.summaries.correct_clock(replace(boot, utc=boot.utc + 60, uptime_s=72.0)) == 1
    again = Row(**{name: getattr(row, name) for name in Row.__struct_fields__} | {"seq": 2, "verified": 1})
    assert (row.verified, box.summaries.range_after(epoch, upto, 10)) == (0, ([again], 2))


def test_what_was_written_before_the_machine_started_again_is_not_moved(box: Store) -> None:
    box.summaries.begin_epoch(Now(AT - 10 * DAY_S, "boot-2", 12.0), believed=False)
    box.detections.add(1, seen(AT - 10 * DAY_S + 1))
    before = sums(box)
    box.summaries.begin_epoch(Now(float(AT), "boot-3", 5.0), believed=True)
    assert sums(box) == before


def test_a_clock_that_leaps_and_comes_back_takes_its_detections_along(box: Store) -> None:
    box.detections.add(1, seen(AT + 31))
    assert box.summaries.follow_clock(later(60, leap_s=30 * DAY_S), believed=False)
    box.detections.add(1, seen(AT + 95 + 30 * DAY_S))
    assert box.summaries.follow_clock(later(120), believed=True)
    assert sums(box) == {(1, AT): (1, 0, 0, 0, 0), (1, AT + 60): (1, 0, 0, 0, 0)}


def test_a_person_in_view_while_the_clock_is_put_right_goes_on(box: Store) -> None:
    box.summaries.begin_epoch(Now(AT - DAY_S + 20.0, "boot-2", 12.0), believed=False)
    person = seen(AT - DAY_S + 20)
    detection_id = box.detections.add(1, person)
    box.summaries.correct_clock(Now(float(AT), "boot-2", 13.0))
    box.detections.update(detection_id, replace(person, last_seen_utc=AT + 2.0))
    stored = box.detections.get(detection_id)
    assert stored and stored.detection.first_seen_utc == AT + 20, "half a minute is not too much"
    assert stored.detection.last_seen_utc == AT + 20


def test_a_clock_that_runs_steadily_begins_no_epoch(box: Store) -> None:
    epoch = box.summaries.newest_epoch()
    for leap_s in (0.0, 9.0, -9.0):
        assert box.summaries.follow_clock(later(3600, leap_s), believed=True) is None
    assert box.summaries.newest_epoch() == epoch
    assert box.summaries.follow_clock(later(3600, 11), believed=True)


# The outbox


def test_rows_are_told_in_the_order_of_their_last_change_until_the_watermark_covers_them(box: Store) -> None:
    epoch = box.summaries.newest_epoch()
    assert epoch
    for minute in range(5):
        box.detections.add(1, seen(AT + 60 * minute))
    rows, upto = box.summaries.range_after(epoch, 0, 2)
    assert ([row.minute for row in rows], upto) == ([0, 1], 2)
    assert box.summaries.note_watermarks({epoch: upto, "0123456789abcdef": 7}) is False
    assert box.summaries.behind(9) == [EpochState(epoch, 5, 2)]
    box.detections.add(1, seen(AT))
    rows, upto = box.summaries.range_after(epoch, 2, 9)
    assert ([row.minute for row in rows], upto) == ([2, 3, 4, 0], 6)
    assert box.summaries.backlog() == Backlog(rows=4, minutes=4, epochs=1, oldest_utc=AT)
    assert box.summaries.note_watermarks({epoch: 1000}) is False
    assert (box.summaries.behind(9), box.summaries.backlog()) == ([], Backlog(0, 0, 0, None))
    assert box.summaries.range_after(epoch, 6, 9) == ([], 6)
    assert box.summaries.range_after("0123456789abcdef", 3, 9) == ([], 3)


def test_what_is_counted_while_rows_are_read_is_in_no_range_that_lacks_it(tmp_path: Path) -> None:
    path = tmp_path / "mb9k.db"
    with closing(Store.open(path)) as watcher, closing(Store.open(path)) as sync:
        add_streams(watcher)
        epoch = watcher.summaries.begin_epoch(NOW, believed=True)
        watcher.detections.add(1, seen(AT))

        def count_somebody(_statement: str) -> None:  # before each statement by which sync reads
            watcher.detections.add(1, seen(AT + 60 * watcher.summaries.tops()[epoch]))

        sync.db.conn.set_trace_callback(count_somebody)
        rows, upto = sync.summaries.range_after(epoch, 0, 100)
        sync.db.conn.set_trace_callback(None)
        assert [row.seq for row in rows] == list(range(1, upto + 1))
        assert watcher.summaries.tops()[epoch] > upto
        assert [row.seq for row in sync.summaries.range_after(epoch, upto, 100)[0]] == [upto + 1]


def test_a_centre_that_lost_rows_rewinds_and_another_centre_is_told_everything(box: Store) -> None:
    old = box.summaries.newest_epoch()
    box.detections.add(1, seen(AT))
    new = box.summaries.begin_epoch(later(60), believed=True)
    box.detections.add(1, seen(AT + 60))
    assert old
    box.summaries.note_watermarks({old: 1, new: 1})
    assert box.summaries.note_watermarks({new: 0}) is True
    assert box.summaries.behind(9) == [EpochState(new, 1, 0)]
    box.summaries.note_watermarks({new: 1})
    box.summaries.forget_watermarks()
    assert box.summaries.behind(9) == [EpochState(new, 1, 0), EpochState(old, 1, 0)]
    assert box.summaries.behind(1) == [EpochState(new, 1, 0)]


def test_the_newest_minutes_can_be_told_before_their_turn(box: Store) -> None:
    epoch = box.summaries.newest_epoch()
    assert epoch
    for minute in range(5):
        for stream_id in (1, 2):
            box.detections.add(stream_id, seen(AT + 60 * minute))
    found = box.summaries.newest_rows(AT + 61, 3)
    assert {each: [(row.minute, row.stream) for row in rows] for each, rows in found.items()} == {
        epoch: [(4, 2), (4, 1), (3, 2)]
    }
    box.summaries.note_watermarks({epoch: 10})
    assert box.summaries.newest_rows(AT, 9) == {}


def test_times_that_no_message_can_tell_are_not_told(box: Store) -> None:
    epoch = box.summaries.newest_epoch()
    assert epoch
    for year in ("1801", "9999"):
        at = f"{year}-01-01T00:00:00.000Z"
        box.detections.add(1, seen(AT, by_hand=True))
        box.db.execute("delete from detections where id = (select max(id) from detections)")
        box.db.execute(
            "insert into detections select null, 1, ?, ?, 'mask', 1, 3, 0, 0, 1, 1, 2, 2, 'by hand: ann', null,"
            " null, null, null, null, null, 0, null, null, null",
            [at, at],
        )
    rows, upto = box.summaries.range_after(epoch, 0, 9)
    assert ([row.start_utc for row in rows], upto) == ([AT], 6)
    assert box.problems() == []


# Forgetting


def test_old_minutes_are_forgotten_but_not_what_was_entered_since_and_is_still_to_be_told(box: Store) -> None:
    old = box.summaries.newest_epoch()
    assert old
    box.detections.add(1, seen(AT))
    box.detections.add(1, seen(AT + 200 * DAY_S))
    now = later(200 * DAY_S)
    new = box.summaries.begin_epoch(now, believed=True)
    box.summaries.begin_epoch(now, believed=True)
    box.detections.add(2, seen(AT, by_hand=True))
    newest = box.summaries.newest_epoch()
    assert newest
    before_utc = now.utc - 100 * DAY_S
    assert box.summaries.forget_old(before_utc) == 1
    assert sums(box) == {(1, AT + 200 * DAY_S): (1, 0, 0, 0, 0), (2, AT): (1, 0, 0, 0, 0)}
    assert list(box.summaries.tops()) == [newest, old]
    assert new not in [state.id for state in box.summaries.behind(9)], "an empty epoch goes, too"
    box.summaries.note_watermarks({newest: 1})
    assert box.summaries.forget_old(before_utc) == 1
    assert sums(box) == {(1, AT + 200 * DAY_S): (1, 0, 0, 0, 0)}
    box.detections.remove(1)
    assert box.problems() == [], "nothing is known of what was forgotten"
    assert len(box.detections.page(DetectionFilter())) == 2
    assert box.summaries.newest_epoch() == newest


# Upgrades and copies


def record_from_before(path: Path, persons: int) -> None:
    """A store of an older version; three streams of which one was deleted, persons half a minute apart."""
    with closing(sqlite3.connect(path)) as connection:
        accounts_migrations.apply(Database(connection))
        box_migrations.apply(Database(connection), stop_before="m011_summaries")
        connection.executescript("""
            insert into people (name, password_hash, role, created_utc) values ('dev', 'h', 'admin', 't');
            insert into streams (id, owner_id, name, key_sha256, created_utc)
              values (1, 1, 'door', 'd', 't'), (3, 1, 'lab', 'e', 't'), (4, 1, 'empty', 'f', 't');
        """)
        states = list(State)
        with connection:
            connection.executemany(
                "insert into detections (stream_id, first_seen_utc, last_seen_utc, state, confidence, votes, bbox_left,"
                " bbox_top, bbox_right, bbox_bottom, frame_width, frame_height, model)"
                " values (?, ?, ?, ?, 0.9, 7, 1, 2, 3, 4, 640, 360, 'm')",
                (
                    (1 + 2 * (number % 3 == 0), at := utc_text(AT - 30 * number), at, states[number % 4].value)
                    for number in range(persons)
                ),
            )


def test_what_was_recorded_before_the_upgrade_is_counted_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "mb9k.db"
    record_from_before(path, 1000)
    with caplog.at_level(logging.INFO), closing(Store.open(path)) as store:
        assert [record.message for record in caplog.records if "stream" in record.message] == [
            "upgrading the record: adding up the detections of 3 streams, minute by minute",
            "stream 1 of 3: 499 minutes with persons",
            "stream 2 of 3: 334 minutes with persons",
            "stream 3 of 3: 0 minutes with persons",
            "upgrading the record: adding up the quarters of an hour of 3 streams",
        ]
        assert store.problems() == []
        assert store.summaries.streams() == {1: "door", 3: "lab", 4: "empty"}
        assert len(told(store)) == 833
        assert sum(sum(values) for values in sums(store).values()) == 1000
        store.detections.remove(1)
        assert store.streams.add_with_key(1, "yard", "digest", AT) == 5
        assert store.summaries.streams()[5] == "yard"
        assert store.problems() == []


def test_a_copy_from_before_the_upgrade_tells_a_centre_nothing_twice(tmp_path: Path) -> None:
    before = tmp_path / "before.db"
    record_from_before(before, 50)
    rows = []
    for name in ("first.db", "second.db"):
        (tmp_path / name).write_bytes(before.read_bytes())
        with closing(Store.open(tmp_path / name)) as store:
            rows.append((store.summaries.tops(), told(store)))
    assert rows[0] == rows[1]


def test_an_upgrade_that_is_cut_off_is_done_again_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "mb9k.db"
    record_from_before(path, 200_000)
    script = f"from pathlib import Path; from appliance.store import Store; Store.open(Path({str(path)!r}))"
    logged = f"import logging; logging.basicConfig(level='INFO'); {script}"
    with subprocess.Popen([sys.executable, "-c", logged], stderr=subprocess.PIPE, cwd=REPOSITORY) as upgrading:
        assert upgrading.stderr and b"adding up" in upgrading.stderr.readline()
        upgrading.kill()
    with closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("select name from sqlite_schema where type = 'table'")]
    assert "summaries" not in tables
    with closing(Store.open(path)) as store:
        assert store.problems() == []
        assert sum(sum(values) for values in sums(store).values()) == 200_000


def test_a_copy_that_is_put_back_never_says_something_else_under_a_number_it_gave(tmp_path: Path) -> None:
    path, backup = tmp_path / "mb9k.db", tmp_path / "copy.db"
    with closing(Store.open(path)) as store:
        add_streams(store)
        old = store.summaries.begin_epoch(NOW, believed=False)
        store.detections.add(1, seen(AT))
        copy(path, backup)
        store.detections.add(1, seen(AT))
        store.streams.add_with_key(1, "yard", "digest 3", AT)
        before = store.summaries.tops()
    restore(backup, path, AT + 60)
    with closing(Store.open(path)) as store:
        store.detections.remove(1)  # as `mb9k` may, before any service is started
        assert store.summaries.tops()[old] < before[old]
        store.summaries.begin_epoch(later(70, leap_s=3600), believed=True)
        assert [row.start_utc for row in told(store)] == [AT, AT], "no clock is put right in what may be known"
        store.streams.add_with_key(1, "roof", "digest 4", AT)
        assert list(store.summaries.streams()) == [1, 2, 1003]
        assert store.problems() == []


def test_an_empty_record_does_not_begin_with_the_numbers_of_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "mb9k.db"
    numbers: set[int] = set()
    for second in range(3):
        start_empty(path, tmp_path / "images", AT + second)
        with closing(Store.open(path)) as store:
            add_streams(store)
            numbers |= store.summaries.streams().keys()
    assert len(numbers) == 6
