"""Messages into the centre's tables, in SQLite and PostgreSQL: the newest stays, whatever comes in whatever order."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from appliance.central import intake as intake_module
from appliance.central import status
from appliance.central.database import Database
from appliance.central.housekeeping import roll_up_all
from appliance.central.intake import Incoming, Intake
from appliance.central.opening import open_database
from appliance.messages import Outcome, Row, Sums, encode
from tests.fleet import EPOCHS, NOW, SimulatedBox, join, rolled_up, rows_of, sent, sums_of, take

A, B, _ = EPOCHS
DAY_S = 86_400


@pytest.fixture
def database(made_database: str) -> Iterator[Database]:
    opened = open_database(made_database)
    join(opened, "north", "south")
    yield opened
    opened.close()


@pytest.fixture
def intake() -> Intake:
    return Intake(rows_per_minute=30_000, keep_days=100)


@pytest.fixture
def box() -> SimulatedBox:
    box = SimulatedBox("north")
    box.begin(A, NOW - 3600)
    return box


def letters(database: Database) -> list[tuple[str, str, int]]:
    return [tuple(row) for row in database.execute("select box_id, reason, times from letters order by id")]


def told(database: Database, box: str = "north") -> str:
    return str(database.one("select told_problem from boxes where id = ?", [box]))


def test_what_was_committed_is_answered(database: Database, intake: Intake, box: SimulatedBox) -> None:
    box.count(A, 1, 0, mask=2, watched_s=60)
    box.count(A, 2, 0, no_mask=1)
    answers = take(intake, database, sent("north", box.range(A, 0)))
    assert answers.upto == {"north": {A: 2}}
    assert answers.rows == 2
    assert sums_of(database, "north") == rows_of(box)
    assert database.one("select sums_utc from boxes where id = 'north'") == NOW


def test_a_message_that_comes_again_changes_nothing(database: Database, intake: Intake, box: SimulatedBox) -> None:
    box.count(A, 1, 0, mask=2)
    message = sent("north", box.range(A, 0))
    for _ in range(3):
        assert take(intake, database, message, message).upto == {"north": {A: 1}}
    assert sums_of(database, "north") == rows_of(box)


def test_an_older_message_does_not_take_back_a_newer_one(database: Database, intake: Intake, box: SimulatedBox) -> None:
    box.count(A, 1, 0, mask=2)
    old = sent("north", box.range(A, 0))
    box.count(A, 1, 0, mask=1)
    new = sent("north", box.range(A, 0))
    for order in ((new, old), (old, new)):
        assert take(intake, database, *order).upto == {"north": {A: 2}}
        assert sums_of(database, "north") == rows_of(box)
    assert take(intake, database, old).upto == {"north": {A: 2}}


def test_a_range_before_its_turn_is_stored_and_counts_once_the_missing_one_is_here(
    database: Database, intake: Intake, box: SimulatedBox
) -> None:
    for minute in range(4):
        box.count(A, 1, minute, mask=1)
    first, second, third = (sent("north", box.range(A, after, most=1)) for after in (0, 1, 2))
    assert take(intake, database, second).upto == {"north": {A: 0}}
    assert take(intake, database, third).upto == {"north": {A: 0}}
    assert len(sums_of(database, "north")) == 2
    assert take(intake, database, first).upto == {"north": {A: 3}}
    assert database.one("select gaps from watermarks") == 2


def test_rows_without_a_range_are_stored_and_move_no_watermark(
    database: Database, intake: Intake, box: SimulatedBox
) -> None:
    box.count(A, 1, 0)
    newest = box.count(A, 1, 1, mask=1)
    answers = take(intake, database, sent("north", Sums(epoch=A, rows=[newest])))
    assert not answers.upto
    assert list(sums_of(database, "north")) == [(A, 1, 1)]
    assert take(intake, database, sent("north", box.range(A, 0))).upto == {"north": {A: 2}}
    assert sums_of(database, "north") == rows_of(box)


def test_a_correction_in_a_newer_epoch_takes_back_what_an_older_one_counted(
    database: Database, intake: Intake, box: SimulatedBox
) -> None:
    box.count(A, 1, 0, mask=1)
    box.begin(B, NOW)
    box.count(B, 1, -60, mask=-1, no_mask=1)
    take(intake, database, *(sent("north", box.range(epoch, 0)) for epoch in (A, B)))
    roll_up_all(database)
    (hour,) = database.query("select mask, no_mask from hours")
    assert hour == {"mask": 0, "no_mask": 1}


def test_hello_is_answered_with_the_watermarks_of_what_it_names(
    database: Database, intake: Intake, box: SimulatedBox
) -> None:
    box.count(A, 1, 0, mask=1)
    take(intake, database, sent("north", box.range(A, 0)))
    box.begin(B, NOW)
    hello = box.hello(streams={"1": "door\0\u202e", "2": "gate", "x": "?"}, version="1.2", machine="m1")
    assert take(intake, database, sent("north", hello)).upto == {"north": {A: 1, B: 0}}
    names = database.execute("select number, name from streams where box_id = 'north' order by number").fetchall()
    assert [tuple(row) for row in names] == [(1, "door\ufffd\ufffd"), (2, "gate")]
    row = next(database.query("select epoch, version, machine, hello_utc, status, clock from boxes where id = 'north'"))
    assert row == {
        "epoch": B, "version": "1.2", "machine": "m1", "hello_utc": NOW, "status": "running", "clock": "believed",
    }  # fmt: skip
    take(intake, database, sent("north", box.hello()))
    assert database.one("select count(*) from streams where name <> ''") == 0
    assert told(database) == ""


def test_a_box_whose_hello_is_older_than_this_process_is_asked_for_one(
    database: Database, intake: Intake, box: SimulatedBox
) -> None:
    take(intake, database, sent("north", box.hello()))
    intake.begin(NOW + 10)
    box.count(A, 1, 0)
    later = [sent("north", box.range(A, 0)), sent("north", box.state())]
    assert take(intake, database, *later, now_utc=NOW + 11).hello_again == {"north"}
    assert take(intake, database, *later, now_utc=NOW + 30).hello_again == set()
    assert take(intake, database, *later, now_utc=NOW + 80).hello_again == {"north"}
    assert take(intake, database, sent("north", box.hello()), now_utc=NOW + 81).hello_again == set()
    assert take(intake, database, *later, now_utc=NOW + 200).hello_again == set()


def test_a_state_is_shown_and_a_will_of_an_older_start_is_not(
    database: Database, intake: Intake, box: SimulatedBox
) -> None:
    def row() -> dict[str, object]:
        return next(database.query("select status, live, backlog, problem, complete_utc from boxes where id = 'north'"))

    take(intake, database, sent("north", box.hello()))
    state = box.state(live=[1, 2], backlog=5, problem="disk\nfull", temperature_c=51.5, disk_free_mb=100)
    take(intake, database, sent("north", state))
    assert row() == {
        "status": "running", "live": "[1, 2]", "backlog": 5, "problem": "disk\ufffdfull", "complete_utc": None,
    }  # fmt: skip
    take(intake, database, sent("north", box.state(sent_utc=NOW - 1)))
    assert row()["complete_utc"] == (NOW - 1) // 60 * 60
    will = box.state(status="gone", sent_utc=NOW - 500)
    box.begin(B, NOW)
    take(intake, database, sent("north", box.hello()))
    take(intake, database, sent("north", will))
    assert row()["status"] == "running"
    take(intake, database, sent("north", box.state(status="gone", sent_utc=NOW - 500)))
    assert row()["status"] == "gone"
    assert row()["complete_utc"] == (NOW - 1) // 60 * 60
    take(intake, database, sent("north", box.state(status="stopped")))
    assert row()["status"] == "stopped"


def test_strangers_and_revoked_boxes_store_nothing(database: Database, intake: Intake, box: SimulatedBox) -> None:
    box.count(A, 1, 0, mask=1)
    database.execute("update boxes set revoked_utc = ? where id = 'south'", [NOW])
    answers = take(
        intake,
        database,
        *(sent(name, message) for name in ("stranger", "south") for message in (box.range(A, 0), box.hello())),
        sent("north", box.range(A, 0)),
    )
    assert answers.upto == {"north": {A: 1}}
    assert letters(database) == [
        ("stranger", intake_module.STRANGER, 1),
        ("stranger", intake_module.STRANGER, 1),
        ("south", intake_module.REVOKED, 1),
        ("south", intake_module.REVOKED, 1),
    ]
    assert database.one("select count(*) from sums") == 1
    assert "was revoked" in told(database, "south")


def test_a_box_that_the_database_lost_comes_back_where_its_certificate_says_who_it_is(
    database: Database, box: SimulatedBox
) -> None:
    intake = Intake(30_000, 100, may_return=lambda name: name == "lost")
    box.count(A, 1, 0, mask=1)
    answers = take(intake, database, *(sent(name, box.range(A, 0)) for name in ("lost", "stranger")))
    assert answers.upto == {"lost": {A: 1}}
    assert database.one("select title from boxes where id = 'lost'") == "lost"
    assert database.one("select count(*) from events where box_id = 'lost'") == 1


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("mb9k/north/sums", b"\xff\0nonsense", "neither JSON nor"),
        ("mb9k/north/sums", b'{"epoch": 1}', "Expected"),
        ("mb9k/north/sums", b"{" * 70_000, "more than 65536"),
        ("mb9k/north/sums", encode(Sums(epoch=A, rows=[], after=5, upto=3)), "ends before it begins"),
        ("mb9k/north/sums", encode(Sums(epoch=A, rows=[], after=5)), "no end"),
        ("mb9k/north/watermarks", b"{}", "not for a box to say"),
        ("mb9k/NORTH/sums", b"{}", "no topic"),
        ("", b"{}", "no topic"),
        ("mb9k/north/hello", b'{"epoch": "00000000000000aa", "tops": {}, "version": "\\ud800"}', ""),
    ],
)
def test_a_message_that_cannot_be_read_is_a_letter_and_holds_nobody_up(
    database: Database, intake: Intake, box: SimulatedBox, topic: str, payload: bytes, reason: str
) -> None:
    box.count(A, 1, 0, mask=1)
    poison = Incoming(topic, payload)
    answers = take(intake, database, poison, sent("north", box.range(A, 0)), poison)
    assert answers.upto == {"north": {A: 1}}
    ((_, said, times),) = letters(database)
    assert reason in said
    assert times == 2
    assert bytes(database.one("select payload from letters")) == payload[:4096]


def test_letters_that_are_alike_are_one_and_their_number_is_bounded(database: Database, intake: Intake) -> None:
    for _ in range(3):
        take(intake, database, *(Incoming("mb9k/north/sums", b"?") for _ in range(5)))
    assert [times for _, _, times in letters(database)] == [15]
    many = [Incoming(f"mb9k/box-{number}/sums", b"?") for number in range(200)]
    take(intake, database, *many)
    assert len(letters(database)) == 1 + 50 + 1
    assert sum(times for _, _, times in letters(database)) == 215
    from appliance.central import letters as letters_module

    for number in range(300):
        letters_module.keep(database, [letters_module.Letter("north", "t", f"reason {number}")], NOW)
    letters_module.forget(database, NOW - 10)
    assert database.one("select count(*) from letters where box_id = 'north'") == letters_module.PER_BOX
    letters_module.forget(database, NOW + 1)
    assert letters(database) == []


def test_rows_in_the_future_are_refused_and_the_others_of_the_message_kept(
    database: Database, intake: Intake, box: SimulatedBox
) -> None:
    box.count(A, 1, 0, mask=1)
    box.count(A, 1, 60 * 24 * 3, mask=1)
    answers = take(intake, database, sent("north", box.range(A, 0)))
    assert not answers.upto
    assert list(sums_of(database, "north")) == [(A, 1, 0)]
    assert "clock of the box is ahead" in told(database)
    later = take(intake, database, sent("north", box.range(A, 0)), now_utc=NOW + 3 * DAY_S)
    assert later.upto == {"north": {A: 2}}
    assert sums_of(database, "north") == rows_of(box)


def test_rows_older_than_what_is_kept_are_covered_and_not_counted(
    database: Database, intake: Intake, box: SimulatedBox
) -> None:
    box.begin(B, NOW - 200 * DAY_S)
    box.count(B, 1, 0, mask=1)
    assert take(intake, database, sent("north", box.range(B, 0))).upto == {"north": {B: 1}}
    assert sums_of(database, "north") == {}
    assert "older than what this centre keeps" in told(database)


def test_a_box_that_sends_too_much_is_refused_and_costs_no_other_anything(
    database: Database, box: SimulatedBox
) -> None:
    intake = Intake(rows_per_minute=100, keep_days=100)
    for minute in range(80):
        box.count(A, 1, minute, mask=1)
    message = box.range(A, 0)
    assert take(intake, database, sent("north", message)).upto
    answers = take(intake, database, sent("north", message), sent("south", message), now_s=1.0)
    assert answers.upto == {"south": {A: 80}}
    assert intake_module.TOO_MANY in told(database)
    assert take(intake, database, sent("north", message), now_s=61.0).upto == {"north": {A: 80}}


def test_two_machines_under_one_name_are_named(database: Database, intake: Intake, box: SimulatedBox) -> None:
    take(intake, database, sent("north", box.hello(machine="m1")))
    other = SimulatedBox("north")
    other.begin(B, NOW)
    take(intake, database, sent("north", other.hello(machine="m2")), now_utc=NOW + 60)
    assert told(database) == ""  # it may have been put on other hardware
    # The first one is alive still: both are asked, and both answer.
    assert take(intake, database, sent("north", box.state()), now_utc=NOW + 70).hello_again == {"north"}
    answers = take(
        intake,
        database,
        sent("north", box.hello(machine="m1")),
        sent("north", other.hello(machine="m2")),
        now_utc=NOW + 75,
    )
    assert told(database) == status.TWO_MACHINES
    assert answers.upto == {"north": {A: 0, B: 0}}
    box.count(A, 1, 0, mask=1)
    other.count(B, 1, 0, mask=1)
    take(intake, database, sent("north", box.range(A, 0)), sent("north", other.range(B, 0)), now_utc=NOW + 80)
    assert len(sums_of(database, "north")) == 2
    status.forget_told(database, NOW + 80)
    assert told(database)
    status.forget_told(database, NOW + 80 + status.TOLD_S)
    assert told(database) == ""


def test_a_clock_that_is_wrong_is_named(database: Database, intake: Intake, box: SimulatedBox) -> None:
    take(intake, database, sent("north", box.hello(sent_utc=NOW - 900)))
    assert told(database) == "The clock of the box is 15 minutes behind ours."
    take(intake, database, sent("north", box.hello(sent_utc=NOW + 3 * 3600)))
    assert told(database) == "The clock of the box is 3 hours ahead of ours."


def test_an_outcome_stands_with_its_command_and_only_the_first_counts(database: Database, intake: Intake) -> None:
    command = "00000000000000c1"
    database.execute(
        "insert into commands (id, box_id, action, given_by, given_utc, expires_utc) values (?, ?, ?, ?, ?, ?)",
        [command, "north", "identify", "ann", NOW, NOW + 60],
    )
    for name, words in (("south", "not mine"), ("north", "done"), ("north", "again")):
        take(intake, database, sent(name, Outcome(id=command, done=True, words=words, at_utc=NOW)))
    assert next(database.query("select done, words, at_utc from commands")) == {
        "done": 1, "words": "done", "at_utc": NOW,
    }  # fmt: skip


def test_how_far_an_update_is_stands_with_its_command_until_it_is_answered(
    database: Database, intake: Intake, box: SimulatedBox
) -> None:
    for number, (box_id, action, sent_utc) in enumerate(
        [("north", "update", NOW), ("north", "identify", NOW), ("south", "update", NOW), ("north", "update", None)]
    ):
        database.execute(
            "insert into commands (id, box_id, action, given_by, given_utc, expires_utc, sent_utc)"
            " values (?, ?, ?, 'ann', ?, ?, ?)",
            [f"{number:016x}", box_id, action, NOW, NOW + 60, sent_utc],
        )
    take(intake, database, sent("north", box.hello()))
    take(intake, database, sent("north", box.state(update="0.2.0: checking.")))
    words = [row["words"] for row in database.query("select words from commands order by id")]
    assert words == ["0.2.0: checking.", "", "", ""]
    take(intake, database, sent("north", Outcome(id=f"{0:016x}", done=True, words="0.2.0 runs.", at_utc=NOW)))
    take(intake, database, sent("north", box.state(update="late")))
    assert database.one(f"select words from commands where id = '{0:016x}'") == "0.2.0 runs."


def test_what_a_corrected_clock_moves_is_counted_once_and_where_it_belongs(
    database: Database, intake: Intake, box: SimulatedBox
) -> None:
    box.begin(B, NOW - 400 * DAY_S)
    for minute in range(3):
        box.count(B, 1, minute, verified=False, mask=1)
    take(intake, database, sent("north", box.range(B, 0)))
    roll_up_all(database)
    assert database.one("select unverified from hours") == 3
    box.correct_clock(B, 400 * DAY_S - 7200 + 17)
    take(intake, database, sent("north", box.range(B, 3)))
    roll_up_all(database)
    assert sums_of(database, "north") == rows_of(box)
    for table, length_s in (("hours", 3600), ("days", DAY_S)):
        have, want = rolled_up(database, table, length_s)
        assert have == want
        assert len(have) == 1


def test_what_the_database_refuses_is_a_letter_and_the_rest_is_stored(
    database: Database, intake: Intake, box: SimulatedBox
) -> None:
    database.script(
        "create trigger refuse before insert on sums when new.seq = 666 begin select raise(abort, 'never'); end;"
        if database.dialect == "sqlite"
        else "alter table sums add constraint never check (seq <> 666)"
    )
    box.count(A, 1, 0, mask=1)
    poison = sent("north", Sums(epoch=B, rows=[Row(1, 0, NOW, 666)], after=0, upto=666))
    answers = take(intake, database, poison, sent("south", box.range(A, 0)), sent("north", box.range(A, 0)))
    assert answers.upto == {"south": {A: 1}, "north": {A: 1}}
    assert sums_of(database, "south") == rows_of(box) == sums_of(database, "north")
    ((name, reason, _),) = letters(database)
    assert (name, intake_module.REFUSED in reason, "never" in reason) == ("north", True, True)


def test_a_database_that_refuses_everything_is_no_fault_of_the_message(
    database: Database, intake: Intake, box: SimulatedBox
) -> None:
    box.count(A, 1, 0, mask=1)
    database.script("drop table watermarks;\ndrop table letters;")
    with pytest.raises(sqlite3.OperationalError):
        take(intake, database, sent("north", box.range(A, 0)))
    assert sums_of(database, "north") == {}
