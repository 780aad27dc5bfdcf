"""What the store gives back is what was put in: each statement beside the rows that it must leave alone."""

from __future__ import annotations

import os
import sqlite3
import time
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from appliance.accounts.people import ABSOLUTE_S, IDLE_S, Role
from appliance.faces import Counts, Detection, Health, State
from appliance.store import DetectionFilter, Heartbeat, Source, Store, StoredImage
from appliance.times import Now, now, utc_seconds, utc_text

AT = 1_795_521_600.0  # a full hour
NOW = Now(utc=AT, boot_id="boot-1", uptime_s=1000.0)
SEEN = Detection(AT, AT + 2, State.MASK, 0.9, 7, (10, 20, 60, 80), 640, 360, "a model")
ALL = DetectionFilter()


def image(number: int, day: str = "20261124") -> StoredImage:
    return StoredImage(day, 100 * number, 50 + number, f"token {number}")


@pytest.fixture
def filled(store: Store) -> Store:
    """An admin `dev` (1) with the streams `door` (1) and `attic` (3, pulled), a scientist `ann` (2) with `lab` (2)."""
    store.people.add("dev", "hash of dev", Role.ADMIN, AT)
    store.people.add("ann", "hash of ann", Role.DATA_SCIENTIST, AT + 1)
    store.streams.add_with_key(1, "door", "digest 1", AT)
    store.streams.add_with_key(2, "lab", "digest 2", AT)
    store.streams.add_with_source(1, "attic", "rtsp://camera/1", AT + 5)
    return store


# People


def test_people_come_back_as_they_were_added(filled: Store) -> None:
    ann, dev = filled.people.all()
    assert (dev.id, dev.name, dev.role, dev.password_hash, dev.created_utc) == (
        1, "dev", Role.ADMIN, "hash of dev", utc_text(AT),
    )  # fmt: skip
    assert (ann.name, ann.is_admin, dev.is_admin) == ("ann", False, True)
    assert (filled.people.get(1), filled.people.get(2), filled.people.get(3)) == (dev, ann, None)
    assert (filled.people.named("DEV"), filled.people.named("de")) == (dev, None)
    assert filled.people.count() == 2
    assert filled.people.add("Eve", "hash", Role.ADMIN, AT) == 3
    assert filled.people.add("bob", "hash", Role.ADMIN, AT) == 4
    assert [person.name for person in filled.people.all()] == ["ann", "bob", "dev", "Eve"]


def test_a_new_password_is_that_persons_alone(filled: Store) -> None:
    filled.people.set_password(2, "another hash")
    assert [(person.name, person.password_hash) for person in filled.people.all()] == [
        ("ann", "another hash"), ("dev", "hash of dev"),
    ]  # fmt: skip


def test_roles_are_called_as_people_read_them() -> None:
    assert [role.label for role in (Role.ADMIN, Role.DATA_SCIENTIST)] == ["Admin", "Data Scientist"]


def test_whoever_claims_the_box_is_its_admin(store: Store) -> None:
    store.people.add_first("ann", "hash", AT)
    ann = store.people.get(1)
    assert ann and (ann.is_admin, ann.password_hash, ann.created_utc) == (True, "hash", utc_text(AT))


def test_a_role_changes_for_one_person_and_only_if_an_admin_remains(filled: Store) -> None:
    assert not filled.people.set_role(1, Role.DATA_SCIENTIST)
    assert filled.people.set_role(1, Role.ADMIN)
    assert filled.people.set_role(2, Role.DATA_SCIENTIST)
    assert [person.is_admin for person in filled.people.all()] == [False, True]
    assert filled.people.set_role(2, Role.ADMIN)
    assert filled.people.set_role(1, Role.DATA_SCIENTIST)
    assert [person.is_admin for person in filled.people.all()] == [True, False]
    assert not filled.people.set_role(9, Role.ADMIN)


def test_whoever_goes_takes_sessions_and_tokens_along(filled: Store) -> None:
    for person_id, name in ((1, "dev"), (2, "ann")):
        filled.people.add_session(f"session of {name}", person_id, "csrf", AT)
        filled.people.add_token(person_id, "a token", f"token of {name}", AT, AT + 60)
    filled.streams.remove(2)
    assert filled.people.remove(2)
    assert not filled.people.remove(2)
    assert filled.people.session("session of ann") is None and filled.people.token("token of ann") is None
    assert filled.people.session("session of dev") and filled.people.token("token of dev")


def test_the_last_admin_stays_also_without_streams(store: Store) -> None:
    store.people.add("ann", "hash", Role.ADMIN, AT)
    store.people.add("bob", "hash", Role.DATA_SCIENTIST, AT)
    assert not store.people.remove(1)
    assert store.people.remove(2)
    assert not store.people.remove(1)


def test_an_admin_goes_where_another_stays_but_not_with_streams(filled: Store) -> None:
    filled.people.set_role(2, Role.ADMIN)
    assert not filled.people.remove(1), "there are streams"
    filled.people.add("eve", "hash", Role.ADMIN, AT)
    assert filled.people.remove(3)


def test_a_session_is_touched_ended_and_forgotten_alone(filled: Store) -> None:
    for token, at in (("old", AT - 500), ("new", AT), ("unused", AT)):
        filled.people.add_session(token, 1, f"csrf {token}", at)
    filled.people.touch_session("old", AT + 100)
    filled.people.touch_session("new", AT + 100)
    old, new = filled.people.session("old"), filled.people.session("new")
    assert new and (new.person.name, new.csrf_token) == ("dev", "csrf new")
    assert (new.created_utc, new.last_used_utc) == (utc_text(AT), utc_text(AT + 100))
    assert old and (old.created_utc, old.last_used_utc) == (utc_text(AT - 500), utc_text(AT + 100))
    filled.people.forget_old_sessions(AT + IDLE_S)
    assert all(map(filled.people.session, ("old", "new", "unused"))), "none was unused for too long, by a moment"
    filled.people.forget_old_sessions(AT + IDLE_S + 1)
    assert [bool(filled.people.session(token)) for token in ("old", "new", "unused")] == [True, True, False]
    for token in ("old", "new"):
        filled.people.touch_session(token, AT + ABSOLUTE_S - 500)
    filled.people.forget_old_sessions(AT + ABSOLUTE_S - 500)
    assert filled.people.session("old"), "it is just not too old"
    filled.people.forget_old_sessions(AT + ABSOLUTE_S - 499)
    assert [bool(filled.people.session(token)) for token in ("old", "new")] == [False, True]
    filled.people.end_session("another")
    assert filled.people.session("new")
    filled.people.end_session("new")
    assert filled.people.session("new") is None


def test_a_tokens_use_is_noted_once_an_hour(filled: Store) -> None:
    first, second = (filled.people.add_token(1, name, f"digest of {name}", AT, AT + 60) for name in ("one", "two"))
    filled.people.add_token(2, "not hers", "another digest", AT, AT + 60)

    def used() -> list[tuple[int, str, str | None]]:
        return [(token.id, token.name, token.last_used_utc) for token in filled.people.tokens(1)]

    assert used() == [(second, "two", None), (first, "one", None)]
    for at, noted in ((AT, AT), (AT + 3600, AT), (AT + 3601, AT + 3601)):
        filled.people.touch_token("digest of one", at)
        assert used() == [(second, "two", None), (first, "one", utc_text(noted))]
    assert not filled.people.remove_token(99, 1)
    assert filled.people.remove_token(first, 1)
    assert used() == [(second, "two", None)]


# Streams


def test_streams_come_back_by_title_for_an_owner_or_a_search(filled: Store) -> None:
    def titles(owner_id: int | None = None, search: str = "") -> list[str]:
        return [stream.title for stream in filled.streams.all(NOW, owner_id, search)]

    assert titles() == ["ann:lab", "dev:attic", "dev:door"]
    assert filled.streams.add_with_key(2, "yard", "digest 4", AT) == 4
    assert filled.streams.add_with_source(2, "roof", "/dev/video1", AT) == 5
    filled.streams.remove(4)
    filled.streams.remove(5)
    assert (titles(1), titles(2)) == (["dev:attic", "dev:door"], ["ann:lab"])
    assert (titles(search="EV:D"), titles(search="a"), titles(1, "a")) == (
        ["dev:door"], ["ann:lab", "dev:attic"], ["dev:attic"],
    )  # fmt: skip
    attic, door = filled.streams.get(3, NOW), filled.streams.get(1, NOW)
    assert attic and (attic.has_key, attic.source_url, attic.created_utc, attic.active) == (
        False, "rtsp://camera/1", utc_text(AT + 5), True,
    )  # fmt: skip
    assert door and (door.has_key, door.source_url, door.owner_id, door.owner) == (True, None, 1, "dev")
    assert filled.streams.get(4, NOW) is None
    assert filled.streams.ids() == {1, 2, 3}


def test_a_stream_changes_alone(filled: Store) -> None:
    filled.streams.rename(1, "gate")
    filled.streams.give_to(1, 2)
    filled.streams.set_active(2, False)
    assert [(one.title, one.active) for one in filled.streams.all(NOW)] == [
        ("ann:gate", True), ("ann:lab", False), ("dev:attic", True),
    ]  # fmt: skip
    filled.streams.remove(1)
    assert filled.streams.ids() == {2, 3}


def test_a_stream_has_a_key_or_a_source_and_counts_only_while_active(filled: Store) -> None:
    assert filled.streams.active_keys() == {"digest 1": 1, "digest 2": 2}
    assert filled.streams.active_sources() == {3: Source("rtsp://camera/1")}
    filled.streams.set_source(1, "/dev/video0")
    filled.streams.set_key(3, "digest 3")
    assert filled.streams.active_keys() == {"digest 2": 2, "digest 3": 3}
    assert filled.streams.active_sources() == {1: Source("/dev/video0")}
    filled.streams.set_active(1, False)
    filled.streams.set_active(3, False)
    assert (filled.streams.active_keys(), filled.streams.active_sources()) == ({"digest 2": 2}, {})
    found = [filled.streams.with_key(digest, NOW) for digest in ("digest 1", "digest 2", "digest 3")]
    assert [one and (one.id, one.active) for one in found] == [None, (2, True), (3, False)]


def test_a_source_may_have_a_smaller_picture_to_watch_and_takes_it_along(filled: Store) -> None:
    both = filled.streams.add_with_source(2, "roof", "rtsp://camera/main", AT, "rtsp://camera/sub")
    assert filled.streams.active_sources()[both] == Source("rtsp://camera/main", "rtsp://camera/sub")
    filled.streams.set_watch(both, None)
    assert filled.streams.active_sources()[both] == Source("rtsp://camera/main")
    filled.streams.set_watch(both, "rtsp://camera/third")
    roof = filled.streams.get(both, NOW)
    assert roof and roof.watch_url == "rtsp://camera/third"
    filled.streams.set_source(both, "rtsp://another/main")
    assert filled.streams.active_sources()[both] == Source("rtsp://another/main"), "that was of the camera before"
    filled.streams.set_watch(both, "rtsp://another/sub")
    filled.streams.set_key(both, "digest 4")
    roof = filled.streams.get(both, NOW)
    assert roof and (roof.has_key, roof.watch_url) == (True, None)
    with pytest.raises(sqlite3.IntegrityError):
        filled.streams.set_watch(both, "rtsp://another/sub")


def test_health_is_known_while_the_stream_is_live_and_of_its_present_source(filled: Store) -> None:
    filled.services.heartbeat("watch", 1, AT, None, NOW)
    health = Health(0.31, 0.62, 27.5, 118, 14, 0.4)

    def known(stream_id: int) -> Health:
        stream = filled.streams.get(stream_id, NOW)
        assert stream
        return stream.health

    filled.streams.set_health(3, health)
    assert known(3) == Health(), "there is no status that it could belong to"
    for stream_id in (2, 3):
        filled.streams.set_live(stream_id, None, AT)
        filled.streams.set_health(stream_id, health)
    assert (known(1), known(2), known(3)) == (Health(), health, health)
    filled.streams.set_source(3, "rtsp://another/1")
    assert (known(2), known(3)) == (health, Health())
    filled.streams.set_offline(2)
    assert known(2) == Health()
    with pytest.raises(sqlite3.IntegrityError):
        filled.streams.set_health(2, Health(too_small=31))


def test_what_is_known_of_a_live_stream_goes_when_it_ends(filled: Store) -> None:
    filled.services.heartbeat("watch", 1, AT, None, NOW)

    def state(stream_id: int) -> tuple[bool, str | None, str | None, str | None]:
        stream = filled.streams.get(stream_id, NOW)
        assert stream
        return stream.live, stream.live_since_utc, stream.remote, stream.problem

    filled.streams.set_problem(1, "no picture")
    filled.streams.set_problem(2, "no key frame")
    assert state(1) == (False, None, None, "no picture")
    filled.streams.set_live(1, "10.0.0.5:1", AT)
    assert state(1) == (True, utc_text(AT), "10.0.0.5:1", None)
    filled.streams.set_live(1, "10.0.0.6:2", AT + 9)
    assert state(1) == (True, utc_text(AT + 9), "10.0.0.6:2", None)
    filled.streams.set_live(2, None, AT)
    filled.streams.set_problem(1, "too dark")
    assert state(1)[0] and state(1)[3] == "too dark", "a problem ends no stream"
    filled.streams.describe(1, "h264", 1280, 720)
    door, lab = filled.streams.get(1, NOW), filled.streams.get(2, NOW)
    assert door and lab and (door.codec, door.width, door.height, lab.codec) == ("h264", 1280, 720, None)
    assert door.live and lab.live
    filled.streams.set_problem(1, "too dark", "no sub-stream")
    door = filled.streams.get(1, NOW)
    assert door and door.watch_problem == "no sub-stream"
    filled.streams.set_offline(1)
    assert (state(1), state(2)[0]) == ((False, None, None, "too dark"), True)
    filled.streams.all_offline()
    assert (state(1), state(2)) == ((False, None, None, None),) * 2


def test_refusals_a_minute_apart_are_two_and_the_newest_come_first(filled: Store) -> None:
    for seconds in (0.0, 59.0, 118.5, 178.5, 200.0):
        filled.streams.add_refusal("10.0.0.9", "publish", "unknown key", 1, AT + seconds)
    filled.streams.add_refusal("10.0.0.8", "read", "no token", 2, AT + 60)
    filled.streams.add_refusal("10.0.0.7", "read", "no token", 1, AT + 61)
    filled.streams.add_refusal("10.0.0.7", "publish", "no token", 1, AT + 62)
    told = [(one.at_utc, one.remote, one.action, one.reason, one.times) for one in filled.streams.refusals()]
    assert told == [
        (utc_text(AT + 200), "10.0.0.9", "publish", "unknown key", 2),
        (utc_text(AT + 118.5), "10.0.0.9", "publish", "unknown key", 3),
        (utc_text(AT + 62), "10.0.0.7", "publish", "no token", 1),
        (utc_text(AT + 61), "10.0.0.7", "read", "no token", 1),
        (utc_text(AT + 60), "10.0.0.8", "read", "no token", 2),
    ]
    assert len(filled.streams.refusals(1)) == 1


# Detections


def test_a_detection_comes_back_as_it_was_stored_and_changes_alone(filled: Store) -> None:
    first, second = filled.detections.add(1, SEEN, image(1)), filled.detections.add(2, SEEN)
    stored = filled.detections.get(first)
    assert stored and (stored.stream_id, stored.stream, stored.owner_id, stored.edited_by) == (1, "dev:door", 1, None)
    assert (stored.detection, stored.image) == (SEEN, image(1))
    grown = Detection(AT, AT + 8, State.INCORRECT, 0.5, 9, (1, 2, 3, 4), 1280, 720, "another")
    assert filled.detections.update(first, grown)
    assert filled.detections.set_image(first, image(2))
    stored, other = filled.detections.get(first), filled.detections.get(second)
    assert stored and other and (stored.detection, stored.image) == (grown, image(2))
    assert (other.detection, other.image) == (SEEN, None)
    assert filled.detections.correct_state(first, State.NO_MASK, "dev")
    filled.detections.update(first, replace(grown, confidence=0.7, votes=10))
    stored, other = filled.detections.get(first), filled.detections.get(second)
    assert stored and stored.detection == replace(grown, state=State.NO_MASK, votes=10), "confidence is the old one"
    assert other and (other.detection.state, other.edited_by) == (State.MASK, None)
    assert filled.detections.set_image(first, None)
    assert filled.detections.with_image("token 2") is None
    assert filled.detections.remove(first)
    assert filled.detections.get(first) is None and filled.detections.get(second)
    assert not filled.detections.remove(first)
    assert not filled.detections.correct_state(first, State.MASK, "dev")
    assert not filled.detections.set_image(first, image(3))


def test_a_face_too_small_to_judge_is_unknown_with_that_reason(filled: Store) -> None:
    far = replace(SEEN, state=State.UNKNOWN, too_small=True)
    number = filled.detections.add(1, far)

    def stored() -> Detection:
        found = filled.detections.get(number)
        assert found
        return found.detection

    assert stored() == far
    filled.detections.update(number, SEEN)
    assert stored() == SEEN, "the person came closer"
    filled.detections.update(number, far)
    assert filled.detections.page(DetectionFilter(state=State.UNKNOWN))[0].detection.too_small
    filled.detections.correct_state(number, State.MASK, "dev")
    filled.detections.update(number, replace(far, votes=9))
    assert (stored().state, stored().too_small, stored().votes) == (State.MASK, False, 9), "a person said so"
    filled.detections.add(1, replace(SEEN, too_small=True))
    assert filled.detections.page(DetectionFilter())[0].detection == SEEN, "only who is unknown has a reason"
    with pytest.raises(sqlite3.IntegrityError):
        filled.db.execute("update detections set too_small = 1 where state = 'mask'")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (ALL, [4, 3, 2, 1]),
        (DetectionFilter(stream_id=1), [3, 1]),
        (DetectionFilter(state=State.MASK), [4, 1]),
        (DetectionFilter(since_utc=AT + 20), [4, 3]),
        (DetectionFilter(until_utc=AT + 20), [2, 1]),
        (DetectionFilter(search="NN:L"), [4, 2]),
        (DetectionFilter(search="d", state=State.NO_MASK), [3]),
        (DetectionFilter(stream_id=2, since_utc=AT + 10, until_utc=AT + 30), [2]),
    ],
)
def test_what_is_found_is_paged_and_counted_alike(filled: Store, wanted: DetectionFilter, found: list[int]) -> None:
    states = (State.MASK, State.INCORRECT, State.NO_MASK, State.MASK)
    for number, state in enumerate(states):
        at = AT + 10 * number
        filled.detections.add(1 + number % 2, replace(SEEN, state=state, first_seen_utc=at, last_seen_utc=at))
    assert [one.id for one in filled.detections.page(wanted)] == found
    assert [one.id for one in filled.detections.page(wanted, before_id=found[0])] == found[1:]
    assert [one.id for one in filled.detections.page_after(wanted, after_id=found[-1])] == found[:-1]
    counts = [states[number - 1].value for number in found]
    assert filled.detections.counts(wanted) == Counts(**{state: counts.count(state) for state in set(counts)})


def test_a_page_that_begins_where_the_time_asked_for_ends_has_nothing_of_that_moment(filled: Store) -> None:
    _, second = filled.detections.add(1, SEEN), filled.detections.add(1, SEEN)
    assert filled.detections.page(DetectionFilter(until_utc=AT), before_id=second) == []


def test_a_page_holds_fifty(filled: Store) -> None:
    ids = [filled.detections.add(1, SEEN) for _ in range(52)]
    assert [len(filled.detections.page(ALL)), len(filled.detections.page_after(ALL, ids[0]))] == [50, 50]


def test_pages_of_many_streams_are_those_of_one_sorted_list(filled: Store) -> None:
    """Also where many were first seen in the same moment, and on whichever stream."""
    streams = [1, 2, 3, *(filled.streams.add_with_key(1, f"cam {each}", f"digest of {each}", AT) for each in range(40))]
    random = Random(20)
    every: list[tuple[float, int]] = []
    with filled.writing():
        for number in range(400):
            at = AT + random.randrange(30)
            seen = replace(SEEN, first_seen_utc=at, last_seen_utc=at + 2)
            kept = image(number, random.choice(("20261124", "20261125"))) if number % 3 == 0 else None
            every.append((at, filled.detections.add(random.choice(streams), seen, kept)))
    newest_first = [detection_id for _at, detection_id in sorted(every, reverse=True)]
    for limit in (1, 7, 50):
        for start in random.sample(range(1, 400 - 50), 12):
            before = newest_first[start - 1]
            page = [one.id for one in filled.detections.page(ALL, before, limit)]
            assert page == newest_first[start : start + limit]
            after = [one.id for one in filled.detections.page_after(ALL, newest_first[start + limit], limit)]
            assert after == newest_first[start : start + limit]
    latest = filled.detections.latest_with_image()
    last_day = "select max(id) from detections where image_day = '20261125'"
    assert latest and latest.id == filled.db.execute(last_day).fetchone()[0]


def test_images_are_counted_by_stream_and_listed_in_the_order_of_their_files(filled: Store) -> None:
    for stream_id, number, day in ((1, 3, "20261125"), (1, 2, "20261124"), (2, 1, "20261124")):
        filled.detections.add(stream_id, SEEN, image(number, day))
    assert filled.detections.add(1, SEEN) == 4
    latest = filled.detections.latest_with_image()
    assert latest and latest.id == 1, "of the last day that has images"
    assert [filled.detections.count_images(stream_id) for stream_id in (1, 2, 3)] == [2, 1, 0]
    assert filled.detections.all_images() == [image(1), image(2), image(3, "20261125")]
    assert filled.detections.forget_images("20261124") == 2
    assert filled.detections.all_images() == [image(3, "20261125")]


def test_whoever_may_still_be_in_view_is_of_this_stream_and_was_seen_lately(filled: Store) -> None:
    for stream_id, last_s in ((1, 10), (1, 5), (1, 4.9), (2, 20)):
        filled.detections.add(stream_id, replace(SEEN, last_seen_utc=AT + last_s))
    assert [one.id for one in filled.detections.open_since(1, AT + 5)] == [1, 2]


# Services


def test_each_service_is_alive_while_its_own_beat_is_fresh(filled: Store) -> None:
    filled.services.heartbeat("gate", 7, AT, "all well", NOW)
    filled.services.heartbeat("watch", 8, AT + 1, None, replace(NOW, uptime_s=990.0))
    gate, watch = sorted(filled.services.all(NOW), key=lambda one: one.name)
    assert (gate.name, gate.pid, gate.alive, watch.name, watch.pid, watch.alive) == ("gate", 7, True, "watch", 8, False)
    assert (filled.services.is_alive("gate", NOW), filled.services.is_alive("watch", NOW)) == (True, False)
    assert not filled.services.is_alive("serve", NOW)
    assert (gate.problem, gate.started_utc) == ("all well", utc_text(AT))
    later = replace(NOW, uptime_s=1000.0 + 60)
    filled.services.heartbeat("gate", 9, AT + 59, None, later)
    gate = filled.services.all(later)[0]
    assert (gate.pid, gate.alive, gate.problem, gate.started_utc) == (9, True, None, utc_text(AT + 59))


def test_a_heartbeat_counts_for_seven_seconds_of_the_same_start_of_the_machine(filled: Store) -> None:
    filled.services.heartbeat("gate", 7, AT, None, NOW)
    after_s = (0.0, 6.9, 7.0)
    assert [filled.services.is_alive("gate", replace(NOW, uptime_s=1000.0 + s)) for s in after_s] == [True, True, False]
    rebooted = Now(AT + 60, "boot-2", 1000.0)
    assert not filled.services.is_alive("gate", rebooted)
    filled.services.heartbeat("gate", 7, AT + 60, None, rebooted)
    assert filled.services.is_alive("gate", rebooted), "it was heard of since"


def test_a_heartbeat_says_who_lives_and_since_when(tmp_path: Path) -> None:
    started_utc = time.time()
    heartbeat = Heartbeat(tmp_path / "mb9k.db", "gate")
    for _ in range(2):
        heartbeat.write()
    (gate,) = Store.open(tmp_path / "mb9k.db").services.all(now())
    assert (gate.name, gate.pid, gate.alive, gate.problem) == ("gate", os.getpid(), True, None)
    assert utc_seconds(gate.started_utc) == pytest.approx(started_utc, abs=60)


def test_after_trouble_heartbeats_go_on_over_a_new_connection(tmp_path: Path) -> None:
    store, heartbeat = Store.open(tmp_path / "mb9k.db"), Heartbeat(tmp_path / "mb9k.db", "gate")
    heartbeat.write()
    before = heartbeat._store
    store.db.execute("alter table services rename to hidden")
    with pytest.raises(sqlite3.OperationalError):
        heartbeat.write()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        assert before and before.services.all(NOW)
    store.db.execute("alter table hidden rename to services")
    store.db.execute("delete from services")
    heartbeat.write()
    assert store.services.is_alive("gate", now())
