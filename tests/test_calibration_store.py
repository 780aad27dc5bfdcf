"""Corrections and labels in the record: what the box had judged stays, sums follow, a label goes with its person."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.accounts.audit import Action
from appliance.accounts.schema import migrations as accounts_migrations
from appliance.errors import InputError
from appliance.faces import CLASSES, Counts, Detection, State
from appliance.images import ImageFiles
from appliance.rates import wilson
from appliance.rules import calibration as rules
from appliance.rules import detections
from appliance.rules.streams import OPERATOR
from appliance.sqlite import Database
from appliance.store import DetectionFilter, Store, StoredImage, Stream
from appliance.store.calibration_schema import WRONG_CORRECTIONS
from appliance.store.corrections import as_judged
from appliance.store.measuring import Change, calibrated, measured
from appliance.store.schema import migrations as box_migrations
from appliance.times import Now
from appliance.zones import Zone, ZoneKind
from tests.site import new_store

AT = 1_790_000_100.0  # a quarter of an hour begins at 1 790 000 100
NOW = Now(AT + 86_400, "boot", 5000.0)
SEEN = Detection(AT, AT + 3, State.MASK, 0.9, 7, (10, 10, 50, 50), 640, 360, "m1")


class Room:
    """A store with one stream."""

    def __init__(self, folder: Path) -> None:
        self.store = new_store(folder / "mb9k.db")
        self.images = ImageFiles(folder / "images")
        with self.store.writing():
            person = self.store.people.add("ann", "", OPERATOR.role, AT)
            self.store.streams.add_with_key(person, "door", "1" * 64, AT)

    @property
    def stream(self) -> Stream:
        found = self.store.streams.get(1, NOW)
        assert found
        return found

    def see(self, number: int, state: State, at: float = AT, confidence: float = 0.9, model: str = "m1") -> list[int]:
        """So many persons, each with an image."""
        seen = replace(SEEN, state=state, first_seen_utc=at, last_seen_utc=at + 3, confidence=confidence, model=model)
        ids: list[int] = []
        with self.store.writing():
            for _ in range(number):
                image = StoredImage("20260921", len(ids) + 1000 * int(at - AT), 1, f"{state} {at} {len(ids)} {model}")
                ids.append(self.store.detections.add(1, seen, image))
        return ids

    def label_all(self, truly: State | None = None) -> None:
        """As the box judged, or all of one state."""
        while face := self.store.calibrations.next_face(self.calibration):
            found = self.store.detections.get(face.detection_id)
            assert found
            rules.label(self.store, self.stream, self.calibration, face.position, truly or found.detection.state)

    @property
    def calibration(self) -> int:
        newest = rules.newest(self.store, self.stream)
        assert newest
        return newest.id


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    made.store.close()


def test_what_the_box_had_judged_stays_on_record(room: Room) -> None:
    store = room.store
    (seen,) = room.see(1, State.MASK)
    for state in (State.NO_MASK, State.INCORRECT):
        detections.correct(store, OPERATOR, seen, state, NOW)
        found = detections.find(store, seen)
        assert (found.detection.state, found.judged_state) == (state, State.MASK)
    with store.writing():  # still in view: the watcher judges on, and the person's word stays
        store.detections.update(seen, replace(SEEN, state=State.UNKNOWN, votes=2))
    found = detections.find(store, seen)
    assert (found.detection.state, found.judged_state) == (State.INCORRECT, State.UNKNOWN)
    by_hand = detections.enter(store, OPERATOR, 1, State.MASK, 1.0, AT, AT)
    detections.correct(store, OPERATOR, by_hand, State.NO_MASK, NOW)
    assert detections.find(store, by_hand).judged_state is None, "the box judged nobody who was entered by hand"


STATES = st.sampled_from(list(State))
STEPS = st.one_of(
    st.tuples(st.just("see"), st.integers(0, 3), STATES),
    st.tuples(st.just("correct"), st.integers(0, 9), STATES),
    st.tuples(st.just("judge"), st.integers(0, 9), STATES),
    st.tuples(st.just("remove"), st.integers(0, 9), STATES),
    st.tuples(st.just("forget"), st.integers(0, 9), STATES),
)


@settings(deadline=None, max_examples=12)
@given(st.lists(STEPS, max_size=25))
def test_sums_of_corrections_are_those_of_counting_the_rows(steps: list[tuple[str, int, State]]) -> None:
    """And of those whose rows were forgotten for their age."""
    store = Store.in_memory()
    person = store.people.add("ann", "", OPERATOR.role, AT)
    store.streams.add_with_key(person, "door", "1" * 64, AT)
    ids: list[int] = []
    forgotten: Counter[tuple[int, State, State]] = Counter()
    for step, number, state in steps:
        if step == "see":
            seen = replace(SEEN, state=state, first_seen_utc=AT + 600 * number, last_seen_utc=AT + 600 * number)
            ids.append(store.detections.add(1, seen))
            continue
        if not ids:
            continue
        chosen = ids[number % len(ids)]
        found = store.detections.get(chosen)
        assert found
        if step == "correct":
            store.detections.correct_state(chosen, state, "ann")
        elif step == "judge":
            store.detections.update(chosen, replace(found.detection, state=state))
        elif step == "remove":
            store.detections.remove(chosen)
            ids.remove(chosen)
        else:
            with store.without_row.kept_in_sums():
                store.detections.remove(chosen)
            ids.remove(chosen)
            if found.judged_state not in (None, found.detection.state):
                assert found.judged_state
                quarter = int(found.detection.first_seen_utc // 900 * 900)
                forgotten[quarter, found.judged_state, found.detection.state] += 1
    expected = Counter(forgotten)
    for chosen in ids:
        found = store.detections.get(chosen)
        assert found
        if found.judged_state not in (None, found.detection.state):
            assert found.judged_state
            quarter = int(found.detection.first_seen_utc // 900 * 900)
            expected[quarter, found.judged_state, found.detection.state] += 1
    kept = Counter(
        {
            (start, judged, state): persons
            for start, corrected in store.corrections.by_quarter(1, 0, 2**40)
            for (judged, state), persons in corrected.items()
        }
    )
    assert kept == expected
    assert store.db.execute(WRONG_CORRECTIONS).fetchone()[0] == 0
    for since, until in ((None, None), (AT + 1, AT + 700.0), (AT + 900, None), (AT + 601, AT + 602)):
        counts = store.trends.counts(DetectionFilter(1, None, since, until))
        corrected = store.corrections.between([1], since, until).get(1, {})
        if not any(step == "forget" for step, _, _ in steps):
            inside = [
                found
                for chosen in ids
                if (found := store.detections.get(chosen))
                and (since is None or found.detection.first_seen_utc >= since)
                and (until is None or found.detection.first_seen_utc < until)
            ]
            judged = Counter((each.judged_state or each.detection.state).value for each in inside)
            assert as_judged(counts, corrected) == Counts(**judged)
    store.close()


def test_the_share_corrected_is_the_least_that_the_box_errs(room: Room) -> None:
    seen = room.see(40, State.MASK) + room.see(10, State.UNKNOWN, AT + 30)
    assert measured(room.store, [1]).wrong is None
    for each in (*seen[:3], seen[-1]):  # the last one the box had not judged, so it did not err
        detections.correct(room.store, OPERATOR, each, State.NO_MASK, NOW)
    assert measured(room.store, [1]).wrong == wilson(3, 40)
    assert measured(room.store, [1], AT + 900).wrong is None
    detections.correct(room.store, OPERATOR, seen[0], State.MASK, NOW)
    assert measured(room.store, [1]).wrong == wilson(2, 40)


def test_labels_correct_the_rate_and_not_the_record(room: Room) -> None:
    store = room.store
    room.see(60, State.MASK), room.see(40, State.NO_MASK, AT + 1)
    rules.begin(store, OPERATOR, room.stream, NOW, random.Random(1))
    assert calibrated(store, 1) is None, "nothing is said before all are labelled"
    while face := store.calibrations.next_face(room.calibration):
        found = store.detections.get(face.detection_id)
        assert found
        really = State.NO_MASK if face.position % 10 == 0 else found.detection.state
        rules.label(store, room.stream, room.calibration, face.position, really)
    result = calibrated(store, 1)
    assert result and result.holds and result.errors
    assert result.errors.sensitivity.value == 1 and 0.8 < result.errors.specificity.value < 1
    rate = measured(store, [1]).corrected
    assert rate and rate.value < 0.6 and rate.n == 100
    assert store.trends.counts(DetectionFilter(1)) == Counts(mask=60, no_mask=40)
    # Who corrects by hand what was wrong does not have it corrected a second time.
    detections.correct(store, OPERATOR, 1, State.NO_MASK, NOW)
    assert measured(store, [1]).corrected == rate
    actions = [row["action"] for row in store.db.execute("select action from audit order by number")]
    assert actions.count("calibration_begun") == 1 and actions.count("face_labelled") == 50
    assert store.problems() == []


def test_nothing_is_corrected_where_only_one_of_two_cameras_is_calibrated(room: Room) -> None:
    store = room.store
    with store.writing():
        store.streams.add_with_key(1, "lab", "2" * 64, AT)
    room.see(60, State.MASK), room.see(40, State.NO_MASK, AT + 1)
    rules.begin(store, OPERATOR, room.stream, NOW, random.Random(1))
    room.label_all()
    assert measured(store, [1]).corrected == measured(store, [1, 2]).corrected is not None
    store.detections.add(2, SEEN)
    assert measured(store, [1, 2]).corrected is None


def test_a_time_before_the_calibration_speaks_is_not_corrected(room: Room) -> None:
    room.see(5, State.MASK, AT - 86_400, model="m0")
    room.see(60, State.MASK), room.see(40, State.NO_MASK, AT + 1)
    rules.begin(room.store, OPERATOR, room.stream, NOW, random.Random(1))
    room.label_all()
    assert measured(room.store, [1]).corrected is None
    assert measured(room.store, [1], AT).corrected


def test_a_calibration_ends_when_model_zones_picture_or_source_are_others(room: Room) -> None:
    store = room.store
    room.see(60, State.MASK), room.see(40, State.NO_MASK, AT + 1)
    rules.begin(store, OPERATOR, room.stream, NOW, random.Random(1))
    room.label_all()

    def changes() -> tuple[Change, ...]:
        found = calibrated(store, 1)
        assert found and found.holds is not bool(found.changes)
        return found.changes

    assert changes() == ()
    line, never = (
        Zone(kind, kind.value, points)
        for kind, points in (
            (ZoneKind.LINE, ((0.1, 0.5), (0.9, 0.5))),
            (ZoneKind.NEVER, ((0.1, 0.1), (0.2, 0.1), (0.2, 0.2))),
        )
    )
    store.zones.put(1, [line])
    assert changes() == (), "a line changes nothing of who is judged"
    store.zones.put(1, [line, never])
    assert changes() == (Change.ZONES,)
    assert measured(store, [1]).corrected is None
    store.zones.put(1, [])
    store.db.execute("insert into views (stream_id, asked) values (1, 1)")
    assert changes() == (Change.VIEW,)
    store.db.execute("delete from views")
    store.db.execute("insert into stream_status (stream_id, live, picture_fault) values (1, 1, 'moved')")
    assert changes() == (Change.VIEW,)
    store.db.execute("delete from stream_status")
    store.detections.add(1, replace(SEEN, first_seen_utc=AT + 9, last_seen_utc=AT + 9, model="m2", frame_width=1280))
    assert changes() == (Change.MODEL, Change.PICTURE)


def test_who_is_deleted_has_no_label_and_who_grew_too_old_keeps_one(room: Room) -> None:
    store = room.store
    room.see(60, State.MASK), room.see(40, State.NO_MASK, AT + 1)
    rules.begin(store, OPERATOR, room.stream, NOW, random.Random(1))
    room.label_all()
    drawn = [row[0] for row in store.db.execute("select detection_id from calibration_faces")]
    before = calibrated(store, 1)
    with store.writing(), store.without_row.kept_in_sums():
        store.detections.remove(drawn[0])
    with store.writing():
        store.detections.forget_images("20260921")
    assert calibrated(store, 1) == before
    detections.delete(store, room.images, OPERATOR, drawn[1], NOW)
    found = rules.newest(store, room.stream)
    assert found and found.labelled == 49 and found.finished
    with pytest.raises(InputError):
        rules.take_back(store, room.stream, found.id)
    detections.correct(store, OPERATOR, drawn[2], State.INCORRECT, NOW)
    with store.writing():
        store.privacy.keep_statistics_only("ann", NOW.utc)
    for table in ("calibrations", "calibration_strata", "calibration_faces", "corrections"):
        assert store.db.execute(f"select count(*) from {table}").fetchone()[0] == 0
    with pytest.raises(InputError, match="statistics only"):
        rules.begin(store, OPERATOR, room.stream, NOW)


def test_a_label_is_taken_back_and_asked_again(room: Room) -> None:
    store = room.store
    room.see(30, State.MASK)
    with pytest.raises(InputError, match="no label"):
        rules.begin(store, OPERATOR, room.stream, NOW, random.Random(1))
        rules.take_back(store, room.stream, room.calibration)
    first = store.calibrations.next_face(room.calibration)
    assert first
    rules.label(store, room.stream, room.calibration, first.position, State.MASK)
    with pytest.raises(InputError, match="already"):
        rules.label(store, room.stream, room.calibration, first.position, State.NO_MASK)
    second = store.calibrations.next_face(room.calibration)
    assert second and second != first
    rules.take_back(store, room.stream, room.calibration)
    assert store.calibrations.next_face(room.calibration) == first
    rules.begin(store, OPERATOR, room.stream, NOW, random.Random(2))
    with pytest.raises(InputError, match="Another calibration"):
        rules.label(store, room.stream, 1, first.position, State.MASK)
    rules.forget(store, room.stream)
    with pytest.raises(InputError):
        rules.forget(store, room.stream)


def test_faces_are_drawn_of_all_who_were_judged_and_have_an_image_by_chance_in_each_stratum(room: Room) -> None:
    store = room.store
    room.see(30, State.MASK), room.see(6, State.NO_MASK, AT + 1, 0.6), room.see(9, State.INCORRECT, AT + 2)
    room.see(20, State.UNKNOWN, AT + 3), room.see(20, State.MASK, AT + 4, model="old")
    room.see(9, State.MASK, NOW.utc - 10)  # may still be in view
    with store.writing():
        store.detections.add(1, SEEN)  # no image
    room.see(1, State.MASK, AT + 5)
    drawn: Counter[int] = Counter()
    for seed in range(40):
        rules.begin(store, OPERATOR, room.stream, NOW, random.Random(seed))
        faces = store.db.execute(
            "select detection_id, judged, sure from calibration_faces where calibration_id = ? order by position",
            [room.calibration],
        ).fetchall()
        assert Counter((row["judged"], row["sure"]) for row in faces) == {
            ("mask", 1): 31, ("no_mask", 0): 6, ("incorrect", 1): 9,
        }  # fmt: skip
        drawn.update(row["detection_id"] for row in faces)
        assert {State(row["judged"]) for row in faces[:20]} == set(CLASSES), "in an order by chance"
    assert len(drawn) == 46 and set(drawn.values()) == {40}, "here are fewer than fifty, so all of them"
    room.see(300, State.MASK, AT + 6)
    drawn.clear()
    for seed in range(60):
        rules.begin(store, OPERATOR, room.stream, NOW, random.Random(seed))
        rows = store.db.execute(
            "select detection_id from calibration_faces where calibration_id = ? and judged = 'mask'",
            [room.calibration],
        )
        drawn.update(row["detection_id"] for row in rows)
    assert max(drawn.values()) < 20 and len(drawn) > 300, "nobody is preferred"


def test_an_upgrade_knows_from_the_audit_what_the_box_had_judged() -> None:
    db = Database(memory=True)
    accounts_migrations.apply(db)
    box_migrations.apply(db, stop_before="m021_calibration")
    store = Store(db.conn)
    person = store.people.add("ann", "", OPERATOR.role, AT)
    store.streams.add_with_key(person, "door", "1" * 64, AT)
    old = (
        "insert into detections (stream_id, first_seen_utc, last_seen_utc, state, confidence, votes, bbox_left,"
        " bbox_top, bbox_right, bbox_bottom, frame_width, frame_height, model, edited_by)"
        " values (1, '2026-11-24T12:00:00.000Z', '2026-11-24T12:00:02.000Z', ?, 0.9, 7, 1, 2, 3, 4, 640, 360, ?, ?)"
    )
    for row in (
        ("no_mask", "m", "ann"),
        ("mask", "m", None),
        ("mask", "m", "ann"),
        ("mask", "by hand: ann", "ann"),
    ):
        db.execute(old, row)
    with store.writing():
        for number, before, after in ((1, "mask", "incorrect"), (1, "incorrect", "no_mask"), (4, "no_mask", "mask")):
            store.audit.add(Action.DETECTION_CORRECTED, f"detection {number}", before=before, after=after)
    box_migrations.apply(db)
    judged = [row["judged_state"] for row in db.execute("select judged_state from detections order by id")]
    assert judged == ["mask", None, None, None], "the first that was said of it; what nobody knows stays unknown"
    assert measured(store, [1]).wrong == wilson(1, 4)
    assert store.problems() == []
    store.close()
