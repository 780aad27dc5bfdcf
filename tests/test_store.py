"""What the box remembers, on real SQLite."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from sqlite_utils import Database

from appliance.accounts.people import DEVICE_S, DEVICES, Role
from appliance.accounts.schema import migrations as accounts_migrations
from appliance.errors import NameTaken
from appliance.faces import Counts, Detection, Health, State
from appliance.images import Place
from appliance.secrets import digest
from appliance.store import DetectionFilter, Step, Store, StoredImage
from appliance.store.schema import migrations as box_migrations
from appliance.times import Now, utc_seconds, utc_text

NOW = Now(utc=1_795_521_600.0, boot_id="boot-1", uptime_s=1000.0)
SEEN = Detection(NOW.utc, NOW.utc + 2, State.MASK, 0.9, 7, (10, 20, 60, 80), 640, 360, "test-model")


def later(seconds: float) -> Now:
    return Now(NOW.utc + seconds, NOW.boot_id, NOW.uptime_s + seconds)


@pytest.fixture
def filled(store: Store) -> Store:
    """A store with an admin `dev` (1) and a scientist `sci` (2), each with one stream (1, 2)."""
    store.people.add("dev", "hash", Role.ADMIN, NOW.utc)
    store.people.add("sci", "hash", Role.DATA_SCIENTIST, NOW.utc)
    store.streams.add_with_key(1, "door", digest("key-1"), NOW.utc)
    store.streams.add_with_key(2, "lab", digest("key-2"), NOW.utc)
    return store


def test_times_are_kept_as_utc_text_that_sorts() -> None:
    assert utc_text(NOW.utc + 0.25) == "2026-11-24T12:00:00.250Z"
    assert utc_seconds("2026-11-24T12:00:00.250Z") == NOW.utc + 0.25
    assert utc_seconds("2026-11-24T13:00:00+01:00") == NOW.utc
    assert utc_seconds("2026-11-24") == NOW.utc - 12 * 3600


def test_a_stream_is_live_only_while_the_watcher_is_heard_of(filled: Store) -> None:
    filled.services.heartbeat("watch", 1, NOW.utc, None, NOW)
    filled.streams.set_live(1, "10.0.0.5", NOW.utc)
    assert [(s.remote, s.live_since_utc) for s in filled.streams.all(NOW)] == [
        ("10.0.0.5", utc_text(NOW.utc)),
        (None, None),
    ]
    assert [(s.title, s.live) for s in filled.streams.all(later(2))] == [("dev:door", True), ("sci:lab", False)]
    stale = filled.streams.all(later(7))[0]
    assert (stale.live, stale.live_since_utc, stale.remote) == (False, None, None), "the watcher was not heard of"
    after_reboot = Now(NOW.utc + 60, "boot-2", 3.0)
    assert not filled.streams.all(after_reboot)[0].live, "the heartbeat is of another start of the machine"


def test_a_clock_that_is_set_back_does_not_make_a_stale_heartbeat_fresh(filled: Store) -> None:
    filled.services.heartbeat("watch", 1, NOW.utc, None, NOW)
    assert not filled.services.is_alive("watch", Now(NOW.utc - 3600, NOW.boot_id, NOW.uptime_s + 60))


def test_a_deactivated_stream_is_not_live_and_its_key_does_not_count(filled: Store) -> None:
    filled.services.heartbeat("watch", 1, NOW.utc, None, NOW)
    filled.streams.set_live(1, None, NOW.utc)
    filled.streams.set_active(1, False)
    assert not filled.streams.all(NOW)[0].live
    assert filled.streams.active_keys() == {digest("key-2"): 2}


def test_a_stream_is_found_by_the_digest_of_its_key_active_or_not(filled: Store) -> None:
    filled.services.heartbeat("watch", 1, NOW.utc, None, NOW)
    filled.streams.set_live(1, None, NOW.utc)
    filled.streams.set_active(2, False)
    door, lab = filled.streams.with_key(digest("key-1"), NOW), filled.streams.with_key(digest("key-2"), NOW)
    assert door == filled.streams.get(1, NOW)
    assert lab == filled.streams.get(2, NOW)
    assert door is not None and door.live and door.active is True
    assert lab is not None and lab.active is False
    assert filled.streams.with_key(digest("KEY-1"), NOW) is None
    assert filled.streams.with_key(digest("\udcff"), NOW) is None, "bytes that are no text are only a wrong key"


def test_two_streams_of_one_owner_have_two_names(filled: Store) -> None:
    with pytest.raises(NameTaken):
        filled.streams.add_with_key(1, "door", digest("other"), NOW.utc)
    filled.streams.add_with_key(2, "door", digest("other"), NOW.utc)
    with pytest.raises(NameTaken):
        filled.streams.rename(3, "lab")
    with pytest.raises(NameTaken):
        filled.streams.give_to(3, 1)


def test_a_name_is_taken_in_any_case(filled: Store) -> None:
    with pytest.raises(NameTaken):
        filled.people.add("DEV", "hash", Role.ADMIN, NOW.utc)
    assert filled.people.named("Dev") == filled.people.get(1)


def test_the_first_admin_is_made_once(store: Store) -> None:
    assert store.people.add_first("ann", "hash", NOW.utc) == 1
    assert store.people.add_first("bob", "hash", NOW.utc) is None
    assert [person.name for person in store.people.all()] == ["ann"]


def test_the_last_admin_stays(filled: Store) -> None:
    assert not filled.people.set_role(1, Role.DATA_SCIENTIST)
    assert not filled.people.remove(1)
    filled.people.add("eve", "hash", Role.ADMIN, NOW.utc)
    assert filled.people.set_role(1, Role.DATA_SCIENTIST)


def test_whoever_owns_streams_stays(filled: Store) -> None:
    assert not filled.people.remove(2)
    filled.streams.remove(2)
    assert filled.people.remove(2)


def test_a_new_password_ends_all_other_sessions(filled: Store) -> None:
    for token in ("a", "b"):
        filled.people.add_session(token, 1, "csrf", NOW.utc)
    filled.people.add_session("c", 2, "csrf", NOW.utc)
    filled.people.set_password(1, "new", keep_session="a")
    assert [token for token in "abc" if filled.people.session(token)] == ["a", "c"]
    filled.people.set_password(1, "newer")
    assert [token for token in "abc" if filled.people.session(token)] == ["c"]


def test_tokens_are_revoked_only_by_their_maker(filled: Store) -> None:
    token_id = filled.people.add_token(2, "notebook", digest("t"), NOW.utc, NOW.utc + 60)
    assert not filled.people.remove_token(token_id, person_id=1)
    token = filled.people.token(digest("t"))
    assert token is not None
    assert token.owner.name == "sci"
    assert filled.people.remove_token(token_id, person_id=2) == token
    assert filled.people.token(digest("t")) is None


def test_a_token_of_anybody_is_revoked_for_an_admin(filled: Store) -> None:
    kept = filled.people.add_token(2, "kept", digest("kept"), NOW.utc, NOW.utc + 60)
    gone = filled.people.add_token(2, "gone", digest("gone"), NOW.utc, NOW.utc + 60)
    assert filled.people.remove_token(gone)
    assert not filled.people.remove_token(gone)
    assert [token.id for token in filled.people.all_tokens()] == [kept]


def test_a_new_password_ends_that_persons_tokens_unless_they_are_kept(filled: Store) -> None:
    for person_id, name in ((1, "a"), (1, "b"), (2, "c")):
        filled.people.add_token(person_id, name, digest(name), NOW.utc, NOW.utc + 60)
    filled.people.set_password(1, "new", keep_tokens=True)
    assert {token.name for token in filled.people.all_tokens()} == {"a", "b", "c"}
    filled.people.set_password(1, "newer")
    assert {token.name for token in filled.people.all_tokens()} == {"c"}


def test_a_token_is_over_from_the_moment_it_expires(filled: Store) -> None:
    filled.people.add_token(1, "a", digest("a"), NOW.utc, NOW.utc + 60)
    token = filled.people.token(digest("a"))
    assert token
    assert [token.is_over(NOW.utc + later_s) for later_s in (0, 59.9, 60)] == [False, False, True]


def test_only_the_newest_devices_of_a_person_are_known_and_only_for_a_while(filled: Store) -> None:
    for number in range(DEVICES + 2):
        filled.people.remember_device(f"device {number}", 1, NOW.utc + number)
    filled.people.remember_device("device 0", 2, NOW.utc)
    later_utc = NOW.utc + DEVICES
    known = [filled.people.knows_device(f"device {number}", later_utc, 1) for number in range(DEVICES + 2)]
    assert known == [False, False] + [True] * DEVICES
    assert filled.people.knows_device("device 0", later_utc), "to another person"
    assert not filled.people.knows_device("device 5", later_utc, 2)
    assert filled.people.knows_device("device 5", NOW.utc + 5 + DEVICE_S, 1)
    assert not filled.people.knows_device("device 5", NOW.utc + 6 + DEVICE_S, 1)
    filled.people.remember_device("device 5", 1, NOW.utc + DEVICE_S)
    assert filled.people.knows_device("device 5", NOW.utc + 6 + DEVICE_S, 1), "it was used since"


def test_a_browser_stays_known_when_the_clock_went_back(filled: Store) -> None:
    for number in range(DEVICES):
        filled.people.remember_device(f"device {number}", 1, NOW.utc)
    filled.people.remember_device("in the past", 1, 0.0)
    assert filled.people.knows_device("in the past", 0.0, 1)


def test_detections_are_paged_newest_first(filled: Store) -> None:
    ids = [
        filled.detections.add(1, replace(SEEN, first_seen_utc=NOW.utc + n, last_seen_utc=NOW.utc + n)) for n in range(5)
    ]
    everything = DetectionFilter()
    first = filled.detections.page(everything, limit=2)
    assert [d.id for d in first] == [ids[4], ids[3]]
    assert [d.id for d in filled.detections.page(everything, before_id=ids[3], limit=2)] == [ids[2], ids[1]]
    assert [d.id for d in filled.detections.page_after(everything, after_id=ids[0], limit=2)] == [ids[2], ids[1]]


def test_detections_are_paged_by_when_they_were_seen_though_entered_later(filled: Store) -> None:
    new, old, newest = (filled.detections.add(1, replace(SEEN, first_seen_utc=NOW.utc + at)) for at in (1, -99, 2))
    assert [d.id for d in filled.detections.page(DetectionFilter())] == [newest, new, old]
    assert [d.id for d in filled.detections.page(DetectionFilter(), before_id=new)] == [old]
    assert [d.id for d in filled.detections.page_after(DetectionFilter(), after_id=old)] == [newest, new]


def test_a_page_goes_on_where_a_detection_was_deleted(filled: Store) -> None:
    ids = [filled.detections.add(1, replace(SEEN, first_seen_utc=NOW.utc + n)) for n in range(5)]
    for gone in (ids[2], ids[4]):
        filled.detections.remove(gone)
    assert [d.id for d in filled.detections.page(DetectionFilter(), before_id=ids[2])] == [ids[1], ids[0]]
    assert [d.id for d in filled.detections.page(DetectionFilter(), before_id=ids[4])] == [ids[3], ids[1], ids[0]]
    assert [d.id for d in filled.detections.page_after(DetectionFilter(), after_id=ids[2])] == [ids[3]]
    assert filled.detections.page_after(DetectionFilter(), after_id=ids[4]) == []


def test_every_filter_pages_through_what_a_plain_reading_finds(filled: Store) -> None:
    states = [State.MASK, State.MASK, State.NO_MASK, State.UNKNOWN]
    for number in range(60):
        seen = replace(SEEN, first_seen_utc=NOW.utc + number * 37 % 50, state=states[number * 5 % 4])
        filled.detections.add(1 + number % 3 % 2, seen)
    newest_first = sorted(
        (d for n in range(1, 61) if (d := filled.detections.get(n))),
        key=lambda d: (d.detection.first_seen_utc, d.id),
        reverse=True,
    )
    for stream_id, state, since, until, search in itertools.product(
        (None, 1, 2), (None, State.MASK, State.INCORRECT), (None, 10.0, 70.0), (None, 40.0), ("", "LAB")
    ):
        where = DetectionFilter(stream_id, state, since and NOW.utc + since, until and NOW.utc + until, search)
        expected = [
            d.id
            for d in newest_first
            if stream_id in (None, d.stream_id)
            and state in (None, d.detection.state)
            and (since is None or d.detection.first_seen_utc >= NOW.utc + since)
            and (until is None or d.detection.first_seen_utc < NOW.utc + until)
            and search.lower() in d.stream
        ]
        pages = [page := [d.id for d in filled.detections.page(where, limit=7)]]
        while page:
            page = [d.id for d in filled.detections.page(where, before_id=page[-1], limit=7)]
            pages.append(page)
        assert [one for page in pages for one in page] == expected, where
        for before, after in itertools.pairwise(pages[:-1]):
            assert [d.id for d in filled.detections.page_after(where, after_id=after[0], limit=7)] == before, where
        for edge in (1, 28, 30, 60):  # a detection that need not be of this filter
            at = [d.id for d in newest_first].index(edge)
            older = [d.id for d in newest_first[at + 1 :] if d.id in expected]
            newer = [d.id for d in newest_first[:at] if d.id in expected]
            assert [d.id for d in filled.detections.page(where, before_id=edge, limit=99)] == older, where
            assert [d.id for d in filled.detections.page_after(where, after_id=edge, limit=99)] == newer, where
        assert filled.detections.counts(where).total == len(expected), where


def test_persons_are_counted_by_the_hour(filled: Store) -> None:
    for stream_id, at, state in (
        (1, 0.0, State.MASK),
        (2, 3599, State.MASK),
        (2, 3600, State.UNKNOWN),
        (1, -1, State.MASK),
    ):
        filled.detections.add(stream_id, replace(SEEN, first_seen_utc=NOW.utc + at, state=state))
    hours = filled.trends.buckets(None, NOW.utc, NOW.utc + 7200, Step.HOUR)
    assert {hour.start_utc: hour.counts for hour in hours} == {
        NOW.utc: Counts(mask=2),
        NOW.utc + 3600: Counts(unknown=1),
    }


def test_detections_are_filtered_by_stream_state_time_and_search(filled: Store) -> None:
    detection_id = filled.detections.add(2, replace(SEEN, state=State.INCORRECT))
    filled.detections.add(1, SEEN)
    filled.detections.add(2, replace(SEEN, first_seen_utc=NOW.utc - 99, state=State.INCORRECT))

    def found(**fields: object) -> list[int]:
        return [d.id for d in filled.detections.page(DetectionFilter(**fields))]  # type: ignore[arg-type]

    assert found(stream_id=2, state=State.INCORRECT, since_utc=NOW.utc, until_utc=NOW.utc + 1) == [detection_id]
    assert found(search="SCI:l", since_utc=NOW.utc) == [detection_id]
    assert found(search="%") == []
    assert filled.detections.counts(DetectionFilter(search="lab")) == Counts(incorrect=2)


def test_a_detection_is_updated_while_the_person_is_in_view(filled: Store) -> None:
    detection_id = filled.detections.add(1, SEEN)
    grown = replace(SEEN, last_seen_utc=NOW.utc + 9, state=State.NO_MASK, votes=40)
    assert filled.detections.update(detection_id, grown)
    stored = filled.detections.get(detection_id)
    assert stored is not None
    assert stored.detection == grown
    assert not filled.detections.update(999, grown)


def test_what_a_person_corrected_stays_corrected(filled: Store) -> None:
    detection_id = filled.detections.add(1, SEEN)
    filled.detections.correct_state(detection_id, State.INCORRECT, "dev")
    filled.detections.update(detection_id, replace(SEEN, state=State.NO_MASK, votes=40))
    stored = filled.detections.get(detection_id)
    assert stored is not None
    assert (stored.detection.state, stored.edited_by, stored.detection.votes) == (State.INCORRECT, "dev", 40)


def test_a_detection_never_ends_before_it_begins_though_the_clock_jumps(filled: Store) -> None:
    detection_id = filled.detections.add(1, replace(SEEN, last_seen_utc=NOW.utc - 3600))
    stored = filled.detections.get(detection_id)
    assert stored is not None
    assert stored.detection.last_seen_utc == stored.detection.first_seen_utc


def test_an_image_is_found_by_its_address_until_its_day_is_forgotten(filled: Store) -> None:
    image = StoredImage("20261124", 0, 100, "unguessable")
    detection_id = filled.detections.add(1, SEEN, image)
    found = filled.detections.with_image("unguessable")
    assert found is not None
    assert found.image == image
    assert filled.detections.all_images() == [image]
    assert (filled.detections.count_images(1), filled.detections.count_images(2)) == (1, 0)
    assert filled.detections.forget_images("20261124") == 1
    assert filled.detections.with_image("unguessable") is None
    assert filled.detections.get(detection_id) is not None


def test_a_stream_goes_with_its_detections(filled: Store) -> None:
    filled.detections.add(1, SEEN)
    filled.streams.remove(1)
    assert filled.detections.counts(DetectionFilter()).total == 0


def test_the_latest_image_is_the_newest_of_the_last_day_that_has_any(filled: Store) -> None:
    assert filled.detections.latest_with_image() is None
    for number, (stream_id, day) in enumerate([(1, "20261124"), (2, "20261124"), (1, "20261123"), (1, None)]):
        image = StoredImage(day, number, 100, f"token {number}") if day else None
        filled.detections.add(stream_id, SEEN, image)
    latest = filled.detections.latest_with_image()
    assert latest is not None and latest.image is not None and latest.image.token == "token 1"


def test_who_was_in_view_just_now_may_still_be(filled: Store) -> None:
    filled.detections.add(1, replace(SEEN, last_seen_utc=NOW.utc + 5))
    still = filled.detections.add(1, replace(SEEN, first_seen_utc=NOW.utc - 9999, last_seen_utc=NOW.utc + 10))
    filled.detections.add(2, replace(SEEN, last_seen_utc=NOW.utc + 10))
    assert [d.id for d in filled.detections.open_since(1, NOW.utc + 10)] == [still]


def test_the_same_refusal_again_counts_up(filled: Store) -> None:
    filled.streams.add_refusal("10.0.0.9", "publish", "unknown key", 1, NOW.utc)
    filled.streams.add_refusal("10.0.0.9", "publish", "unknown key", 3, NOW.utc + 30)
    filled.streams.add_refusal("10.0.0.9", "publish", "unknown key", 1, NOW.utc + 300)
    assert [refusal.times for refusal in filled.streams.refusals()] == [1, 4]


def test_a_refusal_stands_on_the_stream_that_was_meant_also_by_an_older_key(filled: Store) -> None:
    filled.streams.set_key(1, "another digest")
    before = filled.db.execute("select key_sha256 from old_keys where stream_id = 1").fetchone()[0]
    assert (filled.senders.meant(before), filled.senders.meant("another digest")) == (1, None)
    filled.streams.add_refusal("10.0.0.9", "publish", "old key", 1, NOW.utc, 1)
    filled.streams.add_refusal("10.0.0.9", "publish", "old key", 1, NOW.utc + 90, 1)
    filled.streams.add_refusal("10.0.0.9", "publish", "old key", 1, NOW.utc + 90, 4711)
    assert [each.stream_id for each in filled.senders.lost(9)] == [None], "a stream that is gone is not noted"
    refused = filled.senders.refused(NOW.utc)
    assert {stream_id: each.at_utc for stream_id, each in refused.items()} == {1: utc_text(NOW.utc + 90)}
    assert filled.senders.refused(NOW.utc + 91) == {}
    filled.streams.remove(1)
    assert filled.senders.meant(before) is None and filled.senders.refused(0.0) == {}


def test_of_a_stream_the_last_ten_keys_that_it_had_are_known(filled: Store) -> None:
    for number in range(12):
        filled.streams.set_key(1, f"digest {number}")
    filled.streams.set_active(1, False)
    filled.streams.set_source(1, "rtsp://camera/1")
    known = [number for number in range(12) if filled.senders.meant(f"digest {number}") == 1]
    assert known == list(range(2, 12))


def test_it_is_known_until_when_a_stream_was_live(filled: Store) -> None:
    filled.services.heartbeat("watch", 1, NOW.utc, None, NOW)

    def ended(stream_id: int) -> str | None:
        stream = filled.streams.get(stream_id, NOW)
        assert stream
        return stream.ended_utc

    filled.streams.set_live(1, None, NOW.utc)
    filled.streams.set_live(2, None, NOW.utc)
    filled.streams.set_offline(1, NOW.utc + 5)
    filled.streams.set_offline(1, NOW.utc + 9)
    assert (ended(1), ended(2)) == (utc_text(NOW.utc + 5), None)
    filled.streams.all_offline(NOW.utc + 20)
    assert (ended(1), ended(2)) == (utc_text(NOW.utc + 5), utc_text(NOW.utc + 20))


def test_a_flood_of_refusals_keeps_only_the_newest(filled: Store) -> None:
    with filled.writing():
        for number in range(1100):
            filled.streams.add_refusal(f"10.0.{number}.1", "publish", "unknown key", 1, NOW.utc + number)
    assert (len(filled.streams.refusals()), len(filled.streams.refusals(limit=5000))) == (20, 1000)
    assert filled.streams.refusals(1)[0].remote == "10.0.1099.1"


def test_a_transaction_is_all_or_nothing(filled: Store) -> None:
    with pytest.raises(RuntimeError), filled.writing():
        filled.detections.add(1, SEEN)
        raise RuntimeError
    assert filled.detections.counts(DetectionFilter()).total == 0


def test_a_store_from_before_the_words_changed_keeps_every_row() -> None:
    db = Database(memory=True)
    accounts_migrations.apply(db)
    box_migrations.apply(db, stop_before="m005_words")
    db.executescript("""
        insert into people (name, password_hash, role, created_utc) values ('dev', 'h', 'admin', 't');
        insert into streams (owner_id, name, key_sha256, created_utc) values (1, 'door', 'd', 't');
        insert into services values ('watch', 'boot-1', 999.0, 't', 7, null);
        insert into detections (stream_id, first_seen_utc, last_seen_utc, state, confidence, votes, box_left, box_top,
          box_right, box_bottom, frame_width, frame_height, model, image_day, image_offset, image_size, image_token)
          values (1, '2026-11-24T12:00:00.000Z', '2026-11-24T12:00:02.000Z', 'mask', 0.9, 7, 10, 20, 60, 80, 640, 360,
            'test-model', '20261124', 5, 100, 'token');
        insert into detections (stream_id, first_seen_utc, last_seen_utc, state, confidence, votes, box_left, box_top,
          box_right, box_bottom, frame_width, frame_height, model, edited_by)
          select stream_id, first_seen_utc, last_seen_utc, 'unknown', 0, 0, 1, 2, 3, 4, 640, 360, 'hand', 'dev'
          from detections;
    """)
    box_migrations.apply(db)
    store = Store(db.conn)
    assert store.problems() == []
    assert store.services.is_alive("watch", NOW)
    edited, seen = store.detections.page(DetectionFilter())
    assert (edited.detection.bbox_px, edited.edited_by, edited.image) == ((1, 2, 3, 4), "dev", None)
    assert (seen.id, seen.stream, seen.detection) == (1, "dev:door", SEEN)
    assert seen.image == StoredImage("20261124", 5, 100, "token")
    assert store.detections.add(1, SEEN) == 3


def test_a_store_from_before_transports_keeps_what_is_known_of_a_stream() -> None:
    db = Database(memory=True)
    accounts_migrations.apply(db)
    box_migrations.apply(db, stop_before="m009_condition")
    db.executescript("""
        insert into people (name, password_hash, role, created_utc) values ('dev', 'h', 'admin', 't');
        insert into streams (owner_id, name, source_url, created_utc) values (1, 'yard', 'rtsp://camera', 't');
        insert into stream_status (stream_id, live, codec, width, height) values (1, 0, 'h264', 640, 360);
    """)
    box_migrations.apply(db)
    store = Store(db.conn)
    stream = store.streams.get(1, NOW)
    assert stream
    assert (stream.codec, stream.width, stream.transport, stream.key_interval_s) == ("h264", 640, None, None)
    store.streams.describe(1, "h264", 640, 360, "udp", 17)
    store.streams.describe(1, "h264", 640, 360, "udp")
    stream = store.streams.get(1, NOW)
    assert stream
    assert (stream.transport, stream.key_interval_s) == ("udp", 17), "an interval that was known stays"
    assert store.problems() == []


def test_a_store_from_before_health_keeps_its_sources_and_detections() -> None:
    db = Database(memory=True)
    accounts_migrations.apply(db)
    box_migrations.apply(db, stop_before="m010_health")
    db.executescript("""
        insert into people (name, password_hash, role, created_utc) values ('dev', 'h', 'admin', 't');
        insert into streams (owner_id, name, source_url, created_utc) values (1, 'yard', 'rtsp://camera', 't');
        insert into stream_status (stream_id, live, codec, width, height) values (1, 1, 'h264', 640, 360);
        insert into detections (stream_id, first_seen_utc, last_seen_utc, state, confidence, votes, bbox_left, bbox_top,
          bbox_right, bbox_bottom, frame_width, frame_height, model)
          values (1, '2026-11-24T12:00:00.000Z', '2026-11-24T12:00:02.000Z', 'unknown', 0.9, 7, 10, 20, 60, 80, 640,
            360, 'test-model');
    """)
    box_migrations.apply(db)
    store = Store(db.conn)
    store.services.heartbeat("watch", 1, NOW.utc, None, NOW)
    stream = store.streams.get(1, NOW)
    assert stream and (stream.live, stream.watch_url, stream.health) == (True, None, Health())
    assert store.detections.page(DetectionFilter())[0].detection == replace(SEEN, state=State.UNKNOWN)
    assert store.problems() == []


def test_a_store_from_before_erasures_notes_the_images_that_its_rows_lose() -> None:
    db = Database(memory=True)
    accounts_migrations.apply(db)
    box_migrations.apply(db, stop_before="m008_erasures_and_ages")
    db.execute("pragma foreign_keys=on")
    images = [StoredImage("20261124", 100 * number, 100, f"token {number}") for number in range(5)]
    db.executescript("""
        insert into people (name, password_hash, role, created_utc) values ('ann', 'h', 'admin', 't');
        insert into streams (owner_id, name, key_sha256, created_utc) values (1, 'door', 'd', 't');
    """)
    for image in images[:4]:
        db.execute(
            "insert into detections (stream_id, first_seen_utc, last_seen_utc, state, confidence, votes, bbox_left,"
            " bbox_top, bbox_right, bbox_bottom, frame_width, frame_height, model, image_day, image_offset, image_size,"
            " image_token)"
            " values (1, '2026-11-24', '2026-11-24', 'mask', 0.9, 7, 10, 20, 60, 80, 640, 360, 'm', ?, ?, ?, ?)",
            [image.day, image.offset, image.size_bytes, image.token],
        )
    box_migrations.apply(db)
    store = Store(db.conn)
    assert store.erasures.oldest(9) == {}
    assert store.ages.clock() is None
    store.detections.update(1, SEEN)
    store.detections.remove(1)
    store.detections.set_image(2, images[4])
    assert list(store.erasures.oldest(9).values()) == [as_place(image) for image in images[:2]]
    store.streams.remove(1)
    assert list(store.erasures.oldest(2).values()) == [as_place(image) for image in images[:2]]
    assert sorted(place.offset for place in store.erasures.oldest(9).values()) == [0, 100, 200, 300, 400]


def as_place(image: StoredImage) -> Place:
    return Place(image.day, image.offset, image.size_bytes)


def test_people_without_an_admin_are_noticed(filled: Store) -> None:
    assert filled.problems() == []
    filled.db.execute("update people set role = 'data_scientist'")
    assert any("no admin" in problem for problem in filled.problems())
