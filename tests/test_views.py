"""What the record remembers of what a camera looks at, and of what is wrong with its picture."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.accounts.people import Role
from appliance.config import Config
from appliance.faces import PictureFault
from appliance.rules import privacy
from appliance.rules import streams as rules
from appliance.store import Store, StoredView
from appliance.times import Now

AT = 1_795_521_600.0
NOW = Now(utc=AT, boot_id="boot-1", uptime_s=1000.0)
SINCE = "2026-11-24T12:00:00.000Z"


@pytest.fixture
def filled(store: Store) -> Store:
    """A live stream `dev:door` (1), pulled, and `dev:attic` (2)."""
    store.people.add("dev", "hash", Role.ADMIN, AT)
    for name in ("door", "attic"):
        stream_id = store.streams.add_with_source(1, name, f"rtsp://camera/{name}", AT)
        store.streams.set_live(stream_id, None, AT)
    store.services.heartbeat("watch", 1, AT, None, NOW)
    return store


def test_a_fault_stands_while_the_stream_is_live_and_is_remembered_while_it_is_not(filled: Store) -> None:
    filled.streams.set_picture_fault(1, PictureFault.COVERED, SINCE)
    door, attic = rules.find(filled, 1, NOW), rules.find(filled, 2, NOW)
    assert (door.picture_fault, door.picture_fault_since_utc) == (PictureFault.COVERED, SINCE)
    assert (attic.picture_fault, attic.picture_fault_since_utc) == (None, None)
    filled.streams.set_offline(1)
    assert rules.find(filled, 1, NOW).picture_fault is None
    assert filled.streams.picture_fault(1) == (PictureFault.COVERED, SINCE)
    assert filled.streams.picture_fault(2) is None


def test_a_view_that_is_said_to_be_new_takes_its_fault_along_and_nothing_learned_before_comes_back(
    filled: Store,
) -> None:
    filled.views.keep(1, 0, b"before", AT)
    filled.views.keep(2, 0, b"attic", AT)
    filled.streams.set_picture_fault(1, PictureFault.MOVED, SINCE)
    rules.learn_view(filled, rules.find(filled, 1, NOW))
    assert filled.views.get(1) == StoredView(asked=1)
    assert filled.streams.picture_fault(1) is None
    filled.views.keep(1, 0, b"what the watcher still knew", AT)
    assert filled.views.get(1).learned is None
    filled.views.keep(1, 1, b"after", AT)
    assert filled.views.get(1) == StoredView(1, b"after", SINCE)
    assert filled.views.get(2) == StoredView(0, b"attic", SINCE)
    assert filled.views.asked() == {1: 1, 2: 0}


def test_a_view_goes_with_its_stream_and_begins_again_with_another_source(filled: Store) -> None:
    for stream_id in (1, 2):
        filled.views.keep(stream_id, 0, b"before", AT)
    rules.change(filled, rules.OPERATOR, rules.find(filled, 1, NOW), source="rtsp://camera/other")
    assert filled.views.get(1) == StoredView(asked=1)
    filled.streams.remove(2)
    assert filled.views.get(2) == StoredView()
    filled.views.keep(2, 0, b"too late", AT)
    assert filled.views.asked() == {1: 1}


def test_no_view_is_kept_while_statistics_only_are(filled: Store, tmp_path: Path) -> None:
    filled.views.keep(1, 0, b"before", AT)
    privacy.keep_statistics_only(Config(state_dir=str(tmp_path)), filled, rules.OPERATOR, NOW)
    assert filled.views.get(1) == StoredView()
    filled.views.keep(1, 0, b"after", AT)
    assert filled.views.get(1) == StoredView()
